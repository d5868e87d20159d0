//! worker
use crate::cli::{Shared, WorkerArgs};
use crate::exit::Done;
/// Runs the command.
pub fn run(_: &Shared, _: &WorkerArgs) -> anyhow::Result<Done> { Ok(Done::Ok) }
