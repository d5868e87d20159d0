//! Makes expressions and entries.

use super::tree::{AND, MEMBER, OR, PRODUCT, RELATION, SUM, TERNARY, Tree, Ty, UNARY};
use crate::random::Random;
use crate::support::{Dns, Http, Sample, at, e1, e2, name};
use gillnet_entry::{Name, Workload};
use std::sync::Arc;

const TEXTS: &[&str] = &[
    "",
    "GET",
    "POST",
    "a",
    "b",
    "é",
    "€uro",
    "x-id",
    "host",
    "/api/v1/users",
    "/api",
    "v1",
    "production",
    "payments",
    "10.0.0.5",
    "MX",
    "AAAA",
    "example.com",
    "pool.example.com",
    "5",
    "-7",
    "true",
    "1.5",
    "1h",
    "2026-03-14T22:28:00Z",
    "1970-01-01T01:00:00.5+01:00",
    "HTTP",
    "\u{1F600}b",
    "a b",
    "tier",
    "app",
];

const PATTERNS: &[&str] = &[
    "(",
    "^/api/v[0-9]+",
    "a|b",
    "^$",
    "\\\\.com$",
    "[a-z]+-[0-9]",
    "(é|e)x?",
];

const INTS: &[i64] = &[
    0,
    1,
    2,
    3,
    5,
    7,
    80,
    200,
    404,
    500,
    1000,
    8080,
    -1,
    -3,
    4_294_967_296,
    i64::MAX,
    i64::MIN,
];

const MOMENTS: &[&str] = &[
    "2026-03-14T22:28:00Z",
    "2026-03-14T22:30:00Z",
    "2026-03-14T23:30:00+01:00",
    "1969-12-31T23:59:59.5Z",
    "2024-02-29T12:00:00.123456789Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
];

const STRETCHES: &[&str] = &[
    "0s", "1s", "5m", "90s", "-1.5s", "1h30m", "24h", "250ms", "1us", "1ns", "2540400h", "-100000h",
];

const ZONES: &[&str] = &[
    "UTC",
    "+01:00",
    "-08:30",
    "Europe/Paris",
    "America/New_York",
    "Asia/Kolkata",
];

const PARTS: &[&str] = &[
    "getFullYear",
    "getMonth",
    "getDayOfYear",
    "getDayOfMonth",
    "getDate",
    "getDayOfWeek",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
];

/// Makes expressions.
pub(super) struct Maker<'e> {
    pub(super) random: Random,
    /// Variables by type, flags too.
    pub(super) variables: &'e [(String, Ty)],
    /// Variables of the loops around.
    pub(super) locals: Vec<(String, Ty)>,
}

