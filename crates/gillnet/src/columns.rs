//! Columns by name: a field's name in KFL2, its path in JSON, or the end of that path.

use gillnet_entry::{COMMON, Entry, Schema, Value, json};
use gillnet_protocols::REGISTRY;

/// Where a column's value is found in entries of each protocol.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name, as asked for.
    pub name: String,
    common: Option<u16>,
    /// By registry index.
    own: Vec<Option<u16>>,
}

impl Column {
    /// Finds the field; the error names near ones.
    pub fn find(name: &str) -> anyhow::Result<Column> {
        let own: Vec<_> = REGISTRY.iter().map(|p| field(p.schema, name)).collect();
        let common = field(&COMMON, name);
        if common.is_none() && own.iter().all(Option::is_none) {
            let near = nearest(name);
            anyhow::bail!("there is no column `{name}`{near}");
        }
        Ok(Column {
            name: name.to_owned(),
            common,
            own,
        })
    }

    /// Its field in the protocol's part of an entry.
    fn own(&self, entry: &Entry<'_>) -> Option<u16> {
        self.own.get(usize::from(entry.protocol)).copied().flatten()
    }

    /// Its value in an entry.
    pub fn value<'a>(&self, entry: &Entry<'a>) -> Value<'a> {
        match self.own(entry) {
            Some(index) => entry.own(index),
            None => self
                .common
                .map_or(Value::Missing, |index| entry.common(index)),
        }
    }

    /// Appends its value in an entry as JSON.
    pub fn write_json(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        match self.own(entry) {
            Some(index) => entry.record.write_field(index, &entry.ctx, out),
            None => json::write_value(&self.value(entry), out),
        }
    }
}

#[allow(clippy::cast_possible_truncation)] // a record has some dozen fields
fn field(schema: &Schema, name: &str) -> Option<u16> {
    let exact = schema.json(name).or_else(|| schema.kfl2(name));
    exact.or_else(|| {
        let tail = |path: &str| {
            path.strip_suffix(name)
                .is_some_and(|rest| rest.ends_with('.'))
        };
        schema
            .fields
            .iter()
            .position(|f| tail(f.json))
            .map(|i| i as u16)
    })
}

fn nearest(name: &str) -> String {
    let all = REGISTRY
        .iter()
        .map(|p| p.schema)
        .chain([&COMMON])
        .flat_map(|s| s.fields);
    let mut near: Vec<&str> = all
        .flat_map(|f| [f.json, f.kfl2])
        .filter(|n| n.contains(name) && !n.is_empty())
        .collect();
    near.dedup();
    near.truncate(3);
    if near.is_empty() {
        String::new()
    } else {
        format!("; is it `{}`?", near.join("`, `"))
    }
}
