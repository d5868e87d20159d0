//! The one HTTP client of all vendor calls: its connections are reused, it asks no proxy, every
//! request and redirect goes through the doors, and every body has a limit.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Client, Method, StatusCode, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
    redirect,
};

use super::{
    Limits,
    doors::{Doors, Refusal, Resolver},
    error::{Error, ErrorKind, excerpt},
};

pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Connections that nobody used for so long are closed; vendors do so after a minute or more.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);
/// Redirects that are followed.
const MAX_REDIRECTS: usize = 10;

/// What becomes of an answer that points elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Redirects {
    /// It is followed, through the doors.
    #[default]
    Follow,
    /// It is an error.
    Error,
    /// It is the answer.
    Manual,
}

/// A request.
pub(crate) struct Request {
    pub(crate) call: &'static str,
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Bytes>,
    /// The vendor's own hosts.
    pub(crate) own: &'static [&'static str],
    pub(crate) redirects: Redirects,
    /// Taken out of what an answer says before it becomes part of an error.
    pub(crate) secrets: Vec<String>,
}

impl Request {
    pub(crate) fn new(call: &'static str, method: Method, url: Url) -> Self {
        Self {
            call,
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            own: &[],
            redirects: Redirects::Error,
            secrets: Vec::new(),
        }
    }

    /// A header; a value that can't be one is an error that does not show it.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Result<Self, Error> {
        let mut held = HeaderValue::from_str(value).map_err(|_| {
            Error::argument(
                self.call,
                format!("the {name} header can't hold what was given: it has line ends or control characters"),
            )
        })?;
        held.set_sensitive(name == header::AUTHORIZATION);
        self.headers.insert(name, held);
        Ok(self)
    }

    pub(crate) fn body(mut self, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        self.headers
            .entry(header::CONTENT_TYPE)
            .or_insert(HeaderValue::from_static(content_type));
        self.body = Some(body.into());
        self
    }

    pub(crate) fn own(mut self, own: &'static [&'static str]) -> Self {
        self.own = own;
        self
    }

    pub(crate) fn secret(mut self, secret: &str) -> Self {
        self.secrets.push(secret.to_owned());
        self
    }
}

/// An answer, read whole.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Where it came from in the end.
    pub(crate) url: Url,
    pub(crate) redirected: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// The client; a clone shares its connections.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) client: Client,
    /// For look-ups of credentials, which are link-local; see [`super::lookup`].
    pub(crate) lookups: Client,
    pub(crate) doors: Arc<Doors>,
    pub(crate) limits: Limits,
    /// What a call may take in all, uploads too.
    pub(crate) whole: Option<Duration>,
}

impl Http {
    pub(crate) fn new(doors: Arc<Doors>, limits: Limits) -> Result<Self, reqwest::Error> {
        let client = builder()
            .dns_resolver(Resolver(Arc::clone(&doors)))
            .build()?;
        let lookups = builder().connect_timeout(Duration::from_secs(1)).build()?;
        Ok(Self {
            client,
            lookups,
            doors,
            limits,
            whole: None,
        })
    }

    /// Sends a request and reads the answer, whatever its status.
    pub(crate) async fn send(&self, request: Request) -> Result<Answer, Error> {
        self.send_by(&self.client, request).await
    }

    /// The same by a client of its own (one that trusts a certificate of its own).
    pub(crate) async fn send_by(&self, client: &Client, request: Request) -> Result<Answer, Error> {
        let call = request.call;
        let length = request.body.as_ref().map_or(0, Bytes::len);
        if length as u64 > self.limits.request {
            return Err(too_large(
                call,
                "the body",
                length as u64,
                self.limits.request,
            ));
        }
        let limit = self.limits.timeout;
        let place = shown(&request.url);
        match tokio::time::timeout(limit, self.follow(client, request)).await {
            Ok(answer) => answer,
            Err(_) => Err(too_slow(call, &place, limit)),
        }
    }

