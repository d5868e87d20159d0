//! The routes of the API.

use crate::doors::{guard, refuse};
use crate::{
    Backend, Cursor, Doors, EntryKey, LiveStore, Page, PageQuery, PcapFormat, Status, StreamKey,
    export, filters, queried, scripts, stats, ui, values,
};
use axum::body::Bytes;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gillnet_entry::{Bump, OwnedEntry};
use gillnet_kfl::{Errors, Filter, Lang, Options};
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) type Shown = Arc<dyn Backend>;

/// Serves dashboard and API on a listener until `stop` resolves.
pub async fn serve(
    listener: tokio::net::TcpListener,
    backend: Shown,
    doors: Doors,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router(backend, doors))
        .with_graceful_shutdown(stop)
        .await
}

fn router(backend: Shown, doors: Doors) -> Router {
    Router::new()
        .route("/api/status", get(status))
        .route("/api/entries", get(entries))
        .route("/api/entries/{id}", get(entry))
        .route("/api/stats", get(stats::answer))
        .route("/api/export", get(export::answer))
        .route("/api/streams/{stream}/pcap", get(stream))
        .route("/api/live", get(live))
        .route("/api/kfl/validate", post(validate))
        .route("/api/kfl/complete", post(complete))
        .route("/api/openapi.json", get(openapi))
        .merge(scripts::router())
        .route("/api/{*rest}", axum::routing::any(unknown))
        .fallback(get(ui::file))
        .with_state(backend)
        .layer(axum::middleware::from_fn_with_state(Arc::new(doors), guard))
}

async fn unknown() -> Response {
    refuse(
        StatusCode::NOT_FOUND,
        "there is nothing of that name in the API; see /api/openapi.json",
    )
}

async fn openapi() -> Response {
    (
        [(CONTENT_TYPE, "application/json")],
        include_str!("../openapi.json"),
    )
        .into_response()
}

/// Runs what may read files off the server's threads.
pub(crate) async fn off<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Response> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| {
        refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the answer could not be made; the log says why",
        )
    })
}

async fn status(State(backend): State<Shown>) -> Result<Response, Response> {
    let status = off(move || Status {
        default_filter: backend.speech().default.clone(),
        ..backend.status()
    });
    Ok(Json(status.await?).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    kfl: String,
    lang: Option<String>,
    since: Option<String>,
    until: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
    order: Option<String>,
}

/// Most rows of a page.
const MOST_ROWS: usize = 1000;

impl Asked {
    #[allow(clippy::result_large_err)] // the refusal is the answer itself
    fn query(&self, backend: &Shown) -> Result<PageQuery, Response> {
        let wrong = |message: String| refuse(StatusCode::BAD_REQUEST, &message);
        let after = match self.cursor.as_deref() {
            None | Some("") => None,
            Some(text) => {
                Some(Cursor::parse(text).ok_or_else(|| wrong(format!("`{text}` is no cursor")))?)
            }
        };
        Ok(PageQuery {
            filter: filter(backend, &self.kfl, self.lang.as_deref()).map_err(refused)?,
            since: edge(&self.since, i64::MIN)?,
            until: edge(&self.until, i64::MAX)?,
            limit: self.limit.unwrap_or(200).clamp(1, MOST_ROWS),
            after,
            newest_first: self.order.as_deref() != Some("asc"),
        })
    }
}

/// An end of a span of time, open where it is not given.
#[allow(clippy::result_large_err)] // the refusal is the answer itself
pub(crate) fn edge(text: &Option<String>, open: i64) -> Result<i64, Response> {
    match text.as_deref() {
        None | Some("") => Ok(open),
        Some(text) => moment(text).ok_or_else(|| {
            let message = format!("`{text}` is no time; write RFC 3339, or ns since the epoch");
            refuse(StatusCode::BAD_REQUEST, &message)
        }),
    }
}

/// A moment as ns since the epoch, from that number or from RFC 3339.
fn moment(text: &str) -> Option<i64> {
    text.parse()
        .ok()
        .or_else(|| gillnet_entry::time::parse(text))
}

pub(crate) fn lang(name: Option<&str>) -> Lang {
    name.and_then(Lang::named).unwrap_or_default()
}

fn options(lang: Option<&str>) -> Options {
    let lang = self::lang(lang);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Options {
        lang,
        lenient: false,
        now: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
    }
}

/// A filter inside the global one; else the answer says what is wrong with it.
pub(crate) fn filter(
    backend: &Shown,
    kfl: &str,
    lang: Option<&str>,
) -> Result<Filter, serde_json::Value> {
    let (speech, options) = (backend.speech(), options(lang));
    let wrong = |what: &str, errors: &Errors, text: &str| {
        let errors = filters::errors(&errors.errors, text);
        serde_json::json!({ "message": format!("the {what} is wrong"), "errors": errors })
    };
    let filter = gillnet_kfl::compile(&speech.env, kfl, &options)
        .map_err(|errors| wrong("filter", &errors, kfl))?;
    speech
        .bounded(filter, options.now)
        .map_err(|errors| wrong("global filter", &errors, &speech.global))
}

pub(crate) fn refused(error: serde_json::Value) -> Response {
    let body = serde_json::json!({ "error": error });
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

async fn entries(
    State(backend): State<Shown>,
    Query(asked): Query<Asked>,
) -> Result<Response, Response> {
    let query = asked.query(&backend)?;
    let page = off(move || backend.page(&query)).await?;
    let page = page.map_err(|e| refuse(StatusCode::BAD_GATEWAY, &e.to_string()))?;
    Ok(([(CONTENT_TYPE, "application/json")], page_json(&page)).into_response())
}

fn page_json(page: &Page) -> Vec<u8> {
    let mut out = b"{\"entries\":".to_vec();
    rows_json(page.rows.iter(), &mut out);
    let next = page.next.as_ref().map(Cursor::text);
    let rest = serde_json::json!({ "next": next, "matched": page.matched }).to_string();
    out.push(b',');
    out.extend_from_slice(&rest.as_bytes()[1..]);
    out
}

fn rows_json<'r>(rows: impl Iterator<Item = &'r Vec<u8>>, out: &mut Vec<u8>) {
    out.push(b'[');
    for (i, row) in rows.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(row);
    }
    out.push(b']');
}

