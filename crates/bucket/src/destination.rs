//! Where a recording goes to or comes from, as people write it.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
    str::FromStr,
};

/// The longest name of a bucket with dots in it (each part is at most 63).
const MAX_BUCKET_NAME: usize = 222;

/// A place for recordings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Destination {
    /// A Google Cloud Storage bucket, or a folder in it.
    Gcs {
        /// Name of the bucket.
        bucket: String,
        /// Folder in it, without a slash at either end; empty for the bucket itself.
        prefix: String,
    },
    /// A bucket of S3 or of what speaks it, or a folder in it.
    S3(S3Place),
    /// A container of Azure's storage, or a folder in it.
    Azure(AzurePlace),
    /// A folder of this host.
    File {
        /// Its absolute path.
        path: PathBuf,
    },
}

/// `s3://bucket/prefix`, with `?region=` and `?endpoint=` for buckets that are not where the
/// environment says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct S3Place {
    /// Name of the bucket.
    pub bucket: String,
    /// Folder in it, without a slash at either end; empty for the bucket itself.
    pub prefix: String,
    /// Its region.
    pub region: Option<String>,
    /// The URL of the store.
    pub endpoint: Option<String>,
}

/// `az://container/prefix`, or with its account `https://account.blob.core.windows.net/container/prefix`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AzurePlace {
    /// The account's host; without it the environment says which account.
    pub host: Option<String>,
    /// Name of the container.
    pub container: String,
    /// Folder in it, without a slash at either end; empty for the container itself.
    pub prefix: String,
}

impl AzurePlace {
    /// The container's URL.
    pub(crate) fn place(&self) -> String {
        match &self.host {
            None => format!("az://{}", self.container),
            Some(host) => format!("https://{host}/{}", self.container),
        }
    }
}

/// Hosts of storage accounts: `account.blob` and one of these.
const AZURE_DOMAINS: [&str; 3] = [
    "core.windows.net",
    "core.chinacloudapi.cn",
    "core.usgovcloudapi.net",
];

/// A text that is no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// Nothing was given.
    #[error("no destination: give {KINDS}")]
    Empty,
    /// A scheme that is none of ours.
    #[error("{url}: {scheme}:// is not known; give {KINDS}")]
    Scheme {
        /// What was given.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// An address on the web that is no container of Azure.
    #[error(
        "{url}: of addresses with https:// only https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX is a destination; for another store that speaks S3 give s3://BUCKET/PREFIX?endpoint=https://HOST"
    )]
    Web {
        /// What was given.
        url: String,
    },
    /// Neither a URL nor an absolute path.
    #[error(
        "{text}: neither a URL nor an absolute path; for a bucket of that name give gs://{text}, s3://{text} or az://{text}"
    )]
    Relative {
        /// What was given.
        text: String,
    },
    /// A name that no bucket can have.
    #[error("{url}: a bucket can't be named \"{name}\": {why}")]
    Bucket {
        /// What was given.
        url: String,
        /// The name.
        name: String,
        /// Which rule it breaks.
        why: &'static str,
    },
    /// A path or an option that can't be.
    #[error("{url}: {why}")]
    Path {
        /// What was given.
        url: String,
        /// What is wrong.
        why: &'static str,
    },
}

/// What a destination may be.
const KINDS: &str = "gs://BUCKET/PREFIX, s3://BUCKET/PREFIX, az://CONTAINER/PREFIX, file:///PATH or an absolute path";

