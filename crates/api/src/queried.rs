//! Entries as scripts have them shown: what `onItemQueried` gives stands in the place of an entry.
//!
//! ```text
//! entry ─ filter ─► JSON without what is hidden ─► scripts ─► answer ─► what is hidden stays so ─► row or detail
//! ```

use crate::redacted::Redacted;
use crate::write_row;
use gillnet_entry::{Bump, COMMON, Entry, OwnedEntry, json};
use gillnet_kfl::Filter;
use gillnet_scripts::{Hook, Scripts};
use serde_json::{Map, Value};
use std::sync::Arc;

/// The scripts, where some has a say in what is shown. Where none has, nothing of this costs anything.
pub(crate) fn asked(scripts: Option<&Scripts>) -> Option<&Scripts> {
    scripts.filter(|scripts| scripts.has_hook(Hook::ItemQueried))
}

/// The rows of entries that a filter matches, in their order. May wait for scripts.
pub(crate) fn rows(
    entries: &[Arc<OwnedEntry>],
    filter: &Filter,
    scripts: Option<&Scripts>,
) -> Vec<Vec<u8>> {
    let mut arena = Bump::new();
    let mut rows = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut row = Vec::with_capacity(512);
        entry.with(&arena, |entry| write_row(entry, filter, &mut row));
        arena.reset();
        rows.push(row);
    }
    if let Some(scripts) = asked(scripts)
        && !entries.is_empty()
    {
        let answers = ask(scripts, entries, Some(filter), filter.text());
        for (row, answer) in rows.iter_mut().zip(answers) {
            if let Some(answer) = answer {
                *row = answer.row(row);
            }
        }
    }
    rows
}

/// What scripts have shown in the place of an entry that a client asked for with a filter of this text: its JSON, without
/// what the filter in force hides. Nothing where they leave it as it is. May wait for scripts.
pub fn queried(
    entry: &Arc<OwnedEntry>,
    filter: Option<&Filter>,
    text: &str,
    scripts: &Scripts,
) -> Option<Map<String, Value>> {
    let scripts = asked(Some(scripts))?;
    let answers = ask(scripts, std::slice::from_ref(entry), filter, text);
    Some(answers.into_iter().next()??.shown)
}

/// Asks for all entries at once; the answers by place. Where the filter hides values, scripts do not see them, either.
fn ask(
    scripts: &Scripts,
    entries: &[Arc<OwnedEntry>],
    filter: Option<&Filter>,
    text: &str,
) -> Vec<Option<Answer>> {
    let hides = filter.filter(|filter| filter.redacts());
    let answers = match hides {
        None => scripts.queried(entries, text),
        Some(filter) => {
            let shown = entries.iter().map(|entry| {
                let mut out = Vec::new();
                entry.with(&Bump::new(), |entry| filter.write_json(entry, &mut out));
                String::from_utf8_lossy(&out).into_owned()
            });
            scripts.queried_json(shown.collect(), text)
        }
    };
    let answers = entries.iter().zip(answers).map(|(entry, answer)| {
        // an array is nothing that can be shown as an entry
        let answer = serde_json::from_str(&answer?).ok()?;
        entry.with(&Bump::new(), |entry| {
            Some(Answer::new(entry, hides, answer))
        })
    });
    answers.collect()
}

/// What scripts gave for an entry.
struct Answer {
    /// The entry as they were given it.
    given: Value,
    /// What is shown.
    shown: Map<String, Value>,
}

impl Answer {
    fn new(entry: &Entry<'_>, hides: Option<&Filter>, mut shown: Map<String, Value>) -> Answer {
        let given = match hides {
            Some(filter) => {
                let redacted = Redacted::of(entry, filter);
                redacted.restore(&mut shown);
                redacted.into_shown()
            }
            None => {
                let mut out = Vec::new();
                json::write_entry(entry, &mut out);
                serde_json::from_slice(&out).unwrap_or(Value::Null)
            }
        };
        // what names the entry stays, so that it can be asked for
        for name in ["id", "stream", "index"] {
            shown.insert(name.to_owned(), given[name].clone());
        }
        // what every entry has is of its kind, for who reads it
        for name in ["protocol", "src", "dst"] {
            shape(shown.entry(name).or_insert(Value::Null), &given[name]);
        }
        Answer { given, shown }
    }

