//! The entry: one dissected exchange, its values and the table of its fields.
//!
//! A record has one table of fields, written with [`fields!`]: name in JSON and KFL1, name in KFL2, type, stage,
//! meaning, and how it is read. KFL variables, JSON, completion and reference pages are each one loop over that
//! table; nothing lists the fields a second time.

mod bytes;
mod common;
mod digits;
pub mod drops;
mod entry;
mod field;
pub mod json;
mod protocol;
pub mod time;
mod value;

pub use bumpalo::Bump;
pub use bytes::{Bytes, Ctx, Nothing, Part, Span};
pub use common::{
    COMMON, Common, End, Fault, FaultKind, Mechanism, Name, Origin, Transport, Workload,
};
pub use entry::{Detacher, Entry, OwnedEntry};
pub use field::{Field, Kind, Record, Row, Schema, Shown, ShownBy, Stage, show_value};
pub use protocol::ProtocolInfo;
pub use value::Value;
