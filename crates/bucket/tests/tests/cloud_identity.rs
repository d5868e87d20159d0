//! Finding credentials of AWS and Azure: each way, in its order, against servers that answer as
//! theirs do; with none, what would help.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    thread,
};

use gillnet_bucket::{
    Access, Body, BucketError, Credentials, Destination, Environment, ErrorKind, Key, PutError,
    Secret, connect,
};
use tempfile::TempDir;

use super::clouds::{environment, of};

/// A server that keeps what it is asked (first line, headers, body) and answers by path.
struct Service {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

fn service(answer: impl Fn(&str) -> (u16, String) + Send + 'static) -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(request) = request(&stream) else {
                continue;
            };
            let line = request.lines().next().unwrap_or_default().to_owned();
            kept.lock().unwrap().push(request);
            let (status, body) = answer(&line);
            let _ = write!(
                stream,
                "HTTP/1.1 {status} x\r\nETag: \"1\"\r\nLast-Modified: Thu, 26 Nov 2026 00:00:00 GMT\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    Service { url, asked }
}

fn request(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut whole = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        let is_end = line.trim().is_empty();
        whole.push_str(&line);
        if is_end {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    whole.push_str(&String::from_utf8_lossy(&body));
    Some(whole)
}

impl Service {
    /// Whether a request had all of these texts in it.
    fn was_asked(&self, texts: &[&str]) -> bool {
        let asked = self.asked.lock().unwrap();
        asked.iter().any(|request| {
            let request = request.to_ascii_lowercase();
            texts
                .iter()
                .all(|text| request.contains(&text.to_ascii_lowercase()))
        })
    }
}

/// A store that takes everything.
fn store() -> Service {
    service(|_| (200, String::new()))
}

fn s3() -> Destination {
    Destination::parse("s3://flights").unwrap()
}

fn azure() -> Destination {
    Destination::parse("az://flights").unwrap()
}

fn refused(destination: &Destination, credentials: &Credentials, access: Access) -> BucketError {
    match connect(destination, credentials, access) {
        Ok(_) => panic!("credentials were found"),
        Err(error) => error,
    }
}

/// Puts something; what is wrong is told by the put or before it.
fn put(destination: &Destination, environment: Environment) {
    let bucket = connect(destination, &of(environment), Access::Record).unwrap();
    bucket.put_new("a", Body::Bytes(b"x")).unwrap();
}

const TEMPORARY: &str = r#"{"Code":"Success","AccessKeyId":"AKTEMPORARY","SecretAccessKey":"hush","Token":"its-token","Expiration":"2099-01-01T00:00:00Z"}"#;

/// Signed by the temporary key, with its token.
fn signed(store: &Service) -> bool {
    store.was_asked(&[
        "put /flights/a",
        "credential=aktemporary/",
        "x-amz-security-token: its-token",
        "if-none-match: *",
    ])
}

#[test]
fn with_none_the_error_lists_the_ways_of_aws() {
    // one that is silent, and one that is none
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let other = service(|_| (404, "nothing here".to_owned()));
    let mut ways = vec![environment(&[("AWS_EC2_METADATA_DISABLED", "true")])];
    for url in [&silent, &other.url] {
        ways.push(environment(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", url)]));
    }
    for environment in ways {
        let error = refused(&s3(), &of(environment.clone()), Access::Record);
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
        let said = error.to_string();
        for way in [
            "AWS_ACCESS_KEY_ID",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_PROFILE",
            "pod identity",
            "instance with a role",
        ] {
            assert!(said.contains(way), "{way}: {said}");
        }
        assert!(!said.contains("--anonymous"), "{said}");
        let said = refused(&s3(), &of(environment), Access::Read).to_string();
        assert!(said.contains("--anonymous"), "{said}");
    }
}

#[test]
fn an_instance_gives_its_role() {
    let metadata = service(|line| match line {
        _ if line.starts_with("PUT /latest/api/token") => (200, "t".to_owned()),
        _ if line.contains("/security-credentials/ ") => (200, "role".to_owned()),
        _ if line.contains("/security-credentials/role") => (200, TEMPORARY.to_owned()),
        _ => (404, String::new()),
    });
    let store = store();
    put(
        &s3(),
        environment(&[
            ("AWS_METADATA_ENDPOINT", &metadata.url),
            ("AWS_ENDPOINT_URL", &store.url),
        ]),
    );
    assert!(signed(&store));
}

#[test]
fn eks_gives_a_pod_its_role() {
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "the-pods-token").unwrap();
    let agent = service(|_| (200, TEMPORARY.to_owned()));
    let store = store();
    let uri = format!("{}/v1/credentials", agent.url);
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", uri.as_str()),
        ("AWS_ENDPOINT_URL", &store.url),
        (
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            token.to_str().unwrap(),
        ),
    ];
    put(&s3(), environment(&variables));
    assert!(agent.was_asked(&["GET /v1/credentials", "authorization: the-pods-token"]));
    assert!(signed(&store));
    let error = refused(&s3(), &of(environment(&variables[..2])), Access::Record);
    assert!(error.to_string().contains("TOKEN_FILE is not"), "{error}");
}

#[test]
fn a_service_account_has_a_role() {
    let folder = TempDir::new().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "the-web-token").unwrap();
    let sts = service(|_| {
        let body = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
             <SessionToken>its-token</SessionToken><SecretAccessKey>hush</SecretAccessKey>\
             <Expiration>2099-01-01T00:00:00Z</Expiration><AccessKeyId>AKTEMPORARY</AccessKeyId></Credentials>\
             </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
        (200, body.to_owned())
    });
    let store = store();
    let file = token.to_str().unwrap();
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file),
        ("AWS_ENDPOINT_URL_S3", &store.url),
        ("AWS_ENDPOINT_URL_STS", &sts.url),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/flights"),
    ];
    put(&s3(), environment(&variables));
    assert!(sts.was_asked(&[
        "AssumeRoleWithWebIdentity",
        "the-web-token",
        "role%2Fflights"
    ]));
    assert!(signed(&store));
    // what is wrong with it: no role, no file, a role that does not trust the account
    let error = refused(&s3(), &of(environment(&variables[..3])), Access::Record);
    assert!(error.to_string().contains("AWS_ROLE_ARN is not"), "{error}");
    let refusing = service(|_| {
        let body = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>Not authorized to perform sts:AssumeRoleWithWebIdentity</Message></Error></ErrorResponse>";
        (403, body.to_owned())
    });
    let mut untrusted = variables;
    untrusted[2].1 = &refusing.url;
    let said = refused(&s3(), &of(environment(&untrusted)), Access::Record).to_string();
    assert!(
        said.contains("role/flights") && said.contains("Not authorized to perform sts"),
        "{said}"
    );
    // a service that is away for now stops no recorder, and is said at the upload
    let away = format!(
        "http://127.0.0.1:{}",
        gillnet_testkit::emulators::free_port()
    );
    let mut later = variables;
    later[2].1 = &away;
    let bucket = connect(&s3(), &of(environment(&later)), Access::Record).unwrap();
    let error = bucket.put_new("b", Body::Bytes(b"x")).unwrap_err();
    let PutError::Unavailable(error) = error else {
        panic!("surely not sent: {error:?}");
    };
    assert!(error.to_string().contains("no credentials"), "{error}");
    refused(&s3(), &of(environment(&later)), Access::Read);
    fs::remove_file(&token).unwrap();
    let error = refused(&s3(), &of(environment(&variables)), Access::Record);
    assert!(error.to_string().contains("can't be read"), "{error}");
}

