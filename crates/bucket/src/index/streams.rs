//! Writing `streams/`, and looking up there where streams are.

use std::net::IpAddr;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use gillnet_entry::{Value, show_value};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::PageIndexPolicy;

use super::columns::{Type, int};
use super::table::{Heading, Part, Table};
use super::values::RowWriter;
use super::{Batches, Error, Footer, Opened};
use crate::Bucket;
use crate::packets::StreamId;

/// A range of an object's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Where it begins.
    pub offset: u64,
    /// How long it is.
    pub length: u64,
}

/// A stream in an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamRow {
    /// Which.
    pub id: StreamId,
    /// Both ends, the opener first, where they are known.
    pub ends: Option<[(IpAddr, u16); 2]>,
    /// The gzip members that its packets are in; small streams share one.
    pub range: Range,
    /// Its packets there.
    pub packets: u64,
    /// Their bytes, as captured.
    pub bytes: u64,
    /// Earliest time of a packet, in nanoseconds since the Unix epoch.
    pub first: i64,
    /// Latest time of a packet.
    pub last: i64,
    /// Whether an earlier object (or row) has its beginning.
    pub continued_before: bool,
    /// Whether it went on when the object was sealed.
    pub continued_after: bool,
    /// Packets that are known to be missing.
    pub missing: u64,
    /// Since when it is whole, where its beginning is missing.
    pub truncated_before: Option<i64>,
}

/// A row with the text that its addresses are written as.
struct Shown<'r> {
    row: &'r StreamRow,
    ips: Option<[String; 2]>,
}

impl Shown<'_> {
    fn ip(&self, end: usize) -> Value<'_> {
        let ip = self.ips.as_ref().and_then(|ips| ips.get(end));
        ip.map_or(Value::Missing, |ip| Value::Str(ip))
    }

    fn port(&self, end: usize) -> Value<'_> {
        let ends = self.row.ends.as_ref().and_then(|ends| ends.get(end));
        ends.map_or(Value::Missing, |end| Value::Int(end.1.into()))
    }
}

type Get = for<'s> fn(&'s Shown<'_>) -> Value<'s>;

const COLUMNS: &[(&str, Type, Get)] = &[
    ("stream", Type::Int, |s| int(s.row.id.number)),
    ("transport", Type::Text, |s| {
        Value::Str(if s.row.id.udp { "udp" } else { "tcp" })
    }),
    ("src.ip", Type::Text, |s| s.ip(0)),
    ("src.port", Type::Int, |s| s.port(0)),
    ("dst.ip", Type::Text, |s| s.ip(1)),
    ("dst.port", Type::Int, |s| s.port(1)),
    ("offset", Type::Int, |s| int(s.row.range.offset)),
    ("length", Type::Int, |s| int(s.row.range.length)),
    ("packets", Type::Int, |s| int(s.row.packets)),
    ("bytes", Type::Int, |s| int(s.row.bytes)),
    ("first", Type::Time, |s| Value::Time(s.row.first)),
    ("last", Type::Time, |s| Value::Time(s.row.last)),
    ("continuedBefore", Type::Bool, |s| {
        Value::Bool(s.row.continued_before)
    }),
    ("continuedAfter", Type::Bool, |s| {
        Value::Bool(s.row.continued_after)
    }),
    ("missingPackets", Type::Int, |s| int(s.row.missing)),
    ("truncatedBefore", Type::Time, |s| {
        s.row.truncated_before.map_or(Value::Missing, Value::Time)
    }),
];

/// The rows of one file, in the order of the object.
pub struct StreamsWriter {
    rows: RowWriter,
}

impl Default for StreamsWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for StreamsWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamsWriter").finish_non_exhaustive()
    }
}

impl StreamsWriter {
    /// No rows yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            rows: RowWriter::new(COLUMNS.iter().map(|(_, of, _)| *of)),
        }
    }

    /// Adds a stream.
    pub fn add(&mut self, row: &StreamRow) {
        let shown = Shown {
            row,
            ips: row.ends.map(|ends| ends.map(|(ip, _)| ip.to_string())),
        };
        self.rows.begin_row();
        let mut row = self.rows.from(0);
        for (_, _, get) in COLUMNS {
            show_value(&mut row, get(&shown));
        }
    }

    /// The file.
    ///
    /// # Errors
    /// Those of Parquet; there are none that depend on what was added.
    pub fn finish(self, footer: &Footer<'_>) -> Result<Vec<u8>, Error> {
        let columns = COLUMNS.iter().map(|(name, of, _)| Heading {
            name: (*name).to_owned(),
            of: *of,
            looked_up: false,
        });
        let table = Table {
            columns: columns.collect(),
            parts: vec![Part::of(self.rows.finish())],
            by: None,
        };
        table.file(footer.key_values("streams"))
    }
}

/// Where a stream is in an object, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamPlace {
    /// Which.
    pub id: StreamId,
    /// The gzip members that its packets are in.
    pub range: Range,
    /// Its packets there.
    pub packets: u64,
    /// Earliest time of a packet, in nanoseconds since the Unix epoch.
    pub first: i64,
    /// Latest time of a packet.
    pub last: i64,
    /// Whether an earlier object (or row) has its beginning.
    pub continued_before: bool,
    /// Whether it went on when the object was sealed.
    pub continued_after: bool,
    /// Packets that are known to be missing.
    pub missing: u64,
    /// Since when it is whole, where its beginning is missing.
    pub truncated_before: Option<i64>,
}

