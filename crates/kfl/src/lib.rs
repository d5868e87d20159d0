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
mod filter;
mod kfl1;
mod kfl2;
mod lang;
mod lexer;
mod macros;
mod predicate;
mod redact;
mod stages;
mod suggest;
mod types;

pub use ast::Span;
pub use check::{Env, MAX_PROTOCOLS};
pub use complete::{Class, Completion, Item, ItemKind, Mark, Validation, complete, validate};
pub use error::{Error, ErrorKind, Errors};
pub use filter::{Filter, Narrowed, Outcome};
pub use lang::{Lang, Options, compile};
pub use predicate::{FlowEnd, MAX_STEPS, Reading, Reason};
pub use stages::{FlowView, ProtocolSet, Tri};
