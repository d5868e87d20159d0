//! What buckets, containers and folders can be called, by the rules of each store.

use std::path::{Component, Path};

use super::{AzurePlace, Destination, DestinationError, S3Place};

/// The longest name of a bucket with dots in it (each part is at most 63).
const MAX_BUCKET_NAME: usize = 222;

/// Hosts of storage accounts: `account.blob` and one of these.
const AZURE_DOMAINS: [&str; 3] = [
    "core.windows.net",
    "core.chinacloudapi.cn",
    "core.usgovcloudapi.net",
];

fn bad_name(url: &str, name: &str, why: &'static str) -> DestinationError {
    DestinationError::Bucket {
        url: url.to_owned(),
        name: name.to_owned(),
        why,
    }
}

/// `bucket/prefix`, checked by the rules of Google Cloud Storage.
pub(super) fn gcs(url: &str, rest: &str) -> Result<Destination, DestinationError> {
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let wrong = |why| Err(bad_name(url, name, why));
    if name.is_empty() {
        return wrong("give gs://BUCKET/PREFIX");
    }
    if !(3..=MAX_BUCKET_NAME).contains(&name.len()) || name.split('.').any(|part| part.len() > 63) {
        return wrong("it has 3 to 63 characters");
    }
    if !name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b))
    {
        return wrong("it has lowercase letters, digits, dashes, underscores and dots only");
    }
    let ends = [name.bytes().next(), name.bytes().last()];
    if ends
        .into_iter()
        .flatten()
        .any(|b| !b.is_ascii_alphanumeric())
    {
        return wrong("it begins and ends with a letter or digit");
    }
    Ok(Destination::Gcs {
        bucket: name.to_owned(),
        prefix: clean(url, prefix)?,
    })
}

/// `bucket/prefix?region=…&endpoint=…`, checked by the rules of S3.
pub(super) fn s3(url: &str, rest: &str) -> Result<Destination, DestinationError> {
    let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let wrong = |why| Err(bad_name(url, name, why));
    if name.is_empty() {
        return wrong("give s3://BUCKET/PREFIX");
    }
    if !(3..=63).contains(&name.len()) {
        return wrong("it has 3 to 63 characters");
    }
    if !name
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
    {
        return wrong("it has lowercase letters, digits, dashes and dots only");
    }
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    if !edge(name.bytes().next()) || !edge(name.bytes().last()) || name.contains("..") {
        return wrong("it begins and ends with a letter or digit, and has no two dots in a row");
    }
    let mut place = S3Place {
        bucket: name.to_owned(),
        prefix: clean(url, prefix)?,
        region: None,
        endpoint: None,
    };
    for option in options.split('&').filter(|option| !option.is_empty()) {
        let value = |value: &str| Some(value.trim_end_matches('/').to_owned());
        match option.split_once('=') {
            Some(("region", region)) if !region.is_empty() => place.region = value(region),
            Some(("endpoint", at)) if at.contains("://") => place.endpoint = value(at),
            _ => {
                return Err(DestinationError::Path {
                    url: url.to_owned(),
                    why: "after the ? only region=REGION and endpoint=https://HOST can stand",
                });
            }
        }
    }
    Ok(Destination::S3(place))
}

/// The host of an account's blobs, where it is one of Azure.
pub(super) fn azure_host(host: &str) -> Option<String> {
    let (account, domain) = host.split_once(".blob.")?;
    let known = AZURE_DOMAINS.contains(&domain);
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let good = !account.is_empty() && account.bytes().all(fits);
    (known && good).then(|| host.to_owned())
}

/// `container@account.dfs.core.windows.net/prefix`, as Hadoop's tools write it.
pub(super) fn abfss(url: &str, rest: &str) -> Result<Destination, DestinationError> {
    let (at, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let found = at.split_once('@').and_then(|(container, host)| {
        let host = azure_host(&host.replacen(".dfs.", ".blob.", 1))?;
        Some((container, host))
    });
    match found {
        Some((container, host)) => azure(url, Some(host), &format!("{container}/{prefix}")),
        None => Err(DestinationError::Path {
            url: url.to_owned(),
            why: "give abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PREFIX",
        }),
    }
}

/// `container/prefix`, checked by the rules of Azure.
pub(super) fn azure(
    url: &str,
    host: Option<String>,
    rest: &str,
) -> Result<Destination, DestinationError> {
    if rest.contains("sig=") {
        return Err(DestinationError::Path {
            url: "the destination".to_owned(),
            why: "a shared access signature can't be part of it: give it in AZURE_STORAGE_SAS_TOKEN",
        });
    }
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let wrong = |why| Err(bad_name(url, name, why));
    if name.is_empty() {
        return wrong("give az://CONTAINER/PREFIX");
    }
    // those of the service itself have a dollar before their name
    let bare = name.strip_prefix('$').unwrap_or(name);
    if !(3..=63).contains(&name.len()) {
        return wrong("it has 3 to 63 characters");
    }
    if !bare
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    {
        return wrong("it has lowercase letters, digits and dashes only");
    }
    if bare.starts_with('-') || bare.ends_with('-') || bare.contains("--") {
        return wrong("it begins and ends with a letter or digit, and has no two dashes in a row");
    }
    Ok(Destination::Azure(AzurePlace {
        host,
        container: name.to_owned(),
        prefix: clean(url, prefix)?,
    }))
}

/// A folder in a bucket without slashes at its ends.
pub(super) fn clean(url: &str, prefix: &str) -> Result<String, DestinationError> {
    let prefix = prefix.trim_matches('/');
    let wrong = |why| {
        Err(DestinationError::Path {
            url: url.to_owned(),
            why,
        })
    };
    for part in prefix.split('/') {
        match part {
            "" if !prefix.is_empty() => {
                return wrong("a folder in it has no name (two slashes in a row)");
            }
            "." | ".." => return wrong("its folders can't be \".\" or \"..\""),
            _ if part.contains(char::is_control) => return wrong("it has a control character"),
            _ => {}
        }
    }
    Ok(prefix.to_owned())
}

pub(super) fn folder(url: &str, path: &str) -> Result<Destination, DestinationError> {
    let path = Path::new(path);
    if !path.is_absolute() {
        return Err(DestinationError::Path {
            url: url.to_owned(),
            why: "the path must be absolute: file:///PATH, with three slashes",
        });
    }
    if path.components().any(|part| part == Component::ParentDir) {
        return Err(DestinationError::Path {
            url: url.to_owned(),
            why: "its folders can't be \"..\"",
        });
    }
    // components() also drops doubled slashes and "."
    Ok(Destination::File {
        path: path.components().collect(),
    })
}

/// A file URL may have its special characters as %XX.
pub(super) fn percent_decoded(url: &str, path: &str) -> Result<String, DestinationError> {
    crate::layout::unescape(path).ok_or_else(|| DestinationError::Path {
        url: url.to_owned(),
        why: "a % in it is not followed by two hexadecimal digits",
    })
}
