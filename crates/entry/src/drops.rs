//! Names of what is dropped or cut, one list for counters, metrics, API and dashboard.

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal),+ $(,)?) => {
        /// Why something was dropped, cut or passed over.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $($(#[doc = $doc])+ $name),+ }

        impl Reason {
            /// All of them, in order.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),+];

            /// The label in metrics and API.
            pub const fn name(self) -> &'static str {
                match self { $(Reason::$name => $text),+ }
            }

            /// Whether something that was wanted is missing because of it.
            pub const fn is_loss(self) -> bool {
                !matches!(
                    self,
                    Reason::NotIp
                        | Reason::Transport
                        | Reason::Duplicate
                        | Reason::Own
                        | Reason::Unwanted
                        | Reason::Retransmission
                        | Reason::Unidentified
                )
            }

            /// What it means.
            pub const fn doc(self) -> &'static str {
                match self { $(Reason::$name => concat!($($doc, " "),+)),+ }
            }
        }
    };
}

reasons! {
    /// Frames that the kernel dropped because its ring was full.
    Kernel = "kernel",
    /// Frames of a link type that is not known.
    LinkType = "link-type",
    /// Frames that are cut short or whose headers contradict themselves.
    Malformed = "malformed",
    /// Frames of something else than IP.
    NotIp = "not-ip",
    /// Packets of a transport that is not followed (ICMP, SCTP, …).
    Transport = "transport",
    /// Tunnels nested deeper than the limit.
    Nesting = "nesting",
    /// Fragments whose other parts never came, overlap, or were past the limit.
    Fragment = "fragment",
    /// The same packet seen again on another interface, or leaving and entering loopback.
    Duplicate = "duplicate",
    /// Gillnet's own traffic.
    Own = "own",
    /// Frames of flows that nobody wants.
    Unwanted = "unwanted",
    /// Flows put out of the full flow table before their time.
    FlowTable = "flow-table",
    /// Segments held for reordering, given up at the limit of bytes a flow or in all.
    Reorder = "reorder-limit",
    /// Bytes that never came: the stream goes on behind them.
    Gap = "gap",
    /// TCP bytes that were there already: retransmissions and keep-alives.
    Retransmission = "retransmission",
    /// Bytes that the ring overwrote before they were read.
    Overwritten = "overwritten",
    /// Streams of no known protocol.
    Unidentified = "unidentified",
    /// Streams whose dissector lost the thread.
    Lost = "lost",
    /// Messages whose head is longer than the limit.
    HeadLimit = "head-limit",
    /// Bodies cut at the limit.
    BodyLimit = "body-limit",
    /// Requests that waited for an answer past the limit of their number.
    PendingLimit = "pending-limit",
    /// Entries that found the live view's queue full.
    LiveQueue = "live-queue",
    /// Frames that found the recorder's queue full.
    RecorderQueue = "recorder-queue",
    /// Frames that found the queue of raw capture full.
    RawQueue = "raw-queue",
    /// Frames that the disk of raw capture did not take.
    RawDisk = "raw-disk",
    /// Packets of a recorded stream that had left the ring before it matched.
    TruncatedBefore = "truncated-before",
    /// Sealed objects given up because the spool was full.
    SpoolLimit = "spool-limit",
    /// Timestamps that jumped back or far ahead.
    ClockJump = "clock-jump",
}

/// A counter for each [`Reason`]: plain numbers, owned by one shard.
#[derive(Clone, Debug)]
pub struct Drops([u64; Reason::ALL.len()]);

impl Default for Drops {
    fn default() -> Self {
        Drops([0; Reason::ALL.len()])
    }
}

impl Drops {
    /// Counts `n` more.
    #[inline]
    pub fn add(&mut self, reason: Reason, n: u64) {
        self.0[reason as usize] += n;
    }

    /// Sets a count that another counter keeps.
    pub fn set(&mut self, reason: Reason, n: u64) {
        self.0[reason as usize] = n;
    }

    /// How many so far.
    pub fn get(&self, reason: Reason) -> u64 {
        self.0[reason as usize]
    }

    /// Each reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.iter().map(|r| (*r, self.get(*r)))
    }

    /// Adds the counts of another shard.
    pub fn merge(&mut self, other: &Drops) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine += theirs;
        }
    }
}