    /// The entry's row with the columns as they are in the answer.
    fn row(&self, row: &[u8]) -> Vec<u8> {
        let Answer { given, shown } = self;
        let mut row: Value = serde_json::from_slice(row).unwrap_or(Value::Null);
        let is = |name: &str| shown.get(name).unwrap_or(&Value::Null);
        for (cell, name) in [
            ("timestamp", "startTime"),
            ("protocol", "protocol"),
            ("src", "src"),
            ("dst", "dst"),
            ("requestSize", "requestSize"),
            ("responseSize", "responseSize"),
        ] {
            if let Some(cell) = row.get_mut(cell) {
                carry(cell, &given[name], is(name));
            }
        }
        if given["elapsedTime"] != *is("elapsedTime") {
            let elapsed = is("elapsedTime").as_i64().filter(|us| *us > 0);
            row["elapsedTime"] = elapsed.into();
        }
        if given["error"] != *is("error") {
            let part = |name| text(&is("error")[name]);
            row["error"] = match is("error") {
                Value::Object(_) => {
                    serde_json::json!({ "type": part("type"), "msg": part("msg") })
                }
                Value::Null => Value::Null,
                other => serde_json::json!({ "type": text(other), "msg": "" }),
            };
        }
        let mut changes = Changes::default();
        for (name, was) in given.as_object().into_iter().flatten() {
            if COMMON.json(name).is_none() {
                changes.gather(was, is(name));
            }
        }
        changes
            .texts
            .sort_by_key(|(was, _)| std::cmp::Reverse(was.len()));
        for name in ["method", "summary", "status", "statusCode"] {
            if let Some(cell) = row.get_mut(name) {
                changes.apply(cell);
            }
        }
        for mark in ["passed", "failed"] {
            if *is(mark) == true {
                row[mark] = true.into();
            }
        }
        row.to_string().into_bytes()
    }
}

/// A value as text; empty where there is none.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A whole number, also where it is written as text.
fn number(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}

/// Makes a value one of another's kind, with the same members at least: what is none is empty.
fn shape(value: &mut Value, like: &Value) {
    match like {
        Value::Object(like) => {
            if !value.is_object() {
                *value = Value::Object(Map::new());
            }
            for (key, like) in like {
                shape(&mut value[key], like);
            }
        }
        Value::String(_) if !value.is_string() => *value = text(value).into(),
        Value::Number(_) if !value.is_number() => *value = 0.into(),
        Value::Array(_) if !value.is_array() => *value = Value::Array(Vec::new()),
        _ => {}
    }
}

/// Puts into a cell what was changed in the entry.
fn carry(cell: &mut Value, was: &Value, is: &Value) {
    if was == is {
        return;
    }
    match cell {
        Value::Object(cells) => {
            for (name, cell) in cells {
                carry(cell, &was[name], &is[name]);
            }
        }
        Value::Number(_) => *cell = number(is).unwrap_or(0).into(),
        cell => *cell = text(is).into(),
    }
}

/// Values of a message that were changed: what is made of the message has them in some place.
#[derive(Default)]
struct Changes {
    texts: Vec<(String, String)>,
    numbers: Vec<(String, Value)>,
    /// Numbers that some place still has.
    kept: Vec<String>,
}

impl Changes {
    fn gather(&mut self, was: &Value, is: &Value) {
        match was {
            Value::Object(members) => {
                for (key, was) in members {
                    // all in the place of which there is one value now became that
                    self.gather(was, if is.is_object() { &is[key] } else { is });
                }
            }
            Value::Array(items) => {
                for (i, was) in items.iter().enumerate() {
                    self.gather(was, if is.is_array() { &is[i] } else { is });
                }
            }
            Value::Number(number) if was == is => self.kept.push(number.to_string()),
            Value::Number(number) => self.numbers.push((number.to_string(), is.clone())),
            Value::String(old) if was != is && !old.is_empty() => {
                self.texts.push((old.clone(), text(is)));
            }
            _ => {}
        }
    }

    /// Puts new values in the place of old ones. A number is the whole of a cell: digits in a text may be any.
    fn apply(&self, cell: &mut Value) {
        let shown = text(cell);
        let changed = self.numbers.iter().find(|(was, _)| *was == shown);
        let changed = changed.filter(|(was, _)| !self.kept.contains(was));
        match cell {
            Value::Number(_) => {
                if let Some((_, is)) = changed {
                    *cell = number(is).into();
                }
            }
            Value::String(cell) => {
                *cell = match changed {
                    Some((_, is)) => text(is),
                    None => self.replaced(&shown),
                };
            }
            _ => {}
        }
    }

