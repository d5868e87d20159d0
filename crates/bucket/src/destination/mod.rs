//! Where a recording goes to or comes from, as people write it.

mod names;

use std::{fmt, path::PathBuf, str::FromStr};

use names::{abfss, azure, azure_host, clean, folder, gcs, percent_decoded, s3};

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
