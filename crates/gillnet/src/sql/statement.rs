//! Statements over the entries of a bucket.

use crate::columns::Column;
use anyhow::{anyhow, bail};
use gillnet_bucket::index::{EntriesTable, KnownProtocol, PARTITIONS, PLACE, has_column};
use gillnet_bucket::layout::Hour;
use gillnet_entry::{COMMON, Kind};
use gillnet_kfl::rows;
use gillnet_kfl::sql::{Comparison, Dialect, Expr, Table, Type, type_of};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What the rows are read of.
#[derive(Clone, Debug)]
pub enum Source {
    /// A table or view that is there, as its parts are named.
    Table(Vec<String>),
    /// The files of a bucket, by the URL or path that the engine knows it by.
    Bucket(String),
}

/// What is asked of the rows.
#[derive(Clone, Copy, Debug)]
pub enum Shape<'a> {
    /// How many there are.
    Count,
    /// How many there are of each combination of values.
    By(&'a [Column]),
    /// Values of each, in the order of time.
    Columns(&'a [Column]),
}

/// A question to an engine.
#[derive(Clone, Debug)]
pub struct Statement<'a> {
    /// Whose SQL it is.
    pub dialect: Dialect,
    /// Where the rows are.
    pub source: Source,
    /// Which rows.
    pub condition: Expr,
    /// How many entries at most.
    pub limit: Option<u64>,
    /// The protocols.
    pub known: &'a [KnownProtocol],
}

/// The columns that tell an entry from others, under names that no field has: an entry that several rules keep is in the
/// files of each.
const KEY: [&str; 5] = [
    "key_cluster",
    "key_recorder",
    "key_transport",
    "key_stream",
    "key_index",
];

/// The rows of a span of time; the folders tell first.
pub fn within((since, until): (i64, i64)) -> Expr {
    let text = |name: &str| Expr::column(name, Type::Text);
    let time = || Expr::column("timestamp", Type::Time);
    let folders = |at: i64, beyond: Comparison, bound: Comparison| {
        let hour = Hour::of(at).to_string();
        let (date, hour) = hour.split_once('/').unwrap_or_default();
        let value = |of: &str| Expr::text(of.split_once('=').map_or("", |(_, value)| value));
        let is = |name, how, of| Expr::compare(how, text(name), value(of));
        [
            is("date", bound, date),
            Expr::any([is("date", beyond, date), is("hour", bound, hour)]),
        ]
    };
    let mut all = Vec::new();
    if since != i64::MIN {
        all.extend(folders(since, Comparison::Gt, Comparison::Ge));
        all.push(Expr::compare(Comparison::Ge, time(), Expr::Moment(since)));
    }
    if until != i64::MAX {
        all.extend(folders(
            until.saturating_sub(1),
            Comparison::Lt,
            Comparison::Le,
        ));
        all.push(Expr::compare(Comparison::Lt, time(), Expr::Moment(until)));
    }
    Expr::all(all)
}

