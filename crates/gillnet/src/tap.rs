//! tap
use crate::cli::{Shared, TapArgs};
use crate::exit::Done;
/// Runs the command.
pub fn run(_: &Shared, _: &TapArgs) -> anyhow::Result<Done> { Ok(Done::Ok) }
