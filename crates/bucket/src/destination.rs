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
    /// A folder of this host.
    File {
        /// Its absolute path.
        path: PathBuf,
    },
}

/// A text that is no destination.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DestinationError {
    /// Nothing was given.
    #[error("no destination: give gs://BUCKET/PREFIX, file:///PATH or an absolute path")]
    Empty,
    /// A kind of store that there is no code for yet.
    #[error(
        "{url}: {scheme}:// is not built yet; gs://BUCKET/PREFIX, file:///PATH and absolute paths are"
    )]
    NotBuilt {
        /// What was given.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// A scheme that is none of ours.
    #[error(
        "{url}: {scheme}:// is not known; give gs://BUCKET/PREFIX, file:///PATH or an absolute path"
    )]
    Scheme {
        /// What was given.
        url: String,
        /// Its scheme.
        scheme: String,
    },
    /// Neither a URL nor an absolute path.
    #[error(
        "{text}: neither a URL nor an absolute path; for a bucket of that name give gs://{text}"
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
    /// A path with parts that can't be.
    #[error("{url}: {why}")]
    Path {
        /// What was given.
        url: String,
        /// What is wrong.
        why: &'static str,
    },
}

impl Destination {
    /// Reads `gs://bucket/prefix`, `file:///absolute/path` or `/absolute/path`.
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
            Some((scheme @ ("s3" | "az"), _)) => Err(DestinationError::NotBuilt {
                url: text.to_owned(),
                scheme: scheme.to_owned(),
            }),
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
        Ok(match self {
            Self::Gcs { bucket, prefix } => {
                let parts: Vec<&str> = [prefix.as_str(), &folder]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .collect();
                Self::Gcs {
                    bucket: bucket.clone(),
                    prefix: parts.join("/"),
                }
            }
            Self::File { path } => Self::File {
                path: path.join(folder),
            },
        })
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
        match self {
            Self::Gcs { bucket, prefix } if prefix.is_empty() => write!(f, "gs://{bucket}"),
            Self::Gcs { bucket, prefix } => write!(f, "gs://{bucket}/{prefix}"),
            Self::File { path } => write!(f, "{}", path.display()),
        }
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
            ("s3://bucket/x", "not built yet"),
            ("az://c", "not built yet"),
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
    }
}
