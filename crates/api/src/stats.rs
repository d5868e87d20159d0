//! `/api/stats`: counts, sums and percentiles over entries.

use crate::doors::refuse;
use crate::routes::{Shown, edge, filter, off, refused};
use crate::{NoStats, StatsQuery};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
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
}

/// Says that nobody waits any more, when the request ends in whatever way.
struct Leaves(Arc<AtomicBool>);

impl Drop for Leaves {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn names(text: &str) -> Vec<String> {
    let names = text.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

pub(crate) async fn answer(
    State(backend): State<Shown>,
    Query(asked): Query<Asked>,
) -> Result<Response, Response> {
    let leaves = Leaves(Arc::default());
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
        gone: Arc::clone(&leaves.0),
    };
    let json = off(move || backend.stats(&query)).await?;
    drop(leaves);
    let json = json.map_err(|error| match error {
        NoStats::Wrong(message) => refuse(StatusCode::BAD_REQUEST, &message),
        NoStats::Failed(refused) => refuse(StatusCode::BAD_GATEWAY, &refused.to_string()),
    })?;
    Ok(([(CONTENT_TYPE, "application/json")], json).into_response())
}
