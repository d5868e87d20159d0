//! Where snapshots are: the data directory, a bucket, a file.

use super::{ABOUT, About, DeleteArgs, DownloadArgs, FOLDER, PACKED, PACKETS, check_name};
use crate::config::Config;
use crate::exit::{self, Done};
use crate::inputs::readable;
use crate::live::Credentialed;
use crate::output::say;
use anyhow::Context;
use flate2::Compression;
use flate2::write::GzEncoder;
use gillnet_bucket::{Body, Bucket, Destination, PutError};
use gillnet_recorder::Buckets as _;
use sha2::{Digest, Sha256};
use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Bytes that are read at a time.
const PIECE: u64 = 4 << 20;

/// Size and SHA-256 of a file.
pub fn sum(path: &Path) -> anyhow::Result<(u64, String)> {
    let mut file = File::open(path).with_context(|| format!("{}", path.display()))?;
    let (mut sum, mut size) = (Sha256::new(), 0);
    let mut piece = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            return Ok((size, gillnet_bucket::hex(&sum.finalize())));
        }
        size += n as u64;
        sum.update(piece.get(..n).unwrap_or_default());
    }
}

/// Writes what is said of a snapshot.
pub fn write_about(path: &Path, about: &About) -> anyhow::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(&serde_json::to_vec_pretty(about)?)?;
    file.sync_all()?;
    Ok(())
}

/// Copies a file to where there is none.
pub fn copy_new(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copied = (|| {
        let mut out = OpenOptions::new().write(true).create_new(true).open(to)?;
        io::copy(&mut File::open(from)?, &mut out)?;
        out.sync_all()
    })();
    copied.with_context(|| format!("{} cannot be written", to.display()))
}

/// A bucket that snapshots are put into.
pub fn writable(config: &Config, to: &str) -> anyhow::Result<Arc<dyn Bucket>> {
    Destination::parse(to).map_err(exit::usage)?;
    Credentialed::new(config.clone())
        .open(to)
        .map_err(exit::of_bucket)
}

/// Puts a snapshot that was made in `dir` into a bucket; gives its place. Neither of its objects is ever written over.
pub fn upload(bucket: &dyn Bucket, dir: &Path, about: &About) -> anyhow::Result<String> {
    let packed = dir.join(PACKED);
    let mut pack = GzEncoder::new(File::create_new(&packed)?, Compression::fast());
    io::copy(&mut File::open(dir.join(PACKETS))?, &mut pack)?;
    pack.finish()?.sync_all()?;
    let (size, sha256) = sum(&packed)?;
    let about = About {
        size,
        sha256,
        ..about.clone()
    };
    let key = |file: &str| format!("{FOLDER}/{}/{file}", about.name);
    put(bucket, &key(PACKED), Body::File(&packed))?;
    put(
        bucket,
        &key(ABOUT),
        Body::Bytes(&serde_json::to_vec_pretty(&about)?),
    )?;
    Ok(bucket.place(&key(PACKED)))
}

fn put(bucket: &dyn Bucket, key: &str, body: Body<'_>) -> anyhow::Result<()> {
    match bucket.put_new(key, body) {
        Ok(()) => Ok(()),
        Err(PutError::Exists { .. }) => Err(exit::usage(anyhow::anyhow!(
            "{} is there already, and a snapshot never changes; choose another name",
            bucket.place(key)
        ))),
        Err(
            PutError::Refused(error) | PutError::Unavailable(error) | PutError::Ambiguous(error),
        ) => Err(exit::of_bucket(error)),
    }
}

/// `gillnet snapshot delete`.
pub fn delete(config: &Config, args: &DeleteArgs) -> anyhow::Result<Done> {
    check_name(&args.name)?;
    if let Some(from) = &args.from {
        return delete_far(config, args, from);
    }
    let all = args.data.dir(config).join(FOLDER);
    let dir = all.join(&args.name);
    if !dir.join(ABOUT).is_file() {
        return Err(none(&args.name, &all.display(), ""));
    }
    if args.dry_run {
        let (size, _) = sum(&dir.join(PACKETS))?;
        say(format_args!(
            "{}: {size} bytes would be deleted",
            dir.display()
        ))?;
        return Ok(Done::Ok);
    }
    // at once: a crash leaves what the next one removes
    let going = all.join(format!(".making-0-{}", args.name));
    std::fs::rename(&dir, &going).with_context(|| format!("{}", dir.display()))?;
    std::fs::remove_dir_all(&going).with_context(|| format!("{}", going.display()))?;
    tracing::info!("the snapshot {} is deleted", args.name);
    Ok(Done::Ok)
}