/// Where an entry or stream was recorded, for sources that are buckets.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct From {
    cluster: String,
    node: String,
    run: String,
    format: String,
    /// The filter whose entry it is: what that hides is not shown.
    kfl: String,
    lang: Option<String>,
}

impl From {
    fn origin(&self) -> Option<[String; 3]> {
        (!self.run.is_empty()).then(|| [self.cluster.clone(), self.node.clone(), self.run.clone()])
    }
}

async fn entry(
    State(backend): State<Shown>,
    Path(id): Path<String>,
    Query(from): Query<From>,
) -> Result<Response, Response> {
    let mut key = EntryKey::parse(&id)
        .ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "that is no id of an entry"))?;
    key.stream.origin = from.origin();
    let filter = filter(&backend, &from.kfl, from.lang.as_deref()).map_err(refused)?;
    let found = off(move || backend.entry(&key, &filter)).await?;
    match found.map_err(|e| refuse(StatusCode::BAD_GATEWAY, &e.to_string()))? {
        Some(json) => Ok(([(CONTENT_TYPE, "application/json")], json).into_response()),
        None => Err(refuse(
            StatusCode::NOT_FOUND,
            "the entry is not there, or no longer: the live view keeps the newest",
        )),
    }
}

async fn stream(
    State(backend): State<Shown>,
    Path(name): Path<String>,
    Query(from): Query<From>,
) -> Result<Response, Response> {
    let mut key = StreamKey::parse(&name)
        .ok_or_else(|| refuse(StatusCode::BAD_REQUEST, "that is no name of a stream"))?;
    key.origin = from.origin();
    let (format, ending) = match from.format.as_str() {
        "" | "pcap" => (PcapFormat::Pcap, ""),
        "pcapng" => (PcapFormat::Pcapng, "ng"),
        _ => {
            return Err(refuse(
                StatusCode::BAD_REQUEST,
                "formats are pcap and pcapng",
            ));
        }
    };
    let disposition = format!("attachment; filename=\"{}{ending}\"", key.name());
    let found = off(move || backend.stream(&key, format)).await?;
    match found.map_err(|e| refuse(StatusCode::BAD_GATEWAY, &e.to_string()))? {
        Some(bytes) => {
            let headers = [
                (CONTENT_TYPE, "application/vnd.tcpdump.pcap".to_owned()),
                (CONTENT_DISPOSITION, disposition),
            ];
            Ok((headers, bytes).into_response())
        }
        None => Err(refuse(
            StatusCode::NOT_FOUND,
            "the packets of that stream are not there, or no longer",
        )),
    }
}

#[derive(Debug, Deserialize)]
struct Text {
    kfl: String,
    #[serde(default)]
    cursor: usize,
    lang: Option<String>,
}

