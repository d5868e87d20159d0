//! Taking a window out of the raw ring.

use super::choose::{Choice, Workloads};
use super::{
    ABOUT, About, CreateArgs, FOLDER, MissingPart, PACKETS, PcapdumpArgs, check_name, keep,
};
use crate::config::{Config, duration};
use crate::exit::{self, Done};
use crate::identity::Identity;
use crate::scan;
use anyhow::Context;
use gillnet_capture::write::{
    PacketBlock, SectionBlock, interface_block, packet_block, section_block,
};
use gillnet_capture::{Event, Input, Interface, open_files};
use gillnet_entry::time::Rfc3339;
use gillnet_names::Names;
use gillnet_recorder::raw::{Held, RawError, hold};
use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Bytes that are written at a time.
const BLOCK: usize = 1 << 20;

/// `gillnet snapshot create`.
pub fn create(config: &Config, args: &CreateArgs) -> anyhow::Result<Done> {
    check_name(&args.name)?;
    let window = args.time.within()?;
    let dir = args.data.dir(config);
    let file = args.to.as_ref().filter(|to| !to.contains("://"));
    let bucket = args.to.as_ref().filter(|to| to.contains("://"));
    let bucket = bucket.map(|to| keep::writable(config, to)).transpose()?;
    if let Some(file) = file {
        refuse_existing(Path::new(file))?;
    } else if bucket.is_none() {
        refuse_existing(&dir.join(FOLDER).join(&args.name))?;
    }
    let asked = Asked {
        name: &args.name,
        window,
        bpf: &args.bpf,
        workloads: &args.workloads,
    };
    let beside = Beside::new(&dir)?;
    let Some(about) = take(config, &dir, &asked, &beside.0.join(PACKETS))? else {
        return Ok(Done::Nothing);
    };
    let place = match (file, bucket) {
        (Some(file), _) => {
            keep::copy_new(&beside.0.join(PACKETS), Path::new(file))?;
            file.clone()
        }
        (None, Some(bucket)) => keep::upload(&*bucket, &beside.0, &about)?,
        (None, None) => {
            keep::write_about(&beside.0.join(ABOUT), &about)?;
            let to = dir.join(FOLDER).join(&args.name);
            // one that came to be meanwhile is not empty, and stays
            std::fs::rename(&beside.0, &to)
                .with_context(|| format!("{}: a snapshot never changes", to.display()))?;
            std::fs::File::open(dir.join(FOLDER))?.sync_all()?;
            to.join(PACKETS).display().to_string()
        }
    };
    say(&about, &place);
    Ok(Done::Ok)
}

/// `gillnet pcapdump`.
pub fn dump(config: &Config, args: &PcapdumpArgs) -> anyhow::Result<Done> {
    let now = scan::now();
    let since = match &args.time {
        None => i64::MIN,
        Some(time) => {
            let time = duration(time).context("--time").map_err(exit::usage)?;
            now.saturating_sub(i64::try_from(time.as_nanos()).unwrap_or(i64::MAX))
        }
    };
    let dir = args.data.dir(config);
    let dest = if args.dest.is_dir() {
        let identity = Identity::find(config.cluster.as_deref());
        let at: String = Rfc3339(now).to_string().chars().take(19).collect();
        let at = at.replace([':', 'T'], "-");
        args.dest.join(format!(
            "{}-{}-{at}.pcapng",
            identity.cluster, identity.node
        ))
    } else {
        args.dest.clone()
    };
    refuse_existing(&dest)?;
    let asked = Asked {
        name: "pcapdump",
        window: (since, i64::MAX),
        bpf: "",
        workloads: &Workloads::default(),
    };
    let beside = Beside::new(&dir)?;
    let Some(about) = take(config, &dir, &asked, &beside.0.join(PACKETS))? else {
        return Ok(Done::Nothing);
    };
    keep::copy_new(&beside.0.join(PACKETS), &dest)?;
    say(&about, &dest.display().to_string());
    Ok(Done::Ok)
}

fn refuse_existing(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        return Err(exit::usage(anyhow::anyhow!(
            "{} is there already; choose another name",
            path.display()
        )));
    }
    Ok(())
}

