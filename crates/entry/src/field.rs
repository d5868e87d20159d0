//! The field table: what a record's fields are called, hold and mean.

use crate::json::{Members, write_value};
use crate::{Bytes, Ctx, ProtocolInfo, Value};

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A truth value.
    Bool,
    /// A 64-bit signed integer.
    Int,
    /// A floating-point number.
    Double,
    /// Text.
    Str,
    /// Raw bytes.
    Bytes,
    /// A moment.
    Time,
    /// A duration.
    Duration,
    /// A list of texts.
    StrList,
    /// A map of text to text.
    StrMap,
    /// A map of text to text whose keys are compared without regard to case (headers).
    Headers,
    /// Anything structured: lists of objects, nested maps.
    Any,
}

/// The earliest place where a field's value is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// From the packet alone: addresses and ports.
    Packet,
    /// From the flow: names of both ends.
    Flow,
    /// From the head of the stream: the protocol.
    Head,
    /// Only from the whole entry.
    Entry,
}

/// One field of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Dotted path in JSON, also the name in KFL1; empty where the field is not in JSON.
    pub json: &'static str,
    /// Name in KFL2; empty where it has none.
    pub kfl2: &'static str,
    /// Type of the value.
    pub kind: Kind,
    /// Where it is known at the earliest.
    pub stage: Stage,
    /// What it means, its unit and source.
    pub doc: &'static str,
    /// [`Field::json`] of the field whose value it always has; empty where it has its own. Both are columns, or none.
    pub same_as: &'static str,
}

impl Field {
    /// Whether tables of entries are meant to have a column of it: single values, and texts that are no bodies.
    #[must_use]
    pub const fn is_column(&self) -> bool {
        !self.is_body()
            && matches!(
                self.kind,
                Kind::Bool | Kind::Int | Kind::Double | Kind::Str | Kind::Time | Kind::Duration
            )
    }

    /// Whether [`Record::row`] shows it: a column that has its own value.
    #[must_use]
    pub const fn has_own_column(&self) -> bool {
        self.is_column() && self.same_as.is_empty()
    }

    /// Whether it is what a body holds: `request.postData.text`, `response.content.text`.
    #[must_use]
    pub const fn is_body(&self) -> bool {
        const BODIES: [&[u8]; 4] = [
            b"postData.text",
            b"postData.params",
            b"content.text",
            b"content.params",
        ];
        let path = self.json.as_bytes();
        let mut at = 0;
        while at < BODIES.len() {
            if is_end(path, BODIES[at]) {
                return true;
            }
            at += 1;
        }
        false
    }
}

/// Whether a path ends with these names.
const fn is_end(path: &[u8], names: &[u8]) -> bool {
    let Some(before) = path.len().checked_sub(names.len()) else {
        return false;
    };
    let (before, end) = path.split_at(before);
    same(end, names) && (before.is_empty() || before[before.len() - 1] == b'.')
}

/// The fields of one kind of record.
#[derive(Debug)]
pub struct Schema {
    /// Name of the record: `http`, `dns`, `common`.
    pub name: &'static str,
    /// The fields, those with a common JSON prefix side by side.
    pub fields: &'static [Field],
    /// [`Field::json`] of the columns that say what a list shows of each record, where some do.
    pub shown: ShownBy,
}

/// Which fields say what a list shows ([`Shown`]); empty where none does.
#[derive(Clone, Copy, Debug)]
pub struct ShownBy {
    /// That of [`Shown::summary`].
    pub summary: &'static str,
    /// That of [`Shown::method`].
    pub method: &'static str,
}

impl ShownBy {
    /// None does.
    pub const NONE: Self = Self {
        summary: "",
        method: "",
    };
}

impl Schema {
    /// Index of the field with this JSON path.
    pub fn json(&self, path: &str) -> Option<u16> {
        self.position(|f| f.json == path)
    }

    /// Index of the field with this KFL2 name.
    pub fn kfl2(&self, name: &str) -> Option<u16> {
        self.position(|f| f.kfl2 == name)
    }

    /// Index of the field with this JSON path, for a constant: one that is not there does not compile. `usize::MAX` for
    /// none.
    pub const fn index(&self, path: &str) -> usize {
        if path.is_empty() {
            return usize::MAX;
        }
        let mut index = 0;
        while !same(self.fields[index].json.as_bytes(), path.as_bytes()) {
            index += 1;
        }
        index
    }

    /// Index of the field with this KFL2 name, for a constant: one that is not there does not compile.
    pub const fn kfl2_index(&self, name: &str) -> usize {
        let mut index = 0;
        while !same(self.fields[index].kfl2.as_bytes(), name.as_bytes()) {
            index += 1;
        }
        index
    }