/// Deletes a snapshot in a bucket: what says that there is one first, so that no list has one without its packets. What a
/// run that was broken off left is deleted as well.
fn delete_far(config: &Config, args: &DeleteArgs, from: &str) -> anyhow::Result<Done> {
    let bucket = readable(from, &args.access, config)?;
    let key = |file: &str| format!("{FOLDER}/{}/{file}", args.name);
    let mut there = Vec::new();
    for key in [ABOUT, PACKED].map(key) {
        there.extend(bucket.head(&key).map_err(exit::of_bucket)?);
    }
    if there.is_empty() {
        return Err(none(&args.name, &from, &format!(" --from {from}")));
    }
    for file in there {
        let (place, size) = (bucket.place(&file.key), file.size);
        if args.dry_run {
            say(format_args!("{place}: {size} bytes would be deleted"))?;
            continue;
        }
        bucket.delete(&file.key).map_err(exit::of_bucket)?;
        say(format_args!("{place}: {size} bytes deleted"))?;
    }
    Ok(Done::Ok)
}

fn none(name: &str, place: &dyn Display, from: &str) -> anyhow::Error {
    exit::usage(anyhow::anyhow!(
        "there is no snapshot {name:?} in {place}; `gillnet snapshot list{from}` shows those there are"
    ))
}

/// `gillnet snapshot download`.
pub fn download(config: &Config, args: &DownloadArgs) -> anyhow::Result<Done> {
    check_name(&args.name)?;
    let file = if args.from.is_some() { PACKED } else { PACKETS };
    let end = file.trim_start_matches("packets");
    let dest = if args.dest.is_dir() {
        args.dest.join(format!("{}{end}", args.name))
    } else {
        args.dest.clone()
    };
    if dest.exists() {
        return Err(exit::usage(anyhow::anyhow!(
            "{} is there already; choose another name",
            dest.display()
        )));
    }
    let about = match &args.from {
        None => {
            let dir = args.data.dir(config).join(FOLDER).join(&args.name);
            let about = read_about(&dir.join(ABOUT))?;
            copy_new(&dir.join(PACKETS), &dest)?;
            about
        }
        Some(from) => {
            let bucket = readable(from, &args.access, config)?;
            let key = |file: &str| format!("{FOLDER}/{}/{file}", args.name);
            let text = bucket.get(&key(ABOUT)).map_err(exit::of_bucket)?;
            let about: About = serde_json::from_slice(&text)
                .with_context(|| format!("{} can't be read", bucket.place(&key(ABOUT))))?;
            let fetched = fetch(&*bucket, &key(PACKED), about.size, &dest);
            fetched.with_context(|| bucket.place(&key(PACKED)))?;
            about
        }
    };
    let (size, sha256) = sum(&dest)?;
    if (size, &sha256) != (about.size, &about.sha256) {
        std::fs::remove_file(&dest)?;
        anyhow::bail!(
            "the packets of the snapshot {} are damaged: {size} bytes with SHA-256 {sha256}, not {} with {}; nothing was written",
            about.name,
            about.size,
            about.sha256
        );
    }
    tracing::info!(
        "{} packets ({size} bytes) are in {}",
        about.packets,
        dest.display()
    );
    Ok(Done::Ok)
}

fn fetch(bucket: &dyn Bucket, key: &str, size: u64, dest: &Path) -> anyhow::Result<()> {
    let mut out = File::create_new(dest)?;
    let mut at = 0;
    while at < size {
        let end = size.min(at + PIECE);
        let piece = bucket.get_range(key, at..end).map_err(exit::of_bucket)?;
        out.write_all(&piece)?;
        if piece.is_empty() {
            break;
        }
        at += piece.len() as u64;
    }
    out.sync_all()?;
    Ok(())
}

/// Reads what is said of a snapshot.
pub fn read_about(path: &Path) -> anyhow::Result<About> {
    let file = File::open(path)
        .with_context(|| format!("there is no such snapshot: {}", path.display()))
        .map_err(exit::usage)?;
    serde_json::from_reader(BufReader::new(file))
        .with_context(|| format!("{} can't be read", path.display()))
}
