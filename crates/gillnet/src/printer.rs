//! Entries as lines on standard output: whole objects, objects of some columns, or a table.

use crate::columns::Column;
use crate::output::Output;
use gillnet_entry::json::{self, Writer};
use gillnet_entry::{Entry, Value};
use gillnet_kfl::Filter;

/// How an entry is shown.
#[derive(Debug)]
pub enum Shape {
    /// Not at all: entries are counted.
    Count,
    /// The whole entry as a JSON object.
    Whole(Box<Writer>),
    /// A JSON object of some columns.
    Columns(Columns),
    /// A row of a table, whose columns are separated by tabs.
    Row(Vec<Column>),
}

impl Shape {
    /// The columns that are shown; `None` where entries are shown whole, or counted.
    pub fn columns(&self) -> Option<&[Column]> {
        match self {
            Shape::Columns(columns) => Some(&columns.columns),
            Shape::Row(columns) => Some(columns),
            Shape::Count | Shape::Whole(_) => None,
        }
    }
}

/// Columns as members of a JSON object.
#[derive(Debug)]
pub struct Columns {
    columns: Vec<Column>,
    /// What stands before the value of each: `{"method":`, `,"url":`.
    before: Vec<Vec<u8>>,
}

impl Columns {
    /// These columns, in this order.
    pub fn new(columns: Vec<Column>) -> Columns {
        let key = |(i, column): (usize, &Column)| {
            let mut key = vec![if i == 0 { b'{' } else { b',' }];
            json::write_str(&column.name, &mut key);
            key.push(b':');
            key
        };
        Columns {
            before: columns.iter().enumerate().map(key).collect(),
            columns,
        }
    }

    fn write(&self, out: &mut Vec<u8>, write: impl Fn(&Column, &mut Vec<u8>)) {
        for (column, before) in self.columns.iter().zip(&self.before) {
            out.extend_from_slice(before);
            write(column, out);
        }
        out.push(b'}');
    }
}

impl Shape {
    /// Appends an entry and the end of its line, without what a filter hides; nothing where entries are counted.
    pub fn write(&mut self, entry: &Entry<'_>, redacting: Option<&Filter>, out: &mut Vec<u8>) {
        match (self, redacting) {
            (Shape::Count, _) => return,
            (Shape::Whole(_), Some(filter)) => filter.write_json(entry, out),
            (Shape::Columns(columns), Some(filter)) => {
                let shown = shown(entry, filter);
                columns.write(out, |column, out| {
                    out.extend_from_slice(column.shown(entry, &shown).to_string().as_bytes());
                });
            }
            (Shape::Row(columns), Some(filter)) => {
                let shown = shown(entry, filter);
                write_row(columns, out, |column, out| {
                    match column.shown(entry, &shown) {
                        serde_json::Value::Null => out.push(b'-'),
                        serde_json::Value::String(text) => write_cell(text, out),
                        other => out.extend_from_slice(other.to_string().as_bytes()),
                    }
                });
            }
            (Shape::Whole(writer), None) => writer.entry(entry, out),
            (Shape::Columns(columns), None) => {
                columns.write(out, |column, out| column.write_json(entry, out));
            }
            (Shape::Row(columns), None) => {
                write_row(columns, out, |column, out| match column.value(entry) {
                    Value::Missing | Value::Null => out.push(b'-'),
                    Value::Str(text) => write_cell(text, out),
                    other => json::write_value(&other, out),
                })
            }
        }
        out.push(b'\n');
    }
}

/// Prints entries, a line each, until there are enough.
#[derive(Debug)]
pub struct Printer {
    output: Output,
    shape: Shape,
    /// The filter, where it hides values.
    redacting: Option<Filter>,
    found: u64,
    limit: u64,
}

impl Printer {
    /// A printer of at most `limit` entries that a filter matches, without what it hides; a table's head is printed at
    /// once.
    pub fn new(shape: Shape, limit: u64, filter: &Filter) -> Printer {
        let mut output = Output::stdout();
        if let Shape::Row(columns) = &shape {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            output
                .buffer()
                .extend_from_slice((names.join("\t") + "\n").as_bytes());
        }
        Printer {
            output,
            shape,
            redacting: filter.redacts().then(|| filter.clone()),
            found: 0,
            limit,
        }
    }

    /// The columns that it prints; `None` where it prints entries whole, or their number.
    pub fn columns(&self) -> Option<&[Column]> {
        self.shape.columns()
    }

    /// Whether it prints bodies.
    pub fn needs_bodies(&self) -> bool {
        matches!(self.shape, Shape::Whole(_))
    }

    /// Takes so many entries for counted.
    pub fn counted(&mut self, entries: u64) {
        self.found = self.found.saturating_add(entries).min(self.limit);
    }

    /// Prints an entry. `false` where no more are wanted.
    pub fn entry(&mut self, entry: &Entry<'_>) -> bool {
        if self.found >= self.limit {
            return false; // the shard ends its batch before it stops
        }
        self.found += 1;
        if matches!(self.shape, Shape::Count) {
            return self.found < self.limit;
        }
        let out = self.output.buffer();
        self.shape.write(entry, self.redacting.as_ref(), out);
        // the first are there at once, for who looks at no more than these
        let written = match self.found.is_power_of_two() {
            true => self.output.flush(),
            false => self.output.spill(),
        };
        written && self.found < self.limit
    }

    /// Prints what is left, and the number where entries are counted; gives the number.
    pub fn finish(mut self) -> std::io::Result<u64> {
        if matches!(self.shape, Shape::Count) {
            self.output
                .buffer()
                .extend_from_slice(format!("{}\n", self.found).as_bytes());
        }
        self.output.finish()?;
        Ok(self.found)
    }
}

/// An entry as JSON, without what a filter hides.
pub fn shown(entry: &Entry<'_>, filter: &Filter) -> serde_json::Value {
    let mut json = Vec::new();
    filter.write_json(entry, &mut json);
    serde_json::from_slice(&json).unwrap_or(serde_json::Value::Null)
}

fn write_row(columns: &[Column], out: &mut Vec<u8>, write: impl Fn(&Column, &mut Vec<u8>)) {
    for (i, column) in columns.iter().enumerate() {
        if i > 0 {
            out.push(b'\t');
        }
        write(column, out);
    }
}

/// A tab or line end of the traffic must not make a column or row.
fn write_cell(text: &str, out: &mut Vec<u8>) {
    out.extend(
        text.bytes()
            .map(|b| if b.is_ascii_control() { b' ' } else { b }),
    );
}
