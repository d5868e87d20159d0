//! Rows of `entries/` read back as entries: all but their bodies, and headers.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampNanosecondType};
use arrow_array::{
    Array, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampNanosecondArray,
};
use gillnet_entry::json::Members;
use gillnet_entry::{
    Bump, Bytes, Common, Ctx, End, Entry, Fault, FaultKind, Mechanism, Name, Nothing, Origin,
    ProtocolInfo, Record, Schema, Transport, Value,
};
use gillnet_kfl::rows::{Column, Row};
use gillnet_kfl::{NamePart, Side};

use super::aggregate::Scalar;
use super::columns::own;

/// A protocol as it is known here.
#[derive(Clone, Copy, Debug)]
pub struct KnownProtocol {
    /// Its place in the registry.
    pub number: u8,
    /// Its field table.
    pub schema: &'static Schema,
    /// How its entries may be shown.
    pub infos: &'static [&'static ProtocolInfo],
}

/// A column's values.
enum Values {
    Int(Int64Array),
    Double(Float64Array),
    Bool(BooleanArray),
    Text(StringArray),
    Time(TimestampNanosecondArray),
    /// The same in each row.
    Only(Scalar),
}

impl Values {
    /// Those of an array; `None` where it is none of a column's types.
    fn of(array: &dyn Array) -> Option<Values> {
        Some(if let Some(array) = array.as_primitive_opt::<Int64Type>() {
            Values::Int(array.clone())
        } else if let Some(array) = array.as_primitive_opt::<Float64Type>() {
            Values::Double(array.clone())
        } else if let Some(array) = array.as_boolean_opt() {
            Values::Bool(array.clone())
        } else if let Some(array) = array.as_string_opt::<i32>() {
            Values::Text(array.clone())
        } else {
            Values::Time(array.as_primitive_opt::<TimestampNanosecondType>()?.clone())
        })
    }

    fn get(&self, row: usize) -> Value<'_> {
        match self {
            Values::Int(a) if a.is_valid(row) => Value::Int(a.value(row)),
            Values::Double(a) if a.is_valid(row) => Value::Double(a.value(row)),
            Values::Bool(a) if a.is_valid(row) => Value::Bool(a.value(row)),
            Values::Text(a) if a.is_valid(row) => Value::Str(a.value(row)),
            Values::Time(a) if a.is_valid(row) => Value::Time(a.value(row)),
            Values::Only(value) => value.value(),
            _ => Value::Missing,
        }
    }
}

/// Rows that were read, with the columns that were asked for.
#[derive(Default)]
pub(super) struct Batch {
    /// By name.
    base: HashMap<&'static str, Values>,
    /// By protocol, then by field.
    own: HashMap<(u8, u16), Values>,
    /// What each row's entry is; nothing where its protocol is not known here.
    kinds: Vec<Option<Kind>>,
}

/// What an entry is.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) protocol: KnownProtocol,
    pub(super) info: &'static ProtocolInfo,
}

impl Kind {
    /// What the columns of [`KIND`] say; nothing where that protocol is not known here.
    pub(super) fn of([name, abbr, version]: [&str; 3], known: &[KnownProtocol]) -> Option<Kind> {
        let protocol = *known.iter().find(|p| p.schema.name == name)?;
        let same = |info: &&&ProtocolInfo| info.abbr == abbr && info.version == version;
        let info = protocol
            .infos
            .iter()
            .find(same)
            .or(protocol.infos.first())?;
        Some(Kind { protocol, info })
    }
}

/// Names, each once, so that rows share them.
#[derive(Default)]
pub(super) struct NamePool {
    known: HashSet<Arc<Name>>,
    nameless: Arc<Name>,
}

impl NamePool {
    fn get(&mut self, name: Name) -> Arc<Name> {
        if name == *self.nameless {
            return Arc::clone(&self.nameless);
        }
        match self.known.get(&name) {
            Some(known) => Arc::clone(known),
            None => {
                let name = Arc::new(name);
                self.known.insert(Arc::clone(&name));
                name
            }
        }
    }
}

