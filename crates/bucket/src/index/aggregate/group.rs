//! A group of rows while it is read.

use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, SchemaRef};
use gillnet_entry::{Bump, Value};
use gillnet_kfl::Tri;
use gillnet_kfl::rows::{Column, Row};
use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use super::super::prune::place;
use super::super::query::{Question, is_within};
use super::super::stored::Kind;
use super::coded::{Coder, Combiner};
use super::columnar::Seen;
use super::key::floor;
use super::plan::{KeyOf, Plan};
use super::table::Slot;
use super::{Scalar, Table};
use crate::lock;

/// A column in a group of rows.
pub(super) struct InGroup {
    leaf: Option<usize>,
    /// Its only value.
    pub(super) only: Option<Scalar>,
    coder: Coder,
    codes: Vec<u32>,
}

/// A group of rows while it is read.
pub(in super::super) struct Reading<'q> {
    pub(super) plan: &'q Plan,
    question: &'q Question<'q>,
    pub(super) columns: Vec<InGroup>,
    /// Whether all rows are in the span of time that is asked for.
    all_within: bool,
    /// Columns that the filter's answer depends on.
    asked: Vec<usize>,
    asked_ids: Combiner,
    answers: Vec<Option<Tri>>,
    /// Columns that a row's group depends on; those of time beside them, each with its numbers.
    grouped: Vec<usize>,
    spans: Vec<(i64, Coder, Vec<u32>)>,
    group_ids: Combiner,
    slots: Vec<Option<Slot>>,
    /// Of the rows at hand, the numbers of their combinations.
    ids: Vec<u32>,
    arena: Bump,
}

