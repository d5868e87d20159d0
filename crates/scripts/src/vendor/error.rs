//! What can go wrong with a vendor call: which call, what kind of fault, the status, the message.

use std::fmt;

/// What kind of fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument that can't be used; nothing was sent.
    Argument,
    /// A host or address that scripts may not reach; nothing was sent.
    Refused,
    /// No credentials, or some that can't be used.
    Credentials,
    /// No connection, or one that broke.
    Unreachable,
    /// No whole answer in time.
    Timeout,
    /// A body, file or answer beyond its limit.
    TooLarge,
    /// The vendor answered, and not with success.
    Answer,
    /// Anything else, such as a file that can't be read.
    Other,
}

/// A fault of a vendor call. Never holds a secret: of URLs it has scheme, host and port alone, and
/// secrets that an answer repeats are taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The call, as scripts write it: `vendor.slack`.
    pub call: &'static str,
    /// What kind of fault.
    pub kind: ErrorKind,
    /// The HTTP status of the answer, where there was one.
    pub status: Option<u16>,
    /// What is wrong, with its place and, where there is one, its mend.
    pub message: String,
}

impl Error {
    pub(crate) fn new(call: &'static str, kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            call,
            kind,
            status: None,
            message: message.into(),
        }
    }

    pub(crate) fn argument(call: &'static str, message: impl Into<String>) -> Self {
        Self::new(call, ErrorKind::Argument, message)
    }

    pub(crate) fn answer(call: &'static str, status: u16, message: impl Into<String>) -> Self {
        Self {
            status: Some(status),
            ..Self::new(call, ErrorKind::Answer, message)
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.call, self.message)
    }
}

impl std::error::Error for Error {}

/// Takes what must not be shown out of a text that others wrote, and shortens it.
pub(crate) fn excerpt(text: &str, secrets: &[&str]) -> String {
    const LONGEST: usize = 300;
    let mut shown = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for secret in secrets.iter().filter(|secret| secret.len() >= 4) {
        shown = shown.replace(secret, "…");
    }
    match shown.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", shown.get(..end).unwrap_or_default()),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excerpts_hold_no_secret_and_are_short() {
        assert_eq!(
            excerpt("bad\n token  s3cr3t", &["s3cr3t", ""]),
            "bad token …"
        );
        assert_eq!(excerpt(&"é".repeat(1000), &[]).chars().count(), 301);
    }
}