/// A folder beside the snapshots, in which one is made; gone afterwards.
struct Beside(PathBuf);

impl Beside {
    fn new(data_dir: &Path) -> anyhow::Result<Beside> {
        let all = data_dir.join(FOLDER);
        // what a crash left
        for entry in std::fs::read_dir(&all).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name
                .strip_prefix(".making-")
                .and_then(|rest| rest.split('-').next());
            if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        let dir = all.join(format!(
            ".making-{}-{:08x}",
            std::process::id(),
            rand::random::<u32>()
        ));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| {
                format!(
                    "{} cannot be made; name another data directory with --data-dir",
                    dir.display()
                )
            })?;
        Ok(Beside(dir))
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // where it became the snapshot it is not there any more
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What is to be taken.
struct Asked<'a> {
    name: &'a str,
    window: (i64, i64),
    bpf: &'a str,
    workloads: &'a Workloads,
}

/// Writes the frames that are asked for into a file; `None`, and it is said, where there are none.
fn take(
    config: &Config,
    dir: &Path,
    asked: &Asked<'_>,
    to: &Path,
) -> anyhow::Result<Option<About>> {
    let (since, until) = asked.window;
    let names = Names::new(crate::cli::names(config, true)).map_err(exit::usage)?;
    let mut choice =
        Choice::new(asked.window, asked.bpf, asked.workloads, names).map_err(exit::usage)?;
    let held = hold(dir, since, until).map_err(|error| match error {
        RawError::NoRing { .. } => exit::usage(error),
        error => error.into(),
    })?;
    let mut writer = Writer::create(to, asked.name)?;
    if !held.segments.is_empty() {
        read(&held, &mut choice, &mut writer)?;
    }
    let identity = Identity::find(config.cluster.as_deref());
    let edge = |ns: i64, open: i64| (ns != open).then(|| Rfc3339(ns).to_string());
    let missing = held.missing.iter().map(|part| MissingPart {
        from: Rfc3339(part.from).to_string(),
        to: Rfc3339(part.to).to_string(),
        why: part.why.to_string(),
    });
    let mut about = About {
        version: 1,
        name: asked.name.to_owned(),
        created_at: Rfc3339(scan::now()).to_string(),
        since: edge(since, i64::MIN),
        until: edge(until, i64::MAX),
        bpf: asked.bpf.to_owned(),
        workloads: asked.workloads.clone(),
        cluster: identity.cluster,
        nodes: held.nodes.clone(),
        missing: missing.collect(),
        lost: held.lost,
        undecided_fragments: choice.undecided(),
        ..About::default()
    };
    writer.finish(&mut about)?;
    if about.packets == 0 {
        say_missing(&about);
        tracing::warn!("no frame of the raw ring is asked for, and nothing was written");
        return Ok(None);
    }
    Ok(Some(about))
}

fn read(held: &Held, choice: &mut Choice, writer: &mut Writer) -> anyhow::Result<()> {
    let inputs = held.segments.iter().cloned().map(Input::File).collect();
    let mut source = open_files(inputs)?;
    loop {
        let mut known = source.interfaces().len();
        match source.next() {
            Ok(Event::Frame(frame)) => {
                choice.see(&frame, &mut |frame| writer.frame(frame))?;
            }
            Ok(Event::Tick(_)) => {}
            Ok(Event::End) => return Ok(()),
            // the newest segment grows while it is read
            Err(error) if !error.is_fatal() => tracing::debug!("{error}"),
            Err(error) => return Err(error.into()),
        }
        while let Some(interface) = source.interfaces().get(known) {
            writer.interfaces.push(interface.clone());
            known += 1;
        }
    }
}

/// Writes a file of pcapng in large blocks.
struct Writer {
    path: PathBuf,
    file: std::fs::File,
    pending: Vec<u8>,
    /// Of the source, by their numbers.
    interfaces: Vec<Interface>,
    /// Their numbers in the file, where they have frames there.
    written: HashMap<Interface, u32>,
    numbers: Vec<Option<u32>>,
    packets: u64,
    first: i64,
    last: i64,
}

