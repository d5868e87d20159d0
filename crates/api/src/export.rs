//! `/api/export`: what a filter matches as a file, of any size, while it is made.

use crate::doors::refuse;
use crate::routes::{Shown, edge, filter, refused};
use crate::stats::{Leaves, names};
use crate::{Refused, StreamKey};
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use gillnet_entry::time::Rfc3339;
use gillnet_kfl::Filter;
use serde::Deserialize;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// A file that is asked for.
#[derive(Clone, Debug)]
pub struct ExportQuery {
    /// What is exported.
    pub filter: Filter,
    /// Only what is at or after this, ns.
    pub since: i64,
    /// Only what is before this, ns.
    pub until: i64,
    /// `pcapng`, `pcap`, `har`, `jsonl` or `csv`.
    pub format: String,
    /// Only these streams, where some are named.
    pub streams: Vec<StreamKey>,
    /// Columns of `csv` and `jsonl`; the usual where none are named.
    pub columns: Vec<String>,
    /// Whether a file is wanted also where something of it cannot be read.
    pub incomplete: bool,
    /// Whether nobody waits for it any more.
    pub gone: Arc<AtomicBool>,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub enum NoExport {
    /// There is no such format, column or stream, or it can't be asked for together.
    #[error("{0}")]
    Wrong(String),
    /// Nothing matches.
    #[error("{0}")]
    Nothing(String),
    /// It can't be read, or not all of it.
    #[error(transparent)]
    Failed(#[from] Refused),
}

/// Where a file is written to; it ends with what it is written by.
#[derive(Debug)]
pub struct Outlet {
    to: mpsc::Sender<Piece>,
    gone: Arc<AtomicBool>,
}

#[derive(Debug)]
enum Piece {
    Notes(Vec<String>),
    Bytes(Bytes),
}

impl Outlet {
    /// Says what the file does not have, before anything is written.
    pub fn notes(&self, notes: Vec<String>) {
        if !notes.is_empty() {
            // who has gone needs none
            let _ = self.to.blocking_send(Piece::Notes(notes));
        }
    }
}

impl io::Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Piece::Bytes(Bytes::copy_from_slice(bytes));
        let sent = self.to.blocking_send(piece);
        if sent.is_err() || self.gone.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    #[serde(alias = "q", alias = "filter")]
    kfl: String,
    lang: Option<String>,
    #[serde(alias = "from")]
    since: Option<String>,
    #[serde(alias = "to")]
    until: Option<String>,
    format: String,
    stream: String,
    cluster: String,
    node: String,
    run: String,
    columns: String,
    incomplete: bool,
}

/// Pieces that wait to be sent, at most; each is some hundred kilobytes.
const PIECES: usize = 4;

/// Says what is not in the file: a JSON array of sentences.
const NOTES: HeaderName = HeaderName::from_static("gillnet-notes");

/// Formats with their media types and the ends of their names.
const FORMATS: [(&str, &str); 5] = [
    ("pcapng", "application/x-pcapng"),
    ("pcap", "application/vnd.tcpdump.pcap"),
    ("har", "application/json"),
    ("jsonl", "application/x-ndjson"),
    ("csv", "text/csv; charset=utf-8; header=present"),
];

pub(crate) async fn answer(
    State(backend): State<Shown>,
    Query(asked): Query<Asked>,
) -> Result<Response, Response> {
    let wrong = |message: &str| refuse(StatusCode::BAD_REQUEST, message);
    let format = FORMATS.iter().find(|(name, _)| *name == asked.format);
    let (format, media) = format.ok_or_else(|| {
        let names = FORMATS.map(|(name, _)| name).join(", ");
        wrong(&format!("`format` is one of {names}"))
    })?;
    let origin = (!asked.run.is_empty())
        .then(|| [asked.cluster.clone(), asked.node.clone(), asked.run.clone()]);
    let mut streams = Vec::new();
    for name in names(&asked.stream) {
        let stream = StreamKey::parse(&name)
            .ok_or_else(|| wrong(&format!("`{name}` is no name of a stream")))?;
        streams.push(StreamKey {
            origin: origin.clone(),
            ..stream
        });
    }
    let leaves = Leaves::default();
    let query = ExportQuery {
        filter: filter(&backend, &asked.kfl, asked.lang.as_deref()).map_err(refused)?,
        since: edge(&asked.since, i64::MIN)?,
        until: edge(&asked.until, i64::MAX)?,
        format: (*format).to_owned(),
        columns: names(&asked.columns),
        incomplete: asked.incomplete,
        gone: Arc::clone(&leaves.0),
        streams,
    };
    let called = called(&query, format);
    let (to, mut pieces) = mpsc::channel(PIECES);
    let out = Outlet {
        to,
        gone: Arc::clone(&leaves.0),
    };
    let work = tokio::task::spawn_blocking(move || backend.export(&query, out));
    let mut done = Box::pin(async move {
        work.await.unwrap_or_else(|_| {
            let message = "the file could not be made; the log says why";
            Err(Refused(message.into()).into())
        })
    });
    let mut notes = Vec::new();
    let first = loop {
        match pieces.recv().await {
            Some(Piece::Notes(said)) => notes.extend(said),
            Some(Piece::Bytes(bytes)) => break bytes,
            None => match (&mut done).await {
                Ok(()) => break Bytes::new(),
                Err(error) => return Err(refusal(&error)),
            },
        }
    };
    let is_over = first.is_empty();
    let state = (Some(first), pieces, (!is_over).then_some(done), leaves);
    let body =
        futures_util::stream::unfold(state, |(first, mut pieces, done, leaves)| async move {
            if let Some(first) = first {
                return Some((Ok(first), (None, pieces, done, leaves)));
            }
            let done = done?;
            loop {
                match pieces.recv().await {
                    Some(Piece::Notes(_)) => {}
                    Some(Piece::Bytes(bytes)) => {
                        return Some((Ok(bytes), (None, pieces, Some(done), leaves)));
                    }
                    None => break,
                }
            }
            // an error breaks the connection off, so that no short file is taken for a whole one
            match done.await {
                Ok(()) => None,
                Err(error) => {
                    tracing::warn!("an export breaks off: {error}");
                    Some((
                        Err(io::Error::other(error.to_string())),
                        (None, pieces, None, leaves),
                    ))
                }
            }
        });
    let mut response = Body::from_stream(body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    let disposition = format!("attachment; filename=\"{called}\"");
    if let Ok(value) = HeaderValue::from_str(&disposition) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    if !notes.is_empty()
        && let Ok(value) = HeaderValue::from_str(&serde_json::json!(notes).to_string())
    {
        headers.insert(NOTES, value);
    }
    Ok(response)
}

fn refusal(error: &NoExport) -> Response {
    let status = match error {
        NoExport::Wrong(_) => StatusCode::BAD_REQUEST,
        NoExport::Nothing(_) => StatusCode::NOT_FOUND,
        NoExport::Failed(_) => StatusCode::BAD_GATEWAY,
    };
    refuse(status, &error.to_string())
}

/// What the file is called: after its only stream, else after its time, or now.
fn called(query: &ExportQuery, format: &str) -> String {
    if let [stream] = &*query.streams {
        let name = stream.name();
        let stem = name.strip_suffix(".pcap").unwrap_or(&name).to_owned();
        return format!("{stem}.{format}");
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = i64::try_from(now.unwrap_or_default().as_nanos()).unwrap_or(i64::MAX);
    let from = if query.since == i64::MIN {
        now
    } else {
        query.since
    };
    let text = Rfc3339(from).to_string();
    let plain = text.get(..19).unwrap_or(&text).replace(':', "-");
    format!("gillnet-{plain}Z.{format}")
}
