//! Compilation: which of the two spellings a text is, and from there to a [`Filter`].

use crate::ast::{Expr, Kind, MAX_LENGTH, Span};
use crate::check::Env;
use crate::error::{ErrorKind, Errors, Fault};
use crate::filter::Filter;
use crate::lexer::{Dialect, TokenKind, lex};
use crate::macros::{Expansions, Taken};
use crate::predicate::{Const, Node};
use crate::redact::Redaction;
use crate::stages::protocols;
use crate::{kfl1, kfl2};

/// A spelling of the language.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lang {
    /// Told by the text.
    #[default]
    Auto,
    /// `http and response.status == 500`
    Kfl1,
    /// `http && status_code == 500`
    Kfl2,
}

impl Lang {
    /// As it is written on the command line and in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Lang::Auto => "auto",
            Lang::Kfl1 => "kfl1",
            Lang::Kfl2 => "kfl2",
        }
    }

    /// The spelling of this name.
    pub fn named(name: &str) -> Option<Lang> {
        [Lang::Auto, Lang::Kfl1, Lang::Kfl2]
            .into_iter()
            .find(|l| l.name() == name)
    }
}

/// How a text is compiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The spelling.
    pub lang: Lang,
    /// KFL1 as it was: an unknown field is no error, it makes the filter false. KFL2 without its types checked first:
    /// unknown names and types that do not fit are errors only where they are evaluated.
    pub lenient: bool,
    /// What `now()` is, in ns since the epoch.
    pub now: i64,
}

/// What a front end makes of a tree.
pub(crate) struct Lowered {
    pub(crate) root: Node,
    pub(crate) faults: Vec<Fault>,
    pub(crate) warnings: Vec<Fault>,
    pub(crate) limit: Option<u64>,
    /// One for each `redact()`, by its number.
    pub(crate) redactions: Vec<Vec<Redaction>>,
    /// Read as KFL2: the place of something that is at home in KFL1, or means another thing there.
    pub(crate) only_kfl1: Option<Span>,
    /// Read as KFL2: whether it has a name that KFL1 does not know.
    pub(crate) only_kfl2: bool,
}

impl Lowered {
    pub(crate) fn everything() -> Lowered {
        Lowered {
            root: Node::Const(Const::Bool(true)),
            faults: Vec::new(),
            warnings: Vec::new(),
            limit: None,
            redactions: Vec::new(),
            only_kfl1: None,
            only_kfl2: false,
        }
    }

    fn nothing(fault: Fault) -> Lowered {
        Lowered {
            root: Node::Const(Const::Bool(false)),
            faults: vec![fault],
            ..Lowered::everything()
        }
    }
}

/// A text read in one of the spellings.
pub(crate) struct Reading {
    pub(crate) lang: Lang,
    pub(crate) why: Why,
    pub(crate) lowered: Lowered,
}

/// Why a text was taken for its spelling.
pub(crate) enum Why {
    /// It was asked for.
    Asked,
    /// It is valid KFL2, and nothing in it is at home in KFL1.
    ValidKfl2,
    /// It is valid in both, but this is at home in KFL1.
    AtHome(Span),
    /// It is valid in this spelling only: the first mistake in the other one.
    Only(Box<Fault>),
    /// It is valid in neither.
    Signs,
}

/// Compiles a filter. An empty text matches everything.
///
/// # Errors
/// All mistakes that were found, in the spelling the text was taken for.
pub fn compile(env: &Env, text: &str, options: &Options) -> Result<Filter, Errors> {
    let Reading { lang, lowered, .. } = read(env, text, options);
    if lowered.faults.is_empty() {
        Ok(Filter::new(env, text, lang, lowered))
    } else {
        Err(Errors::of(lang, lowered.faults, text))
    }
}

/// Reads a text in the spelling that is asked for, or that it shows to be.
pub(crate) fn read(env: &Env, text: &str, options: &Options) -> Reading {
    if text.len() > MAX_LENGTH {
        #[allow(clippy::cast_possible_truncation)] // a constant far below
        let span = Span {
            start: MAX_LENGTH as u32,
            end: MAX_LENGTH as u32,
        };
        let fault = Fault::new(
            ErrorKind::Limit,
            span,
            format!("longer than {MAX_LENGTH} bytes"),
        )
        .hint("make it several filters");
        return Reading {
            lang: options.lang,
            why: Why::Asked,
            lowered: Lowered::nothing(fault),
        };
    }
    let mut reading = match options.lang {
        Lang::Kfl1 => as_kfl1(env, text, options),
        Lang::Kfl2 => as_kfl2(env, text, options.lenient, options.now),
        Lang::Auto => detect(env, text, options),
    };
    let Lowered {
        root,
        faults,
        warnings,
        ..
    } = &mut reading.lowered;
    if faults.is_empty() && env.bits().next().is_some() && protocols(root, env).is_empty() {
        #[allow(clippy::cast_possible_truncation)] // within MAX_LENGTH
        let whole = Span {
            start: 0,
            end: text.len() as u32,
        };
        let message = "no entry of any protocol can match this";
        warnings.push(Fault::new(ErrorKind::Surprise, whole, message));
    }
    reading
}

