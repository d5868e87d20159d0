//! Objects that are encrypted before they leave the node, for those who have a key: who writes has only public ones.
//!
//! Each is a file of age (age-encryption.org/v1) for recipients of X25519, which other programs read. Of that format there
//! is here what is needed to write it, and to read it by ranges; every calculation is aws-lc's.
//!
//! - [`keys`]: public keys that are encrypted for, secret keys that are read with.
//! - [`header`]: what stands first in a file: its key, wrapped for each recipient.
//! - [`pieces`]: what follows: pieces of 64 KiB, each encrypted by itself.
//! - [`summed`]: size and sum of what is written.
//! - [`decrypted`]: a bucket of which encrypted objects are read as others are.

mod decrypted;
mod header;
mod keys;
mod pieces;
mod summed;
#[cfg(test)]
mod tests;

pub use decrypted::decrypted;
pub(crate) use decrypted::find;
pub use keys::{Identities, RecipientError, Recipients};
pub use pieces::Encryptor;
pub use summed::{Sum, Summed};

/// What can be done where something is encrypted, and no key was given or not the right one.
pub const IDENTITY: &str = "give the file with the secret key of one of the recipients: --identity FILE, or GILLNET_IDENTITY";
/// What is said of objects that are encrypted, and that no key was given for; `None` where there are none.
#[must_use]
pub fn unread(encrypted: &[String]) -> Option<String> {
    let (first, count) = (encrypted.first()?, encrypted.len());
    Some(format!(
        "{count} objects are encrypted with age, such as {first}, and no key was given that reads them"
    ))
}

/// The end of an encrypted object's key.
const END: &str = ".age";

/// The key of an object that is encrypted: its own, and how many bytes it has decrypted, so that a listing says where its
/// end is.
#[must_use]
pub fn encrypted_key(key: &str, size: u64) -> String {
    format!("{key}.{size}{END}")
}

/// The key that an encrypted object has when it is read, and how many bytes it has then; `None` of any other.
#[must_use]
pub fn of_encrypted_key(key: &str) -> Option<(&str, u64)> {
    let (key, size) = key.strip_suffix(END)?.rsplit_once('.')?;
    let number = size.parse().ok()?;
    (encrypted_key("", number) == format!(".{size}{END}")).then_some((key, number))
}

/// The key that an object has when it is read, whether it is encrypted or not.
#[must_use]
pub(crate) fn plain_key(key: &str) -> &str {
    of_encrypted_key(key).map_or(key, |(plain, _)| plain)
}
