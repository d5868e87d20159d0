//! Entries as lines on standard output: whole objects, objects of some columns, or a table.

use crate::columns::Column;
use crate::output::Output;
use gillnet_entry::json::{self, Writer};
use gillnet_entry::{Entry, Value};

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

    fn write(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        for (column, before) in self.columns.iter().zip(&self.before) {
            out.extend_from_slice(before);
            column.write_json(entry, out);
        }
        out.push(b'}');
    }
}

/// Prints entries, a line each, until there are enough.
#[derive(Debug)]
pub struct Printer {
    output: Output,
    shape: Shape,
    found: u64,
    limit: u64,
}

impl Printer {
    /// A printer of at most `limit` entries; a table's head is printed at once.
    pub fn new(shape: Shape, limit: u64) -> Printer {
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
            found: 0,
            limit,
        }
    }

    /// Prints an entry. `false` where no more are wanted.
    pub fn entry(&mut self, entry: &Entry<'_>) -> bool {
        if self.found >= self.limit {
            return false; // the shard ends its batch before it stops
        }
        self.found += 1;
        let out = self.output.buffer();
        match &mut self.shape {
            Shape::Count => return self.found < self.limit,
            Shape::Whole(writer) => writer.entry(entry, out),
            Shape::Columns(columns) => columns.write(entry, out),
            Shape::Row(columns) => write_row(columns, entry, out),
        }
        out.push(b'\n');
        self.output.spill() && self.found < self.limit
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

fn write_row(columns: &[Column], entry: &Entry<'_>, out: &mut Vec<u8>) {
    for (i, column) in columns.iter().enumerate() {
        if i > 0 {
            out.push(b'\t');
        }
        match column.value(entry) {
            Value::Missing | Value::Null => out.push(b'-'),
            // a tab or line end of the traffic must not make a column or row
            Value::Str(text) => out.extend(
                text.bytes()
                    .map(|b| if b.is_ascii_control() { b' ' } else { b }),
            ),
            other => json::write_value(&other, out),
        }
    }
}
