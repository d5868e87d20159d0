//! Writing `entries/`.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use foldhash::fast::RandomState;
use gillnet_entry::{End, Entry, Name, ProtocolInfo, Transport, show_value};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::metadata::PageIndexPolicy;

use super::columns::{BASE, Base, Own, Row, Type, own, place, show_unshared};
use super::table::{Column, Heading, Part, Table};
use super::values::{Columns, RowWriter};
use super::{Batches, Error, Footer, FooterOf, Opened};
use crate::Bucket;

/// Which of a protocol's columns people look single values up in, by the ends of their names.
const LOOKED_UP: [&str; 3] = [".path", ".url", ".name"];

/// Streams whose party is found at once.
const RECENT: usize = 64;

/// The rows of one file, as they come.
#[derive(Clone, Default)]
pub struct EntriesWriter {
    protocols: Vec<Protocol>,
    parties: Parties,
}

/// The rows of a protocol.
#[derive(Clone)]
struct Protocol {
    /// Its place in the registry.
    number: u8,
    /// Which of the parties each row has.
    parties: Vec<u32>,
    /// The fields that have a column.
    own: Arc<[Own]>,
    /// Which of these columns says what a list shows as the summary, and as the method.
    summary: Option<usize>,
    method: Option<usize>,
    /// Columns that every entry has, but for those that are shared, and behind them those that have values of their own.
    rows: RowWriter,
}

/// Who speaks, and how: each once, since many entries share it.
#[derive(Clone)]
struct Parties {
    known: HashMap<Party, u32, RandomState>,
    /// Of streams that had an entry lately.
    recent: Vec<Option<Recent>>,
    rows: RowWriter,
}

/// The party of a stream's entries that go out from one end.
#[derive(Clone, Copy)]
struct Recent {
    of: (u64, u16, IpAddr),
    info: &'static ProtocolInfo,
    number: u32,
}

#[derive(Clone)]
struct Party {
    ends: [(IpAddr, u16, Arc<Name>); 2],
    info: &'static ProtocolInfo,
    transport: Transport,
    tls: bool,
}

impl std::fmt::Debug for EntriesWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntriesWriter").finish_non_exhaustive()
    }
}

/// The columns that entries of a stream share, or the others.
fn columns(shared: bool) -> &'static [&'static Base] {
    static SHARED: LazyLock<[Vec<&Base>; 2]> = LazyLock::new(|| {
        [false, true].map(|shared| BASE.iter().filter(|base| base.shared == shared).collect())
    });
    &SHARED[usize::from(shared)]
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
            recent: Vec::new(),
            rows: RowWriter::new(columns(true).iter().map(|column| column.of)),
        }
    }
}

impl Parties {
    fn number(&mut self, row: &Row<'_, '_>) -> u32 {
        let common = row.entry.common;
        // names of a stream's ends stay as they are
        let of = (common.stream, common.src.port, common.src.ip);
        let at = (common.stream % RECENT as u64) as usize;
        if let Some(Some(recent)) = self.recent.get(at)
            && recent.of == of
            && std::ptr::eq(recent.info, common.info)
        {
            return recent.number;
        }
        let (number, is_new) = self.place(&Party::of(row.entry));
        if is_new {
            self.rows.begin_row();
            let mut shown = self.rows.from(0);
            for column in columns(true) {
                show_value(&mut shown, (column.get)(row));
            }
        }
        self.recent.resize(RECENT, None);
        self.recent[at] = Some(Recent {
            of,
            info: common.info,
            number,
        });
        number
    }

    fn place(&mut self, party: &Party) -> (u32, bool) {
        if let Some(known) = self.known.get(party) {
            return (*known, false);
        }
        let number = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.known.insert(party.clone(), number);
        (number, true)
    }
}

