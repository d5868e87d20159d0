//! Paths of KFL1: from a field down into what it holds.

use super::facts::{Facts, Key};
use super::{MAX_STEPS, Reason, Val};
use gillnet_entry::{COMMON, Ctx, Entry, Field, Value};

/// Where a path begins and how it goes on.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) root: Root,
    pub(crate) steps: Box<[Step]>,
}

/// Where a path begins.
#[derive(Clone, Debug)]
pub(crate) enum Root {
    /// A field of the common part.
    Common(u16),
    /// A field of the protocol's part.
    Own(u16),
    /// The object of all fields below a prefix: of the protocol's part (`true`) or the common one.
    Object(Box<str>, bool),
}

/// One step down.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Into a map.
    Key(Box<str>, bool),
    /// Into a list.
    At(usize),
    /// All values of a map, all elements of a list.
    Wild,
    /// All values under this key, however deep.
    Deep(Box<str>),
}

/// Levels that `..` goes down.
const MAX_DESCENT: u8 = 32;

/// What a path finds in an entry: nothing is an error, several are a list.
pub(crate) fn read<'v>(
    access: &'v Access,
    facts: &(impl Facts<'v> + ?Sized),
    entry: &'v Entry<'v>,
) -> Result<Val<'v>, Reason> {
    let ctx = &entry.ctx;
    let value = match (&access.root, access.steps.first()) {
        (Root::Own(field), Some(Step::Key(key, ignore_case))) => {
            let value = facts.key(entry, Key(*field, key, *ignore_case));
            return walk(
                Val::of(value).ok_or(Reason::Missing)?,
                access.steps.get(1..).unwrap_or(&[]),
                ctx,
            );
        }
        (Root::Common(field), Some(Step::Key(key, false))) => {
            let value = entry.common.key(*field, key, ctx);
            return walk(
                Val::of(value).ok_or(Reason::Missing)?,
                access.steps.get(1..).unwrap_or(&[]),
                ctx,
            );
        }
        (Root::Own(field), _) => facts.field(entry, *field),
        (Root::Common(field), _) => entry.common(*field),
        (Root::Object(prefix, own), _) => object(prefix, *own, entry),
    };
    walk(Val::of(value).ok_or(Reason::Missing)?, &access.steps, ctx)
}

/// Follows steps from a value.
pub(crate) fn walk<'v>(value: Val<'v>, steps: &[Step], ctx: &Ctx<'v>) -> Result<Val<'v>, Reason> {
    let mut at = value;
    for (i, step) in steps.iter().enumerate() {
        at = match step {
            Step::Key(key, ignore_case) => at.named(key, *ignore_case),
            Step::At(index) => at.item(*index),
            Step::Wild | Step::Deep(_) => return several(at, steps.get(i..).unwrap_or(&[]), ctx),
        }
        .ok_or(Reason::Missing)?;
    }
    Ok(at)
}

fn several<'v>(value: Val<'v>, steps: &[Step], ctx: &Ctx<'v>) -> Result<Val<'v>, Reason> {
    let mut search = Search {
        found: bumpalo::collections::Vec::new_in(ctx.arena),
        visits: 0,
    };
    search.collect(value, steps, MAX_DESCENT)?;
    match search.found.as_slice() {
        [] => Err(Reason::Missing),
        [only] => Ok(*only),
        _ => Ok(Val::List(search.found.into_bump_slice())),
    }
}

/// What a path with a wildcard has found, and how many values were looked at for it.
struct Search<'v> {
    found: bumpalo::collections::Vec<'v, Val<'v>>,
    visits: u32,
}

impl<'v> Search<'v> {
    fn collect(&mut self, value: Val<'v>, steps: &[Step], depth: u8) -> Result<(), Reason> {
        self.visits += 1;
        if self.visits > MAX_STEPS {
            return Err(Reason::TooLong);
        }
        let Some((step, rest)) = steps.split_first() else {
            self.found.push(value);
            return Ok(());
        };
        let Some(depth) = depth.checked_sub(1) else {
            return Ok(());
        };
        match step {
            Step::Key(key, ignore_case) => value
                .named(key, *ignore_case)
                .map_or(Ok(()), |v| self.collect(v, rest, depth)),
            Step::At(index) => value
                .item(*index)
                .map_or(Ok(()), |v| self.collect(v, rest, depth)),
            Step::Wild => children(value, &mut |_, v| self.collect(v, rest, depth)),
            Step::Deep(name) => children(value, &mut |key, v| {
                if key == Some(name) {
                    self.collect(v, rest, depth)?;
                }
                self.collect(v, steps, depth)
            }),
        }
    }
}

type See<'s, 'v> = dyn FnMut(Option<&str>, Val<'v>) -> Result<(), Reason> + 's;

fn children<'v>(value: Val<'v>, see: &mut See<'_, 'v>) -> Result<(), Reason> {
    for i in 0..value.list_len().unwrap_or(0) {
        value.item(i).map_or(Ok(()), |v| see(None, v))?;
    }
    for i in 0..value.map_len().unwrap_or(0) {
        if let Some((key, v)) = value.pair(i) {
            see(
                if let Val::Str(key) = key {
                    Some(key)
                } else {
                    None
                },
                v,
            )?;
        }
    }
    Ok(())
}

/// The object of all fields below a prefix; null where the entry has none of them.
fn object<'v>(prefix: &str, own: bool, entry: &'v Entry<'v>) -> Value<'v> {
    let fields = if own {
        entry.record.schema().fields
    } else {
        COMMON.fields
    };
    let read = |i: u16| if own { entry.own(i) } else { entry.common(i) };
    let map = level(prefix, fields, &read, &entry.ctx);
    if map.is_empty() {
        Value::Null
    } else {
        Value::Map(map)
    }
}

fn level<'v>(
    prefix: &str,
    fields: &'static [Field],
    read: &dyn Fn(u16) -> Value<'v>,
    ctx: &Ctx<'v>,
) -> &'v [(&'v str, Value<'v>)] {
    let mut map = bumpalo::collections::Vec::new_in(ctx.arena);
    let mut nested = "";
    for (i, field) in (0u16..).zip(fields) {
        let Some(rest) = below(field.json, prefix) else {
            continue;
        };
        match rest.split_once('.') {
            None => match read(i) {
                Value::Missing => {}
                value => map.push((rest, value)),
            },
            // fields with a common prefix stand side by side
            Some((name, _)) if name != nested => {
                nested = name;
                let path = &field.json[..field.json.len() - rest.len() + name.len()];
                let inner = level(path, fields, read, ctx);
                if !inner.is_empty() {
                    map.push((name, Value::Map(inner)));
                }
            }
            Some(_) => {}
        }
    }
    map.into_bump_slice()
}

/// What of a path lies below a prefix.
pub(crate) fn below<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    path.strip_prefix(prefix)?.strip_prefix('.')
}