/// The text is KFL2 if it is valid there and nothing in it is at home in KFL1 alone; else KFL1, if it is valid there;
/// else KFL2 by way of its aliases. What is valid in neither is taken for the one whose signs it bears.
fn detect(env: &Env, text: &str, options: &Options) -> Reading {
    // what it is told by is how well it fits, so it is checked at first
    let second = as_kfl2(env, text, false, options.now);
    if second.lowered.faults.is_empty() && second.lowered.only_kfl1.is_none() {
        return second.because(Why::ValidKfl2);
    }
    // a type error in names that only KFL2 has is one, not another language
    let typed = second
        .lowered
        .faults
        .iter()
        .any(|f| matches!(f.kind, ErrorKind::Type | ErrorKind::Value));
    if typed && second.lowered.only_kfl2 && !options.lenient {
        return second.because(Why::Signs);
    }
    let first = as_kfl1(env, text, options);
    // a bad pattern is a pattern, where KFL2 would see but a text
    let pattern = first
        .lowered
        .faults
        .iter()
        .any(|f| f.kind == ErrorKind::Value);
    let fault = |other: &Reading| other.lowered.faults.first().cloned().map(Box::new);
    match (fault(&first), fault(&second)) {
        (None, None) => {
            let place = second.lowered.only_kfl1.unwrap_or_default();
            first.because(Why::AtHome(place))
        }
        (None, Some(other)) => first.because(Why::Only(other)),
        (Some(other), None) if !pattern => second.because(Why::Only(other)),
        (Some(_), Some(_)) if is_kfl2_like(text, &second.lowered) => {
            let second = if options.lenient {
                as_kfl2(env, text, true, options.now)
            } else {
                second
            };
            second.because(Why::Signs)
        }
        (Some(_), _) => first.because(Why::Signs),
    }
}

/// Whether a text bears signs of KFL2: its operators, names or functions, and no words of KFL1.
fn is_kfl2_like(text: &str, second: &Lowered) -> bool {
    let tokens = lex(text, Dialect::Kfl2);
    let word = |w: &str| {
        tokens
            .iter()
            .any(|t| t.kind == TokenKind::Ident && t.text == w)
    };
    let sign = |a: u8| {
        let both =
            |pair: &[crate::lexer::Token<'_>]| pair.iter().all(|t| t.kind == TokenKind::Punct(a));
        tokens.windows(2).any(both)
    };
    if sign(b'&') || sign(b'|') {
        return true;
    }
    let syntax = second.faults.iter().any(|f| f.kind == ErrorKind::Syntax);
    !word("and") && !word("or") && !word("nil") && !syntax && (second.only_kfl2 || calls_kfl2(text))
}

/// Whether a text calls a function that only KFL2 has.
fn calls_kfl2(text: &str) -> bool {
    let Ok(Some(tree)) = kfl2::parse(text) else {
        return false;
    };
    let mut found = false;
    tree.walk(&mut |e: &Expr| {
        if let Kind::Call { name, .. } = &e.kind {
            let known = kfl2::FUNCTIONS.iter().any(|f| f.name == &*name.text);
            let known = known || kfl2::MACROS.iter().any(|(n, ..)| *n == &*name.text);
            found |= known && !kfl1::HELPERS.iter().any(|h| h.name == &*name.text);
        }
    });
    found
}

impl Reading {
    fn because(self, why: Why) -> Reading {
        Reading { why, ..self }
    }
}

fn as_kfl1(env: &Env, text: &str, options: &Options) -> Reading {
    let taken = Taken::default();
    let lowered = match kfl1::parse(text) {
        Ok(None) => Lowered::everything(),
        Ok(Some(tree)) => kfl1::lower(
            env,
            &tree,
            text,
            options.lenient,
            options.now,
            Expansions::none(&taken),
        ),
        Err(fault) => Lowered::nothing(*fault),
    };
    Reading {
        lang: Lang::Kfl1,
        why: Why::Asked,
        lowered,
    }
}

fn as_kfl2(env: &Env, text: &str, lenient: bool, now: i64) -> Reading {
    let taken = Taken::default();
    let lowered = match kfl2::parse(text) {
        Ok(None) => Lowered::everything(),
        Ok(Some(tree)) => kfl2::lower(env, &tree, lenient, now, Expansions::none(&taken)),
        Err(fault) => Lowered::nothing(*fault),
    };
    Reading {
        lang: Lang::Kfl2,
        why: Why::Asked,
        lowered,
    }
}