impl Protocol {
    fn new(entry: &Entry<'_>) -> Self {
        let schema = entry.record.schema();
        let own: Arc<[Own]> = own(schema).collect();
        let base = columns(false).iter().map(|column| column.of);
        let of_own = own.iter().filter(|own| own.same_as.is_none());
        Self {
            number: entry.protocol,
            parties: Vec::new(),
            rows: RowWriter::new(base.chain(of_own.map(|own| own.of))),
            summary: place(schema, schema.shown.summary),
            method: place(schema, schema.shown.method),
            own,
        }
    }

    /// Where the values of each column of a file stand among those of its rows, or of its parties: of the columns that
    /// every entry has, and of its own.
    fn columns(&self) -> (Vec<Column>, Vec<Column>) {
        let (mut of_rows, mut of_party) = (0.., 0..);
        let base = BASE.iter().filter_map(|column| {
            if column.shared {
                of_party.next().map(Column::Shared)
            } else {
                of_rows.next().map(Column::Own)
            }
        });
        let mut base: Vec<Column> = base.collect();
        let mut own: Vec<Column> = Vec::with_capacity(self.own.len());
        for column in &*self.own {
            let same = column.same_as.and_then(|same| own.get(same).copied());
            own.extend(same.or_else(|| of_rows.next().map(Column::Own)));
        }
        for (name, says) in [("summary", self.summary), ("method", self.method)] {
            let of_base = BASE.iter().position(|column| column.name == name);
            if let (Some(of_base), Some(says)) = (of_base, says) {
                base[of_base] = own[says];
            }
        }
        (base, own)
    }
}

impl EntriesWriter {
    /// No rows yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.protocols.is_empty()
    }

    /// Adds an entry.
    pub fn add(&mut self, entry: &Entry<'_>) {
        let Self { protocols, parties } = self;
        let known = protocols.iter().position(|of| of.number == entry.protocol);
        let known = known.unwrap_or_else(|| {
            protocols.push(Protocol::new(entry));
            protocols.len() - 1
        });
        let Protocol {
            rows,
            parties: sharers,
            summary,
            method,
            ..
        } = &mut protocols[known];
        rows.begin_row();
        let mut own = rows.from(columns(false).len());
        let mut shown = entry.record.row(&entry.ctx, &mut own);
        if summary.is_some() {
            shown.summary = "";
        }
        if method.is_some() {
            shown.method = "";
        }
        let row = Row { entry, shown };
        let mut base = rows.from(0);
        show_unshared(&row, &mut base);
        sharers.push(parties.number(&row));
    }

    /// All rows: a protocol's behind the other's, in the order of time.
    #[must_use]
    pub fn finish(mut self) -> Entries {
        self.protocols.retain(|of| !of.parties.is_empty());
        // whichever came first, a file's columns have the same order
        self.protocols.sort_by_key(|protocol| protocol.number);
        let own = self.protocols.iter().flat_map(|protocol| &*protocol.own);
        let own = own.map(|column| (column.name.clone(), column.of));
        let columns: Vec<_> = base_columns().chain(own).collect();
        let shared = Arc::new(self.parties.rows.finish());
        let mut parts = Vec::new();
        // where the columns of the protocol begin among all
        let mut begin = BASE.len();
        for protocol in self.protocols {
            let end = begin + protocol.own.len();
            let (mut of_file, own) = protocol.columns();
            of_file.resize(begin, Column::Null);
            of_file.extend(own);
            of_file.resize(columns.len(), Column::Null);
            parts.push(Part {
                columns: of_file,
                own: protocol.rows.finish(),
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
        let mut of_protocol: Vec<(String, Columns)> = Vec::new();
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
                    let empty = Columns::new(columns.iter().map(|(_, of)| *of));
                    of_protocol.push((name.to_owned(), empty));
                    of_protocol.len() - 1
                });
                let to = &mut of_protocol[at].1;
                for (column, (name, _)) in columns.iter().enumerate() {
                    to.extend(column, batch.column_by_name(name), &rows);
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
