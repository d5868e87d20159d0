//! The compiled filter, as everyone else uses it.

use crate::ast::Span;
use crate::check::Env;
use crate::error::Error;
use crate::gate::Gate;
use crate::lang::{Lang, Lowered};
use crate::packets::Packets;
use crate::predicate::{EntryFacts, Facts, Node, Reading, Reason, test};
use crate::recordings::{self, Recordings};
use crate::redact::{self, Redaction};
use crate::stages::{self, FlowView, ProtocolSet, Tri};
use gillnet_entry::Entry;
use std::hash::{DefaultHasher, Hash, Hasher};
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
pub struct Filter {
    own: Arc<Inner>,
    /// What an entry must match first.
    outer: Option<Arc<Filter>>,
}

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
        let own = Inner {
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
        };
        Filter {
            own: Arc::new(own),
            outer: None,
        }
    }

    /// This filter inside another one: an entry must match both, the other one is asked first, and what either hides is
    /// hidden. Text, spelling and warnings stay this one's.
    #[must_use]
    pub fn within(self, outer: &Filter) -> Filter {
        let outer = match self.outer {
            Some(between) => Filter::clone(&between).within(outer),
            None => outer.clone(),
        };
        Filter {
            own: self.own,
            outer: Some(Arc::new(outer)),
        }
    }

    /// The filter that this one is inside.
    pub fn outer(&self) -> Option<&Filter> {
        self.outer.as_deref()
    }

    /// The compiled tree of its own text.
    pub(crate) fn root(&self) -> &Node {
        &self.own.root
    }

    /// Whether an entry matches. Allocates only in the entry's scratch space.
    #[inline]
    pub fn matches(&self, entry: &Entry<'_>) -> bool {
        if let Some(outer) = &self.outer
            && !outer.matches(entry)
        {
            return false;
        }
        test(&self.own.root, &EntryFacts::new(entry), None) == Ok(true)
    }

    /// What it asks of entries of one protocol, by its index in the registry.
    pub fn narrowed(&self, protocol: u8) -> Narrowed {
        let bit = 1u64.checked_shl(u32::from(protocol)).unwrap_or(0);
        let own = self.own.root.narrowed(bit);
        Narrowed {
            gate: Gate::of(&own, protocol),
            own: Arc::new(own),
            outer: self.outer().map(|outer| Box::new(outer.narrowed(protocol))),
        }
    }

    /// Whether an entry matches, and if there is no answer, why.
    pub fn eval(&self, entry: &Entry<'_>) -> Outcome {
        let outer = self.outer.as_ref().map(|outer| outer.eval(entry));
        if let Some(outcome @ (Outcome::False | Outcome::Error(_))) = outer {
            return outcome;
        }
        match test(&self.own.root, &EntryFacts::new(entry), None) {
            Ok(true) => Outcome::True,
            // a field that is missing at the end of KFL1 is a plain no
            Ok(false) | Err(Reason::Missing) => Outcome::False,
            Err(reason) => Outcome::Error(reason),
        }
    }

    /// Whether entries of a flow can match, before there are any. Either end may turn out to be the requester, so `No`
    /// means in neither direction and `Yes` in both.
    pub fn flow(&self, flow: &FlowView<'_>) -> Tri {
        let own = stages::flow(&self.own.root, flow);
        match (own, self.outer.as_ref().map(|outer| outer.flow(flow))) {
            (own, None | Some(Tri::Yes)) => own,
            (Tri::No, _) | (_, Some(Tri::No)) => Tri::No,
            (_, Some(Tri::Unknown)) => Tri::Unknown,
        }
    }

    /// Whether it speaks of addresses, ports or names of a flow's ends.
    pub fn asks_for_ends(&self) -> bool {
        let outer = self
            .outer
            .as_ref()
            .is_some_and(|outer| outer.asks_for_ends());
        outer || stages::asks_for_ends(&self.own.root)
    }

    /// What packets of flows with matching entries are like.
    pub fn packets(&self) -> Packets {
        let own = Packets::of(&self.own.root);
        match &self.outer {
            Some(outer) => own.and(outer.packets()),
            None => own,
        }
    }

    /// The protocols of which entries can match at all.
    pub fn protocols(&self) -> ProtocolSet {
        let outer = self.outer.as_ref().map(|outer| outer.protocols());
        self.own.protocols.both(outer.unwrap_or(ProtocolSet::ALL))
    }

    /// Whether bodies must be kept to decide it.
    pub fn needs_bodies(&self) -> bool {
        self.own.needs_bodies
            || self
                .outer
                .as_ref()
                .is_some_and(|outer| outer.needs_bodies())
    }

    /// Which recordings it asks for.
    pub fn recordings(&self) -> Recordings<'_> {
        let outer = self.outer.as_ref().map(|outer| outer.recordings());
        match (outer, recordings::asked(&self.own.root)) {
            (Some(Recordings::Any) | None, own) => own,
            (Some(outer), Recordings::Any) => outer,
            (Some(Recordings::One(a)), Recordings::One(b)) if a == b => Recordings::One(a),
            _ => Recordings::Several,
        }
    }

    /// The text it was compiled from.
    pub fn text(&self) -> &str {
        &self.own.text
    }

    /// The spelling it was read in; never [`Lang::Auto`].
    pub fn lang(&self) -> Lang {
        self.own.lang
    }

    /// How many results are wanted at most: the first `limit()` of the text.
    pub fn limit(&self) -> Option<u64> {
        let outer = self.outer.as_ref().and_then(|outer| outer.limit());
        outer.or(self.own.limit)
    }

    /// Whether it hides values: whoever shows a matching entry then uses [`Filter::write_json`] and nothing else of it.
    pub fn redacts(&self) -> bool {
        !self.own.redactions.is_empty() || self.outer.as_ref().is_some_and(|outer| outer.redacts())
    }

    /// Appends an entry as one JSON object, without the values that `redact()` hides on the way the filter takes.
    pub fn write_json(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        let mut hidden = Vec::new();
        self.hidden(entry, &mut hidden);
        redact::write_entry(entry, &hidden, out);
    }

    /// Gathers the redactions on the way that the filter takes.
    fn hidden<'f>(&'f self, entry: &Entry<'_>, hidden: &mut Vec<&'f Redaction>) {
        if let Some(outer) = &self.outer {
            outer.hidden(entry, hidden);
        }
        let facts = EntryFacts::new(entry);
        // only what it reaches counts, not what it says
        let _ = test(&self.own.root, &facts, None);
        let reached = self.own.redactions.iter().enumerate();
        let reached = reached.filter(|(id, _)| facts.redacted(*id));
        hidden.extend(reached.flat_map(|(_, paths)| paths));
    }

    /// What is valid but probably not meant.
    pub fn warnings(&self) -> &[Error] {
        &self.own.warnings
    }
}

