//! Reads the files of an index without the code that asks them.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampNanosecondType};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};

/// An entry.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) ts: i64,
    pub(crate) stream: u64,
    /// The number in the path that was asked for.
    pub(crate) request: Option<u64>,
    pub(crate) status: Option<i64>,
}

/// The rows of a file of `entries/`.
pub(crate) fn rows(file: &[u8]) -> Vec<Row> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file)).unwrap();
    let mut out = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        out.extend((0..batch.num_rows()).map(|row| {
            Row {
                ts: batch["timestamp"]
                    .as_primitive::<TimestampNanosecondType>()
                    .value(row),
                stream: int(&batch, "stream", row).unwrap() as u64,
                request: text(&batch, "http.request.path", row)
                    .and_then(|path| path.strip_prefix('/')?.parse().ok()),
                status: int(&batch, "statusCode", row),
            }
        }));
    }
    assert!(out.is_sorted_by_key(|row| row.ts), "in the order of time");
    out
}

fn int(batch: &RecordBatch, name: &str, row: usize) -> Option<i64> {
    let column = batch.column_by_name(name)?.as_primitive::<Int64Type>();
    column.is_valid(row).then(|| column.value(row))
}

fn text<'b>(batch: &'b RecordBatch, name: &str, row: usize) -> Option<&'b str> {
    let column = batch.column_by_name(name)?.as_string::<i32>();
    column.is_valid(row).then(|| column.value(row))
}

/// The files that a footer names are there, as it says.
pub(crate) fn check_beside(file: &[u8], objects: &BTreeMap<String, Vec<u8>>) {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file)).unwrap();
    let pairs = reader.metadata().file_metadata().key_value_metadata();
    let files = pairs
        .into_iter()
        .flatten()
        .find(|pair| pair.key == "gillnet.files");
    let Some(files) = files.and_then(|pair| pair.value.as_ref()) else {
        return;
    };
    let files: serde_json::Value = serde_json::from_str(files).unwrap();
    for named in files.as_array().unwrap() {
        let key = named["key"].as_str().unwrap();
        let object = objects
            .get(key)
            .unwrap_or_else(|| panic!("{key} is named and not there"));
        assert_eq!(named["size"], object.len());
        let sum = Sha256::digest(object);
        let hex = sum
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>();
        assert_eq!(named["sha256"], hex, "{key}");
    }
}

/// The rows of a file of `entries/`: the time of each, its stream and index, and all that stands in its columns.
pub(crate) fn described(file: &[u8]) -> Vec<(i64, (i64, i64), String)> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::copy_from_slice(file)).unwrap();
    let mut out = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let (schema, columns) = (batch.schema(), batch.columns());
        out.extend((0..batch.num_rows()).map(|row| {
            let time = batch["timestamp"].as_primitive::<TimestampNanosecondType>();
            let id = ["stream", "index"].map(|name| int(&batch, name, row).unwrap());
            let named = schema.fields().iter().zip(columns);
            let mut said: Vec<String> = named
                .filter(|(_, column)| column.is_valid(row))
                .map(|(field, column)| format!("{}={}", field.name(), value(column, row)))
                .collect();
            // a request has waited too long or its connection is over: which of both is seen first is chance
            for one in &mut said {
                *one = one.replace("no response in time", "request without response");
                *one = one.replace("this query came in time", "this query was seen");
                *one = one.replace("\"timeout\"", "\"pair-not-found\"");
            }
            // which columns a file has depends on what else is in it
            said.sort();
            (time.value(row), id.into(), said.join(" "))
        }));
    }
    out
}

fn value(column: &dyn Array, row: usize) -> String {
    if let Some(of) = column.as_primitive_opt::<Int64Type>() {
        return of.value(row).to_string();
    }
    if let Some(of) = column.as_primitive_opt::<TimestampNanosecondType>() {
        return of.value(row).to_string();
    }
    if let Some(of) = column.as_boolean_opt() {
        return of.value(row).to_string();
    }
    match column.as_string_opt::<i32>() {
        Some(of) => format!("{:?}", of.value(row)),
        None => format!("{:?}", column.slice(row, 1)),
    }
}
