//! Google Cloud Storage: rights, conditions, faults.

use std::{net::TcpListener, sync::Arc};

use gillnet_bucket::{
    Access, Body, Bucket, BucketError, Credentials, Environment, ErrorKind, PutError, connect,
};
use serde_json::json;

use super::proxy::{BUCKET, Proxy, READER, RECORDER, STRANGER, destination};

fn open(credentials: &Credentials, access: Access) -> Arc<dyn Bucket> {
    connect(&destination("some/where"), credentials, access).unwrap()
}

fn keys(bucket: &dyn Bucket, prefix: &str) -> Result<Vec<(String, u64)>, BucketError> {
    let mut keys = Vec::new();
    bucket.list(prefix, &mut |meta| keys.push((meta.key, meta.size)))?;
    Ok(keys)
}

#[test]
fn recording_needs_the_right_to_create_and_reading_those_to_get_and_list() {
    let proxy = Proxy::with_accounts();
    let recorder = open(&proxy.as_account(RECORDER), Access::Record);
    recorder.put_new("a/one", Body::Bytes(b"first")).unwrap();
    let again = recorder
        .put_new("a/one", Body::Bytes(b"second"))
        .unwrap_err();
    assert_eq!(
        again,
        PutError::Exists {
            place: format!("gs://{BUCKET}/some/where/a/one")
        }
    );
    let puts = proxy.log("PUT");
    assert_eq!(puts.len(), 2);
    assert!(
        puts.iter()
            .all(|put| put["condition"] == "0" && put["account"] == RECORDER),
        "{puts:?}"
    );
    assert!(
        proxy.log("GET").is_empty() && proxy.log("HEAD").is_empty() && proxy.log("POST").is_empty()
    );

    for (what, error) in [
        ("storage.objects.get", recorder.get("a/one").unwrap_err()),
        (
            "storage.objects.list",
            keys(recorder.as_ref(), "").unwrap_err(),
        ),
    ] {
        assert_eq!(error.kind, ErrorKind::Forbidden);
        let said = error.to_string();
        assert!(
            said.contains(what) && said.contains(RECORDER) && said.contains("objectViewer"),
            "{said}"
        );
    }

    let reader = open(&proxy.as_account(READER), Access::Read);
    assert_eq!(reader.get("a/one").unwrap(), b"first");
    assert_eq!(reader.get_range("a/one", 1..3).unwrap(), b"ir");
    assert_eq!(reader.get_range("a/one", 3..30).unwrap(), b"st");
    assert_eq!(reader.head("a/one").unwrap().unwrap().size, 5);
    assert_eq!(reader.head("a/two").unwrap(), None);
    assert_eq!(reader.get("a/two").unwrap_err().kind, ErrorKind::NotFound);
    assert_eq!(
        keys(reader.as_ref(), "").unwrap(),
        [("a/one".to_owned(), 5)]
    );
    let PutError::Refused(error) = reader.put_new("a/two", Body::Bytes(b"x")).unwrap_err() else {
        panic!("a reader may not create");
    };
    assert_eq!(error.kind, ErrorKind::Forbidden);
    assert!(
        error.to_string().contains("storage.objects.create")
            && error.to_string().contains("objectCreator"),
        "{error}"
    );
}

#[test]
fn what_is_not_let_in_says_why() {
    let proxy = Proxy::with_accounts();
    for credentials in [proxy.as_account(STRANGER), proxy.as_nobody()] {
        let bucket = open(&credentials, Access::Record);
        let PutError::Refused(error) = bucket.put_new("a", Body::Bytes(b"x")).unwrap_err() else {
            panic!("must be refused");
        };
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
        assert!(error.to_string().contains("not accepted"), "{error}");
        assert_eq!(
            keys(bucket.as_ref(), "").unwrap_err().kind,
            ErrorKind::Unauthenticated
        );
    }
}

