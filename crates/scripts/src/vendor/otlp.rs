//! `vendor.otlp`: logs, metrics and traces to what takes OTLP over HTTP, as JSON.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::{Method, header::HeaderName};
use serde_json::{Map, Value, json};

use super::{
    Error, ErrorKind, Vendors,
    error::excerpt,
    http::{Request, url_of},
    webhook::text,
};

const CALL: &str = "vendor.otlp";

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `/v1/logs`.
    Logs,
    /// `/v1/metrics`.
    Metrics,
    /// `/v1/traces`.
    Traces,
}

impl Signal {
    /// `logs`, `metrics` or `traces`.
    ///
    /// # Errors
    /// Where it is none of these.
    pub fn parse(text: &str) -> Result<Self, Error> {
        match text {
            "logs" => Ok(Self::Logs),
            "metrics" => Ok(Self::Metrics),
            "traces" => Ok(Self::Traces),
            _ => Err(Error::argument(
                CALL,
                "the signal is one of logs, metrics and traces",
            )),
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Logs => "v1/logs",
            Self::Metrics => "v1/metrics",
            Self::Traces => "v1/traces",
        }
    }

    /// The keys of a whole request, of its scopes and of their records.
    fn keys(self) -> [&'static str; 3] {
        match self {
            Self::Logs => ["resourceLogs", "scopeLogs", "logRecords"],
            Self::Metrics => ["resourceMetrics", "scopeMetrics", "metrics"],
            Self::Traces => ["resourceSpans", "scopeSpans", "spans"],
        }
    }
}

impl Vendors {
    /// `vendor.otlp(url, signal, data, {headers, resource})`. `data` is a whole export request in
    /// OTLP's JSON (`{resourceLogs: […]}`), which is sent as it is, or a record or list of records:
    /// - logs: `{time, severity, body, attributes, traceId, spanId}`, or a text;
    /// - metrics: `{name, value, time, unit, description, attributes, type: "gauge" | "sum"}`;
    /// - traces: `{name, start, end, traceId, spanId, parentSpanId, kind, attributes, error}`.
    ///
    /// Times are in milliseconds since 1970 and now where none is given. `url` is the base URL or
    /// that of the signal.
    ///
    /// # Errors
    /// A record that lacks what it needs, by its number, and what the collector answers, also where
    /// it refuses a part.
    pub fn otlp(
        &self,
        url: &str,
        signal: Signal,
        data: &Value,
        headers: &Map<String, Value>,
        resource: &Map<String, Value>,
    ) -> Result<(), Error> {
        let whole = data.get(signal.keys()[0]).is_some();
        let body = if whole {
            data.to_string()
        } else {
            let node = &self.inner.node.name;
            export(signal, data, resource, node, now())?.to_string()
        };
        let base = match self.endpoint("otlp") {
            Some(endpoint) => endpoint.clone(),
            None => url_of(CALL, "URL", url)?,
        };
        let base = base.as_str().trim_end_matches('/');
        let path = signal.path();
        let url = if base.ends_with(path) {
            base.to_owned()
        } else {
            format!("{base}/{path}")
        };
        let mut request = Request::new(CALL, Method::POST, url_of(CALL, "URL", &url)?);
        for (name, value) in headers {
            let Some(value) = text(value) else { continue };
            let name: HeaderName = name.trim().parse().map_err(|_| {
                Error::argument(CALL, "a header's name has characters that it can't have")
            })?;
            if name == reqwest::header::HOST {
                return Err(Error::argument(CALL, "the header Host can't be set"));
            }
            request = request.header(name, &value)?.secret(&value);
        }
        let request = request.body("application/json", body);
        let answer = self.run(move |http| async move { http.send_well(request).await })?;
        partial(&answer.body).map_or(Ok(()), Err)
    }
}

/// A collector answers 200 also where it refuses some records.
fn partial(body: &[u8]) -> Option<Error> {
    let said: Value = serde_json::from_slice(body).ok()?;
    let part = said.get("partialSuccess")?.as_object()?;
    let refused = part.iter().find_map(|(key, value)| {
        let count = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        (key.starts_with("rejected") && count > 0).then_some(count)
    })?;
    let why = part.get("errorMessage").and_then(Value::as_str);
    let why = excerpt(why.unwrap_or("without saying why"), &[]);
    let message = format!("the collector refused {refused} of them: {why}");
    Some(Error {
        status: Some(200),
        ..Error::new(CALL, ErrorKind::Answer, message)
    })
}

fn now() -> u128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos())
}

