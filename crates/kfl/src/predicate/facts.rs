//! What is known while a filter is evaluated: a whole entry, or only its flow.

use super::{Access, Flag, Load, MAX_STEPS, Part, Reason, Root, Side, Val, path, value};
use crate::rows::{Column, error_column};
use gillnet_entry::{Ctx, End, Entry, Kind, Name, Nothing, Value};
use std::cell::Cell;
use std::net::IpAddr;

/// A key of a map: the map's field, the key, and whether its case does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key<'v>(pub(crate) u16, pub(crate) &'v str, pub(crate) bool);

/// What a filter is evaluated on.
pub(crate) trait Facts<'v> {
    /// Store and scratch space.
    fn ctx(&self) -> Ctx<'v>;
    /// Address of an end, where it is known.
    fn ip(&self, side: Side) -> Option<IpAddr>;
    /// Port of an end, where it is known.
    fn port(&self, side: Side) -> Option<u16>;
    /// A part of an end's name, where that is known.
    fn part(&self, side: Side, part: Part) -> Option<&'v str>;
    /// The entry, where it is known.
    fn entry(&self) -> Option<&'v Entry<'v>>;
    /// Whether the bytes were taken outside encryption, where it is known.
    fn tls(&self) -> Option<bool>;
    /// Protocols that are possible.
    fn possible(&self) -> u64;
    /// Rounds of loops taken so far.
    fn steps(&self) -> &Cell<u32>;

    /// A field that is known where the entry is not.
    fn stored(&self, _: Column) -> Option<Value<'v>> {
        None
    }

    /// The value of a field of the entry's protocol.
    #[inline]
    fn field(&self, entry: &'v Entry<'v>, field: u16) -> Value<'v> {
        entry.own(field)
    }

    /// The value under a key of a map of the entry's protocol.
    #[inline]
    fn key(&self, entry: &'v Entry<'v>, key: Key<'v>) -> Value<'v> {
        let Key(field, name, ignore_case) = key;
        entry.record.key(field, name, ignore_case, &entry.ctx)
    }

    /// Notes that a redaction was reached.
    fn redact(&self, _: u8) {}

    /// Counts a round of a loop.
    fn step(&self) -> Result<(), Reason> {
        self.steps_taken(1)
    }

    /// Counts what takes as long as so many rounds of a loop.
    fn steps_taken(&self, n: u32) -> Result<(), Reason> {
        let steps = self.steps().get().saturating_add(n);
        self.steps().set(steps);
        if steps > MAX_STEPS {
            Err(Reason::TooLong)
        } else {
            Ok(())
        }
    }

    /// Whether a flag holds.
    #[inline]
    fn flag(&self, flag: &Flag) -> Result<bool, Reason> {
        let Some(entry) = self.entry() else {
            let possible = self.possible();
            return match (
                possible & (flag.always | flag.asked),
                possible & !flag.always,
            ) {
                (0, _) => Ok(false),
                (_, 0) => Ok(true),
                _ => Err(Reason::Unknown),
            };
        };
        let bit = 1u64.checked_shl(u32::from(entry.protocol)).unwrap_or(0);
        if bit & flag.always != 0 {
            return Ok(true);
        }
        Ok(bit & flag.asked != 0 && has_flag(entry, &flag.name))
    }

    /// The value of a field.
    #[inline]
    fn load(&self, load: &'v Load) -> Result<Val<'v>, Reason> {
        match load {
            Load::Ip(side) => {
                let ip = self.ip(*side).ok_or(Reason::Unknown)?;
                Ok(Val::Str(value::address(ip, &self.ctx())))
            }
            Load::Port(side) => self
                .port(*side)
                .map(|port| Val::Int(i64::from(port)))
                .ok_or(Reason::Unknown),
            Load::Part(side, part) => self.part(*side, *part).map(Val::Str).ok_or(Reason::Unknown),
            Load::Held { side, part, holder } => self.held(*side, *part, *holder).map(Val::Str),
            Load::Both(part) => self.both(*part),
            Load::Tls => self.tls().map(Val::Bool).ok_or(Reason::Unknown),
            Load::Common(field, kind) => {
                let value = match self.entry() {
                    Some(entry) => entry.common(*field),
                    None => self.stored(Column::Common(*field)).ok_or(Reason::Unknown)?,
                };
                Ok(or_default(value, *kind))
            }
            Load::Own(fields, kind) => self.own(fields, *kind),
            Load::CommonPath(access) => match self.entry() {
                Some(entry) => path::read(access, self, entry),
                None => self.stored_path(access),
            },
            Load::OwnPath(accesses) => self.own_path(accesses),
        }
    }

    /// A part of a name that stands in an object.
    #[inline]
    fn held(&self, side: Side, part: Part, holder: Part) -> Result<&'v str, Reason> {
        match self.part(side, holder).ok_or(Reason::Unknown)? {
            "" => Err(Reason::Missing),
            _ => self.part(side, part).ok_or(Reason::Unknown),
        }
    }

    /// Parts of both ends' names that are not empty, each once.
    fn both(&self, part: Part) -> Result<Val<'v>, Reason> {
        let (Some(a), Some(b)) = (self.part(Side::Src, part), self.part(Side::Dst, part)) else {
            return Err(Reason::Unknown);
        };
        let ends = [a, b];
        let ends = if a == b { &ends[..1] } else { &ends[..] };
        Ok(Val::List(self.ctx().list(
            ends.iter().filter(|n| !n.is_empty()).map(|n| Val::Str(n)),
        )))
    }

    /// A field of the protocol's part.
    #[inline]
    fn own(&self, fields: &[Option<u16>], kind: Kind) -> Result<Val<'v>, Reason> {
        match self.entry() {
            Some(entry) => Ok(match fields.get(usize::from(entry.protocol)) {
                Some(Some(field)) => or_default(self.field(entry, *field), kind),
                _ => Val::default(kind),
            }),
            None if self.nowhere(fields) => Ok(Val::default(kind)),
            None => {
                let (protocol, field) = self.only(fields).ok_or(Reason::Unknown)?;
                let value = self.stored(Column::Own(protocol, *field));
                Ok(or_default(value.ok_or(Reason::Unknown)?, kind))
            }
        }
    }

    /// A path of KFL1 in the protocol's part.
    fn own_path(&self, accesses: &'v [Option<Access>]) -> Result<Val<'v>, Reason> {
        match self.entry() {
            Some(entry) => match accesses.get(usize::from(entry.protocol)) {
                Some(Some(access)) => path::read(access, self, entry),
                _ => Err(Reason::Missing),
            },
            None if self.nowhere(accesses) => Err(Reason::Missing),
            None => {
                let (_, access) = self.only(accesses).ok_or(Reason::Unknown)?;
                self.stored_path(access)
            }
        }
    }

    /// What the only protocol that is possible has of something.
    fn only<'l, T>(&self, by_protocol: &'l [Option<T>]) -> Option<(u8, &'l T)> {
        let possible = self.possible();
        let protocol = possible.trailing_zeros() as u8;
        let of = by_protocol.get(usize::from(protocol))?.as_ref()?;
        possible.is_power_of_two().then_some((protocol, of))
    }

    /// A path of KFL1, where the entry is not known.
    fn stored_path(&self, access: &'v Access) -> Result<Val<'v>, Reason> {
        if let Some(column) = error_column(access) {
            let value = self.stored(column).ok_or(Reason::Unknown)?;
            return Val::of(value).ok_or(Reason::Missing);
        }
        let column = match access.root {
            Root::Common(field) => Column::Common(field),
            Root::Own(field) => Column::Own(self.possible().trailing_zeros() as u8, field),
            Root::Object(..) => return Err(Reason::Unknown),
        };
        let value = self.stored(column).ok_or(Reason::Unknown)?;
        path::walk(
            Val::of(value).ok_or(Reason::Missing)?,
            &access.steps,
            &self.ctx(),
        )
    }

    /// Whether no possible protocol has the field.
    fn nowhere<T>(&self, fields: &[Option<T>]) -> bool {
        let possible = self.possible();
        let had = fields.iter().enumerate().filter(|(_, f)| f.is_some());
        had.fold(0u64, |set, (i, _)| set | 1 << (i & 63)) & possible == 0
    }
}