impl Maker<'_> {
    /// An expression of a type, `fuel` levels high at most.
    pub(super) fn make(&mut self, ty: Ty, fuel: usize) -> Tree {
        Tree {
            of: Some(ty),
            ..self.made(ty, fuel)
        }
    }

    fn made(&mut self, ty: Ty, fuel: usize) -> Tree {
        if fuel == 0 || self.random.one_in(6) {
            return self.small(ty);
        }
        let fuel = fuel - 1;
        match self.random.below(16) {
            0 => {
                let (a, b, c) = (
                    self.make(Ty::Bool, fuel),
                    self.make(ty, fuel),
                    self.make(ty, fuel),
                );
                Tree::new(TERNARY, "$0 ? $1 : $2", [(a, OR), (b, OR), (c, TERNARY)])
            }
            1 => Tree::new(MEMBER, "($0)", [(self.make(ty, fuel), TERNARY)]),
            _ => self.large(ty, fuel),
        }
    }

    fn variable(&mut self, ty: Ty) -> Option<Tree> {
        let locals: Vec<_> = self.locals.iter().filter(|(_, t)| *t == ty).collect();
        if !locals.is_empty() && !self.random.one_in(3) {
            let n = self.random.below(locals.len());
            return Some(Tree::leaf(&locals[n].0));
        }
        let fitting: Vec<_> = self.variables.iter().filter(|(_, t)| *t == ty).collect();
        let n = self.random.below(fitting.len().max(1));
        fitting.get(n).map(|(name, _)| Tree::leaf(name))
    }

    /// A variable or a literal.
    fn small(&mut self, ty: Ty) -> Tree {
        if !self.random.one_in(3)
            && let Some(variable) = self.variable(ty)
        {
            return variable;
        }
        match ty {
            Ty::Bool => Tree::leaf(self.random.pick(&["true", "false"])),
            Ty::Int => int_literal(self.random.pick(INTS)),
            Ty::UInt => {
                Tree::leaf(
                    self.random
                        .pick(&["0u", "1u", "7u", "80u", "18446744073709551615u"]),
                )
            }
            Ty::Double => self.double_literal(),
            Ty::Str => self.text(),
            Ty::Bytes => Tree::leaf(self.random.pick(&["b''", "b'a'", r"b'\xff\x00'", "b'é'"])),
            Ty::Time if self.random.one_in(4) => Tree {
                plain: Some("timestamp('2026-03-14T22:30:00Z')"),
                ..Tree::leaf("now()")
            },
            Ty::Time => Tree::leaf(format!("timestamp('{}')", self.random.pick(MOMENTS))),
            Ty::Duration => Tree::leaf(format!("duration('{}')", self.random.pick(STRETCHES))),
            Ty::Strs => self.list(Ty::Str, 0),
            Ty::Ints => self.list(Ty::Int, 0),
            Ty::Map => self.map(0),
        }
    }

    fn text(&mut self) -> Tree {
        let text = self.random.pick(TEXTS);
        let quote = self.random.pick(&["'", "\"", "'''", "\"\"\""]);
        Tree::leaf(format!("{quote}{text}{quote}"))
    }

    fn double_literal(&mut self) -> Tree {
        let text = self.random.pick(&[
            "0.0",
            "1.0",
            "0.5",
            "-2.5",
            "3e2",
            "1e-7",
            "1e300",
            "123456789.125",
            "9007199254740993.0",
        ]);
        Tree {
            level: if text.starts_with('-') { UNARY } else { MEMBER },
            ..Tree::leaf(text)
        }
    }

    fn list(&mut self, of: Ty, fuel: usize) -> Tree {
        let items: Vec<_> = (0..self.random.below(4))
            .map(|_| (self.make(of, fuel), TERNARY))
            .collect();
        let places: Vec<_> = (0..items.len()).map(|i| format!("${i}")).collect();
        Tree::new(MEMBER, &format!("[{}]", places.join(", ")), items)
    }

    /// A map of text to text whose keys are different.
    fn map(&mut self, fuel: usize) -> Tree {
        let mut keys = vec!["a", "b", "host", "app"];
        let mut parts = Vec::new();
        let mut values = Vec::new();
        for i in 0..self.random.below(3) {
            let key = keys.swap_remove(self.random.below(keys.len()));
            parts.push(format!("'{key}': ${i}"));
            values.push((self.make(Ty::Str, fuel), TERNARY));
        }
        Tree::new(MEMBER, &format!("{{{}}}", parts.join(", ")), values)
    }

    fn large(&mut self, ty: Ty, fuel: usize) -> Tree {
        match ty {
            Ty::Bool => self.truth(fuel),
            Ty::Int => self.int(fuel),
            Ty::UInt => match self.random.below(3) {
                0 => {
                    let of = self.number();
                    Tree::call("uint", self.make(of, fuel))
                }
                _ => self.arithmetic(Ty::UInt, &["+", "-", "*", "/", "%"], fuel),
            },
            Ty::Double => match self.random.below(4) {
                0 => {
                    let of = self.random.pick(&[Ty::Int, Ty::UInt, Ty::Double, Ty::Str]);
                    Tree::call("double", self.make(of, fuel))
                }
                1 => Tree::new(UNARY, "-$0", [(self.make(ty, fuel), MEMBER)]),
                _ => self.arithmetic(Ty::Double, &["+", "-", "*", "/"], fuel),
            },
            Ty::Str => self.string(fuel),
            Ty::Bytes => match self.random.below(3) {
                0 => self.arithmetic(Ty::Bytes, &["+"], fuel),
                _ => Tree::call("bytes", self.make(Ty::Str, fuel)),
            },
            Ty::Time => match self.random.below(4) {
                0 => {
                    let of = self.random.pick(&[Ty::Int, Ty::Int, Ty::Str, Ty::Time]);
                    Tree::call("timestamp", self.make(of, fuel))
                }
                1 => {
                    let (a, b) = (self.make(Ty::Duration, fuel), self.make(Ty::Time, fuel));
                    Tree::binary(SUM, "+", a, b)
                }
                _ => {
                    let (a, b) = (self.make(Ty::Time, fuel), self.make(Ty::Duration, fuel));
                    let sign = self.random.pick(&["+", "-"]);
                    Tree::binary(SUM, sign, a, b)
                }
            },
            Ty::Duration => match self.random.below(5) {
                0 => Tree::call("duration", self.make(Ty::Str, fuel)),
                1 => {
                    let (a, b) = (self.make(Ty::Time, fuel), self.make(Ty::Time, fuel));
                    Tree::binary(SUM, "-", a, b)
                }
                _ => self.arithmetic(Ty::Duration, &["+", "-"], fuel),
            },
            Ty::Strs => self.list_of(Ty::Str, Ty::Strs, fuel),
            Ty::Ints => self.list_of(Ty::Int, Ty::Ints, fuel),
            Ty::Map => self.map(fuel),
        }
    }

    fn number(&mut self) -> Ty {
        self.random.pick(&[Ty::Int, Ty::UInt, Ty::Double])
    }

    fn arithmetic(&mut self, ty: Ty, signs: &[&'static str], fuel: usize) -> Tree {
        let (a, b) = (self.make(ty, fuel), self.make(ty, fuel));
        let sign = self.random.pick(signs);
        let level = if matches!(sign, "+" | "-") {
            SUM
        } else {
            PRODUCT
        };
        Tree::binary(level, sign, a, b)
    }

    pub(super) fn any(&mut self) -> Ty {
        self.random.pick(&[
            Ty::Bool,
            Ty::Int,
            Ty::UInt,
            Ty::Double,
            Ty::Str,
            Ty::Bytes,
            Ty::Time,
            Ty::Duration,
            Ty::Strs,
            Ty::Ints,
            Ty::Map,
        ])
    }

    fn truth(&mut self, fuel: usize) -> Tree {
        match self.random.below(20) {
            0 | 1 => Tree::new(UNARY, "!$0", [(self.make(Ty::Bool, fuel), MEMBER)]),
            n @ 2..=6 => {
                let (sign, level) = if n % 2 == 0 { ("&&", AND) } else { ("||", OR) };
                let (a, b) = (self.make(Ty::Bool, fuel), self.make(Ty::Bool, fuel));
                Tree::binary(level, sign, a, b)
            }
            7 => {
                let ty = self.any();
                let sign = self.random.pick(&["==", "!="]);
                let (a, b) = (self.make(ty, fuel), self.make(ty, fuel));
                Tree::binary(RELATION, sign, a, b)
            }
            8 => {
                // across the types of numbers
                let (l, r) = (self.number(), self.number());
                let (a, b) = (self.make(l, fuel), self.make(r, fuel));
                let sign = self.random.pick(&["==", "!=", "<", "<=", ">", ">="]);
                Tree::binary(RELATION, sign, a, b)
            }
            9 => {
                // of any types, which may have no order
                let (l, r) = (self.any(), self.any());
                let (a, b) = (self.make(l, fuel), self.make(r, fuel));
                let sign = self.random.pick(&["==", "!=", "<", ">="]);
                Tree::binary(RELATION, sign, Tree::call("dyn", a), Tree::call("dyn", b))
            }
            10 | 11 => {
                let ordered = [
                    Ty::Bool,
                    Ty::Int,
                    Ty::UInt,
                    Ty::Double,
                    Ty::Str,
                    Ty::Bytes,
                    Ty::Time,
                    Ty::Duration,
                ];
                let ty = self.random.pick(&ordered);
                let (a, b) = (self.make(ty, fuel), self.make(ty, fuel));
                let sign = self.random.pick(&["==", "!=", "<", "<=", ">", ">="]);
                Tree::binary(RELATION, sign, a, b)
            }
            12 | 13 => {
                let name = self.random.pick(&["contains", "startsWith", "endsWith"]);
                let (a, b) = (self.make(Ty::Str, fuel), self.make(Ty::Str, fuel));
                Tree::method(name, a, [b])
            }
            14 if self.random.one_in(4) => {
                let pattern = Tree {
                    of: Some(Ty::Str),
                    ..Tree::leaf(format!("'{}'", self.random.pick(PATTERNS)))
                };
                Tree::method("matches", self.make(Ty::Str, fuel), [pattern])
            }
            14 | 15 => {
                let (item, list) = self.random.pick(&[
                    (Ty::Str, Ty::Strs),
                    (Ty::Int, Ty::Ints),
                    (Ty::Str, Ty::Map),
                ]);
                let (a, b) = (self.make(item, fuel), self.make(list, fuel));
                Tree::binary(RELATION, "in", a, b)
            }
            16 => {
                let key = self.random.pick(&["host", "a", "app"]);
                let map = self.make(Ty::Map, fuel);
                Tree::new(MEMBER, &format!("has($0.{key})"), [(map, MEMBER)])
            }
            17 => {
                let ty = self.any();
                let of = self
                    .random
                    .pick(&["int", "string", "bool", "list", "map", "double"]);
                Tree::new(
                    RELATION,
                    &format!("type($0) == {of}"),
                    [(self.make(ty, fuel), TERNARY)],
                )
            }
            _ => {
                let kind = self.random.pick(&["all", "exists", "exists_one"]);
                let (item, range) = self.random.pick(&[
                    (Ty::Str, Ty::Strs),
                    (Ty::Int, Ty::Ints),
                    (Ty::Str, Ty::Map),
                ]);
                self.each(kind, range, &[(item, Ty::Bool)], fuel)
            }
        }
    }

    /// A macro over a range, with a variable of the type of its elements, and a body of each type.
    fn each(&mut self, kind: &str, range: Ty, bodies: &[(Ty, Ty)], fuel: usize) -> Tree {
        let range = self.make(range, fuel);
        let var = format!("v{}", self.locals.len());
        let mut args = vec![Tree::leaf(&var)];
        for (item, body) in bodies {
            self.locals.push((var.clone(), *item));
            args.push(self.make(*body, fuel));
            self.locals.pop();
        }
        Tree {
            binds: true,
            ..Tree::method(kind, range, args)
        }
    }

    fn list_of(&mut self, item: Ty, ty: Ty, fuel: usize) -> Tree {
        match self.random.below(5) {
            0 => self.arithmetic(ty, &["+"], fuel),
            1 => self.each("filter", ty, &[(item, Ty::Bool)], fuel),
            2 | 3 => {
                let (of, range) = self
                    .random
                    .pick(&[(Ty::Str, Ty::Strs), (Ty::Int, Ty::Ints)]);
                let bodies = [(of, Ty::Bool), (of, item)];
                let from = self.random.below(2);
                self.each("map", range, &bodies[from..], fuel)
            }
            _ => self.list(item, fuel),
        }
    }

    fn int(&mut self, fuel: usize) -> Tree {
        match self.random.below(12) {
            0 | 1 => {
                let sized = [Ty::Str, Ty::Strs, Ty::Ints, Ty::Map, Ty::Bytes];
                let ty = self.random.pick(&sized);
                let of = self.make(ty, fuel);
                if self.random.one_in(2) {
                    Tree::call("size", of)
                } else {
                    Tree::method("size", of, [])
                }
            }
            2 => {
                let of = [Ty::Int, Ty::UInt, Ty::Double, Ty::Str, Ty::Time];
                let ty = self.random.pick(&of);
                Tree::call("int", self.make(ty, fuel))
            }
            3 => Tree::new(UNARY, "-$0", [(self.make(Ty::Int, fuel), MEMBER)]),
            4 => {
                let part = self.random.pick(PARTS);
                let at = self.make(Ty::Time, fuel);
                let zone = self.random.one_in(2).then(|| {
                    let zone = self.random.pick(ZONES);
                    Tree::leaf(format!("'{zone}'"))
                });
                Tree::method(part, at, zone)
            }
            5 => {
                let part =
                    self.random
                        .pick(&["getHours", "getMinutes", "getSeconds", "getMilliseconds"]);
                Tree::method(part, self.make(Ty::Duration, fuel), [])
            }
            6 => self.element(Ty::Ints, fuel),
            _ => self.arithmetic(Ty::Int, &["+", "-", "*", "/", "%"], fuel),
        }
    }

    fn element(&mut self, list: Ty, fuel: usize) -> Tree {
        let (list, at) = (self.make(list, fuel), self.make(Ty::Int, fuel.min(1)));
        Tree::new(MEMBER, "$0[$1]", [(list, MEMBER), (at, TERNARY)])
    }

    fn string(&mut self, fuel: usize) -> Tree {
        match self.random.below(9) {
            0 | 1 => self.arithmetic(Ty::Str, &["+"], fuel),
            2 | 3 => {
                let of = [
                    Ty::Int,
                    Ty::UInt,
                    Ty::Bool,
                    Ty::Double,
                    Ty::Str,
                    Ty::Bytes,
                    Ty::Time,
                    Ty::Duration,
                ];
                let ty = self.random.pick(&of);
                Tree::call("string", self.make(ty, fuel))
            }
            4 => self.element(Ty::Strs, fuel),
            5 => {
                let (map, key) = (self.make(Ty::Map, fuel), self.key(fuel));
                Tree::new(MEMBER, "$0[$1]", [(map, MEMBER), (key, TERNARY)])
            }
            6 => {
                let key = self.random.pick(&["host", "a", "app"]);
                let map = self.make(Ty::Map, fuel);
                Tree::new(MEMBER, &format!("$0.{key}"), [(map, MEMBER)])
            }
            _ => {
                let (map, key) = (self.make(Ty::Map, fuel), self.key(fuel));
                let default = self.make(Ty::Str, fuel);
                let operands = [(map, MEMBER), (key, SUM), (default, TERNARY)];
                Tree {
                    plain: Some("($1 in $0 ? $0[$1] : ($2))"),
                    ..Tree::new(MEMBER, "map_get($0, $1, $2)", operands)
                }
            }
        }
    }

    /// Text that is likely a key.
    fn key(&mut self, fuel: usize) -> Tree {
        if self.random.one_in(4) {
            self.make(Ty::Str, fuel)
        } else {
            let key = self.random.pick(&["host", "a", "app", "x-id", "tier"]);
            Tree::leaf(format!("'{key}'"))
        }
    }
}