/// The columns that say what an entry is.
pub(super) const KIND: [&str; 3] = ["protocol", "protocol.abbr", "protocol.version"];

impl Batch {
    /// Takes rows, and the columns that have the same value in each.
    pub(super) fn new(
        rows: &RecordBatch,
        same: &HashMap<String, Scalar>,
        known: &[KnownProtocol],
    ) -> Batch {
        let schema = rows.schema();
        let values = |name: &str| match same.get(name) {
            Some(value) => Some(Values::Only(value.clone())),
            None => Values::of(rows.column_by_name(name)?),
        };
        let mut base = HashMap::new();
        for column in super::columns::BASE {
            if let Some(values) = values(column.name) {
                base.insert(column.name, values);
            }
        }
        let mut columns = HashMap::new();
        for protocol in known {
            let prefix = format!("{}.", protocol.schema.name);
            let read = schema.fields().iter().map(|field| field.name());
            if !read
                .chain(same.keys())
                .any(|name| name.starts_with(&prefix))
            {
                continue;
            }
            for column in own(protocol.schema) {
                if let Some(values) = values(&column.name) {
                    columns.insert((protocol.number, column.field), values);
                }
            }
        }
        let mut batch = Batch {
            base,
            own: columns,
            kinds: Vec::new(),
        };
        batch.kinds = (0..rows.num_rows())
            .map(|row| batch.kind(row, known))
            .collect();
        batch
    }

    fn kind(&self, row: usize, known: &[KnownProtocol]) -> Option<Kind> {
        Kind::of(KIND.map(|column| self.text(column, row)), known)
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.kinds.len()
    }

    /// A row as a filter asks it; nothing where its protocol is not known here.
    pub(super) fn asked<'v>(
        &'v self,
        row: usize,
        entry: &'v Entry<'v>,
        arena: &'v Bump,
    ) -> Option<Asked<'v>> {
        Some(Asked {
            batch: self,
            row,
            kind: (*self.kinds.get(row)?)?,
            common: entry.common,
            ctx: Ctx {
                store: &Nothing,
                arena,
            },
        })
    }

    fn value(&self, name: &str, row: usize) -> Value<'_> {
        self.base
            .get(name)
            .map_or(Value::Missing, |values| values.get(row))
    }

    fn text(&self, name: &str, row: usize) -> &str {
        self.value(name, row).as_str().unwrap_or_default()
    }

    fn int(&self, name: &str, row: usize) -> Option<i64> {
        match self.value(name, row) {
            Value::Int(n) | Value::Time(n) => Some(n),
            _ => None,
        }
    }

    fn bool(&self, name: &str, row: usize) -> bool {
        self.value(name, row) == Value::Bool(true)
    }

    /// Which stream and position a row's entry has.
    pub(super) fn place(&self, row: usize) -> (crate::packets::StreamId, u32) {
        let id = crate::packets::StreamId {
            number: self
                .int("stream", row)
                .and_then(|n| n.try_into().ok())
                .unwrap_or(0),
            udp: self.text("transport", row) == "udp",
        };
        let index = self.int("index", row).and_then(|n| n.try_into().ok());
        (id, index.unwrap_or(0))
    }

    pub(super) fn time(&self, row: usize) -> i64 {
        self.int("timestamp", row).unwrap_or(0)
    }

    fn name(&self, side: &[&str; 6], row: usize, pool: &mut NamePool) -> Arc<Name> {
        let [name, namespace, pod, service, dns, mechanism] =
            side.map(|column| self.text(column, row));
        pool.get(Name {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            service: service.to_owned(),
            dns: dns.to_owned(),
            mechanism: MECHANISMS
                .into_iter()
                .find(|known| known.name() == mechanism)
                .unwrap_or_default(),
            since: 0,
            workload: None,
        })
    }

    /// Shows a row as an entry; nothing where its protocol is not known here.
    pub(super) fn with<T>(
        self: &Arc<Self>,
        row: usize,
        origin: &Origin,
        pool: &mut NamePool,
        arena: &Bump,
        read: impl FnOnce(&Entry<'_>) -> T,
    ) -> Option<T> {
        let kind = (*self.kinds.get(row)?)?;
        let ends = [&SRC, &DST].map(|side| self.name(&side.names, row, pool));
        let end = |side: &SideColumns, name| End {
            ip: self
                .text(side.ip, row)
                .parse()
                .unwrap_or([0, 0, 0, 0].into()),
            port: self
                .int(side.port, row)
                .and_then(|n| n.try_into().ok())
                .unwrap_or(0),
            name,
        };
        let (id, index) = self.place(row);
        let ts = self.time(row);
        let size = |name| {
            self.int(name, row)
                .and_then(|n| n.try_into().ok())
                .unwrap_or(0)
        };
        let common = Common {
            origin,
            stream: id.number,
            transport: if id.udp {
                Transport::Udp
            } else {
                Transport::Tcp
            },
            index,
            info: kind.info,
            tls: self.bool("tls", row),
            src: end(&SRC, &ends[0]),
            dst: end(&DST, &ends[1]),
            ts,
            end_ts: self
                .int("elapsedTime", row)
                .map(|us| ts.saturating_add(us.saturating_mul(1000))),
            request_size: size("requestSize"),
            response_size: size("responseSize"),
            fault: fault(self.text("error.type", row), self.text("error.msg", row)),
            missing: size("missingBytes"),
            truncated_before: self.int("truncatedBefore", row),
            passed: false,
            failed: false,
            record: &origin.recording,
        };
        let record = StoredRecord {
            batch: Arc::clone(self),
            row,
            kind,
        };
        Some(read(&Entry {
            common: &common,
            protocol: kind.protocol.number,
            record: &record,
            ctx: Ctx {
                store: &Nothing,
                arena,
            },
        }))
    }
}

