//! What of an entry may be shown where a filter hides values.

use gillnet_entry::{COMMON, Entry, json};
use gillnet_kfl::Filter;
use serde_json::{Map, Value};

/// What stands in the place of a hidden value.
const HIDDEN: &str = "[REDACTED]";

/// An entry as JSON, with and without what a filter hides.
pub(crate) struct Redacted {
    plain: Value,
    shown: Value,
}

impl Redacted {
    pub(crate) fn of(entry: &Entry<'_>, filter: &Filter) -> Redacted {
        let (mut plain, mut shown) = (Vec::new(), Vec::new());
        json::write_entry(entry, &mut plain);
        filter.write_json(entry, &mut shown);
        let read = |json: &[u8]| serde_json::from_slice(json).unwrap_or(Value::Null);
        Redacted {
            plain: read(&plain),
            shown: read(&shown),
        }
    }

    /// The entry without what is hidden.
    pub(crate) fn into_shown(self) -> Value {
        self.shown
    }

    /// Hides in what is to be shown instead of the entry what is hidden there: in its place stands what the filter put.
    pub(crate) fn restore(&self, instead: &mut Map<String, Value>) {
        for (key, value) in instead {
            restore(value, self.plain.get(key), self.shown.get(key));
        }
    }

    /// Whether a text holds a value that is hidden.
    pub(crate) fn tells(&self, text: &str) -> bool {
        let mut hidden = Vec::new();
        gather(&self.plain, &self.shown, &mut hidden);
        hidden.iter().any(|value| text.contains(&**value))
    }

    /// Appends a row without what is hidden: members that the entry has are hidden as there, and what is made of the
    /// message is searched for its hidden values.
    pub(crate) fn write_row(&self, row: &[u8], out: &mut Vec<u8>) {
        let mut row: Value = serde_json::from_slice(row).unwrap_or(Value::Null);
        carry(&mut row, &self.plain, &self.shown);
        let mut hidden = Vec::new();
        if let (Value::Object(plain), Value::Object(shown)) = (&self.plain, &self.shown) {
            for (key, value) in plain.iter().filter(|(key, _)| COMMON.json(key).is_none()) {
                gather(value, shown.get(key).unwrap_or(&Value::Null), &mut hidden);
            }
        }
        hidden.sort_by_key(|value| std::cmp::Reverse(value.len()));
        for name in ["method", "summary", "status", "statusCode"] {
            if let Some(cell) = row.get_mut(name) {
                scrub(cell, &hidden);
            }
        }
        out.extend_from_slice(row.to_string().as_bytes());
    }
}

fn restore(instead: &mut Value, plain: Option<&Value>, shown: Option<&Value>) {
    if plain == shown {
        return;
    }
    match (&mut *instead, plain, shown) {
        (Value::Object(instead), Some(Value::Object(plain)), Some(Value::Object(shown))) => {
            for (key, value) in instead {
                restore(value, plain.get(key), shown.get(key));
            }
        }
        (Value::Array(instead), Some(Value::Array(plain)), Some(Value::Array(shown)))
            if instead.len() == plain.len() =>
        {
            for (i, value) in instead.iter_mut().enumerate() {
                restore(value, plain.get(i), shown.get(i));
            }
        }
        (instead, _, shown) => *instead = shown.cloned().unwrap_or_else(|| HIDDEN.into()),
    }
}

/// Hides in a row what is hidden in the entry under the same name.
fn carry(row: &mut Value, plain: &Value, shown: &Value) {
    if plain == shown {
        return;
    }
    match (&mut *row, plain, shown) {
        (Value::Object(row), Value::Object(plain), Value::Object(shown)) => {
            for (key, value) in row {
                if let Some(plain) = plain.get(key) {
                    carry(value, plain, shown.get(key).unwrap_or(&Value::Null));
                }
            }
        }
        (Value::Object(row), ..) => row
            .values_mut()
            .for_each(|value| carry(value, plain, shown)),
        (value, ..) => *value = HIDDEN.into(),
    }
}

/// Gathers the texts and numbers that are not shown.
fn gather(plain: &Value, shown: &Value, hidden: &mut Vec<String>) {
    match (plain, shown) {
        _ if plain == shown => {}
        (Value::Object(plain), Value::Object(shown)) => {
            for (key, value) in plain {
                gather(value, shown.get(key).unwrap_or(&Value::Null), hidden);
            }
        }
        (Value::Array(plain), Value::Array(shown)) => {
            for (i, value) in plain.iter().enumerate() {
                gather(value, shown.get(i).unwrap_or(&Value::Null), hidden);
            }
        }
        (Value::Object(plain), _) => {
            plain
                .values()
                .for_each(|value| gather(value, &Value::Null, hidden));
        }
        (Value::Array(plain), _) => {
            plain
                .iter()
                .for_each(|value| gather(value, &Value::Null, hidden));
        }
        (Value::String(text), _) if !text.is_empty() => hidden.push(text.clone()),
        (Value::Number(number), _) => hidden.push(number.to_string()),
        _ => {}
    }
}

fn scrub(cell: &mut Value, hidden: &[String]) {
    match cell {
        Value::String(text) => {
            for value in hidden {
                // a value inside of what stands for hidden ones is none of the entry
                let parts: Vec<String> = text
                    .split(HIDDEN)
                    .map(|part| part.replace(&**value, HIDDEN))
                    .collect();
                *text = parts.join(HIDDEN);
            }
        }
        Value::Number(number) if hidden.contains(&number.to_string()) => *cell = Value::Null,
        _ => {}
    }
}
