//! What is wrong with a script, as far as its text tells: no JavaScript, or helpers and hooks that are none.

use crate::hooks::Hook;
use crate::scripts::{SyntaxError, check};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What is wrong with a text, as far as can be told without running it: what is no JavaScript; else calls of helpers
/// and functions in the manner of hooks that there are none of. What a script declares itself is its own.
pub fn review(file: &str, text: &str) -> Vec<SyntaxError> {
    if let Err(fault) = check(file, text) {
        return vec![fault];
    }
    let tokens = tokens(text);
    let known = Known::new();
    let helpers = known
        .helpers(&tokens)
        .map(|(span, message)| (span.start, message));
    let mut found: Vec<_> = helpers.chain(known.hooks(&tokens)).collect();
    found.sort_by_key(|(at, _)| *at);
    let place = |(at, message): (usize, String)| {
        let (line, column) = place(text, at);
        SyntaxError {
            file: file.to_owned(),
            line,
            column,
            message,
        }
    };
    found.into_iter().map(place).collect()
}

/// A call of a helper that there is none of.
#[derive(Debug)]
pub(crate) struct Missing {
    /// Line and column where it begins.
    pub(crate) from: (u32, u32),
    /// The same of its parenthesis.
    pub(crate) to: (u32, u32),
    /// What there is to say.
    pub(crate) message: String,
}

/// Calls of helpers that there are none of, in a text that is JavaScript.
pub(crate) fn missing(text: &str) -> Vec<Missing> {
    let tokens = tokens(text);
    let known = Known::new();
    let missing = known.helpers(&tokens).map(|(span, message)| Missing {
        from: place(text, span.start),
        to: place(text, span.end),
        message,
    });
    missing.collect()
}

/// Line and column of an offset, from 1.
fn place(text: &str, at: usize) -> (u32, u32) {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    let count = |n: usize| u32::try_from(n + 1).unwrap_or(u32::MAX);
    (
        count(before.matches('\n').count()),
        count(line.chars().count()),
    )
}

/// What there is.
struct Known {
    /// Paths of helpers: `vendor.s3.put`, `fetch`.
    helpers: BTreeSet<String>,
    /// Their beginnings: `vendor`, `vendor.s3`.
    groups: BTreeSet<String>,
}

impl Known {
    fn new() -> Known {
        let helpers = declared();
        let mut groups = BTreeSet::new();
        for helper in &helpers {
            let ends = helper.match_indices('.').map(|(at, _)| at);
            groups.extend(ends.filter_map(|end| helper.get(..end)).map(str::to_owned));
        }
        Known { helpers, groups }
    }

    /// Calls of helpers that are none, each up to its parenthesis.
    fn helpers<'t>(
        &'t self,
        tokens: &'t [Token<'t>],
    ) -> impl Iterator<Item = (Range<usize>, String)> {
        let own = own_names(tokens);
        let calls = (0..tokens.len()).filter_map(|i| call(tokens, i));
        calls.filter_map(move |(span, path)| {
            let root = path.split('.').next()?;
            if path == root || !self.groups.contains(root) || own.contains(root) {
                return None;
            }
            // `jobs.list` and what is asked of its result
            let ends = path.match_indices('.').map(|(at, _)| at);
            let helper = ends
                .chain([path.len()])
                .filter_map(|end| path.get(..end))
                .any(|part| self.helpers.contains(part));
            if helper || is_of_every_object(&path) {
                return None;
            }
            let near = hint(&path, self.helpers.iter().map(String::as_str));
            Some((span, format!("there is no helper {path}{near}")))
        })
    }

    /// Functions that look like hooks and are none.
    fn hooks<'t>(&self, tokens: &'t [Token<'t>]) -> impl Iterator<Item = (usize, String)> {
        let mut uses: BTreeMap<&str, u32> = BTreeMap::new();
        for token in tokens {
            if let Kind::Name(name) = token.kind {
                *uses.entry(name).or_default() += 1;
            }
        }
        let declared = tokens.windows(2).filter_map(|pair| match pair {
            [a, b] if a.kind == Kind::Name("function") => match b.kind {
                Kind::Name(name) => Some((b.at, name)),
                Kind::Sign(_) => None,
            },
            _ => None,
        });
        declared.filter_map(move |(at, name)| {
            // one that is called or handed on by the script is a function of its own
            let only = uses.get(name) == Some(&1);
            let hook = Hook::ALL.iter().any(|hook| hook.name() == name);
            if !only || hook || !name.starts_with("on") {
                return None;
            }
            let near = hint(name, Hook::ALL.iter().map(|hook| hook.name()));
            (!near.is_empty()).then(|| (at, format!("there is no hook {name}{near}")))
        })
    }
}

