use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, DictionaryArray, Int64Array};
use gillnet_entry::{COMMON, Kind};

use super::coded::{Coder, Combiner};
use super::key::same_column;
use super::*;

fn text(text: &str) -> Scalar {
    Scalar::Text(text.into())
}

fn asked(by: &[&str], measures: &[&str], most: usize) -> Arc<Aggregation> {
    let by = by.iter().map(|name| match *name {
        "time" => Key::every(60_000_000_000).unwrap(),
        name => Key::find(name, &[]).unwrap(),
    });
    Arc::new(Aggregation {
        by: by.collect(),
        measures: measures.iter().map(|name| name.parse().unwrap()).collect(),
        most,
    })
}

fn took(us: i64) -> Exchange {
    Exchange {
        failed: us % 10 == 0,
        request: 1,
        response: 2,
        elapsed: Some(us),
    }
}

#[test]
fn percentiles_are_within_one_percent_however_parts_are_merged() {
    let of = asked(&["dst.service"], &["count", "p50"], 10);
    let mut parts: Vec<Table> = (0..7).map(|_| Table::new(Arc::clone(&of))).collect();
    let mut values: Vec<i64> = (1..=20_000).map(|n| n * n % 100_003).collect();
    for (n, us) in values.iter().enumerate() {
        parts[n % 7].add(&[text("catalogue")], took(*us));
    }
    let mut whole = Table::new(of);
    parts.iter().for_each(|part| whole.merge(part));
    let (_, totals) = whole.into_groups().pop().unwrap();
    values.sort_unstable();
    for part in [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
        #[allow(clippy::cast_sign_loss, clippy::cast_possible_truncation)]
        let exact = values[(part * (values.len() - 1) as f64) as usize] as f64;
        let found = totals.quantile(part).unwrap();
        assert!(
            (found - exact).abs() <= exact * 0.0101,
            "{part}: {found}, not {exact}"
        );
    }
    let sum: i64 = values.iter().sum();
    let average = totals.average().unwrap();
    assert!((average - sum as f64 / values.len() as f64).abs() < 1e-6);
    assert_eq!(totals.count, 20_000);
}

#[test]
fn groups_beyond_the_limit_are_counted_as_others() {
    let of = asked(&["dst.service"], &["count", "errors", "bytes"], 2);
    let part = |names: &[&str]| {
        let mut table = Table::new(Arc::clone(&of));
        names
            .iter()
            .for_each(|name| table.add(&[text(name)], took(10)));
        table
    };
    let mut whole = part(&["a", "b", "c", "a"]);
    whole.merge(&part(&["c", "d", "b"]));
    // the b of the second part came when that had its two
    let answer = Answer::new(whole, None, None);
    let rows: Vec<_> = answer
        .rows
        .iter()
        .map(|row| (row.key[0].clone(), row.totals.count))
        .collect();
    assert_eq!(rows, [(text("a"), 2), (text("b"), 1)]);
    assert_eq!(
        (answer.other.count, answer.other.errors, answer.total.count),
        (4, 4, 7)
    );
    let bytes = serde_json::json!({ "count": 7, "errors": 7, "bytes": 21 });
    let total = serde_json::Map::from_iter(answer.measured(&answer.total));
    assert_eq!(serde_json::Value::from(total), bytes);
}

#[test]
fn rows_are_sorted_and_the_first_are_of_the_whole_time() {
    let of = asked(&["time", "dst.service"], &["count"], 100);
    let mut table = Table::new(Arc::clone(&of));
    let minute = |n: i64| Scalar::Time(n * 60_000_000_000);
    for (at, name, count) in [
        (1, "a", 1),
        (0, "a", 1),
        (0, "b", 5),
        (1, "c", 2),
        (0, "c", 4),
    ] {
        (0..count).for_each(|_| table.add(&[minute(at), text(name)], took(1)));
    }
    let rows = |answer: &Answer| {
        let row = |row: &Row| {
            format!(
                "{:?} {:?} {}",
                row.key[0].value(),
                row.key[1].value(),
                row.totals.count
            )
        };
        answer.rows.iter().map(row).collect::<Vec<_>>()
    };
    let all = Answer::new(table.clone(), None, None);
    let at = |n: u64| format!("Time({})", n * 60_000_000_000);
    let name = |name| format!("Str({name:?})");
    let expected = [
        (0, "b", 5),
        (0, "c", 4),
        (0, "a", 1),
        (1, "c", 2),
        (1, "a", 1),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(t, n, count)| format!("{} {} {count}", at(*t), name(*n)))
        .collect();
    assert_eq!(rows(&all), expected);
    // c has 6 of all, b 5, a 2
    let top = Answer::new(table.clone(), None, Some(2));
    assert_eq!((rows(&top).len(), top.more), (3, 1));
    assert!(!rows(&top).iter().any(|row| row.contains('a')));
    let names = ["time", "dst.service"];
    let sort = Sort::parse("+count", &names, &of.measures).unwrap();
    let least = Answer::new(table.clone(), Some(&sort), None);
    assert_eq!(least.rows.last().unwrap().totals.count, 5);
    let sort = Sort::parse("-dst.service", &names, &of.measures).unwrap();
    let last = Answer::new(table, Some(&sort), None);
    assert_eq!(last.rows[0].key[1], text("c"));
    assert_eq!(Sort::parse("p99", &names, &of.measures), None);
    assert_eq!(Sort::parse("", &names, &of.measures), None);
}

