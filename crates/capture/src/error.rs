//! Everything that can go wrong with a source or a ring, each with the thing, the place and the mend.

use std::{io, path::PathBuf, sync::Arc};

/// A fault of a source, a ring or a filter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder can't be opened or looked at.
    #[error("{file}: {source}")]
    Open {
        /// The file as it was given.
        file: Arc<str>,
        /// What the system said.
        source: io::Error,
    },
    /// Reading or unpacking failed inside a file.
    #[error("{file}: reading stopped at byte {offset}: {source}")]
    Read {
        /// The file.
        file: Arc<str>,
        /// Bytes of (unpacked) capture read before.
        offset: u64,
        /// What the system or the decompressor said.
        source: io::Error,
    },
    /// The first bytes are of no format that is known here.
    #[error(
        "{file}: not a capture file: it begins with {begins}; pcap and pcapng are read, plain or packed with gzip or zstd, also inside tar"
    )]
    Magic {
        /// The file.
        file: Arc<str>,
        /// The first bytes, in hexadecimal.
        begins: String,
    },
    /// A version of pcap or pcapng that is not known here.
    #[error("{file}: {format} version {major}.{minor} at byte {offset} is not known")]
    Version {
        /// The file.
        file: Arc<str>,
        /// `pcap` or `pcapng`.
        format: &'static str,
        /// Where in the file.
        offset: u64,
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// The file ends inside a record or block. The frames before it were delivered.
    #[error("{file}: cut short: the {what} at byte {offset} needs {wanted} bytes, {had} are there")]
    Truncated {
        /// The file.
        file: Arc<str>,
        /// Where the record begins.
        offset: u64,
        /// What is cut.
        what: &'static str,
        /// Bytes it needs.
        wanted: u64,
        /// Bytes that are there.
        had: u64,
    },
    /// A length that can't be right; what follows in this file can't be found and is left out.
    #[error(
        "{file}: the {what} at byte {offset} claims {length} bytes ({why}); the rest of this file is left out"
    )]
    Length {
        /// The file.
        file: Arc<str>,
        /// Where the record begins.
        offset: u64,
        /// What is wrong.
        what: &'static str,
        /// The length it claims.
        length: u64,
        /// Why it can't be.
        why: &'static str,
    },
    /// A block that can't be used although its length is right; it is passed over.
    #[error("{file}: the {what} at byte {offset} is not usable: {why}")]
    Block {
        /// The file.
        file: Arc<str>,
        /// Where the block begins.
        offset: u64,
        /// Which kind of block.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A link type that is not known here; said once an interface, its frames are delivered.
    #[error(
        "{file}: frames of interface {iface} have link type {number}, which is not known; they are counted, not dissected"
    )]
    LinkType {
        /// The file or interface.
        file: Arc<str>,
        /// The interface's number in the source.
        iface: u32,
        /// LINKTYPE number, or ARPHRD number for a live interface.
        number: u32,
    },
    /// More interfaces than a source may have.
    #[error("{file}: more than {limit} interfaces; the rest of this file is left out")]
    TooManyInterfaces {
        /// The file.
        file: Arc<str>,
        /// The limit.
        limit: u32,
    },
    /// More captures overlap in time than are read at the same time.
    #[error(
        "{file}: it begins while {limit} other captures are read, which is the most at the same time: it and what follows are begun when one of these ends, and their packets come late; join some of them first (mergecap)"
    )]
    TooManyAtOnce {
        /// The file.
        file: Arc<str>,
        /// The limit.
        limit: usize,
    },
    /// A mapped file became shorter while it was read.
    #[error("{file}: the file became shorter while it was read; the rest of it is left out")]
    Shrank {
        /// The file.
        file: Arc<str>,
    },
    /// A pattern, folder or archive holds no capture.
    #[error("{what}: no capture file there")]
    NothingThere {
        /// What was asked for.
        what: String,
    },
    /// A glob pattern that is not one.
    #[error("{pattern}: {why} at character {position} of the pattern")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Character, from 1.
        position: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// The ring's file can't be had at its full size.
    #[error("{path}: no room for a ring of {mib} MiB there ({source}); free space, give another dataDir, or make capture.ring.size smaller", mib = bytes >> 20)]
    RingSpace {
        /// The folder it was to be in.
        path: PathBuf,
        /// Bytes wanted.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// The ring's file can't be made or mapped.
    #[error("{path}: the ring can't be {what} there: {source}")]
    RingFile {
        /// The folder it was to be in.
        path: PathBuf,
        /// What failed.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Capturing is not allowed.
    #[error(
        "capturing on {interface} is not allowed: run as root, or give the binary CAP_NET_RAW (setcap cap_net_raw,cap_net_admin+ep, or the container's securityContext.capabilities.add)"
    )]
    NotAllowed {
        /// The interface asked for.
        interface: String,
    },
    /// There is no such interface.
    #[error("there is no interface {interface}; there are: {known}")]
    NoInterface {
        /// The interface asked for.
        interface: String,
        /// Those there are, separated by a comma and a space.
        known: String,
    },
    /// An interface went down or away; capture goes on when it is back.
    #[error("interface {interface} went {how}; capture on it goes on when it is back")]
    InterfaceGone {
        /// The interface.
        interface: String,
        /// `down` or `away`.
        how: &'static str,
    },
    /// The kernel refused the memory of its ring.
    #[error("the kernel refused {mib} MiB of ring for {interface} ({source}); ask for less, {less} MiB say (capture.ring.size)", mib = bytes >> 20, less = (bytes >> 21).max(1))]
    RingMemory {
        /// The interface.
        interface: String,
        /// Bytes asked for.
        bytes: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A network namespace can't be entered.
    #[error("{path}: this network namespace can't be entered: {source}")]
    Namespace {
        /// The namespace's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A system call of live capture failed.
    #[error("capturing on {interface}: {what} failed: {source}")]
    Live {
        /// The interface.
        interface: String,
        /// What failed.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A packet filter that can't be compiled.
    #[error("filter: {why}\n{}", excerpt(expression, *position))]
    Filter {
        /// The expression.
        expression: String,
        /// Where it is wrong, in characters from 0.
        position: usize,
        /// What is wrong.
        why: String,
    },
}

/// The part of an expression that a place is in, and a caret under the place.
fn excerpt(expression: &str, position: usize) -> String {
    const BEFORE: usize = 60;
    const SHOWN: usize = 100;
    let from = position.saturating_sub(BEFORE);
    let part: String = expression.chars().skip(from).take(SHOWN).collect();
    let cut = if from > 0 { "…" } else { "" };
    let indent = position - from + cut.chars().count();
    format!("  {cut}{part}\n  {:indent$}^", "")
}

impl Error {
    /// Whether the source is at its end with this error. After any other the next call of
    /// [`crate::Source::next`] goes on with what follows.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Open { .. }
            | Self::Read { .. }
            | Self::Magic { .. }
            | Self::Version { .. }
            | Self::Truncated { .. }
            | Self::Length { .. }
            | Self::Block { .. }
            | Self::LinkType { .. }
            | Self::TooManyInterfaces { .. }
            | Self::TooManyAtOnce { .. }
            | Self::Shrank { .. }
            | Self::InterfaceGone { .. } => false,
            Self::NothingThere { .. }
            | Self::Pattern { .. }
            | Self::RingSpace { .. }
            | Self::RingFile { .. }
            | Self::NotAllowed { .. }
            | Self::NoInterface { .. }
            | Self::RingMemory { .. }
            | Self::Namespace { .. }
            | Self::Live { .. }
            | Self::Filter { .. } => true,
        }
    }
}