#[test]
fn a_bucket_that_does_not_exist_is_named() {
    let proxy = Proxy::open();
    let nowhere = gillnet_bucket::Destination::parse("gs://nowhere-at-all").unwrap();
    let bucket = connect(&nowhere, &proxy.as_nobody(), Access::Read).unwrap();
    let put = bucket.put_new("a", Body::Bytes(b"x")).unwrap_err();
    let errors = [
        put.error().unwrap().clone(),
        keys(bucket.as_ref(), "").unwrap_err(),
        bucket.get("a").unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, ErrorKind::NoBucket, "{error}");
        assert!(
            error
                .to_string()
                .starts_with("gs://nowhere-at-all: there is no such bucket"),
            "{error}"
        );
    }
    assert!(matches!(put, PutError::Refused(_)));
}

#[test]
fn keys_of_any_characters_are_found_again() {
    let proxy = Proxy::open();
    let bucket = open(&proxy.as_nobody(), Access::Read);
    let odd = ["a b", "a%20b", "ä/ö=ü", "x+y&z?", "n'\"<>", "#"];
    for key in odd {
        bucket.put_new(key, Body::Bytes(key.as_bytes())).unwrap();
        assert_eq!(bucket.get(key).unwrap(), key.as_bytes());
    }
    let mut listed: Vec<String> = keys(bucket.as_ref(), "")
        .unwrap()
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    listed.sort();
    let mut expected = odd.to_vec();
    expected.sort_unstable();
    assert_eq!(listed, expected);
    assert_eq!(keys(bucket.as_ref(), "ä").unwrap().len(), 1);
    assert!(matches!(
        bucket.put_new("a//b", Body::Bytes(b"")),
        Err(PutError::Refused(_))
    ));
}

#[test]
fn a_list_of_many_pages_is_whole() {
    let proxy = Proxy::with_pages(3);
    let bucket = open(&proxy.as_nobody(), Access::Read);
    let put: Vec<String> = (0..20)
        .map(|n| format!("{}/object-{n:02}", n / 7))
        .collect();
    for key in &put {
        bucket.put_new(key, Body::Bytes(key.as_bytes())).unwrap();
    }
    let listed = |prefix| -> Vec<String> {
        keys(bucket.as_ref(), prefix)
            .unwrap()
            .into_iter()
            .map(|(key, _)| key)
            .collect()
    };
    proxy.forget();
    assert_eq!(listed(""), put);
    assert_eq!(proxy.log("GET").len(), 7);
    assert_eq!(listed("1"), put[7..14]);
    assert_eq!(listed("3"), Vec::<String>::new());
}

#[test]
fn a_put_is_one_attempt_and_says_what_is_known_after_it() {
    let proxy = Proxy::open();
    let bucket = open(&proxy.as_nobody(), Access::Record);
    for (number, (fault, ambiguous, is_there)) in [
        (json!({"kind": "status", "status": 503}), true, false),
        (json!({"kind": "status", "status": 500}), true, false),
        (json!({"kind": "status", "status": 408}), true, false),
        (json!({"kind": "status", "status": 429}), false, false),
        (json!({"kind": "drop"}), true, false),
        (json!({"kind": "lie", "status": 500}), true, true),
        (json!({"kind": "lie-drop"}), true, true),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("object-{number}");
        proxy.forget();
        proxy.fault(fault.clone());
        let error = bucket.put_new(&key, Body::Bytes(b"whole")).unwrap_err();
        assert_eq!(
            matches!(error, PutError::Ambiguous(_)),
            ambiguous,
            "{fault}: {error:?}"
        );
        assert_eq!(
            matches!(error, PutError::Unavailable(_)),
            !ambiguous,
            "{fault}: {error:?}"
        );
        assert_eq!(proxy.log("PUT").len(), 1, "{fault}: one attempt");
        let again = bucket.put_new(&key, Body::Bytes(b"whole"));
        assert_eq!(
            matches!(again, Err(PutError::Exists { .. })),
            is_there,
            "{fault}: {again:?}"
        );
        assert_eq!(again.is_ok(), !is_there, "{fault}: {again:?}");
        assert_eq!(bucket.get(&key).unwrap(), b"whole");
    }
}