/// `vendor.hasOwnProperty(…)`, as any object answers it.
fn is_of_every_object(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or_default();
    ["hasOwnProperty", "toString", "valueOf", "isPrototypeOf"].contains(&last)
}

/// The names of helpers that the declarations have: `vendor.s3.put`, `fetch`; those of hooks, too.
pub(crate) fn declared() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut path, mut skip): (Vec<&str>, usize) = (Vec::new(), 0);
    for line in crate::TYPES.lines() {
        let text = line.trim();
        let opens = text.ends_with(['{', '(']);
        let name = || {
            let odd = |c: char| !c.is_alphanumeric() && c != '_';
            text.split(odd).next().unwrap_or_default()
        };
        let joined = |path: &[&str], name: &str| {
            let parts: Vec<_> = path.iter().copied().chain([name]).collect();
            parts.join(".")
        };
        if skip > 0 {
            skip += usize::from(opens);
            skip -= usize::from(text.starts_with(['}', ')']));
        } else if let Some(rest) = text.strip_prefix("declare const ") {
            let name = rest.split(':').next().unwrap_or_default();
            if text.ends_with(": {") {
                path = vec![name];
            } else {
                found.insert(name.to_owned());
            }
        } else if let Some(rest) = text.strip_prefix("declare function ") {
            let end = rest.find(['(', '<']).unwrap_or(rest.len());
            found.insert(rest.get(..end).unwrap_or_default().to_owned());
            skip = usize::from(opens);
        } else if text.starts_with("interface ") {
            skip = 1;
        } else if path.is_empty() || text.starts_with(['/', '*']) {
        } else if text.starts_with('}') {
            path.pop();
        } else if text.ends_with(": {") {
            path.push(name());
        } else if let Some((group, inner)) = text
            .split_once(": { ")
            .filter(|(group, _)| *group == name())
        {
            let members = inner.split("; ").filter_map(|part| part.split_once('('));
            for (member, _) in members {
                found.insert(joined(&path, &format!("{group}.{member}")));
            }
        } else if text.contains('(') {
            found.insert(joined(&path, name()));
            skip = usize::from(text.ends_with('('));
        }
    }
    found
}

/// A part of a script's text that matters here.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Token<'t> {
    /// Its offset in bytes.
    at: usize,
    kind: Kind<'t>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind<'t> {
    Name(&'t str),
    /// A sign; `"` for any literal, `>` for an arrow.
    Sign(char),
}

/// Names and signs without comments and the insides of literals.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(first) = rest.chars().next()
    {
        let sign = |c| Token {
            at,
            kind: Kind::Sign(c),
        };
        let length = if first.is_whitespace() {
            first.len_utf8()
        } else if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if matches!(first, '"' | '\'' | '`') || first == '/' && begins_value(&tokens) {
            tokens.push(sign('"'));
            literal(rest, first)
        } else if part(first) {
            let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
            let word = rest.get(..end).unwrap_or_default();
            let kind = match first.is_ascii_digit() {
                true => Kind::Sign('"'),
                false => Kind::Name(word),
            };
            tokens.push(Token { at, kind });
            end
        } else {
            let (shown, length) = match rest.get(..2) {
                Some("=>") => ('>', 2),
                Some("?.") => ('.', 2),
                _ => (first, first.len_utf8()),
            };
            tokens.push(sign(shown));
            length
        };
        at += length.max(1);
    }
    tokens
}

/// Bytes of a literal, up to and with its end: a string, a template with all that is in it, a regular expression.
fn literal(text: &str, end: char) -> usize {
    let (mut escaped, mut class) = (false, false);
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' if end == '/' => class = true,
            ']' if end == '/' => class = false,
            '\n' if end != '`' => return at,
            c if c == end && !class => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Whether a value begins here, so that `/` is no division.
fn begins_value(tokens: &[Token<'_>]) -> bool {
    const BEFORE_VALUES: [&str; 9] = [
        "return", "typeof", "case", "in", "of", "delete", "void", "throw", "else",
    ];
    match tokens.last().map(|token| token.kind) {
        None => true,
        Some(Kind::Name(name)) => BEFORE_VALUES.contains(&name),
        Some(Kind::Sign(sign)) => !matches!(sign, ')' | ']' | '}' | '"'),
    }
}

fn name_at<'t>(tokens: &[Token<'t>], i: usize) -> Option<&'t str> {
    match tokens.get(i)?.kind {
        Kind::Name(name) => Some(name),
        Kind::Sign(_) => None,
    }
}

