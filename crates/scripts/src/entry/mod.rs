//! Entries as scripts see them: objects whose fields are made when they are read.

mod names;
mod object;
mod plain;
#[cfg(test)]
mod tests;
mod tree;
mod value;

pub(crate) use object::{Shapes, entry_object, go_object, with_entry};
pub(crate) use plain::from_json;
