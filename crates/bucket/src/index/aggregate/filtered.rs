//! What filters call that by which entries are grouped.

use gillnet_entry::{COMMON, Field, Schema};

use super::super::columns::Own;
use super::super::stored::KnownProtocol;
use super::Key;
use super::key::{Of, same_column};

/// How a filter speaks of what entries are grouped by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filtered {
    /// As a field, where a spelling has one.
    Field {
        /// Its name in KFL1.
        kfl1: Option<String>,
        /// Its name in KFL2.
        kfl2: Option<String>,
        /// Entries may be without it, which KFL2 takes for 0, false or an empty text.
        optional: bool,
    },
    /// By the name of the protocol itself.
    Protocol,
    /// Not at all.
    Not,
}

impl Filtered {
    fn field(kfl1: &str, kfl2: &str) -> Filtered {
        let name = |name: &str| (!name.is_empty()).then(|| name.to_owned());
        Filtered::Field {
            kfl1: name(kfl1),
            kfl2: name(kfl2),
            optional: false,
        }
    }

    fn common(field: &Field) -> Filtered {
        let kfl1 = match (field.json, field.kfl2.split_once('.')) {
            // of the two ends JSON has these parts as KFL2 does, and all else in another shape
            ("", Some((_, "ip" | "port" | "name" | "namespace" | "dns"))) => field.kfl2,
            (json, _) => json,
        };
        Filtered::field(kfl1, field.kfl2)
    }
}

impl Key {
    /// What filters call it.
    #[must_use]
    pub fn filtered(&self, known: &[KnownProtocol]) -> Filtered {
        match &self.of {
            Of::Time(_) => Filtered::Not,
            Of::Base(at) => base(*at, self.column().unwrap_or("")),
            Of::Common(at) => {
                let field = COMMON.fields.get(usize::from(*at));
                field.map_or(Filtered::Not, Filtered::common)
            }
            Of::Own(each) => own(each, known),
        }
    }
}

/// That of a column that every index has.
fn base(at: usize, column: &'static str) -> Filtered {
    let mut fields = COMMON.fields.iter();
    let field = fields.find(|field| !field.kfl2.is_empty() && same_column(field) == Some(at));
    let kfl2 = field.map_or("", |field| field.kfl2);
    match column.split_once('.') {
        _ if column == "protocol" => Filtered::Protocol,
        // both are parts of an object in JSON
        Some(("protocol", "abbr") | ("error", "type")) => Filtered::field(column, kfl2),
        Some(("src" | "dst", "service" | "pod")) => {
            Filtered::field(&format!("{column}.metadata.name"), kfl2)
        }
        _ => field.map_or(Filtered::Not, Filtered::common),
    }
}

/// That of a field of protocols.
fn own(each: &[(u8, Own)], known: &[KnownProtocol]) -> Filtered {
    let field = |(number, own): &(u8, Own)| {
        let protocol = known.iter().find(|known| known.number == *number)?;
        let field = protocol.schema.fields.get(usize::from(own.field))?;
        Some((protocol.schema, field))
    };
    let fields: Vec<(&Schema, &Field)> = each.iter().filter_map(field).collect();
    let called = |of: fn(&Field) -> &'static str, and: &str| {
        let (schema, first) = fields.first()?;
        let name = of(first);
        if name.is_empty() || !fields.iter().all(|(_, field)| of(field) == name) {
            return None;
        }
        let is_named = |known: &&KnownProtocol| known.schema.fields.iter().any(|f| of(f) == name);
        match (each.len(), known.iter().filter(is_named).count()) {
            (all, named) if all == named => Some(name.to_owned()),
            // others have a field of that name, too
            (1, _) => Some(format!("{} {and} {name}", schema.name)),
            _ => None,
        }
    };
    Filtered::Field {
        kfl1: called(|field| field.json, "and"),
        kfl2: called(|field| field.kfl2, "&&"),
        optional: true,
    }
}
