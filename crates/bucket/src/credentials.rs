//! As whom a bucket is asked: keys that people give, and what the environment has.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
};

use crate::{BucketError, ErrorKind};

/// The longest key or credentials file that is looked at, in bytes.
const MAX_KEY: u64 = 64 << 10;

/// Where gcloud keeps the application default credentials, below the home folder.
const ADC_PATH: &str = ".config/gcloud/application_default_credentials.json";

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A key that somebody gave: of Google a service account's, as JSON; of AWS what `~/.aws/credentials`
/// has; of Azure a connection string, an account's key or a shared access signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// The text itself (`GCS_SA_KEY_JSON`).
    Inline(Secret),
    /// The file it is in.
    File(PathBuf),
}

impl Key {
    /// What a configuration or variable gives: the text, or the path of a file with it.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let text = text.trim();
        if text.starts_with('/') {
            Self::File(text.into())
        } else {
            Self::Inline(Secret::new(text))
        }
    }

    /// Its text, and what messages call the place where that is: the file, or `inline`.
    pub(crate) fn read(&self, inline: &str) -> Result<(String, Secret), BucketError> {
        match self {
            Self::Inline(text) => Ok((inline.to_owned(), text.clone())),
            Self::File(path) => Ok((path.display().to_string(), read_file(path)?)),
        }
    }
}

/// The text of a file with a key.
pub(crate) fn read_file(path: &Path) -> Result<Secret, BucketError> {
    let wrong = |message: String| {
        BucketError::new(ErrorKind::MalformedKey, path.display().to_string(), message)
    };
    let failed = |error: std::io::Error| {
        wrong(format!("can't be read: {error}"))
            .mend("give the file of a key that this process may read")
    };
    let size = fs::metadata(path).map_err(failed)?.len();
    if size > MAX_KEY {
        return Err(wrong(format!("has {size} bytes, which is no key")));
    }
    fs::read_to_string(path).map(Secret::new).map_err(failed)
}

/// What of a process's environment says where credentials are. Variables that are empty are unset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    /// `GOOGLE_APPLICATION_CREDENTIALS`: a file with a key or with a user's credentials.
    pub application_credentials: Option<PathBuf>,
    /// `HOME`: the folder in which gcloud keeps application default credentials, and AWS's tools
    /// their profiles.
    pub home: Option<PathBuf>,
    /// `GCE_METADATA_HOST`: the metadata server, with a port where it is not 80.
    pub metadata_host: Option<String>,
    /// `STORAGE_EMULATOR_HOST`: what stands in for storage.googleapis.com; a URL or host and port.
    pub emulator_host: Option<String>,
    /// `PATH`: the folders in which gcloud and az are looked for.
    pub path: Option<OsString>,
    /// What AWS and Azure are told, by the names of variables ([`Environment::is_known`]).
    pub variables: BTreeMap<String, Secret>,
}

impl Environment {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let raw = |name| env::var_os(name).filter(|value| !value.is_empty());
        let text = |name| raw(name).and_then(|value| value.into_string().ok());
        Self {
            application_credentials: raw("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from),
            home: raw("HOME").map(PathBuf::from),
            metadata_host: text("GCE_METADATA_HOST"),
            emulator_host: text("STORAGE_EMULATOR_HOST"),
            path: raw("PATH"),
            variables: env::vars()
                .filter(|(name, value)| Self::is_known(name) && !value.trim().is_empty())
                .map(|(name, value)| (name, Secret::new(value.trim())))
                .collect(),
        }
    }

    /// Whether a variable is one of those that AWS and Azure are told by.
    #[must_use]
    pub fn is_known(name: &str) -> bool {
        name.starts_with("AWS_") || name.starts_with("AZURE_") || name == "IDENTITY_ENDPOINT"
    }

    /// A variable of AWS or Azure: the first of these names that is set.
    pub(crate) fn variable(&self, names: &[&str]) -> Option<&str> {
        let mut found = names.iter().filter_map(|name| self.variables.get(*name));
        found.next().map(Secret::reveal)
    }

    /// Whether a variable of AWS or Azure says yes.
    pub(crate) fn says(&self, name: &str) -> bool {
        self.variable(&[name])
            .is_some_and(|text| text == "1" || text.eq_ignore_ascii_case("true"))
    }

    /// The emulator's base URL, without a slash at its end.
    #[must_use]
    pub fn emulator_url(&self) -> Option<String> {
        let host = self.emulator_host.as_deref()?.trim().trim_end_matches('/');
        Some(if host.contains("://") {
            host.to_owned()
        } else {
            format!("http://{host}")
        })
    }

    /// gcloud's application default credentials, where there are some.
    pub(crate) fn default_credentials(&self) -> Option<PathBuf> {
        self.home
            .as_ref()
            .map(|home| home.join(ADC_PATH))
            .filter(|path| path.exists())
    }

    /// A program, where it is on the path.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        env::split_paths(self.path.as_ref()?)
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    }
}

/// As whom to ask for a bucket. The first of these that there is: `anonymous`, `key`, and then
///
/// - of Google: `GOOGLE_APPLICATION_CREDENTIALS`, application default credentials, the metadata
///   server, and, for reading only, the account that gcloud is logged in with. With
///   `STORAGE_EMULATOR_HOST` nothing after the second is looked for, and without any the requests
///   are not signed.
/// - of AWS: `AWS_ACCESS_KEY_ID`, `AWS_WEB_IDENTITY_TOKEN_FILE` (IRSA), a profile, the container's
///   role (`AWS_CONTAINER_…`: EKS pod identity, ECS), the instance's.
/// - of Azure: a connection string, an account's key, a shared access signature, workload identity
///   (`AZURE_FEDERATED_TOKEN_FILE`), a client's secret, managed identity, and, for reading only, the
///   account that az is logged in with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// A key that was given.
    pub key: Option<Key>,
    /// Sign nothing (public buckets).
    pub anonymous: bool,
    /// The environment.
    pub environment: Environment,
}

impl Credentials {
    /// Those of this process's environment, with `key` before them where it is given.
    #[must_use]
    pub fn of_process(key: Option<Key>) -> Self {
        Self {
            key,
            anonymous: false,
            environment: Environment::of_process(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_never_shown() {
        let credentials = Credentials {
            key: Some(Key::of_text("{\"private_key\": \"hush\"}")),
            ..Credentials::default()
        };
        assert!(!format!("{credentials:?}").contains("hush"));
        assert_eq!(
            Key::of_text(" /etc/key.json\n"),
            Key::File("/etc/key.json".into())
        );
    }

    #[test]
    fn emulators_are_urls() {
        let url = |host: &str| {
            Environment {
                emulator_host: Some(host.into()),
                ..Environment::default()
            }
            .emulator_url()
        };
        assert_eq!(
            url("127.0.0.1:4443").as_deref(),
            Some("http://127.0.0.1:4443")
        );
        assert_eq!(
            url("https://gcs.example/").as_deref(),
            Some("https://gcs.example")
        );
    }
}
