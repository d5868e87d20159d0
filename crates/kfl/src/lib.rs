//! KFL: one language in two spellings, `http and response.status == 500` (KFL1) and `http && status_code == 500`
//! (KFL2, which is CEL).
//!
//! A text goes through one lexer, the parser of its spelling, one tree with places, and the check against the field
//! tables, and becomes one compiled predicate. That is evaluated on entries without allocating, and before there are
//! entries on flows: what a flow cannot match need not be reassembled.

mod ast;
mod check;
mod complete;
mod cursor;
mod error;
mod explain;
mod filter;
mod format;
mod gate;
mod kfl1;
mod kfl2;
mod lang;
mod lexer;
mod macros;
mod necessary;
mod packets;
mod predicate;
mod recordings;
mod redact;
mod reference;
mod refine;
pub mod rows;
pub mod sql;
mod stages;
mod suggest;
mod types;

pub use ast::Span;
pub use check::{Env, MAX_PROTOCOLS};
pub use complete::{
    Class, Completion, Item, ItemKind, Mark, Validation, Values, complete, validate,
};
pub use error::{Error, ErrorKind, Errors};
pub use explain::{Explanation, Part, explain};
pub use filter::{Filter, Narrowed, Outcome};
pub use format::format;
pub use lang::{Lang, Options, compile};
pub use macros::is_macro_name;
pub use packets::Packets;
pub use predicate::{FlowEnd, MAX_STEPS, Part as NamePart, Reading, Reason, Side};
pub use recordings::Recordings;
pub use reference::{Function, Word, functions, reference, words};
pub use refine::{Seen, refine};
pub use stages::{FlowView, ProtocolSet, Tri};
pub use suggest::nearest;
