//! Aggregation over a group's index: its files on several threads, what came of them added in their order.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use super::in_order::in_order;
use super::indexed::{GroupIndex, failed};
use crate::index::aggregate::{Aggregation, Seen, Table};
use crate::index::{Cost, Question};
use crate::layout::ObjectName;
use crate::{BucketError, lock};

impl GroupIndex {
    /// Whether it has all that is grouped by and measured, beside what the filter asks for.
    #[must_use]
    pub fn aggregates(&self, question: &Question<'_>, of: &Aggregation) -> bool {
        self.decides(question)
            && self
                .files
                .iter()
                .all(|(_, file)| file.has(of, question.known))
    }

    /// Adds up the entries that match, each once; `goes_on` is asked now and then whether the answer is still wanted, and
    /// what there is until then is given where it is not.
    ///
    /// # Errors
    /// Where a file can't be read to its end.
    pub fn aggregate(
        &self,
        question: &Question<'_>,
        of: &Arc<Aggregation>,
        goes_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<(Table, Cost), BucketError> {
        let repeats = Repeats::new(&self.names);
        let mut whole = Table::new(Arc::clone(of));
        let mut cost = Cost::default();
        let work = |at: usize| {
            let (place, file) = &self.files[at];
            let seen = repeats.seen(&self.names[at]);
            let part = file.aggregate(question, of, seen.as_deref(), goes_on);
            repeats.done(&self.names[at]);
            part.map_err(|error| failed(place, &error))
        };
        in_order(self.files.len(), self.threads, work, |(part, of_file)| {
            whole.merge(&part);
            cost.bytes += of_file.bytes;
            cost.rows += of_file.rows;
        })?;
        self.done();
        Ok((whole, cost))
    }
}

/// What was counted, by hour: an entry that several rules keep stands in the same hour of each.
struct Repeats(HashMap<i64, Mutex<Hour>>);

#[derive(Default)]
struct Hour {
    seen: Arc<Seen>,
    /// Files that are still to be read.
    left: usize,
}

impl Repeats {
    /// Of the hours that several rules have files of.
    fn new(names: &[ObjectName]) -> Repeats {
        let mut rules: HashMap<i64, (HashSet<&str>, usize)> = HashMap::new();
        for name in names {
            let (rules, files) = rules.entry(name.hour.start()).or_default();
            rules.insert(&name.recording);
            *files += 1;
        }
        let several = rules.into_iter().filter(|(_, (rules, _))| rules.len() > 1);
        let hour = |left| {
            Mutex::new(Hour {
                left,
                ..Hour::default()
            })
        };
        Repeats(several.map(|(at, (_, files))| (at, hour(files))).collect())
    }

    fn hour(&self, name: &ObjectName) -> Option<std::sync::MutexGuard<'_, Hour>> {
        let hour = self.0.get(&name.hour.start())?;
        Some(lock(hour))
    }

    fn seen(&self, name: &ObjectName) -> Option<Arc<Seen>> {
        Some(Arc::clone(&self.hour(name)?.seen))
    }

    /// Forgets an hour whose last file is read.
    fn done(&self, name: &ObjectName) {
        if let Some(mut hour) = self.hour(name) {
            hour.left -= 1;
            if hour.left == 0 {
                hour.seen = Arc::default();
            }
        }
    }
}
