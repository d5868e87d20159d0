//! Finding credentials.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::Path,
    thread,
};

use gillnet_bucket::{
    Access, Body, BucketError, Credentials, Environment, ErrorKind, Key, PutError, Secret, connect,
};
use tempfile::TempDir;

use super::proxy::{Proxy, READER, RECORDER, destination, make_key};

fn refused(credentials: &Credentials, access: Access) -> BucketError {
    match connect(&destination(""), credentials, access) {
        Ok(_) => panic!("credentials were found"),
        Err(error) => error,
    }
}

/// Answers one request after the other with the same text; never, where it is `None`.
fn server(answer: Option<&'static str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        let mut silent: Vec<TcpStream> = Vec::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(answer) = answer else {
                silent.push(stream);
                continue;
            };
            let mut lines = BufReader::new(stream.try_clone().unwrap())
                .lines()
                .map_while(Result::ok);
            let head: Vec<String> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
            let good = head[0]
                .starts_with("GET /computeMetadata/v1/instance/service-accounts/default/token")
                && head
                    .iter()
                    .any(|line| line.eq_ignore_ascii_case("metadata-flavor: google"));
            let answer = if good {
                answer
            } else {
                "HTTP/1.0 400 Bad\r\n\r\n"
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

fn environment(metadata_host: String) -> Environment {
    Environment {
        metadata_host: Some(metadata_host),
        ..Environment::default()
    }
}

fn of(environment: Environment) -> Credentials {
    Credentials {
        environment,
        ..Credentials::default()
    }
}

#[test]
fn with_none_the_error_lists_the_ways() {
    for answer in [
        None,
        Some("HTTP/1.0 404 Not Found\r\n\r\n"),
        Some("HTTP/1.0 200 OK\r\n\r\nhello"),
        Some(""),
    ] {
        let credentials = of(environment(server(answer)));
        let error = refused(&credentials, Access::Record);
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
        let said = error.to_string();
        for way in [
            "GCS_SA_KEY_JSON",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "gcloud auth application-default login",
            "metadata server",
            "STORAGE_EMULATOR_HOST",
        ] {
            assert!(said.contains(way), "{way}: {said}");
        }
        assert!(!said.contains("--anonymous"), "{said}");
        let said = refused(&credentials, Access::Read).to_string();
        assert!(
            said.contains("--anonymous") && said.contains("gcloud auth login"),
            "{said}"
        );
    }
}

#[test]
fn a_metadata_server_gives_a_token() {
    let host = server(Some(
        "HTTP/1.0 200 OK\r\nMetadata-Flavor: Google\r\n\r\n{\"access_token\":\"t\",\"expires_in\":3599,\"token_type\":\"Bearer\"}",
    ));
    for access in [Access::Record, Access::Read] {
        assert!(connect(&destination(""), &of(environment(host.clone())), access).is_ok());
    }
}

fn gcloud(folder: &Path, script: &str) {
    let file = folder.join("gcloud");
    fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn gcloud_is_asked_for_reading_alone() {
    let folder = TempDir::new().unwrap();
    let with_path = |answer| Environment {
        path: Some(folder.path().into()),
        ..environment(server(answer))
    };
    gcloud(
        folder.path(),
        "[ \"$*\" = 'auth print-access-token --quiet' ] && echo ya29.token",
    );
    assert!(
        connect(
            &destination(""),
            &of(with_path(Some("HTTP/1.0 404 x\r\n\r\n"))),
            Access::Read
        )
        .is_ok()
    );
    let error = refused(
        &of(with_path(Some("HTTP/1.0 404 x\r\n\r\n"))),
        Access::Record,
    );
    assert_eq!(error.kind, ErrorKind::Unauthenticated);
    gcloud(
        folder.path(),
        "echo 'ERROR: You do not currently have an active account selected.' >&2; exit 1",
    );
    let said = refused(&of(with_path(Some("HTTP/1.0 404 x\r\n\r\n"))), Access::Read).to_string();
    assert!(said.contains("active account"), "{said}");
}

#[test]
fn keys_are_found_in_their_order() {
    let proxy = Proxy::with_accounts();
    let home = TempDir::new().unwrap();
    let adc = home
        .path()
        .join(".config/gcloud/application_default_credentials.json");
    fs::create_dir_all(adc.parent().unwrap()).unwrap();
    let reader = match proxy.as_account(READER).key {
        Some(Key::File(path)) => path,
        _ => unreachable!(),
    };
    let recorder = match proxy.as_account(RECORDER).key {
        Some(Key::File(path)) => path,
        _ => unreachable!(),
    };
    fs::copy(&reader, &adc).unwrap();
    let put = |credentials: &Credentials| {
        connect(&destination(""), credentials, Access::Record)
            .unwrap()
            .put_new("a", Body::Bytes(b"x"))
    };
    // inline before GOOGLE_APPLICATION_CREDENTIALS
    let inline = Key::Inline(Secret::new(fs::read_to_string(&recorder).unwrap()));
    let environment = Environment {
        application_credentials: Some(reader.clone()),
        home: Some(home.path().to_owned()),
        ..proxy.environment()
    };
    let both = Credentials {
        key: Some(inline),
        anonymous: false,
        environment: environment.clone(),
    };
    put(&both).unwrap();
    assert!(
        matches!(put(&of(environment)), Err(PutError::Refused(_))),
        "the reader's"
    );
    // that one is signed with also where there is an emulator; the default credentials are not
    let emulator = Environment {
        home: Some(home.path().to_owned()),
        ..proxy.environment()
    };
    let Err(PutError::Refused(error)) = put(&of(emulator)) else {
        panic!("nothing was signed");
    };
    assert_eq!(error.kind, ErrorKind::Unauthenticated);
    // without an emulator they are
    let default = Environment {
        home: Some(home.path().to_owned()),
        ..Environment::default()
    };
    assert!(connect(&destination(""), &of(default.clone()), Access::Record).is_ok());
    fs::write(
        &adc,
        "{\"type\": \"external_account\", \"audience\": \"hush\"}",
    )
    .unwrap();
    let said = refused(&of(default), Access::Record).to_string();
    assert!(
        said.contains("application_default_credentials.json")
            && said.contains("external_account")
            && !said.contains("hush"),
        "{said}"
    );
}

#[test]
fn a_users_default_credentials_are_taken() {
    let home = TempDir::new().unwrap();
    let adc = home
        .path()
        .join(".config/gcloud/application_default_credentials.json");
    fs::create_dir_all(adc.parent().unwrap()).unwrap();
    let environment = Environment {
        home: Some(home.path().to_owned()),
        ..Environment::default()
    };
    fs::write(&adc, "{\"type\":\"authorized_user\",\"client_id\":\"i\",\"client_secret\":\"hush\",\"refresh_token\":\"r\"}").unwrap();
    assert!(connect(&destination(""), &of(environment.clone()), Access::Read).is_ok());
    fs::write(
        &adc,
        "{\"type\":\"authorized_user\",\"client_id\":\"i\",\"client_secret\":\"hush\"}",
    )
    .unwrap();
    let said = refused(&of(environment), Access::Read).to_string();
    assert!(
        said.contains("refresh_token") && !said.contains("hush"),
        "{said}"
    );
}

#[test]
fn a_key_that_can_not_sign_is_refused_when_it_is_given() {
    let good = make_key(RECORDER);
    let credentials = |json: String| Credentials {
        key: Some(Key::of_text(&json)),
        ..Credentials::default()
    };
    assert!(connect(&destination(""), &credentials(good.clone()), Access::Record).is_ok());
    // a DER sequence that is whole, and no key
    let mut json: serde_json::Value = serde_json::from_str(&good).unwrap();
    json["private_key"] =
        "-----BEGIN PRIVATE KEY-----\nMAYCAQACAQE=\n-----END PRIVATE KEY-----\n".into();
    let said = refused(&credentials(json.to_string()), Access::Record).to_string();
    assert!(
        said.contains("no RSA key that can sign") && !said.contains("MAYC"),
        "{said}"
    );
    // cut anywhere
    for cut in [1, 200, 1000, good.len() - 4] {
        let error = refused(&credentials(good[..cut].to_owned()), Access::Record);
        assert_eq!(error.kind, ErrorKind::MalformedKey, "{error}");
        assert!(error.to_string().contains("line"), "{error}");
    }
}

#[test]
fn a_key_may_say_where_the_store_is() {
    let proxy = Proxy::with_accounts();
    let key = Some(proxy.key_with_address(RECORDER));
    let credentials = Credentials {
        key,
        ..Credentials::default()
    };
    let bucket = connect(&destination(""), &credentials, Access::Record).unwrap();
    bucket.put_new("a", Body::Bytes(b"x")).unwrap();
    assert_eq!(proxy.log("PUT").len(), 1);
}

#[test]
fn anonymous_goes_before_everything() {
    let proxy = Proxy::open();
    let key = Some(Key::Inline(Secret::new("broken")));
    let credentials = Credentials {
        key,
        anonymous: true,
        environment: proxy.environment(),
    };
    let bucket = connect(&destination(""), &credentials, Access::Read).unwrap();
    assert_eq!(bucket.head("a").unwrap(), None);
}
