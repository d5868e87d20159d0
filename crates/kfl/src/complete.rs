//! What an editor needs of a text in one answer: its tokens by class, its errors, and what may stand at the cursor.

use crate::ast::{MAX_LENGTH, Span};
use crate::check::Env;
use crate::error::{Error, Errors};
use crate::lang::{Lang, Options, Reading, read};
use crate::lexer::{Dialect, Token, TokenKind, lex};
use crate::predicate::{EntryFacts, Node, Val, eval};
use crate::types::Type;
use crate::{kfl1, kfl2};
use gillnet_entry::Entry;
use std::sync::Arc;

/// What a token is, for highlighting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// `and`, `or`, `in`.
    Keyword,
    /// `true`, `false`, `nil`, `null`.
    Constant,
    /// A field or variable.
    Field,
    /// A flag or custom macro.
    Flag,
    /// A function or helper.
    Function,
    /// A name that is nothing known.
    Name,
    /// Text in quotes.
    Text,
    /// A pattern.
    Pattern,
    /// A number.
    Number,
    /// An operator.
    Operator,
    /// Parentheses, brackets, commas.
    Punctuation,
    /// A comment.
    Comment,
    /// No token at all.
    Bad,
}

impl Class {
    /// As it stands in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Class::Keyword => "keyword",
            Class::Constant => "constant",
            Class::Field => "field",
            Class::Flag => "flag",
            Class::Function => "function",
            Class::Name => "name",
            Class::Text => "text",
            Class::Pattern => "pattern",
            Class::Number => "number",
            Class::Operator => "operator",
            Class::Punctuation => "punctuation",
            Class::Comment => "comment",
            Class::Bad => "bad",
        }
    }
}

/// A token and its class. A dotted name is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its place.
    pub span: Span,
    /// Its class.
    pub class: Class,
}

/// What an [`Item`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ItemKind {
    /// A field or variable.
    Field,
    /// A flag.
    Flag,
    /// A function or helper.
    Function,
    /// A custom macro.
    Macro,
    /// A word or sign of the language.
    Keyword,
}

impl ItemKind {
    /// As it stands in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            ItemKind::Field => "field",
            ItemKind::Flag => "flag",
            ItemKind::Function => "function",
            ItemKind::Macro => "macro",
            ItemKind::Keyword => "keyword",
        }
    }
}

/// Something that may stand at the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What is shown and inserted.
    pub label: String,
    /// What it is.
    pub kind: ItemKind,
    /// Its type, empty where it has none.
    pub of: String,
    /// What it means.
    pub doc: String,
    /// The protocol it belongs to; empty where it belongs to all.
    pub protocol: &'static str,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validation {
    /// The spelling it is taken for.
    pub lang: Lang,
    /// Its mistakes, in the order of the text; none: it is valid.
    pub errors: Vec<Error>,
    /// What is valid but probably not meant.
    pub warnings: Vec<Error>,
}

/// All that an editor asks for.
#[derive(Clone, Debug)]
pub struct Completion {
    /// Spelling, mistakes and warnings.
    pub validation: Validation,
    /// The tokens, in the order of the text.
    pub marks: Vec<Mark>,
    /// The part of the text that an item takes the place of.
    pub replace: Span,
    /// What may stand there, the most likely first.
    pub items: Vec<Item>,
    /// The field whose values may stand there, where the cursor is at one's comparison.
    pub values: Option<Values>,
}

/// The values of a field, where one may stand.
#[derive(Clone, Debug)]
pub struct Values {
    /// The field, as it is written.
    pub field: String,
    /// The part of the text that a value takes the place of.
    pub replace: Span,
    /// What is there of the value already, without quotes.
    pub typed: String,
    node: Arc<Node>,
    dialect: Dialect,
}

/// Bytes of a value that is offered at most.
const MAX_VALUE: usize = 200;

impl Values {
    /// Reads the field's value in an entry: `see` gets each text or number it is or lists, as a literal of the filter.
    pub fn read(&self, entry: &Entry<'_>, see: &mut dyn FnMut(&str)) {
        if let Ok(value) = eval(&self.node, &EntryFacts::new(entry), None) {
            self.tell(value, see);
        }
    }

