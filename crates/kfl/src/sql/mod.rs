//! A filter as SQL, for engines that read an index.
//!
//! [`translate`] gives an expression that is true for exactly the rows that the filter matches; where a part of the filter
//! can't be said in SQL, it names the part and why, and the expression is true for all rows that may match. [`Dialect`]
//! writes it as an engine reads it.

mod dialect;
mod expr;
mod lower;
mod pattern;
mod says;
mod value;

pub use dialect::Dialect;
pub use expr::{Comparison, Expr, Part, Sum, Type};
pub use value::type_of;

use crate::ast::{Expr as Tree, Kind, Span};
use crate::check::Env;
use crate::error::{Error, ErrorKind, Fault};
use crate::filter::Filter;
use crate::lang::{Lang, Options, compile};
use crate::necessary::{Condition, necessary};
use crate::recordings::Recordings;
use crate::rows::Column;
use crate::{kfl1, kfl2};
use lower::Lowering;
use std::cell::Cell;

/// The table that an index is to an engine.
pub trait Table {
    /// What a column holds, null where the entry has no such field; `None` where the index does not have it.
    fn column(&self, column: Column) -> Option<Expr>;
    /// Whether a row is of one of these protocols, by their places in the registry.
    fn protocols(&self, of: &[u8]) -> Expr;
    /// Whether a row is of this protocol and has a flag of it.
    fn flag(&self, protocol: u8, name: &str) -> Expr;
    /// Whether a row is that of an entry in this recording; an entry has a row in each recording that it is in.
    fn recording(&self, name: &str) -> Expr;
}

/// A filter as SQL.
#[derive(Clone, Debug)]
pub struct Translation {
    /// What holds for the rows that match; where something is refused, also for others.
    pub condition: Expr,
    /// What SQL can't say, with its place in the filter.
    pub refused: Vec<Error>,
}

/// Why something can't be said.
pub(crate) struct Refused(String);

impl From<&str> for Refused {
    fn from(why: &str) -> Refused {
        Refused(why.to_owned())
    }
}

impl From<String> for Refused {
    fn from(why: String) -> Refused {
        Refused(why)
    }
}

/// A condition that is necessary: what can't be said is left out.
struct Superset(Expr);

impl Condition for Superset {
    const EVERY: Superset = Superset(Expr::Bool(true));
    const NO: Superset = Superset(Expr::Bool(false));

    fn both(self, other: Superset) -> Superset {
        Superset(Expr::all([self.0, other.0]))
    }

    fn either(self, other: Superset) -> Superset {
        Superset(Expr::any([self.0, other.0]))
    }
}

/// Translates a filter that was compiled in `env` with `options`.
#[must_use]
pub fn translate(env: &Env, options: &Options, filter: &Filter, table: &dyn Table) -> Translation {
    let (mut conditions, mut refused) = (Vec::new(), Vec::new());
    let recording = match filter.recordings() {
        Recordings::One(name) => Some(name),
        Recordings::Any | Recordings::Several => None,
    };
    let mut part = Some(filter);
    while let Some(filter) = part {
        let lowering = Lowering {
            env,
            lang: filter.lang(),
            table,
            recording,
            levels: Cell::new(0),
        };
        conditions.push(match lowering.where_(filter.root()) {
            Ok(condition) => condition,
            Err(Refused(why)) => {
                refused.push(placed(&lowering, options, filter, why));
                let leaf = |node: &_| Superset(lowering.where_(node).unwrap_or(Expr::Bool(true)));
                necessary(filter.root(), &leaf).0
            }
        });
        part = filter.outer();
    }
    Translation {
        condition: Expr::all(conditions),
        refused,
    }
}

/// What of a filter is refused: the smallest part that is refused by itself too. (A compiled filter knows no places.)
fn placed(lowering: &Lowering<'_>, options: &Options, filter: &Filter, why: String) -> Error {
    let text = filter.text();
    let options = Options {
        lang: filter.lang(),
        ..*options
    };
    let refusal = |span: Span| {
        let part = text.get(std::ops::Range::from(span))?;
        let filter = compile(lowering.env, part, &options).ok()?;
        lowering.where_(filter.root()).err()
    };
    let parsed = match filter.lang() {
        Lang::Kfl1 => kfl1::parse(text),
        _ => kfl2::parse(text),
    };
    let mut found = (Span::default(), Refused(why));
    if let Ok(Some(tree)) = parsed {
        found.0 = tree.span;
        let mut at = &tree;
        while let Some((part, why)) = below(at)
            .into_iter()
            .find_map(|part| Some((part, refusal(part.span)?)))
        {
            found = (part.span, why);
            at = part;
        }
    }
    let (span, Refused(why)) = found;
    Fault::new(ErrorKind::Value, span, format!("SQL can't say this: {why}")).place(text)
}

/// The parts of an expression that are tests by themselves, perhaps.
fn below(tree: &Tree) -> Vec<&Tree> {
    match &tree.kind {
        Kind::Not(inner) | Kind::Group(inner) => vec![inner],
        Kind::Chain(terms, _) => terms.iter().collect(),
        Kind::If(abc) => vec![&abc.0, &abc.1, &abc.2],
        _ => Vec::new(),
    }
}
