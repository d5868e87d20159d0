//! Columns by name: a field's name in KFL2, its path in JSON, or the end of that path.

use gillnet_bucket::index::KnownProtocol;
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
        Self::found(name, field)
    }

    /// Finds the field for a table, where a single value goes before an object of the same name.
    pub fn find_flat(name: &str) -> anyhow::Result<Column> {
        Self::found(name, |schema, name| {
            schema.kfl2(name).or_else(|| field(schema, name))
        })
    }

    fn found(name: &str, field: impl Fn(&Schema, &str) -> Option<u16>) -> anyhow::Result<Column> {
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

    /// Its field in the common part.
    pub fn common_field(&self) -> Option<u16> {
        self.common
    }

    /// The protocols that have such a field, and its place in their tables.
    pub fn own_fields<'k>(
        &self,
        known: &'k [KnownProtocol],
    ) -> impl Iterator<Item = (&'k KnownProtocol, u16)> {
        known.iter().filter_map(|protocol| {
            let field = self.own.get(usize::from(protocol.number)).copied()??;
            Some((protocol, field))
        })
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

    /// Whether it is part of the entry's JSON, so that it can be shown where values are hidden there.
    pub fn is_shown(&self) -> bool {
        let own = REGISTRY.iter().zip(&self.own);
        let mut own = own.filter_map(|(p, index)| path(p.schema, (*index)?));
        own.next().is_some()
            || self
                .common
                .is_some_and(|index| path(&COMMON, index).is_some())
    }

    /// Its value in the JSON of an entry; null where it has none there.
    pub fn shown<'j>(
        &self,
        entry: &Entry<'_>,
        json: &'j serde_json::Value,
    ) -> &'j serde_json::Value {
        let path = match self.own(entry) {
            Some(index) => path(entry.record.schema(), index),
            None => self.common.and_then(|index| path(&COMMON, index)),
        };
        let found = path.and_then(|path| json.pointer(&format!("/{}", path.replace('.', "/"))));
        // what is hidden may be above it
        let above = || {
            let mut at = json;
            for word in path.unwrap_or("").split('.') {
                at = at.get(word)?;
                if at.is_string() {
                    return Some(at);
                }
            }
            None
        };
        found.or_else(above).unwrap_or(&serde_json::Value::Null)
    }

    /// Appends its value in an entry as JSON.
    pub fn write_json(&self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        match self.own(entry) {
            Some(index) => entry.record.write_field(index, &entry.ctx, out),
            None => json::write_value(&self.value(entry), out),
        }
    }
}

/// The path of a field in JSON.
fn path(schema: &'static Schema, index: u16) -> Option<&'static str> {
    let field = schema.fields.get(usize::from(index))?;
    // both ends are one field of JSON each, and their parts have the same names in KFL2 where they are there
    let end = ["src.ip", "src.port", "src.name", "src.namespace"];
    let same = end.iter().any(|name| field.kfl2.get(3..) == name.get(3..));
    match field.json {
        "" => same.then_some(field.kfl2),
        path => Some(path),
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
