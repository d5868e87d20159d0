//! Where the fields of a table stand in JSON: dotted paths are nested objects.

use super::write_value;
use crate::{Kind, Schema, Stage, Value};
use std::ops::Range;

/// The fields of a table that are in JSON, with all that is known of them before there is an entry.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) schema: &'static Schema,
    pub(super) fields: Vec<Place>,
    /// The longest run of fields that are the same in all entries of a flow with the same ends.
    of_flow: Range<usize>,
    objects: Vec<Object>,
}

/// Values of fields.
pub(super) trait Fields {
    fn get(&self, field: u16) -> Value<'_>;

    /// Appends a value as JSON, where there is a way that is cheaper than [`Fields::get`]; else `false`, and what was
    /// appended is dropped.
    fn write(&self, field: u16, out: &mut Vec<u8>) -> bool;
}

/// Where a field stands.
#[derive(Debug)]
pub(super) struct Place {
    /// Its index in the table.
    field: u16,
    stage: Stage,
    /// Whether there may be a cheaper way to its JSON than through its value.
    large: bool,
    /// Index of the object it is in.
    object: usize,
    name: Name,
}

/// An object that fields are in; the first is the entry, and each stands behind the one that it is in itself.
#[derive(Debug)]
struct Object {
    path: &'static str,
    parent: usize,
    name: Name,
}

/// `"name":`, in blocks of fixed size, which are cheap to copy.
#[derive(Debug)]
struct Name {
    blocks: Box<[[u8; 32]]>,
    len: usize,
}

impl Name {
    fn new(name: &str) -> Name {
        let text = format!("\"{name}\":");
        let block = |chunk: &[u8]| std::array::from_fn(|i| chunk.get(i).copied().unwrap_or(0));
        Name {
            blocks: text.as_bytes().chunks(32).map(block).collect(),
            len: text.len(),
        }
    }

    #[inline]
    fn write(&self, out: &mut Vec<u8>) {
        let end = out.len() + self.len;
        for block in &self.blocks {
            out.extend_from_slice(block);
        }
        out.truncate(end);
    }
}

impl Layout {
    pub(super) fn of(schema: &'static Schema) -> Layout {
        let entry = Object {
            path: "",
            parent: 0,
            name: Name::new(""),
        };
        let mut layout = Layout {
            schema,
            fields: Vec::new(),
            of_flow: 0..0,
            objects: vec![entry],
        };
        for (index, field) in (0..)
            .zip(schema.fields)
            .filter(|(_, field)| !field.json.is_empty())
        {
            let (object, name) = layout.place(field.json);
            let large = matches!(field.kind, Kind::Bytes | Kind::StrMap | Kind::Headers);
            layout.fields.push(Place {
                field: index,
                stage: field.stage,
                large,
                object,
                name,
            });
        }
        let mut from = 0;
        for run in layout
            .fields
            .chunk_by(|a, b| a.is_of_flow() == b.is_of_flow())
        {
            if run.iter().all(Place::is_of_flow) && run.len() > layout.of_flow.len() {
                layout.of_flow = from..from + run.len();
            }
            from += run.len();
        }
        layout
    }

    /// The object that a path leads into, and the name of what it leads to.
    fn place(&mut self, path: &'static str) -> (usize, Name) {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        (self.object(parent), Name::new(name))
    }

    fn object(&mut self, path: &'static str) -> usize {
        if let Some(known) = self.objects.iter().position(|object| object.path == path) {
            return known;
        }
        let (parent, name) = self.place(path);
        self.objects.push(Object { path, parent, name });
        self.objects.len() - 1
    }

    /// The fields in order: those before the ones that are the same for a flow, these, and those behind them.
    pub(super) fn by_flow(&self) -> [&[Place]; 3] {
        let (rest, after) = self.fields.split_at(self.of_flow.end);
        let (before, of_flow) = rest.split_at(self.of_flow.start);
        [before, of_flow, after]
    }

    /// Appends fields with their values, each with a comma behind it, as they stand within the entry's object.
    #[inline]
    pub(super) fn write(&self, places: &[Place], fields: &impl Fields, out: &mut Vec<u8>) {
        let mut nested = Nested {
            objects: &self.objects,
            open: 0,
            out,
        };
        for place in places {
            if place.large && nested.attempt(place, |out| fields.write(place.field, out)) {
                continue;
            }
            let value = fields.get(place.field);
            if !matches!(value, Value::Missing) {
                nested.enter(place.object);
                place.name.write(nested.out);
                write_value(&value, nested.out);
                nested.out.push(b',');
            }
        }
        nested.enter(0);
    }
}

impl Place {
    fn is_of_flow(&self) -> bool {
        self.stage < Stage::Entry
    }
}

/// The objects that are open while fields are written.
struct Nested<'o> {
    objects: &'o [Object],
    /// The innermost.
    open: usize,
    out: &'o mut Vec<u8>,
}

impl Nested<'_> {
    /// Closes and opens objects until this one is the innermost.
    #[inline]
    fn enter(&mut self, object: usize) {
        if self.open != object {
            self.leave(object);
            self.descend(object);
        }
    }

    /// Closes the objects that this one is not in.
    fn leave(&mut self, object: usize) {
        let mut around = object;
        while around != self.open {
            if around > self.open {
                around = self.objects[around].parent;
            } else {
                close(self.out);
                self.out.push(b',');
                self.open = self.objects[self.open].parent;
            }
        }
    }

    /// Opens the objects that this one is in, and this one.
    fn descend(&mut self, object: usize) {
        if self.open != object {
            let objects = self.objects;
            self.descend(objects[object].parent);
            objects[object].name.write(self.out);
            self.out.push(b'{');
            self.open = object;
        }
    }

    /// Appends a field whose value this can write; else nothing.
    #[inline]
    fn attempt(&mut self, place: &Place, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let (len, open) = (self.out.len(), self.open);
        self.enter(place.object);
        place.name.write(self.out);
        let done = write(self.out);
        if done {
            self.out.push(b',');
        } else {
            self.out.truncate(len);
            self.open = open;
        }
        done
    }
}

/// Ends an object: its brace takes the place of the comma behind its last field.
pub(super) fn close(out: &mut Vec<u8>) {
    match out.last_mut() {
        Some(comma @ b',') => *comma = b'}',
        _ => out.push(b'}'),
    }
}