#[inline(never)]
fn has_flag(entry: &Entry<'_>, flag: &str) -> bool {
    entry.record.info().flags.contains(&flag)
}

fn or_default(value: Value<'_>, kind: Kind) -> Val<'_> {
    match Val::of(value) {
        None | Some(Val::Null) => Val::default(kind),
        Some(value) => value,
    }
}

/// A whole entry.
#[derive(Debug)]
pub(crate) struct EntryFacts<'v> {
    entry: &'v Entry<'v>,
    steps: Cell<u32>,
    /// Redactions that were reached, a bit each.
    redacted: Cell<u64>,
}

impl<'v> EntryFacts<'v> {
    pub(crate) fn new(entry: &'v Entry<'v>) -> Self {
        EntryFacts {
            entry,
            steps: Cell::new(0),
            redacted: Cell::new(0),
        }
    }
}

impl<'v> EntryFacts<'v> {
    #[inline]
    fn end(&self, side: Side) -> &'v End<'v> {
        match side {
            Side::Src => &self.entry.common.src,
            Side::Dst => &self.entry.common.dst,
        }
    }

    /// Whether a redaction was reached.
    pub(crate) fn redacted(&self, id: usize) -> bool {
        self.redacted.get() >> (id & 63) & 1 == 1
    }
}

