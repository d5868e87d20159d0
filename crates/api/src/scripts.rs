//! The routes of scripts: listed, changed, asked, and their console.
//!
//! The console is a WebSocket with one text message a line, `[<node>-<script>] text`, first those that are kept. What
//! is no line is a JSON object: `{"type":"live"}` after the kept lines, `{"type":"clear"}` where what was shown is to
//! be cleared, `{"type":"lost","lines":7}` where so many lines were lost to a listener who was too slow.

use crate::doors::refuse;
use crate::routes::{Shown, off};
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gillnet_entry::time::Rfc3339;
use gillnet_scripts::{
    Error, JobStatus, RunStatus, Said, ScriptStatus, Scripts, State as Doing, StoreError,
    SyntaxError,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::Duration;

/// Most bytes of a request: more than a script may have, so that it is the script that is said to be too long.
const LONGEST: usize = 5 << 20;

/// All routes below `/api/scripts`.
pub(crate) fn router() -> Router<Shown> {
    Router::new()
        .route("/api/scripts", get(list).post(add))
        .route(
            "/api/scripts/{number}",
            get(one).put(change).patch(activate).delete(delete),
        )
        .route("/api/scripts/jobs", get(jobs))
        .route("/api/scripts/jobs/{tag}/run", post(run))
        .route("/api/scripts/check", post(check))
        .route("/api/scripts/types", get(types))
        .route("/api/scripts/logs", get(logs))
        .layer(DefaultBodyLimit::max(LONGEST))
}

/// The scripts of the backend.
#[allow(clippy::result_large_err)] // the refusal is the answer itself
fn scripts(backend: &Shown) -> Result<Scripts, Response> {
    backend.scripts().cloned().ok_or_else(|| {
        refuse(
            StatusCode::NOT_FOUND,
            "there are no scripts here: only a process that records runs them",
        )
    })
}

/// Asks the scripts, off the server's threads: they may read files, and wait for a script.
async fn ask<T: Send + 'static>(
    backend: &Shown,
    work: impl FnOnce(&Scripts) -> Result<T, Error> + Send + 'static,
) -> Result<T, Response> {
    let scripts = scripts(backend)?;
    off(move || work(&scripts))
        .await?
        .map_err(|error| failed(&error))
}

/// An error of scripts in the form of every error of the API.
fn failed(error: &Error) -> Response {
    let status = match error {
        Error::Syntax(fault) => {
            let body =
                json!({ "error": { "message": fault.to_string(), "errors": [mistake(fault)] } });
            return (StatusCode::BAD_REQUEST, Json(body)).into_response();
        }
        Error::Store(StoreError::NoSuch(_)) | Error::Job(_) => StatusCode::NOT_FOUND,
        Error::Store(StoreError::NoFolder | StoreError::TooMany) => StatusCode::CONFLICT,
        Error::Store(StoreError::TooLong) => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    refuse(status, &error.to_string())
}

fn mistake(fault: &SyntaxError) -> Value {
    let SyntaxError {
        file,
        line,
        column,
        message,
    } = fault;
    json!({ "file": file, "line": line, "column": column, "message": message })
}

/// The text of a request.
#[allow(clippy::result_large_err)] // the refusal is the answer itself
fn text(body: Result<Bytes, BytesRejection>) -> Result<String, Response> {
    let body = body.map_err(|rejected| {
        let mut refusal = refuse(rejected.status(), &rejected.body_text());
        // what is left of the body is not read: nothing else can follow on this connection
        let headers = refusal.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        refusal
    })?;
    String::from_utf8(body.into()).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let message = format!("the script is not UTF-8: byte {at} is none of it");
        refuse(StatusCode::BAD_REQUEST, &message)
    })
}

/// The number in a path.
#[allow(clippy::result_large_err)] // the refusal is the answer itself
fn number(text: &str) -> Result<u32, Response> {
    text.parse().map_err(|_| {
        let message = format!("`{text}` is no number of a script; GET /api/scripts lists them");
        refuse(StatusCode::NOT_FOUND, &message)
    })
}

fn at(ns: i64) -> String {
    Rfc3339(ns).to_string()
}

const fn doing(state: &Doing) -> &'static str {
    match state {
        Doing::Loading => "loading",
        Doing::Running => "running",
        Doing::Failed(_) => "failed",
        Doing::Paused(_) => "paused",
        Doing::Stopped => "stopped",
    }
}

