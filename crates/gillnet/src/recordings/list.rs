//! `gillnet recordings list`: what there is in buckets, and what is at work.

use crate::cli::{Access, Shared};
use crate::exit::{self, Done};
use crate::inputs;
use crate::output::Output;
use crate::scripts::{Client, Format, Running, bytes, table};
use gillnet_bucket::{Overview, overview};
use gillnet_entry::time::Rfc3339;
use reqwest::Method;
use serde_json::{Value, json};

/// `gillnet recordings list`.
#[derive(clap::Args, Debug)]
pub struct ListArgs {
    /// Buckets: gs://bucket/prefix, s3://bucket/prefix, az://container/prefix, file:///folder, or folders; without any,
    /// the recordings at work are listed
    #[arg(value_name = "BUCKET")]
    buckets: Vec<String>,
    /// List also the recordings at work in the running Gillnet at --url
    #[arg(long)]
    worker: bool,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Format,
    #[command(flatten)]
    running: Running,
    #[command(flatten)]
    access: Access,
}

/// Runs the command.
pub fn run(shared: &Shared, args: &ListArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    let mut failed = Vec::new();
    let mut found = Vec::new();
    for place in &args.buckets {
        let bucket = inputs::recordings(place, &args.access, &config);
        let there = bucket.and_then(|bucket| overview(&bucket).map_err(exit::of_bucket));
        match there {
            Ok((there, version)) => {
                if let Some(version) = version {
                    tracing::warn!("{}", inputs::later(place, version));
                }
                found.extend(there.into_iter().map(|of| (place, of)));
            }
            Err(error) => failed.push(error),
        }
    }
    let mut at_work = Vec::new();
    if args.worker || args.buckets.is_empty() {
        match at_work_at(shared, &args.running) {
            Ok(there) => at_work = there,
            Err(error) => failed.push(error),
        }
    }
    let mut output = Output::stdout();
    match args.output {
        Format::Json => {
            let found: Vec<Value> = found.iter().map(|(place, of)| as_json(place, of)).collect();
            let whole = json!({ "recordings": found, "atWork": at_work });
            output.buffer().extend(whole.to_string().into_bytes());
            output.buffer().push(b'\n');
        }
        Format::Table => {
            if !found.is_empty() {
                in_buckets(&found, output.buffer());
            }
            if !at_work.is_empty() {
                working(&at_work, output.buffer());
            }
        }
    }
    output.finish()?;
    for (place, of) in &found {
        for fault in &of.faults {
            tracing::warn!("{place}: {fault}");
        }
        if of.unread > 0 {
            tracing::warn!(
                "{place}: {} files of {} are encrypted, and no key was given that reads them; {}",
                of.unread,
                of.recording,
                gillnet_bucket::IDENTITY
            );
        }
        let more = of.faulty - of.faults.len() as u64;
        if more > 0 {
            tracing::warn!(
                "{place}: {} has {more} faults more; gillnet verify names them all",
                of.recording
            );
        }
    }
    // what else could be read was shown
    let mut failed = failed.into_iter();
    let first = failed.next();
    failed.for_each(|error| tracing::error!("{error:#}"));
    match first {
        Some(error) => Err(error),
        None if found.is_empty() && at_work.is_empty() => Ok(Done::Nothing),
        None => Ok(Done::Ok),
    }
}

/// The recordings at work in a running Gillnet.
fn at_work_at(shared: &Shared, running: &Running) -> anyhow::Result<Vec<Value>> {
    let mut status = Client::new(shared, running)?.ask(Method::GET, &["status"], None)?;
    match status["recordings"].take() {
        Value::Array(recordings) => Ok(recordings),
        _ => anyhow::bail!("it says nothing of recordings; it is an earlier Gillnet"),
    }
}

fn as_json(place: &str, of: &Overview) -> Value {
    json!({
        "bucket": place,
        "cluster": of.cluster,
        "recording": of.recording,
        "kfl": of.kfl,
        "nodes": of.nodes,
        "first": Rfc3339(of.first).to_string(),
        "last": Rfc3339(of.last).to_string(),
        "payload": payloads(of),
        "objects": of.objects,
        "packets": of.packets,
        "packetBytes": of.packet_bytes,
        "indexBytes": of.index_bytes,
        "entries": of.entries,
        "streams": of.streams,
        "encrypted": of.encrypted,
        "unread": of.unread,
        "faulty": of.faulty,
        "faults": of.faults,
    })
}

/// What its objects keep of packets.
fn payloads(of: &Overview) -> Vec<String> {
    of.payloads.iter().map(ToString::to_string).collect()
}

fn in_buckets(found: &[(&String, Overview)], out: &mut Vec<u8>) {
    let heads = [
        "RECORDING",
        "CLUSTER",
        "FIRST",
        "LAST",
        "NODES",
        "PAYLOAD",
        "OBJECTS",
        "PACKETS",
        "INDEX",
        "ENTRIES",
        "STREAMS",
        "FAULTS",
        "BUCKET",
        "FILTER",
    ];
    let row = |(place, of): &(&String, Overview)| {
        vec![
            of.recording.clone(),
            of.cluster.clone(),
            second(&Rfc3339(of.first).to_string()),
            second(&Rfc3339(of.last).to_string()),
            of.nodes.iter().cloned().collect::<Vec<_>>().join(","),
            payloads(of).join(","),
            of.objects.to_string(),
            bytes(of.packet_bytes),
            bytes(of.index_bytes),
            of.entries.map_or_else(|| "-".to_owned(), |n| n.to_string()),
            of.streams.to_string(),
            of.faulty.to_string(),
            (*place).clone(),
            of.kfl.clone().unwrap_or_default(),
        ]
    };
    table(&heads, &found.iter().map(row).collect::<Vec<_>>(), out);
}

/// A time to the second.
fn second(time: &str) -> String {
    match time.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => time.to_owned(),
    }
}

fn working(at_work: &[Value], out: &mut Vec<u8>) {
    let heads = [
        "AT WORK",
        "STATE",
        "WINDOW",
        "OF",
        "FROM",
        "UNTIL",
        "PACKETS",
        "ENTRIES",
        "OBJECTS",
        "UPLOADED",
        "PENDING",
        "DESTINATION",
        "FILTER",
        "ERROR",
    ];
    let text = |of: &Value| match of {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |of: &Value| {
        let window = &of["window"];
        let progress = window["progress"].as_f64();
        let size = |name: &str| bytes(of[name].as_u64().unwrap_or(0));
        vec![
            text(&of["rule"]),
            text(&of["state"]),
            progress.map_or_else(|| "-".to_owned(), |of| format!("{:.0}%", of * 100.0)),
            match (window["number"].as_u64(), window["of"].as_u64()) {
                (Some(number), Some(of)) => format!("{number}/{of}"),
                (Some(number), None) => format!("{number}"),
                _ => "-".to_owned(),
            },
            second(&text(&window["from"])),
            second(&text(&window["until"])),
            text(&of["recordedPackets"]),
            text(&of["indexedEntries"]),
            text(&of["uploadedObjects"]),
            size("uploadedBytes"),
            size("pendingBytes"),
            text(&of["destination"]),
            text(&of["kfl"]),
            text(&of["error"]),
        ]
    };
    table(&heads, &at_work.iter().map(row).collect::<Vec<_>>(), out);
}
