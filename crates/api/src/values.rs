//! The values that a field has in the live entries, for completion.

use crate::LiveStore;
use crate::redacted::Redacted;
use gillnet_entry::Bump;
use gillnet_kfl::{Filter, Values};
use std::cmp::Reverse;
use std::collections::HashMap;

/// Entries that are looked at, the newest ones.
const LOOKED_AT: usize = 2_000;

/// Different values that are counted; what comes later is left out.
const COUNTED: usize = 10_000;

/// Values that are offered.
const OFFERED: usize = 20;

/// The most frequent values among the newest entries that a filter lets through, with how often they occur there.
pub(crate) fn frequent(store: &LiveStore, bounds: &Filter, values: &Values) -> Vec<(String, u64)> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut arena = Bump::new();
    for entry in store.newest(LOOKED_AT) {
        entry.with(&arena, |entry| {
            if !bounds.matches(entry) {
                return;
            }
            let hidden = bounds.redacts().then(|| Redacted::of(entry, bounds));
            values.read(entry, &mut |literal| {
                let tells = hidden.as_ref().is_some_and(|hidden| hidden.tells(literal));
                if tells || !values.fits(literal) {
                    return;
                }
                if let Some(count) = counts.get_mut(literal) {
                    *count += 1;
                } else if counts.len() < COUNTED {
                    counts.insert(literal.into(), 1);
                }
            });
        });
        arena.reset();
    }
    let mut found: Vec<(String, u64)> = counts.into_iter().collect();
    found.sort_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
    found.truncate(OFFERED);
    found
}
