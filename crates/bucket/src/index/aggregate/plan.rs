//! Which columns an aggregation reads.

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::SchemaRef;
use gillnet_entry::{COMMON, Kind as FieldKind};
use gillnet_kfl::rows::Column;

use super::super::columns::BASE;
use super::super::query::Question;
use super::super::stored::{KIND, file_column};
use super::key::{Of, same_column};
use super::{Aggregation, Key};

/// Which columns are read, and what for.
pub(in super::super) struct Plan {
    pub(super) columns: Vec<String>,
    pub(super) kind: [usize; 3],
    pub(super) filter: Vec<Filtered>,
    pub(super) keys: Vec<KeyOf>,
    pub(super) time: usize,
    pub(super) ok: Option<[usize; 2]>,
    pub(super) request: Option<usize>,
    pub(super) response: Option<usize>,
    pub(super) elapsed: Option<usize>,
    pub(super) place: Option<[usize; 3]>,
}

/// A column that the filter reads.
pub(super) struct Filtered {
    pub(super) column: Column,
    pub(super) at: usize,
    /// Where the row has no value the field is 0.
    pub(super) or_zero: bool,
}

/// What a key is made of.
pub(super) enum KeyOf {
    Time(i64),
    /// The first of these that has a value.
    Columns(Vec<usize>),
}

impl Plan {
    pub(super) fn new(schema: &SchemaRef, of: &Aggregation, places: bool) -> Plan {
        let mut columns: Vec<String> = Vec::new();
        let mut at = |name: &str| {
            columns
                .iter()
                .position(|known| known == name)
                .unwrap_or_else(|| {
                    columns.push(name.to_owned());
                    columns.len() - 1
                })
        };
        let kind = KIND.map(&mut at);
        let time = at("timestamp");
        let keys = of.by.iter().map(|Key { of, .. }| match of {
            Of::Time(every) => KeyOf::Time(*every),
            Of::Base(base) => {
                let base = BASE.get(*base);
                KeyOf::Columns(base.map(|base| at(base.name)).into_iter().collect())
            }
            Of::Own(each) => {
                let there = each
                    .iter()
                    .filter(|(_, own)| schema.column_with_name(&own.name).is_some());
                KeyOf::Columns(there.map(|(_, own)| at(&own.name)).collect())
            }
            Of::Common(_) => KeyOf::Columns(Vec::new()),
        });
        let keys = keys.collect();
        let mut wanted = |wanted: bool, name| wanted.then(|| at(name));
        let ok = wanted(of.errors(), "ok");
        let fault = wanted(of.errors(), "error.type");
        let request = wanted(of.requests(), "requestSize");
        let response = wanted(of.responses(), "responseSize");
        let elapsed = wanted(of.latency(), "elapsedTime");
        let place = places.then(|| ["stream", "transport", "index"].map(at));
        Plan {
            ok: ok.zip(fault).map(|(ok, fault)| [ok, fault]),
            columns,
            kind,
            filter: Vec::new(),
            keys,
            time,
            request,
            response,
            elapsed,
            place,
        }
    }

    /// A column of rows that were read; `None` where it was not.
    pub(super) fn array<'b>(
        &self,
        batch: Option<&'b RecordBatch>,
        at: usize,
    ) -> Option<&'b ArrayRef> {
        batch?.column_by_name(self.columns.get(at)?)
    }

    /// The times of rows that were read; `None` where they were not.
    pub(super) fn times<'b>(&self, batch: Option<&'b RecordBatch>) -> Option<&'b [i64]> {
        let times = self.array(batch, self.time)?;
        let times = times.as_primitive_opt::<TimestampNanosecondType>()?;
        Some(times.values())
    }

    /// What only a filter reads; `None` where that are not columns alone.
    pub(in super::super) fn of_filter(question: &Question<'_>) -> Option<Plan> {
        let columns = KIND.into_iter().chain(["timestamp"]).map(str::to_owned);
        let mut plan = Plan {
            columns: columns.collect(),
            kind: [0, 1, 2],
            time: 3,
            filter: Vec::new(),
            keys: Vec::new(),
            ok: None,
            request: None,
            response: None,
            elapsed: None,
            place: None,
        };
        plan.take_filter(question).then_some(plan)
    }

    /// Adds what a filter reads; `false` where that are not columns alone.
    pub(super) fn take_filter(&mut self, question: &Question<'_>) -> bool {
        for column in question.filter.columns() {
            let mut or_zero = false;
            let name = match column {
                Column::Common(field) => {
                    let field = COMMON.fields.get(usize::from(*field));
                    or_zero = field.is_some_and(|field| field.kind == FieldKind::Int);
                    let base = field.and_then(same_column).and_then(|at| BASE.get(at));
                    base.map(|base| base.name.to_owned())
                }
                other => file_column(*other, question.known),
            };
            let Some(name) = name else {
                return false;
            };
            let known = self.columns.iter().position(|known| *known == name);
            let at = known.unwrap_or_else(|| {
                self.columns.push(name);
                self.columns.len() - 1
            });
            self.filter.push(Filtered {
                column: *column,
                at,
                or_zero,
            });
        }
        true
    }
}
