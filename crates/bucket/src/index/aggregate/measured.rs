//! What is measured of rows beside their count.

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array};

use super::group::Reading;
use super::table::Slot;
use super::{Scalar, Table};

impl Reading<'_> {
    /// Adds what is measured beside the count.
    pub(super) fn measure<'b>(
        &self,
        array: &impl Fn(usize) -> Option<&'b ArrayRef>,
        selected: &[u32],
        slots: &[Slot],
        table: &mut Table,
    ) {
        let each = || selected.iter().map(|row| *row as usize).zip(slots);
        if let Some([ok, fault]) = self.plan.ok {
            let oks = array(ok).and_then(|array| array.as_boolean_opt());
            let only_ok = self.columns[ok].only == Some(Scalar::Bool(true));
            let faults = array(fault);
            let only_fault =
                matches!(&self.columns[fault].only, Some(only) if *only != Scalar::Nothing);
            for (row, slot) in each() {
                let ok = oks.map_or(only_ok, |oks| oks.is_valid(row) && oks.value(row));
                let fault = faults.map_or(only_fault, |faults| faults.is_valid(row));
                if !ok || fault {
                    table.at(*slot).errors += 1;
                }
            }
        }
        let numbers = |at: usize| Numbers {
            array: array(at).and_then(|array| array.as_primitive_opt::<Int64Type>()),
            only: match self.columns[at].only {
                Some(Scalar::Int(only)) => Some(only),
                _ => None,
            },
        };
        let sizes = [(self.plan.request, false), (self.plan.response, true)];
        for (at, is_response) in sizes {
            let Some(numbers) = at.map(numbers) else {
                continue;
            };
            for (row, slot) in each() {
                let size = numbers.get(row).and_then(|n| u64::try_from(n).ok());
                let totals = table.at(*slot);
                let sum = if is_response {
                    &mut totals.response
                } else {
                    &mut totals.request
                };
                *sum = sum.saturating_add(size.unwrap_or(0));
            }
        }
        if let Some(numbers) = self.plan.elapsed.map(numbers) {
            for (row, slot) in each() {
                if let Some(us) = numbers.get(row) {
                    table.at(*slot).took(us);
                }
            }
        }
    }
}

/// A column of numbers.
struct Numbers<'b> {
    array: Option<&'b Int64Array>,
    only: Option<i64>,
}

impl Numbers<'_> {
    fn get(&self, row: usize) -> Option<i64> {
        match self.array {
            Some(array) => array.is_valid(row).then(|| array.value(row)),
            None => self.only,
        }
    }
}
