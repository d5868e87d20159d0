//! `vendor.influxdb`: one point by the line protocol of InfluxDB v2.

use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::{Method, header};
use serde_json::{Map, Value};

use super::{
    Error, Vendors,
    http::{Request, url_of},
    webhook::text,
};

const CALL: &str = "vendor.influxdb";
const HOSTS: &[&str] = &["*.influxdata.com"];

/// Where points go.
#[derive(Clone, Copy, Debug)]
pub struct Influx<'a> {
    /// Base URL.
    pub url: &'a str,
    /// API token.
    pub token: &'a str,
    /// Organisation.
    pub org: &'a str,
    /// Bucket.
    pub bucket: &'a str,
}

impl Vendors {
    /// `vendor.influxdb(url, token, org, bucket, measurement, fields, tags)`: writes one point of now.
    ///
    /// # Errors
    /// A measurement without name, no field with a value, and what InfluxDB answers.
    pub fn influxdb(
        &self,
        to: Influx<'_>,
        measurement: &str,
        fields: &Map<String, Value>,
        tags: &Map<String, Value>,
    ) -> Result<(), Error> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos());
        let line = line(measurement, fields, tags, now)?;
        let base = match self.endpoint("influxdb") {
            Some(endpoint) => endpoint.clone(),
            None => url_of(CALL, "URL", to.url)?,
        };
        let base = base.as_str().trim_end_matches('/').to_owned();
        let mut url = url_of(CALL, "URL", &format!("{base}/api/v2/write"))?;
        url.query_pairs_mut()
            .append_pair("org", to.org)
            .append_pair("bucket", to.bucket)
            .append_pair("precision", "ns");
        let request = Request::new(CALL, Method::POST, url)
            .own(HOSTS)
            .secret(to.token)
            .header(header::AUTHORIZATION, &format!("Token {}", to.token))?
            .body("text/plain; charset=utf-8", line);
        self.run(move |http| async move { http.send_well(request).await })
            .map(|_| ())
    }
}

/// One line. Numbers are floats, as those of JavaScript are: a field that were an integer once
/// would refuse a fraction later.
fn line(
    measurement: &str,
    fields: &Map<String, Value>,
    tags: &Map<String, Value>,
    time: u128,
) -> Result<String, Error> {
    // a line that begins with # is a comment
    if measurement.is_empty() || measurement.starts_with('#') {
        let why = "the measurement's name is empty or begins with #";
        return Err(Error::argument(CALL, why));
    }
    let mut line = escaped(measurement, &[',', ' ']);
    let mut known: Vec<_> = tags
        .iter()
        .filter_map(|(key, value)| Some((name(key), escaped(&text(value)?, &[',', '=', ' ']))))
        .filter(|(key, value)| !key.is_empty() && !value.is_empty())
        .collect();
    known.sort_unstable();
    for (key, value) in known {
        line.extend([",", &key, "=", &value]);
    }
    let mut before = ' ';
    for (key, value) in fields {
        let Some(value) = field(value) else { continue };
        let key = name(key);
        if key.is_empty() {
            continue;
        }
        line.push(before);
        line.extend([key.as_str(), "=", &value]);
        before = ',';
    }
    if before == ' ' {
        return Err(Error::argument(CALL, "there is no field with a value"));
    }
    line.push_str(&format!(" {time}"));
    Ok(line)
}

fn name(key: &str) -> String {
    escaped(key, &[',', '=', ' '])
}

/// A name or tag: line ends can't stand in one, nor can a backslash at its end.
fn escaped(text: &str, special: &[char]) -> String {
    let mut out = String::with_capacity(text.len() + 4);
    for c in text.trim_end_matches('\\').chars() {
        match c {
            '\n' | '\r' | '\t' => out.push_str("\\ "),
            c if special.contains(&c) => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out
}

fn field(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::Bool(truth) => return Some(truth.to_string()),
        Value::Number(number) => return number.as_f64().map(|number| number.to_string()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(format!(
        "\"{}\"",
        text.replace('\\', "\\\\").replace('"', "\\\"")
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn made(measurement: &str, fields: Value, tags: Value) -> Result<String, String> {
        let map = |value: Value| value.as_object().cloned().unwrap();
        line(measurement, &map(fields), &map(tags), 5).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_special_is_escaped() {
        assert_eq!(
            made("Status Codes", json!({"200": 3, "5,x": 1.5}), json!({})).unwrap(),
            "Status\\ Codes 200=3,5\\,x=1.5 5"
        );
        assert_eq!(
            made(
                "m",
                json!({"s": "a \"b\" \\", "t": true, "n": null, "l": [1]}),
                json!({"z": "a=b,c d", "a": "x\\", "none": null, "empty": ""})
            )
            .unwrap(),
            r#"m,a=x,z=a\=b\,c\ d s="a \"b\" \\",t=true,l="[1]" 5"#
        );
    }

    #[test]
    fn what_is_no_point_is_refused() {
        for (measurement, fields) in [
            ("", json!({"a": 1})),
            ("#m", json!({"a": 1})),
            ("m", json!({"a": null})),
        ] {
            assert!(made(measurement, fields, json!({})).is_err());
        }
    }
}
