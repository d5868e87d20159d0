//! `vendor.webhook`, `vendor.webhookForm` and `fetch`: requests to whatever the doors let through.

use reqwest::{
    Method,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Map, Value};

use super::{
    Error, Redirects, Vendors,
    http::{Answer, Request, url_of},
};

/// What `fetch` asks.
#[derive(Clone, Debug, Default)]
pub struct Fetch {
    /// `GET` where it is empty.
    pub method: String,
    /// Where to.
    pub url: String,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body, where there is one.
    pub body: Option<Vec<u8>>,
    /// What becomes of redirects.
    pub redirects: Redirects,
}

/// What `fetch` got.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// Its usual phrase.
    pub status_text: &'static str,
    /// Names in lower case and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Where it came from in the end.
    pub url: String,
    /// Whether a redirect was followed.
    pub redirected: bool,
}

impl Vendors {
    /// `vendor.webhook(method, url, body, headers)`: the answer's body, whatever its status.
    /// `body` is sent as it is, with `application/json` where it is JSON and no type is given.
    ///
    /// # Errors
    /// A host that is refused, no answer, a body beyond its limit.
    pub fn webhook(
        &self,
        method: &str,
        url: &str,
        body: &str,
        headers: &Map<String, Value>,
    ) -> Result<String, Error> {
        const CALL: &str = "vendor.webhook";
        let given = headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), text(value)?)));
        let mut request = request(CALL, method, url, given)?;
        if !body.is_empty() {
            let json = matches!(body.trim_start().bytes().next(), Some(b'{' | b'['));
            let kind = if json {
                "application/json"
            } else {
                "text/plain; charset=utf-8"
            };
            request = request.body(kind, body.to_owned());
        }
        request.redirects = Redirects::Follow;
        self.run(move |http| async move { http.send(request).await })
            .map(|answer| answer.text())
    }

    /// `vendor.webhookForm(method, url, form)`: the fields as `multipart/form-data`; the answer's
    /// body, whatever its status.
    ///
    /// # Errors
    /// As [`Vendors::webhook`].
    pub fn webhook_form(
        &self,
        method: &str,
        url: &str,
        form: &Map<String, Value>,
    ) -> Result<String, Error> {
        const CALL: &str = "vendor.webhookForm";
        let mut request = request(CALL, method, url, std::iter::empty())?;
        let boundary = format!("gillnet-{:032x}", rand::random::<u128>());
        let kind = format!("multipart/form-data; boundary={boundary}");
        request = request.header(header::CONTENT_TYPE, &kind)?;
        request.body = Some(multipart(&boundary, form).into());
        request.redirects = Redirects::Follow;
        self.run(move |http| async move { http.send(request).await })
            .map(|answer| answer.text())
    }

    /// `fetch(url, {method, headers, body, redirect})`.
    ///
    /// # Errors
    /// As [`Vendors::webhook`].
    pub fn fetch(&self, fetch: Fetch) -> Result<Fetched, Error> {
        const CALL: &str = "fetch";
        let given = fetch
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()));
        let mut request = request(CALL, &fetch.method, &fetch.url, given)?;
        if let Some(body) = fetch.body {
            request = request.body("text/plain; charset=utf-8", body);
        }
        request.redirects = fetch.redirects;
        self.run(move |http| async move { http.send(request).await })
            .map(fetched)
    }
}

fn fetched(answer: Answer) -> Fetched {
    Fetched {
        status: answer.status.as_u16(),
        status_text: answer.status.canonical_reason().unwrap_or_default(),
        headers: answer
            .headers
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect(),
        body: answer.body.into(),
        url: answer.url.into(),
        redirected: answer.redirected,
    }
}

/// A value as text, as JavaScript's `String()` gives scalars; objects as JSON; nothing for `null`.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The fields as RFC 7578 has them.
fn multipart(boundary: &str, form: &Map<String, Value>) -> String {
    let mut body = String::new();
    for (name, value) in form {
        let Some(value) = text(value) else { continue };
        let name = name
            .replace('"', "%22")
            .replace('\r', "%0D")
            .replace('\n', "%0A");
        let head =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.extend([head.as_str(), &value, "\r\n"]);
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    body
}

/// A request with what a script gave.
fn request<'a>(
    call: &'static str,
    method: &str,
    url: &str,
    headers: impl Iterator<Item = (&'a str, String)>,
) -> Result<Request, Error> {
    let method = match method.trim() {
        "" => Method::GET,
        given => Method::from_bytes(given.to_ascii_uppercase().as_bytes())
            .map_err(|_| Error::argument(call, format!("\"{given}\" is no HTTP method")))?,
    };
    if matches!(method, Method::CONNECT | Method::TRACE) {
        let why = format!("the method {method} is not taken");
        return Err(Error::argument(call, why));
    }
    let mut request = Request::new(call, method, url_of(call, "URL", url)?);
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let name: HeaderName = name.trim().parse().map_err(|_| {
            let why = "a header's name has characters that it can't have";
            Error::argument(call, why)
        })?;
        // the client writes these itself; a Host of another's would get around the doors
        match name {
            header::HOST => {
                let why = "the header Host can't be set: it is the URL's host";
                return Err(Error::argument(call, why));
            }
            header::CONTENT_LENGTH | header::TRANSFER_ENCODING | header::CONNECTION => continue,
            _ => {}
        }
        let value = HeaderValue::from_str(&value).map_err(|_| {
            let why = format!("the header {name} has line ends or control characters");
            Error::argument(call, why)
        })?;
        map.append(name, value);
    }
    request.headers = map;
    Ok(request)
}
