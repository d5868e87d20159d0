//! Filters as SQL. What an expression says is evaluated here as SQL has it, with its three values, so that every filter and
//! entry of these tests is a case; engines are asked in the end-to-end tests.

use crate::rows::Stored;
use crate::support::large;
use gillnet_entry::{Entry, Value};
use gillnet_kfl::rows::{Column, Row, kind_of, usual};
use gillnet_kfl::sql::{Comparison, Dialect, Expr, Part, Sum, Table, Translation, Type};
use gillnet_kfl::sql::{translate, type_of};
use gillnet_kfl::{Env, Filter, Lang, Options, Side, compile};
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;

/// A table that has the columns that an index is meant to have.
struct Usual<'e> {
    env: &'e Env,
    names: RefCell<HashMap<String, Column>>,
}

impl Table for Usual<'_> {
    fn column(&self, column: Column) -> Option<Expr> {
        let of = kind_of(self.env, column)
            .and_then(type_of)
            .filter(|_| usual(self.env)(column))?;
        let name = format!("{column:?}");
        self.names.borrow_mut().insert(name.clone(), column);
        Some(Expr::column(&name, of))
    }

    fn protocols(&self, of: &[u8]) -> Expr {
        if of.is_empty() {
            return Expr::Bool(false);
        }
        let names = of.iter().map(|protocol| protocol.to_string().into());
        Expr::OneOf(
            Box::new(Expr::column("protocol", Type::Text)),
            names.collect(),
        )
    }

    fn flag(&self, protocol: u8, name: &str) -> Expr {
        let flag = Expr::first([
            Expr::column(&format!("flag {name}"), Type::Bool),
            Expr::Bool(false),
        ]);
        Expr::all([self.protocols(&[protocol]), flag])
    }

    fn recording(&self, name: &str) -> Expr {
        let folder = Expr::column("recording", Type::Text);
        Expr::compare(Comparison::Eq, folder, Expr::text(name))
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Sql {
    Null,
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(String),
    Time(i64),
}

struct Evaluator<'t, 'e> {
    table: &'t Usual<'t>,
    row: &'t Stored<'e>,
    /// Of the recordings that the entry is in, that whose row this is.
    recording: &'t str,
}

impl Evaluator<'_, '_> {
    fn column(&self, name: &str) -> Sql {
        if name == "protocol" {
            return Sql::Text(self.row.protocol().to_string());
        }
        if name == "recording" {
            return Sql::Text(self.recording.to_owned());
        }
        if let Some(flag) = name.strip_prefix("flag ") {
            return Sql::Bool(self.row.flag(flag));
        }
        let column = self.table.names.borrow()[name];
        match self.row.value(column).expect("a column that is there") {
            Value::Missing | Value::Null => Sql::Null,
            Value::Bool(v) => Sql::Bool(v),
            Value::Int(v) => Sql::Int(v),
            Value::Str(v) => Sql::Text(v.into()),
            Value::Time(v) => Sql::Time(v),
            other => panic!("{name} is {other:?}"),
        }
    }

    fn truth(&self, expr: &Expr) -> Option<bool> {
        match self.value(expr) {
            Sql::Null => None,
            Sql::Bool(v) => Some(v),
            other => panic!("{expr:?} is {other:?}"),
        }
    }

    fn int(&self, expr: &Expr) -> Option<i64> {
        match self.value(expr) {
            Sql::Null => None,
            Sql::Int(v) => Some(v),
            other => panic!("{expr:?} is {other:?}"),
        }
    }

    fn text(&self, expr: &Expr) -> Option<String> {
        match self.value(expr) {
            Sql::Null => None,
            Sql::Text(v) => Some(v),
            other => panic!("{expr:?} is {other:?}"),
        }
    }

    fn joined(&self, all: &[Expr], decides: bool) -> Option<bool> {
        let all: Vec<_> = all.iter().map(|expr| self.truth(expr)).collect();
        if all.contains(&Some(decides)) {
            Some(decides)
        } else if all.contains(&None) {
            None
        } else {
            Some(!decides)
        }
    }

    fn value(&self, expr: &Expr) -> Sql {
        let truth = |of: Option<bool>| of.map_or(Sql::Null, Sql::Bool);
        let number = |of: Option<i64>| of.map_or(Sql::Null, Sql::Int);
        match expr {
            Expr::Null => Sql::Null,
            Expr::Bool(v) => Sql::Bool(*v),
            Expr::Int(v) => Sql::Int(*v),
            Expr::Real(v) => Sql::Real(*v),
            Expr::Text(v) => Sql::Text(v.to_string()),
            Expr::Moment(v) => Sql::Time(*v),
            Expr::Column(name, _) => self.column(name),
            Expr::Recorder => Sql::Text("node_run".into()),
            Expr::And(all) => truth(self.joined(all, false)),
            Expr::Or(all) => truth(self.joined(all, true)),
            Expr::Not(inner) => truth(self.truth(inner).map(|v| !v)),
            Expr::IsNull(inner) => Sql::Bool(self.value(inner) == Sql::Null),
            Expr::Compare(how, ab) => {
                let order = match (self.value(&ab.0), self.value(&ab.1)) {
                    (Sql::Null, _) | (_, Sql::Null) => return Sql::Null,
                    (Sql::Int(a), Sql::Int(b)) | (Sql::Time(a), Sql::Time(b)) => a.cmp(&b),
                    (Sql::Text(a), Sql::Text(b)) => a.cmp(&b),
                    (Sql::Bool(a), Sql::Bool(b)) => a.cmp(&b),
                    (Sql::Real(a), Sql::Real(b)) => a.partial_cmp(&b).expect("numbers"),
                    (a, b) => panic!("{a:?} {how:?} {b:?}: an engine would convert one of them"),
                };
                Sql::Bool(match how {
                    Comparison::Eq => order == Ordering::Equal,
                    Comparison::Ne => order != Ordering::Equal,
                    Comparison::Lt => order == Ordering::Less,
                    Comparison::Le => order != Ordering::Greater,
                    Comparison::Gt => order == Ordering::Greater,
                    Comparison::Ge => order != Ordering::Less,
                })
            }
            Expr::OneOf(inner, texts) => {
                let text = self.text(inner).expect("it is never null");
                Sql::Bool(texts.iter().any(|of| **of == *text))
            }
            Expr::First(all) => {
                let mut all = all.iter().map(|expr| self.value(expr));
                all.find(|value| *value != Sql::Null).unwrap_or(Sql::Null)
            }
            Expr::Case(cases, other) => {
                let mut held = cases
                    .iter()
                    .filter(|(when, _)| self.truth(when) == Some(true));
                self.value(held.next().map_or(other, |(_, value)| value))
            }
            Expr::Has(part, ab) => {
                let (Some(a), Some(b)) = (self.text(&ab.0), self.text(&ab.1)) else {
                    return Sql::Null;
                };
                Sql::Bool(match part {
                    Part::Anywhere => a.contains(&b),
                    Part::Start => a.starts_with(&b),
                })
            }
            Expr::EndsWith(inner, end) => truth(self.text(inner).map(|of| of.ends_with(&**end))),
            Expr::Found(inner, pattern) => {
                let pattern = regex::Regex::new(pattern).expect("a pattern");
                truth(self.text(inner).map(|of| pattern.is_match(&of)))
            }
            Expr::Calculated(how, ab) => {
                let (Some(a), Some(b)) = (self.int(&ab.0), self.int(&ab.1)) else {
                    return Sql::Null;
                };
                number(match how {
                    Sum::Add => a.checked_add(b),
                    Sum::Sub => a.checked_sub(b),
                    Sum::Mul => a.checked_mul(b),
                })
            }
            Expr::Quotient(inner, by) => number(self.int(inner).map(|of| of / by)),
            Expr::Remainder(inner, by) => number(self.int(inner).map(|of| of % by)),
            Expr::Floor(inner, by) => number(self.int(inner).map(|of| of.div_euclid(*by))),
            Expr::ToText(inner) => {
                let text = self.int(inner).map(|of| of.to_string());
                text.map_or(Sql::Null, Sql::Text)
            }
            #[allow(clippy::cast_precision_loss)] // as engines do
            Expr::ToReal(inner) => self.int(inner).map_or(Sql::Null, |of| Sql::Real(of as f64)),
            Expr::ToNanos(inner) => match self.value(inner) {
                Sql::Time(ns) => Sql::Int(ns),
                _ => Sql::Null,
            },
            Expr::Length(inner) => {
                let length = self.text(inner).map(|of| of.chars().count());
                number(length.map(|n| n.try_into().expect("a length")))
            }
        }
    }
}

/// What SQL says of a row is what the filter says of the entry; where SQL can't say all, it lets at least the rows through
/// that match. Whether it can say all.
pub(crate) fn agree(env: &Env, filter: &Filter, entry: &Entry<'_>, matches: bool) -> bool {
    let table = Usual {
        env,
        names: RefCell::default(),
    };
    let Translation { condition, refused } = translate(env, &Options::default(), filter, &table);
    let usual = usual(env);
    let row = Stored(entry, &usual);
    let said = entry.common.record.split('\n').any(|recording| {
        let evaluator = Evaluator {
            table: &table,
            row: &row,
            recording,
        };
        evaluator.truth(&condition) == Some(true)
    });
    let text = filter.text();
    if refused.is_empty() {
        assert_eq!(said, matches, "{text}: {condition:?}");
    } else {
        assert!(said || !matches, "{text}: {refused:?} {condition:?}");
    }
    for dialect in Dialect::ALL {
        let sql = dialect.write(&condition);
        assert!(!sql.is_empty() && !sql.contains('\0'), "{text}: {sql}");
    }
    refused.is_empty()
}

fn translated(text: &str, lang: Lang) -> Translation {
    let env = large();
    let options = Options {
        lang,
        ..Options::default()
    };
    let filter = compile(&env, text, &options).unwrap_or_else(|e| panic!("{}", e.render(text)));
    let table = Usual {
        env: &env,
        names: RefCell::default(),
    };
    translate(&env, &options, &filter, &table)
}

#[test]
fn what_sql_cant_say_is_refused_with_its_place() {
    for (text, lang, place, why) in [
        (
            r#"http and (request.headers["x"] == "b" or dst.port == 80)"#,
            Lang::Kfl1,
            r#"request.headers["x"] == "b""#,
            "no column of `request.headers",
        ),
        (
            r#"http && !(map_get(request.headers, "a", "") == "b")"#,
            Lang::Kfl2,
            r#"map_get(request.headers, "a", "") == "b""#,
            "no column of `request.headers",
        ),
        (
            r#"dst.port == 80 || path.matches("\\bapi\\b")"#,
            Lang::Kfl2,
            r#"path.matches("\\bapi\\b")"#,
            "the ends of words",
        ),
        (
            "http && src.port / dst.port == 2",
            Lang::Kfl2,
            "src.port / dst.port == 2",
            "no whole constant",
        ),
        (
            r#"dst.name == "\u0000""#,
            Lang::Kfl2,
            r#"dst.name == "\u0000""#,
            "zero byte",
        ),
        (
            r#"http and !record("a")"#,
            Lang::Kfl1,
            r#"record("a")"#,
            "more of recordings than one",
        ),
        (
            r#"record("a") && record("b")"#,
            Lang::Kfl2,
            r#"record("a")"#,
            "more of recordings than one",
        ),
    ] {
        let refused = translated(text, lang).refused;
        let [error] = &refused[..] else {
            panic!("{text}: {refused:?}");
        };
        assert_eq!(&text[std::ops::Range::from(error.span)], place, "{error}");
        assert!(error.message.contains(why), "{error}");
    }
}

#[test]
fn what_can_be_said_of_a_refused_filter_narrows_it() {
    let table = translated(
        r#"src.port == 5 && request.headers["x"] == "b""#,
        Lang::Kfl2,
    );
    let port = format!("{:?}", Column::Port(Side::Src));
    let port = Expr::compare(Comparison::Eq, Expr::column(&port, Type::Int), Expr::Int(5));
    assert_eq!(table.condition, port);
    assert_eq!(
        translated(r#"src.port == 5 || "x" in request.headers"#, Lang::Kfl2).condition,
        Expr::Bool(true)
    );
}

#[test]
fn a_recording_that_an_entry_must_be_in_is_its_folder() {
    let folder = |name: &str| {
        let column = Expr::column("recording", Type::Text);
        Expr::compare(Comparison::Eq, column, Expr::text(name))
    };
    let twice = Expr::all([folder("a"), folder("a")]);
    for (text, lang, condition) in [
        (r#"record("a")"#, Lang::Kfl1, folder("a")),
        (r#"record("a") && (record("a"))"#, Lang::Kfl2, twice),
    ] {
        let found = translated(text, lang);
        assert!(found.refused.is_empty(), "{text}: {:?}", found.refused);
        assert_eq!(found.condition, condition, "{text}");
    }
    let found = translated(r#"src.port == 5 and record("a")"#, Lang::Kfl1);
    assert!(format!("{:?}", found.condition).contains(&format!("{:?}", folder("a"))));
    let narrowed = translated(r#"record("a") or src.port == 5"#, Lang::Kfl1);
    assert_eq!(narrowed.condition, Expr::Bool(true));
}

#[test]
fn no_text_leaves_its_quotes() {
    for (dialect, written) in [
        (Dialect::DuckDb, r#"'a''\"b$'"#),
        (Dialect::Trino, r#"'a''\"b$'"#),
        (Dialect::ClickHouse, r#"'a\'\\"b$'"#),
        (Dialect::Spark, r#"'a\'\\"b\u0024'"#),
        (Dialect::BigQuery, r#"'a\'\\"b$'"#),
    ] {
        assert_eq!(dialect.text(r#"a'\"b$"#), written, "{}", dialect.name());
    }
    assert_eq!(Dialect::Spark.text("a\nb"), "'a\\u000ab'");
    assert_eq!(Dialect::DuckDb.identifier("a.\"b"), "\"a.\"\"b\"");
    assert_eq!(Dialect::ClickHouse.identifier("a`b\\"), "`a\\`b\\\\`");
    assert_eq!(Dialect::BigQuery.identifier("a.b"), "`a_b`");
}

#[test]
fn nested_filters_end_as_a_refusal_and_not_as_a_statement_of_any_length() {
    // each choice takes its condition twice where that may fail
    let mut text = String::from("src.port * elapsed_time > 1");
    for _ in 0..20 {
        text = format!("!(({text}) ? dst.port == 3 : dst.port == 4)");
    }
    let found = translated(&text, Lang::Kfl2);
    assert!(!found.refused.is_empty());
}
