//! SCRAM (RFC 5802, RFC 7677), as Kafka logs in with it.

use std::num::NonZeroU32;

use aws_lc_rs::{constant_time::verify_slices_are_equal, digest, hmac, pbkdf2};
use base64::{Engine as _, prelude::BASE64_STANDARD};

/// More rounds than this are no server's wish, but an attack on our processor.
const MAX_ROUNDS: u32 = 100_000;
/// The fewest that RFC 7677 allows.
const MIN_ROUNDS: u32 = 4096;

#[derive(Clone, Copy)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    pub(crate) fn mechanism(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn hmac(self, key: &[u8], text: &[u8]) -> hmac::Tag {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), text)
    }

    fn digest(self, text: &[u8]) -> digest::Digest {
        match self {
            Self::Sha256 => digest::digest(&digest::SHA256, text),
            Self::Sha512 => digest::digest(&digest::SHA512, text),
        }
    }

    fn salted(self, password: &str, salt: &[u8], rounds: NonZeroU32) -> Vec<u8> {
        let (algorithm, length) = match self {
            Self::Sha256 => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
            Self::Sha512 => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
        };
        let mut out = vec![0; length];
        pbkdf2::derive(algorithm, rounds, salt, password.as_bytes(), &mut out);
        out
    }
}

/// A login that was begun.
pub(crate) struct Scram<'a> {
    hash: Hash,
    password: &'a str,
    nonce: String,
    bare: String,
}

/// What the server must show at the end: that it knows the password too.
pub(crate) struct Signature(hmac::Tag);

impl<'a> Scram<'a> {
    pub(crate) fn new(hash: Hash, username: &str, password: &'a str, nonce: &str) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        Self {
            hash,
            password,
            nonce: nonce.to_owned(),
            bare: format!("n={username},r={nonce}"),
        }
    }

    /// The client's first message.
    pub(crate) fn first(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// The client's last message, from the server's first.
    pub(crate) fn last(&self, server: &[u8]) -> Result<(String, Signature), &'static str> {
        const WRONG: &str = "the server's part of the login can't be read";
        let server = std::str::from_utf8(server).map_err(|_| WRONG)?;
        let part = |key: &str| server.split(',').find_map(|part| part.strip_prefix(key));
        let nonce = part("r=").ok_or(WRONG)?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the server's part of the login belongs to another one");
        }
        let salt = part("s=").and_then(|salt| BASE64_STANDARD.decode(salt).ok());
        let salt = salt.ok_or(WRONG)?;
        let rounds: u32 = part("i=").and_then(|i| i.parse().ok()).ok_or(WRONG)?;
        let rounds = NonZeroU32::new(rounds)
            .filter(|rounds| (MIN_ROUNDS..=MAX_ROUNDS).contains(&rounds.get()))
            .ok_or("the server asks for fewer than 4096 or more than 100000 rounds")?;
        let salted = self.hash.salted(self.password, &salt, rounds);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let stored_key = self.hash.digest(client_key.as_ref());
        let end = format!("c=biws,r={nonce}");
        let whole = format!("{},{server},{end}", self.bare);
        let signature = self.hash.hmac(stored_key.as_ref(), whole.as_bytes());
        let proof: Vec<u8> = client_key
            .as_ref()
            .iter()
            .zip(signature.as_ref())
            .map(|(key, signature)| key ^ signature)
            .collect();
        let server_key = self.hash.hmac(&salted, b"Server Key");
        let expected = self.hash.hmac(server_key.as_ref(), whole.as_bytes());
        let last = format!("{end},p={}", BASE64_STANDARD.encode(proof));
        Ok((last, Signature(expected)))
    }
}

impl Signature {
    pub(crate) fn check(&self, server: &[u8]) -> Result<(), &'static str> {
        let wrong = "the server does not know the password: it may be another's";
        let shown = std::str::from_utf8(server)
            .ok()
            .and_then(|text| text.split(',').find_map(|part| part.strip_prefix("v=")))
            .and_then(|text| BASE64_STANDARD.decode(text).ok())
            .ok_or(wrong)?;
        verify_slices_are_equal(&shown, self.0.as_ref()).map_err(|_| wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677 §3.
    #[test]
    fn the_example_of_the_rfc() {
        let scram = Scram::new(Hash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let server = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (last, signature) = scram.last(server.as_bytes()).unwrap();
        assert_eq!(
            last,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert!(
            signature
                .check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
                .is_ok()
        );
        assert!(
            signature
                .check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=")
                .is_err()
        );
        assert!(signature.check(b"e=other-error").is_err());
    }

    #[test]
    fn a_server_that_is_none_is_refused() {
        let scram = Scram::new(Hash::Sha512, "a=b,c", "p", "abc");
        assert_eq!(scram.first(), "n,,n=a=3Db=2Cc,r=abc");
        for server in [
            "",
            "r=abc,s=YQ==,i=4096",
            "r=xabcd,s=YQ==,i=4096",
            "r=abcd,s=!,i=4096",
            "r=abcd,s=YQ==,i=1",
            "r=abcd,s=YQ==,i=4000000000",
        ] {
            assert!(scram.last(server.as_bytes()).is_err(), "{server}");
        }
    }
}
