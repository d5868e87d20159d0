//! KFL2 is CEL: the conformance suite of the language's definition, as the package `@bufbuild/cel-spec` has it.
//!
//! Of the suites that need no Protocol Buffers, every test runs that has no container and makes no message, and all of
//! them pass: with types checked first, but where a test is about what then happens without, and leniently.

use crate::observe::{self, Cel, kfl2};
use crate::support::{Sample, e0};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use gillnet_entry::json::Members;
use gillnet_entry::{Bytes, Ctx, Field, Kind, ProtocolInfo, Record, Schema, Stage, Value};
use gillnet_kfl::Env;
use serde_json::Value as Json;
use std::path::PathBuf;

/// The suites that are taken. The others are extensions, or about Protocol Buffers.
const SUITES: &[&str] = &[
    "basic",
    "comparisons",
    "conversions",
    "fields",
    "fp_math",
    "integer_math",
    "lists",
    "logic",
    "macros",
    "parse",
    "plumbing",
    "string",
    "timestamps",
];

/// Tests that are run: of the 1,176 of these suites the rest is about messages.
const RUN: usize = 1_078;

/// The suite as JSON: the file that `GILLNET_CEL_SPEC` names, or where `scripts/deps.sh` puts it.
fn suite() -> Json {
    let path = std::env::var_os("GILLNET_CEL_SPEC").map_or_else(
        || {
            let home = std::env::var_os("HOME").unwrap_or_default();
            PathBuf::from(home).join(".cache/gillnet/cel-spec-0.6.1/conformance.json")
        },
        PathBuf::from,
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "no conformance suite at {}: {error}.\n`. scripts/deps.sh; deps_cel_spec` fetches it (needs npm and node) \
             and sets GILLNET_CEL_SPEC; `make test` does so itself",
            path.display()
        )
    });
    serde_json::from_str(&text).unwrap()
}

/// A value of the suite.
fn value(json: &Json) -> Cel {
    let members = json.as_object().unwrap();
    assert_eq!(members.len(), 1, "{json}");
    let (of, inner) = members.iter().next().unwrap();
    let text = || inner.as_str().unwrap();
    let list = |key: &str| inner[key].as_array().cloned().unwrap_or_default();
    match of.as_str() {
        "nullValue" => Cel::Null,
        "boolValue" => Cel::Bool(inner.as_bool().unwrap()),
        "int64Value" => Cel::Int(text().parse().unwrap()),
        "uint64Value" => Cel::UInt(text().parse().unwrap()),
        "doubleValue" => {
            let number = inner.as_f64().or_else(|| inner.as_str()?.parse().ok());
            Cel::Double(number.unwrap())
        }
        "stringValue" => Cel::Str(text().into()),
        "bytesValue" => Cel::Bytes(BASE64_STANDARD.decode(text()).unwrap()),
        "typeValue" => Cel::Type(text().into()),
        "listValue" => Cel::List(list("values").iter().map(value).collect()),
        "mapValue" => {
            let pair = |e: &Json| (value(&e["key"]), value(&e["value"]));
            Cel::Map(list("entries").iter().map(pair).collect())
        }
        // the one message that a variable is
        "objectValue" => {
            assert_eq!(
                inner["@type"],
                "type.googleapis.com/google.protobuf.Duration"
            );
            let seconds = inner["value"].as_str().unwrap().strip_suffix('s').unwrap();
            let (whole, fraction) = seconds.split_once('.').unwrap();
            Cel::Duration(format!("{whole}{fraction:0<9}").parse().unwrap())
        }
        _ => panic!("a value that is {json}"),
    }
}

/// A record that holds the variables of one test.
#[derive(Clone, Debug)]
struct Bound {
    schema: &'static Schema,
    values: Vec<Cel>,
}

impl Bound {
    fn new(bindings: Option<&Json>) -> Bound {
        let bindings = bindings.and_then(Json::as_object);
        let (fields, values): (Vec<Field>, Vec<Cel>) = bindings
            .into_iter()
            .flatten()
            .map(|(name, bound)| (name, value(&bound["value"])))
            .map(|(name, value)| (field(name, &value), value))
            .unzip();
        // a table is static: the few that tests make are not given back
        let schema = Box::leak(Box::new(Schema {
            name: "bound",
            fields: fields.leak(),
            shown: gillnet_entry::ShownBy::NONE,
        }));
        Bound { schema, values }
    }
}