impl<'v> Facts<'v> for EntryFacts<'v> {
    fn redact(&self, id: u8) {
        self.redacted.set(self.redacted.get() | 1 << (id & 63));
    }

    fn ctx(&self) -> Ctx<'v> {
        self.entry.ctx
    }

    #[inline]
    fn ip(&self, side: Side) -> Option<IpAddr> {
        Some(self.end(side).ip)
    }

    #[inline]
    fn port(&self, side: Side) -> Option<u16> {
        Some(self.end(side).port)
    }

    #[inline]
    fn part(&self, side: Side, part: Part) -> Option<&'v str> {
        Some(part.of(self.end(side).name))
    }

    #[inline]
    fn entry(&self) -> Option<&'v Entry<'v>> {
        Some(self.entry)
    }

    fn tls(&self) -> Option<bool> {
        Some(self.entry.common.tls)
    }

    fn possible(&self) -> u64 {
        1u64.checked_shl(u32::from(self.entry.protocol))
            .unwrap_or(0)
    }

    fn steps(&self) -> &Cell<u32> {
        &self.steps
    }
}

/// Fields that are read once for all filters; those of a protocol that has more are read each time.
const FIELDS: usize = 64;
/// Keys that are looked up once for all filters: the first ones.
const KEYS: usize = 12;

/// An entry that many filters are evaluated on: what one of them has read of it the others find read.
#[derive(Debug)]
pub struct Reading<'v> {
    facts: EntryFacts<'v>,
    /// Fields that were read, a bit each.
    read: Cell<u64>,
    values: [Cell<Value<'v>>; FIELDS],
    keys: [Cell<Option<(Key<'v>, Value<'v>)>>; KEYS],
}

impl<'v> Reading<'v> {
    /// Of this entry nothing is read yet.
    pub fn new(entry: &'v Entry<'v>) -> Self {
        Reading {
            facts: EntryFacts::new(entry),
            read: Cell::new(0),
            values: [const { Cell::new(Value::Missing) }; FIELDS],
            keys: [const { Cell::new(None) }; KEYS],
        }
    }
}

