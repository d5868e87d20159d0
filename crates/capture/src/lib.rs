//! Sources of frames and the byte store they are kept in.
//!
//! A [`Source`] yields [`Frame`]s: from capture files ([`open_files`]) or from the kernel
//! ([`open_live`]). Everything downstream names bytes by 64-bit positions in a [`Store`]: of a
//! mapped capture file nothing is copied, of any other source the caller appends what it wants to
//! its [`Ring`].
//!
//! This is the only crate with `unsafe` code; each module that needs it says so at its head.

mod error;
mod filter;
mod formats;
mod frame;
mod guard;
mod mem;
mod own;
mod sources;
mod store;
pub mod turns;
mod view;
pub mod write;

pub use error::Error;
pub use filter::{FrameFilter, check_filter};
pub use frame::{Event, Frame, Interface, LinkType, NO_POS, PacketDirection, Source, SourceStats};
pub use mem::{no_huge_pages, prefetch};
pub use own::{OwnSockets, is_of_this_host};
pub use sources::expand::{ArchiveMember, Input, expand};
pub use sources::live::{LiveConfig, LiveSource, open_live};
pub use sources::{open_files, open_merged};
pub use store::{Ahead, FrameHeader, Lend, Lent, MAX_FRAME, Ring, Store, StoredFrame};
pub use view::FileView;

/// Result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
