//! The filters that are timed: those of the tables that the tests check answers of, each in the spelling of its table,
//! and recording rules as many teams have them.

use gillnet_kfl::{Env, Filter, Lang, Options, compile};
use gillnet_pipeline::{Plan, Want};

const KFL1: &str = include_str!("../../../crates/kfl/tests/vectors/kfl1_vectors.tsv");
const KFL2: &str = include_str!("../../../crates/kfl/tests/vectors/kfl2_vectors.tsv");

/// What `now()` is.
pub(crate) const NOW: &str = "2026-03-14T22:30:00Z";

/// The filters of both tables that compile, and how many do not: the tables hold mistakes too.
pub(crate) fn compiled(now: i64) -> (Vec<Filter>, usize) {
    let env = Env::new(&gillnet_protocols::env());
    // scripts take KFL1 leniently, and so does its table
    let tables = [(KFL1, Lang::Kfl1, true), (KFL2, Lang::Kfl2, false)];
    let (mut filters, mut refused) = (Vec::new(), 0);
    for (table, lang, lenient) in tables {
        let options = Options { lang, lenient, now };
        for line in table.lines() {
            let text = line.split('\t').next().unwrap_or_default();
            match compile(&env, text, &options) {
                Ok(filter) => filters.push(filter),
                Err(_) => refused += 1,
            }
        }
    }
    (filters, refused)
}

/// How many rules are evaluated at once.
pub(crate) const RULES: usize = 100;

/// Shapes of recording rules; each is there for a tenth of the teams.
const SHAPES: [&str; 10] = [
    r#"http && dst.pod.namespace == "team-{n}""#,
    r#"http && status_code >= 500 && dst.service.name == "service-{n}""#,
    r#"http and request.path.startsWith("/api/team-{n}/")"#,
    r#"http && method == "POST" && path.startsWith("/api/v1/team-{n}")"#,
    r#"http && request.headers["host"] == "team-{n}.example.com""#,
    r#"http && elapsed_time > {n}000000"#,
    r#"dns && dns_questions.exists(q, q.endsWith(".team-{n}.example.com"))"#,
    r#"src.namespace == "team-{n}" && dst.namespace != "team-{n}""#,
    r#"dst.ip == "10.1.{n}.9" && dst.port == 5432"#,
    r#"http and response.status == r"5.." and src.name == r"^team-{n}-""#,
];

/// A hundred rules at once: those of teams, and as many of the tables' filters, evenly spread.
pub(crate) fn plans(tables: &[Filter], now: i64) -> [(&'static str, Plan); 2] {
    let env = Env::new(&gillnet_protocols::env());
    let options = Options {
        now,
        ..Options::default()
    };
    let text = |n: usize| SHAPES[n % SHAPES.len()].replace("{n}", &n.to_string());
    let teams = (0..RULES).map(|n| compile(&env, &text(n), &options).expect("the rules are right"));
    let tables: Vec<&Filter> = tables.iter().filter(|f| !reads_document(f)).collect();
    let spread = (0..RULES).map(|n| tables[n * tables.len() / RULES].clone());
    [
        ("rules of teams", plan(teams)),
        ("of the tables", plan(spread)),
    ]
}

/// Whether it reads a document inside a field.
pub(crate) fn reads_document(filter: &Filter) -> bool {
    [".json()", ".xml()"]
        .iter()
        .any(|f| filter.text().contains(f))
}

fn plan(filters: impl Iterator<Item = Filter>) -> Plan {
    let wants = (0u8..).zip(filters).map(|(bit, filter)| Want {
        bit,
        filter,
        record: true,
        bodies: false,
    });
    Plan::new(wants.collect(), 1)
}
