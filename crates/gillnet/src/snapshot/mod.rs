//! `gillnet snapshot` and `gillnet pcapdump`: windows of the raw ring that are kept.
//!
//! A snapshot is two files that never change: in the data directory `snapshots/<name>/packets.pcapng` and
//! `snapshot.json`, in a bucket the same with the packets in gzip.

mod choose;
mod keep;
mod show;
mod take;

use crate::cli::{Access, Shared, TimeArgs};
use crate::exit::{self, Done};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What a source is called that is a snapshot of this data directory.
const SCHEME: &str = "snapshot:";
/// The folder of snapshots, in the data directory and in a bucket.
const FOLDER: &str = "snapshots";
/// A snapshot's packets in the data directory, and in a bucket.
const PACKETS: &str = "packets.pcapng";
const PACKED: &str = "packets.pcapng.gz";
/// What is said of it; there last, so that a snapshot without is none.
const ABOUT: &str = "snapshot.json";

/// `gillnet snapshot`.
#[derive(clap::Args, Debug)]
pub struct SnapshotArgs {
    #[command(subcommand)]
    command: SnapshotCommand,
}

#[derive(clap::Subcommand, Debug)]
enum SnapshotCommand {
    /// Keep a window of the raw ring
    Create(CreateArgs),
    /// List the snapshots there are
    List(ListArgs),
    /// Delete a snapshot
    Delete(DeleteArgs),
    /// Copy a snapshot's packets into a file, and check that they are whole
    #[command(visible_alias = "export")]
    Download(DownloadArgs),
}

/// Where the raw ring and local snapshots are.
#[derive(clap::Args, Debug)]
struct Data {
    /// Data directory of the worker
    #[arg(long, env = "GILLNET_DATA_DIR", value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

/// `gillnet snapshot create`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet snapshot create incident --since 20m --until 5m\n  \
    gillnet snapshot create checkout --since 1h --bpf 'tcp port 8080' --namespace shop --to gs://bucket\n\n\
    The worker must capture raw (capture.raw.enabled in its configuration). What is missing of the window is said.")]
struct CreateArgs {
    /// Its name: letters, digits, dots, dashes and underscores
    name: String,
    #[command(flatten)]
    time: TimeArgs,
    /// Only frames that this packet filter takes, in the syntax of tcpdump
    #[arg(long, value_name = "EXPRESSION", default_value = "")]
    bpf: String,
    #[command(flatten)]
    workloads: choose::Workloads,
    /// Keep it there instead of in the data directory: gs://bucket/prefix, file:///folder, or a file
    #[arg(long, value_name = "URL|FILE")]
    to: Option<String>,
    #[command(flatten)]
    data: Data,
}

/// `gillnet snapshot list`.
#[derive(clap::Args, Debug)]
struct ListArgs {
    /// Those in this bucket instead of the data directory's
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// One JSON object a line
    #[arg(short, long, value_enum, default_value = "table")]
    output: crate::cli::Format,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    data: Data,
}

/// `gillnet snapshot delete`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet snapshot delete incident\n  \
    gillnet snapshot delete checkout --from gs://bucket --dry-run\n  \
    gillnet snapshot delete checkout --from gs://bucket\n\n\
    In a bucket the account needs to read and to delete objects. One that is broken off is finished by the next.")]
struct DeleteArgs {
    name: String,
    /// In this bucket instead of the data directory
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    /// Only say what would be deleted
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    data: Data,
}

/// `gillnet snapshot download`.
#[derive(clap::Args, Debug)]
struct DownloadArgs {
    name: String,
    /// A file that is not there yet, or a folder
    dest: PathBuf,
    /// From this bucket instead of the data directory
    #[arg(long, value_name = "URL")]
    from: Option<String>,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    data: Data,
}

/// `gillnet pcapdump`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet pcapdump --time 5m --dest /tmp\n  \
    gillnet pcapdump --dest all.pcapng")]
pub struct PcapdumpArgs {
    /// So much of it, up to now [default: all]
    #[arg(long, value_name = "DURATION")]
    time: Option<String>,
    /// A file that is not there yet (pcapng), or a folder
    #[arg(long, value_name = "FOLDER|FILE", default_value = ".")]
    dest: PathBuf,
    #[command(flatten)]
    data: Data,
}

/// What is said of a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct About {
    version: u32,
    name: String,
    created_at: String,
    /// The window that was asked for, where it has ends.
    since: Option<String>,
    until: Option<String>,
    /// Times of the first and the last packet.
    first: String,
    last: String,
    packets: u64,
    /// Of the file of packets.
    size: u64,
    sha256: String,
    bpf: String,
    #[serde(flatten)]
    workloads: choose::Workloads,
    cluster: String,
    nodes: Vec<String>,
    /// Parts of the window that are not there.
    missing: Vec<MissingPart>,
    /// Frames of the window that are not there, in all segments that it touches.
    lost: gillnet_recorder::raw::Lost,
    /// Fragments whose datagram is not whole, and of which it could not be said whose they are.
    undecided_fragments: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct MissingPart {
    from: String,
    to: String,
    why: String,
}

/// Runs `gillnet snapshot`.
pub fn run(shared: &Shared, args: &SnapshotArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    match &args.command {
        SnapshotCommand::Create(args) => take::create(&config, args),
        SnapshotCommand::List(args) => show::list(&config, args),
        SnapshotCommand::Delete(args) => keep::delete(&config, args),
        SnapshotCommand::Download(args) => keep::download(&config, args),
    }
}

/// Runs `gillnet pcapdump`.
pub fn dump(shared: &Shared, args: &PcapdumpArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    take::dump(&config, args)
}

/// The file that a source names: a snapshot's packets, or what is given.
pub fn resolve(data_dir: &Path, source: &str) -> anyhow::Result<PathBuf> {
    let Some(name) = source.strip_prefix(SCHEME) else {
        return Ok(PathBuf::from(source));
    };
    check_name(name)?;
    let path = data_dir.join(FOLDER).join(name).join(PACKETS);
    std::fs::metadata(&path)
        .with_context(|| {
            format!(
                "there is no snapshot {name:?} in {}; `gillnet snapshot list` shows those there are",
                data_dir.display()
            )
        })
        .map_err(exit::usage)?;
    Ok(path)
}

/// A name is a part of paths and keys.
fn check_name(name: &str) -> anyhow::Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(plain) {
        return Err(exit::usage(anyhow::anyhow!(
            "`{name}` can't be a snapshot's name; take up to 100 letters, digits, dots, dashes and underscores, and no dot first"
        )));
    }
    Ok(())
}

impl Data {
    fn dir(&self, config: &crate::config::Config) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| config.data_dir())
    }
}