    /// The same, and anything but 2xx is an error that quotes the answer.
    pub(crate) async fn send_well(&self, request: Request) -> Result<Answer, Error> {
        self.send_well_by(&self.client, request).await
    }

    pub(crate) async fn send_well_by(
        &self,
        client: &Client,
        request: Request,
    ) -> Result<Answer, Error> {
        let (call, secrets) = (request.call, request.secrets.clone());
        let answer = self.send_by(client, request).await?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(refused(call, &answer, &secrets))
    }

    async fn follow(&self, client: &Client, request: Request) -> Result<Answer, Error> {
        let Request {
            call,
            mut method,
            mut url,
            mut headers,
            mut body,
            own,
            redirects,
            ..
        } = request;
        let mut redirected = false;
        for _ in 0..=MAX_REDIRECTS {
            self.doors
                .check(&url, own)
                .map_err(|refusal| Error::new(call, ErrorKind::Refused, refusal.to_string()))?;
            let mut asked = client
                .request(method.clone(), url.clone())
                .headers(headers.clone());
            if let Some(body) = &body {
                asked = asked.body(body.clone());
            }
            let mut response = asked
                .send()
                .await
                .map_err(|error| unreachable(call, &url, &error))?;
            let status = response.status();
            let target = match redirects {
                Redirects::Manual => None,
                _ if !status.is_redirection() => None,
                _ => response
                    .headers()
                    .get(header::LOCATION)
                    .and_then(|value| value.to_str().ok())
                    .map(|target| url.join(target)),
            };
            let Some(target) = target else {
                let body = self.read(call, &url, &mut response).await?;
                return Ok(Answer {
                    status,
                    headers: response.headers().clone(),
                    body,
                    url,
                    redirected,
                });
            };
            let target = target.map_err(|_| {
                let why = format!("{} points to what is no URL", shown(&url));
                Error::answer(call, status.as_u16(), why)
            })?;
            if redirects == Redirects::Error {
                let why = format!("{} points elsewhere, to {}", shown(&url), shown(&target));
                return Err(Error::answer(call, status.as_u16(), why));
            }
            // RFC 9110 §15.4: what everybody does with POST
            let becomes_get = match status.as_u16() {
                301 | 302 => method == Method::POST,
                303 => method != Method::HEAD,
                _ => false,
            };
            if becomes_get {
                method = Method::GET;
                body = None;
                for name in [header::CONTENT_TYPE, header::CONTENT_ENCODING] {
                    headers.remove(name);
                }
            }
            if target.origin() != url.origin() {
                forget_secrets(&mut headers);
            }
            url = target;
            redirected = true;
        }
        let why = format!(
            "{} points elsewhere more than {MAX_REDIRECTS} times",
            shown(&url)
        );
        Err(Error::new(call, ErrorKind::Answer, why))
    }

    async fn read(
        &self,
        call: &'static str,
        url: &Url,
        response: &mut reqwest::Response,
    ) -> Result<Bytes, Error> {
        let limit = self.limits.answer;
        let over = |size| {
            let what = format!("the answer of {}", shown(url));
            too_large(call, &what, size, limit)
        };
        if let Some(size) = response.content_length().filter(|size| *size > limit) {
            return Err(over(size));
        }
        let mut whole = Vec::new();
        loop {
            let chunk = response
                .chunk()
                .await
                .map_err(|error| unreachable(call, url, &error))?;
            let Some(chunk) = chunk else {
                return Ok(whole.into());
            };
            if (whole.len() + chunk.len()) as u64 > limit {
                return Err(over((whole.len() + chunk.len()) as u64));
            }
            whole.extend_from_slice(&chunk);
        }
    }
}

/// What all our clients have in common: no proxy of the environment, no redirect that was not looked at.
pub(crate) fn builder() -> reqwest::ClientBuilder {
    Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .user_agent(concat!("gillnet/", env!("CARGO_PKG_VERSION")))
}