/// What a filter asks of entries of one protocol. Cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Narrowed {
    gate: Gate,
    own: Arc<Node>,
    outer: Option<Box<Narrowed>>,
}

impl Narrowed {
    /// Whether an entry of the protocol matches. Allocates only in the entry's scratch space.
    #[inline]
    pub fn matches(&self, entry: &Entry<'_>) -> bool {
        self.asked(&EntryFacts::new(entry))
    }

    /// As [`Narrowed::matches`], for one of many filters on the entry.
    #[inline]
    pub fn matches_in<'v>(&'v self, reading: &Reading<'v>) -> bool {
        self.asked(reading)
    }

    #[inline]
    fn asked<'v>(&'v self, facts: &impl Facts<'v>) -> bool {
        let own = self.gate.tells(facts).unwrap_or_else(|| {
            // the rounds of loops are each filter's own
            facts.steps().set(0);
            test(&self.own, facts, None) == Ok(true)
        });
        own && self.outer.as_ref().is_none_or(|outer| outer.asked(facts))
    }

    /// A number that filters share which differ in constants alone, as those of many tenants do. One after the other they
    /// take less time than among others: the processor has learnt the way.
    pub fn shape(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.gate.hash(&mut hasher);
        self.own.shape(&mut hasher);
        hasher.finish()
    }
}

/// A range of the text, as byte offsets (start, end).
impl From<Span> for std::ops::Range<usize> {
    fn from(span: Span) -> Self {
        span.start as usize..span.end as usize
    }
}
