//! Writing `entries/`.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use foldhash::fast::RandomState;
use gillnet_entry::{End, Entry, Name, ProtocolInfo, Transport};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::PageIndexPolicy;

use super::columns::{BASE, Base, Own, Type, own};
use super::table::{Column, Heading, Part, Table};
use super::values::Values;
use super::{Batches, Error, Footer, FooterOf, Opened};
use crate::Bucket;

/// Which of a protocol's columns people look single values up in, by the ends of their names.
const LOOKED_UP: [&str; 3] = [".path", ".url", ".name"];

/// The rows of one file, as they come.
#[derive(Default)]
pub struct EntriesWriter {
    protocols: Vec<Protocol>,
    parties: Parties,
}

/// The rows of a protocol.
struct Protocol {
    /// Its place in the registry.
    number: u8,
    /// Which of the parties each row has.
    parties: Vec<u32>,
    /// Columns that every entry has, but for those that are shared.
    base: Vec<Values>,
    own: Vec<(Own, Values)>,
}

/// Who speaks, and how: each once, since many entries share it.
struct Parties {
    known: HashMap<Party, u32, RandomState>,
    columns: Vec<Values>,
}

struct Party {
    ends: [(IpAddr, u16, Arc<Name>); 2],
    info: &'static ProtocolInfo,
    transport: Transport,
    tls: bool,
}

impl std::fmt::Debug for EntriesWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows: usize = self.protocols.iter().map(|of| of.parties.len()).sum();
        f.debug_struct("EntriesWriter")
            .field("rows", &rows)
            .finish_non_exhaustive()
    }
}

fn columns(shared: bool) -> impl Iterator<Item = &'static Base> {
    BASE.iter().filter(move |column| column.shared == shared)
}

impl Party {
    fn of(entry: &Entry<'_>) -> Self {
        let end = |end: &End<'_>| (end.ip, end.port, Arc::clone(end.name));
        let common = entry.common;
        Self {
            ends: [end(&common.src), end(&common.dst)],
            info: common.info,
            transport: common.transport,
            tls: common.tls,
        }
    }

    /// What makes it another; a name is the same where it is in the same place.
    fn key(&self) -> impl Hash + PartialEq + use<> {
        let [src, dst] = self
            .ends
            .each_ref()
            .map(|(ip, port, name)| (*ip, *port, Arc::as_ptr(name)));
        let info = std::ptr::from_ref(self.info);
        (src, dst, info, self.transport == Transport::Udp, self.tls)
    }
}

impl PartialEq for Party {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Party {}

impl Hash for Party {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl Default for Parties {
    fn default() -> Self {
        Self {
            known: HashMap::default(),
            columns: columns(true).map(|column| Values::new(column.of)).collect(),
        }
    }
}

impl Parties {
    fn number(&mut self, entry: &Entry<'_>) -> u32 {
        let next = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        let number = *self.known.entry(Party::of(entry)).or_insert(next);
        if number == next {
            for (column, values) in columns(true).zip(&mut self.columns) {
                values.push((column.get)(entry));
            }
        }
        number
    }
}

impl Protocol {
    fn new(entry: &Entry<'_>) -> Self {
        Self {
            number: entry.protocol,
            parties: Vec::new(),
            base: columns(false)
                .map(|column| Values::new(column.of))
                .collect(),
            own: own(entry.record.schema())
                .map(|own| {
                    let of = own.of;
                    (own, Values::new(of))
                })
                .collect(),
        }
    }
}

impl EntriesWriter {
    /// No rows yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an entry.
    pub fn add(&mut self, entry: &Entry<'_>) {
        let party = self.parties.number(entry);
        let protocol = self.protocol(entry);
        protocol.parties.push(party);
        for (column, values) in columns(false).zip(&mut protocol.base) {
            values.push((column.get)(entry));
        }
        for (column, values) in &mut protocol.own {
            values.push(entry.own(column.field));
        }
    }

    fn protocol(&mut self, entry: &Entry<'_>) -> &mut Protocol {
        let known = self.protocols.iter();
        let at = known
            .clone()
            .position(|known| known.number == entry.protocol);
        let at = at.unwrap_or_else(|| {
            self.protocols.push(Protocol::new(entry));
            self.protocols.len() - 1
        });
        &mut self.protocols[at]
    }