/// What may be shown of a URL: paths and queries hold secrets (webhooks, keys, signatures).
pub(crate) fn shown(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{}://{host}:{port}", url.scheme()),
        None => format!("{}://{host}", url.scheme()),
    }
}

/// A URL that a script gave. What can't be read is not shown: it may hold a key.
pub(crate) fn url_of(call: &'static str, what: &str, text: &str) -> Result<Url, Error> {
    if text.trim().is_empty() {
        return Err(Error::argument(call, format!("no {what} was given")));
    }
    let url = Url::parse(text.trim()).map_err(|error| {
        let mend = "give http://HOST/PATH or https://HOST/PATH";
        Error::argument(call, format!("the {what} is no URL: {error}; {mend}"))
    })?;
    if url.has_host() {
        Ok(url)
    } else {
        Err(Error::argument(call, format!("the {what} has no host")))
    }
}

/// An answer that is no success, with what it says.
pub(crate) fn refused(call: &'static str, answer: &Answer, secrets: &[String]) -> Error {
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    let said = excerpt(&answer.text(), &secrets);
    let status = answer.status.as_u16();
    let place = shown(&answer.url);
    let colon = if said.is_empty() { "" } else { ": " };
    Error::answer(
        call,
        status,
        format!("{place} answered {status}{colon}{said}"),
    )
}

pub(crate) fn too_large(call: &'static str, what: &str, size: u64, limit: u64) -> Error {
    Error::new(
        call,
        ErrorKind::TooLarge,
        format!("{what} has {size} bytes; at most {limit} are taken"),
    )
}

pub(crate) fn too_slow(call: &'static str, place: &str, limit: Duration) -> Error {
    Error::new(
        call,
        ErrorKind::Timeout,
        format!(
            "{place} gave no whole answer within {} s",
            limit.as_secs_f32()
        ),
    )
}

/// The refusal in a chain of causes, where there is one.
pub(crate) fn refusal_in<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Refusal> {
    let mut at = Some(error);
    while let Some(cause) = at {
        if let Some(refusal) = cause.downcast_ref::<Refusal>() {
            return Some(refusal);
        }
        // io::Error gives its inner error's source and not the inner error itself
        let inner = cause
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if let Some(refusal) = inner.and_then(|inner| inner.downcast_ref::<Refusal>()) {
            return Some(refusal);
        }
        at = cause.source();
    }
    None
}

fn unreachable(call: &'static str, url: &Url, error: &reqwest::Error) -> Error {
    if let Some(refusal) = refusal_in(error) {
        return Error::new(call, ErrorKind::Refused, refusal.to_string());
    }
    let mut last: &dyn StdError = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    // the outermost text has the URL in it
    let why = if error.source().is_some() {
        last.to_string()
    } else if error.is_builder() {
        "the request can't be made".to_owned()
    } else {
        "the connection broke".to_owned()
    };
    let (kind, what) = if error.is_timeout() {
        (ErrorKind::Timeout, "did not answer in time")
    } else if error.is_connect() {
        (ErrorKind::Unreachable, "can't be reached")
    } else {
        (ErrorKind::Unreachable, "gave no whole answer")
    };
    Error::new(call, kind, format!("{} {what}: {why}", shown(url)))
}

/// What must not go to another origin.
fn forget_secrets(headers: &mut HeaderMap) {
    const WORDS: [&str; 6] = ["auth", "cookie", "key", "token", "secret", "signature"];
    let told: Vec<_> = headers
        .keys()
        .filter(|name| WORDS.iter().any(|word| name.as_str().contains(word)))
        .cloned()
        .collect();
    for name in told {
        headers.remove(name);
    }
}

impl Http {
    /// How long an upload of so many bytes may take: longer by its size, at the slowest speed that
    /// is waited for.
    pub(crate) fn upload_time(&self, size: u64) -> Duration {
        const SLOWEST: u64 = 128 << 10;
        let time = self.limits.timeout + Duration::from_secs(size / SLOWEST);
        self.whole.map_or(time, |whole| time.min(whole))
    }
}
