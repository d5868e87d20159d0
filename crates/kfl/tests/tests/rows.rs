//! Filters on rows of an index.

use crate::support::{Sample, e1, large};
use gillnet_entry::{Bump, Common, Entry, Fault, FaultKind, Value};
use gillnet_kfl::rows::{Bound, Column, Needs, Row, RowFilter, usual};
use gillnet_kfl::{Env, Filter, Lang, NamePart, Options, ProtocolSet, Side, Tri, compile};

/// An entry as it stands in an index.
pub(crate) struct Stored<'e>(
    pub(crate) &'e Entry<'e>,
    pub(crate) &'e dyn Fn(Column) -> bool,
);

impl<'e> Row<'e> for Stored<'e> {
    fn protocol(&self) -> u8 {
        self.0.protocol
    }

    fn value(&self, column: Column) -> Option<Value<'e>> {
        let Stored(entry, has) = self;
        let end = |side| match side {
            Side::Src => &entry.common.src,
            Side::Dst => &entry.common.dst,
        };
        has(column).then(|| match column {
            Column::Ip(side) => Value::Str(entry.ctx.format(format_args!("{}", end(side).ip))),
            Column::Port(side) => Value::Int(i64::from(end(side).port)),
            Column::Name(side, part) => Value::Str(part.of(end(side).name)),
            Column::Tls => Value::Bool(entry.common.tls),
            Column::ErrorType => fault(entry, |fault| fault.kind.name()),
            Column::ErrorMsg => fault(entry, |fault| fault.msg),
            Column::Common(field) => entry.common(field),
            Column::Own(protocol, field) if protocol == entry.protocol => entry.own(field),
            Column::Own(..) => Value::Missing,
        })
    }

    fn flag(&self, name: &str) -> bool {
        self.0.record.info().flags.contains(&name)
    }
}

fn fault<'e>(entry: &Entry<'e>, part: impl Fn(&Fault) -> &'static str) -> Value<'e> {
    let fault = entry.common.fault.as_ref();
    fault.map_or(Value::Missing, |fault| Value::Str(part(fault)))
}

/// Whether a row fulfils a condition.
fn fulfils(needs: &Needs, row: &Stored<'_>) -> bool {
    match needs {
        Needs::Every => true,
        Needs::No => false,
        Needs::All(all) => all.iter().all(|needs| fulfils(needs, row)),
        Needs::Any(any) => any.iter().any(|needs| fulfils(needs, row)),
        Needs::Protocols(set) => set.contains(row.protocol()),
        Needs::Is {
            column,
            bound,
            or_missing,
        } => match row.value(*column) {
            Some(Value::Missing | Value::Null) => *or_missing,
            Some(value) => bound.holds(value),
            None => panic!("asks for a column that is not there"),
        },
    }
}

/// What rows say is what the entry says, or that they can't tell; and no matching row is passed over.
pub(crate) fn agree(env: &Env, filter: &Filter, entry: &Entry<'_>, matches: bool) {
    let usual = usual(env);
    let few = |column: Column| match column {
        Column::Own(_, field) => field % 2 == 0 && usual(column),
        column => usual(column),
    };
    let whole: &dyn Fn(Column) -> bool = &|_| true;
    let arena = Bump::new();
    for has in [whole, &usual, &few, &|_| false] {
        let (rows, row) = (RowFilter::new(env, filter, has), Stored(entry, has));
        let said = rows.test(&row, &arena);
        let text = filter.text();
        match said {
            Tri::Yes => assert!(matches, "{text}: the row matches, the entry does not"),
            Tri::No => assert!(!matches, "{text}: the entry matches, the row does not"),
            Tri::Unknown => assert!(!rows.is_whole(), "{text}: columns had to tell"),
        }
        if matches {
            assert!(fulfils(rows.needs(), &row), "{text}: {:?}", rows.needs());
        }
        assert!(rows.columns().iter().all(|column| has(*column)), "{text}");
    }
}

fn on(text: &str, has: &dyn Fn(Column) -> bool) -> RowFilter {
    let options = Options {
        lang: Lang::Kfl2,
        ..Options::default()
    };
    let filter = compile(&large(), text, &options).unwrap_or_else(|e| panic!("{}", e.render(text)));
    RowFilter::new(&large(), &filter, has)
}