fn sign_at(tokens: &[Token<'_>], i: usize) -> Option<char> {
    match tokens.get(i)?.kind {
        Kind::Name(_) => None,
        Kind::Sign(sign) => Some(sign),
    }
}

/// Whether the name here is a member of something.
fn is_member(tokens: &[Token<'_>], i: usize) -> bool {
    i.checked_sub(1)
        .is_some_and(|before| sign_at(tokens, before) == Some('.'))
}

/// The call that begins here: its offsets up to the parenthesis, and the path that is called.
fn call(tokens: &[Token<'_>], begin: usize) -> Option<(Range<usize>, String)> {
    let mut path = name_at(tokens, begin)?.to_owned();
    if is_member(tokens, begin) {
        return None;
    }
    let mut i = begin + 1;
    while sign_at(tokens, i) == Some('.') {
        path.push('.');
        path.push_str(name_at(tokens, i + 1)?);
        i += 2;
    }
    let span = tokens.get(begin)?.at..tokens.get(i)?.at;
    (sign_at(tokens, i) == Some('(')).then_some((span, path))
}

/// Names that the script may have given another meaning: those that stand somewhere without being asked for a member.
fn own_names<'t>(tokens: &[Token<'t>]) -> BTreeSet<&'t str> {
    let bare = |i: &usize| {
        let asked = matches!(sign_at(tokens, i + 1), Some('.' | '['));
        let key = sign_at(tokens, i + 1) == Some(':');
        !asked && !key && !is_member(tokens, *i)
    };
    let all = (0..tokens.len()).filter(bare);
    all.filter_map(|i| name_at(tokens, i)).collect()
}

/// `; did you mean …?` with the name that is nearest, where one is near.
fn hint<'n>(name: &str, names: impl Iterator<Item = &'n str> + Clone) -> String {
    let near = gillnet_kfl::nearest(name, names);
    near.map_or_else(String::new, |near| format!("; did you mean {near}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Vec<String> {
        let found = review("a.js", text);
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn unknown_helpers_and_hooks_are_named_with_their_place() {
        assert_eq!(
            said("// µ\nvar µ = 1; vendor.s4.put('b', 'p');\njobs.shedule('a')"),
            [
                "a.js:2:12: there is no helper vendor.s4.put; did you mean vendor.s3.put?",
                "a.js:3:1: there is no helper jobs.shedule; did you mean jobs.schedule?",
            ]
        );
        assert_eq!(
            said("if (x) { utils . nodeNam() }"),
            ["a.js:1:10: there is no helper utils.nodeNam; did you mean utils.nodeName?"]
        );
        assert_eq!(
            said("function onItemCapture(data) {}"),
            ["a.js:1:10: there is no hook onItemCapture; did you mean onItemCaptured?"]
        );
        assert_eq!(
            said("vendor.nothing.like.it()"),
            ["a.js:1:1: there is no helper vendor.nothing.like.it"]
        );
        // what is no JavaScript is all that is said
        let found = review("a.js", "var a = ;\nvendor.nothing()");
        assert_eq!(
            (found.len(), found[0].line, found[0].column),
            (1, 1, 9),
            "{found:?}"
        );
    }

    #[test]
    fn what_is_right_or_cannot_be_told_is_left_alone() {
        for text in [
            "console.log(jobs.list().join(), jobs.scheduler.isRunning(), kfl.match('x', {}))",
            "vendor.slack('u', 'p', 't', 'c'); vendor?.s3.put('a', 'b', 'c'); fetch('x')",
            "// vendor.no()\n/* file.no() */ var s = 'hub.no()' + \"\\\"hub.no()\" + `hub.no()`;",
            "var r = x.replace(/[/]file.no()/g, '') / 2; return_(/hub.no()/.test(s))",
            "var file = {}; file.no()",
            "function f(test) { test.no() } [1].map((hub) => hub.no()); data.file.no()",
            "var o = { pcap: 1 }; o.pcap.no(); vendor.hasOwnProperty('s3')",
            "function onSomethingElse() {} function onItemCapturd() {} onItemCapturd()",
            "if (vendor.newer) console.log(env.A.split(','))",
            "function onItemCaptured(data) {} function onJobFailed(tag) {}",
        ] {
            assert_eq!(said(text), [] as [String; 0], "{text}");
        }
        assert_eq!(said("o = { pcap: 1 }; pcap.no()").len(), 1);
    }

    #[test]
    fn odd_text_is_read_to_its_end() {
        for text in ["`", "'", "/", "/*", "a = /[", "µ\u{1b}é/é", "\\", "\"\\"] {
            tokens(text);
        }
    }
}
