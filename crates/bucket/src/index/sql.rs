//! `entries/` as a table of engines that speak SQL.

use gillnet_entry::{COMMON, Field};
use gillnet_kfl::rows::Column;
use gillnet_kfl::sql::{Comparison, Expr, Sum, Table, Type, type_of};

use super::columns::{self, BASE, own};
use super::stored::{KIND, KnownProtocol, file_column};

/// The folders of a key that name a value, outermost first, as engines see them: columns of text.
pub const PARTITIONS: [&str; 4] = ["cluster", "recording", "date", "hour"];

/// The columns that tell the entries apart which one process recorded.
pub const PLACE: [&str; 3] = ["transport", "stream", "index"];

/// The table.
#[derive(Clone, Copy, Debug)]
pub struct EntriesTable<'k> {
    /// The protocols that are known here.
    pub known: &'k [KnownProtocol],
}

fn type_in_sql(of: columns::Type) -> Type {
    match of {
        columns::Type::Int => Type::Int,
        columns::Type::Double => Type::Real,
        columns::Type::Bool => Type::Bool,
        columns::Type::Text => Type::Text,
        columns::Type::Time => Type::Time,
    }
}

/// A column that every file has.
fn base(name: &str) -> Option<Expr> {
    let column = BASE.iter().find(|column| column.name == name)?;
    Some(Expr::column(name, type_in_sql(column.of)))
}

impl EntriesTable<'_> {
    /// All columns of the files, in their order.
    #[must_use]
    pub fn columns(&self) -> Vec<(String, Type)> {
        let base = BASE
            .iter()
            .map(|column| (column.name.to_owned(), type_in_sql(column.of)));
        let own = self.known.iter().flat_map(|known| own(known.schema));
        base.chain(own.map(|own| (own.name, type_in_sql(own.of))))
            .collect()
    }

    /// The columns that every file has.
    #[must_use]
    pub fn is_in_all(name: &str) -> bool {
        base(name).is_some()
    }

    fn name_of(&self, protocol: u8) -> Option<&KnownProtocol> {
        self.known.iter().find(|known| known.number == protocol)
    }
}

impl Table for EntriesTable<'_> {
    fn column(&self, column: Column) -> Option<Expr> {
        match column {
            Column::Common(field) => common(COMMON.fields.get(usize::from(field))?),
            Column::Own(protocol, field) => {
                let known = self.name_of(protocol)?;
                let own = own(known.schema).find(|own| own.field == field)?;
                Some(Expr::column(&own.name, type_in_sql(own.of)))
            }
            column => base(&file_column(column, self.known)?),
        }
    }

    fn protocols(&self, of: &[u8]) -> Expr {
        let names = of.iter().filter_map(|protocol| self.name_of(*protocol));
        let names: Vec<Box<str>> = names.map(|known| known.schema.name.into()).collect();
        match base(KIND[0]) {
            Some(column) if !names.is_empty() => Expr::OneOf(Box::new(column), names),
            _ => Expr::Bool(false),
        }
    }

    fn flag(&self, protocol: u8, name: &str) -> Expr {
        let Some(known) = self.name_of(protocol) else {
            return Expr::Bool(false);
        };
        // what is shown as none of them is shown as the first
        let (with, without): (Vec<_>, Vec<_>) = known
            .infos
            .iter()
            .partition(|info| info.flags.contains(&name));
        let has_first = known
            .infos
            .first()
            .is_some_and(|info| info.flags.contains(&name));
        let shown_as = |infos: &[&&gillnet_entry::ProtocolInfo]| {
            Expr::any(infos.iter().map(|info| {
                let values = [info.abbr, info.version];
                Expr::all(KIND[1..].iter().zip(values).map(|(column, value)| {
                    let column = Expr::first([base(column).unwrap_or(Expr::Null), Expr::text("")]);
                    Expr::compare(Comparison::Eq, column, Expr::text(value))
                }))
            }))
        };
        let has_it = if has_first {
            shown_as(&without).negated()
        } else {
            shown_as(&with)
        };
        Expr::all([self.protocols(&[protocol]), has_it])
    }

    fn recording(&self, name: &str) -> Expr {
        let [_, recording, ..] = PARTITIONS;
        let folder = Expr::column(recording, Type::Text);
        Expr::compare(Comparison::Eq, folder, Expr::text(name))
    }
}

/// A field of the common part, which is made of columns that every file has.
fn common(field: &Field) -> Option<Expr> {
    let or_zero = |name| Some(Expr::first([base(name)?, Expr::Int(0)]));
    match (field.json, field.kfl2) {
        ("timestamp", "") => {
            let nanos = Expr::ToNanos(Box::new(base("timestamp")?));
            Some(Expr::Floor(Box::new(nanos), 1_000_000))
        }
        (_, "protocol") => base("protocol.abbr"),
        ("elapsedTime", _) => or_zero("elapsedTime"),
        ("requestSize", _) => or_zero("requestSize"),
        ("responseSize", _) => or_zero("responseSize"),
        ("size", _) => Some(Expr::Calculated(
            Sum::Add,
            Box::new((or_zero("requestSize")?, or_zero("responseSize")?)),
        )),
        (_, "conn_id" | "flow_id") => base("stream"),
        // a row is of a recording, seen by no script
        (_, "has_pcap") => Some(Expr::Bool(true)),
        ("passed" | "failed", _) => Some(Expr::Bool(false)),
        ("record", _) => Some(Expr::text("")),
        (_, "src.pod.name") => pod_or_service("src.pod", "src.service"),
        (_, "dst.pod.name") => pod_or_service("dst.pod", "dst.service"),
        (_, "src.service.name") => base("src.service"),
        (_, "dst.service.name") => base("dst.service"),
        (json, kfl2) => {
            let named = [json, kfl2].into_iter().filter(|name| !name.is_empty());
            let column = named.filter_map(base).next()?;
            let Expr::Column(_, of) = &column else {
                return None;
            };
            (type_of(field.kind) == Some(*of)).then_some(column)
        }
    }
}

fn pod_or_service(pod: &str, service: &str) -> Option<Expr> {
    let pod = Expr::first([base(pod)?, Expr::text("")]);
    let known = Expr::compare(Comparison::Ne, pod.clone(), Expr::text(""));
    Some(Expr::case(known, pod, base(service)?))
}
