//! S3 and Azure, on emulators that verify signatures: rights, conditions, pages, faults. What both
//! have to do is tested once, on each.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    thread,
};

use gillnet_bucket::{
    Access, Body, Bucket, BucketError, Credentials, Destination, Environment, ErrorKind, Key,
    PutError, Secret, connect,
};
use gillnet_testkit::emulators::{
    ACCOUNT, ACCOUNT_KEY, Emulator, KEY_ID, READER_ID, RECORDER_ID, SECRET, once,
};

use super::door::{Door, Harm};

const BUCKET: &str = "flights";

/// A cloud as its users see it.
#[derive(Clone, Copy)]
enum Cloud {
    S3,
    Azure,
}

const CLOUDS: [Cloud; 2] = [Cloud::S3, Cloud::Azure];

/// Who asks.
#[derive(Clone, Copy)]
enum Who {
    All,
    Recorder,
    Reader,
    WrongSecret,
}

fn emulator(cloud: Cloud) -> &'static Emulator {
    static S3: OnceLock<Emulator> = OnceLock::new();
    static AZURE: OnceLock<Emulator> = OnceLock::new();
    let (place, make): (_, fn() -> Emulator) = match cloud {
        Cloud::S3 => (&S3, || Emulator::s3(&[BUCKET])),
        Cloud::Azure => (&AZURE, || Emulator::azure(&[BUCKET])),
    };
    once(place, make)
}

fn port(cloud: Cloud) -> u16 {
    let url = &emulator(cloud).url;
    let rest = url.strip_prefix("http://127.0.0.1:").unwrap();
    rest.split('/').next().unwrap().parse().unwrap()
}

pub(crate) fn environment(variables: &[(&str, &str)]) -> Environment {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Secret::new(*value)));
    Environment {
        variables: variables.collect::<BTreeMap<_, _>>(),
        ..Environment::default()
    }
}

pub(crate) fn of(environment: Environment) -> Credentials {
    Credentials {
        environment,
        ..Credentials::default()
    }
}

impl Cloud {
    fn destination(self, bucket: &str, prefix: &str) -> Destination {
        let scheme = match self {
            Self::S3 => "s3",
            Self::Azure => "az",
        };
        Destination::parse(&format!("{scheme}://{bucket}/{prefix}")).unwrap()
    }

    /// Through the port of the emulator or of a door to it.
    fn credentials(self, who: Who, port: u16) -> Credentials {
        let base = format!("http://127.0.0.1:{port}");
        match self {
            Self::S3 => {
                let (id, secret) = match who {
                    Who::All => (KEY_ID, SECRET),
                    Who::Recorder => (RECORDER_ID, SECRET),
                    Who::Reader => (READER_ID, SECRET),
                    Who::WrongSecret => (KEY_ID, "not-the-s3cr3t"),
                };
                of(environment(&[
                    ("AWS_ENDPOINT_URL", &base),
                    ("AWS_ACCESS_KEY_ID", id),
                    ("AWS_SECRET_ACCESS_KEY", secret),
                ]))
            }
            Self::Azure => {
                let signatures = &emulator(self).signatures;
                let url = format!("{base}/{ACCOUNT}");
                let (name, proof) = match who {
                    Who::All => ("AZURE_STORAGE_KEY", ACCOUNT_KEY),
                    Who::Recorder => ("AZURE_STORAGE_SAS_TOKEN", signatures[0].as_str()),
                    Who::Reader => ("AZURE_STORAGE_SAS_TOKEN", signatures[1].as_str()),
                    Who::WrongSecret => ("AZURE_STORAGE_KEY", "bm90IHRoZSBrZXk="),
                };
                of(environment(&[
                    ("AZURE_STORAGE_ACCOUNT", ACCOUNT),
                    ("AZURE_STORAGE_ENDPOINT", &url),
                    (name, proof),
                ]))
            }
        }
    }

    fn open(self, who: Who, access: Access, prefix: &str) -> Arc<dyn Bucket> {
        self.open_at(port(self), who, access, prefix)
    }

    fn open_at(self, port: u16, who: Who, access: Access, prefix: &str) -> Arc<dyn Bucket> {
        let credentials = self.credentials(who, port);
        connect(&self.destination(BUCKET, prefix), &credentials, access).unwrap()
    }

    fn place(self, key: &str) -> String {
        self.destination(BUCKET, key).to_string()
    }
}

fn keys(bucket: &dyn Bucket, prefix: &str) -> Result<Vec<(String, u64)>, BucketError> {
    let mut keys = Vec::new();
    bucket.list(prefix, &mut |meta| keys.push((meta.key, meta.size)))?;
    Ok(keys)
}