    fn tell(&self, value: Val<'_>, see: &mut dyn FnMut(&str)) {
        match value {
            Val::Str(text) if text.len() <= MAX_VALUE => {
                if let Some(literal) = self.quoted(text) {
                    see(&literal);
                }
            }
            Val::Int(v) => see(&v.to_string()),
            Val::Bool(v) => see(if v { "true" } else { "false" }),
            _ => {
                for i in 0..value.list_len().unwrap_or(0) {
                    // a list in a list is compared with no scalar
                    if let Some(item) = value.item(i).filter(|item| item.list_len().is_none()) {
                        self.tell(item, see);
                    }
                }
            }
        }
    }

    /// A text in quotes; nothing where the spelling cannot write it.
    fn quoted(&self, text: &str) -> Option<String> {
        if self.dialect == Dialect::Kfl2 {
            let mut literal = String::from("\"");
            for c in text.chars() {
                match c {
                    '"' | '\\' => literal.extend(['\\', c]),
                    c if c.is_control() => literal.push_str(&format!("\\u{:04x}", u32::from(c))),
                    c => literal.push(c),
                }
            }
            return Some(literal + "\"");
        }
        // KFL1 has no escapes
        let quotes = ['"', '\''];
        let quote = quotes.into_iter().find(|q| !text.contains(*q))?;
        let plain = !text.contains('\\') && !text.contains(char::is_control);
        plain.then(|| format!("{quote}{text}{quote}"))
    }

    /// Whether a literal goes on from what is typed, whatever the case.
    pub fn fits(&self, literal: &str) -> bool {
        let value = literal.trim_matches(['"', '\'']).to_lowercase();
        value.contains(&self.typed.to_lowercase())
    }
}

/// Items that are given at most.
const MAX_ITEMS: usize = 100;

/// Checks a text.
pub fn validate(env: &Env, text: &str, options: &Options) -> Validation {
    let Reading { lang, lowered, .. } = read(env, text, options);
    Validation {
        lang,
        errors: Errors::of(lang, lowered.faults, text).errors,
        warnings: lowered
            .warnings
            .into_iter()
            .map(|w| w.place(text))
            .collect(),
    }
}

/// Checks a text, classifies its tokens and completes it at the cursor, a byte offset.
pub fn complete(env: &Env, text: &str, cursor: usize, lang: Lang) -> Completion {
    let validation = validate(
        env,
        text,
        &Options {
            lang,
            ..Options::default()
        },
    );
    let mut end = cursor.min(text.len()).min(MAX_LENGTH);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let dialect = if validation.lang == Lang::Kfl1 {
        Dialect::Kfl1
    } else {
        Dialect::Kfl2
    };
    let editor = Editor { env, text, dialect };
    let tokens = if text.len() > MAX_LENGTH {
        Vec::new()
    } else {
        lex(text, dialect)
    };
    let marks = editor.marks(&tokens);
    let (replace, items) = editor.items(&tokens, end);
    let values = editor.values(&tokens, end);
    Completion {
        validation,
        marks,
        replace,
        items,
        values,
    }
}

struct Editor<'e> {
    env: &'e Env,
    text: &'e str,
    dialect: Dialect,
}

#[allow(clippy::cast_possible_truncation)] // offsets within MAX_LENGTH
fn span(start: usize, end: usize) -> Span {
    Span {
        start: start as u32,
        end: end as u32,
    }
}