#[test]
fn a_refusal_that_speaks_of_deleting_means_that_the_object_exists() {
    // Google answers so where an account without that right puts a name that is taken
    let proxy = Proxy::open();
    let bucket = open(&proxy.as_nobody(), Access::Record);
    let details =
        |right: &str| format!("a@b does not have storage.objects.{right} access to the object.");
    for (right, exists) in [("delete", true), ("create", false)] {
        proxy.fault(json!({"kind": "status", "status": 403, "details": details(right)}));
        let error = bucket.put_new("a", Body::Bytes(b"x")).unwrap_err();
        assert_eq!(
            matches!(error, PutError::Exists { .. }),
            exists,
            "{error:?}"
        );
        assert_eq!(matches!(error, PutError::Refused(_)), !exists, "{error:?}");
    }
}

#[test]
fn nothing_was_sent_where_there_is_no_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    drop(listener);
    let environment = Environment {
        emulator_host: Some(host),
        ..Environment::default()
    };
    let bucket = open(
        &Credentials {
            environment,
            ..Credentials::default()
        },
        Access::Record,
    );
    let error = bucket.put_new("a", Body::Bytes(b"x")).unwrap_err();
    assert!(matches!(error, PutError::Unavailable(_)), "{error:?}");
    let error = bucket.get("a").unwrap_err();
    assert!(
        error.kind == ErrorKind::Unavailable && error.to_string().contains("no connection"),
        "{error}"
    );
}

#[test]
fn reads_are_tried_again_and_go_on_where_they_broke() {
    let proxy = Proxy::open();
    let bucket = open(&proxy.as_nobody(), Access::Read);
    let body: Vec<u8> = (0..1_000_000_u32).flat_map(u32::to_le_bytes).collect();
    bucket.put_new("large", Body::Bytes(&body)).unwrap();
    proxy.forget();
    for fault in [
        json!({"kind": "status", "status": 503, "count": 3, "on": ["GET"]}),
        json!({"kind": "status", "status": 429, "on": ["GET"]}),
        json!({"kind": "drop", "on": ["GET"]}),
        json!({"kind": "cut", "count": 2, "on": ["GET"]}),
    ] {
        proxy.fault(fault);
    }
    assert!(bucket.get("large").unwrap() == body);
    assert!(proxy.log("GET").len() >= 8, "{:?}", proxy.log("GET"));
    proxy.fault(json!({"kind": "status", "status": 500, "count": 2, "on": ["GET"]}));
    assert_eq!(keys(bucket.as_ref(), "").unwrap().len(), 1);
    proxy.fault(json!({"kind": "status", "status": 503, "count": 2, "on": ["HEAD"]}));
    assert!(bucket.head("large").unwrap().is_some());
}

#[test]
fn a_bucket_is_used_and_dropped_on_threads_of_other_runtimes() {
    let proxy = Proxy::open();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let bucket = open(&proxy.as_nobody(), Access::Read);
        bucket.put_new("a", Body::Bytes(b"x")).unwrap();
        assert_eq!(bucket.get("a").unwrap(), b"x");
    });
}

#[test]
fn a_file_is_put_whole() {
    let proxy = Proxy::open();
    let bucket = open(&proxy.as_nobody(), Access::Record);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("object");
    std::fs::write(&file, vec![7; 3_000_000]).unwrap();
    bucket.put_new("object", Body::File(&file)).unwrap();
    assert_eq!(bucket.get("object").unwrap(), vec![7; 3_000_000]);
    let error = bucket
        .put_new("other", Body::File(&folder.path().join("nothing")))
        .unwrap_err();
    assert!(
        matches!(&error, PutError::Refused(error) if error.to_string().contains("can't be read")),
        "{error:?}"
    );
    assert_eq!(
        bucket.place("object"),
        format!("gs://{BUCKET}/some/where/object")
    );
}
