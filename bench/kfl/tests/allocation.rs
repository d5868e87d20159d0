//! Evaluation allocates nothing on entries as the dissectors make them, a filter alone or a hundred at once, which say
//! the same: a binary of its own, as its allocator counts for the whole process.
#![allow(unsafe_code)] // a global allocator is an unsafe trait

#[path = "../src/entries.rs"]
mod entries;
#[path = "../src/filters.rs"]
mod filters;

use gillnet_entry::{Bump, Ctx, Entry};
use gillnet_pipeline::Matched;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::{Arc, Mutex};

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

/// Allocations of the second evaluation: a pattern builds its cache, and scratch space grows, at the first.
fn counted(entry: &Entry<'_>, arena: &mut Bump, mut evaluate: impl FnMut(&Entry<'_>)) -> usize {
    let mut count = 0;
    for _ in 0..2 {
        let ctx = Ctx {
            store: entry.ctx.store,
            arena,
        };
        let before = ALLOCATIONS.with(Cell::get);
        evaluate(&Entry { ctx, ..*entry });
        count = ALLOCATIONS.with(Cell::get) - before;
        arena.reset();
    }
    count
}

#[test]
fn evaluation_allocates_nothing() {
    let now = entries::at(filters::NOW);
    let (filters, _) = filters::compiled(now);
    let plans = filters::plans(&filters, now);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let entries = Arc::clone(&seen);
    entries::show(Box::new(move |title, entry| {
        let mut arena = Bump::with_capacity(1 << 16);
        let mut wrong = Vec::new();
        for filter in &filters {
            let count = counted(entry, &mut arena, |entry| {
                filter.matches(entry);
            });
            if count > 0 {
                wrong.push(format!(
                    "{title}: {} allocates {count} times",
                    filter.text()
                ));
            }
        }
        for (what, plan) in &plans {
            let count = counted(entry, &mut arena, |entry| {
                plan.entry(Matched::MAX, entry);
            });
            if count > 0 {
                wrong.push(format!("{title}: a hundred {what} allocate {count} times"));
            }
            let matched = plan.entry(Matched::MAX, entry);
            for want in plan.wants() {
                if want.filter.matches(entry) != (matched >> want.bit & 1 == 1) {
                    wrong.push(format!("{title}: {} among others", want.filter.text()));
                }
            }
        }
        let mut seen = entries.lock().expect("nobody panicked");
        seen.push((title, wrong));
    }));
    let seen = seen.lock().expect("nobody panicked");
    let titles: Vec<&str> = seen.iter().map(|(title, _)| *title).collect();
    assert_eq!(titles, ["http", "http, many headers", "dns"]);
    let wrong: Vec<&String> = seen.iter().flat_map(|(_, wrong)| wrong).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
