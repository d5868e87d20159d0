//! What object_store's errors say about a request.

use object_store::client::{HttpError, HttpErrorKind};

/// How a request of object_store's ended that did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server answered: status and body.
    Answer(u16, String),
    /// There are no credentials to sign it with: nothing was sent.
    Unsigned(String),
    /// The connection could not be made: nothing was sent.
    NoConnection(String),
    /// Sent, perhaps in part, and no whole answer.
    NoAnswer(String),
    /// The store's client refused to send it.
    Client(String),
}

/// What stands before the status in the text of a refused request; object_store's error type that
/// holds it is private.
const STATUS_TEXT: &str = "Server returned non-2xx status code: ";
/// What it says where a redirection has no address; S3 answers so from a bucket's wrong region.
const REDIRECT_TEXT: &str = "Received redirect without LOCATION";
const LIST_TEXT: &str = "Bulk delete request failed for key ";

/// What gives credentials gave none.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoCredentials(pub String);

impl Failure {
    /// Reads an error of object_store.
    #[must_use]
    pub fn of(error: &object_store::Error) -> Self {
        let mut at: Option<&(dyn std::error::Error + 'static)> = Some(error);
        let mut deepest = error.to_string();
        while let Some(cause) = at {
            let text = cause.to_string();
            if let Some(missing) = cause.downcast_ref::<NoCredentials>() {
                return Self::Unsigned(missing.0.clone());
            }
            if text.starts_with(REDIRECT_TEXT) {
                return Self::Answer(301, String::new());
            }
            if let Some(answer) = text.strip_prefix(STATUS_TEXT) {
                let (head, body) = answer.split_once(": ").unwrap_or((answer, ""));
                let status = head
                    .get(..3)
                    .and_then(|digits| digits.parse().ok())
                    .unwrap_or(0);
                return Self::Answer(status, body.to_owned());
            }
            // Azure deletes by lists, and an answer of one of them is a text alone
            if let Some(status) = text.strip_prefix(LIST_TEXT).and_then(status_behind) {
                return Self::Answer(status, String::new());
            }
            if let Some(http) = cause.downcast_ref::<HttpError>() {
                let text = innermost(http);
                return match http.kind() {
                    HttpErrorKind::Connect => Self::NoConnection(text),
                    // "Request" also stands for a connection that was closed before the answer
                    _ => Self::NoAnswer(text),
                };
            }
            deepest = text;
            at = cause.source();
        }
        match error {
            object_store::Error::Generic { .. } => Self::NoAnswer(deepest),
            _ => Self::Client(deepest),
        }
    }
}

/// The status at the end of `…: why (code: 403)`.
fn status_behind(text: &str) -> Option<u16> {
    let (_, status) = text.rsplit_once(" (code: ")?;
    status.strip_suffix(')')?.parse().ok()
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// The code of an XML error: `SlowDown`, `BlobAlreadyExists`; empty where there is none.
pub(crate) fn code(body: &str) -> &str {
    let between = || Some(body.split_once("<Code>")?.1.split_once("</Code>")?.0.trim());
    between().unwrap_or_default()
}

/// The first line of a tag's text in an XML error, or the message of a JSON one.
pub fn said(body: &str) -> Option<&str> {
    let between =
        |open: &str, close: &str| Some(body.split_once(open)?.1.split_once(close)?.0.trim());
    between("<Details>", "</Details>")
        .or_else(|| between("<Message>", "</Message>"))
        .or_else(|| between("\"message\":\"", "\""))
        .or_else(|| between("\"message\": \"", "\""))
        .and_then(|text| text.lines().next())
        .filter(|text| !text.is_empty() && text.len() < 500)
}
