use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha2::{Digest, Sha256};

use super::pieces::{NONCE, PIECE, TAG};
use super::*;
use crate::file::FileBucket;
use crate::{Body, Bucket, BucketError, ErrorKind};

/// Public and secret keys that another implementation made.
const FIRST: [&str; 2] = [
    "age1dlvwqt4c50lleknpevlcs0zsvus86n85a4xxrm8ze4pzt7ns2fnqxxztu9",
    "AGE-SECRET-KEY-1HSECA0W82P74G9XMCL7JFK4GJAYC8L4EEGW4PEZ67DLP6SUUW20QFPW4PM",
];
const SECOND: [&str; 2] = [
    "age17xek7uqmqkpxmqyzyx5caq3ccapwylk0dgru275xde3gw580s4xsnzr0rz",
    "AGE-SECRET-KEY-1VLLZVFDR7DHMU9QAVSP2SZ8FCDQPL6E7RYJ2Z29WJL67QAG4CULSDZGNSA",
];
/// Vectors that are run: the rest of the 143 is armoured, or of passwords or other kinds of keys.
const RUN: usize = 66;

fn identities(folder: &Path, text: &str) -> Result<Identities, BucketError> {
    let file = folder.join("identity");
    std::fs::write(&file, text).unwrap();
    Identities::read(&[file])
}

fn recipients(texts: &[&str]) -> Recipients {
    let texts: Vec<String> = texts.iter().map(ToString::to_string).collect();
    Recipients::parse(&texts).unwrap()
}

fn encrypted(bytes: &[u8], recipients: &Recipients) -> Vec<u8> {
    let mut out = Encryptor::new(Vec::new(), recipients).unwrap();
    // in parts that are none of its pieces
    for part in bytes.chunks(1000) {
        out.write_all(part).unwrap();
    }
    out.finish().unwrap()
}

/// A file, decrypted by the parts that a bucket is read with.
fn decrypt(file: &[u8], identities: &Identities) -> Result<Vec<u8>, String> {
    let (key, header) = header::read(file, identities).map_err(|error| error.to_string())?;
    let (nonce, rest) = file[header..].split_at_checked(NONCE).ok_or("no nonce")?;
    let length = rest.len() as u64;
    let size = length.checked_sub(length.div_ceil(PIECE + TAG).max(1) * TAG);
    let size = size.ok_or("shorter than a piece")?;
    let key = key.payload(nonce).map_err(|_| "no key")?;
    let plain = pieces::open(&key, rest.to_vec(), &(0..size), size);
    plain.map_err(|_| "no piece".to_owned())
}

