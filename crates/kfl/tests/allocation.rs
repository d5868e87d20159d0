//! Evaluation allocates nothing: a binary of its own, as its allocator counts for the whole process.
#![allow(clippy::unwrap_used)] // a failed test
#![allow(unsafe_code)] // a global allocator is an unsafe trait

mod support;

use gillnet_entry::Bump;
use gillnet_kfl::{Filter, FlowEnd, FlowView, Lang, Options, compile};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: passes everything on to the system's allocator; the counter is a plain cell without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|n| n.set(n.get() + 1));
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn filters() -> Vec<Filter> {
    let (env, mut filters) = (support::large(), Vec::new());
    let tables = [
        include_str!("vectors/kfl1_vectors.tsv"),
        include_str!("vectors/kfl2_vectors.tsv"),
    ];
    for text in tables
        .iter()
        .flat_map(|t| t.lines())
        .map(|line| line.split('\t').next().unwrap())
    {
        let options = Options {
            lang: Lang::Auto,
            lenient: true,
            now: 1_773_527_400_000_000_000,
        };
        filters.extend(compile(&env, text, &options));
    }
    filters
}

#[test]
fn evaluation_allocates_nothing() {
    let filters = filters();
    assert!(filters.len() > 190, "{}", filters.len());
    let samples = [support::e0(), support::e1(), support::e2()];
    let mut arena = Bump::with_capacity(1 << 16);
    for filter in &filters {
        for sample in &samples {
            let ends = [&sample.src, &sample.dst];
            let ends = ends.map(|(ip, port, name)| FlowEnd {
                ip: *ip,
                port: *port,
                name: Some(name),
            });
            let view = FlowView::new(ends[0], ends[1]);
            let counted = sample.with(&arena, |entry| {
                // a pattern builds its cache at the first use
                filter.matches(entry);
                let before = ALLOCATIONS.with(Cell::get);
                for _ in 0..3 {
                    filter.matches(entry);
                }
                ALLOCATIONS.with(Cell::get) - before
            });
            assert_eq!(counted, 0, "{}", filter.text());
            filter.flow(&view);
            arena.reset();
        }
    }
}
