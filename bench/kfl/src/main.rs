//! Times filters on entries: `cargo run --release -p gillnet-bench-kfl [TEXT]`; only those that contain the text.
//!
//! Every filter of both tables that `crates/kfl` is tested with is evaluated on three entries as the dissectors make
//! them, and those of KFL2 by crate `cel` too, in turns. An evaluation of ours begins with the bytes in the ring. cel's is
//! timed from there too (a context with the variables that the filter names, then the answer), and, in a column of its
//! own, with the context made before. Prints ns an evaluation (medians) and ratios.

mod entries;
mod filters;
mod peer;

use cel::Env;
use gillnet_entry::{Bump, Ctx, Entry};
use gillnet_kfl::{Filter, Lang, Outcome};
use gillnet_pipeline::Matched;
use peer::Peer;
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Evaluations between two resets of the scratch space, which the shard resets after each entry.
const BATCH: u32 = 16;
/// How long one sample takes, and how many there are.
const SAMPLE: Duration = Duration::from_micros(500);
const SAMPLES: usize = 9;

/// Many rules on an entry: what they are, and ns for all of them.
struct Many {
    what: &'static str,
    entry: &'static str,
    matched: u32,
    ns: f64,
}

/// A filter on an entry.
struct Row {
    filter: usize,
    entry: &'static str,
    answer: Option<bool>,
    ours: f64,
    cel: Option<Cel>,
}

/// What crate `cel` says, and in how many ns: from the entry, and where its variables are ready.
struct Cel {
    answer: Option<bool>,
    whole: f64,
    ready: f64,
}

fn main() {
    let now = entries::at(filters::NOW);
    let (filters, refused) = filters::compiled(now);
    let plans = filters::plans(&filters, now);
    let part = std::env::args().nth(1).unwrap_or_default();
    let filters: Vec<Filter> = filters
        .into_iter()
        .filter(|f| f.text().contains(&part))
        .collect();
    let results = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    {
        let (filters, results) = (filters.clone(), Arc::clone(&results));
        let env = Arc::new(Env::stdlib());
        entries::show(Box::new(move |title, entry| {
            let mut arena = Bump::with_capacity(64 << 10);
            for (i, filter) in filters.iter().enumerate() {
                let peer = (filter.lang() == Lang::Kfl2)
                    .then(|| Peer::new(filter.text(), &env, now))
                    .flatten()
                    .map(|peer| (peer.context(entry), peer));
                let (mut ours, mut whole, mut ready) = Default::default();
                for _ in 0..SAMPLES {
                    Clock::sample(&mut ours, || {
                        on(entry, &mut arena, |entry| {
                            black_box(filter.matches(black_box(entry)));
                        });
                    });
                    let Some((context, peer)) = &peer else {
                        continue;
                    };
                    Clock::sample(&mut whole, || {
                        for _ in 0..BATCH {
                            black_box(peer.answer(&peer.context(black_box(entry))));
                        }
                    });
                    Clock::sample(&mut ready, || {
                        for _ in 0..BATCH {
                            black_box(peer.answer(black_box(context)));
                        }
                    });
                }
                let answer = match filter.eval(entry) {
                    Outcome::True => Some(true),
                    Outcome::False => Some(false),
                    Outcome::Error(_) => None,
                };
                let row = Row {
                    filter: i,
                    entry: title,
                    answer,
                    ours: ours.median(),
                    cel: peer.map(|(context, peer)| Cel {
                        answer: peer.answer(&context),
                        whole: whole.median(),
                        ready: ready.median(),
                    }),
                };
                results.lock().expect("nobody panicked").0.push(row);
            }
            for (what, plan) in &plans {
                let mut clock = Clock::default();
                for _ in 0..SAMPLES {
                    clock.sample(|| {
                        on(entry, &mut arena, |entry| {
                            black_box(plan.entry(Matched::MAX, black_box(entry)));
                        });
                    });
                }
                let many = Many {
                    what,
                    entry: title,
                    matched: plan.entry(Matched::MAX, entry).count_ones(),
                    ns: clock.median(),
                };
                results.lock().expect("nobody panicked").1.push(many);
            }
        }));
    }
    let (rows, many) = std::mem::take(&mut *results.lock().expect("nobody panicked"));
    if !rows.is_empty() {
        report(&filters, refused, &rows);
    }
    for many in many {
        println!(
            "{} {}, {}: {:.0} ns an entry (bar 2000), {} match",
            filters::RULES,
            many.what,
            many.entry,
            many.ns,
            many.matched
        );
    }
}

