//! Who is let in: a token for all of `/api`, no foreign Host (DNS rebinding), no foreign Origin.

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, LOCATION, ORIGIN,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rand::RngExt;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;

const COOKIE_NAME: &str = "gillnet_token";
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The secret that opens `/api`. Never shown by `Debug`.
#[derive(Clone)]
pub struct Token(String);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// A token made at start: 128 random bits.
    pub fn random() -> Token {
        let bits: u128 = rand::rng().random();
        Token(format!("{bits:032x}"))
    }

    /// A token of one's own: at least 16 characters that may stand in a URL and a cookie.
    pub fn own(text: &str) -> Result<Token, String> {
        let text = text.trim();
        if text.len() < 16 {
            return Err("the token is shorter than 16 characters".into());
        }
        if let Some(odd) = text
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !"-._~".contains(*c))
        {
            return Err(format!(
                "the token holds `{odd}`; use letters, digits and - . _ ~"
            ));
        }
        Ok(Token(text.to_owned()))
    }

    /// The token, for the printed URL.
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// Compares without telling by its time how much agrees.
    fn is(&self, other: &str) -> bool {
        Sha256::digest(&self.0) == Sha256::digest(other)
    }
}

/// The doors of one listener.
#[derive(Clone, Debug)]
pub struct Doors {
    /// What opens them.
    pub token: Token,
    /// Host names beside IP addresses and `localhost` under which it may be reached.
    pub hosts: Vec<String>,
}

/// Turns away what may not come in, and puts the policy on what goes out.
pub(crate) async fn guard(
    State(doors): State<Arc<Doors>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match doors.check(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal,
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(CONTENT_SECURITY_POLICY) {
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        headers.insert(CONTENT_SECURITY_POLICY, nothing);
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

impl Doors {
    #[allow(clippy::result_large_err)] // the refusal is the answer itself
    fn check(&self, request: &Request) -> Result<(), Response> {
        let headers = request.headers();
        let host = header(headers, &HOST);
        if !self.is_own_host(host) {
            return Err(refuse(
                StatusCode::FORBIDDEN,
                "this Host is not one of Gillnet's; open it by its IP address or localhost",
            ));
        }
        if !is_same_origin(headers, host) {
            return Err(refuse(
                StatusCode::FORBIDDEN,
                "requests of other origins are refused",
            ));
        }
        let path = request.uri().path();
        let asked = query_token(request.uri().query());
        if !path.starts_with("/api") {
            // the printed URL: its token becomes a cookie, and goes from the address bar
            return match asked {
                Some(token) if self.token.is(token) => Err(self.admit()),
                _ => Ok(()),
            };
        }
        let given = [asked, bearer(headers), cookie(headers)];
        if given.iter().flatten().any(|token| self.token.is(token)) {
            return Ok(());
        }
        Err(refuse(
            StatusCode::UNAUTHORIZED,
            "no or a wrong token: open the address that gillnet printed",
        ))
    }

    fn is_own_host(&self, host: &str) -> bool {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
            _ => host,
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || self.hosts.iter().any(|own| own == name)
    }

    fn admit(&self) -> Response {
        let cookie = format!(
            "{COOKIE_NAME}={}; Path=/; HttpOnly; SameSite=Strict",
            self.token.secret()
        );
        let mut response = StatusCode::SEE_OTHER.into_response();
        response
            .headers_mut()
            .insert(LOCATION, HeaderValue::from_static("/"));
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
        response
    }
}

fn header<'h>(headers: &'h HeaderMap, name: &HeaderName) -> &'h str {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}

/// Browsers name the origin of what a page asks for; programs name none.
fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    let site = header(headers, &FETCH_SITE);
    let navigation = matches!(site, "" | "same-origin" | "none");
    let origin = header(headers, &ORIGIN);
    let own = origin.is_empty()
        || origin
            .split_once("://")
            .is_some_and(|(_, authority)| authority == host);
    own && (navigation || is_page_visit(headers))
}

/// A link from elsewhere may open the page itself; it shows nothing without the cookie, which is not sent then.
fn is_page_visit(headers: &HeaderMap) -> bool {
    let mode = header(headers, &HeaderName::from_static("sec-fetch-mode"));
    let dest = header(headers, &HeaderName::from_static("sec-fetch-dest"));
    mode == "navigate" && dest == "document"
}

fn query_token(query: Option<&str>) -> Option<&str> {
    query?
        .split('&')
        .find_map(|pair| pair.strip_prefix("token="))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    header(headers, &AUTHORIZATION).strip_prefix("Bearer ")
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    cookies.flat_map(|value| value.split(';')).find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE_NAME).then_some(value)
    })
}

/// A refusal in the form of every error of the API.
pub(crate) fn refuse(status: StatusCode, message: &str) -> Response {
    let body = serde_json::json!({ "error": { "message": message } });
    (status, axum::Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doors() -> Doors {
        Doors {
            token: Token::own("0123456789abcdef").unwrap(),
            hosts: vec!["gillnet.example".into()],
        }
    }

    fn check(uri: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = axum::http::Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        match doors().check(&request.body(axum::body::Body::empty()).unwrap()) {
            Ok(()) => 200,
            Err(response) => response.status().as_u16(),
        }
    }

    #[test]
    fn the_token_opens_the_api_three_ways() {
        let host = ("host", "127.0.0.1:8899");
        assert_eq!(check("/api/status", &[host]), 401);
        assert_eq!(check("/api/status?token=0123456789abcdef", &[host]), 200);
        assert_eq!(
            check(
                "/api/status",
                &[host, ("authorization", "Bearer 0123456789abcdef")]
            ),
            200
        );
        assert_eq!(
            check(
                "/api/status",
                &[host, ("cookie", "a=b; gillnet_token=0123456789abcdef")]
            ),
            200
        );
        assert_eq!(
            check(
                "/api/status",
                &[host, ("cookie", "gillnet_token=0123456789abcdee")]
            ),
            401
        );
        assert_eq!(check("/?token=0123456789abcdef", &[host]), 303);
        assert_eq!(check("/", &[host]), 200);
    }

    #[test]
    fn foreign_hosts_and_origins_are_refused() {
        let ask = |host: &str, more: &[(&str, &str)]| {
            let mut headers = vec![("host", host)];
            headers.extend_from_slice(more);
            check("/api/status?token=0123456789abcdef", &headers)
        };
        for own in [
            "localhost",
            "localhost:8899",
            "127.0.0.1:1",
            "[::1]:8899",
            "gillnet.example:80",
        ] {
            assert_eq!(ask(own, &[]), 200, "{own}");
        }
        for foreign in [
            "evil.example",
            "evil.example:8899",
            "localhost.evil.example",
            "",
        ] {
            assert_eq!(ask(foreign, &[]), 403, "{foreign}");
        }
        assert_eq!(ask("localhost:1", &[("origin", "http://localhost:1")]), 200);
        for foreign in ["http://localhost:2", "http://evil.example", "null"] {
            assert_eq!(ask("localhost:1", &[("origin", foreign)]), 403, "{foreign}");
        }
        assert_eq!(ask("localhost:1", &[("sec-fetch-site", "cross-site")]), 403);
        let visit = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert_eq!(ask("localhost:1", &visit), 200);
    }

    #[test]
    fn tokens_of_ones_own_are_checked_and_never_shown() {
        assert!(Token::own("short").is_err() && Token::own("0123456789abcde;").is_err());
        assert_eq!(format!("{:?}", doors().token), "Token(…)");
        assert_eq!(Token::random().secret().len(), 32);
    }
}
