//! The hooks that a script may define.

/// A hook: a global function that is called when something happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Hook {
    /// `onPacketCaptured(info)`: a packet came in.
    PacketCaptured,
    /// `onItemCaptured(data)`: an entry was captured.
    ItemCaptured,
    /// `onItemQueried(data, filter)`: an entry is shown; what is returned is shown instead.
    ItemQueried,
    /// `onJobPassed(tag, cron, limit)`: a job of any script passed.
    JobPassed,
    /// `onJobFailed(tag, cron, limit, err)`: a job of any script failed.
    JobFailed,
    /// `onHubAction(action, object)`: a script called `hub.action`.
    HubAction,
    /// `onPodEvent(event, pod)`: a pod was added, changed or deleted.
    PodEvent,
    /// `onLogCall(level, msg)`: Gillnet itself logged.
    LogCall,
}

impl Hook {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// All of them.
    pub const ALL: [Hook; Hook::COUNT] = [
        Hook::PacketCaptured,
        Hook::ItemCaptured,
        Hook::ItemQueried,
        Hook::JobPassed,
        Hook::JobFailed,
        Hook::HubAction,
        Hook::PodEvent,
        Hook::LogCall,
    ];

    /// The function's name.
    pub const fn name(self) -> &'static str {
        match self {
            Hook::PacketCaptured => "onPacketCaptured",
            Hook::ItemCaptured => "onItemCaptured",
            Hook::ItemQueried => "onItemQueried",
            Hook::JobPassed => "onJobPassed",
            Hook::JobFailed => "onJobFailed",
            Hook::HubAction => "onHubAction",
            Hook::PodEvent => "onPodEvent",
            Hook::LogCall => "onLogCall",
        }
    }
}

/// A set of hooks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookSet(u16);

impl HookSet {
    pub(crate) const fn from_bits(bits: u16) -> HookSet {
        HookSet(bits)
    }

    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    /// With one more.
    #[must_use]
    pub const fn with(self, hook: Hook) -> HookSet {
        HookSet(self.0 | 1 << hook as u16)
    }

    /// Whether one is in it.
    #[inline]
    pub const fn has(self, hook: Hook) -> bool {
        self.0 & 1 << hook as u16 != 0
    }

    /// Those in it.
    pub fn iter(self) -> impl Iterator<Item = Hook> {
        Hook::ALL.into_iter().filter(move |hook| self.has(*hook))
    }
}