/// Does it a batch of times on the entry, with scratch space that is empty at first.
fn on(entry: &Entry<'_>, arena: &mut Bump, mut evaluate: impl FnMut(&Entry<'_>)) {
    {
        let ctx = Ctx {
            store: entry.ctx.store,
            arena,
        };
        let entry = Entry { ctx, ..*entry };
        for _ in 0..BATCH {
            evaluate(&entry);
        }
    }
    arena.reset();
}

/// Samples of the time that one evaluation of a batch takes.
#[derive(Default)]
struct Clock {
    batches: u32,
    samples: Vec<f64>,
}

impl Clock {
    fn sample(&mut self, mut batch: impl FnMut()) {
        if self.batches == 0 {
            let start = Instant::now();
            while start.elapsed() < SAMPLE {
                batch();
                self.batches += 1;
            }
        }
        let start = Instant::now();
        for _ in 0..self.batches {
            batch();
        }
        let ns = start.elapsed().as_secs_f64() * 1e9;
        self.samples.push(ns / f64::from(self.batches * BATCH));
    }

    fn median(mut self) -> f64 {
        median(&mut self.samples)
    }
}

fn median(of: &mut [f64]) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len() / 2).copied().unwrap_or(f64::NAN)
}

fn report(filters: &[Filter], refused: usize, rows: &[Row]) {
    println!(
        "{:<7}{:<20}{:>9}{:>10}{:>8}{:>10}{:>8}  filter",
        "answer", "entry", "ns", "cel", "ratio", "ready", "ratio"
    );
    let mut sorted: Vec<&Row> = rows.iter().collect();
    sorted.sort_by(|a, b| b.ours.total_cmp(&a.ours));
    for row in sorted {
        let answer = row.answer.map_or("error".into(), |a| a.to_string());
        let cel = row.cel.as_ref().map_or_else(String::new, |cel| {
            let (whole, ready) = (cel.whole / row.ours, cel.ready / row.ours);
            format!(
                "{:.0}{whole:>8.1}{:>10.0}{ready:>8.1}",
                cel.whole, cel.ready
            )
        });
        let differs = row.cel.as_ref().is_some_and(|cel| cel.answer != row.answer);
        let note = if differs {
            "  (cel answers otherwise)"
        } else {
            ""
        };
        let text = filters[row.filter].text();
        println!(
            "{answer:<7}{:<20}{:>9.1}{cel:>36}  {text}{note}",
            row.entry, row.ours
        );
    }
    let documents = rows
        .iter()
        .filter(|r| filters::reads_document(&filters[r.filter]));
    let plain = rows
        .iter()
        .filter(|r| !filters::reads_document(&filters[r.filter]));
    let worst = |rows: &mut dyn Iterator<Item = &Row>| rows.map(|r| r.ours).fold(0.0, f64::max);
    println!(
        "\n{} filters (and {refused} that the tables have as mistakes) on {} entries: median {:.1} ns (bar 60), worst {:.0} ns (bar 1000), of json and xml {:.0} ns",
        filters.len(),
        rows.len() / filters.len().max(1),
        median(&mut rows.iter().map(|r| r.ours).collect::<Vec<_>>()),
        worst(&mut plain.into_iter()),
        worst(&mut documents.into_iter()),
    );
    let both: Vec<(f64, &Cel)> = rows
        .iter()
        .filter_map(|r| Some((r.ours, r.cel.as_ref()?)))
        .collect();
    let ratios = |of: fn(&Cel) -> f64| {
        let mut ratios: Vec<f64> = both.iter().map(|(ours, cel)| of(cel) / ours).collect();
        let middle = median(&mut ratios);
        format!(
            "{middle:.1} x (least {:.1} x)",
            ratios.first().copied().unwrap_or(f64::NAN)
        )
    };
    println!(
        "cel on {} of these, medians of ratios: {} from the entry (bar 20), {} where its variables are ready",
        both.len(),
        ratios(|cel| cel.whole),
        ratios(|cel| cel.ready),
    );
}
