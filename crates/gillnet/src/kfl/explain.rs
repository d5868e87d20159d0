//! `gillnet kfl explain`: what a filter came to.

use super::Output;
use crate::cli::{self, Language, Shared};
use crate::config::Config;
use crate::exit::Done;
use crate::output::say;
use clap::Args;
use gillnet_entry::Stage;
use gillnet_kfl::{Explanation, Packets, Part};
use serde_json::{Value, json};

/// `gillnet kfl explain`.
#[derive(Args, Debug)]
#[command(
    after_help = "Each line of the tree is a part of the filter as it is evaluated: the part, its type, the stage in \
    which it is decided, and the protocols that have the field. Stages, the earliest first: kernel (the packet alone), \
    flow (names of both ends), stream head (the protocol), entry. Below it is what the plan makes of the filter: packets \
    that are asked of the kernel, protocols of which entries can match, whether bodies are kept for it, the columns that it \
    reads of an index, and whether they decide it without the packets.\n\n\
    Examples:\n  \
    gillnet kfl explain 'http and dst.namespace == \"shop\"'\n  \
    gillnet kfl explain 'http && status_code >= 500' -o json\n\n\
    Exit codes: 0 ok, 1 the filter is not valid, 2 usage."
)]
pub struct ExplainArgs {
    /// Filter; `-` reads it from standard input
    filter: String,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    #[command(flatten)]
    language: Language,
}

/// Runs the command.
pub fn run(shared: &Shared, args: &ExplainArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    let text = super::text(&args.filter)?;
    let explained = gillnet_kfl::explain(&cli::env(&config), &text, &args.language.options());
    let explanation = match explained {
        Ok(explanation) => explanation,
        Err(errors) => return super::refused(&errors, &text, args.output),
    };
    let plan = plan(&explanation, &config);
    if args.output == Output::Json {
        let plan: serde_json::Map<String, Value> = plan
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect();
        let warnings = explanation.filter.warnings();
        let shown = json!({
            "kfl": text, "lang": explanation.filter.lang().name(), "why": explanation.why,
            "tree": tree_json(&explanation.tree), "plan": plan,
            "warnings": gillnet_api::errors(warnings, &text),
        });
        say(shown)?;
        return Ok(Done::Ok);
    }
    let spelling = explanation.filter.lang().name().to_uppercase();
    say(format_args!("{spelling}: {}\n", explanation.why))?;
    say(tree_text(&explanation.tree))?;
    for (name, value) in plan {
        say(format_args!("{name:<15} {}", shown(name, &value)))?;
    }
    for warning in explanation.filter.warnings() {
        say(format_args!("\nwarning: {}", warning.render(&text)))?;
    }
    Ok(Done::Ok)
}

/// What the plan makes of the filter, by name.
fn plan(explanation: &Explanation, config: &Config) -> Vec<(&'static str, Value)> {
    let filter = &explanation.filter;
    let packets = match filter.packets() {
        Packets::Every => "all".to_owned(),
        Packets::No => "none".to_owned(),
        packets => packets.to_string(),
    };
    let mut plan = vec![
        ("packets", json!(packets)),
        ("protocols", json!(explanation.protocols)),
        ("bodies", json!(filter.needs_bodies())),
        ("redacts", json!(filter.redacts())),
        ("index", json!(explanation.columns)),
        ("indexDecides", json!(explanation.columns_decide)),
    ];
    if let Some(limit) = filter.limit() {
        plan.push(("limit", json!(limit)));
    }
    if !config.tap.global_filter.is_empty() {
        plan.push(("globalFilter", json!(config.tap.global_filter)));
    }
    plan
}

fn shown(name: &str, value: &Value) -> String {
    match value {
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Array(items) if items.is_empty() && name == "protocols" => {
            "none: nothing can match".into()
        }
        Value::Array(items) if items.is_empty() => "no column".into(),
        Value::Array(items) => {
            let names: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            names.join(", ")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn stage(part: &Part) -> &'static str {
    match part.stage {
        None => "constant",
        Some(Stage::Packet) => "kernel",
        Some(Stage::Flow) => "flow",
        Some(Stage::Head) => "stream head",
        Some(Stage::Entry) => "entry",
    }
}

fn tree_json(part: &Part) -> Value {
    let parts: Vec<Value> = part.parts.iter().map(tree_json).collect();
    json!({
        "text": part.text, "type": part.of, "stage": stage(part), "protocols": part.protocols, "parts": parts,
    })
}

/// The tree, its columns aligned.
fn tree_text(tree: &Part) -> String {
    let mut lines = Vec::new();
    draw(tree, "", "", &mut lines);
    let width = |of: fn(&(String, &Part)) -> usize| lines.iter().map(of).max().unwrap_or(0);
    let first = width(|(text, _)| text.chars().count());
    let second = width(|(_, part)| part.of.len());
    let mut out = String::new();
    for (text, part) in &lines {
        let protocols = match part.protocols.as_slice() {
            [] => String::new(),
            some => format!("  ({})", some.join(", ")),
        };
        let line = format!(
            "{text:<first$}  {:<second$}  {}{protocols}",
            part.of,
            stage(part)
        );
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn draw<'p>(part: &'p Part, own: &str, below: &str, lines: &mut Vec<(String, &'p Part)>) {
    lines.push((format!("{own}{}", part.text), part));
    for (i, inner) in part.parts.iter().enumerate() {
        let (branch, bar) = if i + 1 == part.parts.len() {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        draw(
            inner,
            &format!("{below}{branch}"),
            &format!("{below}{bar}"),
            lines,
        );
    }
}
