//! `gillnet kfl fields`: what filters may speak of.

use crate::cli::{LangArg, Shared, env};
use crate::exit::Done;
use crate::output::Output;
use clap::{Args, ValueEnum};
use gillnet_kfl::{ItemKind, Word, words};
use std::io::Write;

/// `gillnet kfl fields`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  \
    gillnet kfl fields redis\n  \
    gillnet kfl fields --lang kfl1 request.\n  \
    gillnet kfl fields -o json | jq -r '.[].kfl2'")]
pub struct FieldsArgs {
    /// Only those with this in a name, in either spelling, or in the name of a protocol
    pub pattern: Option<String>,
    /// Only those that this spelling has
    #[arg(long, value_enum, value_name = "LANG")]
    pub lang: Option<LangArg>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    pub output: Format,
}

/// Output formats of `kfl fields`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Columns under a head line
    Table,
    /// One JSON array of objects
    Json,
}

/// Runs the command.
pub fn run(shared: &Shared, args: &FieldsArgs) -> anyhow::Result<Done> {
    let words = words(&env(&shared.config()?.0));
    let found: Vec<&Word> = words.iter().filter(|word| args.wants(word)).collect();
    let mut output = Output::stdout();
    match args.output {
        Format::Table => table(&found, args.lang, output.buffer())?,
        Format::Json => {
            let objects: Vec<_> = found.iter().map(|word| object(word)).collect();
            serde_json::to_writer_pretty(&mut *output.buffer(), &objects)?;
            output.buffer().push(b'\n');
        }
    }
    output.finish()?;
    Ok(if found.is_empty() {
        Done::Nothing
    } else {
        Done::Ok
    })
}

impl FieldsArgs {
    fn wants(&self, word: &Word) -> bool {
        let spelled = match self.lang {
            None => true,
            Some(LangArg::Kfl1) => !word.kfl1.is_empty(),
            Some(LangArg::Kfl2) => !word.kfl2.is_empty(),
        };
        let pattern = self.pattern.as_deref().unwrap_or("").to_lowercase();
        let mut names = [&*word.kfl1, &*word.kfl2]
            .into_iter()
            .chain(word.protocols.iter().copied());
        spelled && names.any(|name| name.to_lowercase().contains(&pattern))
    }
}

fn object(word: &Word) -> serde_json::Value {
    serde_json::json!({
        "kind": word.kind.name(),
        "kfl1": word.kfl1,
        "kfl2": word.kfl2,
        "type": word.of,
        "protocols": word.protocols,
        "doc": word.doc,
    })
}

/// Columns as wide as what stands in them; the last one ends its line.
fn table(words: &[&Word], lang: Option<LangArg>, out: &mut Vec<u8>) -> std::io::Result<()> {
    let names = match lang {
        None => &["KFL2", "KFL1"][..],
        Some(LangArg::Kfl1) => &["KFL1"],
        Some(LangArg::Kfl2) => &["KFL2"],
    };
    let heads: Vec<&str> = names
        .iter()
        .copied()
        .chain(["TYPE", "OF", "MEANING"])
        .collect();
    let of = |word: &Word| match (word.kind, &*word.protocols) {
        (ItemKind::Flag, _) => "flag".to_owned(),
        (_, []) => "every entry".to_owned(),
        (_, protocols) => protocols.join(","),
    };
    let rows: Vec<Vec<String>> = words
        .iter()
        .map(|word| {
            let names = names.iter().map(|name| match *name {
                "KFL1" => word.kfl1.clone(),
                _ => word.kfl2.clone(),
            });
            names
                .chain([word.of.clone(), of(word), word.doc.to_owned()])
                .collect()
        })
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let head = heads.get(column).map_or(0, |head| head.len());
        cells.map(String::len).max().unwrap_or(0).max(head)
    };
    let widths: Vec<usize> = (0..heads.len() - 1).map(width).collect();
    let mut line = |cells: &[&str]| {
        for (cell, width) in cells.iter().zip(&widths) {
            write!(out, "{cell:width$}  ")?;
        }
        writeln!(out, "{}", cells.last().copied().unwrap_or(""))
    };
    line(&heads)?;
    for row in &rows {
        let cells: Vec<&str> = row.iter().map(|cell| &**cell).collect();
        line(&cells)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn shown(pattern: &str, lang: Option<LangArg>) -> String {
        let args = FieldsArgs {
            pattern: Some(pattern.into()),
            lang,
            output: Format::Table,
        };
        let words = words(&env(&Config::default()));
        let found: Vec<&Word> = words.iter().filter(|word| args.wants(word)).collect();
        let mut out = Vec::new();
        table(&found, lang, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_pattern_is_part_of_a_name_or_protocol() {
        let names = |text: &str| -> Vec<String> {
            let lines = text.lines().skip(1);
            lines
                .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
                .collect()
        };
        assert_eq!(
            names(&shown("SCTP", Some(LangArg::Kfl2))),
            ["sctp_checksum", "sctp_chunk_type", "sctp_length", "sctp"]
        );
        assert_eq!(
            names(&shown("sctp", Some(LangArg::Kfl1))),
            ["data.checksum", "data.chunkType", "data.length", "sctp"]
        );
        assert_eq!(names(&shown("nothing is called so", None)), [""; 0]);
    }

    #[test]
    fn columns_stand_below_each_other() {
        let text = shown("status_code", None);
        let mut lines = text.lines();
        let head = lines.next().unwrap();
        let at = head.find("MEANING").unwrap();
        let rows: Vec<&str> = lines.collect();
        assert_eq!(rows.len(), 2, "{text}");
        for row in rows {
            assert!(row.starts_with("status_code  response."), "{row}");
            assert_eq!(&row[at - 1..at], " ", "{row}");
            assert_ne!(&row[at..=at], " ", "{row}");
        }
    }

    #[test]
    fn json_has_all_of_a_word() {
        let words = words(&env(&Config::default()));
        let word = words.iter().find(|w| w.kfl2 == "redis_type").unwrap();
        assert_eq!(
            object(word),
            serde_json::json!({
                "kind": "field", "kfl1": "request.command", "kfl2": "redis_type", "type": "string",
                "protocols": ["redis"], "doc": "Verb of the command: `GET`, `HGET`.",
            })
        );
    }
}