impl<'q> Reading<'q> {
    /// A group with what its statistics say of its times.
    pub(in super::super) fn new(
        plan: &'q Plan,
        question: &'q Question<'q>,
        group: &RowGroupMetaData,
        times: Option<(i64, i64)>,
        schema: &SchemaRef,
    ) -> Reading<'q> {
        let columns = plan.columns.iter().map(|name| {
            let leaf = place(group, name);
            let field = schema.field_with_name(name).ok();
            let of = field.map(|field| field.data_type());
            InGroup {
                leaf,
                only: match leaf {
                    None => Some(Scalar::Nothing),
                    Some(leaf) => only(group, leaf, of),
                },
                coder: Coder::default(),
                codes: Vec::new(),
            }
        });
        let mut columns: Vec<InGroup> = columns.collect();
        let (first, last) = times.unwrap_or((i64::MIN, i64::MAX));
        let all_within = times.is_some()
            && is_within(first, question.within)
            && is_within(last, question.within);
        let varies = |columns: &[InGroup], at: &usize| columns[*at].only.is_none();
        let asked: Vec<usize> = plan
            .kind
            .iter()
            .copied()
            .chain(plan.filter.iter().map(|f| f.at))
            .collect();
        let asked: Vec<usize> = asked
            .into_iter()
            .filter(|at| varies(&columns, at))
            .collect();
        let mut grouped = Vec::new();
        let mut spans = Vec::new();
        for key in &plan.keys {
            match key {
                KeyOf::Columns(each) => {
                    grouped.extend(each.iter().filter(|at| varies(&columns, at)))
                }
                KeyOf::Time(every) => {
                    let mut coder = Coder::default();
                    if times.is_some() && floor(first, *every) == floor(last, *every) {
                        coder.code(Scalar::Time(floor(first, *every)));
                    }
                    spans.push((*every, coder, Vec::new()));
                }
            }
        }
        // what is only needed to see whether rows are in time is not read where all are
        let has_spans = spans.iter().any(|(_, coder, _)| coder.is_empty());
        let is_asked = asked.contains(&plan.time) || grouped.contains(&plan.time);
        if all_within && !has_spans && !is_asked {
            columns[plan.time].leaf = None;
        }
        Reading {
            plan,
            question,
            columns,
            all_within,
            asked,
            asked_ids: Combiner::default(),
            answers: Vec::new(),
            grouped,
            spans,
            group_ids: Combiner::default(),
            slots: Vec::new(),
            ids: Vec::new(),
            arena: Bump::new(),
        }
    }

    /// The columns to read, by their places in the file. Those of an only value are not read.
    pub(in super::super) fn leaves(&self) -> impl Iterator<Item = usize> {
        let read = self.columns.iter().filter(|column| column.only.is_none());
        read.filter_map(|column| column.leaf)
    }

    /// Adds rows; `None` where no column had to be read.
    pub(super) fn take(
        &mut self,
        batch: Option<&RecordBatch>,
        rows: usize,
        table: &mut Table,
        seen: Option<&Seen>,
    ) {
        let plan = self.plan;
        let array = |at: usize| plan.array(batch, at);
        for at in &self.grouped {
            // one that the filter reads too is done twice, to the same end
            if let Some(array) = array(*at) {
                let InGroup { coder, codes, .. } = &mut self.columns[*at];
                coder.codes(array, codes);
            }
        }
        let mut selected = Vec::new();
        self.select(batch, rows, &mut |row, said| {
            if said == Tri::Yes {
                selected.push(row);
            }
        });
        let times = plan.times(batch);
        if let (Some(seen), Some(place)) = (seen, plan.place) {
            self.unseen(seen, place.map(array), &mut selected);
        }
        let slots = self.slots(rows, times, &selected, table);
        for slot in &slots {
            table.at(*slot).count += 1;
        }
        self.measure(&array, &selected, &slots, table);
    }

    /// Shows the rows that are in the span of time and that the filter matches or may match, with what it says; `None` where
    /// no column had to be read.
    pub(in super::super) fn select(
        &mut self,
        batch: Option<&RecordBatch>,
        rows: usize,
        each: &mut dyn FnMut(u32, Tri),
    ) {
        for at in &self.asked {
            if let Some(array) = self.plan.array(batch, *at) {
                let InGroup { coder, codes, .. } = &mut self.columns[*at];
                coder.codes(array, codes);
            }
        }
        let codes: Vec<&[u32]> = self
            .asked
            .iter()
            .map(|at| &*self.columns[*at].codes)
            .collect();
        let mut ids = std::mem::take(&mut self.ids);
        self.asked_ids.combine(&codes, rows, &mut ids);
        let mut answers = std::mem::take(&mut self.answers);
        // rows of one time were not read, and are not within
        let times = self.plan.times(batch).unwrap_or_default();
        let within = self.question.within;
        for (row, id) in ids.iter().enumerate() {
            let in_time = || times.get(row).is_some_and(|ts| is_within(*ts, within));
            if !self.all_within && !in_time() {
                continue;
            }
            let id = *id as usize;
            if id >= answers.len() {
                answers.resize(id + 1, None);
            }
            let said = *answers[id].get_or_insert_with(|| self.says(row));
            if said != Tri::No {
                each(u32::try_from(row).unwrap_or(u32::MAX), said);
            }
        }
        self.arena.reset();
        (self.ids, self.answers) = (ids, answers);
    }

    /// What the filter says of a row; nothing matches whose protocol is not known here.
    fn says(&self, row: usize) -> Tri {
        let text = |at: usize| self.value(at, row).value().as_str().unwrap_or_default();
        let [name, abbr, version] = self.plan.kind.map(text);
        let Some(kind) = Kind::of([name, abbr, version], self.question.known) else {
            return Tri::No;
        };
        let asked = AskedRow {
            reading: self,
            row,
            kind,
        };
        self.question.filter.test(&asked, &self.arena)
    }

    fn value(&self, at: usize, row: usize) -> &Scalar {
        let column = &self.columns[at];
        match &column.only {
            Some(only) => only,
            None => column
                .coder
                .value(column.codes.get(row).copied().unwrap_or(u32::MAX)),
        }
    }

    /// Leaves the rows whose entries were not seen before.
    fn unseen(&self, seen: &Seen, place: [Option<&ArrayRef>; 3], selected: &mut Vec<u32>) {
        let [stream, transport, index] = place;
        let at = |which: usize| {
            self.plan
                .place
                .map(|place| &self.columns[place[which]].only)
        };
        let int = |array: Option<&ArrayRef>, which: usize, row: usize| {
            let array = array.and_then(|array| array.as_primitive_opt::<Int64Type>());
            match (array, at(which)) {
                (Some(array), _) if array.is_valid(row) => array.value(row),
                (None, Some(Some(Scalar::Int(only)))) => *only,
                _ => 0,
            }
        };
        let udp = |row: usize| match (transport, at(1)) {
            (Some(array), _) => array
                .as_dictionary_opt::<Int32Type>()
                .and_then(|array| {
                    let texts = array.values().as_string_opt::<i32>()?;
                    array.key(row).map(|key| texts.value(key) == "udp")
                })
                .unwrap_or(false),
            (None, Some(Some(Scalar::Text(only)))) => &**only == "udp",
            _ => false,
        };
        let mut seen = lock(seen);
        selected.retain(|row| {
            let row = *row as usize;
            let number = u64::try_from(int(stream, 0, row)).unwrap_or(0);
            let index = u32::try_from(int(index, 2, row)).unwrap_or(0);
            seen.insert((number, udp(row), index))
        });
    }

    /// The places of the rows' groups.
    fn slots(
        &mut self,
        rows: usize,
        times: Option<&[i64]>,
        selected: &[u32],
        table: &mut Table,
    ) -> Vec<Slot> {
        for (every, coder, codes) in &mut self.spans {
            match times {
                Some(times) => coder.spans(times, *every, codes),
                None => {
                    codes.clear();
                    codes.resize(rows, 0);
                }
            }
        }
        let columns = self.grouped.iter().map(|at| &*self.columns[*at].codes);
        let spans = self.spans.iter().map(|(_, _, codes)| &**codes);
        let codes: Vec<&[u32]> = columns.chain(spans).collect();
        let mut ids = std::mem::take(&mut self.ids);
        self.group_ids.combine(&codes, rows, &mut ids);
        let mut slots = std::mem::take(&mut self.slots);
        let of_rows = selected.iter().map(|row| {
            let id = ids[*row as usize] as usize;
            if id >= slots.len() {
                slots.resize(id + 1, None);
            }
            *slots[id].get_or_insert_with(|| table.slot(&self.key(*row as usize)))
        });
        let of_rows = of_rows.collect();
        (self.ids, self.slots) = (ids, slots);
        of_rows
    }

    /// What a row is grouped by.
    fn key(&self, row: usize) -> Vec<Scalar> {
        let mut spans = self.spans.iter();
        let keys = self.plan.keys.iter().map(|key| match key {
            KeyOf::Time(_) => spans.next().map_or(Scalar::Nothing, |(_, coder, codes)| {
                coder.value(codes.get(row).copied().unwrap_or(0)).clone()
            }),
            KeyOf::Columns(each) => {
                let mut values = each.iter().map(|at| self.value(*at, row).grouped());
                values
                    .find(|value| *value != Scalar::Nothing)
                    .unwrap_or_default()
            }
        });
        keys.collect()
    }
}

