//! Entries of HTTP as entries of an HTTP Archive (HAR 1.2). What is of Gillnet alone stands in members that begin with `_`.

use serde_json::{Map, Value, json};

/// What stands before the first entry.
pub fn head() -> String {
    let creator = json!({"name": "gillnet", "version": env!("CARGO_PKG_VERSION")});
    format!("{{\"log\":{{\"version\":\"1.2\",\"creator\":{creator},\"entries\":[\n")
}

/// What stands behind the last.
pub const TAIL: &str = "\n]}}\n";

/// An entry by its JSON; `None` where it is no exchange of HTTP.
pub fn entry(entry: &Value) -> Option<Value> {
    let (request, response) = (entry.get("request")?, entry.get("response")?);
    request.get("headers").or_else(|| response.get("headers"))?;
    // 0 where one of them is missing
    let elapsed = entry["elapsedTime"].as_f64().unwrap_or(0.0) / 1000.0;
    let mut out = json!({
        "startedDateTime": text(&entry["startTime"]),
        "time": elapsed,
        "request": self::request(request, &entry["dst"]),
        "response": self::response(response),
        "cache": {},
        // what was spent where is not known of packets alone
        "timings": {"blocked": -1, "dns": -1, "connect": -1, "send": 0, "wait": elapsed, "receive": 0, "ssl": -1},
        "serverIPAddress": text(&entry["dst"]["ip"]),
        "connection": text(&entry["stream"]),
    });
    if let Some(out) = out.as_object_mut() {
        let own = [
            "id",
            "node",
            "src",
            "dst",
            "tls",
            "error",
            "missingBytes",
            "truncatedBefore",
        ];
        for name in own {
            if let Some(value) = entry.get(name).filter(|value| !value.is_null()) {
                out.insert(format!("_{name}"), value.clone());
            }
        }
    }
    Some(out)
}

fn request(request: &Value, dst: &Value) -> Value {
    let headers = &request["headers"];
    let mut out = json!({
        "method": text(&request["method"]),
        "url": url(request, dst),
        "httpVersion": text(&request["httpVersion"]),
        "cookies": pairs(&request["cookies"]),
        "headers": pairs(headers),
        "queryString": pairs(&request["queryString"]),
        "headersSize": size(&request["headersSize"]),
        "bodySize": size(&request["bodySize"]),
    });
    let posted = request.get("postData").filter(|posted| posted.is_object());
    if let (Some(posted), Some(out)) = (posted, out.as_object_mut()) {
        let mut data =
            json!({"mimeType": text(&posted["mimeType"]), "text": text(&posted["text"])});
        if let (Some(params), Some(data)) = (posted["params"].as_array(), data.as_object_mut()) {
            data.insert("params".into(), params.iter().map(param).collect());
        }
        out.insert("postData".into(), data);
    }
    out
}

/// A field of a form, with what HAR knows of one.
fn param(param: &Value) -> Value {
    let known = ["name", "value", "fileName", "contentType"];
    let parts = known.iter().filter_map(|name| {
        let value = param.get(*name).filter(|value| !value.is_null())?;
        Some(((*name).to_owned(), Value::from(text(value))))
    });
    Value::Object(parts.collect())
}

/// What was asked for as a whole URL.
fn url(request: &Value, dst: &Value) -> String {
    let target = text(&request["url"]);
    if target.contains("://") {
        return target;
    }
    let host = request["headers"].as_object().and_then(|headers| {
        let host = headers.iter().find(|(name, _)| {
            name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
        });
        host.map(|(_, value)| text(value))
    });
    let host = host.filter(|host| !host.is_empty()).unwrap_or_else(|| {
        let (ip, port) = (text(&dst["ip"]), text(&dst["port"]));
        match ip.contains(':') {
            true => format!("[{ip}]:{port}"),
            false => format!("{ip}:{port}"),
        }
    });
    let slash = if target.starts_with('/') { "" } else { "/" };
    format!("http://{host}{slash}{target}")
}

fn response(response: &Value) -> Value {
    let content = &response["content"];
    let mut out = json!({
        "status": response["status"].as_i64().unwrap_or(0),
        "statusText": text(&response["statusText"]),
        "httpVersion": text(&response["httpVersion"]),
        "cookies": pairs(&response["cookies"]),
        "headers": pairs(&response["headers"]),
        "content": {"size": content["size"].as_i64().unwrap_or(0), "mimeType": text(&content["mimeType"])},
        "redirectURL": text(&response["redirectURL"]),
        "headersSize": size(&response["headersSize"]),
        "bodySize": size(&response["bodySize"]),
    });
    if let (Some(body), Some(out)) = (content["text"].as_str(), out["content"].as_object_mut())
        && !body.is_empty()
    {
        out.insert("text".into(), body.into());
        out.insert("encoding".into(), content["encoding"].clone());
    }
    if response.is_null()
        && let Some(out) = out.as_object_mut()
    {
        out.insert("_error".into(), "no response was seen".into());
    }
    out
}

/// A map as a list of names and values, a value of a list each on its own.
fn pairs(map: &Value) -> Value {
    let one = |name: &str, value: &Value| json!({"name": name, "value": text(value)});
    let all = map.as_object().into_iter().flat_map(Map::iter);
    all.flat_map(|(name, value)| match value {
        Value::Array(values) => values.iter().map(|value| one(name, value)).collect(),
        value => vec![one(name, value)],
    })
    .collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A size; -1 where it is not known.
fn size(value: &Value) -> i64 {
    value.as_i64().unwrap_or(-1)
}