#[test]
fn measures_have_names() {
    for name in [
        "count",
        "errors",
        "errorRate",
        "bytes",
        "avg",
        "min",
        "max",
        "p50",
        "p99.9",
        "p0",
        "p100",
    ] {
        assert_eq!(name.parse::<Measure>().unwrap().to_string(), name);
    }
    for wrong in ["", "p", "p101", "p-1", "pinf", "p1e1", "Count", "p99 "] {
        assert!(wrong.parse::<Measure>().is_err(), "{wrong}");
    }
    assert!(
        "nothing"
            .parse::<Measure>()
            .unwrap_err()
            .to_string()
            .contains("errorRate")
    );
}

#[test]
fn combinations_of_values_have_numbers() {
    let words: DictionaryArray<Int32Type> = [Some("a"), Some(""), None, Some("a"), Some("b")]
        .into_iter()
        .collect();
    let ints = Int64Array::from(vec![Some(7), Some(7), None, Some(8), Some(7)]);
    let (mut texts, mut numbers) = (Coder::default(), Coder::default());
    let (mut a, mut b, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    texts.codes(&(Arc::new(words) as ArrayRef), &mut a);
    numbers.codes(&(Arc::new(ints) as ArrayRef), &mut b);
    let values: Vec<_> = a.iter().map(|code| texts.value(*code).clone()).collect();
    assert_eq!(
        values,
        [text("a"), text(""), Scalar::Nothing, text("a"), text("b")]
    );
    let values: Vec<_> = b.iter().map(|code| numbers.value(*code).clone()).collect();
    let int = Scalar::Int;
    assert_eq!(values, [int(7), int(7), Scalar::Nothing, int(8), int(7)]);
    let mut combiner = Combiner::default();
    combiner.combine(&[&a, &b], 5, &mut ids);
    let distinct: std::collections::HashSet<_> = ids.iter().collect();
    assert_eq!(distinct.len(), 5);
    let before = ids.clone();
    combiner.combine(&[&a, &b], 5, &mut ids);
    assert_eq!(ids, before);
    combiner.combine(&[], 3, &mut ids);
    assert_eq!(ids, [0, 0, 0]);
    let mut spans = Coder::default();
    spans.spans(&[0, 59, 60, -1, 119, 5], 60, &mut ids);
    let values: Vec<_> = ids.iter().map(|code| spans.value(*code).clone()).collect();
    let time = Scalar::Time;
    assert_eq!(
        values,
        [time(0), time(0), time(60), time(-60), time(60), time(0)]
    );
}

#[test]
fn keys_are_found_by_any_of_their_names() {
    let base = |name: &str| {
        super::super::columns::BASE
            .iter()
            .position(|base| base.name == name)
    };
    for (name, column) in [
        ("dst.service", "dst.service"),
        ("dst.service.name", "dst.service"),
        ("src.pod.namespace", "src.namespace"),
        ("elapsed_time", "elapsedTime"),
        ("statusCode", "statusCode"),
    ] {
        let key = Key::find(name, &[]).unwrap();
        assert!(
            matches!(key.of, key::Of::Base(at) if Some(at) == base(column)),
            "{name}"
        );
    }
    assert!(!Key::find("node.name", &[]).unwrap().is_columnar());
    assert_eq!(
        Key::find("src", &[]).unwrap_err(),
        NoKey::Many("src".into())
    );
    let near = Key::find("service", &[]).unwrap_err().to_string();
    assert!(near.contains("src.service"), "{near}");
    assert_eq!(Key::every(0).unwrap_err(), NoKey::NoTime);
    // a column that stands for a field is of its kind
    for field in COMMON.fields {
        let Some(at) = same_column(field) else {
            continue;
        };
        let of = super::super::columns::BASE[at].of.arrow();
        let fits = match field.kind {
            Kind::Int => of.is_integer(),
            Kind::Bool => of == arrow_schema::DataType::Boolean,
            Kind::Str => of == arrow_schema::DataType::Utf8,
            Kind::Time => matches!(of, arrow_schema::DataType::Timestamp(..)),
            _ => false,
        };
        assert!(fits, "{} {}", field.json, field.kfl2);
    }
}