impl Writer {
    fn create(path: &Path, name: &str) -> anyhow::Result<Writer> {
        let file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .with_context(|| format!("{} cannot be written", path.display()))?;
        let mut pending = Vec::with_capacity(BLOCK + (256 << 10));
        section_block(
            &mut pending,
            &SectionBlock {
                application: Some(concat!("gillnet ", env!("CARGO_PKG_VERSION"))),
                comment: Some(&format!("gillnet snapshot {name}")),
                ..SectionBlock::default()
            },
        );
        Ok(Writer {
            path: path.to_owned(),
            file,
            pending,
            interfaces: Vec::new(),
            written: HashMap::new(),
            numbers: Vec::new(),
            packets: 0,
            first: i64::MAX,
            last: i64::MIN,
        })
    }

    fn frame(&mut self, frame: &gillnet_capture::Frame<'_>) -> anyhow::Result<()> {
        let iface = self.interface(frame);
        packet_block(
            &mut self.pending,
            &PacketBlock {
                iface,
                ts: frame.ts,
                wire_len: frame.wire_len,
                direction: frame.direction,
                data: frame.data,
                comment: None,
                custom: &[],
            },
        );
        self.packets += 1;
        self.first = self.first.min(frame.ts);
        self.last = self.last.max(frame.ts);
        if self.pending.len() >= BLOCK {
            self.spill()?;
        }
        Ok(())
    }

    /// The number of a frame's interface in the file; segments say each again.
    fn interface(&mut self, frame: &gillnet_capture::Frame<'_>) -> u32 {
        let at = frame.iface as usize;
        if let Some(Some(number)) = self.numbers.get(at) {
            return *number;
        }
        let unknown = Interface {
            name: String::new(),
            link: frame.link,
            description: String::new(),
            snaplen: 0,
        };
        let interface = self.interfaces.get(at).cloned().unwrap_or(unknown);
        let fresh = u32::try_from(self.written.len()).unwrap_or(u32::MAX);
        let number = match self.written.get(&interface) {
            Some(number) => *number,
            None => {
                interface_block(&mut self.pending, &interface);
                self.written.insert(interface, fresh);
                fresh
            }
        };
        if self.numbers.len() <= at {
            self.numbers.resize(at + 1, None);
        }
        if let Some(place) = self.numbers.get_mut(at) {
            *place = Some(number);
        }
        number
    }

    fn spill(&mut self) -> anyhow::Result<()> {
        self.file
            .write_all(&self.pending)
            .with_context(|| format!("{} cannot be written", self.path.display()))?;
        self.pending.clear();
        Ok(())
    }

    /// Puts all on the disk, and says what it is.
    fn finish(mut self, about: &mut About) -> anyhow::Result<()> {
        self.spill()?;
        self.file.sync_all()?;
        about.packets = self.packets;
        if self.packets > 0 {
            about.first = Rfc3339(self.first).to_string();
            about.last = Rfc3339(self.last).to_string();
        }
        (about.size, about.sha256) = keep::sum(&self.path)?;
        Ok(())
    }
}

/// Says what a snapshot is, and what is missing from it.
fn say(about: &About, place: &str) {
    tracing::info!(
        "{} packets ({} bytes), {} to {}, are in {place}",
        about.packets,
        about.size,
        about.first,
        about.last
    );
    say_missing(about);
}

fn say_missing(about: &About) {
    for part in &about.missing {
        tracing::warn!("missing: {} to {}: {}", part.from, part.to, part.why);
    }
    let lost = &about.lost;
    if !lost.is_nothing() {
        tracing::warn!(
            "missing in the segments of this window: {} frames dropped by the kernel, {} by a full queue, {} by the disk; {} bytes of torn ends",
            lost.kernel,
            lost.queue,
            lost.disk,
            lost.cut_bytes
        );
    }
    if about.undecided_fragments > 0 {
        tracing::warn!(
            "missing: {} fragments of datagrams that are not whole: nothing says whose they are",
            about.undecided_fragments
        );
    }
}
