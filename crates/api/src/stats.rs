//! `/api/stats`: counts, sums and percentiles over entries.

use crate::doors::refuse;
use crate::routes::{Shown, edge, filter, lang, off, refused};
use crate::{News, NoStats, StatsQuery};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    #[serde(alias = "filter")]
    kfl: String,
    lang: Option<String>,
    since: Option<String>,
    until: Option<String>,
    by: String,
    every: Option<String>,
    measures: String,
    top: Option<usize>,
    sort: Option<String>,
    filters: bool,
}

/// Says that nobody waits any more, when the request ends in whatever way.
#[derive(Default)]
pub(crate) struct Leaves(pub(crate) Arc<AtomicBool>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(crate) fn names(text: &str) -> Vec<String> {
    let names = text.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

pub(crate) async fn answer(
    State(backend): State<Shown>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    let leaves = Leaves::default();
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    let query = StatsQuery {
        filter: filter(&backend, &asked.kfl, asked.lang.as_deref()).map_err(refused)?,
        since: edge(&asked.since, i64::MIN)?,
        until: edge(&asked.until, i64::MAX)?,
        by: names(&asked.by),
        every: some(asked.every),
        measures: names(&asked.measures),
        top: asked.top,
        sort: some(asked.sort),
        filters: asked.filters,
        lang: lang(asked.lang.as_deref()),
        gone: Arc::clone(&leaves.0),
        news: None,
    };
    let takes = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    if takes.is_some_and(|takes| takes.contains(LINES)) {
        return lines(backend, query, leaves).await;
    }
    let json = off(move || backend.stats(&query)).await?;
    drop(leaves);
    let json = json.map_err(|error| refusal(&error))?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}

fn refusal(error: &NoStats) -> Response {
    match error {
        NoStats::Wrong(message) => refuse(StatusCode::BAD_REQUEST, message),
        NoStats::Failed(refused) => refuse(StatusCode::BAD_GATEWAY, &refused.to_string()),
    }
}

/// Answers to what was read so far, a line each, and at last the whole one, or what went wrong.
const LINES: &str = "application/x-ndjson";

async fn lines(
    backend: Shown,
    mut query: StatsQuery,
    leaves: Leaves,
) -> Result<Response, Response> {
    // one that waits to be sent is old already
    let (tell, mut told) = tokio::sync::watch::channel(Vec::new());
    let news = tell.clone();
    query.news = Some(News(Arc::new(move |json| {
        news.send_replace(json);
    })));
    let mut answer = Box::pin(off(move || backend.stats(&query)));
    let first = tokio::select! {
        biased;
        whole = &mut answer => return Ok(body(whole?.map_err(|error| refusal(&error))?)),
        _ = told.changed() => told.borrow_and_update().clone(),
    };
    let last = async move {
        match answer.await {
            Ok(Ok(json)) => json,
            Ok(Err(error)) => line_of(&error.to_string()),
            Err(_) => line_of("the answer could not be made; the log says why"),
        }
    };
    let state = (Some(first), told, Some(Box::pin(last)), leaves, tell);
    let lines = futures_util::stream::unfold(state, |state| async move {
        let (first, mut told, last, leaves, tell) = state;
        let mut last = last?;
        let (mut line, rest) = match first {
            Some(first) => (first, Some(last)),
            None => tokio::select! {
                biased;
                line = &mut last => (line, None),
                _ = told.changed() => (told.borrow_and_update().clone(), Some(last)),
            },
        };
        line.push(b'\n');
        Some((Ok::<_, Infallible>(line), (None, told, rest, leaves, tell)))
    });
    Ok(body(Body::from_stream(lines)))
}

fn body(lines: impl Into<Body>) -> Response {
    ([(CONTENT_TYPE, LINES)], lines.into()).into_response()
}

fn line_of(error: &str) -> Vec<u8> {
    serde_json::json!({ "error": { "message": error } })
        .to_string()
        .into_bytes()
}
