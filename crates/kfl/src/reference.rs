//! What the language knows, for people: its fields and flags, and its functions, read off the tables.

use crate::check::Env;
use crate::complete::ItemKind;
use crate::lang::Lang;
use crate::types::Type;
use crate::{kfl1, kfl2};
use std::fmt::Write;

/// A field or flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// A field or a flag.
    pub kind: ItemKind,
    /// Its name in KFL1; empty where it has none.
    pub kfl1: String,
    /// Its name in KFL2; empty where it has none.
    pub kfl2: String,
    /// Its type, as KFL2 calls it.
    pub of: String,
    /// The protocols that have it; none: all entries do.
    pub protocols: Vec<&'static str>,
    /// What it means.
    pub doc: &'static str,
}

/// A function, macro or helper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// The spelling it belongs to.
    pub lang: Lang,
    /// Its name.
    pub name: &'static str,
    /// How it is called, one for each choice of types.
    pub forms: Vec<String>,
    /// What it does.
    pub doc: &'static str,
}

/// All fields, those of each protocol together, and then all flags. Protocols that share a table have it once.
pub fn words(env: &Env) -> Vec<Word> {
    let tables = env.tables();
    let fields = tables.iter().flat_map(|(protocols, fields)| {
        let named = fields
            .iter()
            .filter(|f| !f.json.is_empty() || !f.kfl2.is_empty());
        named.map(|field| Word {
            kind: ItemKind::Field,
            kfl1: if field.json.is_empty() {
                env.kfl1_name(field.kfl2).unwrap_or_default()
            } else {
                field.json.to_owned()
            },
            kfl2: field.kfl2.to_owned(),
            of: Type::of(field.kind).name(),
            protocols: protocols.clone(),
            doc: field.doc.trim(),
        })
    });
    let flags = env.flags().into_iter().map(|flag| Word {
        kind: ItemKind::Flag,
        kfl1: flag.to_owned(),
        kfl2: flag.to_owned(),
        of: Type::Bool.name(),
        protocols: env.flagged(flag),
        doc: env.flag_doc(flag),
    });
    fields.chain(flags).collect()
}

/// All functions: those of KFL2, then the helpers of KFL1.
pub fn functions() -> Vec<Function> {
    let mut functions: Vec<Function> = Vec::new();
    let mut add = |lang, name, form, doc| match functions.last_mut() {
        Some(last) if last.lang == lang && last.name == name => last.forms.push(form),
        _ => functions.push(Function {
            lang,
            name,
            forms: vec![form],
            doc,
        }),
    };
    for f in kfl2::FUNCTIONS {
        let form = format!("{}: {}", f.signature(), f.result.of().name());
        add(Lang::Kfl2, f.name, form, f.doc);
    }
    for (name, _, doc) in kfl2::MACROS {
        // what stands before the colon is how it is called
        let (form, doc) = doc.split_once(": ").unwrap_or(("", doc));
        let form = if form.is_empty() {
            format!("{name}()")
        } else {
            form.to_owned()
        };
        add(Lang::Kfl2, name, form, doc);
    }
    for helper in kfl1::HELPERS {
        let target = if helper.method { "field." } else { "" };
        add(
            Lang::Kfl1,
            helper.name,
            format!("{target}{}()", helper.name),
            helper.doc,
        );
    }
    functions
}

/// The parts of the reference page that are read off the tables, as Markdown, by name: `fields`, `flags`,
/// `functions-kfl2`, `functions-kfl1`.
pub fn reference(env: &Env) -> [(&'static str, String); 4] {
    let words = words(env);
    let (flags, fields): (Vec<_>, Vec<_>) = words.iter().partition(|w| w.kind == ItemKind::Flag);
    [
        ("fields", field_tables(&fields)),
        ("flags", flag_table(&flags)),
        ("functions-kfl2", function_table(Lang::Kfl2)),
        ("functions-kfl1", function_table(Lang::Kfl1)),
    ]
}

fn field_tables(fields: &[&Word]) -> String {
    let mut text = String::new();
    for group in fields.chunk_by(|a, b| a.protocols == b.protocols) {
        let protocols = group
            .first()
            .map_or_else(String::new, |w| w.protocols.join(", "));
        let title = if protocols.is_empty() {
            "every entry"
        } else {
            &protocols
        };
        line(&mut text, format_args!("### Fields of {title}\n"));
        table(&mut text, &["KFL2", "KFL1", "type", "meaning"]);
        for word in group {
            row(
                &mut text,
                &[
                    code(&word.kfl2),
                    code(&word.kfl1),
                    word.of.clone(),
                    cell(word.doc),
                ],
            );
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

fn flag_table(flags: &[&Word]) -> String {
    let mut text = String::new();
    table(&mut text, &["flag", "holds for", "found among entries of"]);
    for flag in flags {
        row(
            &mut text,
            &[code(&flag.kfl2), cell(flag.doc), flag.protocols.join(", ")],
        );
    }
    text.truncate(text.trim_end().len());
    text
}

fn function_table(lang: Lang) -> String {
    let mut text = String::new();
    table(&mut text, &["function", "meaning"]);
    for function in functions().iter().filter(|f| f.lang == lang) {
        let forms: Vec<String> = function.forms.iter().map(|f| code(f)).collect();
        row(&mut text, &[forms.join("<br>"), cell(function.doc)]);
    }
    text.truncate(text.trim_end().len());
    text
}

fn line(text: &mut String, what: std::fmt::Arguments<'_>) {
    // writing to a string cannot fail
    let _ = writeln!(text, "{what}");
}

fn table(text: &mut String, heads: &[&str]) {
    line(text, format_args!("| {} |", heads.join(" | ")));
    line(text, format_args!("|{}", " --- |".repeat(heads.len())));
}

fn row(text: &mut String, cells: &[String]) {
    line(text, format_args!("| {} |", cells.join(" | ")));
}

fn code(name: &str) -> String {
    if name.is_empty() {
        String::new()
    } else {
        format!("`{name}`")
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
