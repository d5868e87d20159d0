//! Prints what an evaluation costs: the filters of the test tables on their entries, in ns, slowest last.
//!
//! `cargo run --release -p gillnet-kfl --example timing [FILTER …]`

#[path = "../tests/support/mod.rs"]
mod support;

use gillnet_entry::Bump;
use gillnet_kfl::{Filter, Lang, Options, compile};
use std::hint::black_box;
use std::time::Instant;

/// Evaluations a batch, between resets of the scratch space.
const BATCH: u32 = 64;
const BATCHES: usize = 200;

fn cost(filter: &Filter, sample: &support::Sample, arena: &mut Bump) -> f64 {
    let mut costs: Vec<f64> = (0..BATCHES)
        .map(|_| {
            arena.reset();
            sample.with(arena, |entry| {
                let start = Instant::now();
                for _ in 0..BATCH {
                    black_box(black_box(filter).matches(black_box(entry)));
                }
                start.elapsed().as_nanos() as f64 / f64::from(BATCH)
            })
        })
        .collect();
    costs.sort_by(f64::total_cmp);
    costs.get(BATCHES / 2).copied().unwrap_or_default()
}

fn main() {
    let (env, mut arena) = (support::large(), Bump::with_capacity(1 << 20));
    let own: Vec<String> = std::env::args().skip(1).collect();
    let tables = [
        include_str!("../tests/vectors/kfl1_vectors.tsv"),
        include_str!("../tests/vectors/kfl2_vectors.tsv"),
    ];
    let rows = tables
        .iter()
        .flat_map(|t| t.lines())
        .filter_map(|line| line.split('\t').next());
    let texts: Vec<&str> = if own.is_empty() {
        rows.collect()
    } else {
        own.iter().map(|t| &**t).collect()
    };
    let samples = [support::e0(), support::e1(), support::e2()];
    let mut costs = Vec::new();
    for text in texts {
        let options = Options {
            lang: Lang::Auto,
            lenient: true,
            now: 1_773_527_400_000_000_000,
        };
        let Ok(filter) = compile(&env, text, &options) else {
            continue;
        };
        for (i, sample) in samples.iter().enumerate() {
            costs.push((cost(&filter, sample, &mut arena), i, text));
        }
    }
    costs.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (cost, i, text) in &costs {
        println!("{cost:8.1}  E{i}  {text}");
    }
    if let Some((median, ..)) = costs.get(costs.len() / 2) {
        println!("median {median:.1} ns of {} evaluations", costs.len());
    }
}
