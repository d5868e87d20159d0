//! KFL2 against another implementation of CEL, on filters and entries made at random.
//!
//! Expressions are made with their types, so that most have a value. Each is evaluated on an entry by us, checked and
//! not, and by the crate `cel` on the same variables; the values must be the same, and errors where the other errs. A
//! difference is cut down to its smallest part that still differs, which must be of a shape that is listed, with the
//! clause of the language definition that decides it.
//!
//! A case is a seed: `GILLNET_KFL_SEED=n` adds those from `n` on, beginning with the one that a failure names.

mod make;
mod other;
mod tree;

use crate::observe::{self, Cel, Wrong, kfl2};
use crate::random::Random;
use crate::sql;
use crate::support::{Sample, at, e1, large};
use cel::{Context, Program};
use gillnet_entry::Bump;
use gillnet_kfl::{Env, compile};
use make::{Maker, entry};
use other::{context, ours, read, variables};
use std::sync::Arc;
use tree::{Tree, Ty};

/// Cases of one run.
const CASES: u64 = 6_000;

/// What `now()` is.
const NOW: &str = "2026-03-14T22:30:00Z";

/// A shape of expressions for which the other implementation has another answer.
struct Difference {
    /// An expression with types for operands; one within the smallest differing part has this shape.
    shape: &'static str,
    /// Whether we refuse the filter before there is an entry.
    refused: bool,
    /// An expression that differs, and by the definition its value, or `error`.
    example: (&'static str, &'static str),
    /// What decides it.
    clause: &'static str,
}

/// The other implementation takes constants that can only be mistakes; a filter with one is refused, so that none matches
/// nothing in silence.
const REFUSED: &str =
    "Runtime Errors: an error ends the evaluation, and a host may tell of it sooner";

const DIFFERENCES: &[Difference] = &[
    Difference {
        shape: "duration.getMilliseconds()",
        refused: false,
        example: ("duration('1.5s').getMilliseconds()", "500"),
        clause: "List of Standard Definitions, getMilliseconds: milliseconds from duration, 0-999",
    },
    Difference {
        shape: "timestamp(string)",
        refused: true,
        example: ("timestamp('a') == timestamp || true", "error"),
        clause: REFUSED,
    },
    Difference {
        shape: "duration(string)",
        refused: true,
        example: ("duration('a') == duration('1s') || true", "error"),
        clause: REFUSED,
    },
    Difference {
        shape: "duration(string)",
        refused: false,
        example: ("duration('1s' + method)", "error"),
        clause: "List of Standard Definitions, duration: it ends with its unit",
    },
    Difference {
        shape: "duration(string)",
        refused: false,
        example: (
            "duration('9145440000.000000001s') == duration('9145440000s')",
            "false",
        ),
        clause: "Abstract Types: google.protobuf.Duration, which counts nanoseconds",
    },
    Difference {
        shape: "string.matches(string)",
        refused: true,
        example: ("method.matches('(') || true", "error"),
        clause: REFUSED,
    },
    Difference {
        shape: "ip == string",
        refused: true,
        example: ("src.ip == 'a'", "error"),
        clause: REFUSED,
    },
    Difference {
        shape: "ip == string",
        refused: false,
        example: ("src.ip == '0:0:0:0:0:0:0:1'", "true"),
        clause: "none, as it is KFL2's own: an address equals each way to write it",
    },
];

/// One entry, for both implementations.
struct Stage<'e> {
    env: &'e Env,
    sample: Sample,
    context: Context<'static, 'static>,
}

impl Stage<'_> {
    fn new<'e>(env: &'e Env, other: &Arc<cel::Env>, sample: Sample) -> Stage<'e> {
        let all = sample.with(&Bump::new(), read);
        let context = context(&all, other);
        Stage {
            env,
            sample,
            context,
        }
    }

    /// What the other implementation gives; nothing for an error.
    fn other(&self, plain: &str) -> Option<Cel> {
        let program = Program::compile(plain).unwrap_or_else(|e| panic!("{plain}: {e}"));
        program.execute(&self.context).ok().as_ref().map(ours)
    }

    /// How both differ.
    fn differs(&self, tree: &Tree) -> Option<Wrong> {
        self.compare(&tree.render(false), &tree.render(true))
    }

    fn compare(&self, text: &str, plain: &str) -> Option<Wrong> {
        let wanted = self.other(plain);
        [false, true].into_iter().find_map(|lenient| {
            let wrong = self.wrong(text, wanted.as_ref(), lenient)?;
            let text = format!("{}\nthe other gives {wanted:?}", wrong.text);
            Some(Wrong { text, ..wrong })
        })
    }

    /// What is wrong with our answer.
    fn wrong(&self, text: &str, wanted: Option<&Cel>, lenient: bool) -> Option<Wrong> {
        observe::wrong(
            self.env,
            &self.sample,
            (text, wanted),
            &kfl2(lenient, at(NOW)),
        )
    }

    /// The smallest that differs, from a tree that does.
    fn cut(&self, tree: Tree) -> Tree {
        let length = tree.render(false).len();
        let mut smaller = tree.smaller();
        smaller.retain(|t| t.render(false).len() < length);
        smaller.sort_by_key(|t| t.render(false).len());
        match smaller.into_iter().find(|t| self.differs(t).is_some()) {
            Some(smaller) => self.cut(smaller),
            None => tree,
        }
    }
}