/// The test vectors of the format: the file that `GILLNET_AGE_VECTORS` names, or where `scripts/deps.sh` puts it.
#[test]
fn the_formats_own_vectors() {
    let path = std::env::var_os("GILLNET_AGE_VECTORS").map_or_else(
        || {
            let home = std::env::var_os("HOME").unwrap_or_default();
            PathBuf::from(home).join(".cache/gillnet/age-vectors-0.2.0/vectors.json")
        },
        PathBuf::from,
    );
    let text = std::fs::read(&path).unwrap_or_else(|error| {
        panic!(
            "no test vectors at {}: {error}.\n`. scripts/deps.sh; deps_age_vectors` fetches them (needs npm and node) \
             and sets GILLNET_AGE_VECTORS; `make test` does so itself",
            path.display()
        )
    });
    let vectors: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&text).unwrap();
    let home = tempfile::tempdir().unwrap();
    let (mut run, mut wrong) = (0, Vec::new());
    for (name, vector) in &vectors {
        let vector = BASE64.decode(vector.as_str().unwrap()).unwrap();
        let end = memchr::memmem::find(&vector, b"\n\n").unwrap();
        let about = std::str::from_utf8(&vector[..end]).unwrap();
        let pairs: Vec<_> = about
            .lines()
            .filter_map(|line| line.split_once(": "))
            .collect();
        let all = |key: &str| -> Vec<&str> {
            let of_key = pairs.iter().filter(|(of, _)| *of == key);
            of_key.map(|(_, value)| *value).collect()
        };
        let keys = all("identity");
        let is_known = keys.iter().all(|key| key.starts_with("AGE-SECRET-KEY-1"));
        if keys.is_empty()
            || !is_known
            || !all("armored").is_empty()
            || !all("passphrase").is_empty()
        {
            continue;
        }
        run += 1;
        let mut file = vector[end + 2..].to_vec();
        if all("compressed") == ["zlib"] {
            let packed = std::mem::take(&mut file);
            flate2::read::ZlibDecoder::new(&*packed)
                .read_to_end(&mut file)
                .unwrap();
        }
        let found = decrypt(&file, &identities(home.path(), &keys.join("\n")).unwrap());
        let is_right = match (all("expect")[0], &found) {
            ("success", Ok(plain)) => all("payload") == [crate::hex(&Sha256::digest(plain))],
            ("no match", Err(error)) => error.contains("none of the keys"),
            ("payload failure", Err(error)) => {
                ["no piece", "shorter than a piece"].contains(&&**error)
            }
            ("header failure" | "HMAC failure", Err(error)) => {
                error.contains("its header is") || error == "no nonce"
            }
            _ => false,
        };
        if !is_right {
            wrong.push((
                name,
                all("expect")[0].to_owned(),
                found.map(|plain| plain.len()),
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(run, RUN);
}

#[test]
fn any_range_of_what_was_encrypted_is_read_by_who_has_a_key() {
    let home = tempfile::tempdir().unwrap();
    let inner: Arc<dyn Bucket> = Arc::new(FileBucket::new(home.path().join("bucket")));
    let both = recipients(&[FIRST[0], SECOND[0], FIRST[0]]);
    assert_eq!(both.texts().len(), 2);
    let sizes = [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7];
    let bytes: Vec<u8> = (0..4 * PIECE).map(|at| (at % 251) as u8).collect();
    for size in sizes {
        let plain = &bytes[..size as usize];
        let (key, file) = (
            encrypted_key(&format!("a/{size}"), size),
            encrypted(plain, &both),
        );
        inner.put_new(&key, Body::Bytes(&file)).unwrap();
    }
    inner.put_new("a/b", Body::Bytes(b"as it is")).unwrap();
    for secret in [FIRST[1], SECOND[1]] {
        let identities = identities(home.path(), &format!("# a comment\n{secret}\n")).unwrap();
        // before it was listed, too
        let bucket = decrypted(Arc::clone(&inner), &identities);
        assert_eq!(bucket.head("a/1").unwrap().unwrap().size, 1);
        assert_eq!(bucket.get("a/1").unwrap(), [0]);
        let mut listed = Vec::new();
        bucket
            .list("", &mut |meta| listed.push((meta.key, meta.size)))
            .unwrap();
        let mut wanted: Vec<_> = sizes.map(|size| (format!("a/{size}"), size)).into();
        wanted.push(("a/b".into(), 8));
        wanted.sort();
        listed.sort();
        assert_eq!(listed, wanted);
        assert_eq!(bucket.get("a/b").unwrap(), b"as it is");
        assert!(!bucket.is_encrypted("a/b") && bucket.is_encrypted("a/0"));
        assert!(bucket.local_path("a/b").is_some() && bucket.local_path("a/0").is_none());
        for size in sizes {
            let (key, plain) = (format!("a/{size}"), &bytes[..size as usize]);
            assert_eq!(bucket.get(&key).unwrap(), plain, "{size}");
            let edges = [
                0,
                1,
                PIECE - 1,
                PIECE,
                PIECE + 1,
                2 * PIECE,
                3 * PIECE + 7,
                5 * PIECE,
            ];
            for (from, to) in edges.iter().flat_map(|from| edges.map(|to| (*from, to))) {
                let (start, end) = (from.min(size) as usize, to.min(size) as usize);
                let part = bucket.get_range(&key, from..to.max(from)).unwrap();
                assert_eq!(part, &plain[start..end.max(start)], "{size}: {from}..{to}");
            }
        }
        bucket.delete("a/7").unwrap();
    }
    let bucket = decrypted(
        Arc::clone(&inner),
        &identities(home.path(), SECOND[1]).unwrap(),
    );
    bucket.list("", &mut |_| {}).unwrap();
    bucket.delete("a/1").unwrap();
    assert!(inner.head("a/1.1.age").unwrap().is_none() && bucket.head("a/1").unwrap().is_none());
}

#[test]
fn who_has_no_key_is_told_so() {
    let home = tempfile::tempdir().unwrap();
    let inner: Arc<dyn Bucket> = Arc::new(FileBucket::new(home.path().join("bucket")));
    let file = encrypted(b"secret", &recipients(&[FIRST[0]]));
    inner.put_new("a/x.6.age", Body::Bytes(&file)).unwrap();
    let bucket = decrypted(
        Arc::clone(&inner),
        &identities(home.path(), SECOND[1]).unwrap(),
    );
    bucket.list("", &mut |_| {}).unwrap();
    let error = bucket.get("a/x").unwrap_err();
    assert_eq!(error.kind, ErrorKind::Forbidden);
    let said = error.to_string();
    for part in [
        "a/x.6.age",
        "none of the keys given",
        "--identity FILE",
        "GILLNET_IDENTITY",
    ] {
        assert!(said.contains(part), "{said}");
    }
    // without any identity nothing is in between
    let bucket = decrypted(Arc::clone(&inner), &Identities::default());
    let mut keys = Vec::new();
    bucket.list("", &mut |meta| keys.push(meta.key)).unwrap();
    assert_eq!(keys, ["a/x.6.age"]);
}

#[test]
fn what_was_changed_is_never_read() {
    let home = tempfile::tempdir().unwrap();
    let identities = identities(home.path(), FIRST[1]).unwrap();
    let plain: Vec<u8> = (0..PIECE + 100).map(|at| (at % 253) as u8).collect();
    let file = encrypted(&plain, &recipients(&[FIRST[0]]));
    let size = plain.len() as u64;
    let read = |file: &[u8], size: u64| {
        let folder = tempfile::tempdir_in(home.path()).unwrap();
        let inner = FileBucket::new(folder.path().to_owned());
        inner
            .put_new(&encrypted_key("x", size), Body::Bytes(file))
            .unwrap();
        let bucket = decrypted(Arc::new(inner), &identities);
        bucket.list("", &mut |_| {}).unwrap();
        bucket.get("x")
    };
    assert_eq!(read(&file, size).unwrap(), plain);
    // each byte before the pieces, some of them, and the end
    let header = file.len() - plain.len() - 2 * TAG as usize;
    let later = [0, 1, 65_535, 65_536, 65_552, 65_560].map(|at| header + at);
    for at in (0..header).chain(later).chain([file.len() - 1]) {
        let mut other = file.clone();
        other[at] ^= 1;
        let error = read(&other, size).expect_err(&at.to_string());
        assert!(
            matches!(error.kind, ErrorKind::Damaged | ErrorKind::Forbidden),
            "{at}: {error}"
        );
    }
    for cut in [
        1,
        16,
        100,
        116,
        117,
        65_552,
        65_668,
        file.len() - 3,
        file.len(),
    ] {
        let error = read(&file[..file.len() - cut], size).expect_err(&cut.to_string());
        assert!(
            error.message.contains("not as long as its name says"),
            "{cut}: {error}"
        );
        assert!(error.mend.contains("restore it"), "{error}");
    }
    assert!(read(&[&file[..], b"more"].concat(), size).is_err());
    for other in [0, 1, size - 1, size + 1, PIECE, u64::MAX] {
        assert!(read(&file, other).is_err(), "{other}");
    }
    // whole pieces that are gone, with a name that says so
    let cut = &file[..file.len() - 116];
    assert!(read(cut, PIECE).is_err());
}

#[test]
fn a_key_says_how_long_what_is_encrypted_is() {
    let key = encrypted_key("packets/a_1.pcapng.gz", 42);
    assert_eq!(key, "packets/a_1.pcapng.gz.42.age");
    assert_eq!(of_encrypted_key(&key), Some(("packets/a_1.pcapng.gz", 42)));
    assert_eq!(plain_key(&key), "packets/a_1.pcapng.gz");
    for other in [
        "a.age",
        "a.x.age",
        "a.042.age",
        "a.-1.age",
        "a.+1.age",
        "a.42",
        "42.age",
    ] {
        assert_eq!((of_encrypted_key(other), plain_key(other)), (None, other));
    }
}

#[test]
fn what_is_no_recipient_is_refused_and_a_secret_key_is_not_shown() {
    let said = |text: &str| {
        Recipients::parse(&[text.to_owned()])
            .unwrap_err()
            .to_string()
    };
    for secret in [FIRST[1].to_owned(), FIRST[1].to_lowercase()] {
        let error = said(&secret);
        assert!(
            error.contains("`AGE-SECRET-KEY-…` is a secret key") && !error.contains(&secret[16..]),
            "{error}"
        );
    }
    let changed = FIRST[0].replace("age1d", "age1e");
    let other_kind = "age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t";
    let zeros =
        bech32::encode::<bech32::Bech32>(bech32::Hrp::parse("age").unwrap(), &[0; 32]).unwrap();
    let short =
        bech32::encode::<bech32::Bech32>(bech32::Hrp::parse("age").unwrap(), &[7; 31]).unwrap();
    for (text, why) in [
        ("", "is no public key"),
        ("age1x", "is no public key"),
        (&changed, "a letter of it is wrong"),
        (other_kind, "is of another kind than X25519"),
        (&FIRST[0].to_uppercase(), "is of another kind than X25519"),
        (&zeros, "nothing can be encrypted for"),
        (&short, "has a wrong length"),
    ] {
        let error = said(text);
        assert!(
            error.contains(why)
                && error.contains("age-keygen")
                && error.contains(&format!("`{text}`")),
            "{error}"
        );
    }
    assert!(Encryptor::new(Vec::new(), &Recipients::default()).is_err());
}

#[test]
fn what_is_no_identity_is_refused_with_its_line_and_is_not_shown() {
    let home = tempfile::tempdir().unwrap();
    let changed = FIRST[1].replace("-1H", "-1J");
    for (text, why) in [
        ("", "has no secret key of age"),
        ("# only a comment\n", "has no secret key of age"),
        (FIRST[0], "line 1 is of another kind"),
        (&format!("{}\n\nx\n", FIRST[1]), "line 3 is no secret key"),
        (
            &changed,
            "line 1 is no secret key of age, or a letter of it is wrong",
        ),
        (&FIRST[1].to_lowercase(), "line 1 is of another kind"),
    ] {
        let error = identities(home.path(), text).unwrap_err();
        let said = error.to_string();
        assert_eq!(error.kind, ErrorKind::MalformedKey);
        assert!(
            said.contains(why) && said.contains("identity") && said.contains("age-keygen"),
            "{said}"
        );
        assert!(!said.to_uppercase().contains("HSECA0W82P74G9"), "{said}");
    }
    let error = Identities::read(&[home.path().join("none")]).unwrap_err();
    assert!(error.message.contains("can't be read"), "{error}");
    let shown = format!("{:?}", identities(home.path(), FIRST[1]).unwrap());
    assert_eq!(shown, "Identities(1)");
}