    fn replaced(&self, shown: &str) -> String {
        let mut out = String::with_capacity(shown.len());
        let mut rest = shown;
        while !rest.is_empty() {
            let old = self.texts.iter().find_map(|(was, is)| {
                let rest = rest.strip_prefix(&**was)?;
                Some((is, rest))
            });
            if let Some((is, after)) = old {
                out.push_str(is);
                rest = after;
            } else {
                let mut chars = rest.chars();
                out.extend(chars.next());
                rest = chars.as_str();
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row_of(given: &Value, shown: &Value, row: &Value) -> Value {
        let answer = Answer {
            given: given.clone(),
            shown: shown.as_object().unwrap().clone(),
        };
        serde_json::from_slice(&answer.row(row.to_string().as_bytes())).unwrap()
    }

    #[test]
    fn a_row_has_the_columns_of_what_is_shown() {
        let given = json!({
            "src": {"ip": "10.0.0.1", "port": "80", "name": "a"}, "elapsedTime": 7, "error": null, "requestSize": 9,
            "passed": false, "failed": false,
            "request": {"method": "GET", "url": "/secret?q=1", "bodySize": 500, "headersSize": 200},
            "response": {"status": 500, "bodySize": 200},
        });
        let row = json!({
            "id": "x", "method": "GET", "summary": "/secret?q=1", "status": "500", "statusCode": 500,
            "src": {"ip": "10.0.0.1", "port": 80, "name": "a"}, "elapsedTime": 7, "error": null, "requestSize": 9,
        });
        assert_eq!(row_of(&given, &given, &row), row);
        let mut shown = given.clone();
        shown["failed"] = true.into();
        shown["passed"] = "yes".into();
        shown["src"] = json!({"ip": "10.0.0.1", "port": "8080"});
        shown["error"] = json!({"type": "test"});
        shown["elapsedTime"] = "long".into();
        shown["requestSize"] = "10".into();
        shown["request"]["url"] = "[redacted]".into();
        let mut expected = row.clone();
        expected["failed"] = true.into();
        expected["src"] = json!({"ip": "10.0.0.1", "port": 8080, "name": ""});
        expected["error"] = json!({"type": "test", "msg": ""});
        expected["elapsedTime"] = Value::Null;
        expected["requestSize"] = 10.into();
        expected["summary"] = "[redacted]".into();
        assert_eq!(row_of(&given, &shown, &row), expected);
        // a number that stands in other places, too, is not taken for theirs
        let mut shown = given.clone();
        shown["request"]["bodySize"] = 1.into();
        assert_eq!(row_of(&given, &shown, &row), row);
        shown["response"]["status"] = 404.into();
        shown["request"]["method"] = "POST".into();
        let mut expected = row.clone();
        expected["status"] = "404".into();
        expected["statusCode"] = 404.into();
        expected["method"] = "POST".into();
        let mut without = given.clone();
        without["request"]["bodySize"] = 1.into();
        assert_eq!(row_of(&without, &shown, &row), expected);
        // a message that is gone takes what was made of it along
        let mut shown = given.clone();
        shown["request"] = "gone".into();
        let found = row_of(&given, &shown, &row);
        assert_eq!(
            (&found["method"], &found["summary"]),
            (&json!("gone"), &json!("gone"))
        );
    }

    #[test]
    fn what_every_entry_has_is_of_its_kind() {
        let like =
            json!({"ip": "10.0.0.1", "port": "80", "pod": {"name": "p"}, "list": [1], "n": 1});
        for (given, shaped) in [
            (
                Value::Null,
                json!({"ip": "", "port": "", "pod": {"name": ""}, "list": [], "n": 0}),
            ),
            (
                json!({"ip": 5, "other": 1, "port": "1", "pod": "x", "list": [2], "n": 2}),
                json!({"ip": "5", "other": 1, "port": "1", "pod": {"name": ""}, "list": [2], "n": 2}),
            ),
        ] {
            let mut value = given;
            shape(&mut value, &like);
            assert_eq!(value, shaped);
        }
    }
}
