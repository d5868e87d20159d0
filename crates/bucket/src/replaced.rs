//! Which objects count, where compaction has made one of many: as the list of their names alone says.
//!
//! An object that replaces others counts from the moment when its last file, that of its entries, is there; then those
//! that it replaces do not. Before, it does not. Where two that are whole replace one and the same object, the later
//! attempt counts, and of equal ones that whose name comes first, so that all who look see the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::layout::{Hour, ObjectName, Part};

/// What may replace each other: cluster, recording, hour, node and run.
type Place = (String, String, Hour, String, u64);

/// The objects that replace others, and count.
#[derive(Debug, Default)]
pub(crate) struct Replaced {
    counts: BTreeMap<Place, Vec<ObjectName>>,
}

fn place(name: &ObjectName) -> Place {
    let of = |text: &String| text.clone();
    (
        of(&name.cluster),
        of(&name.recording),
        name.hour,
        of(&name.node),
        name.run,
    )
}

impl Replaced {
    /// Of all names of a listing.
    pub(crate) fn of<'n>(names: impl Iterator<Item = (Part, &'n ObjectName)>) -> Self {
        let whole: BTreeSet<&ObjectName> = names
            .filter(|(part, name)| *part == Part::Entries && name.replaces.is_some())
            .map(|(_, name)| name)
            .collect();
        let mut counts: BTreeMap<Place, Vec<ObjectName>> = BTreeMap::new();
        let mut by_attempt: Vec<&ObjectName> = whole.into_iter().collect();
        // stable: of equal attempts the first name stays first
        by_attempt.sort_by_key(|name| {
            std::cmp::Reverse(name.replaces.as_ref().map(|of| of.generation()))
        });
        for name in by_attempt {
            let here = counts.entry(place(name)).or_default();
            if !here
                .iter()
                .any(|other| other.replaces(name) || name.replaces(other))
            {
                here.push(name.clone());
            }
        }
        Self { counts }
    }

    /// Whether an object does not count: another replaces it, or it replaces others and is not whole, or beaten.
    pub(crate) fn hides(&self, name: &ObjectName) -> bool {
        if self.counts.is_empty() && name.replaces.is_none() {
            return false;
        }
        let here = self.counts.get(&place(name)).map_or(&[][..], Vec::as_slice);
        match &name.replaces {
            None => here.iter().any(|other| other.replaces(name)),
            Some(_) => !here.contains(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Replaces;

    fn name(seq: u64) -> ObjectName {
        ObjectName {
            cluster: "c".into(),
            recording: "r".into(),
            hour: Hour::of(0),
            node: "n".into(),
            run: 1,
            seq,
            replaces: None,
        }
    }

    fn of(generation: u32, seqs: &[u64]) -> ObjectName {
        let (seq, replaces) = Replaces::new(generation, seqs.iter().copied()).unwrap();
        ObjectName {
            replaces: Some(replaces),
            ..name(seq)
        }
    }

    #[test]
    fn what_is_replaced_counts_until_the_last_file_of_the_other_is_there() {
        let compacted = of(1, &[2, 3, 5]);
        for (part, counts) in [
            (Part::Packets, false),
            (Part::Streams, false),
            (Part::Entries, true),
        ] {
            let listed = [(part, &compacted)];
            let replaced = Replaced::of(listed.into_iter());
            assert_eq!(replaced.hides(&compacted), !counts);
            for seq in 1..7 {
                assert_eq!(
                    replaced.hides(&name(seq)),
                    counts && [2, 3, 5].contains(&seq),
                    "{seq}"
                );
            }
        }
    }

    #[test]
    fn of_two_that_replace_the_same_the_later_attempt_counts() {
        let (first, second, other) = (of(1, &[1, 2]), of(2, &[2, 3]), of(1, &[4, 5]));
        let listed = [&first, &second, &other].map(|name| (Part::Entries, name));
        let replaced = Replaced::of(listed.into_iter());
        let hidden: Vec<u64> = (0..7).filter(|seq| replaced.hides(&name(*seq))).collect();
        assert_eq!(
            hidden,
            [2, 3, 4, 5],
            "what only the beaten one replaces counts itself"
        );
        assert!(replaced.hides(&first) && !replaced.hides(&second) && !replaced.hides(&other));
        let (a, b) = (of(1, &[1, 2]), of(1, &[1, 2, 3]));
        let listed = [&b, &a].map(|name| (Part::Entries, name));
        let replaced = Replaced::of(listed.into_iter());
        assert_eq!([&a, &b].map(|name| replaced.hides(name)), [false, true]);
    }
}