impl Destination {
    /// Reads `gs://bucket/prefix`, `s3://bucket/prefix`, `az://container/prefix` (or with its account
    /// `https://account.blob.core.windows.net/container/prefix`,
    /// `abfss://container@account.dfs.core.windows.net/prefix`), `file:///absolute/path` or
    /// `/absolute/path`.
    ///
    /// # Errors
    /// Where it is none of these, with what would be.
    pub fn parse(text: &str) -> Result<Self, DestinationError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(DestinationError::Empty);
        }
        match text.split_once("://") {
            Some(("gs", rest)) => gcs(text, rest),
            Some(("file", rest)) => folder(
                text,
                &percent_decoded(text, rest.strip_prefix("localhost").unwrap_or(rest))?,
            ),
            Some(("s3" | "s3a", rest)) => s3(text, rest),
            Some(("az" | "azure", rest)) => azure(text, None, rest),
            Some(("abfss" | "abfs", rest)) => abfss(text, rest),
            Some(("https", rest)) => match rest.split_once('/') {
                Some((host, rest)) if azure_host(host).is_some() => {
                    azure(text, azure_host(host), rest)
                }
                _ => Err(DestinationError::Web {
                    url: text.to_owned(),
                }),
            },
            Some((scheme, _)) => Err(DestinationError::Scheme {
                url: text.to_owned(),
                scheme: scheme.to_owned(),
            }),
            None if text.starts_with('/') => folder(text, text),
            None => Err(DestinationError::Relative {
                text: text.to_owned(),
            }),
        }
    }

    /// The bucket that `GCS_BUCKET` names: a bare name, with or without `gs://` and a folder.
    ///
    /// # Errors
    /// Where no bucket can be named so.
    pub fn of_gcs_bucket(name: &str) -> Result<Self, DestinationError> {
        let name = name.trim();
        if name.is_empty() {
            return Err(DestinationError::Empty);
        }
        let rest = name.strip_prefix("gs://").unwrap_or(name);
        gcs(&format!("gs://{rest}"), rest)
    }

    /// The same store with `folder` below the present one (`recording.prefix`).
    ///
    /// # Errors
    /// Where `folder` is no relative path.
    pub fn join(&self, folder: &str) -> Result<Self, DestinationError> {
        let folder = clean(folder, folder)?;
        let below = |prefix: &mut String| {
            if !prefix.is_empty() && !folder.is_empty() {
                prefix.push('/');
            }
            prefix.push_str(&folder);
        };
        let mut joined = self.clone();
        match &mut joined {
            Self::Gcs { prefix, .. } => below(prefix),
            Self::S3(at) => below(&mut at.prefix),
            Self::Azure(at) => below(&mut at.prefix),
            Self::File { path } => *path = path.join(&folder),
        }
        Ok(joined)
    }

    /// Whether it is a folder of this host.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::File { .. })
    }
}

impl FromStr for Destination {
    type Err = DestinationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (base, prefix) = match self {
            Self::Gcs { bucket, prefix } => (format!("gs://{bucket}"), prefix),
            Self::S3(at) => (format!("s3://{}", at.bucket), &at.prefix),
            Self::Azure(at) => (at.place(), &at.prefix),
            Self::File { path } => return write!(f, "{}", path.display()),
        };
        f.write_str(&base)?;
        if !prefix.is_empty() {
            write!(f, "/{prefix}")?;
        }
        if let Self::S3(at) = self {
            let options = [("region", &at.region), ("endpoint", &at.endpoint)];
            let given = options.iter().filter_map(|(name, value)| {
                let value = value.as_ref()?;
                Some(format!("{name}={value}"))
            });
            let given: Vec<String> = given.collect();
            if !given.is_empty() {
                write!(f, "?{}", given.join("&"))?;
            }
        }
        Ok(())
    }
}

