//! `vendor.s3`: its two orders of arguments, AWS's credentials, Amazon S3 and what speaks like it.

use gillnet_bucket::{aws_identity, s3_url};
use object_store::{
    aws::{AmazonS3, AmazonS3Builder, AwsCredentialProvider},
    client::HttpConnector,
};

use super::{
    Error, ErrorKind, Upload, Vendors,
    http::{too_slow, url_of},
    lookup::Connector,
    objects::{Store, arguments, bucket_and_folder, fault, retries},
};

/// Hosts of AWS.
pub(crate) const AWS: &[&str] = &["*.amazonaws.com", "*.amazonaws.com.cn", "*.api.aws"];

/// A key of AWS.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Keys {
    /// Its id.
    pub id: String,
    /// The secret.
    pub secret: String,
}

impl std::fmt::Debug for S3Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Keys").finish_non_exhaustive()
    }
}

impl S3Keys {
    /// A key, where both parts are given; the default credentials where neither is.
    pub(crate) fn of(call: &'static str, id: &str, secret: &str) -> Result<Option<Self>, Error> {
        let missing = |what| Err(Error::argument(call, format!("the {what} is missing")));
        match (id.trim(), secret.trim()) {
            ("", "") => Ok(None),
            ("", _) => missing("access key's id"),
            (_, "") => missing("secret access key"),
            (id, secret) => Ok(Some(Self {
                id: id.to_owned(),
                secret: secret.to_owned(),
            })),
        }
    }
}

/// The arguments of `vendor.s3.put`, in whichever order they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Put {
    /// The bucket, perhaps with a folder.
    pub bucket: String,
    /// Path of the file.
    pub path: String,
    /// The region; empty for that of the environment.
    pub region: String,
    /// The key; the default credentials without one.
    pub keys: Option<S3Keys>,
}

/// The arguments of `vendor.s3.clear`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct S3Clear {
    /// The bucket, perhaps with a folder.
    pub bucket: String,
    /// The region; empty for that of the environment.
    pub region: String,
    /// The key; the default credentials without one.
    pub keys: Option<S3Keys>,
}

const PUT: &str = "vendor.s3.put";
const CLEAR: &str = "vendor.s3.clear";

impl S3Put {
    /// Reads `(bucket, path, region, keyID?, accessKey?)` or, as it was before November 2023,
    /// `(region, keyID, accessKey, bucket, path)`. What is `undefined` is given as "". The order
    /// shows in where the region stands and, where that does not tell, in which path is a file.
    ///
    /// # Errors
    /// Where arguments are missing, with both orders.
    pub fn read(arguments: &[&str], is_file: &dyn Fn(&str) -> bool) -> Result<Self, Error> {
        let at = |index: usize| arguments.get(index).copied().unwrap_or_default().trim();
        let old = arguments.len() >= 5
            && !at(4).is_empty()
            && match (is_region(at(0)), is_region(at(2))) {
                (true, false) => true,
                (false, true) => false,
                _ => is_file(at(4)) && !is_file(at(1)),
            };
        let (bucket, path, region, id, secret) = if old {
            (at(3), at(4), at(0), at(1), at(2))
        } else {
            (at(0), at(1), at(2), at(3), at(4))
        };
        for (what, text) in [("bucket", bucket), ("path", path)] {
            if text.is_empty() {
                return Err(Error::argument(
                    PUT,
                    format!(
                        "the {what} is missing; give (bucket, path, region, keyID, accessKey) or (region, keyID, accessKey, bucket, path)"
                    ),
                ));
            }
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            path: path.to_owned(),
            region: region.to_owned(),
            keys: S3Keys::of(PUT, id, secret)?,
        })
    }
}

impl S3Clear {
    /// Reads `(region, keyID, accessKey, bucket)` or `(bucket, region, keyID?, accessKey?)`.
    ///
    /// # Errors
    /// Where the bucket is missing.
    pub fn read(arguments: &[&str]) -> Result<Self, Error> {
        let at = |index: usize| arguments.get(index).copied().unwrap_or_default().trim();
        let (first, second) = (is_region(at(0)), is_region(at(1)));
        let new = if at(3).is_empty() {
            second || !first
        } else {
            second && !first
        };
        let (bucket, region, id, secret) = if new {
            (at(0), at(1), at(2), at(3))
        } else {
            (at(3), at(0), at(1), at(2))
        };
        if bucket.is_empty() {
            return Err(Error::argument(
                CLEAR,
                "the bucket is missing; give (region, keyID, accessKey, bucket) or (bucket, region, keyID, accessKey)",
            ));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            region: region.to_owned(),
            keys: S3Keys::of(CLEAR, id, secret)?,
        })
    }
}

/// Whether a text looks like a region of AWS: `us-east-1`, `us-gov-west-1`.
fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [land, middle @ .., number] = parts.as_slice() else {
        return false;
    };
    let letters = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    land.len() == 2
        && letters(land)
        && !middle.is_empty()
        && middle.iter().all(letters)
        && !number.is_empty()
        && number.bytes().all(|b| b.is_ascii_digit())
}

