//! Public keys, and secret ones, as age-keygen writes them.

use std::{fmt, path::Path, sync::Arc};

use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use bech32::{Bech32, Hrp, primitives::decode::CheckedHrpstring};

use crate::{BucketError, ErrorKind, credentials::read_file};

/// Bytes of a key, and of what two agree on.
pub(super) const KEY: usize = 32;
/// What a public key begins with, before its `1`.
const PUBLIC: &str = "age";
/// The same of a secret one.
const SECRET: &str = "AGE-SECRET-KEY-";

/// For whom is encrypted: public keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipients(Vec<String>);

/// A text that is no recipient.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` {why}; write a line age1… that age-keygen printed as the public key")]
pub struct RecipientError {
    text: String,
    why: &'static str,
}

impl Recipients {
    /// Those of public keys as `age-keygen` prints them; one that is there twice counts once.
    ///
    /// # Errors
    /// The first that is none.
    pub fn parse(texts: &[String]) -> Result<Self, RecipientError> {
        let mut all = Vec::new();
        for text in texts.iter().map(|text| text.trim()) {
            public(text).map_err(|why| RecipientError {
                text: shown(text),
                why,
            })?;
            if !all.iter().any(|known| known == text) {
                all.push(text.to_owned());
            }
        }
        Ok(Self(all))
    }

    /// Whether there are none: then nothing is encrypted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As they were written.
    #[must_use]
    pub fn texts(&self) -> &[String] {
        &self.0
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = [u8; KEY]> {
        // each was looked at when it was taken
        self.0.iter().filter_map(|text| public(text).ok())
    }
}

/// What is shown of a text that should have been a public key, which may be a secret one.
fn shown(text: &str) -> String {
    let is_secret = text
        .get(..SECRET.len())
        .is_some_and(|begin| begin.eq_ignore_ascii_case(SECRET));
    match is_secret {
        true => format!("{SECRET}…"),
        false => text.to_owned(),
    }
}

fn public(text: &str) -> Result<[u8; KEY], &'static str> {
    if shown(text) != text {
        return Err("is a secret key, which nobody but its owner should have");
    }
    let found = CheckedHrpstring::new::<Bech32>(text)
        .map_err(|_| "is no public key of age, or a letter of it is wrong")?;
    if found.hrp() != Hrp::parse_unchecked(PUBLIC) || text.starts_with(char::is_uppercase) {
        return Err("is of another kind than X25519, which alone is written here");
    }
    let bytes: Vec<u8> = found.byte_iter().collect();
    let key = <[u8; KEY]>::try_from(bytes).map_err(|_| "has a wrong length")?;
    // some points agree on nothing with anyone; better now than when something is to be encrypted
    let trial = PrivateKey::generate(&X25519).map_err(|_| "can't be tried")?;
    agreed(&trial, &key).ok_or("is a point that nothing can be encrypted for")?;
    Ok(key)
}

/// What two keys agree on; `None` where that would be known to everybody.
pub(super) fn agreed(secret: &PrivateKey, public: &[u8; KEY]) -> Option<[u8; KEY]> {
    let peer = UnparsedPublicKey::new(&X25519, public.as_slice());
    agree(secret, peer, (), |shared| {
        <[u8; KEY]>::try_from(shared).map_err(|_| ())
    })
    .ok()
}

/// A secret key with its public one.
pub(super) struct Identity {
    pub(super) secret: PrivateKey,
    pub(super) public: [u8; KEY],
}

impl Identity {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let found = CheckedHrpstring::new::<Bech32>(text)
            .map_err(|_| "is no secret key of age, or a letter of it is wrong")?;
        let is_ours = found.hrp() == Hrp::parse_unchecked(SECRET) && text.starts_with(SECRET);
        if !is_ours {
            return Err("is of another kind than AGE-SECRET-KEY-1…, which alone is read here");
        }
        let bytes: Vec<u8> = found.byte_iter().collect();
        let secret =
            PrivateKey::from_private_key(&X25519, &bytes).map_err(|_| "has a wrong length")?;
        let public = secret
            .compute_public_key()
            .map_err(|_| "has no public key")?;
        let public = <[u8; KEY]>::try_from(public.as_ref()).map_err(|_| "has no public key")?;
        Ok(Self { secret, public })
    }
}

/// Secret keys that what was encrypted is read with.
#[derive(Clone, Default)]
pub struct Identities(Arc<[Identity]>);

impl fmt::Debug for Identities {
    /// Never shows a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identities({})", self.0.len())
    }
}

impl Identities {
    /// Those of files as `age-keygen` writes them: a key a line, and comments.
    ///
    /// # Errors
    /// Where a file can't be read, a line of it is no key, or it has none.
    pub fn read(files: &[impl AsRef<Path>]) -> Result<Self, BucketError> {
        let mut all = Vec::new();
        for file in files {
            let file = file.as_ref();
            let wrong = |message: String| {
                BucketError::new(ErrorKind::MalformedKey, file.display().to_string(), message)
                    .mend("give the file that age-keygen wrote, with a line AGE-SECRET-KEY-1…")
            };
            let before = all.len();
            for (at, line) in read_file(file)?.reveal().lines().enumerate() {
                let line = line.trim();
                if line.is_empty() || line.starts_with('#') {
                    continue;
                }
                let key = Identity::parse(line);
                all.push(key.map_err(|why| wrong(format!("line {} {why}", at + 1)))?);
            }
            if all.len() == before {
                return Err(wrong("has no secret key of age".to_owned()));
            }
        }
        Ok(Self(all.into()))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Identity> {
        self.0.iter()
    }
}