impl Editor<'_> {
    fn marks(&self, tokens: &[Token<'_>]) -> Vec<Mark> {
        let mut marks = Vec::new();
        let mut i = 0;
        while let Some(token) = tokens.get(i) {
            let mut length = 1;
            let class = match token.kind {
                TokenKind::End => break,
                TokenKind::Ident => {
                    length = name_length(tokens.get(i..).unwrap_or(&[]));
                    let named = tokens.get(i..i + length).unwrap_or(&[]);
                    self.mark_name(named, tokens.get(i + length), &mut marks);
                    i += length;
                    continue;
                }
                TokenKind::Quoted => Class::Field,
                TokenKind::Int | TokenKind::UInt | TokenKind::Float => Class::Number,
                TokenKind::Str if token.text.starts_with('r') => Class::Pattern,
                TokenKind::Str => Class::Text,
                TokenKind::Punct(b'(' | b')' | b'[' | b']' | b'{' | b'}' | b',' | b'.') => {
                    Class::Punctuation
                }
                TokenKind::Punct(_) => Class::Operator,
                TokenKind::Comment => Class::Comment,
                TokenKind::Bad(_) => Class::Bad,
            };
            marks.push(Mark {
                span: token.span,
                class,
            });
            i += length;
        }
        marks
    }

    /// Marks a dotted name, its last word apart where it is called.
    fn mark_name(&self, named: &[Token<'_>], next: Option<&Token<'_>>, marks: &mut Vec<Mark>) {
        let (Some(first), Some(last)) = (named.first(), named.last()) else {
            return;
        };
        if next.is_some_and(|t| t.kind == TokenKind::Punct(b'(')) {
            let before = named.get(..named.len().saturating_sub(2)).unwrap_or(&[]);
            self.mark_name(before, None, marks);
            marks.push(Mark {
                span: last.span,
                class: Class::Function,
            });
            return;
        }
        let whole = first.span.to(last.span);
        let text = self.text.get(std::ops::Range::from(whole)).unwrap_or("");
        marks.push(Mark {
            span: whole,
            class: self.class_of(text),
        });
    }

    fn class_of(&self, name: &str) -> Class {
        let words: Vec<&str> = name.split('.').map(str::trim).collect();
        let name = words.join(".");
        match (self.dialect, &*name) {
            (Dialect::Kfl1, "and" | "or") | (Dialect::Kfl2, "in") => Class::Keyword,
            (_, "true" | "false") | (Dialect::Kfl1, "nil") | (Dialect::Kfl2, "null") => {
                Class::Constant
            }
            (_, "tls") => Class::Flag,
            _ if self.env.expansion(&name).is_some() || self.env.flag(&name).is_some() => {
                Class::Flag
            }
            (Dialect::Kfl1, _) => match self.env.path(&words, &[], true) {
                crate::check::Found::Load(_) => Class::Field,
                _ => Class::Name,
            },
            (Dialect::Kfl2, _) => {
                let known = |n: usize| {
                    let name = words.get(..n).unwrap_or(&[]).join(".");
                    self.env
                        .variable(&name)
                        .or_else(|| self.env.alias(&name))
                        .is_some()
                };
                if (1..=words.len()).any(known) {
                    Class::Field
                } else {
                    Class::Name
                }
            }
        }
    }

    /// What may stand at the cursor, and what it takes the place of.
    fn items(&self, tokens: &[Token<'_>], cursor: usize) -> (Span, Vec<Item>) {
        let nothing = (span(cursor, cursor), Vec::new());
        let inside =
            |t: &&Token<'_>| (t.span.start as usize) < cursor && cursor <= t.span.end as usize;
        match tokens
            .iter()
            .find(inside)
            .map(|t| (t.kind, t.span.end as usize))
        {
            Some((TokenKind::Comment, _)) => return nothing,
            Some((TokenKind::Str, end)) if cursor < end => return nothing,
            Some((TokenKind::Bad(_) | TokenKind::Int | TokenKind::UInt | TokenKind::Float, _)) => {
                return nothing;
            }
            _ => {}
        }
        let before = self.text.get(..cursor).unwrap_or("");
        let start = before
            .trim_end_matches(|c: char| c == '_' || c == '.' || c.is_alphanumeric())
            .len();
        let word = before.get(start..).unwrap_or("");
        if word.is_empty() && self.after_operand(tokens, cursor) {
            return (span(cursor, cursor), self.operators());
        }
        let mut items = self.names(word);
        let mut replace = start;
        // behind a complete field, or behind a bracket, come the functions of values
        let holder = word.rsplit_once('.');
        if items.is_empty()
            && let Some((holder, begun)) = holder
            && (holder.is_empty() || matches!(self.class_of(holder), Class::Field))
        {
            replace = cursor - begun.len();
            items = self.functions(begun, true);
        }
        (span(replace, cursor), items)
    }

    /// Whether an operand ends before the cursor, so that an operator is due.
    fn after_operand(&self, tokens: &[Token<'_>], cursor: usize) -> bool {
        let last = tokens
            .iter()
            .rev()
            .find(|t| t.kind != TokenKind::End && t.span.end as usize <= cursor);
        last.is_some_and(|t| match t.kind {
            TokenKind::Punct(sign) => matches!(sign, b')' | b']' | b'}' | b'*'),
            TokenKind::Ident => self.class_of(t.text) != Class::Keyword,
            TokenKind::Comment | TokenKind::Bad(_) => false,
            _ => true,
        })
    }

    fn operators(&self) -> Vec<Item> {
        let signs: &[(&str, &str)] = match self.dialect {
            Dialect::Kfl1 => &[("and", "both"), ("or", "either")],
            Dialect::Kfl2 => &[
                ("&&", "both"),
                ("||", "either"),
                ("in", "is an element or key of"),
            ],
        };
        let compare: &[(&str, &str)] = &[
            ("==", "equal"),
            ("!=", "not equal"),
            (">=", "at least"),
            ("<=", "at most"),
            (">", "above"),
            ("<", "below"),
        ];
        signs
            .iter()
            .chain(compare)
            .map(|(label, doc)| item(label, ItemKind::Keyword, "", doc, ""))
            .collect()
    }

    /// Names that begin with a word, then those that have a part that does.
    fn names(&self, word: &str) -> Vec<Item> {
        let mut items = Vec::new();
        for (name, text) in self.env.macros() {
            items.push(item(name, ItemKind::Macro, "bool", text, ""));
        }
        for flag in self.env.flags() {
            items.push(item(
                flag,
                ItemKind::Flag,
                "bool",
                self.env.flag_doc(flag),
                "",
            ));
        }
        items.push(item(
            "tls",
            ItemKind::Flag,
            "bool",
            "Whether the bytes were taken outside encryption.",
            "",
        ));
        self.fields(&mut items);
        items.extend(self.functions("", false));
        rank(items, word)
    }

    fn fields(&self, items: &mut Vec<Item>) {
        for (protocol, field) in self.env.fields() {
            let label = if self.dialect == Dialect::Kfl1 {
                field.json
            } else {
                field.kfl2
            };
            if !label.is_empty() && label != "tls" {
                items.push(item(
                    label,
                    ItemKind::Field,
                    &Type::of(field.kind).name(),
                    field.doc.trim(),
                    protocol,
                ));
            }
        }
        if self.dialect == Dialect::Kfl1 {
            for path in self.env.paths() {
                if !items.iter().any(|i| i.label == path) {
                    items.push(item(&path, ItemKind::Field, "", "", ""));
                }
            }
        }
    }

    fn functions(&self, begun: &str, method: bool) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::new();
        let mut add = |name: &str, of: &str, doc: &str| {
            let label = format!("{name}(");
            if !items.iter().any(|i| i.label == label) {
                items.push(item(&label, ItemKind::Function, of, doc, ""));
            }
        };
        match self.dialect {
            Dialect::Kfl1 => {
                for helper in kfl1::HELPERS.iter().filter(|h| h.method == method) {
                    add(helper.name, "", helper.doc);
                }
            }
            Dialect::Kfl2 => {
                for function in kfl2::FUNCTIONS.iter().filter(|f| f.method == method) {
                    add(function.name, &function.result.of().name(), function.doc);
                }
                for (name, _, doc) in kfl2::MACROS.iter().filter(|(_, m, _)| *m == method) {
                    add(name, "", doc);
                }
            }
        }
        rank(items, begun)
    }

    /// The field that is compared where the cursor is: in the value behind `==`, `!=` or `in [`, or right behind these.
    fn values(&self, tokens: &[Token<'_>], cursor: usize) -> Option<Values> {
        let begun = tokens
            .iter()
            .filter(|t| t.kind != TokenKind::End && (t.span.start as usize) < cursor);
        let mut before: Vec<&Token<'_>> = begun.collect();
        let (mut replace, mut typed) = (span(cursor, cursor), String::new());
        if let Some(last) = before.last()
            && cursor <= last.span.end as usize
            && let TokenKind::Str | TokenKind::Bad(_) | TokenKind::Int = last.kind
        {
            replace = last.span;
            if !matches!(last.kind, TokenKind::Str) {
                replace = span(replace.start as usize, cursor);
            }
            let text = self.text.get(replace.start as usize..cursor)?;
            typed = text.trim_matches(['"', '\'']).into();
            before.pop();
        }
        let compared = Editor::compared(&mut before)?;
        let field = self.text.get(std::ops::Range::from(compared))?;
        Some(Values {
            node: Arc::new(self.value_of(field)?),
            field: field.into(),
            replace,
            typed,
            dialect: self.dialect,
        })
    }

    /// Steps back over `==`, `!=`, or `in [` and what is listed already, and over the operand before it.
    fn compared(before: &mut Vec<&Token<'_>>) -> Option<Span> {
        let sign = |t: Option<&&Token<'_>>, signs: &[u8]| matches!(t.map(|t| t.kind), Some(TokenKind::Punct(sign)) if signs.contains(&sign));
        if sign(before.last(), b"[,") {
            while !sign(before.last(), b"[") {
                let listed = before.pop()?.kind;
                if !matches!(
                    listed,
                    TokenKind::Str | TokenKind::Int | TokenKind::Punct(b',')
                ) {
                    return None;
                }
            }
            before.pop();
            before.pop().filter(|t| t.text == "in")?;
        } else {
            let mut signs = 0;
            while sign(before.last(), b"=!") {
                before.pop();
                signs += 1;
            }
            if signs < 2 {
                return None;
            }
        }
        let end = before.last()?.span;
        loop {
            let token = before.pop()?;
            match token.kind {
                TokenKind::Punct(b']') => {
                    before.pop()?;
                    before.pop().filter(|t| t.kind == TokenKind::Punct(b'['))?;
                }
                TokenKind::Ident | TokenKind::Quoted if sign(before.last(), b".") => {
                    before.pop();
                }
                TokenKind::Ident => return Some(token.span.to(end)),
                _ => return None,
            }
        }
    }

    /// A field as it is read from entries.
    fn value_of(&self, field: &str) -> Option<Node> {
        if self.dialect == Dialect::Kfl1 {
            let tree = kfl1::parse(field).ok()??;
            kfl1::operand(self.env, &tree, field)
        } else {
            let tree = kfl2::parse(field).ok()??;
            kfl2::operand(self.env, &tree)
        }
    }
}

fn item(label: &str, kind: ItemKind, of: &str, doc: &str, protocol: &'static str) -> Item {
    Item {
        label: label.into(),
        kind,
        of: of.into(),
        doc: doc.into(),
        protocol,
    }
}

/// Number of tokens of the dotted name that begins here.
fn name_length(tokens: &[Token<'_>]) -> usize {
    let mut length = 1;
    while let Some([dot, word]) = tokens.get(length..length + 2)
        && dot.kind == TokenKind::Punct(b'.')
        && word.kind == TokenKind::Ident
    {
        length += 2;
    }
    length
}

/// Those that begin with a word, then those one part of which does; shorter ones first.
fn rank(items: Vec<Item>, word: &str) -> Vec<Item> {
    let word = word.to_ascii_lowercase();
    let place = |item: &Item| {
        let label = item.label.to_ascii_lowercase();
        if label.starts_with(&word) {
            Some(0)
        } else {
            label
                .split(['.', '_'])
                .any(|part| part.starts_with(&word))
                .then_some(1)
        }
    };
    let mut ranked: Vec<(u8, Item)> = items
        .into_iter()
        .filter_map(|i| place(&i).map(|p| (p, i)))
        .collect();
    ranked
        .sort_by(|(p, a), (q, b)| (p, a.label.len(), &a.label).cmp(&(q, b.label.len(), &b.label)));
    ranked.dedup_by(|a, b| a.1.label == b.1.label);
    ranked.truncate(MAX_ITEMS);
    ranked.into_iter().map(|(_, item)| item).collect()
}