const MECHANISMS: [Mechanism; 4] = [
    Mechanism::Ip,
    Mechanism::IpAndPort,
    Mechanism::Dns,
    Mechanism::HttpHeader,
];

struct SideColumns {
    ip: &'static str,
    port: &'static str,
    names: [&'static str; 6],
}

static SRC: SideColumns = SideColumns {
    ip: "src.ip",
    port: "src.port",
    names: [
        "src.name",
        "src.namespace",
        "src.pod",
        "src.service",
        "src.dns",
        "src.resolutionMechanism",
    ],
};
static DST: SideColumns = SideColumns {
    ip: "dst.ip",
    port: "dst.port",
    names: [
        "dst.name",
        "dst.namespace",
        "dst.pod",
        "dst.service",
        "dst.dns",
        "dst.resolutionMechanism",
    ],
};

fn side_of(side: Side) -> &'static SideColumns {
    match side {
        Side::Src => &SRC,
        Side::Dst => &DST,
    }
}

/// What is wrong with an entry; the words are those of every entry with that fault.
fn fault(kind: &str, msg: &str) -> Option<Fault> {
    let kinds = [
        FaultKind::Dissection,
        FaultKind::Connection,
        FaultKind::Timeout,
        FaultKind::PairNotFound,
    ];
    let kind = kinds.into_iter().find(|known| known.name() == kind)?;
    Some(Fault {
        kind,
        msg: known_message(msg),
    })
}

/// A message that lives as long as the process: there are few of them, each as often as it is in the code of a
/// dissector.
pub(crate) fn known_message(text: &str) -> &'static str {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    const MOST: usize = 1000;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    match known.get(text) {
        Some(known) => known,
        None if known.len() < MOST => {
            let text: &'static str = Box::leak(text.into());
            known.insert(text);
            text
        }
        None => "",
    }
}

/// The protocol's part of a row.
#[derive(Clone)]
struct StoredRecord {
    batch: Arc<Batch>,
    row: usize,
    kind: Kind,
}

impl std::fmt::Debug for StoredRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredRecord")
            .field("protocol", &self.kind.info.abbr)
            .finish_non_exhaustive()
    }
}