impl Vendors {
    /// `vendor.s3.put`: puts `upload` in the bucket, over an object that is there; the object's URL.
    ///
    /// # Errors
    /// Without credentials, with an argument that can't be, and what S3 answers.
    pub fn s3_put(&self, to: &S3Put, upload: Upload) -> Result<String, Error> {
        let store = self.s3_store(PUT, &to.bucket, &to.region, to.keys.as_ref())?;
        let node = self.inner.node.clone();
        self.run(move |http| async move { store.put(PUT, &http, &node, upload).await })
    }

    /// `vendor.s3.clear`: deletes what this node put, in this and earlier runs; how many objects.
    ///
    /// # Errors
    /// As [`Vendors::s3_put`].
    pub fn s3_clear(&self, at: &S3Clear) -> Result<u64, Error> {
        let store = self.s3_store(CLEAR, &at.bucket, &at.region, at.keys.as_ref())?;
        let node = self.inner.node.clone();
        self.run(move |http| async move { store.clear(CLEAR, &http, &node).await })
    }

    fn s3_store(
        &self,
        call: &'static str,
        bucket: &str,
        region: &str,
        keys: Option<&S3Keys>,
    ) -> Result<Store, Error> {
        let (bucket, folder) = bucket_and_folder(bucket, "s3://");
        let region = self.aws_region(call, region)?;
        let (id, secret) = keys.map_or(("", ""), |keys| (keys.id.as_str(), &keys.secret));
        let arguments = arguments(["s3", bucket, folder, &region, id, secret]);
        self.inner.stores.get(&arguments, || {
            let url = match self.endpoint("s3") {
                Some(endpoint) => format!("{}/{bucket}", endpoint.as_str().trim_end_matches('/')),
                None => s3_url(bucket, &region),
            };
            check_bucket(call, bucket)?;
            self.check_endpoint(call, &url)?;
            let store = self.aws(call, bucket, &region, keys, &url)?;
            // a store whose credentials are not there would only say that it could not be reached
            let credentials = store.credentials().clone();
            self.run(move |http| async move {
                let limit = http.limits.timeout;
                tokio::time::timeout(limit, credentials.get_credential())
                    .await
                    .map_err(|_| too_slow(call, "what gives credentials of AWS", limit))?
                    .map_err(|error| no_credentials(call, &error))
            })?;
            let place = format!("s3://{bucket}");
            Ok(Store::new(store, place, url, folder))
        })
    }

    /// That of the call, of the environment, or the first that there was.
    pub(crate) fn aws_region(&self, call: &'static str, given: &str) -> Result<String, Error> {
        let variables = &self.inner.variables;
        let region = match given.trim() {
            "" => ["AWS_REGION", "AWS_DEFAULT_REGION"]
                .iter()
                .find_map(|name| variables.get(*name).cloned())
                .unwrap_or_else(|| "us-east-1".to_owned()),
            given => given.to_owned(),
        };
        // it becomes part of a host's name
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if region.len() > 40 || !region.bytes().all(fits) {
            let why = format!("\"{}\" is no region of AWS", region.escape_debug());
            return Err(Error::argument(call, why));
        }
        Ok(region)
    }

    /// Whether the doors let a store's endpoint through, asked before a client of it is made.
    pub(crate) fn check_endpoint(&self, call: &'static str, url: &str) -> Result<(), Error> {
        let url = url_of(call, "endpoint", url)?;
        let own = super::OBJECT_STORES;
        self.http
            .doors
            .check(&url, own)
            .map_err(|refusal| Error::new(call, ErrorKind::Refused, refusal.to_string()))
    }

    /// Credentials of AWS for services other than S3.
    pub(crate) fn aws_credentials(
        &self,
        call: &'static str,
        region: &str,
        keys: Option<&S3Keys>,
    ) -> Result<AwsCredentialProvider, Error> {
        let unused = "https://unused.amazonaws.com";
        let client = self.aws(call, "unused", region, keys, unused)?;
        Ok(client.credentials().clone())
    }

    /// The client. Without a key the default credentials: variables, web identity (IRSA), pod
    /// identity and task roles, the instance's role (and so kube2iam, which stands in for it).
    fn aws(
        &self,
        call: &'static str,
        bucket: &str,
        region: &str,
        keys: Option<&S3Keys>,
        url: &str,
    ) -> Result<AmazonS3, Error> {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(bucket)
            .with_region(region)
            // the whole URL of the bucket, whichever style it has
            .with_endpoint(url)
            .with_virtual_hosted_style_request(true)
            .with_retry(retries())
            .with_http_connector(self.connector(AWS));
        match keys {
            Some(keys) => {
                builder = builder
                    .with_access_key_id(&keys.id)
                    .with_secret_access_key(&keys.secret);
            }
            None => {
                let variable = |name: &str| self.inner.variables.get(name).cloned();
                builder = aws_identity(builder, region, variable);
            }
        }
        builder
            .build()
            .map_err(|error| Error::new(call, ErrorKind::Credentials, error.to_string()))
    }

