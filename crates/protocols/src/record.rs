//! Records that hold what their fields say, for protocols that need no references into heads or bodies of their own.

use gillnet_entry::{Bytes, Ctx, Part, ProtocolInfo, Value};

/// What is shown of a protocol that says nothing else.
pub(crate) const SHOWN: ProtocolInfo = ProtocolInfo {
    name: "",
    version: "",
    abbr: "",
    long_name: "",
    macro_name: "",
    flags: &[],
    background: "#416471",
    foreground: "#ffffff",
    reference: "",
    ports: &[],
    layer4: "tcp",
    priority: 9,
};

/// Text from the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(pub Part);

/// Raw bytes from the wire.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raw(pub Part);

impl Text {
    /// The text; what is not UTF-8 in it is replaced.
    pub(crate) fn get<'a>(&'a self, ctx: &Ctx<'a>) -> &'a str {
        ctx.text(self.0.get(ctx))
    }
}

/// Bytes of the messages that were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Of the request; `None` where none was seen.
    pub request: Option<u32>,
    /// Of the response; `None` where none was seen.
    pub response: Option<u32>,
}

impl Sizes {
    pub(crate) fn has_request<'a>(&self) -> Value<'a> {
        Value::Bool(self.request.is_some())
    }

    pub(crate) fn has_response<'a>(&self) -> Value<'a> {
        Value::Bool(self.response.is_some())
    }

    pub(crate) fn request<'a>(&self) -> Value<'a> {
        bytes(self.request)
    }

    pub(crate) fn response<'a>(&self) -> Value<'a> {
        bytes(self.response)
    }

    pub(crate) fn total<'a>(&self) -> Value<'a> {
        let of = |size: Option<u32>| i64::from(size.unwrap_or(0));
        Value::Int(of(self.request) + of(self.response))
    }
}

fn bytes<'a>(size: Option<u32>) -> Value<'a> {
    size.map_or(Value::Missing, |size| Value::Int(size.into()))
}

/// What a member of a record can be.
pub(crate) trait Held {
    /// Its value as a field.
    fn value<'a>(&'a self, ctx: &Ctx<'a>) -> Value<'a>;

    /// A copy that needs no byte store, cut after `limit` bytes.
    fn detach(&self, store: &dyn Bytes, limit: usize) -> Self;
}

impl Held for Text {
    fn value<'a>(&'a self, ctx: &Ctx<'a>) -> Value<'a> {
        Value::Str(self.get(ctx))
    }

    fn detach(&self, store: &dyn Bytes, limit: usize) -> Self {
        Text(self.0.detach(store, limit))
    }
}

impl Held for Raw {
    fn value<'a>(&'a self, ctx: &Ctx<'a>) -> Value<'a> {
        Value::Bytes(self.0.get(ctx))
    }

    fn detach(&self, store: &dyn Bytes, limit: usize) -> Self {
        Raw(self.0.detach(store, limit))
    }
}

macro_rules! held {
    ($($of:ty: $read:expr;)+) => {
        $(impl Held for $of {
            fn value<'a>(&'a self, ctx: &Ctx<'a>) -> Value<'a> {
                let read: for<'x> fn(&$of, &Ctx<'x>) -> Value<'x> = $read;
                read(self, ctx)
            }

            fn detach(&self, _: &dyn Bytes, _: usize) -> Self {
                self.clone()
            }
        })+
    };
}

held! {
    bool: |held, _| Value::Bool(*held);
    u8: |held, _| Value::Int((*held).into());
    i16: |held, _| Value::Int((*held).into());
    u16: |held, _| Value::Int((*held).into());
    i32: |held, _| Value::Int((*held).into());
    u32: |held, _| Value::Int((*held).into());
    u64: |held, _| Value::Int(i64::try_from(*held).unwrap_or(i64::MAX));
    &'static str: |held, _| Value::Str(held);
    Vec<&'static str>: |held, ctx| Value::List(ctx.list(held.iter().map(|text| Value::Str(text))));
}

