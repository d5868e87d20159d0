//! The members of an entry's JSON object, written one behind the other: dotted paths are nested objects.

use super::{write_str, write_value};
use crate::{Schema, Value};

/// The object of the entry itself, as [`Member::object`].
const ENTRY: u16 = u16::MAX;

/// An entry's JSON object while its members are written.
#[derive(Debug)]
pub struct Members<'o> {
    out: &'o mut Vec<u8>,
    schema: &'static Schema,
    /// The innermost object that is open.
    open: u16,
    /// How many are open in the entry's.
    depth: u8,
}

/// Where the field of a table stands, known when the table is compiled.
#[derive(Debug)]
pub struct Member<const KEY: usize, const STEP: usize, const FULL: usize> {
    /// The object it is in: the first field of the table that is in it, or [`ENTRY`].
    object: u16,
    /// The object that the field before it is in.
    before: u16,
    /// Whether objects end between the two.
    closes: bool,
    /// What stands between the two: `},"name":{`.
    step: [u8; STEP],
    /// Objects that it is in.
    depth: u8,
    /// How they begin: `"name":{`.
    full: [u8; FULL],
    /// `"name":`
    key: [u8; KEY],
}

/// Length of `"name":` for a dotted path.
pub const fn key_len(path: &str) -> usize {
    path.len() - parent(path.as_bytes()) + 3
}

/// Length of the path of the object that a field is in, with the dot behind it.
const fn parent(path: &[u8]) -> usize {
    let mut len = path.len();
    while len > 0 && path[len - 1] != b'.' {
        len -= 1;
    }
    len
}

/// The path of the field that stands in JSON before the one with this path.
const fn before<'s>(schema: &'s Schema, path: &str) -> &'s str {
    let mut index = schema.index(path);
    while index > 0 && index < schema.fields.len() {
        index -= 1;
        if !schema.fields[index].json.is_empty() {
            return schema.fields[index].json;
        }
    }
    ""
}

/// What leads from one object to another.
struct Step {
    /// Objects that end.
    closed: usize,
    /// Length of the path that they have in common, with the dot behind it.
    common: usize,
    /// Objects that begin.
    opened: usize,
}

const fn step(from: &[u8], to: &[u8]) -> Step {
    let (from_len, to_len) = (parent(from), parent(to));
    let (mut at, mut common) = (0, 0);
    while at < from_len && at < to_len && from[at] == to[at] {
        at += 1;
        if from[at - 1] == b'.' {
            common = at;
        }
    }
    Step {
        closed: dots(from, common, from_len),
        common,
        opened: dots(to, common, to_len),
    }
}

const fn dots(path: &[u8], mut from: usize, to: usize) -> usize {
    let mut dots = 0;
    while from < to {
        dots += (path[from] == b'.') as usize;
        from += 1;
    }
    dots
}

/// Writes how the objects that a field is in begin, those from a place in its path on.
const fn begin(path: &[u8], from: usize, text: &mut [u8], mut to: usize) {
    let (len, mut at) = (parent(path), from);
    while at < len {
        text[to] = b'"';
        to += 1;
        while path[at] != b'.' {
            text[to] = path[at];
            to += 1;
            at += 1;
        }
        at += 1;
        text[to] = b'"';
        text[to + 1] = b':';
        text[to + 2] = b'{';
        to += 3;
    }
}

/// Length of how the objects begin that a field is in.
pub const fn full_len(path: &str) -> usize {
    let (path, len) = (path.as_bytes(), parent(path.as_bytes()));
    len + 3 * dots(path, 0, len)
}

/// Length of what stands between a field and the one before it.
pub const fn step_len(schema: &Schema, path: &str) -> usize {
    let step = step(before(schema, path).as_bytes(), path.as_bytes());
    // `}` for each that ends and a comma behind the last; `"name":{` for each that begins
    let names = parent(path.as_bytes()) - step.common - step.opened;
    step.closed + (step.closed > 0) as usize + names + 4 * step.opened
}

/// The object that a field is in.
#[allow(clippy::cast_possible_truncation)] // a record has some dozen fields
const fn object(schema: &Schema, path: &[u8]) -> u16 {
    let (len, mut first) = (parent(path), 0);
    if len == 0 {
        return ENTRY;
    }
    while !is_in(schema.fields[first].json.as_bytes(), path, len) {
        first += 1;
    }
    first as u16
}

impl<const KEY: usize, const STEP: usize, const FULL: usize> Member<KEY, STEP, FULL> {
    /// The member that the field with this JSON path is.
    pub const fn new(schema: &Schema, path: &str) -> Self {
        let (before, path) = (before(schema, path).as_bytes(), path.as_bytes());
        let len = parent(path);
        let mut key = [b'"'; KEY];
        let mut at = len;
        while at < path.len() {
            key[at - len + 1] = path[at];
            at += 1;
        }
        key[KEY - 1] = b':';
        let step_from = step(before, path);
        let mut step = [b'}'; STEP];
        let mut to = step_from.closed;
        if step_from.closed > 0 {
            step[to] = b',';
            to += 1;
        }
        begin(path, step_from.common, &mut step, to);
        let mut full = [b'"'; FULL];
        begin(path, 0, &mut full, 0);
        Member {
            depth: dots(path, 0, len) as u8,
            full,
            object: object(schema, path),
            before: object(schema, before),
            closes: step_from.closed > 0,
            step,
            key,
        }
    }
}