    #[allow(clippy::cast_possible_truncation)] // a record has some dozen fields
    fn position(&self, found: impl Fn(&Field) -> bool) -> Option<u16> {
        self.fields.iter().position(found).map(|i| i as u16)
    }
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// Writes the field table of a record type, one line a field:
/// `"name in JSON and KFL1", "name in KFL2", Kind, Stage => |record, ctx| value;` under its documentation.
/// Either name may be empty. Where there is a cheaper way to a field's JSON than through its value, it stands behind
/// that: `, json |record, ctx, out| done`, which appends exactly what the value would be written as, or gives `false`
/// (what it appended is then dropped, and the value is taken). A field that always has the value of another ends with
/// `, same_as "that one's name in JSON"`. Behind the record's name may stand which fields a list shows:
/// `("http", method "request.method", summary "request.url")`.
///
/// Makes a static [`Schema`], `get(record, index, ctx)`, `text(record, index, ctx, out)`, which takes the cheaper way to
/// one field's JSON where there is one, `columns(record, ctx, row)`, which gives a [`Row`] the values of the fields that
/// tables have a column of ([`Field::has_own_column`]), and `write::<FROM, TO>(record, ctx, members)`, which appends the fields with these
/// indices to an entry's JSON.
#[macro_export]
macro_rules! fields {
    (
        $(#[$meta:meta])* $vis:vis static $schema:ident ($name:literal $(, method $method:literal, summary $summary:literal)?), fn $get:ident, $text:ident, $columns:ident, $write:ident($($record:tt)+) {
            $( $(#[doc = $doc:literal])+ $json:literal, $kfl2:literal, $kind:ident, $stage:ident => $read:expr $(, json $json_text:expr)? $(, same_as $same:literal)?; )+
        }
    ) => {
        $(#[$meta])*
        $vis static $schema: $crate::Schema = $crate::Schema {
            name: $name,
            fields: &[$($crate::Field {
                json: $json,
                kfl2: $kfl2,
                kind: $crate::Kind::$kind,
                stage: $crate::Stage::$stage,
                doc: concat!($($doc),+),
                same_as: concat!($($same)?),
            }),+],
            shown: $crate::ShownBy {
                summary: concat!($($summary)?),
                method: concat!($($method)?),
            },
        };

        /// The value of the field with this index; `Missing` past the end.
        #[inline]
        fn $get<'a>(record: $($record)+, field: u16, ctx: &$crate::Ctx<'a>) -> $crate::Value<'a> {
            type Read = for<'a> fn($($record)+, &$crate::Ctx<'a>) -> $crate::Value<'a>;
            static READ: &[Read] = &[$($read),+];
            READ.get(usize::from(field)).map_or($crate::Value::Missing, |read| read(record, ctx))
        }

        /// Appends the JSON of the field with this index where there is a cheaper way to it than through its value; else
        /// `false`, and what was appended is to be dropped.
        #[inline]
        #[allow(dead_code)] // most records have no field like that
        fn $text<'a>(record: $($record)+, field: u16, ctx: &$crate::Ctx<'a>, out: &mut Vec<u8>) -> bool {
            type Text = for<'a> fn($($record)+, &$crate::Ctx<'a>, &mut Vec<u8>) -> bool;
            static TEXT: &[&[Text]] = &[$(&[$($json_text)?]),+];
            match TEXT.get(usize::from(field)) {
                Some([text]) => text(record, ctx, out),
                _ => false,
            }
        }

        /// Gives a row the values of the fields that tables have a column of, in their order.
        #[inline]
        #[allow(dead_code)] // the common part stands in tables in its own way
        fn $columns<'a>(record: $($record)+, ctx: &$crate::Ctx<'a>, row: &mut dyn $crate::Row) {
            type Read<'a> = fn($($record)+, &$crate::Ctx<'a>) -> $crate::Value<'a>;
            $({
                const FIELD: $crate::Field = $crate::Field {
                    json: $json,
                    kfl2: $kfl2,
                    kind: $crate::Kind::$kind,
                    stage: $crate::Stage::$stage,
                    doc: "",
                    same_as: concat!($($same)?),
                };
                const IS_SHOWN: bool = FIELD.has_own_column();
                if IS_SHOWN {
                    let read: Read<'a> = $read;
                    $crate::show_value(row, read(record, ctx));
                }
            })+
        }

        /// Appends the fields with these indices to an entry's JSON.
        #[inline]
        fn $write<'a, const FROM: usize, const TO: usize>(
            record: $($record)+,
            ctx: &$crate::Ctx<'a>,
            members: &mut $crate::json::Members<'_>,
        ) {
            #[inline(always)]
            fn value<'a>(
                read: impl FnOnce($($record)+, &$crate::Ctx<'a>) -> $crate::Value<'a>,
                record: $($record)+,
                ctx: &$crate::Ctx<'a>,
            ) -> $crate::Value<'a> {
                read(record, ctx)
            }
            #[inline(always)]
            #[allow(dead_code)] // where no field has a way of its own
            fn text<'a>(
                write: impl FnOnce($($record)+, &$crate::Ctx<'a>, &mut Vec<u8>) -> bool,
                record: $($record)+,
                ctx: &$crate::Ctx<'a>,
                out: &mut Vec<u8>,
            ) -> bool {
                write(record, ctx, out)
            }
            $({
                const KEY: usize = $crate::json::key_len($json);
                const STEP: usize = $crate::json::step_len(&$schema, $json);
                const FULL: usize = $crate::json::full_len($json);
                const MEMBER: $crate::json::Member<KEY, STEP, FULL> = $crate::json::Member::new(&$schema, $json);
                const INDEX: usize = $schema.index($json);
                if INDEX >= FROM && INDEX < TO {
                    let done = false $(|| members.attempt(&MEMBER, |out| text($json_text, record, ctx, out)))?;
                    if !done {
                        members.member(&MEMBER, value($read, record, ctx));
                    }
                }
            })+
        }
    };
}

