//! The list of snapshots.

use super::{ABOUT, About, FOLDER, ListArgs, keep};
use crate::cli::Format;
use crate::config::Config;
use crate::exit::{self, Done};
use crate::inputs::readable;
use crate::output::Output;
use std::io::Write;

/// `gillnet snapshot list`.
pub fn list(config: &Config, args: &ListArgs) -> anyhow::Result<Done> {
    let mut found = match &args.from {
        None => local(config, args)?,
        Some(from) => in_bucket(config, args, from)?,
    };
    if found.is_empty() {
        return Ok(Done::Nothing);
    }
    found.sort_by(|a, b| (&a.created_at, &a.name).cmp(&(&b.created_at, &b.name)));
    let mut output = Output::stdout();
    if args.output == Format::Table {
        writeln!(
            output.buffer(),
            "NAME\tFIRST\tLAST\tPACKETS\tBYTES\tNODES\tMISSING\tFILTER"
        )?;
    }
    for about in &found {
        if args.output == Format::Jsonl {
            serde_json::to_writer(output.buffer(), about)?;
            writeln!(output.buffer())?;
            continue;
        }
        writeln!(
            output.buffer(),
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            about.name,
            about.first,
            about.last,
            about.packets,
            about.size,
            about.nodes.join(","),
            missing(about),
            filter(about),
        )?;
    }
    output.finish()?;
    Ok(Done::Ok)
}

fn local(config: &Config, args: &ListArgs) -> anyhow::Result<Vec<About>> {
    let all = args.data.dir(config).join(FOLDER);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&all).into_iter().flatten() {
        let path = entry?.path().join(ABOUT);
        let hidden = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with('.');
        let is_made = path
            .parent()
            .and_then(|dir| dir.file_name())
            .is_some_and(hidden);
        if is_made || !path.is_file() {
            continue;
        }
        match keep::read_about(&path) {
            Ok(about) => found.push(about),
            Err(error) => tracing::warn!("{error:#}"),
        }
    }
    Ok(found)
}

fn in_bucket(config: &Config, args: &ListArgs, from: &str) -> anyhow::Result<Vec<About>> {
    let bucket = readable(from, &args.access, config)?;
    let mut keys = Vec::new();
    let end = format!("/{ABOUT}");
    bucket
        .list(FOLDER, &mut |meta| {
            if meta.key.ends_with(&end) {
                keys.push(meta.key);
            }
        })
        .map_err(exit::of_bucket)?;
    let mut found = Vec::new();
    for key in keys {
        let text = bucket.get(&key).map_err(exit::of_bucket)?;
        match serde_json::from_slice(&text) {
            Ok(about) => found.push(about),
            Err(error) => tracing::warn!("{} can't be read: {error}", bucket.place(&key)),
        }
    }
    Ok(found)
}

/// What is missing, in a word: parts of the window, and frames within.
fn missing(about: &About) -> String {
    let lost = &about.lost;
    let frames = lost.kernel + lost.queue + lost.disk;
    match (about.missing.len(), frames) {
        (0, 0) => "-".to_owned(),
        (0, frames) => format!("{frames} frames"),
        (1, 0) => "1 part".to_owned(),
        (parts, 0) => format!("{parts} parts"),
        (parts, frames) => format!("{parts} parts, {frames} frames"),
    }
}

fn filter(about: &About) -> String {
    let workloads = &about.workloads;
    let named = [
        ("namespace", &workloads.namespaces),
        ("pod", &workloads.pods),
        ("service", &workloads.services),
    ];
    let mut words = Vec::new();
    for (kind, names) in named {
        words.extend(names.iter().map(|name| format!("{kind} {name}")));
    }
    if !about.bpf.is_empty() {
        words.push(about.bpf.clone());
    }
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join("; ")
    }
}