fn refused(error: PutError) -> BucketError {
    match error {
        PutError::Refused(error) => error,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn recording_needs_the_right_to_create_and_reading_those_to_get_and_list() {
    for cloud in CLOUDS {
        let recorder = cloud.open(Who::Recorder, Access::Record, "rights");
        recorder.put_new("a/one", Body::Bytes(b"first")).unwrap();
        let again = recorder.put_new("a/one", Body::Bytes(b"second"));
        assert_eq!(
            again,
            Err(PutError::Exists {
                place: cloud.place("rights/a/one")
            })
        );
        let may_not = |error: BucketError, what: [&str; 2]| {
            assert_eq!(error.kind, ErrorKind::Forbidden, "{error}");
            let what = what[cloud as usize];
            assert!(error.to_string().contains(what), "{what}: {error}");
        };
        may_not(
            recorder.get("a/one").unwrap_err(),
            ["s3:GetObject", "Storage Blob Data Reader"],
        );
        may_not(
            keys(recorder.as_ref(), "").unwrap_err(),
            ["s3:ListBucket", "list blobs"],
        );
        // what the recorder asks to compare
        let kind = recorder.head("a/one").unwrap_err().kind;
        assert_eq!(kind, ErrorKind::Forbidden);

        let reader = cloud.open(Who::Reader, Access::Read, "rights");
        assert_eq!(reader.get("a/one").unwrap(), b"first");
        assert_eq!(reader.get_range("a/one", 1..3).unwrap(), b"ir");
        assert_eq!(reader.get_range("a/one", 3..30).unwrap(), b"st");
        assert_eq!(reader.get_range("a/one", 3..3).unwrap(), b"");
        assert_eq!(reader.head("a/one").unwrap().unwrap().size, 5);
        assert_eq!(reader.head("a/two").unwrap(), None);
        assert_eq!(reader.get("a/two").unwrap_err().kind, ErrorKind::NotFound);
        let all = keys(reader.as_ref(), "").unwrap();
        assert_eq!(all, [("a/one".to_owned(), 5)]);
        let put = reader.put_new("a/two", Body::Bytes(b"x")).unwrap_err();
        may_not(
            refused(put),
            ["s3:PutObject", "Storage Blob Data Contributor"],
        );
    }
}

#[test]
fn a_wrong_secret_is_not_let_in_and_not_shown() {
    for cloud in CLOUDS {
        let bucket = cloud.open(Who::WrongSecret, Access::Record, "wrong");
        let put = refused(bucket.put_new("a", Body::Bytes(b"x")).unwrap_err());
        for error in [put, keys(bucket.as_ref(), "").unwrap_err()] {
            assert_eq!(error.kind, ErrorKind::Unauthenticated, "{error}");
            let said = error.to_string();
            assert!(said.contains("not accepted"), "{said}");
            assert!(said.contains("clock"), "{said}");
            for secret in ["not-the-s3cr3t", "bm90IHRoZSBrZXk="] {
                assert!(!said.contains(secret), "{said}");
            }
        }
    }
}

#[test]
fn a_bucket_that_does_not_exist_is_named() {
    for cloud in CLOUDS {
        let nowhere = cloud.destination("nowhere-at-all", "");
        let credentials = cloud.credentials(Who::All, port(cloud));
        let bucket = connect(&nowhere, &credentials, Access::Read).unwrap();
        let list = keys(bucket.as_ref(), "").unwrap_err();
        let put = match cloud {
            Cloud::Azure => bucket.put_new("a", Body::Bytes(b"x")),
            // SeaweedFS makes it for those who may, which S3 does not
            Cloud::S3 => {
                let door = Door::to(port(cloud));
                let credentials = cloud.credentials(Who::All, door.port);
                door.harm([Harm::Answer(404, "NoSuchBucket")]);
                let bucket = connect(&nowhere, &credentials, Access::Record).unwrap();
                bucket.put_new("a", Body::Bytes(b"x"))
            }
        };
        let put = refused(put.unwrap_err());
        for error in [put, list, bucket.get("a").unwrap_err()] {
            assert_eq!(error.kind, ErrorKind::NoBucket, "{error}");
            let said = error.to_string();
            assert!(
                said.starts_with(&format!("{nowhere}: there is no such")),
                "{said}"
            );
        }
    }
}

#[test]
fn keys_of_any_characters_are_found_again() {
    for cloud in CLOUDS {
        let bucket = cloud.open(Who::All, Access::Read, "odd");
        let odd = ["a b", "a%20b", "ä/ö=ü", "x+y&z?", "n'\"<>", "#"];
        for key in odd {
            bucket.put_new(key, Body::Bytes(key.as_bytes())).unwrap();
            assert_eq!(bucket.get(key).unwrap(), key.as_bytes());
        }
        let listed = keys(bucket.as_ref(), "").unwrap();
        let mut listed: Vec<String> = listed.into_iter().map(|(key, _)| key).collect();
        listed.sort();
        let mut expected = odd.to_vec();
        expected.sort_unstable();
        assert_eq!(listed, expected);
        assert_eq!(keys(bucket.as_ref(), "ä").unwrap().len(), 1);
    }
}

#[test]
fn a_list_of_many_pages_is_whole_and_in_order() {
    // a page has 1,000 objects on S3, 5,000 on Azure
    for (cloud, count) in [(Cloud::S3, 2_100), (Cloud::Azure, 5_300)] {
        let bucket = cloud.open(Who::All, Access::Read, "pages");
        let name = |n: usize| format!("{}/object-{n:05}", n / (count - 100));
        thread::scope(|scope| {
            for part in 0..8 {
                let bucket = &bucket;
                scope.spawn(move || {
                    for n in (part..count).step_by(8) {
                        let body = vec![0; n % 3];
                        bucket.put_new(&name(n), Body::Bytes(&body)).unwrap();
                    }
                });
            }
        });
        let put: Vec<(String, u64)> = (0..count).map(|n| (name(n), n as u64 % 3)).collect();
        assert!(keys(bucket.as_ref(), "").unwrap() == put);
        assert!(keys(bucket.as_ref(), "1").unwrap() == put[count - 100..]);
        assert_eq!(keys(bucket.as_ref(), "2").unwrap(), []);
    }
}

#[test]
fn a_put_is_one_attempt_and_says_what_is_known_after_it() {
    for cloud in CLOUDS {
        let door = Door::to(port(cloud));
        let bucket = cloud.open_at(door.port, Who::Recorder, Access::Record, "attempts");
        let reader = cloud.open(Who::Reader, Access::Read, "attempts");
        for (number, (harm, ambiguous, is_there)) in [
            (Harm::Answer(503, "ServerBusy"), true, false),
            (Harm::Answer(500, "InternalError"), true, false),
            (Harm::Answer(408, ""), true, false),
            (Harm::Answer(429, "TooManyRequests"), false, false),
            (Harm::Drop, true, false),
            (Harm::Lose, true, true),
        ]
        .into_iter()
        .enumerate()
        {
            let key = format!("object-{number}");
            door.harm([harm]);
            door.requests();
            let error = bucket.put_new(&key, Body::Bytes(b"whole")).unwrap_err();
            match &error {
                PutError::Ambiguous(_) => assert!(ambiguous, "{harm:?}: {error:?}"),
                PutError::Unavailable(_) => assert!(!ambiguous, "{harm:?}: {error:?}"),
                _ => panic!("{harm:?}: {error:?}"),
            }
            assert!(error.error().unwrap().is_passing(), "{harm:?}: {error:?}");
            assert_eq!(door.requests().len(), 1, "{harm:?}: one attempt");
            let again = bucket.put_new(&key, Body::Bytes(b"whole"));
            assert_eq!(
                matches!(again, Err(PutError::Exists { .. })),
                is_there,
                "{harm:?}: {again:?}"
            );
            assert_eq!(again.is_ok(), !is_there, "{harm:?}: {again:?}");
            assert_eq!(reader.get(&key).unwrap(), b"whole");
        }
    }
}

#[test]
fn answers_of_their_own_to_puts_are_understood() {
    let put = |cloud: Cloud, status, code| {
        let door = Door::to(port(cloud));
        let bucket = cloud.open_at(door.port, Who::All, Access::Record, "own");
        door.harm([Harm::Answer(status, code)]);
        bucket.put_new("a", Body::Bytes(b"x")).unwrap_err()
    };
    // throttled, or another put of that name is under way: surely not written
    for (status, code) in [(503, "SlowDown"), (409, "ConditionalRequestConflict")] {
        let error = put(Cloud::S3, status, code);
        assert!(matches!(error, PutError::Unavailable(_)), "{error:?}");
        assert!(error.error().unwrap().is_passing());
    }
    // a store without conditional puts would write over what is there
    let error = refused(put(Cloud::S3, 501, "NotImplemented"));
    assert!(error.mend.contains("If-None-Match"), "{error}");
    for code in ["AuthorizationHeaderMalformed", "PermanentRedirect"] {
        let status = if code == "PermanentRedirect" {
            301
        } else {
            400
        };
        let error = refused(put(Cloud::S3, status, code));
        assert!(error.mend.contains("AWS_REGION"), "{error}");
    }
    // a signature that may create, and not write over
    for (status, code) in [
        (403, "UnauthorizedBlobOverwrite"),
        (409, "BlobAlreadyExists"),
    ] {
        let error = put(Cloud::Azure, status, code);
        assert!(matches!(error, PutError::Exists { .. }), "{error:?}");
    }
    let error = refused(put(Cloud::Azure, 409, "ContainerBeingDeleted"));
    assert!(error.to_string().contains("ContainerBeingDeleted"));
}

#[test]
fn reads_are_tried_again_and_go_on_where_they_broke() {
    let body: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    for cloud in CLOUDS {
        let door = Door::to(port(cloud));
        let whole = cloud.open(Who::All, Access::Record, "reads");
        whole.put_new("large", Body::Bytes(&body)).unwrap();
        let bucket = cloud.open_at(door.port, Who::Reader, Access::Read, "reads");
        door.harm([
            Harm::Answer(503, "SlowDown"),
            Harm::Answer(503, "ServerBusy"),
            Harm::Answer(429, ""),
            Harm::Answer(408, ""),
            Harm::Drop,
            Harm::Cut(1_000_000),
            Harm::Cut(500_000),
        ]);
        assert!(bucket.get("large").unwrap() == body);
        assert_eq!(door.requests().len(), 8);
        door.harm([Harm::Answer(500, "InternalError"), Harm::Drop]);
        assert_eq!(keys(bucket.as_ref(), "").unwrap().len(), 1);
        door.harm([Harm::Answer(503, "SlowDown"), Harm::Drop]);
        assert!(bucket.head("large").unwrap().is_some());
    }
}

#[test]
fn nothing_was_sent_where_there_is_no_connection() {
    for cloud in CLOUDS {
        let closed = gillnet_testkit::emulators::free_port();
        let bucket = cloud.open_at(closed, Who::Recorder, Access::Record, "");
        let error = bucket.put_new("a", Body::Bytes(b"x")).unwrap_err();
        assert!(matches!(error, PutError::Unavailable(_)), "{error:?}");
        let error = bucket.get("a").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unavailable);
        assert!(error.to_string().contains("no connection"), "{error}");
    }
}

#[test]
fn a_file_is_put_whole() {
    for cloud in CLOUDS {
        let bucket = cloud.open(Who::All, Access::Record, "files");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("object");
        std::fs::write(&file, vec![7; 3_000_000]).unwrap();
        bucket.put_new("object", Body::File(&file)).unwrap();
        assert!(bucket.get("object").unwrap() == vec![7; 3_000_000]);
        assert_eq!(bucket.place("object"), cloud.place("files/object"));
    }
}

#[test]
fn a_key_file_opens_each() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key");
    let url = &emulator(Cloud::Azure).url;
    for (cloud, text) in [
        (
            Cloud::S3,
            format!("[mine]\naws_access_key_id = {KEY_ID}\naws_secret_access_key = {SECRET}\n"),
        ),
        (Cloud::Azure, format!("{ACCOUNT_KEY}\n")),
        (
            Cloud::Azure,
            format!("AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={url}"),
        ),
    ] {
        std::fs::write(&file, &text).unwrap();
        // what it says goes before what the environment says
        let credentials = Credentials {
            key: Some(Key::File(file.clone())),
            ..cloud.credentials(Who::WrongSecret, port(cloud))
        };
        let place = cloud.destination(BUCKET, "by-file");
        let bucket = connect(&place, &credentials, Access::Read).unwrap();
        assert_eq!(bucket.head("a").unwrap(), None);
        assert!(!format!("{credentials:?}").contains("s3cr3t"));
    }
}

#[test]
fn a_destination_may_name_the_store_and_the_account() {
    let url = &emulator(Cloud::S3).url;
    let named = format!("s3://{BUCKET}/named?region=us-east-1&endpoint={url}");
    let keys = of(environment(&[
        ("AWS_ACCESS_KEY_ID", KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_ENDPOINT_URL", "https://elsewhere.example"),
    ]));
    let place = Destination::parse(&named).unwrap();
    let bucket = connect(&place, &keys, Access::Record).unwrap();
    bucket.put_new("a", Body::Bytes(b"x")).unwrap();
    // the emulator of Azure by the one variable that its users know, at its own address
    let base = format!("http://127.0.0.1:{}", port(Cloud::Azure));
    let emulated = of(environment(&[
        ("AZURE_STORAGE_USE_EMULATOR", "true"),
        ("AZURITE_BLOB_STORAGE_URL", &base),
    ]));
    let place = Cloud::Azure.destination(BUCKET, "named");
    let bucket = connect(&place, &emulated, Access::Record).unwrap();
    bucket.put_new("a", Body::Bytes(b"x")).unwrap();
}
