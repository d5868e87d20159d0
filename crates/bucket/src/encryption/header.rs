//! What stands first in a file of age: the key of the file, wrapped for each recipient, and a sum over all that.

use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, X25519};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::{error::Unspecified, hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;

use super::keys::{Identities, KEY, Recipients, agreed};

/// The first line.
const VERSION: &[u8] = b"age-encryption.org/v1\n";
/// What the last line begins with. The sum is over all up to here.
const LAST: &[u8] = b"---";
/// Letters in a line of a recipient's body, all but the last of which are full.
const LINE: usize = 64;
/// The kind of recipients that is known here.
const KIND: &str = "X25519";
/// What is derived where a file's key is wrapped.
const WRAP: &[u8] = b"age-encryption.org/v1/X25519";

/// The key of a file.
pub(super) struct FileKey([u8; 16]);

impl FileKey {
    /// A new one.
    pub(super) fn new() -> Result<Self, Unspecified> {
        let mut key = [0; 16];
        rand::fill(&mut key)?;
        Ok(Self(key))
    }

    /// The key of what follows the header.
    pub(super) fn payload(&self, nonce: &[u8]) -> Result<LessSafeKey, Unspecified> {
        cipher(&derived(nonce, &self.0, b"payload")?)
    }

    /// The sum of a header.
    fn sum(&self) -> Result<hmac::Key, Unspecified> {
        let key = derived(&[], &self.0, b"header")?;
        Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
    }
}

fn derived(salt: &[u8], secret: &[u8], info: &[u8]) -> Result<[u8; KEY], Unspecified> {
    let mut key = [0; KEY];
    let made = Salt::new(HKDF_SHA256, salt).extract(secret);
    made.expand(&[info], HKDF_SHA256)?.fill(&mut key)?;
    Ok(key)
}

fn cipher(key: &[u8; KEY]) -> Result<LessSafeKey, Unspecified> {
    UnboundKey::new(&CHACHA20_POLY1305, key).map(LessSafeKey::new)
}

/// The key that a file's key is wrapped with, which is used once.
fn wrapping(
    shared: &[u8; KEY],
    share: &[u8; KEY],
    public: &[u8; KEY],
) -> Result<LessSafeKey, Unspecified> {
    cipher(&derived(&[*share, *public].concat(), shared, WRAP)?)
}

/// The nonce of a key that is used once.
fn once() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// Writes the header of a file.
pub(super) fn write(key: &FileKey, recipients: &Recipients) -> Result<Vec<u8>, Unspecified> {
    let mut out = VERSION.to_vec();
    for public in recipients.keys() {
        let secret = PrivateKey::generate(&X25519)?;
        let share = secret.compute_public_key()?;
        let share = <[u8; KEY]>::try_from(share.as_ref()).map_err(|_| Unspecified)?;
        let shared = agreed(&secret, &public).ok_or(Unspecified)?;
        let mut body = key.0.to_vec();
        wrapping(&shared, &share, &public)?.seal_in_place_append_tag(
            once(),
            Aad::empty(),
            &mut body,
        )?;
        let (share, body) = (BASE64.encode(share), BASE64.encode(body));
        out.extend_from_slice(format!("-> {KIND} {share}\n{body}\n").as_bytes());
    }
    out.extend_from_slice(LAST);
    let sum = hmac::sign(&key.sum()?, &out);
    out.extend_from_slice(format!(" {}\n", BASE64.encode(sum)).as_bytes());
    Ok(out)
}

/// Why a file can't be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    /// What was given ends within it.
    #[error("its header is not all there")]
    Short,
    /// It is not as it should be.
    #[error("its header is damaged, or it is no file of age")]
    Damaged,
    /// It is for others.
    #[error("none of the keys given is one of its recipients'")]
    NoKey,
}

/// A wrapped key.
struct Stanza<'f> {
    kind: &'f str,
    arguments: Vec<&'f str>,
    body: Vec<u8>,
}