impl Statement<'_> {
    /// The statement.
    pub fn write(&self, shape: Shape<'_>) -> anyhow::Result<String> {
        let columns = match shape {
            Shape::Count => &[][..],
            Shape::By(columns) | Shape::Columns(columns) => columns,
        };
        let mut values = Vec::new();
        for column in columns {
            if columns.iter().filter(|of| of.name == column.name).count() > 1 {
                bail!("the column `{}` is named twice", column.name);
            }
            values.push(value(column, self.known)?);
        }
        let own = |i: usize| format!("value_{}", i + 1);
        let mut inner: Vec<(String, Expr)> = self.key();
        inner.extend(values.into_iter().enumerate().map(|(i, of)| (own(i), of)));
        if matches!(shape, Shape::Columns(_)) {
            inner.push(("key_time".into(), Expr::column("timestamp", Type::Time)));
        }
        let limit = |at: bool| match self.limit {
            Some(limit) if at => format!("\nLIMIT {limit}"),
            _ => String::new(),
        };
        let rows = format!(
            "SELECT DISTINCT {}\nFROM {}\nWHERE {}{}",
            self.list(&inner),
            self.from(inner.iter().map(|(_, of)| of))?,
            self.dialect.write(&self.condition),
            limit(!matches!(shape, Shape::Columns(_))),
        );
        let rows = rows.replace('\n', "\n  ");
        let name = |name: &str| self.dialect.identifier(name);
        let shown = columns.iter().enumerate();
        let shown = shown.map(|(i, of)| format!("{} AS {}", name(&own(i)), name(&of.name)));
        let shown: Vec<_> = shown.collect();
        let places: Vec<_> = (0..columns.len()).map(|i| name(&own(i))).collect();
        let places = places.join(", ");
        let entries = name("entries");
        Ok(match shape {
            Shape::Count => format!("SELECT count(*) AS {entries}\nFROM (\n  {rows}\n) AS kept"),
            Shape::By(_) => format!(
                "SELECT {}, count(*) AS {entries}\nFROM (\n  {rows}\n) AS kept\nGROUP BY {places}\nORDER BY count(*) DESC, {places}",
                shown.join(", ")
            ),
            Shape::Columns(_) => {
                let key = KEY.map(name).join(", ");
                format!(
                    "SELECT {}\nFROM (\n  {rows}\n) AS kept\nORDER BY {}, {key}{}",
                    shown.join(", "),
                    name("key_time"),
                    limit(true)
                )
            }
        })
    }

    /// The rows as files have them, each entry once, in the order of time: what the index is read from elsewhere.
    pub fn rows(&self, own: &[String]) -> anyhow::Result<String> {
        let table = EntriesTable { known: self.known };
        let columns = table.columns().into_iter();
        let columns = columns
            .filter(|(name, _)| EntriesTable::is_in_all(name) || own.contains(name))
            .map(|(name, of)| (name.clone(), Expr::column(&name, of)));
        let mut all = self.key();
        all.truncate(2);
        all.extend(columns);
        let key: Vec<_> = KEY[..2].iter().chain(&PLACE).copied().collect();
        let key: Vec<_> = key.iter().map(|of| self.dialect.identifier(of)).collect();
        let limit = self.limit.map(|limit| format!("\nLIMIT {limit}"));
        Ok(format!(
            "SELECT {}\nFROM {}\nWHERE {}\nORDER BY {}, {key}\nLIMIT 1 BY {key}{}",
            self.list(&all),
            self.from(all.iter().map(|(_, of)| of))?,
            self.dialect.write(&self.condition),
            self.dialect.identifier("timestamp"),
            limit.unwrap_or_default(),
            key = key.join(", "),
        ))
    }

    /// Who recorded the rows, by `<node>_<run>`.
    pub fn recorders(&self) -> anyhow::Result<String> {
        let key = [(KEY[1].to_owned(), Expr::Recorder)];
        // a file of which nothing but its folders is read is an error to ClickHouse
        let some = Expr::column(PLACE[1], Type::Int);
        Ok(format!(
            "SELECT DISTINCT {}\nFROM {}\nWHERE {}",
            self.list(&key),
            self.from(key.iter().map(|(_, of)| of).chain([&some]))?,
            self.dialect.write(&self.condition),
        ))
    }

    fn key(&self) -> Vec<(String, Expr)> {
        let table = EntriesTable { known: self.known };
        let columns = table.columns();
        let place = PLACE.iter().map(|name| {
            let of = columns.iter().find(|(known, _)| known == name);
            Expr::column(name, of.map_or(Type::Text, |(_, of)| *of))
        });
        let cluster = Expr::column(PARTITIONS[0], Type::Text);
        let all = [cluster, Expr::Recorder].into_iter().chain(place);
        KEY.iter().map(|name| (*name).to_owned()).zip(all).collect()
    }

    fn list(&self, of: &[(String, Expr)]) -> String {
        let list = of.iter().map(|(name, of)| {
            let (of, name) = (self.dialect.write(of), self.dialect.identifier(name));
            if of == name {
                name
            } else {
                format!("{of} AS {name}")
            }
        });
        list.collect::<Vec<_>>().join(", ")
    }

    /// Where the rows come from, with the columns that are read.
    fn from<'e>(&'e self, read: impl Iterator<Item = &'e Expr>) -> anyhow::Result<String> {
        let mut columns = BTreeMap::new();
        for expr in read.chain([&self.condition]) {
            expr.columns(&mut |name, of| {
                columns.insert(name.to_owned(), of);
            });
        }
        match &self.source {
            Source::Table(parts) => {
                let parts: Vec<_> = parts.iter().map(|of| self.dialect.identifier(of)).collect();
                Ok(parts.join("."))
            }
            Source::Bucket(url) => {
                let columns: Vec<_> = columns.into_iter().collect();
                files(self.dialect, url, &columns)
            }
        }
    }
}