/// Records as an export request.
fn export(
    signal: Signal,
    data: &Value,
    resource: &Map<String, Value>,
    node: &str,
    now: u128,
) -> Result<Value, Error> {
    let one = [data.clone()];
    let records = data.as_array().map_or(&one[..], Vec::as_slice);
    let made = records
        .iter()
        .enumerate()
        .map(|(index, record)| {
            let made = match signal {
                Signal::Logs => log(record, now),
                Signal::Metrics => metric(record, now),
                Signal::Traces => span(record, now),
            };
            made.map_err(|why| Error::argument(CALL, format!("record {index}: {why}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut about = json!({"service.name": "gillnet", "host.name": node});
    if let Some(about) = about.as_object_mut() {
        about.extend(resource.clone());
    }
    let [whole, scopes, list] = signal.keys();
    let scope = json!({"name": "gillnet", "version": env!("CARGO_PKG_VERSION")});
    Ok(json!({
        whole: [{
            "resource": {"attributes": attributes(Some(&about))},
            scopes: [{"scope": scope, list: made}],
        }],
    }))
}

/// Milliseconds as OTLP's nanoseconds, which are text in its JSON.
fn nanoseconds(time: Option<&Value>, now: u128) -> Result<String, &'static str> {
    match time {
        None | Some(Value::Null) => Ok(now.to_string()),
        Some(value) => value
            .as_f64()
            .filter(|time| (0.0..1e15).contains(time))
            // whole milliseconds first: their product with a million is beyond what a float holds
            .map(|time| time.floor() as u128 * 1_000_000 + ((time.fract() * 1e6) as u128))
            .map(|time| time.to_string())
            .ok_or("its time is no number of milliseconds since 1970"),
    }
}

fn attributes(value: Option<&Value>) -> Vec<Value> {
    let map = value.and_then(Value::as_object);
    map.into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null())
        .map(|(key, value)| json!({"key": key, "value": any(value)}))
        .collect()
}

/// A value as OTLP's AnyValue.
fn any(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(truth) => json!({"boolValue": truth}),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => json!({"intValue": whole.to_string()}),
            None => json!({"doubleValue": number}),
        },
        Value::String(text) => json!({"stringValue": text}),
        Value::Array(list) => {
            let values: Vec<_> = list.iter().map(any).collect();
            json!({"arrayValue": {"values": values}})
        }
        Value::Object(_) => json!({"kvlistValue": {"values": attributes(Some(value))}}),
    }
}

fn log(record: &Value, now: u128) -> Result<Value, &'static str> {
    let Some(fields) = record.as_object() else {
        let time = now.to_string();
        return Ok(
            json!({"timeUnixNano": time, "observedTimeUnixNano": time, "body": any(record)}),
        );
    };
    let mut made = json!({
        "timeUnixNano": nanoseconds(fields.get("time"), now)?,
        "observedTimeUnixNano": now.to_string(),
        "body": any(fields.get("body").unwrap_or(&Value::Null)),
        "attributes": attributes(fields.get("attributes")),
    });
    if let Some(severity) = fields.get("severity").and_then(Value::as_str) {
        made["severityText"] = severity.into();
        made["severityNumber"] = match severity.to_ascii_lowercase().as_str() {
            "trace" => 1,
            "debug" => 5,
            "info" => 9,
            "warn" | "warning" => 13,
            "error" => 17,
            "fatal" => 21,
            _ => 0,
        }
        .into();
    }
    ids(fields, &mut made, &[("traceId", 32), ("spanId", 16)])?;
    Ok(made)
}

fn metric(record: &Value, now: u128) -> Result<Value, &'static str> {
    let name = record.get("name").and_then(Value::as_str);
    let name = name
        .filter(|name| !name.is_empty())
        .ok_or("it has no name")?;
    let value = record.get("value").and_then(Value::as_f64);
    let value = value.ok_or("its value is no number")?;
    let time = nanoseconds(record.get("time"), now)?;
    let point = json!({
        "timeUnixNano": time,
        "asDouble": value,
        "attributes": attributes(record.get("attributes")),
    });
    let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut made = json!({"name": name, "unit": text("unit"), "description": text("description")});
    match record.get("type").and_then(Value::as_str) {
        None | Some("gauge") => made["gauge"] = json!({"dataPoints": [point]}),
        // what it was increased by since the last time
        Some("sum") => {
            made["sum"] = json!({
                "dataPoints": [point],
                "aggregationTemporality": 1,
                "isMonotonic": value >= 0.0,
            });
        }
        Some(_) => return Err("its type is neither gauge nor sum"),
    }
    Ok(made)
}

fn span(record: &Value, now: u128) -> Result<Value, &'static str> {
    let fields = record.as_object().ok_or("it is no object")?;
    let name = fields.get("name").and_then(Value::as_str);
    let name = name
        .filter(|name| !name.is_empty())
        .ok_or("it has no name")?;
    let kind = match fields.get("kind").and_then(Value::as_str) {
        None | Some("internal") => 1,
        Some("server") => 2,
        Some("client") => 3,
        Some("producer") => 4,
        Some("consumer") => 5,
        Some(_) => return Err("its kind is none of internal, server, client, producer, consumer"),
    };
    let start = fields.get("start").filter(|start| !start.is_null());
    let start = start.ok_or("it has no start")?;
    let error = fields
        .get("error")
        .filter(|error| !matches!(error, Value::Null | Value::Bool(false)));
    let mut made = json!({
        "traceId": format!("{:032x}", rand::random::<u128>().max(1)),
        "spanId": format!("{:016x}", rand::random::<u64>().max(1)),
        "name": name,
        "kind": kind,
        "startTimeUnixNano": nanoseconds(Some(start), now)?,
        "endTimeUnixNano": nanoseconds(fields.get("end"), now)?,
        "attributes": attributes(fields.get("attributes")),
    });
    if let Some(error) = error {
        made["status"] = json!({"code": 2, "message": error.as_str().unwrap_or_default()});
    }
    ids(
        fields,
        &mut made,
        &[("traceId", 32), ("spanId", 16), ("parentSpanId", 16)],
    )?;
    Ok(made)
}

/// Ids that were given, which are hexadecimal in OTLP's JSON.
fn ids(
    fields: &Map<String, Value>,
    made: &mut Value,
    wanted: &[(&str, usize)],
) -> Result<(), &'static str> {
    for (key, length) in wanted {
        match fields.get(*key) {
            None | Some(Value::Null) => {}
            Some(Value::String(id))
                if id.len() == *length && id.bytes().all(|b| b.is_ascii_hexdigit()) =>
            {
                made[*key] = id.to_ascii_lowercase().into();
            }
            Some(_) => return Err("its ids are 32 (traceId) and 16 (spanId) hexadecimal digits"),
        }
    }
    Ok(())
}
