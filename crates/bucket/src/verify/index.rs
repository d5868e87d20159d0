//! Checks the files of an index.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::PageIndexPolicy;

use super::{Check, DAMAGED, File, LATER, MAX_SOUGHT, Packets, Sought};
use crate::Bucket;
use crate::index::{Batches, Beside, Error, Opened, check_sum};
use crate::packets::StreamId;

/// Rows that are unpacked at a time.
const ROWS: usize = 8 << 10;
const ANEW: &str = "delete its files in streams/ and entries/: its packets are read without them";

/// Opens a file with all that its footer says.
fn open(bucket: &Arc<dyn Bucket>, file: &File) -> Result<Opened, Error> {
    Opened::new(bucket, &file.key, file.size, PageIndexPolicy::Optional)
}

impl Opened {
    /// Shows its rows with these columns, each some with the number of their row group.
    fn rows(
        &self,
        columns: &[&str],
        mut each: impl FnMut(usize, &RecordBatch) -> Result<(), String>,
    ) -> Result<(), String> {
        let schema = self.metadata.parquet_schema();
        let all = schema.columns().iter().enumerate();
        let leaves = all.filter(|(_, column)| columns.contains(&column.name()));
        let mask = ProjectionMask::leaves(schema, leaves.map(|(at, _)| at).collect::<Vec<_>>());
        for group in 0..self.metadata.metadata().num_row_groups() {
            let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(
                self.remote.clone(),
                self.metadata.clone(),
            );
            let reader = reader
                .with_row_groups(vec![group])
                .with_projection(mask.clone())
                .with_batch_size(ROWS);
            for rows in Batches::of(reader).map_err(|error| error.to_string())? {
                each(group, &rows.map_err(|error| error.to_string())?)?;
            }
            self.remote.forget();
        }
        Ok(())
    }
}

fn int(rows: &RecordBatch, name: &str, row: usize) -> Option<u64> {
    let column = rows.column_by_name(name)?.as_primitive_opt::<Int64Type>()?;
    column
        .is_valid(row)
        .then(|| column.value(row).try_into().ok())?
}

fn time(rows: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let column = rows.column_by_name(name)?;
    let column = column.as_primitive_opt::<TimestampNanosecondType>()?;
    column.is_valid(row).then(|| column.value(row))
}

fn stream(rows: &RecordBatch, row: usize) -> Option<StreamId> {
    let transport = rows.column_by_name("transport")?.as_string_opt::<i32>()?;
    Some(StreamId {
        number: int(rows, "stream", row)?,
        udp: transport.is_valid(row) && transport.value(row) == "udp",
    })
}

/// Shows the streams that a file of `streams/` has.
pub(super) fn each_stream(
    bucket: &Arc<dyn Bucket>,
    file: &File,
    mut each: impl FnMut(StreamId),
) -> Result<(), String> {
    let index = open(bucket, file).map_err(|error| error.to_string())?;
    index.rows(&["stream", "transport"], |_, rows| {
        (0..rows.num_rows())
            .filter_map(|row| stream(rows, row))
            .for_each(&mut each);
        Ok(())
    })
}

/// A stream's rows, together.
#[derive(Default)]
struct Rows {
    packets: u64,
    bytes: u64,
    first: i64,
    last: i64,
    ranges: Vec<(u64, u64)>,
}