/// Shows where each stream of an object is, in the order of the object, by the object's file. A row that has not all of
/// it is passed over.
///
/// # Errors
/// Where the file can't be read, or is of a later version.
pub fn stream_places(
    bucket: &Arc<dyn Bucket>,
    key: &str,
    size: u64,
    each: &mut dyn FnMut(&StreamPlace),
) -> Result<(), Error> {
    let Opened {
        remote, metadata, ..
    } = Opened::new(bucket, key, size, PageIndexPolicy::Skip)?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(remote.clone(), metadata);
    let schema = reader.parquet_schema();
    let asked = [
        "stream",
        "transport",
        "offset",
        "length",
        "packets",
        "first",
        "last",
        "continuedBefore",
        "continuedAfter",
        "missingPackets",
        "truncatedBefore",
    ];
    let columns = schema.columns().iter().enumerate();
    let leaves: Vec<usize> = columns
        .filter(|(_, column)| asked.contains(&column.name()))
        .map(|(at, _)| at)
        .collect();
    let groups = reader.metadata().row_groups().iter();
    let ranges = groups.flat_map(|group| {
        leaves.iter().map(|at| {
            let (start, length) = group.column(*at).byte_range();
            start..start + length
        })
    });
    remote.fetch_all(ranges.collect())?;
    let mask = ProjectionMask::leaves(schema, leaves.iter().copied());
    for rows in Batches::of(reader.with_projection(mask))? {
        let rows = rows?;
        let int = |name: &str, row: usize| -> Option<u64> {
            let column = rows.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
            column
                .is_valid(row)
                .then(|| column.value(row).try_into().ok())?
        };
        let time = |name: &str, row: usize| -> Option<i64> {
            let column = rows.column_by_name(name)?;
            let column = column.as_primitive_opt::<TimestampNanosecondType>()?;
            column.is_valid(row).then(|| column.value(row))
        };
        // where it is not said, it may be
        let flag = |name: &str, row: usize| -> bool {
            let column = rows.column_by_name(name);
            let column = column.and_then(|column| column.as_boolean_opt());
            column.is_none_or(|of| !of.is_valid(row) || of.value(row))
        };
        let transports = rows
            .column_by_name("transport")
            .and_then(|column| column.as_string_opt::<i32>());
        for row in 0..rows.num_rows() {
            let udp = transports.is_some_and(|of| of.is_valid(row) && of.value(row) == "udp");
            let place = || {
                Some(StreamPlace {
                    id: StreamId {
                        number: int("stream", row)?,
                        udp,
                    },
                    range: Range {
                        offset: int("offset", row)?,
                        length: int("length", row)?,
                    },
                    packets: int("packets", row)?,
                    first: time("first", row)?,
                    last: time("last", row)?,
                    continued_before: flag("continuedBefore", row),
                    continued_after: flag("continuedAfter", row),
                    missing: int("missingPackets", row).unwrap_or(0),
                    truncated_before: time("truncatedBefore", row),
                })
            };
            if let Some(place) = place() {
                each(&place);
            }
        }
    }
    Ok(())
}

/// All rows of a file, in its order.
///
/// # Errors
/// Where the file can't be read, or a row lacks what every row has.
pub(crate) fn read_streams(
    bucket: &Arc<dyn Bucket>,
    key: &str,
    size: u64,
) -> Result<Vec<StreamRow>, Error> {
    let file = Opened::new(bucket, key, size, PageIndexPolicy::Skip)?;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file.remote, file.metadata);
    let mut all = Vec::new();
    for rows in Batches::of(reader)? {
        let rows = rows?;
        for row in 0..rows.num_rows() {
            let read = row_of(&rows, row);
            all.push(
                read.ok_or_else(|| Error::Damaged("a row lacks what every row has".to_owned()))?,
            );
        }
    }
    Ok(all)
}

fn row_of(rows: &RecordBatch, row: usize) -> Option<StreamRow> {
    let int = |name: &str| -> Option<i64> {
        let column = rows.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let uint = |name: &str| -> Option<u64> { int(name)?.try_into().ok() };
    let time = |name: &str| -> Option<i64> {
        let column = rows.column_by_name(name)?;
        let column = column.as_primitive_opt::<TimestampNanosecondType>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let text = |name: &str| -> Option<&str> {
        let column = rows.column_by_name(name)?.as_string_opt::<i32>()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let flag = |name: &str| -> Option<bool> {
        let column = rows.column_by_name(name)?.as_boolean_opt()?;
        column.is_valid(row).then(|| column.value(row))
    };
    let end = |ip: &str, port: &str| -> Option<(IpAddr, u16)> {
        Some((text(ip)?.parse().ok()?, int(port)?.try_into().ok()?))
    };
    let ends = end("src.ip", "src.port").zip(end("dst.ip", "dst.port"));
    Some(StreamRow {
        id: StreamId {
            number: uint("stream")?,
            udp: text("transport")? == "udp",
        },
        ends: ends.map(|(src, dst)| [src, dst]),
        range: Range {
            offset: uint("offset")?,
            length: uint("length")?,
        },
        packets: uint("packets")?,
        bytes: uint("bytes")?,
        first: time("first")?,
        last: time("last")?,
        continued_before: flag("continuedBefore")?,
        continued_after: flag("continuedAfter")?,
        missing: uint("missingPackets")?,
        truncated_before: time("truncatedBefore"),
    })
}