fn field(name: &str, value: &Cel) -> Field {
    Field {
        json: "",
        kfl2: name.to_string().leak(),
        kind: match value {
            Cel::Bool(_) => Kind::Bool,
            Cel::Int(_) => Kind::Int,
            Cel::Double(_) => Kind::Double,
            Cel::Str(_) => Kind::Str,
            Cel::Bytes(_) => Kind::Bytes,
            Cel::Duration(_) => Kind::Duration,
            Cel::Map(pairs) if pairs.iter().all(|(_, v)| matches!(v, Cel::Str(_))) => Kind::StrMap,
            _ => Kind::Any,
        },
        stage: Stage::Entry,
        doc: "",
        same_as: "",
    }
}

impl Record for Bound {
    fn schema(&self) -> &'static Schema {
        self.schema
    }
    fn info(&self) -> &'static ProtocolInfo {
        &crate::support::HTTP_INFO
    }
    fn get<'a>(&'a self, field: u16, ctx: &Ctx<'a>) -> Value<'a> {
        self.values
            .get(usize::from(field))
            .map_or(Value::Missing, |value| value.bound(ctx))
    }
    fn write_json<'a>(&'a self, _: &Ctx<'a>, _: &mut Members<'_>) {}
    fn detach(&self, _: &dyn Bytes, _: usize) -> Box<dyn Record> {
        Box::new(self.clone())
    }
    fn summary<'a>(&'a self, _: &Ctx<'a>) -> &'a str {
        ""
    }
    fn method<'a>(&'a self, _: &Ctx<'a>) -> &'a str {
        ""
    }
    fn status<'a>(&'a self, _: &Ctx<'a>) -> (&'a str, Option<i64>) {
        ("", None)
    }
    fn ok(&self, _: &Ctx<'_>) -> bool {
        true
    }
}

/// What is wrong with the answer to a test, read strictly or leniently.
fn wrong(test: &Json, lenient: bool) -> Option<String> {
    let record = Bound::new(test.get("bindings"));
    let env = Env::new(&[("bound", record.schema, &[])]);
    let sample = Sample {
        record: Box::new(record),
        ..e0()
    };
    let wanted = match (test.get("value"), test.get("evalError")) {
        (Some(json), _) => Some(value(json)),
        (None, Some(_)) => None,
        (None, None) => Some(Cel::Bool(true)),
    };
    let text = test["expr"].as_str().unwrap();
    observe::wrong(&env, &sample, (text, wanted.as_ref()), &kfl2(lenient, 0)).map(|w| w.text)
}

/// Whether a test lies within the language without messages: it has no container, makes no message and gives none.
fn runnable(test: &Json, tree: &str) -> bool {
    let message = regex::Regex::new(r"\b[A-Z]\w*\{").unwrap();
    let of_messages = |v: &Json| v.get("objectValue").is_some();
    test.get("container").is_none()
        && !message.is_match(tree)
        && !test.get("value").is_some_and(of_messages)
}

#[test]
fn cel_conformance() {
    let all = suite();
    let (mut count, mut failures) = (0, Vec::new());
    let list = |json: &Json, key: &str| json[key].as_array().unwrap().clone();
    let text = |json: &Json, key: &str| json[key].as_str().unwrap_or_default().to_string();
    let taken = |suite: &Json| SUITES.contains(&&*text(suite, "name"));
    for suite in list(&all, "suites").into_iter().filter(taken) {
        for section in list(&suite, "suites") {
            for case in list(&section, "tests") {
                let test = &case["original"];
                if !runnable(test, &text(&case, "ast")) {
                    continue;
                }
                count += 1;
                let unchecked = test.get("disableCheck").is_some();
                let strictly = (!unchecked).then(|| wrong(test, false)).flatten();
                if let Some(wrong) = strictly.or_else(|| wrong(test, true)) {
                    let names = [&suite, &section, test].map(|json| text(json, "name"));
                    failures.push(format!("{}: {wrong}", names.join("/")));
                }
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} fail:\n{}",
        failures.len(),
        failures.join("\n")
    );
    assert_eq!(count, RUN);
}
