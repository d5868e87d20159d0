//! Service accounts' keys and users' credentials of Google, checked before they are used.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{BucketError, ErrorKind, Key, Secret, credentials::read_file};

/// A credentials file that can be used.
pub(crate) enum Account {
    /// A service account's key, checked: its JSON text, whose account it is, and where it says that
    /// the store is.
    Service {
        json: Secret,
        email: String,
        base_url: Option<String>,
    },
    /// A user's credentials: the file.
    User { path: PathBuf },
}

/// Reads a key that was given.
pub(crate) fn read_key(key: &Key) -> Result<Account, BucketError> {
    let (place, json) = key.read("the service account key (GCS_SA_KEY_JSON)")?;
    service_account(&place, json)
}

/// Reads a file of application credentials: a service account's key or a user's credentials.
pub(crate) fn read_application_credentials(path: &Path) -> Result<Account, BucketError> {
    let place = path.display().to_string();
    let text = read_file(path)?;
    let json = parse(&place, &text)?;
    match json.get("type").and_then(Value::as_str) {
        Some("authorized_user") => {
            for field in ["client_id", "client_secret", "refresh_token"] {
                text_field(&place, &json, field)?;
            }
            Ok(Account::User {
                path: path.to_owned(),
            })
        }
        Some("service_account") | None => service_account(&place, text),
        Some(other) => Err(malformed(
            &place,
            format!("credentials of type \"{}\" are not supported", shown(other)),
        )
        .mend(
            "give a service account's key, or log in with: gcloud auth application-default login",
        )),
    }
}

fn malformed(place: &str, message: impl Into<String>) -> BucketError {
    BucketError::new(ErrorKind::MalformedKey, place, message)
}

/// How the key is made new, for all that is wrong inside of it.
const NEW_KEY: &str =
    "make a new one with: gcloud iam service-accounts keys create key.json --iam-account ACCOUNT";

/// Parsed JSON. The error says where it is wrong and quotes nothing of the text.
fn parse(place: &str, text: &Secret) -> Result<Value, BucketError> {
    if text.reveal().trim().is_empty() {
        return Err(malformed(place, "is empty").mend(NEW_KEY));
    }
    let value: Value = serde_json::from_str(text.reveal()).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        let what = match error.classify() {
            serde_json::error::Category::Eof => "it ends too early",
            _ => "it is not JSON from there on",
        };
        malformed(
            place,
            format!("is not valid JSON: line {line}, column {column}: {what}"),
        )
        .mend("give the whole key file, from { to }")
    })?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(malformed(place, "is JSON, but no object in { }").mend(NEW_KEY))
    }
}

/// A field that must be there as text and not empty.
fn text_field<'a>(place: &str, json: &'a Value, field: &str) -> Result<&'a str, BucketError> {
    match json.get(field) {
        None => Err(malformed(place, format!("has no field \"{field}\"")).mend(NEW_KEY)),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(text),
        Some(_) => Err(
            malformed(place, format!("its field \"{field}\" is no text, or empty")).mend(NEW_KEY),
        ),
    }
}

/// Checks a service account's key field by field.
fn service_account(place: &str, text: Secret) -> Result<Account, BucketError> {
    let json = parse(place, &text)?;
    if let Some(kind) = json
        .get("type")
        .and_then(Value::as_str)
        .filter(|kind| *kind != "service_account")
    {
        return Err(malformed(
            place,
            format!("is of type \"{}\", not \"service_account\"", shown(kind)),
        )
        .mend(NEW_KEY));
    }
    let email = text_field(place, &json, "client_email")?.to_owned();
    text_field(place, &json, "private_key_id")?;
    let pem = text_field(place, &json, "private_key")?;
    check_pem(pem)
        .map_err(|why| malformed(place, format!("its private_key {why}")).mend(NEW_KEY))?;
    let base_url = json
        .get("gcs_base_url")
        .and_then(Value::as_str)
        .map(|url| url.trim_end_matches('/').to_owned());
    Ok(Account::Service {
        json: text,
        email,
        base_url,
    })
}

/// A word of the file that may be shown: short, and letters only.
fn shown(word: &str) -> &str {
    let plain = word.len() <= 40
        && word
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if plain { word } else { "…" }
}

