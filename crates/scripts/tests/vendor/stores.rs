//! `put` and `clear` of S3, Google Cloud Storage and Azure, against their emulators.

use std::{
    collections::HashMap,
    future::Future,
    io::{Seek, Write},
    sync::Arc,
};

use aws_lc_rs::hmac;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use gillnet_scripts::vendor::{
    Azure, Config, Content, Error, ErrorKind, S3Clear, S3Keys, S3Put, Upload, Vendors,
};
use object_store::{
    ObjectStore, ObjectStoreExt,
    aws::{AmazonS3Builder, AwsAuthorizer, AwsCredential},
    azure::MicrosoftAzureBuilder,
    client::HttpRequest,
    gcp::GoogleCloudStorageBuilder,
};
use reqwest::Method;

use super::{
    bytes, config,
    emulators::{self, ACCOUNT, ACCOUNT_KEY, BUCKET, KEY_ID, POOR_ID, SECRET},
    file,
    sink::{Sink, reply},
};

const PREFIX: &str = "node-1_10.0.0.1_00c0ffee00c0ffee";

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// What is in a bucket, in another client's eyes.
struct Eyes(Arc<dyn ObjectStore>);

impl Eyes {
    fn get(&self, key: &str) -> Vec<u8> {
        wait(async {
            self.0
                .get(&key.into())
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap()
                .to_vec()
        })
    }

    fn put(&self, key: &str) {
        wait(async { self.0.put(&key.into(), "x".into()).await.unwrap() });
    }

    fn keys(&self) -> Vec<String> {
        let listed = wait(async { self.0.list_with_delimiter(None).await.unwrap() });
        let mut keys: Vec<String> = listed
            .objects
            .iter()
            .map(|o| o.location.to_string())
            .collect();
        for folder in listed.common_prefixes {
            let below = wait(async { self.0.list_with_delimiter(Some(&folder)).await.unwrap() });
            keys.extend(below.objects.iter().map(|o| o.location.to_string()));
        }
        // SeaweedFS lists folders that were left empty too
        keys.retain(|key| key.ends_with(".pcap"));
        keys.sort();
        keys
    }
}

/// The same of every store: puts are called as documented and overwrite, `clear` takes this node's
/// objects of all runs and nobody else's.
fn puts_and_clears(
    eyes: &Eyes,
    url: &str,
    put: impl Fn(Upload) -> Result<String, Error>,
    clear: impl Fn() -> Result<u64, Error>,
) {
    let key = format!("{PREFIX}/1700000000.pcap");
    let made = put(file("dfir/sub/1700000000.pcap", b"first")).unwrap();
    assert_eq!(made, format!("{url}/{key}"));
    assert_eq!(eyes.get(&key), b"first");
    put(bytes("1700000000.pcap", "second, and longer")).unwrap();
    assert_eq!(eyes.get(&key), b"second, and longer");
    put(bytes("name_resolution_history.json", "{}")).unwrap();
    put(bytes("empty", "")).unwrap();
    assert_eq!(eyes.get(&format!("{PREFIX}/empty")), b"");

    let of_others = [
        "node-10_10.0.0.1_00c0ffee00c0ffee/1.pcap",
        "node-1_10.0.0.10_00c0ffee00c0ffee/1.pcap",
        "other.pcap",
    ];
    for key in of_others {
        eyes.put(key);
    }
    eyes.put("node-1_10.0.0.1/of-old.pcap");
    eyes.put("node-1_10.0.0.1_0000000000000001/1.pcap");
    assert_eq!(clear().unwrap(), 5);
    assert_eq!(eyes.keys(), of_others);
    assert_eq!(clear().unwrap(), 0);

    for name in ["", "/", "a/..", "."] {
        let error = put(bytes(name, "x")).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Argument, "{error}");
    }
}

fn s3_put(arguments: &[&str]) -> S3Put {
    S3Put::read(arguments, &|_| false).unwrap()
}