impl Check<'_> {
    /// Opens a file, and checks its bytes and its footer: its SHA-256, and the files that it names.
    fn index(&mut self, file: &File, kind: &str) -> Option<(Opened, String, Vec<Beside>)> {
        let read = (|| {
            // first of all: in bytes that are not those that were written anything may stand
            let (sum, is_known) = check_sum(&**self.bucket, &file.key, file.size)?;
            let index = open(self.bucket, file)?;
            if !is_known {
                let why = "its footer does not say its SHA-256";
                return Err(Error::Damaged(why.to_owned()));
            }
            Ok::<_, Error>((index, sum))
        })();
        let (index, sum) = match read {
            Ok(read) => read,
            Err(error @ Error::Later(_)) => {
                self.finding(&file.key, error, LATER);
                return None;
            }
            Err(error) => {
                self.finding(&file.key, error, DAMAGED);
                return None;
            }
        };
        let footer = &index.footer;
        if !footer.is_of(&file.name, kind) {
            let mend = "give it back the name that it had";
            self.finding(
                &file.key,
                "its footer says that it is another object's",
                mend,
            );
        }
        let beside = footer.beside();
        if beside.is_none() {
            self.finding(
                &file.key,
                "what its footer says of gillnet.files can't be read",
                DAMAGED,
            );
        }
        Some((index, sum, beside.unwrap_or_default()))
    }

    /// Checks a file of `streams/` against the packets.
    pub(super) fn streams(
        &mut self,
        file: &File,
        packets: Option<&Packets>,
    ) -> Option<(String, Vec<Beside>)> {
        let (index, sum, beside) = self.index(file, "streams")?;
        let mut found: HashMap<StreamId, Rows> = HashMap::new();
        let columns = [
            "stream",
            "transport",
            "offset",
            "length",
            "packets",
            "bytes",
            "first",
            "last",
        ];
        let read = index.rows(&columns, |_, rows| {
            for row in 0..rows.num_rows() {
                let of = |name| int(rows, name, row).ok_or_else(|| format!("a row has no {name}"));
                let at = |name| time(rows, name, row).ok_or_else(|| format!("a row has no {name}"));
                let id = stream(rows, row).ok_or("a row has no stream")?;
                let (first, last) = (at("first")?, at("last")?);
                let known = found.entry(id).or_insert(Rows {
                    first,
                    last,
                    ..Rows::default()
                });
                known.packets += of("packets")?;
                known.bytes += of("bytes")?;
                (known.first, known.last) = (known.first.min(first), known.last.max(last));
                known
                    .ranges
                    .push((of("offset")?, of("offset")?.saturating_add(of("length")?)));
            }
            Ok(())
        });
        if let Err(why) = read {
            self.finding(&file.key, format!("can't be read: {why}"), DAMAGED);
            return Some((sum, beside));
        }
        let Some(packets) = packets else {
            return Some((sum, beside));
        };
        let wrong = found
            .iter()
            .filter_map(|(id, rows)| Some((*id, rows.wrong(*id, packets)?)));
        let lacking = packets.streams.keys().filter(|id| !found.contains_key(id));
        let lacking = lacking.map(|id| (*id, "it is in the packets, and has no row".to_owned()));
        let mut all: Vec<_> = wrong.chain(lacking).collect();
        all.sort();
        if let Some((id, why)) = all.first() {
            let what = format!(
                "{} of its streams are not as in the packets: {id}: {why}",
                all.len()
            );
            self.finding(&file.key, what, ANEW);
        }
        Some((sum, beside))
    }

    /// Checks a file of `entries/`; `None` where nothing is known of it.
    pub(super) fn entries(
        &mut self,
        file: &File,
        packets: Option<&Packets>,
        sought: &mut Sought,
    ) -> Option<Vec<Beside>> {
        let (index, _, beside) = self.index(file, "entries")?;
        // a group has the entries of one protocol, and these have an order
        let (mut last, mut unsorted, mut outside, mut count) = ((0, i64::MIN), 0_u64, 0_u64, 0_u64);
        let mut places: HashSet<(StreamId, u64)> = HashSet::new();
        let mut twice = 0_u64;
        let hour = file.name.hour;
        let read = index.rows(
            &["timestamp", "stream", "transport", "index"],
            |group, rows| {
                for row in 0..rows.num_rows() {
                    count += 1;
                    let ts = time(rows, "timestamp", row).ok_or("an entry has no time")?;
                    let id = stream(rows, row).ok_or("an entry has no stream")?;
                    let index = int(rows, "index", row).ok_or("an entry has no position")?;
                    unsorted += u64::from((group, ts) < last);
                    last = (group, ts);
                    outside += u64::from(crate::layout::Hour::of(ts) != hour);
                    twice += u64::from(!places.insert((id, index)));
                    let here = packets.is_some_and(|packets| packets.streams.contains_key(&id));
                    if !here && sought.len() < MAX_SOUGHT {
                        *sought
                            .entry(id)
                            .or_default()
                            .entry(file.key.clone())
                            .or_default() += 1;
                    }
                }
                Ok(())
            },
        );
        self.so_far.entries += count;
        if let Err(why) = read {
            self.finding(&file.key, format!("can't be read: {why}"), DAMAGED);
        }
        if unsorted > 0 {
            self.finding(
                &file.key,
                format!("{unsorted} entries are not in the order of time"),
                ANEW,
            );
        }
        if outside > 0 {
            self.finding(
                &file.key,
                format!("{outside} entries are of another hour"),
                ANEW,
            );
        }
        if twice > 0 {
            self.finding(&file.key, format!("{twice} entries are there twice"), ANEW);
        }
        Some(beside)
    }
}

impl Rows {
    /// What is wrong with the rows of a stream.
    fn wrong(&self, id: StreamId, packets: &Packets) -> Option<String> {
        let Some(is) = packets.streams.get(&id) else {
            return Some("it has a row, and no packet".to_owned());
        };
        let pairs = [
            ("packets", self.packets, is.packets),
            ("bytes", self.bytes, is.bytes),
        ];
        for (of, says, is) in pairs {
            if says != is && !(of == "bytes" && packets.is_other) {
                return Some(format!("the row says {says} {of}, there are {is}"));
            }
        }
        if (self.first, self.last) != (is.first, is.last) {
            return Some("its first or last packet has another time".to_owned());
        }
        let edges = |at: &u64| packets.members.binary_search(at).is_ok();
        if !self
            .ranges
            .iter()
            .all(|(from, to)| edges(from) && edges(to) && from < to)
        {
            return Some("its range does not begin and end with a gzip member or block".to_owned());
        }
        let within = |at: &u64| {
            self.ranges
                .iter()
                .any(|(from, to)| (from..to).contains(&at))
        };
        if !is.members.iter().all(within) {
            return Some("it has packets outside of its range".to_owned());
        }
        let used = |(from, to): &(u64, u64)| is.members.iter().any(|at| (from..to).contains(&at));
        (!self.ranges.iter().all(used)).then(|| "a range of it has none of its packets".to_owned())
    }
}
