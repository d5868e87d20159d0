//! The compiled filter, as everyone else uses it.

use crate::ast::Span;
use crate::check::Env;
use crate::error::Error;
use crate::lang::{Lang, Lowered};
use crate::predicate::{EntryFacts, Node, Reading, Reason, test};
use crate::redact::{self, Redaction};
use crate::stages::{self, FlowView, ProtocolSet, Tri};
use gillnet_entry::Entry;
use std::sync::Arc;

/// What a filter says of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It matches.
    True,
    /// It does not match.
    False,
    /// There is no answer, for this reason; the entry does not match.
    Error(Reason),
}

/// A compiled filter. Cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Filter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    text: String,
    lang: Lang,
    root: Node,
    protocols: ProtocolSet,
    needs_bodies: bool,
    limit: Option<u64>,
    redactions: Vec<Vec<Redaction>>,
    warnings: Vec<Error>,
}

impl Filter {
    pub(crate) fn new(env: &Env, text: &str, lang: Lang, lowered: Lowered) -> Filter {
        Filter(Arc::new(Inner {
            text: text.into(),
            lang,
            protocols: stages::protocols(&lowered.root, env),
            needs_bodies: stages::needs_bodies(&lowered.root, env),
            root: lowered.root,
            limit: lowered.limit,
            redactions: lowered.redactions,
            warnings: lowered
                .warnings
                .into_iter()
                .map(|w| w.place(text))
                .collect(),
        }))
    }

    /// Whether an entry matches. Allocates only in the entry's scratch space.
    #[inline]
    pub fn matches(&self, entry: &Entry<'_>) -> bool {
        test(&self.0.root, &EntryFacts::new(entry), None) == Ok(true)
    }

    /// What it asks of entries of one protocol, by its index in the registry.
    pub fn narrowed(&self, protocol: u8) -> Narrowed {
        let bit = 1u64.checked_shl(u32::from(protocol)).unwrap_or(0);
        Narrowed(Arc::new(self.0.root.narrowed(bit)))
    }

    /// Whether an entry matches, and if there is no answer, why.
    pub fn eval(&self, entry: &Entry<'_>) -> Outcome {
        match test(&self.0.root, &EntryFacts::new(entry), None) {
            Ok(true) => Outcome::True,
            // a field that is missing at the end of KFL1 is a plain no
            Ok(false) | Err(Reason::Missing) => Outcome::False,
            Err(reason) => Outcome::Error(reason),
        }
    }

    /// Whether entries of a flow can match, before there are any. Either end may turn out to be the requester, so `No`
    /// means in neither direction and `Yes` in both.
    pub fn flow(&self, flow: &FlowView<'_>) -> Tri {
        stages::flow(&self.0.root, flow)
    }

    /// The protocols of which entries can match at all.
    pub fn protocols(&self) -> ProtocolSet {
        self.0.protocols
    }

    /// Whether bodies must be kept to decide it.
    pub fn needs_bodies(&self) -> bool {
        self.0.needs_bodies
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// The spelling it was read in; never [`Lang::Auto`].
    pub fn lang(&self) -> Lang {
        self.0.lang
    }

    /// How many results are wanted at most: the first `limit()` of the text.
    pub fn limit(&self) -> Option<u64> {
        self.0.limit
    }

    /// Whether it hides values: whoever shows a matching entry then uses [`Filter::write_json`] and nothing else of it.
    pub fn redacts(&self) -> bool {
        !self.0.redactions.is_empty()
    }

    /// Appends an entry as one JSON object, without the values that `redact()` hides on the way the filter takes.
    pub fn write_json(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let facts = EntryFacts::new(entry);
        // only what it reaches counts, not what it says
        let _ = test(&self.0.root, &facts, None);
        let redactions = self
            .0
            .redactions
            .iter()
            .enumerate()
            .filter(|(id, _)| facts.redacted(*id));
        let redactions: Vec<&Redaction> = redactions.flat_map(|(_, paths)| paths).collect();
        redact::write_entry(entry, &redactions, out);
    }

    /// What is valid but probably not meant.
    pub fn warnings(&self) -> &[Error] {
        &self.0.warnings
    }
}

/// What a filter asks of entries of one protocol. Cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Narrowed(Arc<Node>);

impl Narrowed {
    /// Whether an entry of the protocol matches. Allocates only in the entry's scratch space.
    #[inline]
    pub fn matches(&self, entry: &Entry<'_>) -> bool {
        test(&self.0, &EntryFacts::new(entry), None) == Ok(true)
    }

    /// A number that filters share which differ in constants alone, as those of many tenants do. One after the other they
    /// take less time than among others: the processor has learnt the way.
    pub fn shape(&self) -> u64 {
        self.0.shape()
    }

    /// As [`Narrowed::matches`], for one of many filters on the entry.
    #[inline]
    pub fn matches_in<'v>(&'v self, reading: &Reading<'v>) -> bool {
        test(&self.0, reading.anew(), None) == Ok(true)
    }
}

/// A range of the text, as byte offsets (start, end).
impl From<Span> for std::ops::Range<usize> {
    fn from(span: Span) -> Self {
        span.start as usize..span.end as usize
    }
}
