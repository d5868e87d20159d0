//! What a file of the index says of itself: its footer alone is read.

use std::sync::Arc;

use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::statistics::Statistics;

use super::{Error, FooterOf, Remote};
use crate::Bucket;

/// Figures of a file.
pub(crate) struct Figures {
    pub(crate) kfl: Option<String>,
    pub(crate) rows: u64,
    /// Earliest and latest moment in the columns that were asked for (ns since the Unix epoch).
    pub(crate) times: Option<(i64, i64)>,
}

/// Reads those of a file; `columns` have its times.
///
/// # Errors
/// Where its footer can't be read, or is of a later version.
pub(crate) fn figures(
    bucket: &Arc<dyn Bucket>,
    key: &str,
    size: u64,
    columns: &[&str],
) -> Result<Figures, Error> {
    let remote = Remote::open(bucket, key, size)?;
    let metadata = ArrowReaderMetadata::load(&remote, ArrowReaderOptions::new())?;
    let footer = FooterOf::read(&metadata)?;
    let (mut rows, mut times) = (0, None);
    for group in metadata.metadata().row_groups() {
        rows += group.num_rows().unsigned_abs();
        for column in group.columns() {
            if !columns.contains(&column.column_descr().name()) {
                continue;
            }
            if let Some(Statistics::Int64(of)) = column.statistics()
                && let (Some(least), Some(most)) = (of.min_opt(), of.max_opt())
            {
                let (first, last) = times.unwrap_or((*least, *most));
                times = Some((first.min(*least), last.max(*most)));
            }
        }
    }
    Ok(Figures {
        kfl: footer.get("gillnet.kfl").map(str::to_owned),
        rows,
        times,
    })
}