#[test]
fn what_columns_have_is_decided_by_them_and_the_rest_is_left_open() {
    let env = large();
    let usual = usual(&env);
    let said = |text: &str, sample: &Sample| {
        let arena = Bump::new();
        sample.with(&arena, |entry| {
            on(text, &usual).test(&Stored(entry, &usual), &arena)
        })
    };
    let sample = e1();
    let arena = Bump::new();
    let (method, status) = sample.with(&arena, |entry| {
        let json = |name: &str| {
            let fields = entry.record.schema().fields;
            let at = fields.iter().position(|f| f.json == name).unwrap();
            entry.own(at as u16)
        };
        let Value::Str(method) = json("request.method") else {
            panic!("no method");
        };
        let Value::Int(status) = json("response.status") else {
            panic!("no status");
        };
        (method.to_owned(), status)
    });
    let open = r#"request.headers["x-none"] == "1""#;
    for (text, expected) in [
        (format!("http && status_code == {status}"), Tri::Yes),
        (format!("http && status_code > {status}"), Tri::No),
        (format!("method == '{method}' && {open}"), Tri::Unknown),
        (format!("method != '{method}' && {open}"), Tri::No),
        (format!("method == '{method}' || {open}"), Tri::Yes),
        (open.into(), Tri::Unknown),
    ] {
        assert_eq!(said(&text, &sample), expected, "{text}");
        assert_eq!(on(&text, &usual).is_whole(), !text.contains("headers"));
    }
}

#[test]
fn parts_of_an_error_are_columns() {
    let env = large();
    let usual = usual(&env);
    let compiled = |text: &str| compile(&env, text, &Options::default()).unwrap();
    let late = Fault {
        kind: FaultKind::Timeout,
        msg: "no response",
    };
    let (sample, arena) = (e1(), Bump::new());
    for (text, faulty, faultless) in [
        (r#"error.type == "timeout""#, true, false),
        (r#"error.type != "timeout""#, false, false),
        (r#"error.msg == "no response""#, true, false),
        (r#"error.msg.startsWith("no")"#, true, false),
        (r#"http and error.type == "connection""#, false, false),
    ] {
        let filter = compiled(text);
        assert!(RowFilter::new(&env, &filter, &usual).is_whole(), "{text}");
        for (fault, matches) in [(Some(late), faulty), (None, faultless)] {
            sample.with(&arena, |entry| {
                let common = Common {
                    fault,
                    ..*entry.common
                };
                let entry = Entry {
                    common: &common,
                    ..*entry
                };
                assert_eq!(filter.matches(&entry), matches, "{text} {fault:?}");
                agree(&env, &filter, &entry, matches);
            });
        }
    }
    let needs = RowFilter::new(&env, &compiled(r#"error.type == "timeout""#), &usual);
    let expected = Needs::Is {
        column: Column::ErrorType,
        bound: Bound::Texts(vec!["timeout".into()]),
        or_missing: false,
    };
    assert_eq!(*needs.needs(), expected);
}

#[test]
fn statistics_are_asked_for_what_every_match_has() {
    let env = large();
    let needs = |text: &str| on(text, &usual(&env)).needs().clone();
    let is = |column, bound| Needs::Is {
        column,
        bound,
        or_missing: false,
    };
    let shop = Bound::Texts(vec!["shop".into()]);
    assert_eq!(
        needs(r#"dst.pod.namespace == "shop""#),
        is(Column::Name(Side::Dst, NamePart::Namespace), shop.clone())
    );
    let Needs::All(all) = needs("http && status_code >= 500") else {
        panic!("two conditions");
    };
    let Some(Needs::Protocols(http)) = all.first() else {
        panic!("{all:?}");
    };
    assert!(!http.is_empty() && *http != ProtocolSet::ALL);
    assert!(
        matches!(all.as_slice(), [_, Needs::Any(_) | Needs::All(_)]),
        "{all:?}"
    );
    // the default of an absent field would match too
    assert!(
        matches!(needs("status_code < 500"), Needs::Any(any) if any.iter().any(|n| matches!(n, Needs::Protocols(_))))
    );
    let Needs::All(path) = needs(r#"path.startsWith("/api")"#) else {
        panic!("a protocol, and a path in it");
    };
    let prefix = Bound::Prefix("/api".into());
    assert!(
        matches!(&path[..], [Needs::Protocols(_), Needs::Is { bound, .. }] if *bound == prefix),
        "{path:?}"
    );
    assert_eq!(
        needs(r#"src.name.matches("^shop$")"#),
        is(Column::Name(Side::Src, NamePart::Name), shop.clone())
    );
    assert_eq!(needs(r#"request.headers["a"] == "b""#), Needs::Every);
    assert_eq!(needs("!(src.port == 80)"), Needs::Every);
    assert_eq!(
        needs("src.port == 80 || dst.ip == '10.0.0.1'"),
        Needs::Any(vec![
            is(Column::Port(Side::Src), Bound::Ints(80, 80)),
            is(Column::Ip(Side::Dst), Bound::Texts(vec!["10.0.0.1".into()])),
        ])
    );
}
