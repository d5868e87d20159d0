//! Expressions with their types, as trees.

use gillnet_entry::Kind;

/// Types of what is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ty {
    Bool,
    Int,
    UInt,
    Double,
    Str,
    Bytes,
    Time,
    Duration,
    Strs,
    Ints,
    Map,
}

impl Ty {
    pub(super) fn name(self) -> &'static str {
        match self {
            Ty::Bool => "bool",
            Ty::Int => "int",
            Ty::UInt => "uint",
            Ty::Double => "double",
            Ty::Str => "string",
            Ty::Bytes => "bytes",
            Ty::Time => "timestamp",
            Ty::Duration => "duration",
            Ty::Strs => "list(string)",
            Ty::Ints => "list(int)",
            Ty::Map => "map",
        }
    }

    pub(super) fn of(kind: Kind) -> Option<Ty> {
        Some(match kind {
            Kind::Bool => Ty::Bool,
            Kind::Int => Ty::Int,
            Kind::Double => Ty::Double,
            Kind::Str => Ty::Str,
            Kind::Bytes => Ty::Bytes,
            Kind::Time => Ty::Time,
            Kind::Duration => Ty::Duration,
            Kind::StrList => Ty::Strs,
            Kind::StrMap | Kind::Headers => Ty::Map,
            Kind::Any => return None,
        })
    }
}

/// Levels of the grammar: what binds weaker than its place asks for is put in parentheses.
pub(super) const TERNARY: u8 = 0;
pub(super) const OR: u8 = 1;
pub(super) const AND: u8 = 2;
pub(super) const RELATION: u8 = 3;
pub(super) const SUM: u8 = 4;
pub(super) const PRODUCT: u8 = 5;
pub(super) const UNARY: u8 = 6;
pub(super) const MEMBER: u8 = 7;

/// An expression: a text in which `$0`, `$1`, … stand for the operands.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    pub(super) level: u8,
    pub(super) text: String,
    /// The same in CEL, where the text has a function that only KFL2 has.
    pub(super) plain: Option<&'static str>,
    /// Operands and the level that their places ask for.
    pub(super) operands: Vec<(Tree, u8)>,
    /// Whether the second operand names a variable that those behind it may use.
    pub(super) binds: bool,
    /// Its type, where it was made for one.
    pub(super) of: Option<Ty>,
}

impl Tree {
    pub(super) fn leaf(text: impl Into<String>) -> Tree {
        Tree {
            level: MEMBER,
            text: text.into(),
            plain: None,
            operands: Vec::new(),
            binds: false,
            of: None,
        }
    }

    pub(super) fn new(
        level: u8,
        text: &str,
        operands: impl IntoIterator<Item = (Tree, u8)>,
    ) -> Tree {
        Tree {
            level,
            operands: operands.into_iter().collect(),
            ..Tree::leaf(text)
        }
    }

    /// Two operands of an operator that groups from the left.
    pub(super) fn binary(level: u8, sign: &str, a: Tree, b: Tree) -> Tree {
        Tree::new(
            level,
            &format!("$0 {sign} $1"),
            [(a, level), (b, level + 1)],
        )
    }

    /// A call, its first operand before the dot.
    pub(super) fn method(name: &str, target: Tree, args: impl IntoIterator<Item = Tree>) -> Tree {
        let operands: Vec<_> = std::iter::once((target, MEMBER))
            .chain(args.into_iter().map(|a| (a, TERNARY)))
            .collect();
        let places: Vec<_> = (1..operands.len()).map(|i| format!("${i}")).collect();
        Tree::new(
            MEMBER,
            &format!("$0.{name}({})", places.join(", ")),
            operands,
        )
    }

    /// A call with one operand.
    pub(super) fn call(name: &str, arg: Tree) -> Tree {
        Tree::new(MEMBER, &format!("{name}($0)"), [(arg, TERNARY)])
    }

    /// Whether it stands alone: all variables of loops that it uses are of loops within.
    fn is_closed(&self, bound: &[&str]) -> bool {
        let is_local = |text: &str| {
            text.strip_prefix('v')
                .is_some_and(|n| n.parse::<u8>().is_ok())
        };
        if self.operands.is_empty() {
            return !is_local(&self.text) || bound.contains(&&*self.text);
        }
        let var = self.operands.get(1).filter(|_| self.binds);
        let inner: Vec<&str> = bound
            .iter()
            .copied()
            .chain(var.map(|(v, _)| &*v.text))
            .collect();
        let scope = |i| if i == 0 { bound } else { &inner };
        let mut operands = self.operands.iter().enumerate();
        operands.all(|(i, (operand, _))| operand.is_closed(scope(i)))
    }

    /// Its text with types for its operands; an address is one.
    fn shape(&self) -> String {
        let equality = [" == ", " != "].iter().any(|sign| self.text.contains(sign));
        let is_address = |operand: &Tree| {
            let text = operand.render(false);
            text.trim_start_matches("dyn")
                .trim_matches(['(', ')'])
                .ends_with(".ip")
        };
        let named = |(operand, _): &(Tree, u8)| match operand.of {
            _ if equality && is_address(operand) => "ip",
            Some(ty) => ty.name(),
            None if operand.text == "dyn($0)" => operand.operands[0].0.of.map_or("…", Ty::name),
            None => "…",
        };
        let mut shape = self.text.clone();
        for (i, operand) in self.operands.iter().enumerate() {
            shape = shape.replace(&format!("${i}"), named(operand));
        }
        let sides = shape
            .split_once(" == ")
            .or_else(|| shape.split_once(" != "));
        match sides {
            Some((a, "ip")) => format!("ip == {a}"),
            Some((a, b)) => format!("{a} == {b}"),
            None => shape,
        }
    }

    /// Whether it or a part of it has a shape.
    pub(super) fn holds(&self, shape: &str) -> bool {
        self.shape() == shape
            || self
                .operands
                .iter()
                .any(|(operand, _)| operand.holds(shape))
    }

    /// The same with a part put in the place of a larger one, for each that fits there.
    pub(super) fn smaller(&self) -> Vec<Tree> {
        let below = self.operands.iter().map(|(t, _)| t);
        let mut all: Vec<Tree> = below.filter(|t| t.is_closed(&[])).cloned().collect();
        for (i, (operand, _)) in self.operands.iter().enumerate() {
            let parts = operand.smaller().into_iter();
            // a part of the same type, which may have a variable of this loop
            let inner = operand.operands.iter().map(|(t, _)| t.clone());
            for part in parts.chain(inner).filter(|part| part.of == operand.of) {
                let mut tree = self.clone();
                tree.operands[i].0 = part;
                all.push(tree);
            }
        }
        all.retain(|t| t.is_closed(&[]));
        all
    }

    /// The text in KFL2, or in plain CEL.
    pub(super) fn render(&self, plain: bool) -> String {
        let template = match self.plain {
            Some(text) if plain => text,
            _ => &self.text,
        };
        if self.operands.is_empty() {
            return template.into();
        }
        let mut out = String::new();
        let mut rest = template;
        while let Some(place) = rest.find('$') {
            out.push_str(&rest[..place]);
            let digit = rest.as_bytes()[place + 1] - b'0';
            let (operand, level) = &self.operands[usize::from(digit)];
            let text = operand.render(plain);
            if operand.level < *level {
                out.extend(["(", &text, ")"]);
            } else {
                out.push_str(&text);
            }
            rest = &rest[place + 2..];
        }
        out.push_str(rest);
        out
    }
}