/// `bucket/prefix`, checked by the rules of Google Cloud Storage.
fn gcs(url: &str, rest: &str) -> Result<Destination, DestinationError> {
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let wrong = |why| {
        Err(DestinationError::Bucket {
            url: url.to_owned(),
            name: name.to_owned(),
            why,
        })
    };
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
fn s3(url: &str, rest: &str) -> Result<Destination, DestinationError> {
    let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let wrong = |why| {
        Err(DestinationError::Bucket {
            url: url.to_owned(),
            name: name.to_owned(),
            why,
        })
    };
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
fn azure_host(host: &str) -> Option<String> {
    let (account, domain) = host.split_once(".blob.")?;
    let known = AZURE_DOMAINS.contains(&domain);
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let good = !account.is_empty() && account.bytes().all(fits);
    (known && good).then(|| host.to_owned())
}

/// `container@account.dfs.core.windows.net/prefix`, as Hadoop's tools write it.
fn abfss(url: &str, rest: &str) -> Result<Destination, DestinationError> {
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
fn azure(url: &str, host: Option<String>, rest: &str) -> Result<Destination, DestinationError> {
    if rest.contains("sig=") {
        return Err(DestinationError::Path {
            url: "the destination".to_owned(),
            why: "a shared access signature can't be part of it: give it in AZURE_STORAGE_SAS_TOKEN",
        });
    }
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let wrong = |why| {
        Err(DestinationError::Bucket {
            url: url.to_owned(),
            name: name.to_owned(),
            why,
        })
    };
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
fn clean(url: &str, prefix: &str) -> Result<String, DestinationError> {
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

fn folder(url: &str, path: &str) -> Result<Destination, DestinationError> {
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
fn percent_decoded(url: &str, path: &str) -> Result<String, DestinationError> {
    crate::layout::unescape(path).ok_or_else(|| DestinationError::Path {
        url: url.to_owned(),
        why: "a % in it is not followed by two hexadecimal digits",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_as_people_write_them() {
        for (text, shown) in [
            ("gs://test-11-12", "gs://test-11-12"),
            (" gs://test-11-12/ ", "gs://test-11-12"),
            ("gs://bucket/a/b/", "gs://bucket/a/b"),
            ("s3://bucket/a/b/", "s3://bucket/a/b"),
            ("s3a://my.bucket", "s3://my.bucket"),
            (
                "s3://bucket/?endpoint=http://127.0.0.1:8333/&region=eu-west-1",
                "s3://bucket?region=eu-west-1&endpoint=http://127.0.0.1:8333",
            ),
            ("az://flights/a/", "az://flights/a"),
            (
                "https://acc.blob.core.windows.net/flights/a/b",
                "https://acc.blob.core.windows.net/flights/a/b",
            ),
            (
                "abfss://flights@acc.dfs.core.windows.net/a",
                "https://acc.blob.core.windows.net/flights/a",
            ),
            ("file:///var/lib/x/", "/var/lib/x"),
            ("file://localhost/var/lib/x", "/var/lib/x"),
            ("file:///a%20b", "/a b"),
            ("/a//b/./c", "/a/b/c"),
        ] {
            let parsed = Destination::parse(text).unwrap();
            assert_eq!(parsed.to_string(), shown);
            assert_eq!(Destination::parse(shown).unwrap(), parsed);
        }
        assert_eq!(
            Destination::of_gcs_bucket("test-11-12")
                .unwrap()
                .to_string(),
            "gs://test-11-12"
        );
        assert_eq!(
            Destination::of_gcs_bucket("gs://abc/d")
                .unwrap()
                .to_string(),
            "gs://abc/d"
        );
        assert_eq!(
            Destination::parse("gs://abc/d")
                .unwrap()
                .join("e/f/")
                .unwrap()
                .to_string(),
            "gs://abc/d/e/f"
        );
        assert_eq!(
            Destination::parse("gs://abc")
                .unwrap()
                .join("e")
                .unwrap()
                .to_string(),
            "gs://abc/e"
        );
    }

    #[test]
    fn what_is_none_says_why() {
        for (text, says) in [
            ("", "no destination"),
            ("s3://", "give s3://BUCKET"),
            ("s3://ab", "3 to 63"),
            ("s3://Bucket", "lowercase"),
            ("s3://a..b", "two dots"),
            ("s3://bucket/a?zone=1", "region=REGION"),
            ("s3://bucket/a//b", "no name"),
            ("az://c", "3 to 63"),
            ("az://a--b", "two dashes"),
            ("az://con_tainer", "lowercase"),
            (
                "https://example.com/flights",
                "s3://BUCKET/PREFIX?endpoint=",
            ),
            (
                "https://acc.blob.core.windows.net.example/x",
                "ACCOUNT.blob",
            ),
            ("abfss://flights/x", "abfss://CONTAINER@ACCOUNT"),
            ("ftp://c", "not known"),
            ("test-11-12", "give gs://test-11-12"),
            ("gs://", "give gs://BUCKET"),
            ("gs://ab", "3 to 63"),
            ("gs://Bucket", "lowercase"),
            ("gs://-bucket", "begins and ends"),
            ("gs://bucket/a//b", "no name"),
            ("gs://bucket/../b", "can't be"),
            ("file://relative/x", "three slashes"),
            ("file:///a%2", "hexadecimal"),
            ("/a/../b", "can't be"),
        ] {
            let error = Destination::parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        let signed = "https://acc.blob.core.windows.net/flights?sv=1&sig=hush";
        let error = Destination::parse(signed).unwrap_err().to_string();
        assert!(
            error.contains("AZURE_STORAGE_SAS_TOKEN") && !error.contains("hush"),
            "{error}"
        );
    }
}