/// Reads the header that a file begins with: the file's key, and how long it is.
///
/// # Errors
/// See [`HeaderError`].
pub(super) fn read(file: &[u8], identities: &Identities) -> Result<(FileKey, usize), HeaderError> {
    let mut lines = Lines { file, at: 0 };
    if lines.next()? != VERSION.trim_ascii_end() {
        return Err(HeaderError::Damaged);
    }
    let mut stanzas = Vec::new();
    let (sum, summed) = loop {
        let from = lines.at;
        let line = lines.next()?;
        if let Some(sum) = line.strip_prefix(LAST) {
            let sum = sum.strip_prefix(b" ").ok_or(HeaderError::Damaged)?;
            break (decoded(sum)?, from + LAST.len());
        }
        stanzas.push(stanza(line, &mut lines)?);
    };
    // a password stands alone, or the file was not written by who knows the format
    if stanzas.is_empty() || (stanzas.len() > 1 && stanzas.iter().any(|of| of.kind == "scrypt")) {
        return Err(HeaderError::Damaged);
    }
    let key = unwrapped(&stanzas, identities)?;
    let summed = file.get(..summed).unwrap_or_default();
    let checks = key.sum().and_then(|of| hmac::verify(&of, summed, &sum));
    checks.map_err(|_| HeaderError::Damaged)?;
    Ok((key, lines.at))
}

fn unwrapped(stanzas: &[Stanza<'_>], identities: &Identities) -> Result<FileKey, HeaderError> {
    let mut found = None;
    for stanza in stanzas.iter().filter(|of| of.kind == KIND) {
        let [share] = stanza.arguments.as_slice() else {
            return Err(HeaderError::Damaged);
        };
        let share = <[u8; KEY]>::try_from(decoded(share.as_bytes())?);
        let (Ok(share), 32) = (share, stanza.body.len()) else {
            return Err(HeaderError::Damaged);
        };
        for identity in identities.iter() {
            let shared = agreed(&identity.secret, &share).ok_or(HeaderError::Damaged)?;
            let mut body = stanza.body.clone();
            let opened = wrapping(&shared, &share, &identity.public).and_then(|key| {
                let plain = key.open_in_place(once(), Aad::empty(), &mut body)?;
                <[u8; 16]>::try_from(&*plain).map_err(|_| Unspecified)
            });
            // all of them are looked at: one that is malformed is no file of age
            found = found.or(opened.ok().map(FileKey));
        }
    }
    found.ok_or(HeaderError::NoKey)
}

fn stanza<'f>(line: &'f [u8], lines: &mut Lines<'f>) -> Result<Stanza<'f>, HeaderError> {
    let words = line.strip_prefix(b"-> ").ok_or(HeaderError::Damaged)?;
    let words = std::str::from_utf8(words).map_err(|_| HeaderError::Damaged)?;
    let mut words = words.split(' ');
    let is_word = |word: &&str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic());
    let kind = words.next().filter(is_word).ok_or(HeaderError::Damaged)?;
    let arguments: Vec<&str> = words.collect();
    if !arguments.iter().all(is_word) {
        return Err(HeaderError::Damaged);
    }
    let mut body = Vec::new();
    loop {
        let line = lines.next()?;
        if line.len() > LINE {
            return Err(HeaderError::Damaged);
        }
        body.extend(decoded(line)?);
        if line.len() < LINE {
            let (arguments, body) = (arguments, body);
            return Ok(Stanza {
                kind,
                arguments,
                body,
            });
        }
    }
}

fn decoded(text: &[u8]) -> Result<Vec<u8>, HeaderError> {
    BASE64.decode(text).map_err(|_| HeaderError::Damaged)
}

/// The lines of a header.
struct Lines<'f> {
    file: &'f [u8],
    at: usize,
}

impl<'f> Lines<'f> {
    fn next(&mut self) -> Result<&'f [u8], HeaderError> {
        let rest = self.file.get(self.at..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).ok_or(HeaderError::Short)?;
        self.at += end + 1;
        Ok(rest.get(..end).unwrap_or_default())
    }
}