fn s3_config() -> Config {
    let mut config = config();
    config
        .endpoints
        .insert("s3".to_owned(), emulators::s3().url.clone());
    config
}

/// A bucket of its own in SeaweedFS.
fn s3_bucket(name: &str) -> Eyes {
    let url = &emulators::s3().url;
    let credential = AwsCredential {
        key_id: KEY_ID.to_owned(),
        secret_key: SECRET.to_owned(),
        token: None,
    };
    let make = || {
        let mut request = HttpRequest::new(object_store::client::HttpRequestBody::empty());
        *request.method_mut() = Method::PUT;
        *request.uri_mut() = format!("{url}/{name}").parse().unwrap();
        AwsAuthorizer::new(&credential, "s3", "us-east-1")
            .try_authorize(&mut request, None)
            .unwrap();
        wait(async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let asked = client.put(format!("{url}/{name}"));
            let answer = asked.headers(request.headers().clone()).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        })
    };
    // it listens before it can store anything
    emulators::wait_for("a bucket in SeaweedFS", make);
    let eyes = AmazonS3Builder::new()
        .with_bucket_name(name)
        .with_endpoint(url)
        .with_allow_http(true)
        .with_access_key_id(KEY_ID)
        .with_secret_access_key(SECRET)
        .build()
        .unwrap();
    let eyes = Eyes(Arc::new(eyes));
    emulators::wait_for("SeaweedFS to store", || {
        wait(async { eyes.0.put(&"probe".into(), "x".into()).await.is_ok() })
    });
    wait(async { eyes.0.delete(&"probe".into()).await.unwrap() });
    eyes
}

#[test]
fn s3_in_both_orders_of_arguments() {
    let eyes = s3_bucket("orders");
    let vendors = Vendors::new(s3_config()).unwrap();
    let at = S3Clear::read(&["us-east-1", KEY_ID, SECRET, "orders"]).unwrap();
    puts_and_clears(
        &eyes,
        &format!("{}/orders", emulators::s3().url),
        |upload| {
            let name = upload.name.clone();
            let new = s3_put(
                &["orders", &name, "us-east-1", KEY_ID, SECRET]
                    .map(|a| if a.is_empty() { "-" } else { a }),
            );
            let old = s3_put(&["us-east-1", KEY_ID, SECRET, "orders", "x"]);
            assert_eq!(
                (&new.bucket, &new.region, &new.keys),
                (&old.bucket, &old.region, &old.keys)
            );
            vendors.s3_put(&old, upload)
        },
        || vendors.s3_clear(&at),
    );
}

#[test]
fn s3_says_what_is_wrong_and_no_secret() {
    s3_bucket("wrongs");
    let vendors = Vendors::new(s3_config()).unwrap();
    let put = |bucket: &str, id: &str, secret: &str| {
        let to = s3_put(&[bucket, "f", "us-east-1", id, secret]);
        vendors.s3_put(&to, bytes("f", "x")).unwrap_err()
    };
    for (error, status, says) in [
        (
            put("wrongs", KEY_ID, "wrong-secret"),
            403,
            "SignatureDoesNotMatch",
        ),
        (put("wrongs", "AKWRONG", SECRET), 403, "InvalidAccessKeyId"),
        (put("wrongs", POOR_ID, SECRET), 403, "AccessDenied"),
    ] {
        let said = error.to_string();
        assert_eq!(error.status, Some(status), "{said}");
        assert!(
            said.contains(says) && said.contains("vendor.s3.put: s3://"),
            "{said}"
        );
        assert!(
            !said.contains("wrong-secret") && !said.contains(SECRET),
            "{said}"
        );
    }
    for (bucket, region) in [
        ("a/../b", "us-east-1"),
        ("x@evil.example", "us-east-1"),
        ("bucket", "x.evil.example/"),
        ("ab", "us-east-1"),
    ] {
        let to = S3Put {
            bucket: bucket.to_owned(),
            path: "f".to_owned(),
            region: region.to_owned(),
            keys: None,
        };
        let error = vendors.s3_put(&to, bytes("f", "x")).unwrap_err();
        assert_eq!(
            error.kind,
            ErrorKind::Argument,
            "{bucket} {region}: {error}"
        );
    }
}

