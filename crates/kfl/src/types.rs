//! The types of KFL2.

use gillnet_entry::Kind;

/// A type of KFL2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Null,
    Bool,
    Int,
    UInt,
    Double,
    Str,
    Bytes,
    Time,
    Duration,
    List(Box<Type>),
    /// Key and value.
    Map(Box<(Type, Type)>),
    /// A map of text to text whose keys are compared without regard to case.
    Headers,
    /// A type as a value.
    Meta,
    /// Known only when it is evaluated.
    Dyn,
}

impl Type {
    pub(crate) fn of(kind: Kind) -> Type {
        match kind {
            Kind::Bool => Type::Bool,
            Kind::Int => Type::Int,
            Kind::Double => Type::Double,
            Kind::Str => Type::Str,
            Kind::Bytes => Type::Bytes,
            Kind::Time => Type::Time,
            Kind::Duration => Type::Duration,
            Kind::StrList => Type::List(Box::new(Type::Str)),
            Kind::StrMap => Type::Map(Box::new((Type::Str, Type::Str))),
            Kind::Headers => Type::Headers,
            Kind::Any => Type::Dyn,
        }
    }

    /// As CEL names it.
    pub(crate) fn name(&self) -> String {
        match self {
            Type::Null => "null".into(),
            Type::Bool => "bool".into(),
            Type::Int => "int".into(),
            Type::UInt => "uint".into(),
            Type::Double => "double".into(),
            Type::Str => "string".into(),
            Type::Bytes => "bytes".into(),
            Type::Time => "timestamp".into(),
            Type::Duration => "duration".into(),
            Type::List(of) => format!("list({})", of.name()),
            Type::Map(of) => format!("map({}, {})", of.0.name(), of.1.name()),
            Type::Headers => "map(string, string)".into(),
            Type::Meta => "type".into(),
            Type::Dyn => "dyn".into(),
        }
    }

    pub(crate) fn is_number(&self) -> bool {
        matches!(self, Type::Int | Type::UInt | Type::Double)
    }

    /// Key and value, if it is a map.
    pub(crate) fn pair(&self) -> Option<(Type, Type)> {
        match self {
            Type::Map(of) => Some((of.0.clone(), of.1.clone())),
            Type::Headers => Some((Type::Str, Type::Str)),
            _ => None,
        }
    }

    /// Whether values of both can be equal.
    pub(crate) fn comparable(&self, other: &Type) -> bool {
        match (self, other) {
            (Type::Dyn, _) | (_, Type::Dyn) => true,
            (Type::List(a), Type::List(b)) => a.comparable(b),
            _ if self.is_number() && other.is_number() => true,
            _ => match (self.pair(), other.pair()) {
                (Some(a), Some(b)) => a.0.comparable(&b.0) && a.1.comparable(&b.1),
                _ => self == other,
            },
        }
    }

    /// The type of what may be either.
    pub(crate) fn or(&self, other: &Type) -> Type {
        if self == other {
            self.clone()
        } else {
            Type::Dyn
        }
    }
}