async fn validate(State(backend): State<Shown>, body: Bytes) -> Result<Response, Response> {
    let text = read_text(&body)?;
    let speech = backend.speech();
    let found = gillnet_kfl::validate(&speech.env, &text.kfl, &options(text.lang.as_deref()));
    Ok(Json(filters::validation(&found, &text.kfl)).into_response())
}

async fn complete(State(backend): State<Shown>, body: Bytes) -> Result<Response, Response> {
    let text = read_text(&body)?;
    let cursor = filters::byte_offset(&text.kfl, text.cursor);
    let lang = options(text.lang.as_deref()).lang;
    let bounds = filter(&backend, "", None).map_err(refused)?;
    let answer = off(move || {
        let found = gillnet_kfl::complete(&backend.speech().env, &text.kfl, cursor, lang);
        let values = match (&found.values, backend.live()) {
            (Some(values), Some(store)) => values::frequent(store, &bounds, values),
            _ => Vec::new(),
        };
        filters::completion(&found, &values, &text.kfl)
    });
    Ok(Json(answer.await?).into_response())
}

#[allow(clippy::result_large_err)] // the refusal is the answer itself
fn read_text(body: &[u8]) -> Result<Text, Response> {
    serde_json::from_slice(body).map_err(|e| {
        refuse(
            StatusCode::BAD_REQUEST,
            &format!("the body is no request: {e}"),
        )
    })
}

async fn live(
    State(backend): State<Shown>,
    Query(asked): Query<Asked>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let filter = filter(&backend, &asked.kfl, asked.lang.as_deref());
    upgrade.on_upgrade(async move |socket| match (filter, backend.live()) {
        (Err(error), _) => {
            say_once(socket, &serde_json::json!({ "type": "error", "error": error })).await;
        }
        (_, None) => {
            say_once(socket, &serde_json::json!({ "type": "error", "error": { "message": "nothing is live here: these are recordings" } })).await;
        }
        (Ok(filter), Some(store)) => feed(socket, Arc::clone(store), filter, &backend).await,
    })
}

async fn say_once(mut socket: WebSocket, message: &serde_json::Value) {
    // who has gone needs no answer
    let _ = socket.send(Message::Text(message.to_string().into())).await;
    let _ = socket.send(Message::Close(None)).await;
}

/// Time between two messages, and the most rows in one.
const BEAT: Duration = Duration::from_millis(100);
const MOST_LIVE_ROWS: usize = 1000;

async fn feed(mut socket: WebSocket, store: Arc<LiveStore>, filter: Filter, backend: &Shown) {
    let mut next = store.end();
    let mut beat = tokio::time::interval(BEAT);
    let mut skipped = 0;
    for turn in 0u64.. {
        tokio::select! {
            _ = beat.tick() => {}
            message = socket.recv() => match message {
                None | Some(Err(_) | Ok(Message::Close(_))) => return,
                Some(Ok(_)) => continue,
            }
        }
        let since = store.since(next, MOST_LIVE_ROWS);
        next = since.next;
        skipped += since.skipped;
        let Ok(rows) = fresh(since.entries, &filter, backend).await else {
            return;
        };
        if !rows.is_empty()
            && socket
                .send(Message::Text(rows_message(&rows).into()))
                .await
                .is_err()
        {
            return;
        }
        if turn % 10 == 0 {
            let drops = backend.status().drops;
            let status =
                serde_json::json!({ "type": "status", "drops": drops, "skipped": skipped });
            if socket
                .send(Message::Text(status.to_string().into()))
                .await
                .is_err()
            {
                return;
            }
        }
    }
}

/// The rows of new entries that match, as scripts have them shown.
async fn fresh(
    mut entries: Vec<Arc<OwnedEntry>>,
    filter: &Filter,
    backend: &Shown,
) -> Result<Vec<Vec<u8>>, Response> {
    let mut arena = Bump::new();
    entries.retain(|entry| {
        let matches = entry.with(&arena, |entry| filter.matches(entry));
        arena.reset();
        matches
    });
    if entries.is_empty() {
        return Ok(Vec::new());
    }
    match queried::asked(backend.scripts()).cloned() {
        None => Ok(queried::rows(&entries, filter, None)),
        Some(scripts) => {
            let filter = filter.clone();
            off(move || queried::rows(&entries, &filter, Some(&scripts))).await
        }
    }
}

fn rows_message(rows: &[Vec<u8>]) -> String {
    let mut out = b"{\"type\":\"entries\",\"entries\":".to_vec();
    rows_json(rows.iter(), &mut out);
    out.push(b'}');
    String::from_utf8_lossy(&out).into_owned()
}
