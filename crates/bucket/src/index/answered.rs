//! Rows of an index that an engine found.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use gillnet_entry::{Bump, Entry, Origin};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::opened::guarded;
use super::stored::{Batch, KnownProtocol, NamePool};
use super::{Batches, Error};

/// Shows the rows of a Parquet file as entries, in its order. Its first two columns are of text: who recorded a row, by
/// cluster and `<node>_<run>`; the others are columns of `entries/`. `each` says whether to go on.
///
/// # Errors
/// Where the file can't be read to its end.
pub fn answered(
    file: File,
    known: &[KnownProtocol],
    origin: &mut dyn FnMut(&str, &str) -> Arc<Origin>,
    each: &mut dyn FnMut(&Entry<'_>) -> bool,
) -> Result<(), Error> {
    let reader = guarded(|| ParquetRecordBatchReaderBuilder::try_new(file))?;
    let mut pool = NamePool::default();
    let mut arena = Bump::new();
    let mut last: Option<(String, String, Arc<Origin>)> = None;
    for rows in Batches::of(reader)? {
        let rows = rows?;
        let text = |column: usize, row: usize| {
            let column = rows.columns().get(column)?.as_string_opt::<i32>()?;
            Some(column.value(row))
        };
        let batch = Arc::new(Batch::new(&rows, &HashMap::new(), known));
        for row in 0..batch.len() {
            arena.reset();
            let (Some(cluster), Some(recorder)) = (text(0, row), text(1, row)) else {
                return Err(Error::Foreign);
            };
            let origin = match &last {
                Some((of, by, origin)) if of == cluster && by == recorder => Arc::clone(origin),
                _ => {
                    let found = origin(cluster, recorder);
                    last = Some((cluster.to_owned(), recorder.to_owned(), Arc::clone(&found)));
                    found
                }
            };
            if batch.with(row, &origin, &mut pool, &arena, |entry| each(entry)) == Some(false) {
                return Ok(());
            }
        }
    }
    Ok(())
}