fn aws_files(home: &Path, config: &str, credentials: &str) {
    let folder = home.join(".aws");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config"), config).unwrap();
    fs::write(folder.join("credentials"), credentials).unwrap();
}

#[test]
fn profiles_give_keys_region_and_store() {
    let home = TempDir::new().unwrap();
    let store = store();
    aws_files(
        home.path(),
        &format!(
            "[default]\nregion = eu-west-1\n[profile far]\nregion = ap-south-1\nendpoint_url = {}\n[profile single]\nsso_session = x\n",
            store.url
        ),
        "[far]\naws_access_key_id = AKFAR\naws_secret_access_key = hush\n",
    );
    let at_home = |variables: &[(&str, &str)]| Environment {
        home: Some(home.path().to_owned()),
        ..environment(variables)
    };
    put(&s3(), at_home(&[("AWS_PROFILE", "far")]));
    assert!(store.was_asked(&["credential=akfar/", "/ap-south-1/s3/"]));
    // keys of the environment go before those of a profile, and its region as well
    put(
        &s3(),
        at_home(&[
            ("AWS_PROFILE", "far"),
            ("AWS_REGION", "us-west-2"),
            ("AWS_ACCESS_KEY_ID", "AKFIRST"),
            ("AWS_SECRET_ACCESS_KEY", "hush"),
        ]),
    );
    assert!(store.was_asked(&["credential=akfirst/", "/us-west-2/s3/"]));
    for (profile, says) in [("single", "sso_session"), ("none", "no profile \"none\"")] {
        let credentials = of(at_home(&[("AWS_PROFILE", profile)]));
        let said = refused(&s3(), &credentials, Access::Record).to_string();
        assert!(said.contains(says) && !said.contains("hush"), "{said}");
    }
}

