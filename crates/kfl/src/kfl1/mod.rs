//! KFL1, the spelling of words: `http and response.status == 500`.

mod lower;
mod parse;

pub(crate) use lower::{HELPERS, lower, operand};
pub(crate) use parse::parse;