/// Looks whether a PEM text is whole: its frame lines, its base64, and that its DER is as long as
/// it says. What is wrong is said without a byte of it.
fn check_pem(pem: &str) -> Result<(), String> {
    let pem = pem.trim();
    if pem.contains("\\n") {
        return Err("has \\n as two characters where lines end: it was quoted twice".to_owned());
    }
    let Some(kind) = pem
        .strip_prefix("-----BEGIN ")
        .and_then(|rest| rest.split_once("-----"))
        .map(|(kind, _)| kind)
    else {
        return Err("does not begin with -----BEGIN PRIVATE KEY-----".to_owned());
    };
    if kind != "PRIVATE KEY" && kind != "RSA PRIVATE KEY" {
        return Err("is a PEM text, but no private key".to_owned());
    }
    let end = format!("-----END {kind}-----");
    let Some(body) = pem.strip_suffix(end.as_str()) else {
        return Err(format!("is cut: it does not end with {end}"));
    };
    let body = body
        .split_once("-----")
        .and_then(|(_, rest)| rest.split_once("-----"))
        .map_or("", |(_, body)| body);
    let der = base64(body).ok_or("is cut or damaged: between its frame lines it is not base64")?;
    match der_length(&der) {
        Some(length) if length == der.len() => Ok(()),
        Some(length) => Err(format!(
            "is cut or damaged: it says it has {length} bytes, {} are there",
            der.len()
        )),
        None => Err("is damaged: between its frame lines is no key".to_owned()),
    }
}

/// Standard base64 with padding, white space passed over.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held, mut symbols, mut padding) = (0u32, 0u32, 0usize, 0usize);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                continue;
            }
            _ => return None,
        };
        if padding > 0 {
            return None;
        }
        symbols += 1;
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    ((symbols + padding) % 4 == 0 && padding <= 2).then_some(out)
}

/// How long a DER sequence says it is, its head included.
fn der_length(der: &[u8]) -> Option<usize> {
    let [0x30, first, rest @ ..] = der else {
        return None;
    };
    let count = usize::from(first & 0x7f);
    if first & 0x80 == 0 {
        return Some(2 + count);
    }
    if count == 0 || count > 4 {
        return None;
    }
    let length = rest
        .get(..count)?
        .iter()
        .fold(0usize, |length, byte| length << 8 | usize::from(*byte));
    Some(2 + count + length)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A DER sequence of 8 bytes, as base64.
    const BODY: &str = "MAYCAQACAQE=";

    fn key(pem: &str) -> String {
        serde_json::json!({"type": "service_account", "client_email": "a@b", "private_key_id": "1", "private_key": pem}).to_string()
    }

    fn says(json: &str) -> String {
        match read_key(&Key::Inline(Secret::new(json))) {
            Ok(_) => "good".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_whole_key_is_taken() {
        for kind in ["PRIVATE KEY", "RSA PRIVATE KEY"] {
            let pem = format!("-----BEGIN {kind}-----\n{BODY}\n-----END {kind}-----\n");
            assert_eq!(says(&key(&pem)), "good");
        }
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said_and_nothing_of_it_shown() {
        let pem = |body: &str| {
            format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
        };
        let whole = key(&pem(BODY));
        for (json, expected) in [
            ("", "is empty"),
            ("[1]", "no object"),
            (&whole[..whole.len() - 30], "line 1, column"),
            ("{\n\"a\": x}", "line 2, column 6: it is not JSON"),
            (
                &key(&pem(BODY)).replace("client_email", "e"),
                "no field \"client_email\"",
            ),
            (
                &key(&pem(BODY)).replace("private_key\"", "p\""),
                "no field \"private_key\"",
            ),
            (
                &key(&pem(BODY)).replace("service_account", "authorized_user"),
                "is of type \"authorized_user\"",
            ),
            (&key("x"), "does not begin with -----BEGIN"),
            (
                &key("-----BEGIN PUBLIC KEY-----\nAA==\n-----END PUBLIC KEY-----"),
                "no private key",
            ),
            (&key("-----BEGIN PRIVATE KEY-----\nMAYCAQACAQE="), "is cut"),
            (&key(&pem("MIIEvQ..tDAYZxgNB0=")), "not base64"),
            (
                &key(&pem("MAYCAQACAQ==")),
                "says it has 8 bytes, 7 are there",
            ),
            (&key(&pem("AAYCAQACAQE=")), "no key"),
            (&key(&pem(BODY).replace('\n', "\\n")), "quoted twice"),
        ] {
            let error = says(json);
            assert!(error.contains(expected), "{expected}: {error}");
            assert!(
                !error.contains("MAYC") && !error.contains("MIIE"),
                "{error}"
            );
        }
    }

    #[test]
    fn files_that_are_not_there_or_too_long_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key.json");
        let error = read_key(&Key::File(file.clone())).err().unwrap();
        assert!(
            error.to_string().contains("key.json: can't be read"),
            "{error}"
        );
        fs::write(&file, " ".repeat(100_000)).unwrap();
        let error = read_key(&Key::File(file)).err().unwrap();
        assert!(error.to_string().contains("100000 bytes"), "{error}");
    }
}