/// What is made is the same as SQL, where SQL can say it.
#[test]
fn made_filters_are_the_same_in_sql() {
    let (env, variables) = (large(), variables());
    let (mut said, mut matched) = (0, 0);
    for seed in 0..CASES / 4 {
        let mut random = Random(seed);
        let sample = entry(&mut random);
        let mut maker = Maker {
            random,
            variables: &variables,
            locals: Vec::new(),
        };
        let text = maker.make(Ty::Bool, 4).render(false);
        let Ok(filter) = compile(&env, &text, &kfl2(false, at(NOW))) else {
            continue;
        };
        let arena = Bump::new();
        sample.with(&arena, |entry| {
            let matches = filter.matches(entry);
            let all = sql::agree(&env, &filter, entry, matches);
            said += u64::from(all);
            matched += u64::from(all && matches);
        });
    }
    // else the cases say little
    assert!(said > CASES / 40, "{said} can be said");
    assert!(matched > said / 10, "{matched} of {said} match");
}

#[test]
fn evaluation_equals_cel() {
    let (env, other, variables) = (large(), Arc::new(cel::Env::stdlib()), variables());
    let more = std::env::var("GILLNET_KFL_SEED").ok();
    let more = more.map(|seed| seed.parse::<u64>().expect("GILLNET_KFL_SEED is a number"));
    let (mut failures, mut errors, mut excused) = (Vec::new(), 0, 0);
    let more = more.into_iter().flat_map(|n| n..n.saturating_add(CASES));
    let seeds: Vec<u64> = (0..CASES).chain(more).collect();
    for &seed in &seeds {
        let mut random = Random(seed);
        let stage = Stage::new(&env, &other, entry(&mut random));
        let mut maker = Maker {
            random,
            variables: &variables,
            locals: Vec::new(),
        };
        let ty = if maker.random.one_in(3) {
            maker.any()
        } else {
            Ty::Bool
        };
        let tree = maker.make(ty, 4);
        errors += usize::from(stage.other(&tree.render(true)).is_none());
        if stage.differs(&tree).is_none() {
            continue;
        }
        let whole = tree.render(false);
        let smallest = stage.cut(tree);
        let wrong = stage.differs(&smallest).unwrap();
        let listed = |d: &Difference| d.refused == wrong.refused && smallest.holds(d.shape);
        if DIFFERENCES.iter().any(listed) {
            excused += 1;
            continue;
        }
        failures.push(format!(
            "GILLNET_KFL_SEED={seed}: {}\n{}\nin {whole}",
            smallest.render(false),
            wrong.text
        ));
    }
    assert!(
        failures.is_empty(),
        "{} differ:\n{}",
        failures.len(),
        failures
            .iter()
            .take(20)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n\n")
    );
    // else the cases say little
    let cases = seeds.len();
    assert!(errors < cases / 3, "{errors} of {cases} are errors");
    assert!(
        excused < cases / 50,
        "{excused} of {cases} differ as listed"
    );
}

/// What is listed is so: both have the answers that it says.
#[test]
fn differences_are_as_listed() {
    let (env, other) = (large(), Arc::new(cel::Env::stdlib()));
    let mut sample = e1();
    sample.src.0 = "::1".parse().unwrap();
    let stage = Stage::new(&env, &other, sample);
    for Difference {
        refused,
        example: (text, value),
        clause,
        ..
    } in DIFFERENCES
    {
        let wrong = stage
            .compare(text, text)
            .unwrap_or_else(|| panic!("{text} is the same"));
        assert_eq!(wrong.refused, *refused, "{text}: {}", wrong.text);
        let wrong = match *value {
            "error" => stage.wrong(text, None, false),
            value => stage.wrong(
                &format!("({text}) == {value}"),
                Some(&Cel::Bool(true)),
                false,
            ),
        };
        assert!(wrong.is_none(), "{text}: {wrong:?}, against {clause}");
    }
}
