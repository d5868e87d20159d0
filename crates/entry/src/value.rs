//! The value of a field.

/// What a field holds when it is read. Borrowed from the entry, the store or the scratch space; never allocated apart.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Value<'a> {
    /// The entry has no such field: left out of JSON, false or the default in KFL.
    #[default]
    Missing,
    /// There, and null.
    Null,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// An unsigned integer.
    UInt(u64),
    /// A floating-point number.
    Double(f64),
    /// Text.
    Str(&'a str),
    /// Raw bytes; base64 in JSON.
    Bytes(&'a [u8]),
    /// A moment in ns since the epoch.
    Time(i64),
    /// A duration in ns.
    Duration(i64),
    /// A list.
    List(&'a [Value<'a>]),
    /// A map, in the order of the wire; keys may repeat only where the protocol's do.
    Map(&'a [(&'a str, Value<'a>)]),
}

impl<'a> Value<'a> {
    /// The value under a key of a map, compared exactly or without regard to ASCII case.
    pub fn key(&self, key: &str, ignore_case: bool) -> Value<'a> {
        let Value::Map(map) = self else {
            return Value::Missing;
        };
        map.iter()
            .find(|(k, _)| *k == key || (ignore_case && k.eq_ignore_ascii_case(key)))
            .map_or(Value::Missing, |(_, v)| *v)
    }

    /// Text, where it is text.
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }
}