/// Declares a record whose members are its fields, one line each: the struct, its field table and its
/// [`gillnet_entry::Record`]. Under its documentation stands
/// `member: Type = "name in JSON and KFL1", "name in KFL2", Kind;`.
///
/// Members under `request` and `response` are an exchange's, and missing where `sizes` says that the message is; JSON then
/// has null. Those under `data` are a single message's. Under `with` stand members that are no fields, under `also` lines of
/// [`gillnet_entry::fields!`] that are read in another way, and under `shown` what the record is in a list.
macro_rules! record {
    (
        $(#[$meta:meta])*
        pub struct $record:ident ($name:literal)
        request { $( $(#[doc = $qdoc:literal])+ $q:ident: $qof:ty = $qjson:literal, $qkfl2:literal, $qkind:ident; )* }
        response { $( $(#[doc = $pdoc:literal])+ $p:ident: $pof:ty = $pjson:literal, $pkfl2:literal, $pkind:ident; )* }
        also { $($also:tt)* }
        shown |$r:ident, $x:ident| { $($shown:tt)+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        pub struct $record {
            $( $(#[doc = $qdoc])+ pub $q: $qof, )*
            $( $(#[doc = $pdoc])+ pub $p: $pof, )*
            /// Bytes of the request and the response that were seen.
            pub sizes: $crate::record::Sizes,
        }

        gillnet_entry::fields! {
            /// Its fields.
            pub(crate) static SCHEMA ($name), fn get, text, columns, write(&'a $record) {
                /// The request; null where only the response was seen.
                "request", "", Any, Entry => |r, _| $crate::record::absent(r.sizes.request);
                $( $(#[doc = $qdoc])+ $qjson, $qkfl2, $qkind, Entry => |r, x| r.sizes.request.map_or(gillnet_entry::Value::Missing, |_| $crate::record::Held::value(&r.$q, x)); )*
                /// The response; null where only the request was seen.
                "response", "", Any, Entry => |r, _| $crate::record::absent(r.sizes.response);
                $( $(#[doc = $pdoc])+ $pjson, $pkfl2, $pkind, Entry => |r, x| r.sizes.response.map_or(gillnet_entry::Value::Missing, |_| $crate::record::Held::value(&r.$p, x)); )*
                $($also)*
            }
        }

        impl $record {
            fn copy(&self, store: &dyn gillnet_entry::Bytes, limit: usize) -> Self {
                $record {
                    $( $q: $crate::record::Held::detach(&self.$q, store, limit), )*
                    $( $p: $crate::record::Held::detach(&self.$p, store, limit), )*
                    sizes: self.sizes,
                }
            }
        }

        $crate::record::shown! { $record |$r, $x| $($shown)+ }
    };
    (
        $(#[$meta:meta])*
        pub struct $record:ident ($name:literal)
        $( with { $( $(#[doc = $wdoc:literal])+ $w:ident: $wof:ty, )+ } )?
        data { $( $(#[doc = $doc:literal])+ $d:ident: $of:ty = $json:literal, $kfl2:literal, $kind:ident; )* }
        $( also { $($also:tt)+ } )?
        shown |$r:ident, $x:ident| { $($shown:tt)+ }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default)]
        pub struct $record {
            $( $( $(#[doc = $wdoc])+ pub $w: $wof, )+ )?
            $( $(#[doc = $doc])+ pub $d: $of, )*
        }

        gillnet_entry::fields! {
            /// Its fields.
            pub(crate) static SCHEMA ($name), fn get, text, columns, write(&'a $record) {
                $( $(#[doc = $doc])+ $json, $kfl2, $kind, Entry => |r, x| $crate::record::Held::value(&r.$d, x); )*
                $( $($also)+ )?
            }
        }

        impl $record {
            fn copy(&self, store: &dyn gillnet_entry::Bytes, limit: usize) -> Self {
                let _ = (store, limit); // where all is the record's own
                $record {
                    $( $( $w: self.$w.clone(), )+ )?
                    $( $d: $crate::record::Held::detach(&self.$d, store, limit), )*
                }
            }
        }

        $crate::record::shown! { $record |$r, $x| $($shown)+ }
    };
}

/// The part of [`record!`] that says what a record is in a list: protocol, one line, verb, outcome as text and number, and
/// whether that is a success.
macro_rules! shown {
    (
        $record:ident |$r:ident, $x:ident|
        info: $info:expr, summary: $summary:expr, method: $method:expr, status: $status:expr, ok: $ok:expr $(,)?
    ) => {
        impl gillnet_entry::Record for $record {
            fn schema(&self) -> &'static gillnet_entry::Schema {
                &SCHEMA
            }

            fn info(&self) -> &'static gillnet_entry::ProtocolInfo {
                let $r = self;
                let _ = $r; // where all records are shown alike
                $info
            }

            fn get<'a>(
                &'a self,
                field: u16,
                ctx: &gillnet_entry::Ctx<'a>,
            ) -> gillnet_entry::Value<'a> {
                get(self, field, ctx)
            }

            fn row<'a>(
                &'a self,
                ctx: &gillnet_entry::Ctx<'a>,
                row: &mut dyn gillnet_entry::Row,
            ) -> gillnet_entry::Shown<'a> {
                columns(self, ctx, row);
                self.shown(ctx)
            }

            fn write_json<'a>(
                &'a self,
                ctx: &gillnet_entry::Ctx<'a>,
                members: &mut gillnet_entry::json::Members<'_>,
            ) {
                write::<0, { usize::MAX }>(self, ctx, members);
            }

            fn detach(
                &self,
                store: &dyn gillnet_entry::Bytes,
                limit: usize,
            ) -> Box<dyn gillnet_entry::Record> {
                Box::new(self.copy(store, limit))
            }

            fn summary<'a>(&'a self, ctx: &gillnet_entry::Ctx<'a>) -> &'a str {
                let ($r, $x) = (self, ctx);
                let _ = ($r, $x); // not all read both
                $summary
            }

            fn method<'a>(&'a self, ctx: &gillnet_entry::Ctx<'a>) -> &'a str {
                let ($r, $x) = (self, ctx);
                let _ = ($r, $x);
                $method
            }

            fn status<'a>(&'a self, ctx: &gillnet_entry::Ctx<'a>) -> (&'a str, Option<i64>) {
                let ($r, $x) = (self, ctx);
                let _ = ($r, $x);
                $status
            }

            fn ok(&self, _: &gillnet_entry::Ctx<'_>) -> bool {
                let $r = self;
                let _ = $r;
                $ok
            }
        }
    };
}

pub(crate) use {record, shown};

/// Null where a message is missing, so that JSON says so; else its fields speak.
pub(crate) fn absent<'a>(size: Option<u32>) -> Value<'a> {
    if size.is_none() {
        Value::Null
    } else {
        Value::Missing
    }
}