impl Record for StoredRecord {
    fn schema(&self) -> &'static Schema {
        self.kind.protocol.schema
    }

    fn info(&self) -> &'static ProtocolInfo {
        self.kind.info
    }

    fn get<'a>(&'a self, field: u16, _: &Ctx<'a>) -> Value<'a> {
        let values = self.batch.own.get(&(self.kind.protocol.number, field));
        values.map_or(Value::Missing, |values| values.get(self.row))
    }

    /// What was read of a row: it has no bodies, and an entry that has packets is written from these.
    fn write_json<'a>(&'a self, ctx: &Ctx<'a>, members: &mut Members<'_>) {
        let fields = (0..).zip(self.schema().fields);
        let fields = fields.filter(|(_, field)| !field.json.is_empty());
        let fields = fields.map(|(at, field)| (field.json, self.get(at, ctx)));
        let there = fields.filter(|(_, value)| !matches!(value, Value::Missing));
        members.by_path(&there.collect::<Vec<_>>());
    }

    fn detach(&self, _: &dyn Bytes, _: usize) -> Box<dyn Record> {
        Box::new(self.clone())
    }

    fn summary<'a>(&'a self, _: &Ctx<'a>) -> &'a str {
        self.batch.text("summary", self.row)
    }

    fn method<'a>(&'a self, _: &Ctx<'a>) -> &'a str {
        self.batch.text("method", self.row)
    }

    fn status<'a>(&'a self, _: &Ctx<'a>) -> (&'a str, Option<i64>) {
        let code = self.batch.int("statusCode", self.row);
        (self.batch.text("status", self.row), code)
    }

    fn ok(&self, _: &Ctx<'_>) -> bool {
        self.batch.bool("ok", self.row)
    }
}

/// A row as a filter asks it.
pub(super) struct Asked<'v> {
    batch: &'v Batch,
    row: usize,
    kind: Kind,
    /// The entry that it shows.
    common: &'v Common<'v>,
    ctx: Ctx<'v>,
}

/// The column of a part of an end's name; that of the pod also where its service stands for it.
fn name_column(side: Side, part: NamePart) -> &'static str {
    let [name, namespace, pod, service, dns, _] = side_of(side).names;
    match part {
        NamePart::Name => name,
        NamePart::Namespace => namespace,
        NamePart::Pod | NamePart::PodOrService => pod,
        NamePart::Service => service,
        NamePart::Dns => dns,
    }
}

/// The name in the file of a column that a filter reads; nothing for those of the common part, which is made of all.
pub(super) fn file_column(column: Column, known: &[KnownProtocol]) -> Option<String> {
    Some(match column {
        Column::Ip(side) => side_of(side).ip.to_owned(),
        Column::Port(side) => side_of(side).port.to_owned(),
        Column::Name(side, part) => name_column(side, part).to_owned(),
        Column::Tls => "tls".to_owned(),
        Column::ErrorType => "error.type".to_owned(),
        Column::ErrorMsg => "error.msg".to_owned(),
        Column::Common(_) => return None,
        Column::Own(protocol, field) => {
            let protocol = known.iter().find(|known| known.number == protocol)?;
            own(protocol.schema).find(|own| own.field == field)?.name
        }
    })
}

impl<'v> Row<'v> for Asked<'v> {
    fn protocol(&self) -> u8 {
        self.kind.protocol.number
    }

    fn value(&self, column: Column) -> Option<Value<'v>> {
        let (batch, row) = (self.batch, self.row);
        Some(match column {
            Column::Ip(side) => batch.value(side_of(side).ip, row),
            Column::Port(side) => batch.value(side_of(side).port, row),
            Column::Name(side, part) => Value::Str(batch.text(name_column(side, part), row)),
            Column::Tls => Value::Bool(batch.bool("tls", row)),
            Column::ErrorType => batch.value("error.type", row),
            Column::ErrorMsg => batch.value("error.msg", row),
            Column::Common(field) => self.common.get(field, &self.ctx),
            Column::Own(protocol, _) if protocol != self.protocol() => Value::Missing,
            Column::Own(protocol, field) => batch
                .own
                .get(&(protocol, field))
                // a file of an earlier version may not have it
                .map(|values| values.get(row))?,
        })
    }

    fn flag(&self, name: &str) -> bool {
        self.kind.info.flags.contains(&name)
    }
}
