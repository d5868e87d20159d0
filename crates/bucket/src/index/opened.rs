//! A file of the index, open: what its footer says, checked as far as its readers do not.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Once};

use arrow_array::RecordBatch;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::PageIndexPolicy;
use parquet::file::reader::ChunkReader;

use super::{Error, FooterOf, Remote};
use crate::Bucket;

/// A file, open.
pub(crate) struct Opened {
    pub(crate) remote: Remote,
    pub(crate) metadata: ArrowReaderMetadata,
    pub(crate) footer: FooterOf,
}

impl Opened {
    /// Fetches the footer of a file of so many bytes, and what it says of pages where that is wanted.
    ///
    /// # Errors
    /// Where it can't be read, is damaged, or of a later version.
    pub(crate) fn new(
        bucket: &Arc<dyn Bucket>,
        key: &str,
        size: u64,
        pages: PageIndexPolicy,
    ) -> Result<Self, Error> {
        let remote = Remote::open(bucket, key, size)?;
        let options = ArrowReaderOptions::new().with_page_index_policy(pages);
        let metadata =
            guarded(|| ArrowReaderMetadata::load(&remote, options).map_err(Error::Footer))?;
        let footer = FooterOf::read(&metadata)?;
        within(&metadata, size)?;
        Ok(Self {
            remote,
            metadata,
            footer,
        })
    }
}

/// Whether the columns are in the file. Who reads them takes the footer's word for it, and panics where it is wrong.
fn within(metadata: &ArrowReaderMetadata, size: u64) -> Result<(), Error> {
    let groups = metadata.metadata().row_groups().iter();
    for column in groups.flat_map(|group| group.columns()) {
        let start = column
            .dictionary_page_offset()
            .unwrap_or(column.data_page_offset());
        let is_in = |at: i64| u64::try_from(at).is_ok_and(|at| at <= size);
        let end = start.checked_add(column.compressed_size());
        if !is_in(start) || !is_in(column.compressed_size()) || !end.is_some_and(is_in) {
            return Err(Error::Damaged(format!(
                "its footer says that column {} is where the file is not",
                column.column_path().string()
            )));
        }
    }
    Ok(())
}

thread_local! {
    /// Whether a panic of this thread is about to be an error.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Lets Parquet's reader read what may be damaged: it divides by lengths and counts that stand there, and panics where
/// they are zero or too many. Then this is an error, as it should be.
pub(super) fn guarded<T, E: Into<Error>>(read: impl FnOnce() -> Result<T, E>) -> Result<T, Error> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |panics| {
            if !GUARDED.get() {
                others(panics);
            }
        }));
    });
    let before = GUARDED.replace(true);
    let read = catch_unwind(AssertUnwindSafe(read));
    GUARDED.set(before);
    match read {
        Ok(read) => read.map_err(Into::into),
        Err(_) => Err(Error::Damaged(
            "Parquet's reader does not get through it".to_owned(),
        )),
    }
}

/// The rows of a file, some at a time. Behind an error there are no more.
pub(crate) struct Batches(Option<ParquetRecordBatchReader>);

impl Batches {
    /// Begins to read.
    ///
    /// # Errors
    /// Where the first pages can't be read.
    pub(crate) fn of<T: ChunkReader + 'static>(
        builder: ParquetRecordBatchReaderBuilder<T>,
    ) -> Result<Self, Error> {
        guarded(|| builder.build()).map(|reader| Self(Some(reader)))
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let reader = self.0.as_mut()?;
        let rows = guarded(|| Ok::<_, ParquetError>(reader.next().transpose()?)).transpose();
        if !matches!(rows, Some(Ok(_))) {
            self.0 = None;
        }
        rows
    }
}