/// The value of a column of the output.
fn value(column: &Column, known: &[KnownProtocol]) -> anyhow::Result<Expr> {
    let table = EntriesTable { known };
    let nowhere = || anyhow!("the index has no column of `{}`", column.name);
    let common = column.common_field().map(|index| {
        let field = COMMON.fields.get(usize::from(index));
        let of = table.column(rows::Column::Common(index));
        match field.map(|field| field.json) {
            // as a moment, not as its text
            Some("startTime") => Ok(Expr::column("timestamp", Type::Time)),
            Some("protocol") => Ok(Expr::column("protocol.abbr", Type::Text)),
            _ => of.ok_or_else(nowhere),
        }
    });
    let (mut own, mut protocols, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    for (known, index) in column.own_fields(known) {
        let field = known.schema.fields.get(usize::from(index));
        let of = table.column(rows::Column::Own(known.number, index));
        own.push(of.ok_or_else(nowhere)?);
        kinds.push(field.map_or(Kind::Any, |field| field.kind));
        protocols.push(known.number);
    }
    if kinds.iter().any(|kind| type_of(*kind) != type_of(kinds[0])) {
        let as_text = own.into_iter().zip(&kinds);
        own = as_text
            .map(|(of, kind)| match kind {
                Kind::Int => of.to_text(),
                _ => of,
            })
            .collect();
    }
    let own = Expr::first(own);
    Ok(match common {
        None => own,
        Some(common) if protocols.is_empty() => common?,
        Some(common) => Expr::case(table.protocols(&protocols), own, common?),
    })
}

/// The columns of protocols that columns of the output are read from; `None` where rows do not have them all.
pub fn stored(columns: &[Column], known: &[KnownProtocol]) -> Option<Vec<String>> {
    let mut own = Vec::new();
    for column in columns {
        let common = column.common_field();
        let is_protocol = common.is_some_and(|field| COMMON.json("protocol") == Some(field));
        let has = |field| has_column(known, rows::Column::Common(field));
        if !is_protocol && common.is_some_and(|field| !has(field)) {
            return None;
        }
        for (protocol, field) in column.own_fields(known) {
            let table = EntriesTable { known };
            let of = table.column(rows::Column::Own(protocol.number, field))?;
            of.columns(&mut |name, _| own.push(name.to_owned()));
        }
    }
    Some(own)
}

/// The files of a bucket as a source of rows; not every engine has files without a definition.
fn files(dialect: Dialect, url: &str, columns: &[(String, Type)]) -> anyhow::Result<String> {
    let is_partition = |name: &str| PARTITIONS.contains(&name);
    let files = format!("{}/entries/**/*.parquet", url.trim_end_matches('/'));
    match dialect {
        Dialect::ClickHouse => {
            let function = match url.split_once("://") {
                None => "file",
                Some(("s3" | "http" | "https", _)) => "s3",
                Some(("gs", _)) => "gcs",
                Some((scheme, _)) => bail!(
                    "ClickHouse reads {scheme}:// with a key in the statement; make a table of it there, and name that with --table"
                ),
            };
            let all = columns.iter().filter(|(name, _)| !is_partition(name));
            let all = all.map(|(name, of)| {
                let (name, of) = (dialect.identifier(name), dialect.type_name(*of));
                format!("{name} Nullable({of})")
            });
            let folders = PARTITIONS.map(|name| format!("{} String", dialect.identifier(name)));
            let all: Vec<_> = all.chain(folders).collect();
            let (files, all) = (dialect.text(&files), dialect.text(&all.join(", ")));
            Ok(format!("{function}({files}, 'Parquet', {all})"))
        }
        Dialect::DuckDb => {
            // a file has the columns of protocols that occur in it, and maybe no file has one
            let own = columns
                .iter()
                .filter(|(name, _)| !is_partition(name) && !EntriesTable::is_in_all(name));
            let own = own.map(|(name, of)| {
                let (name, of) = (dialect.identifier(name), dialect.type_name(*of));
                format!("NULL::{of} AS {name}")
            });
            let own: Vec<_> = own.collect();
            let read = format!(
                "read_parquet({}, union_by_name = true, hive_partitioning = true, hive_types_autocast = false, filename = true)",
                dialect.text(&files)
            );
            Ok(if own.is_empty() {
                read
            } else {
                format!(
                    "(SELECT {} WHERE FALSE UNION ALL BY NAME SELECT * FROM {read}) AS files",
                    own.join(", ")
                )
            })
        }
        Dialect::Spark | Dialect::Trino | Dialect::BigQuery => bail!(
            "{} reads tables: define one with --define NAME, and name it with --table NAME",
            dialect.name()
        ),
    }
}

/// The definition of a table or view over a bucket, with all columns.
pub fn definition(
    dialect: Dialect,
    table: &[String],
    url: &str,
    known: &[KnownProtocol],
) -> anyhow::Result<String> {
    let columns = EntriesTable { known }.columns();
    let parts: Vec<_> = table.iter().map(|of| dialect.identifier(of)).collect();
    let name = parts.join(".");
    let entries = format!("{}/entries", url.trim_end_matches('/'));
    let list = |columns: &[(String, Type)]| {
        let mut list = String::new();
        for (i, (name, of)) in columns.iter().enumerate() {
            let comma = if i > 0 { ",\n" } else { "" };
            let (name, of) = (dialect.identifier(name), dialect.type_name(*of));
            // writing to text cannot fail
            let _ = write!(list, "{comma}  {name} {of}");
        }
        list
    };
    let folders = PARTITIONS.map(|name| (name.to_owned(), Type::Text));
    let all: Vec<_> = columns.iter().cloned().chain(folders.clone()).collect();
    let at = dialect.text(&entries);
    Ok(match dialect {
        Dialect::ClickHouse => {
            let files = files(dialect, url, &columns)?;
            format!("CREATE OR REPLACE VIEW {name} AS SELECT *, _path FROM {files}")
        }
        Dialect::DuckDb => {
            let files = files(dialect, url, &columns)?;
            format!("CREATE OR REPLACE VIEW {name} AS SELECT * FROM {files}")
        }
        Dialect::Spark => format!(
            "CREATE OR REPLACE TEMPORARY VIEW {name} (\n{}\n) USING parquet OPTIONS (path {at})",
            list(&all)
        ),
        Dialect::Trino => {
            let folders = PARTITIONS.map(|name| dialect.text(name)).join(", ");
            format!(
                "CREATE TABLE {name} (\n{}\n) WITH (\n  format = 'PARQUET',\n  external_location = {at},\n  partitioned_by = ARRAY[{folders}]\n)",
                list(&all)
            )
        }
        Dialect::BigQuery => {
            let uris = dialect.text(&format!("{entries}/*"));
            format!(
                "CREATE OR REPLACE EXTERNAL TABLE {name} (\n{}\n) WITH PARTITION COLUMNS (\n{}\n) OPTIONS (\n  format = 'PARQUET',\n  uris = [{uris}],\n  hive_partition_uri_prefix = {at}\n)",
                list(&columns),
                list(&folders)
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_columns_are_one_to_an_engine() {
        // engines do not tell names apart by their case, BigQuery has no dots in them
        let known = crate::scan::known();
        let columns = EntriesTable { known: &known }.columns();
        let names = columns.iter().map(|(name, _)| name.as_str());
        let names: Vec<_> = names.chain(PARTITIONS).collect();
        let alike: HashSet<_> = names
            .iter()
            .map(|name| name.to_lowercase().replace('.', "_"))
            .collect();
        assert_eq!(alike.len(), names.len());
    }

    #[test]
    fn a_span_of_time_is_told_by_folders_first() {
        let second = 1_000_000_000;
        let at = 1_773_000_000 * second; // 2026-03-08T20:00:00Z
        let written = |span| Dialect::Trino.write(&within(span));
        assert_eq!(written((i64::MIN, i64::MAX)), "TRUE");
        assert_eq!(
            written((at, i64::MAX)),
            "\"date\" >= '2026-03-08' AND (\"date\" > '2026-03-08' OR \"hour\" >= '20') \
             AND \"timestamp\" >= TIMESTAMP '2026-03-08 20:00:00.000000000'"
        );
        // what begins at the end is not in it, nor is its hour
        assert_eq!(
            written((i64::MIN, at)),
            "\"date\" <= '2026-03-08' AND (\"date\" < '2026-03-08' OR \"hour\" <= '19') \
             AND \"timestamp\" < TIMESTAMP '2026-03-08 20:00:00.000000000'"
        );
    }
}
