//! Columns as small numbers, one a different value, so that rows are told apart without their values being looked at.
//! All numbers are those of one group of rows.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType};
use arrow_array::{Array, ArrayRef};

use super::Scalar;

/// Numbers of a column's values.
#[derive(Default)]
pub(super) struct Coder {
    codes: HashMap<Scalar, u32>,
    values: Vec<Scalar>,
    /// The dictionary that was seen last, and its entries' codes.
    dictionary: Option<(ArrayRef, Vec<u32>)>,
    ints: HashMap<i64, u32, Mixed>,
}

impl Coder {
    pub(super) fn value(&self, code: u32) -> &Scalar {
        static NOTHING: Scalar = Scalar::Nothing;
        self.values.get(code as usize).unwrap_or(&NOTHING)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn code(&mut self, value: Scalar) -> u32 {
        if let Some(code) = self.codes.get(&value) {
            return *code;
        }
        // a batch has fewer rows than there are codes, and a file is written with fewer
        let code = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        self.values.push(value.clone());
        self.codes.insert(value, code);
        code
    }

    fn number(&mut self, int: i64, make: impl Fn(i64) -> Scalar) -> u32 {
        if let Some(code) = self.ints.get(&int) {
            return *code;
        }
        let code = self.code(make(int));
        self.ints.insert(int, code);
        code
    }

    /// The codes of whole numbers, each made into a value first.
    fn numbers(
        &mut self,
        ints: impl Iterator<Item = Option<i64>>,
        make: impl Fn(i64) -> Scalar,
        out: &mut Vec<u32>,
    ) {
        let mut last: Option<(Option<i64>, u32)> = None;
        for int in ints {
            if let Some((seen, code)) = last
                && seen == int
            {
                out.push(code);
                continue;
            }
            let code = match int {
                None => self.code(Scalar::Nothing),
                Some(int) => self.number(int, &make),
            };
            last = Some((int, code));
            out.push(code);
        }
    }

    /// The codes of a column's rows.
    pub(super) fn codes(&mut self, array: &ArrayRef, out: &mut Vec<u32>) {
        out.clear();
        out.reserve(array.len());
        if let Some(array) = array.as_dictionary_opt::<Int32Type>() {
            self.dictionary(array.values());
            let nothing = array
                .null_count()
                .gt(&0)
                .then(|| self.code(Scalar::Nothing));
            let codes = self.dictionary.as_ref().map_or(&[][..], |(_, codes)| codes);
            let keys = array.keys();
            let code = |key: &i32| {
                codes
                    .get(usize::try_from(*key).unwrap_or(usize::MAX))
                    .copied()
            };
            match nothing {
                None => out.extend(
                    keys.values()
                        .iter()
                        .map(|key| code(key).unwrap_or(u32::MAX)),
                ),
                Some(nothing) => out.extend(
                    keys.iter()
                        .map(|key| key.as_ref().and_then(code).unwrap_or(nothing)),
                ),
            }
        } else if let Some(array) = array.as_primitive_opt::<Int64Type>() {
            self.numbers(array.iter(), Scalar::Int, out);
        } else if let Some(array) = array.as_primitive_opt::<TimestampNanosecondType>() {
            self.numbers(array.iter(), Scalar::Time, out);
        } else if let Some(array) = array.as_boolean_opt() {
            let as_int = |value: Option<bool>| value.map(i64::from);
            self.numbers(array.iter().map(as_int), |n| Scalar::Bool(n != 0), out);
        } else if let Some(array) = array.as_primitive_opt::<Float64Type>() {
            for value in array {
                let value = value.map_or(Scalar::Nothing, |n| Scalar::Double(n.to_bits()));
                out.push(self.code(value));
            }
        } else if let Some(array) = array.as_string_opt::<i32>() {
            for text in array {
                out.push(self.code(of_text(text)));
            }
        } else {
            let nothing = self.code(Scalar::Nothing);
            out.resize(array.len(), nothing);
        }
    }

    /// The codes of moments, each down to a whole number of so many ns.
    pub(super) fn spans(&mut self, times: &[i64], every: i64, out: &mut Vec<u32>) {
        out.clear();
        let mut last: Option<(i64, u32)> = None;
        for ts in times {
            let code = match last {
                // rows follow each other in time, mostly
                Some((start, code)) if *ts >= start && *ts - start < every => code,
                _ => {
                    let start = super::key::floor(*ts, every);
                    let code = self.number(start, Scalar::Time);
                    last = Some((start, code));
                    code
                }
            };
            out.push(code);
        }
    }

    fn dictionary(&mut self, values: &ArrayRef) {
        if let Some((last, _)) = &self.dictionary
            && Arc::ptr_eq(last, values)
        {
            return;
        }
        let codes: Vec<u32> = match values.as_string_opt::<i32>() {
            Some(texts) => texts.iter().map(|text| self.code(of_text(text))).collect(),
            None => vec![self.code(Scalar::Nothing); values.len()],
        };
        self.dictionary = Some((Arc::clone(values), codes));
    }
}

/// A filter may tell an empty text from none.
fn of_text(text: Option<&str>) -> Scalar {
    text.map_or(Scalar::Nothing, |text| Scalar::Text(text.into()))
}

/// Numbers the combinations of several columns' codes.
#[derive(Default)]
pub(super) struct Combiner {
    steps: Vec<HashMap<u64, u32, Mixed>>,
}

type Mixed = std::hash::BuildHasherDefault<Mix>;

/// A hasher for pairs of small numbers.
#[derive(Default)]
pub(super) struct Mix(u64);

impl std::hash::Hasher for Mix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_i64(&mut self, n: i64) {
        self.write_u64(n.cast_unsigned());
    }

    fn write_u64(&mut self, n: u64) {
        // the product's upper half has something of all bits
        let wide = u128::from(self.0 ^ n) * 0x9e37_79b9_7f4a_7c15;
        #[allow(clippy::cast_possible_truncation)]
        let folded = (wide >> 64) as u64 ^ wide as u64;
        self.0 = folded;
    }
}

impl Combiner {
    /// The number of each row's combination of columns' codes; 0 for all where there are no columns.
    pub(super) fn combine(&mut self, columns: &[&[u32]], rows: usize, out: &mut Vec<u32>) {
        out.clear();
        let Some((first, rest)) = columns.split_first() else {
            out.resize(rows, 0);
            return;
        };
        out.extend_from_slice(first);
        self.steps
            .resize_with(rest.len().max(self.steps.len()), HashMap::default);
        for (codes, step) in rest.iter().zip(&mut self.steps) {
            let mut last = None;
            for (id, code) in out.iter_mut().zip(*codes) {
                let pair = u64::from(*id) << 32 | u64::from(*code);
                *id = match last {
                    Some((seen, id)) if seen == pair => id,
                    _ => {
                        let next = u32::try_from(step.len()).unwrap_or(u32::MAX);
                        let id = *step.entry(pair).or_insert(next);
                        last = Some((pair, id));
                        id
                    }
                };
            }
        }
    }
}