/// Whether a field is in the object of another one, the path of which has this length.
const fn is_in(field: &[u8], path: &[u8], len: usize) -> bool {
    if parent(field) != len {
        return false;
    }
    let mut at = 0;
    while at < len && field[at] == path[at] {
        at += 1;
    }
    at == len
}

impl<'o> Members<'o> {
    /// Members of the object that `out` ends within.
    pub(super) fn new(out: &'o mut Vec<u8>, schema: &'static Schema) -> Self {
        Members {
            out,
            schema,
            open: ENTRY,
            depth: 0,
        }
    }

    /// Appends a field, unless it is missing.
    #[inline(always)]
    pub fn member<const KEY: usize, const STEP: usize, const FULL: usize>(
        &mut self,
        member: &Member<KEY, STEP, FULL>,
        value: Value<'_>,
    ) {
        if matches!(value, Value::Missing) {
            return;
        }
        self.key(member);
        write_value(&value, self.out);
        self.out.push(b',');
    }

    /// Appends a field whose value this can write; else nothing.
    #[inline(always)]
    pub fn attempt<const KEY: usize, const STEP: usize, const FULL: usize>(
        &mut self,
        member: &Member<KEY, STEP, FULL>,
        write: impl FnOnce(&mut Vec<u8>) -> bool,
    ) -> bool {
        let (len, open, depth) = (self.out.len(), self.open, self.depth);
        self.key(member);
        let done = write(self.out);
        if done {
            self.out.push(b',');
        } else {
            self.undo(len, open, depth);
        }
        done
    }

    /// Appends what stands before the value of a field.
    #[inline(always)]
    fn key<const KEY: usize, const STEP: usize, const FULL: usize>(
        &mut self,
        member: &Member<KEY, STEP, FULL>,
    ) {
        if self.open != member.object {
            if self.open == member.before {
                if member.closes {
                    self.out.pop(); // the comma behind the last field
                }
                self.out.extend_from_slice(&member.step);
            } else if member.depth <= 1 {
                self.close(self.depth.into());
                self.out.extend_from_slice(&member.full);
            } else {
                self.enter(member.object);
            }
            self.open = member.object;
            self.depth = member.depth;
        }
        self.out.extend_from_slice(&member.key);
    }

    #[inline(never)]
    fn undo(&mut self, len: usize, open: u16, depth: u8) {
        self.out.truncate(len);
        // a comma that `enter` made a brace of
        if let Some(last @ b'}') = self.out.last_mut()
            && open != self.open
        {
            *last = b',';
        }
        self.open = open;
        self.depth = depth;
    }

    /// Closes and opens objects until this one is the innermost.
    #[inline(never)]
    fn enter(&mut self, object: u16) {
        let path = self.path(object);
        let step = step(self.path(self.open), path);
        self.close(step.closed);
        if step.opened > 0 {
            self.out.push(b'"');
            for byte in path.get(step.common..).unwrap_or_default() {
                match byte {
                    b'.' => self.out.extend_from_slice(b"\":{\""),
                    byte => self.out.push(*byte),
                }
            }
            self.out.pop(); // the quote of a further one
        }
    }

    /// The path of an object, with a dot at its end; empty for the entry itself.
    fn path(&self, object: u16) -> &'static [u8] {
        let field = self.schema.fields.get(usize::from(object));
        let path = field.map_or(&[][..], |field| field.json.as_bytes());
        path.get(..parent(path)).unwrap_or_default()
    }

    /// Closes so many objects.
    fn close(&mut self, objects: usize) {
        for _ in 0..objects {
            close(self.out);
            self.out.push(b',');
        }
    }

    /// Appends fields by their paths, in any order. For few of them: each object looks through all.
    pub fn by_path(&mut self, fields: &[(&str, Value<'_>)]) {
        self.close(self.depth.into());
        (self.open, self.depth) = (ENTRY, 0);
        object_of(fields, self.out);
    }

    /// Ends the members: all objects but the entry itself are closed.
    pub(super) fn end(mut self) {
        self.close(self.depth.into());
    }
}

/// Appends the members of an object.
fn object_of(fields: &[(&str, Value<'_>)], out: &mut Vec<u8>) {
    for (at, (path, value)) in fields.iter().enumerate() {
        let Some((name, _)) = path.split_once('.') else {
            write_str(path, out);
            out.push(b':');
            write_value(value, out);
            out.push(b',');
            continue;
        };
        let inner = |path: &'_ str| path.strip_prefix(name)?.strip_prefix('.').map(str::len);
        let before = fields.get(..at).unwrap_or_default();
        if before.iter().any(|(path, _)| inner(path).is_some()) {
            continue;
        }
        let within = fields.iter().filter_map(|(path, value)| {
            let from = path.len() - inner(path)?;
            Some((path.get(from..)?, *value))
        });
        let within: Vec<_> = within.collect();
        write_str(name, out);
        out.extend_from_slice(b":{");
        object_of(&within, out);
        close(out);
        out.push(b',');
    }
}

/// Ends an object: its brace takes the place of the comma behind its last field.
pub(super) fn close(out: &mut Vec<u8>) {
    match out.last_mut() {
        Some(comma @ b',') => *comma = b'}',
        _ => out.push(b'}'),
    }
}
