//! What is in the emulators' buckets, in another client's eyes.

use super::emulators::{self, ACCOUNT, ACCOUNT_KEY, BUCKET, KEY_ID, SECRET};
use object_store::aws::{AmazonS3Builder, AwsAuthorizer, AwsCredential};
use object_store::azure::{
    AzureAccessKey, AzureAuthorizer, AzureCredential, MicrosoftAzureBuilder,
};
use object_store::client::{HttpRequest, HttpRequestBody};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt};
use std::future::Future;
use std::sync::Arc;

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}

/// A bucket.
pub(crate) struct Eyes(Arc<dyn ObjectStore>);

impl Eyes {
    /// Names and contents of the objects in a folder.
    pub(crate) fn folder(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        wait(async {
            let listed = self.0.list_with_delimiter(Some(&folder.into())).await;
            let mut found = Vec::new();
            let objects = match listed {
                Ok(listed) => listed.objects,
                Err(object_store::Error::NotFound { .. }) => Vec::new(),
                Err(error) => panic!("{error}"),
            };
            for object in objects {
                let content = match self.0.get(&object.location).await {
                    Ok(content) => content.bytes().await.unwrap().to_vec(),
                    // SeaweedFS lists folders that were left empty, too
                    Err(object_store::Error::NotFound { .. }) => continue,
                    Err(error) => panic!("{error}"),
                };
                let name = object.location.filename().unwrap().to_owned();
                found.push((name, content));
            }
            found.sort();
            found
        })
    }

    pub(crate) fn put(&self, key: &str) {
        wait(async { self.0.put(&key.into(), "x".into()).await.unwrap() });
    }
}

/// The bucket of the emulator of Google Cloud Storage.
pub(crate) fn gcs() -> Eyes {
    let gcs = emulators::gcs();
    let mut key: serde_json::Value = serde_json::from_str(&gcs.key).unwrap();
    key["gcs_base_url"] = gcs.url.clone().into();
    let eyes = GoogleCloudStorageBuilder::new()
        .with_bucket_name(BUCKET)
        .with_service_account_key(key.to_string())
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .build()
        .unwrap();
    Eyes(Arc::new(eyes))
}

/// Names the emulator of S3 to the processes of single tests.
pub(crate) const S3_URL: &str = "GILLNET_TEST_S3";

/// Where the emulator of S3 is.
pub(crate) fn s3_url() -> String {
    std::env::var(S3_URL).unwrap_or_else(|_| emulators::s3().url.clone())
}

/// A bucket of its own in the emulator of S3.
pub(crate) fn s3(name: &str) -> Eyes {
    let url = &s3_url();
    let credential = AwsCredential {
        key_id: KEY_ID.to_owned(),
        secret_key: SECRET.to_owned(),
        token: None,
    };
    // it listens before it can store anything
    emulators::wait_for("a bucket in SeaweedFS", || {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = reqwest::Method::PUT;
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
    });
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
    eyes
}

/// A container of its own in the emulator of Azure.
pub(crate) fn azure(name: &str) -> Eyes {
    let url = &emulators::azure().url;
    let credential = AzureCredential::AccessKey(AzureAccessKey::try_new(ACCOUNT_KEY).unwrap());
    let mut request = HttpRequest::new(HttpRequestBody::empty());
    *request.method_mut() = reqwest::Method::PUT;
    let uri = format!("{url}/{name}?restype=container");
    *request.uri_mut() = uri.parse().unwrap();
    request
        .headers_mut()
        .insert("content-length", reqwest::header::HeaderValue::from(0));
    AzureAuthorizer::new(&credential, ACCOUNT)
        .try_authorize(&mut request)
        .unwrap();
    let made = wait(async {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = client.put(uri).headers(request.headers().clone());
        asked.send().await.unwrap()
    });
    assert!(made.status().is_success(), "{made:?}");
    let eyes = MicrosoftAzureBuilder::new()
        .with_account(ACCOUNT)
        .with_access_key(ACCOUNT_KEY)
        .with_endpoint(url.clone())
        .with_container_name(name)
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .build()
        .unwrap();
    Eyes(Arc::new(eyes))
}