/// What a list shows of a record. See [`Record`], whose methods have these names.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Shown<'a> {
    pub summary: &'a str,
    pub method: &'a str,
    pub status: &'a str,
    /// The status as number.
    pub code: Option<i64>,
    pub ok: bool,
}

/// Takes the values of a row of a table, column by column. What a value is, is most often known where it is made: there is
/// a way for each kind, so that nobody has to find out.
pub trait Row {
    /// There is none, or none that a column holds.
    fn missing(&mut self);
    /// An integer, a duration or a moment.
    fn int(&mut self, n: i64);
    /// A number.
    fn double(&mut self, n: f64);
    /// A truth value.
    fn bool(&mut self, is: bool);
    /// A text.
    fn text(&mut self, text: &str);
}

/// Gives a row the next column's value.
#[inline(always)]
pub fn show_value<R: Row + ?Sized>(row: &mut R, value: Value<'_>) {
    match value {
        Value::Int(n) | Value::Duration(n) | Value::Time(n) => row.int(n),
        Value::UInt(n) => match i64::try_from(n) {
            Ok(n) => row.int(n),
            Err(_) => row.missing(),
        },
        Value::Double(n) => row.double(n),
        Value::Bool(is) => row.bool(is),
        Value::Str(text) => row.text(text),
        _ => row.missing(),
    }
}

/// The protocol's part of an entry.
pub trait Record: Send + Sync + std::fmt::Debug {
    /// Its field table.
    fn schema(&self) -> &'static Schema;

    /// The protocol as it is shown: a record may tell versions apart (HTTP/1.1, HTTP/2).
    fn info(&self) -> &'static ProtocolInfo;

    /// The value of the field with this index in [`Schema::fields`]; `Missing` past the end.
    fn get<'a>(&'a self, field: u16, ctx: &Ctx<'a>) -> Value<'a>;

    /// Gives a row the values of the fields that tables have a column of ([`Field::has_own_column`]), in their order, and
    /// tells what a list shows: a row of a table in one go.
    fn row<'a>(&'a self, ctx: &Ctx<'a>, row: &mut dyn Row) -> Shown<'a> {
        for (at, field) in (0..).zip(self.schema().fields) {
            if field.has_own_column() {
                show_value(row, self.get(at, ctx));
            }
        }
        self.shown(ctx)
    }

    /// What a list shows.
    fn shown<'a>(&'a self, ctx: &Ctx<'a>) -> Shown<'a> {
        let (status, code) = self.status(ctx);
        Shown {
            summary: self.summary(ctx),
            method: self.method(ctx),
            status,
            code,
            ok: self.ok(ctx),
        }
    }

    /// The value under a key of a map field, where that is cheaper than building the whole map.
    fn key<'a>(&'a self, field: u16, key: &str, ignore_case: bool, ctx: &Ctx<'a>) -> Value<'a> {
        self.get(field, ctx).key(key, ignore_case)
    }

    /// Appends the JSON of the field with this index.
    fn write_field(&self, field: u16, ctx: &Ctx<'_>, out: &mut Vec<u8>) {
        write_value(&self.get(field, ctx), out);
    }

    /// Appends all fields that are in JSON to an entry's.
    fn write_json<'a>(&'a self, ctx: &Ctx<'a>, members: &mut Members<'_>);

    /// A copy that needs no byte store; heads and bodies are cut after `limit` bytes each.
    fn detach(&self, store: &dyn Bytes, limit: usize) -> Box<dyn Record>;

    /// One line for a list: path, question, command.
    fn summary<'a>(&'a self, ctx: &Ctx<'a>) -> &'a str;

    /// The verb of the request for a list: `GET`, `A`, `SELECT`; empty where there is none.
    fn method<'a>(&'a self, ctx: &Ctx<'a>) -> &'a str;

    /// The outcome for a list, as text and as number where the protocol has one.
    fn status<'a>(&'a self, ctx: &Ctx<'a>) -> (&'a str, Option<i64>);

    /// Whether the outcome is a success; `true` where the protocol has no outcome.
    fn ok(&self, ctx: &Ctx<'_>) -> bool;
}