/// What a script does, in a word: the worst of its runs.
fn state(script: &ScriptStatus) -> &'static str {
    let states = ["failed", "paused", "loading", "stopped", "running"];
    let worst = states
        .into_iter()
        .find(|state| script.runs.iter().any(|run| doing(&run.state) == *state));
    worst.unwrap_or(if script.active { "stopped" } else { "inactive" })
}

fn run_json(run: &RunStatus) -> Value {
    let calls = run.calls.iter().map(|(hook, called, dropped)| {
        json!({ "hook": hook.name(), "called": called, "dropped": dropped })
    });
    let (why, until) = match &run.state {
        Doing::Failed(why) => (Some(why), None),
        Doing::Paused(until) => (None, Some(at(*until))),
        _ => (None, None),
    };
    json!({
        "side": run.side.name(),
        "state": doing(&run.state),
        "failure": why,
        "pausedUntil": until,
        "hooks": run.hooks.iter().map(|hook| hook.name()).collect::<Vec<_>>(),
        "calls": calls.collect::<Vec<_>>(),
        "waiting": run.waiting,
        "errors": run.errors,
        "lastError": run.last_error,
        "memory": run.memory,
    })
}

fn job_json(job: &JobStatus) -> Value {
    json!({
        "tag": job.tag,
        "script": job.script,
        "side": job.side.name(),
        "cron": job.cron,
        "limit": job.limit,
        "runs": job.runs,
        "running": job.running,
        "next": job.next.map(at),
    })
}

fn script_json(script: &ScriptStatus, jobs: &[JobStatus]) -> Value {
    let sum = |of: fn(&RunStatus) -> u64| script.runs.iter().map(of).sum::<u64>();
    let mut hooks: Vec<_> = script
        .runs
        .iter()
        .flat_map(|run| run.hooks.iter())
        .collect();
    hooks.sort_unstable();
    hooks.dedup();
    let jobs = jobs.iter().filter(|job| job.script == Some(script.number));
    json!({
        "number": script.number,
        "title": script.title,
        "file": script.path,
        "active": script.active,
        "added": script.added,
        "records": script.records,
        "state": state(script),
        "hooks": hooks.iter().map(|hook| hook.name()).collect::<Vec<_>>(),
        "jobs": jobs.map(|job| &job.tag).collect::<Vec<_>>(),
        "calls": sum(|run| run.calls.iter().map(|(_, called, _)| called).sum()),
        "drops": sum(|run| run.calls.iter().map(|(_, _, dropped)| dropped).sum()),
        "errors": sum(|run| run.errors),
        "memory": sum(|run| run.memory),
        "runs": script.runs.iter().map(run_json).collect::<Vec<_>>(),
    })
}

/// One script, as it is now.
fn shown(scripts: &Scripts, number: u32) -> Result<Value, Error> {
    let status = scripts.status();
    let script = status.iter().find(|script| script.number == number);
    let script = script.ok_or(StoreError::NoSuch(number))?;
    Ok(script_json(script, &scripts.planned()))
}

async fn list(State(backend): State<Shown>) -> Result<Response, Response> {
    let body = ask(&backend, |scripts| {
        let jobs = scripts.planned();
        let status = scripts.status();
        let (lines, errors) = scripts.console().counts();
        let streams = scripts.streams();
        Ok(json!({
            "scripts": status.iter().map(|script| script_json(script, &jobs)).collect::<Vec<_>>(),
            "console": { "lines": lines, "errors": errors },
            "streams": { "written": streams.written, "cut": streams.cut, "missed": streams.missed },
        }))
    });
    Ok(Json(body.await?).into_response())
}

async fn one(State(backend): State<Shown>, Path(id): Path<String>) -> Result<Response, Response> {
    let number = number(&id)?;
    let body = ask(&backend, move |scripts| {
        let mut body = shown(scripts, number)?;
        body["text"] = (*scripts.text(number)?).into();
        Ok(body)
    });
    Ok(Json(body.await?).into_response())
}

async fn add(
    State(backend): State<Shown>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    scripts(&backend)?;
    let text = text(body)?;
    let added = ask(&backend, move |scripts| {
        let number = scripts.add(&text)?;
        shown(scripts, number)
    });
    Ok((StatusCode::CREATED, Json(added.await?)).into_response())
}

async fn change(
    State(backend): State<Shown>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    scripts(&backend)?;
    let (number, text) = (number(&id)?, text(body)?);
    let changed = ask(&backend, move |scripts| {
        scripts.change(number, &text)?;
        shown(scripts, number)
    });
    Ok(Json(changed.await?).into_response())
}