#[test]
fn halves_and_nonsense_are_named() {
    let half = environment(&[("AWS_SECRET_ACCESS_KEY", "hush")]);
    let said = refused(&s3(), &of(half), Access::Record).to_string();
    assert!(
        said.contains("AWS_ACCESS_KEY_ID is not") && !said.contains("hush"),
        "{said}"
    );
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AK"),
        ("AWS_SECRET_ACCESS_KEY", "hush"),
    ];
    for (name, value, says) in [
        ("AWS_REGION", "eu-west-1.evil/", "no region"),
        (
            "AWS_ENDPOINT_URL",
            "http://minio:9000",
            "AWS_ALLOW_HTTP=true",
        ),
        ("AWS_ENDPOINT_URL", "minio:9000", "https://"),
    ] {
        let environment = environment(&[keys[0], keys[1], (name, value)]);
        let said = refused(&s3(), &of(environment), Access::Record).to_string();
        assert!(said.contains(says) && !said.contains("hush"), "{said}");
    }
    let allowed = [
        keys[0],
        keys[1],
        ("AWS_ENDPOINT_URL", "http://minio:9000"),
        ("AWS_ALLOW_HTTP", "true"),
    ];
    assert!(connect(&s3(), &of(environment(&allowed)), Access::Record).is_ok());
    for (text, says) in [
        ("", "is empty"),
        ("AccountName=acc", "neither AccountKey"),
        ("not base64 of a key hush", "base64"),
    ] {
        let credentials = Credentials {
            key: Some(Key::Inline(Secret::new(text))),
            ..of(environment(&[("AZURE_STORAGE_ACCOUNT", "acc")]))
        };
        let said = refused(&azure(), &credentials, Access::Record).to_string();
        assert!(said.contains(says) && !said.contains("hush"), "{said}");
    }
    let said = refused(&azure(), &of(environment(&[])), Access::Record).to_string();
    assert!(said.contains("AZURE_STORAGE_ACCOUNT"), "{said}");
}

#[test]
fn with_none_the_error_lists_the_ways_of_azure() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("http://{}", silent.local_addr().unwrap());
    let other = service(|_| (404, "nothing here".to_owned()));
    for url in [&silent, &other.url] {
        let environment =
            environment(&[("AZURE_STORAGE_ACCOUNT", "acc"), ("IDENTITY_ENDPOINT", url)]);
        let error = refused(&azure(), &of(environment.clone()), Access::Record);
        assert_eq!(error.kind, ErrorKind::Unauthenticated);
        let said = error.to_string();
        for way in [
            "AZURE_STORAGE_CONNECTION_STRING",
            "AZURE_STORAGE_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_FEDERATED_TOKEN_FILE",
            "AZURE_CLIENT_SECRET",
            "managed identity",
            "AZURE_STORAGE_USE_EMULATOR",
        ] {
            assert!(said.contains(way), "{way}: {said}");
        }
        assert!(!said.contains("--anonymous"), "{said}");
        let said = refused(&azure(), &of(environment), Access::Read).to_string();
        assert!(said.contains("--anonymous"), "{said}");
    }
}