#[test]
fn s3_takes_large_files_in_parts_and_refuses_larger_ones() {
    let eyes = s3_bucket("large");
    let mut large = tempfile::tempfile().unwrap();
    let block: Vec<u8> = (0..1 << 20)
        .map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for _ in 0..70 {
        large.write_all(&block).unwrap();
    }
    large.rewind().unwrap();
    let upload = Upload {
        name: "large.pcap".to_owned(),
        content: Content::File(large),
    };
    let to = s3_put(&["large/some/folder", "f", "us-east-1", KEY_ID, SECRET]);
    let url = Vendors::new(s3_config())
        .unwrap()
        .s3_put(&to, upload)
        .unwrap();
    assert!(
        url.ends_with(&format!("/large/some/folder/{PREFIX}/large.pcap")),
        "{url}"
    );
    let got = eyes.get(&format!("some/folder/{PREFIX}/large.pcap"));
    assert_eq!(got.len(), 70 << 20);
    assert!(got.chunks(1 << 20).all(|part| part == block));

    let mut config = s3_config();
    config.limits.upload = 10;
    let error = Vendors::new(config)
        .unwrap()
        .s3_put(&to, bytes("f.pcap", "01234567890"))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
    assert!(
        error
            .to_string()
            .contains("f.pcap has 11 bytes; at most 10"),
        "{error}"
    );
}

/// Without keys: variables, then the token of a web identity, which STS exchanges (IRSA).
#[test]
fn s3_finds_credentials_by_itself() {
    s3_bucket("chain");
    let to = s3_put(&["chain", "f"]);
    let with = |variables: &[(&str, &str)]| {
        let mut config = s3_config();
        config.variables = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect::<HashMap<_, _>>();
        Vendors::new(config).unwrap()
    };
    let keys = [
        ("AWS_ACCESS_KEY_ID", KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_REGION", "eu-west-1"),
    ];
    with(&keys).s3_put(&to, bytes("f", "x")).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "the-pods-token").unwrap();
    let sts = Sink::new(|_| {
        reply(
            200,
            &format!(
                "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
             <SessionToken></SessionToken><SecretAccessKey>{SECRET}</SecretAccessKey>\
             <Expiration>2099-01-01T00:00:00Z</Expiration><AccessKeyId>{KEY_ID}</AccessKeyId></Credentials>\
             </AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
            ),
        )
    });
    let irsa = with(&[
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/recorder"),
        ("AWS_ENDPOINT_URL_STS", &sts.url()),
    ]);
    irsa.s3_put(&to, bytes("f", "x")).unwrap();
    irsa.s3_put(&to, bytes("g", "x")).unwrap();
    // credentials are kept from call to call
    let asked = sts.one().target;
    for part in [
        "Action=AssumeRoleWithWebIdentity",
        "WebIdentityToken=the-pods-token",
        "role%2Frecorder",
    ] {
        assert!(asked.contains(part), "{asked}");
    }

    let closed = format!("http://127.0.0.1:{}", emulators::free_port());
    let error = with(&[("AWS_METADATA_ENDPOINT", &closed)])
        .s3_put(&to, bytes("f", "x"))
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Credentials, "{error}");
    assert!(error.to_string().contains("IRSA"), "{error}");

    // the instance's role, by whatever stands in for the metadata service; scripts may not ask it
    let metadata = Sink::new(|asked| {
        match asked.path() {
        "/latest/api/token" => reply(200, "session"),
        "/latest/meta-data/iam/security-credentials/" => reply(200, "role"),
        "/latest/meta-data/iam/security-credentials/role" => reply(200, &serde_json::json!({
            "AccessKeyId": KEY_ID, "SecretAccessKey": SECRET, "Token": "", "Expiration": "2099-01-01T00:00:00Z",
        }).to_string()),
        _ => reply(404, ""),
    }
    });
    let instance = with(&[("AWS_METADATA_ENDPOINT", &metadata.url())]);
    instance.s3_put(&to, bytes("f", "x")).unwrap();
    let error = instance
        .webhook("GET", &metadata.url(), "", &serde_json::Map::new())
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
}