async fn delete(
    State(backend): State<Shown>,
    Path(id): Path<String>,
) -> Result<Response, Response> {
    let number = number(&id)?;
    ask(&backend, move |scripts| scripts.delete(number)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Active {
    active: bool,
}

async fn activate(
    State(backend): State<Shown>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    scripts(&backend)?;
    let (number, text) = (number(&id)?, text(body)?);
    let Active { active } = serde_json::from_str(&text).map_err(|error| {
        let message = format!("the body is no request, as {{\"active\": true}} is one: {error}");
        refuse(StatusCode::BAD_REQUEST, &message)
    })?;
    let script = ask(&backend, move |scripts| {
        scripts.activate(number, active)?;
        shown(scripts, number)
    });
    let script = script.await?;
    if script["active"] != active {
        return Err(refuse(
            StatusCode::CONFLICT,
            "it is noted, but no script is active while scripting.enabled is false in the configuration",
        ));
    }
    Ok(Json(script).into_response())
}

async fn jobs(State(backend): State<Shown>) -> Result<Response, Response> {
    let body = ask(&backend, |scripts| {
        let jobs = scripts.planned();
        Ok(json!({ "jobs": jobs.iter().map(job_json).collect::<Vec<_>>() }))
    });
    Ok(Json(body.await?).into_response())
}

async fn run(State(backend): State<Shown>, Path(tag): Path<String>) -> Result<Response, Response> {
    let asked = tag.clone();
    ask(&backend, move |scripts| scripts.run_job(&asked)).await?;
    // it runs when its script has time
    Ok((StatusCode::ACCEPTED, Json(json!({ "tag": tag }))).into_response())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    file: String,
}

async fn check(
    State(backend): State<Shown>,
    Query(named): Query<Named>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Response> {
    scripts(&backend)?;
    let text = text(body)?;
    let file = match named.file {
        file if file.is_empty() => "script.js".to_owned(),
        file => file,
    };
    let mistakes = off(move || gillnet_scripts::review(&file, &text)).await?;
    let errors: Vec<_> = mistakes.iter().map(mistake).collect();
    Ok(Json(json!({ "ok": errors.is_empty(), "errors": errors })).into_response())
}

async fn types(State(backend): State<Shown>) -> Result<Response, Response> {
    scripts(&backend)?;
    let kind = (CONTENT_TYPE, "text/plain; charset=utf-8");
    Ok(([kind], gillnet_scripts::TYPES).into_response())
}

async fn logs(
    State(backend): State<Shown>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Response> {
    let scripts = scripts(&backend)?;
    if !scripts.console().is_on() {
        return Err(refuse(
            StatusCode::FORBIDDEN,
            "scripting.console is false in the configuration: what scripts say is kept for nobody",
        ));
    }
    let upgrade = upgrade.map_err(|rejected| refuse(rejected.status(), &rejected.body_text()))?;
    let listener = scripts.console().listen();
    Ok(upgrade.on_upgrade(async move |socket| tell(socket, listener).await))
}

/// Time between two looks at what was said.
const BEAT: Duration = Duration::from_millis(100);

/// Hands on what is said on the console until one of both ends goes.
async fn tell(mut socket: WebSocket, listener: Receiver<Said>) {
    let mut beat = tokio::time::interval(BEAT);
    let mut live = false;
    loop {
        tokio::select! {
            _ = beat.tick() => {}
            message = socket.recv() => match message {
                None | Some(Err(_) | Ok(Message::Close(_))) => return,
                Some(Ok(_)) => continue,
            }
        }
        loop {
            let message = match listener.try_recv() {
                Ok(said) => message(&said),
                Err(TryRecvError::Empty) if live => break,
                Err(TryRecvError::Empty) => {
                    live = true;
                    control(&json!({ "type": "live" }))
                }
                Err(TryRecvError::Disconnected) => {
                    // who has gone needs no farewell
                    let _ = socket.send(Message::Close(None)).await;
                    return;
                }
            };
            if socket.send(message).await.is_err() {
                return;
            }
        }
    }
}

fn message(said: &Said) -> Message {
    match said {
        Said::Line { text, .. } => Message::Text((**text).into()),
        Said::Clear => control(&json!({ "type": "clear" })),
        Said::Lost(lines) => control(&json!({ "type": "lost", "lines": lines })),
    }
}

fn control(value: &Value) -> Message {
    Message::Text(value.to_string().into())
}