    pub(crate) fn connector(&self, own: &'static [&'static str]) -> Connector {
        Connector::new(&self.http, own, &self.inner.variables)
    }
}

/// Where nothing gives credentials, with what would.
pub(crate) fn no_credentials(call: &'static str, error: &object_store::Error) -> Error {
    let fault = fault(call, "no credentials of AWS", error);
    let message = format!(
        "{}; give keyID and accessKey, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a web identity (IRSA), or the role of a pod or instance",
        fault.message
    );
    Error {
        kind: ErrorKind::Credentials,
        message,
        ..fault
    }
}

/// A bucket's name becomes part of a host's name.
fn check_bucket(call: &'static str, bucket: &str) -> Result<(), Error> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    if (3..=63).contains(&bucket.len())
        && bucket.bytes().all(fits)
        && !bucket.contains("..")
        && edge(bucket.bytes().next())
        && edge(bucket.bytes().last())
    {
        return Ok(());
    }
    let why = format!("\"{}\" can't be a bucket's name", bucket.escape_debug());
    Err(Error::argument(call, why))
}

/// A connector is what object_store wants; this says so where it would go wrong.
const _: fn() = || {
    fn is_connector<T: HttpConnector>() {}
    is_connector::<Connector>();
};

#[cfg(test)]
mod tests {
    use super::*;

    fn put(arguments: &[&str], files: &[&str]) -> Result<(String, String, String, bool), String> {
        S3Put::read(arguments, &|path| files.contains(&path))
            .map(|put| (put.bucket, put.path, put.region, put.keys.is_some()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn both_orders_of_put() {
        let is = |bucket: &str, path: &str, region: &str, keys| {
            Ok((bucket.into(), path.into(), region.into(), keys))
        };
        let new = ["bucket", "a.pcap", "us-east-1", "AK", "SK"];
        let old = ["us-east-1", "AK", "SK", "bucket", "a.pcap"];
        let expected = is("bucket", "a.pcap", "us-east-1", true);
        assert_eq!(put(&new, &[]), expected);
        assert_eq!(put(&old, &[]), expected);
        // the secret looks like anything, the region like none
        let odd = ["minio", "AK", "eu-west-1", "bucket", "a.pcap"];
        assert_eq!(
            put(&odd, &[]),
            put(&["minio", "AK", "eu-west-1", "bucket", "a.pcap"], &[])
        );
        let odd = ["minio", "AK", "SK", "bucket", "a.pcap"];
        assert_eq!(
            put(&odd, &["a.pcap"]),
            is("bucket", "a.pcap", "minio", true)
        );
        let odd = ["us-east-1", "a.pcap", "us-east-1", "AK", "SK"];
        assert_eq!(
            put(&odd, &["a.pcap"]),
            is("us-east-1", "a.pcap", "us-east-1", true)
        );
        assert_eq!(
            put(&new[..3], &[]),
            is("bucket", "a.pcap", "us-east-1", false)
        );
        assert_eq!(
            put(&["bucket", "a.pcap"], &[]),
            is("bucket", "a.pcap", "", false)
        );
        let empty = ["bucket", "a.pcap", "us-east-1", "", ""];
        assert_eq!(put(&empty, &[]), is("bucket", "a.pcap", "us-east-1", false));
        for (arguments, says) in [
            (&["bucket"][..], "path is missing"),
            (&["", "x"], "bucket is missing"),
            (
                &["b", "x", "us-east-1", "AK"],
                "secret access key is missing",
            ),
            (&["b", "x", "us-east-1", "", "SK"], "key's id is missing"),
        ] {
            let error = put(arguments, &[]).unwrap_err();
            assert!(error.contains(says) && !error.contains("SK"), "{error}");
        }
    }

    #[test]
    fn both_orders_of_clear() {
        let read = |arguments: &[&str]| {
            S3Clear::read(arguments).map(|at| (at.bucket, at.region, at.keys.is_some()))
        };
        let expected = Ok(("bucket".to_owned(), "eu-west-1".to_owned(), true));
        assert_eq!(read(&["eu-west-1", "AK", "SK", "bucket"]), expected);
        assert_eq!(read(&["bucket", "eu-west-1", "AK", "SK"]), expected);
        assert_eq!(
            read(&["eu-west-1", "", "", "bucket"]),
            Ok(("bucket".to_owned(), "eu-west-1".to_owned(), false))
        );
        assert_eq!(
            read(&["bucket"]),
            Ok(("bucket".to_owned(), String::new(), false))
        );
        assert!(read(&["eu-west-1"]).is_err());
    }

    #[test]
    fn regions() {
        for region in [
            "us-east-1",
            "ap-southeast-2",
            "us-gov-west-1",
            "us-iso-east-1",
        ] {
            assert!(is_region(region));
        }
        for text in [
            "",
            "us-east",
            "bucket-1",
            "US-east-1",
            "us-1",
            "my-logs-2024x",
            "us--1",
        ] {
            assert!(!is_region(text), "{text}");
        }
    }
}
