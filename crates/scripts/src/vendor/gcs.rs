//! `vendor.gcs`: Google Cloud Storage, by the service account's key that the script gives or, without
//! one, by the credentials that recording finds too.

use gillnet_bucket::{
    BucketError, Credentials, Destination, ErrorKind as BucketErrorKind, Key, Secret,
};
use object_store::gcp::GoogleCloudStorage;
use serde_json::Value;

use super::{
    Error, ErrorKind, Upload, Vendors,
    objects::{Store, arguments},
};

/// Hosts of Google Cloud.
pub(crate) const GOOGLE: &[&str] = &["*.googleapis.com"];

const PUT: &str = "vendor.gcs.put";
const CLEAR: &str = "vendor.gcs.clear";
const STORE: &str = "https://storage.googleapis.com";

impl Vendors {
    /// `vendor.gcs.put(bucket, path, key)`: puts `upload` in the bucket, over an object that is
    /// there; the object's URL. `key` is a service account's key as JSON.
    ///
    /// # Errors
    /// A key that can't be used, no credentials, and what Google answers.
    pub fn gcs_put(
        &self,
        bucket: &str,
        upload: Upload,
        key: Option<&str>,
    ) -> Result<String, Error> {
        let store = self.gcs_store(PUT, bucket, key)?;
        let node = self.inner.node.clone();
        self.run(move |http| async move { store.put(PUT, &http, &node, upload).await })
    }

    /// `vendor.gcs.clear(bucket, key)`: deletes what this node put, in this and earlier runs; how
    /// many objects.
    ///
    /// # Errors
    /// As [`Vendors::gcs_put`].
    pub fn gcs_clear(&self, bucket: &str, key: Option<&str>) -> Result<u64, Error> {
        let store = self.gcs_store(CLEAR, bucket, key)?;
        let node = self.inner.node.clone();
        self.run(move |http| async move { store.clear(CLEAR, &http, &node).await })
    }

    fn gcs_store(
        &self,
        call: &'static str,
        bucket: &str,
        key: Option<&str>,
    ) -> Result<Store, Error> {
        let destination = Destination::of_gcs_bucket(bucket)
            .map_err(|error| Error::argument(call, error.to_string()))?;
        let Destination::Gcs { bucket, prefix } = destination else {
            return Err(Error::argument(
                call,
                "give a bucket of Google Cloud Storage",
            ));
        };
        let arguments = arguments(["gcs", &bucket, &prefix, key.unwrap_or_default()]);
        self.inner.stores.get(&arguments, || {
            let (store, base) = self.google(call, &bucket, key)?;
            let url = format!("{base}/{bucket}");
            Ok(Store::new(store, format!("gs://{bucket}"), url, &prefix))
        })
    }

    /// The client of a bucket, whose credentials other services of Google take too, and the URL of
    /// the service.
    pub(crate) fn google(
        &self,
        call: &'static str,
        bucket: &str,
        key: Option<&str>,
    ) -> Result<(GoogleCloudStorage, String), Error> {
        let key = key.map(str::trim).filter(|key| !key.is_empty());
        let mut environment = self.inner.google.clone();
        if let Some(endpoint) = self.endpoint("gcs") {
            environment.emulator_host = Some(endpoint.to_string());
        }
        // the key may say itself where the store is
        let of_key = key.and_then(|key| {
            let key: Value = serde_json::from_str(key).ok()?;
            key.get("gcs_base_url")?.as_str().map(str::to_owned)
        });
        let base = environment.emulator_url().or(of_key);
        let base = base.as_deref().unwrap_or(STORE).trim_end_matches('/');
        self.check_endpoint(call, base)?;
        let credentials = Credentials {
            key: key.map(|key| Key::Inline(Secret::new(key))),
            anonymous: false,
            environment,
        };
        let runtime = self
            .inner
            .runtime
            .as_ref()
            .ok_or_else(|| Error::new(call, ErrorKind::Other, "the call was given up"))?;
        let store =
            gillnet_bucket::google_store(bucket, &credentials, self.connector(GOOGLE), runtime)
                .map_err(|error| unusable(call, &error))?;
        Ok((store, base.to_owned()))
    }
}

/// What is wrong with credentials, as recording says it.
fn unusable(call: &'static str, error: &BucketError) -> Error {
    let kind = match error.kind {
        BucketErrorKind::MalformedKey | BucketErrorKind::Unauthenticated => ErrorKind::Credentials,
        _ => ErrorKind::Other,
    };
    Error::new(call, kind, error.to_string())
}