/// The only value of a column in a group of rows, where its statistics say that it has one.
pub(in super::super) fn only(
    group: &RowGroupMetaData,
    leaf: usize,
    of: Option<&DataType>,
) -> Option<Scalar> {
    let statistics = group.column(leaf).statistics()?;
    let nulls = statistics.null_count_opt()?;
    if u64::try_from(group.num_rows()).ok() == Some(nulls) {
        return Some(Scalar::Nothing);
    }
    if nulls > 0 || !statistics.min_is_exact() || !statistics.max_is_exact() {
        return None;
    }
    match statistics {
        Statistics::Int64(values) => {
            let (least, most) = (values.min_opt()?, values.max_opt()?);
            let is_time = matches!(of, Some(DataType::Timestamp(..)));
            let make = if is_time { Scalar::Time } else { Scalar::Int };
            (least == most).then(|| make(*least))
        }
        Statistics::Boolean(values) => {
            let (least, most) = (values.min_opt()?, values.max_opt()?);
            (least == most).then_some(Scalar::Bool(*least))
        }
        Statistics::ByteArray(values) => {
            let (least, most) = (values.min_opt()?, values.max_opt()?);
            let text = std::str::from_utf8(least.data()).ok()?;
            (least == most).then(|| Scalar::Text(text.into()))
        }
        _ => None,
    }
}

/// A row as a filter asks it.
struct AskedRow<'v, 'q> {
    reading: &'v Reading<'q>,
    row: usize,
    kind: Kind,
}

impl<'v> Row<'v> for AskedRow<'v, '_> {
    fn protocol(&self) -> u8 {
        self.kind.protocol.number
    }

    fn value(&self, column: Column) -> Option<Value<'v>> {
        if let Column::Own(protocol, _) = column
            && protocol != self.protocol()
        {
            return Some(Value::Missing);
        }
        let reading = self.reading;
        let filtered = reading.plan.filter.iter().find(|f| f.column == column)?;
        let is_there = reading.columns[filtered.at].leaf.is_some();
        match (reading.value(filtered.at, self.row).value(), column) {
            // a file of an earlier version may not have it
            (_, Column::Own(..)) if !is_there => None,
            (Value::Missing, _) if filtered.or_zero => Some(Value::Int(0)),
            // as an entry's row has it: there is no end without a name, be it empty
            (Value::Missing, Column::Name(..)) => Some(Value::Str("")),
            (Value::Missing, Column::Tls) => Some(Value::Bool(false)),
            (value, _) => Some(value),
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.kind.info.flags.contains(&name)
    }
}