impl<'v> Facts<'v> for Reading<'v> {
    #[inline]
    fn field(&self, entry: &'v Entry<'v>, field: u16) -> Value<'v> {
        let Some(kept) = self.values.get(usize::from(field)) else {
            return entry.own(field);
        };
        let (read, bit) = (self.read.get(), 1 << field);
        if read & bit == 0 {
            kept.set(entry.own(field));
            self.read.set(read | bit);
        }
        kept.get()
    }

    fn key(&self, entry: &'v Entry<'v>, key: Key<'v>) -> Value<'v> {
        for kept in &self.keys {
            match kept.get() {
                Some((known, value)) if known == key => return value,
                Some(_) => {}
                None => {
                    let value = self.facts.key(entry, key);
                    kept.set(Some((key, value)));
                    return value;
                }
            }
        }
        self.facts.key(entry, key)
    }

    fn ctx(&self) -> Ctx<'v> {
        self.facts.ctx()
    }

    #[inline]
    fn ip(&self, side: Side) -> Option<IpAddr> {
        self.facts.ip(side)
    }

    #[inline]
    fn port(&self, side: Side) -> Option<u16> {
        self.facts.port(side)
    }

    #[inline]
    fn part(&self, side: Side, part: Part) -> Option<&'v str> {
        self.facts.part(side, part)
    }

    #[inline]
    fn entry(&self) -> Option<&'v Entry<'v>> {
        self.facts.entry()
    }

    fn tls(&self) -> Option<bool> {
        self.facts.tls()
    }

    fn possible(&self) -> u64 {
        self.facts.possible()
    }

    fn steps(&self) -> &Cell<u32> {
        &self.facts.steps
    }
}

/// What is known of one end of a flow.
#[derive(Clone, Copy, Debug)]
pub struct FlowEnd<'a> {
    /// Address.
    pub ip: IpAddr,
    /// Port.
    pub port: u16,
    /// Its name; `None` where it may still become known. An end that is known to have no name has an empty one.
    pub name: Option<&'a Name>,
}

/// A flow with an assumed direction.
pub(crate) struct FlowFacts<'v> {
    pub(crate) src: Option<FlowEnd<'v>>,
    pub(crate) dst: Option<FlowEnd<'v>>,
    pub(crate) tls: Option<bool>,
    pub(crate) possible: u64,
    pub(crate) ctx: Ctx<'v>,
    pub(crate) steps: Cell<u32>,
}

impl<'v> FlowFacts<'v> {
    /// Nothing is known but the protocols that are possible.
    pub(crate) fn blank(possible: u64, arena: &'v gillnet_entry::Bump) -> FlowFacts<'v> {
        let ctx = Ctx {
            store: &Nothing,
            arena,
        };
        FlowFacts {
            src: None,
            dst: None,
            tls: None,
            possible,
            ctx,
            steps: Cell::new(0),
        }
    }

    fn side(&self, side: Side) -> Option<FlowEnd<'v>> {
        match side {
            Side::Src => self.src,
            Side::Dst => self.dst,
        }
    }
}

impl<'v> Facts<'v> for FlowFacts<'v> {
    fn ctx(&self) -> Ctx<'v> {
        self.ctx
    }

    fn ip(&self, side: Side) -> Option<IpAddr> {
        self.side(side).map(|end| end.ip)
    }

    fn port(&self, side: Side) -> Option<u16> {
        self.side(side).map(|end| end.port)
    }

    fn part(&self, side: Side, part: Part) -> Option<&'v str> {
        self.side(side)?.name.map(|name| part.of(name))
    }

    fn entry(&self) -> Option<&'v Entry<'v>> {
        None
    }

    fn tls(&self) -> Option<bool> {
        self.tls
    }

    fn possible(&self) -> u64 {
        self.possible
    }

    fn steps(&self) -> &Cell<u32> {
        &self.steps
    }
}
