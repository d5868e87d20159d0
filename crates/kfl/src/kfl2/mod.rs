//! KFL2, the spelling of signs: CEL with the variables of the field tables.

mod functions;
mod lower;
mod parse;

pub(crate) use functions::{FUNCTIONS, Function, MACROS};
pub(crate) use lower::{arithmetic, called, lower, not_if, operand, record_is};
pub(crate) use parse::{is_reserved, parse};