fn int_literal(value: i64) -> Tree {
    Tree {
        level: if value < 0 { UNARY } else { MEMBER },
        ..Tree::leaf(value.to_string())
    }
}

/// An entry made at random.
pub(super) fn entry(random: &mut Random) -> Sample {
    fn pairs(random: &mut Random, keys: &[&str]) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        for key in keys {
            if !random.one_in(4) {
                pairs.push(((*key).into(), random.pick(TEXTS).into()));
            }
        }
        pairs
    }
    fn texts(random: &mut Random) -> Vec<String> {
        (0..random.below(4))
            .map(|_| random.pick(TEXTS).into())
            .collect()
    }
    let base = if random.one_in(2) { e1() } else { e2() };
    // none differs from a text above by case alone, which counts for nothing in headers, and in maps of CEL for all
    let keys = ["host", "a", "app", "x-id", "tier"];
    let label = |random: &mut Random| random.pick(TEXTS);
    let end = |random: &mut Random| {
        let ip = random.pick(&["10.0.0.5", "10.0.0.9", "::1", "8.8.8.8"]);
        let port = random.pick(&[0, 53, 80, 8080, 65535]);
        let named = name(
            label(random),
            label(random),
            label(random),
            label(random),
            label(random),
        );
        (ip.parse().unwrap(), port, named)
    };
    let (mut src, dst) = (end(random), end(random));
    // of the node that the entry was seen on, so that it is the local one
    src.2 = Arc::new(Name {
        workload: Some(Box::new(Workload {
            node: "node-1".into(),
            labels: pairs(random, &keys),
            ..Workload::default()
        })),
        ..Name::clone(&src.2)
    });
    let ts = at(random.pick(&[
        "2026-03-14T22:28:00Z",
        "2026-03-14T22:30:00.000000001Z",
        "1970-01-01T00:00:00Z",
    ]));
    let sample = if base.protocol == 0 {
        let response = (!random.one_in(4)).then(|| {
            let status = random.pick(&[200, 404, 500, 0]);
            (
                status,
                pairs(random, &keys),
                String::new(),
                random.pick(INTS),
            )
        });
        Sample {
            record: Box::new(Http {
                grpc: random.one_in(4),
                method: label(random).into(),
                url: label(random).into(),
                version: label(random).into(),
                headers: pairs(random, &keys),
                cookies: pairs(random, &keys),
                query: pairs(random, &keys),
                response,
            }),
            ..base
        }
    } else {
        Sample {
            record: Box::new(Dns {
                questions: texts(random),
                types: texts(random),
                answers: texts(random),
                rcode: random.pick(&[0, 3]),
            }),
            ..base
        }
    };
    Sample {
        src,
        dst,
        tls: random.one_in(2),
        ts,
        end_ts: (!random.one_in(3)).then(|| ts + random.pick(&[0, 1, 999, 6_000_000_000])),
        ..sample
    }
}