#[test]
fn keys_are_never_shown() {
    let keys = S3Keys {
        id: "AKHUSH".to_owned(),
        secret: "hush".to_owned(),
    };
    let azure = Azure {
        account: "a",
        key: "hush",
        connection_string: "hush",
    };
    let shown = format!("{keys:?} {azure:?}").to_lowercase();
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn google_cloud_storage() {
    let gcs = emulators::gcs();
    let mut config = config();
    config.endpoints.insert("gcs".to_owned(), gcs.url.clone());
    let vendors = Vendors::new(config).unwrap();
    let mut key: serde_json::Value = serde_json::from_str(&gcs.key).unwrap();
    key["gcs_base_url"] = gcs.url.clone().into();
    let eyes = GoogleCloudStorageBuilder::new()
        .with_bucket_name(BUCKET)
        .with_service_account_key(key.to_string())
        .with_client_options(object_store::ClientOptions::new().with_allow_http(true))
        .build()
        .unwrap();
    let url = format!("{}/{BUCKET}", gcs.url);
    puts_and_clears(
        &Eyes(Arc::new(eyes)),
        &url,
        |upload| vendors.gcs_put(BUCKET, upload, Some(&gcs.key)),
        || vendors.gcs_clear(BUCKET, Some(&gcs.key)),
    );
    let folder = vendors.gcs_put(
        &format!("gs://{BUCKET}/deep/er"),
        bytes("f", "x"),
        Some(&gcs.key),
    );
    assert_eq!(folder.unwrap(), format!("{url}/deep/er/{PREFIX}/f"));

    let put = |bucket: &str, key: Option<&str>| {
        vendors.gcs_put(bucket, bytes("f", "x"), key).unwrap_err()
    };
    let refused = put(BUCKET, Some(&gcs.poor));
    assert_eq!(refused.status, Some(403));
    assert!(
        refused.to_string().contains("storage.objects.create"),
        "{refused}"
    );
    assert_eq!(put(BUCKET, Some(&gcs.stranger)).status, Some(401));
    assert_eq!(put("not-there", Some(&gcs.key)).status, Some(404));
    for (bucket, key, kind) in [
        ("no bucket", Some(gcs.key.as_str()), ErrorKind::Argument),
        (
            BUCKET,
            Some("{\"private_key\": \"hush\"}"),
            ErrorKind::Credentials,
        ),
        (BUCKET, Some("/etc/passwd"), ErrorKind::Credentials),
    ] {
        let error = put(bucket, key);
        assert_eq!(error.kind, kind, "{error}");
        assert!(!error.to_string().contains("hush"), "{error}");
    }
    // a key that names another store does not get around the doors
    let closed = Vendors::new(super::config()).unwrap();
    for base in [
        "http://169.254.169.254",
        &gcs.url,
        "https://elsewhere.example",
    ] {
        key["gcs_base_url"] = base.into();
        let error = closed
            .gcs_put(BUCKET, bytes("f", "x"), Some(&key.to_string()))
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    }
}

/// The key of Azure's shared key scheme over a text.
fn azure_signature(text: &str) -> String {
    let key = BASE64_STANDARD.decode(ACCOUNT_KEY).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

/// A shared access signature of the account that may do everything for a while.
fn sas() -> String {
    let (version, services, types, may, end) =
        ("2021-08-06", "b", "sco", "rwdlac", "2099-01-01T00:00:00Z");
    let text =
        format!("{ACCOUNT}\n{may}\n{services}\n{types}\n\n{end}\n\nhttp,https\n{version}\n\n");
    let mut url = reqwest::Url::parse("http://x/").unwrap();
    url.query_pairs_mut()
        .append_pair("sv", version)
        .append_pair("ss", services)
        .append_pair("srt", types)
        .append_pair("sp", may)
        .append_pair("se", end)
        .append_pair("spr", "http,https")
        .append_pair("sig", &azure_signature(&text));
    url.query().unwrap().to_owned()
}

fn azure_container(name: &str) -> Eyes {
    let url = &emulators::azure().url;
    let answer = wait(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = client.put(format!("{url}/{name}?restype=container&{}", sas()));
        asked.header("content-length", "0").send().await.unwrap()
    });
    assert!(answer.status().is_success(), "{answer:?}");
    let eyes = MicrosoftAzureBuilder::new()
        .with_account(ACCOUNT)
        .with_access_key(ACCOUNT_KEY)
        .with_endpoint(url.clone())
        .with_container_name(name)
        .with_client_options(object_store::ClientOptions::new().with_allow_http(true))
        .build()
        .unwrap();
    Eyes(Arc::new(eyes))
}

#[test]
fn azure_by_key_connection_string_and_signature() {
    let url = &emulators::azure().url;
    let eyes = azure_container("keyed");
    let mut config = config();
    config.endpoints.insert("azure".to_owned(), url.clone());
    let vendors = Vendors::new(config).unwrap();
    let azure = Azure {
        account: ACCOUNT,
        key: ACCOUNT_KEY,
        connection_string: "",
    };
    puts_and_clears(
        &eyes,
        &format!("{url}/keyed"),
        |upload| vendors.azure_put("keyed", upload, azure),
        || vendors.azure_clear("keyed", azure),
    );
    let signature = sas();
    let signed = Azure {
        key: &signature,
        ..azure
    };
    vendors
        .azure_put("keyed", bytes("signed", "x"), signed)
        .unwrap();
    assert_eq!(eyes.get(&format!("{PREFIX}/signed")), b"x");

    // the string names the endpoint; the configuration must let it through
    let string = format!(
        "DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};BlobEndpoint={url};"
    );
    let by_string = Azure {
        connection_string: &string,
        ..Azure::default()
    };
    let error = Vendors::new(super::config())
        .unwrap()
        .azure_put("keyed", bytes("f", "x"), by_string)
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    let mut config = super::config();
    config.env.insert("AZURE".to_owned(), string.clone().into());
    let vendors = Vendors::new(config).unwrap();
    vendors
        .azure_put("keyed", bytes("by-string", "x"), by_string)
        .unwrap();
    assert_eq!(eyes.get(&format!("{PREFIX}/by-string")), b"x");

    let wrong_key = BASE64_STANDARD.encode("hush-hush-hush");
    let with = |key: &'static str, container: &str| {
        let string = format!(
            "AccountName={ACCOUNT};AccountKey={};BlobEndpoint={url}",
            if key.is_empty() { ACCOUNT_KEY } else { key }
        );
        let azure = Azure {
            connection_string: &string,
            ..Azure::default()
        };
        vendors
            .azure_put(container, bytes("f", "x"), azure)
            .unwrap_err()
    };
    for (error, status) in [
        (with("", "not-there"), 404),
        (with(String::leak(wrong_key.clone()), "keyed"), 403),
    ] {
        assert_eq!(error.status, Some(status), "{error}");
        assert!(
            !error.to_string().contains(&wrong_key) && !error.to_string().contains(ACCOUNT_KEY),
            "{error}"
        );
    }
    let error = with("not base64!", "keyed");
    assert_eq!(error.kind, ErrorKind::Credentials, "{error}");
    assert!(!error.to_string().contains("not base64!"));
    let error = vendors
        .azure_put("keyed", bytes("f", "x"), Azure::default())
        .unwrap_err();
    assert!(error.to_string().contains("no storage account"), "{error}");
}