/// What Azure's token services answer.
fn token() -> String {
    let fields = [
        "\"access_token\":\"the-bearer\"",
        "\"token_type\":\"Bearer\"",
        "\"expires_in\":\"3599\"",
        "\"expires_on\":\"4070908800\"",
        "\"resource\":\"r\"",
    ];
    format!("{{{}}}", fields.join(","))
}

#[test]
fn a_machine_of_azure_has_an_identity() {
    let metadata = service(|_| (200, token()));
    let store = store();
    put(
        &azure(),
        environment(&[
            ("AZURE_STORAGE_ACCOUNT", "acc"),
            ("AZURE_STORAGE_ENDPOINT", &store.url),
            ("IDENTITY_ENDPOINT", &metadata.url),
            ("AZURE_CLIENT_ID", "which-one"),
        ]),
    );
    assert!(metadata.was_asked(&["metadata: true", "client_id=which-one"]));
    assert!(store.was_asked(&[
        "put /flights/a",
        "authorization: bearer the-bearer",
        "if-none-match: *"
    ]));
}

#[test]
fn a_pod_of_azure_has_a_workload_identity() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "the-web-token").unwrap();
    let login = service(|_| {
        (
            200,
            "{\"access_token\":\"the-bearer\",\"expires_in\":3599,\"token_type\":\"Bearer\"}"
                .to_owned(),
        )
    });
    let store = store();
    let variables = [
        ("AZURE_STORAGE_ACCOUNT", "acc"),
        ("AZURE_STORAGE_ENDPOINT", store.url.as_str()),
        ("AZURE_AUTHORITY_HOST", &login.url),
        ("AZURE_FEDERATED_TOKEN_FILE", file.to_str().unwrap()),
        ("AZURE_CLIENT_ID", "client"),
        ("AZURE_TENANT_ID", "tenant"),
    ];
    put(&azure(), environment(&variables));
    assert!(login.was_asked(&[
        "POST /tenant/oauth2/v2.0/token",
        "client_assertion=the-web-token"
    ]));
    assert!(store.was_asked(&["put /flights/a", "authorization: bearer the-bearer"]));
    let error = refused(&azure(), &of(environment(&variables[..5])), Access::Record);
    assert!(error.to_string().contains("AZURE_TENANT_ID"), "{error}");
    // keys go before identities
    let mut with_key = variables.to_vec();
    with_key.push(("AZURE_STORAGE_KEY", "aHVzaA=="));
    let other = self::store();
    with_key[1].1 = &other.url;
    put(&azure(), environment(&with_key));
    assert!(other.was_asked(&["authorization: sharedkey acc:"]));
    assert!(!other.was_asked(&["the-bearer"]));
}

#[test]
fn what_opens_one_account_is_not_sent_to_another() {
    let other = Destination::parse("https://other.blob.core.windows.net/flights").unwrap();
    let metadata = service(|_| (404, String::new()));
    let environment = environment(&[
        (
            "AZURE_STORAGE_CONNECTION_STRING",
            "AccountName=mine;AccountKey=aHVzaA==",
        ),
        ("IDENTITY_ENDPOINT", &metadata.url),
    ]);
    refused(&other, &of(environment.clone()), Access::Record);
    let mine = Destination::parse("https://mine.blob.core.windows.net/flights").unwrap();
    assert!(connect(&mine, &of(environment), Access::Record).is_ok());
}

#[test]
fn anonymous_signs_nothing() {
    let store = store();
    for (destination, variables) in [
        (s3(), vec![("AWS_ENDPOINT_URL", store.url.as_str())]),
        (
            azure(),
            vec![
                ("AZURE_STORAGE_ACCOUNT", "acc"),
                ("AZURE_STORAGE_ENDPOINT", store.url.as_str()),
            ],
        ),
    ] {
        let credentials = Credentials {
            anonymous: true,
            ..of(environment(&variables))
        };
        let bucket = connect(&destination, &credentials, Access::Read).unwrap();
        assert_eq!(bucket.get("a").unwrap(), b"");
    }
    let asked = store.asked.lock().unwrap();
    assert_eq!(asked.len(), 2);
    let signed = |request: &String| request.to_ascii_lowercase().contains("authorization:");
    assert!(!asked.iter().any(signed), "{asked:?}");
}