    /// All rows: a protocol's behind the other's, in the order of time.
    #[must_use]
    pub fn finish(mut self) -> Entries {
        // whichever came first, a file's columns have the same order
        self.protocols.sort_by_key(|protocol| protocol.number);
        let own = self.protocols.iter().flat_map(|protocol| &protocol.own);
        let own = own.map(|(column, _)| (column.name.clone(), column.of));
        let columns: Vec<_> = base_columns().chain(own).collect();
        let shared = Arc::new(self.parties.columns);
        let mut parts = Vec::new();
        // where the columns of the protocol begin among all
        let mut begin = BASE.len();
        for protocol in self.protocols {
            let end = begin + protocol.own.len();
            let rows = protocol.parties.len();
            let nulls = |(_, of): &(String, Type)| Column::Own(Values::nulls(*of, rows));
            let (mut base, mut of_party) = (protocol.base.into_iter(), 0..);
            let base = BASE.iter().filter_map(|column| {
                if column.shared {
                    of_party.next().map(Column::Shared)
                } else {
                    base.next().map(Column::Own)
                }
            });
            let own = protocol.own.into_iter();
            let of_file = base
                .chain(columns[BASE.len()..begin].iter().map(nulls))
                .chain(own.map(|(_, values)| Column::Own(values)))
                .chain(columns[end..].iter().map(nulls));
            parts.push(Part {
                columns: of_file.collect(),
                sharers: protocol.parties,
                shared: Arc::clone(&shared),
            });
            begin = end;
        }
        Entries(table(columns, parts))
    }
}

fn base_columns() -> impl Iterator<Item = (String, Type)> {
    BASE.iter()
        .map(|column| (column.name.to_owned(), column.of))
}

/// All rows of a file, and what its footer says.
///
/// # Errors
/// Where the file can't be read.
pub(crate) fn read_entries(
    bucket: &Arc<dyn Bucket>,
    key: &str,
    size: u64,
) -> Result<(Vec<RecordBatch>, FooterOf), Error> {
    let file = Opened::new(bucket, key, size, PageIndexPolicy::Skip)?;
    let footer = file.footer;
    let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file.remote, file.metadata);
    let mut batches = vec![RecordBatch::new_empty(reader.schema().clone())];
    for rows in Batches::of(reader)? {
        batches.push(rows?);
    }
    Ok((batches, footer))
}

/// The rows of one file.
#[derive(Clone, Debug)]
pub struct Entries(Table);

impl Default for Entries {
    /// No rows.
    fn default() -> Self {
        Self(table(base_columns().collect(), Vec::new()))
    }
}

fn table(columns: Vec<(String, Type)>, parts: Vec<Part>) -> Table {
    let columns = columns.into_iter().map(|(name, of)| Heading {
        looked_up: is_looked_up(&name),
        name,
        of,
    });
    Table {
        columns: columns.collect(),
        parts,
        by: Some("timestamp"),
    }
}

impl Entries {
    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.parts.iter().map(|part| part.len() as u64).sum()
    }

    /// The rows of several files. A column that one of them lacks is null there.
    ///
    /// # Errors
    /// Where a column has another type in another file, or is not one of ours.
    pub(crate) fn merge(files: &[RecordBatch]) -> Result<Self, Error> {
        let damaged = |what: String| Error::Damaged(what);
        let mut columns: Vec<(String, Type)> = Vec::new();
        for schema in files.iter().map(RecordBatch::schema) {
            let mut behind = 0;
            for field in schema.fields() {
                let name = field.name();
                let of = Type::of_arrow(field.data_type()).ok_or_else(|| {
                    damaged(format!("column {name} is of type {}", field.data_type()))
                })?;
                match columns.iter().position(|(known, _)| known == name) {
                    Some(at) if columns[at].1 == of => behind = at + 1,
                    Some(at) => {
                        let other = columns[at].1;
                        return Err(damaged(format!(
                            "column {name} is of type {of:?} here, and {other:?} elsewhere"
                        )));
                    }
                    None => {
                        columns.insert(behind, (name.clone(), of));
                        behind += 1;
                    }
                }
            }
        }
        // in the order of their first rows
        let mut of_protocol: Vec<(String, Vec<Values>)> = Vec::new();
        for batch in files {
            if batch.num_rows() == 0 {
                continue;
            }
            let names = batch.column_by_name("protocol");
            let names = names.and_then(|column| column.as_string_opt::<i32>());
            let names = names.ok_or_else(|| damaged("it has no protocols".to_owned()))?;
            if !batch.column_by_name("timestamp").is_some_and(|column| {
                column
                    .as_primitive_opt::<TimestampNanosecondType>()
                    .is_some()
            }) {
                return Err(damaged("it has no times".to_owned()));
            }
            let mut rows: Vec<(&str, Vec<usize>)> = Vec::new();
            for (row, name) in names.iter().enumerate() {
                let name = name.unwrap_or_default();
                match rows.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, rows)) => rows.push(row),
                    None => rows.push((name, vec![row])),
                }
            }
            for (name, rows) in rows {
                let at = of_protocol.iter().position(|(known, _)| known == name);
                let at = at.unwrap_or_else(|| {
                    let empty = columns.iter().map(|(_, of)| Values::new(*of));
                    of_protocol.push((name.to_owned(), empty.collect()));
                    of_protocol.len() - 1
                });
                let values = columns.iter().zip(&mut of_protocol[at].1);
                for ((name, _), values) in values {
                    values.extend(batch.column_by_name(name), &rows);
                }
            }
        }
        let parts = of_protocol.into_iter();
        let parts = parts.map(|(_, values)| Part::of(values)).collect();
        Ok(Self(table(columns, parts)))
    }

    /// The file: row groups of one protocol each, so that a question that can't be about a protocol passes over it.
    ///
    /// # Errors
    /// Those of Parquet.
    pub fn file(&self, footer: &Footer<'_>) -> Result<Vec<u8>, Error> {
        self.0.file(footer.key_values("entries"))
    }
}

/// Whether people look single values of a column up.
fn is_looked_up(column: &str) -> bool {
    let base = BASE.iter().find(|base| base.name == column);
    base.map_or_else(
        || LOOKED_UP.iter().any(|end| column.ends_with(end)),
        |base| base.looked_up,
    )
}
