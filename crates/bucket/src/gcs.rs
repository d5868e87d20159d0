//! Google Cloud Storage as a bucket, through object_store.

use std::{future::Future, ops::Range, sync::Arc, sync::mpsc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, RetryConfig, StaticCredentialProvider,
    client::HttpConnector,
    gcp::{GcpCredential, GoogleCloudStorage, GoogleCloudStorageBuilder},
    list::{PaginatedListOptions, PaginatedListStore},
    path::Path as ObjectPath,
};
use tokio::runtime::Runtime;

use crate::{
    Access, Body, Bucket, BucketError, Credentials, ErrorKind, ObjectMeta, PutError,
    credentials::{self, Account},
    failure::{Failure, said},
    token::{self, Tokens},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A read that gives no byte for so long is broken off and tried again.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// An upload may take this long, and longer by its size at the slowest speed that is waited for.
const PUT_TIMEOUT: Duration = Duration::from_secs(30);
const SLOWEST_UPLOAD: u64 = 128 << 10;

/// How reads are tried again: object_store does so on 408, 429, 5xx and broken connections, after
/// 0.1 s and then after a random time up to twice the one before. A `Retry-After` is not heeded. A
/// body that breaks off goes on from where it broke.
fn read_retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            max_backoff: Duration::from_secs(5),
            ..BackoffConfig::default()
        },
        max_retries: 8,
        retry_timeout: Duration::from_secs(60),
    }
}

/// How puts are tried again: not here. object_store repeats a conditional PUT whose answer was lost
/// (a connection closed after the request was sent counts as "not sent" there), finds its own
/// object and says "exists already". The recorder must know of every attempt, so it makes them.
fn no_retries() -> RetryConfig {
    RetryConfig {
        max_retries: 0,
        ..RetryConfig::default()
    }
}

/// A bucket of Google Cloud Storage, or a folder in it.
pub(crate) struct GcsBucket {
    store: Arc<GoogleCloudStorage>,
    bucket: String,
    prefix: String,
    /// Whose credentials are used, for messages.
    account: String,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Drop for GcsBucket {
    fn drop(&mut self) {
        // a runtime must not be waited for where it is dropped, which may be on another's thread
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Finds credentials and makes the client. Asks the bucket nothing.
pub(crate) fn connect(
    bucket: &str,
    prefix: &str,
    credentials: &Credentials,
    access: Access,
) -> Result<GcsBucket, BucketError> {
    let place = format!("gs://{bucket}");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("gillnet-bucket")
        .enable_all()
        .build()
        .map_err(|error| {
            BucketError::new(
                ErrorKind::Other,
                &place,
                format!("no threads for it: {error}"),
            )
        })?;
    let identity = identify(&place, credentials, access, &runtime)?;
    let retries = match access {
        Access::Record => no_retries(),
        Access::Read => read_retries(),
    };
    let account = identity.account();
    let store = identity
        .apply(
            GoogleCloudStorageBuilder::new().with_bucket_name(bucket),
            credentials,
        )
        .with_retry(retries)
        .build()
        .map_err(|error| unusable(&place, &error))?;
    Ok(GcsBucket {
        store: Arc::new(store),
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        account,
        runtime: Some(runtime),
    })
}

/// Google Cloud Storage as object_store has it, with credentials found and checked as [`connect`]
/// does for reading, and requests made by `http`.
///
/// # Errors
/// As [`connect`].
pub fn google_store(
    bucket: &str,
    credentials: &Credentials,
    http: impl HttpConnector,
    runtime: &Runtime,
) -> Result<GoogleCloudStorage, BucketError> {
    let place = format!("gs://{bucket}");
    let builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(bucket)
        .with_http_connector(http);
    identify(&place, credentials, Access::Read, runtime)?
        .apply(builder, credentials)
        .with_retry(read_retries())
        .build()
        .map_err(|error| unusable(&place, &error))
}

/// Runs a request on the bucket's own threads and waits for it, so that it does not matter whether
/// the caller's thread belongs to another runtime. `None` where it panicked.
fn wait_on<T: Send + 'static>(
    runtime: &Runtime,
    request: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (answer, answered) = mpsc::sync_channel(1);
    runtime.spawn(async move {
        let _ = answer.send(request.await);
    });
    answered.recv().ok()
}

/// Who signs the requests.
enum Identity {
    Nobody,
    Account(Account),
    Tokens(Tokens),
}

/// The first credentials that there are; see [`Credentials`] for the order.
fn identify(
    place: &str,
    credentials: &Credentials,
    access: Access,
    runtime: &Runtime,
) -> Result<Identity, BucketError> {
    let environment = &credentials.environment;
    if credentials.anonymous {
        return Ok(Identity::Nobody);
    }
    if let Some(key) = &credentials.key {
        return credentials::read_key(key).map(Identity::Account);
    }
    if let Some(path) = &environment.application_credentials {
        return credentials::read_application_credentials(path).map(Identity::Account);
    }
    if environment.emulator_host.is_some() {
        return Ok(Identity::Nobody);
    }
    if let Some(path) = environment.default_credentials() {
        return credentials::read_application_credentials(&path).map(Identity::Account);
    }
    let gcloud = environment.gcloud().filter(|_| access == Access::Read);
    let host = environment.metadata_host.clone();
    let search = async move { token::find(host.as_deref(), gcloud).await };
    let (found, why_not) = wait_on(runtime, search).unwrap_or((None, String::new()));
    found
        .map(Identity::Tokens)
        .ok_or_else(|| no_credentials(place, access, &why_not))
}

fn no_credentials(place: &str, access: Access, why_not: &str) -> BucketError {
    let mut mend = "give one of: a service account's key in GCS_SA_KEY_JSON (the JSON, or the path of its file); \
        GOOGLE_APPLICATION_CREDENTIALS with the path of a credentials file; application default credentials (gcloud auth \
        application-default login); a metadata server (a machine or pod of Google Cloud, or GCE_METADATA_HOST); \
        STORAGE_EMULATOR_HOST for an emulator"
        .to_owned();
    if access == Access::Read {
        mend.push_str("; for reading also gcloud on the PATH and logged in (gcloud auth login), or --anonymous for a public bucket");
    }
    BucketError::new(
        ErrorKind::Unauthenticated,
        place,
        format!("no credentials for it ({why_not})"),
    )
    .mend(mend)
}

impl Identity {
    /// What messages call the account.
    fn account(&self) -> String {
        match self {
            Self::Nobody => "an anonymous reader".to_owned(),
            Self::Account(Account::Service { email, .. }) => email.clone(),
            Self::Account(Account::User { path }) => format!("the user of {}", path.display()),
            Self::Tokens(tokens) => tokens.account(),
        }
    }

    fn apply(
        self,
        builder: GoogleCloudStorageBuilder,
        credentials: &Credentials,
    ) -> GoogleCloudStorageBuilder {
        let emulator = credentials.environment.emulator_url();
        let from_key = match &self {
            Self::Account(Account::Service { base_url, .. }) => base_url.clone(),
            _ => None,
        };
        let base_url = emulator.or(from_key);
        // plain HTTP only where somebody named an address with it
        let plain = base_url
            .as_deref()
            .is_some_and(|url| url.starts_with("http://"));
        let options = ClientOptions::new()
            .with_allow_http(plain)
            .with_connect_timeout(CONNECT_TIMEOUT)
            .with_timeout_disabled()
            .with_read_timeout_disabled();
        let builder = builder.with_client_options(options);
        let builder = match base_url {
            Some(url) => builder.with_base_url(&url),
            None => builder,
        };
        match self {
            // puts are sent with whatever token there is even when nothing is to be signed
            Self::Nobody => builder.with_skip_signature(true).with_credentials(Arc::new(
                StaticCredentialProvider::new(GcpCredential {
                    bearer: String::new(),
                }),
            )),
            Self::Account(Account::Service { json, .. }) => {
                builder.with_service_account_key(json.reveal())
            }
            Self::Account(Account::User { path }) => {
                builder.with_application_credentials(path.display().to_string())
            }
            Self::Tokens(tokens) => builder.with_credentials(Arc::new(tokens)),
        }
    }
}

/// Why the client can't be made: what is left after our own checks is the key's mathematics.
fn unusable(place: &str, error: &object_store::Error) -> BucketError {
    tracing::debug!(%error, "the client of a bucket can't be made");
    BucketError::new(ErrorKind::MalformedKey, place, "the service account's key can't be used: its private_key is no RSA key that can sign")
        .mend("make a new one with: gcloud iam service-accounts keys create key.json --iam-account ACCOUNT")
}

/// What a request was for, so that a refusal says which right is missing.
#[derive(Clone, Copy)]
enum Doing {
    Create,
    Get,
    List,
    Delete,
}

impl Doing {
    fn permission(self) -> (&'static str, &'static str) {
        match self {
            Self::Create => ("storage.objects.create", "roles/storage.objectCreator"),
            Self::Get => ("storage.objects.get", "roles/storage.objectViewer"),
            Self::Delete => ("storage.objects.delete", "roles/storage.objectUser"),
            Self::List => ("storage.objects.list", "roles/storage.objectViewer"),
        }
    }
}

impl GcsBucket {
    fn path(&self, key: &str) -> Result<ObjectPath, BucketError> {
        let whole = match (self.prefix.as_str(), key) {
            ("", key) => key.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, key) => format!("{prefix}/{key}"),
        };
        ObjectPath::parse(&whole)
            .map_err(|error| BucketError::new(ErrorKind::Name, self.place(key), error.to_string()))
    }

    fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        wait_on(self.runtime.as_ref()?, request)
    }

    fn stopped(&self, key: &str) -> BucketError {
        BucketError::new(
            ErrorKind::Other,
            self.place(key),
            "the request was given up, as its thread ended",
        )
    }

    fn fault(&self, doing: Doing, key: &str, error: &object_store::Error) -> BucketError {
        self.describe(doing, key, Failure::of(error))
    }

    fn describe(&self, doing: Doing, key: &str, failure: Failure) -> BucketError {
        let place = self.place(key);
        match failure {
            Failure::Answer(status, body) => self.answer(doing, place, status, &body),
            Failure::NoConnection(why) => BucketError::new(
                ErrorKind::Unavailable,
                place,
                format!("no connection: {why}"),
            ),
            Failure::NoAnswer(why) => BucketError::new(
                ErrorKind::Unavailable,
                place,
                format!("no whole answer: {why}"),
            ),
            Failure::Client(why) => BucketError::new(ErrorKind::Other, place, why),
        }
    }

    fn answer(&self, doing: Doing, place: String, status: u16, body: &str) -> BucketError {
        let Self {
            bucket, account, ..
        } = self;
        let detail = said(body).map_or(String::new(), |text| format!(": {text}"));
        let (permission, role) = doing.permission();
        match status {
            401 => BucketError::new(ErrorKind::Unauthenticated, place, format!("the credentials of {account} were not accepted{detail}"))
                .mend("see whether the key still exists (gcloud iam service-accounts keys list) and this machine's clock is right"),
            403 => BucketError::new(ErrorKind::Forbidden, place, format!("{account} lacks {permission} there{detail}")).mend(format!(
                "give it the role: gcloud storage buckets add-iam-policy-binding gs://{bucket} --member serviceAccount:ACCOUNT --role {role}"
            )),
            404 if matches!(doing, Doing::Get | Doing::Delete) && !body.contains("bucket does not exist") && !body.contains("NoSuchBucket") => {
                BucketError::new(ErrorKind::NotFound, place, "there is no such object")
            }
            404 => BucketError::new(ErrorKind::NoBucket, format!("gs://{bucket}"), format!("there is no such bucket{detail}"))
                .mend(format!("see its name, or make it: gcloud storage buckets create gs://{bucket}")),
            408 | 429 | 500..=599 => BucketError::new(ErrorKind::Unavailable, place, format!("answered {status}{detail}")),
            _ => BucketError::new(ErrorKind::Other, place, format!("answered {status}{detail}")),
        }
    }

    /// What is known after a put that did not succeed.
    fn not_put(&self, key: &str, error: &object_store::Error) -> PutError {
        let failure = Failure::of(error);
        let (exists, unsent, sure) = match &failure {
            // With 403 and this right named an object is there: an account that may only create
            // would need the right to delete it, had it not asked to create only.
            Failure::Answer(403, body) => (body.contains("storage.objects.delete"), false, true),
            Failure::Answer(409 | 412, _) => (true, false, true),
            Failure::Answer(429, _) | Failure::NoConnection(_) => (false, true, true),
            Failure::Answer(408 | 500..=599, _) | Failure::NoAnswer(_) => (false, false, false),
            Failure::Answer(..) | Failure::Client(_) => (false, false, true),
        };
        if exists {
            return PutError::Exists {
                place: self.place(key),
            };
        }
        let fault = self.describe(Doing::Create, key, failure);
        match (unsent, sure) {
            (true, _) => PutError::Unavailable(fault),
            (false, true) => PutError::Refused(fault),
            (false, false) => PutError::Ambiguous(fault),
        }
    }

    fn read(&self, key: &str, options: GetOptions) -> Result<Vec<u8>, BucketError> {
        let (store, path) = (Arc::clone(&self.store), self.path(key)?);
        let request = async move { store.get_opts(&path, options).await?.bytes().await };
        let patient = async move { tokio::time::timeout(READ_TIMEOUT * 4, request).await };
        match self.wait(patient).ok_or_else(|| self.stopped(key))? {
            Ok(Ok(bytes)) => Ok(bytes.into()),
            Ok(Err(error)) => Err(self.fault(Doing::Get, key, &error)),
            Err(_) => Err(self.too_slow(key)),
        }
    }

    fn too_slow(&self, key: &str) -> BucketError {
        BucketError::new(
            ErrorKind::Unavailable,
            self.place(key),
            "did not answer in time",
        )
    }
}

impl Bucket for GcsBucket {
    fn put_new(&self, key: &str, body: Body<'_>) -> Result<(), PutError> {
        let path = self.path(key).map_err(PutError::Refused)?;
        let bytes = match body {
            Body::Bytes(bytes) => bytes.to_vec(),
            Body::File(file) => std::fs::read(file).map_err(|error| {
                PutError::Refused(BucketError::new(
                    ErrorKind::Other,
                    file.display().to_string(),
                    format!("can't be read: {error}"),
                ))
            })?,
        };
        let limit = PUT_TIMEOUT + Duration::from_secs(bytes.len() as u64 / SLOWEST_UPLOAD);
        let store = Arc::clone(&self.store);
        let request = async move {
            store
                .put_opts(&path, bytes.into(), PutOptions::from(PutMode::Create))
                .await
        };
        let patient = async move { tokio::time::timeout(limit, request).await };
        match self
            .wait(patient)
            .ok_or_else(|| PutError::Ambiguous(self.stopped(key)))?
        {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.not_put(key, &error)),
            Err(_) => Err(PutError::Ambiguous(self.too_slow(key))),
        }
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, BucketError> {
        let (store, path) = (Arc::clone(&self.store), self.path(key)?);
        if path.as_ref().is_empty() {
            return Ok(None);
        }
        let request =
            async move { tokio::time::timeout(READ_TIMEOUT * 4, store.head(&path)).await };
        match self.wait(request).ok_or_else(|| self.stopped(key))? {
            Ok(Ok(found)) => Ok(Some(ObjectMeta {
                key: key.to_owned(),
                size: found.size,
                modified: found.last_modified.into(),
            })),
            Ok(Err(error)) => match self.fault(Doing::Get, key, &error) {
                fault if fault.kind == ErrorKind::NotFound => Ok(None),
                fault => Err(fault),
            },
            Err(_) => Err(self.too_slow(key)),
        }
    }

    fn get(&self, key: &str) -> Result<Vec<u8>, BucketError> {
        self.read(key, GetOptions::default())
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Vec<u8>, BucketError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        self.read(
            key,
            GetOptions {
                range: Some(GetRange::Bounded(range)),
                ..GetOptions::default()
            },
        )
    }

    fn list(&self, prefix: &str, each: &mut dyn FnMut(ObjectMeta)) -> Result<(), BucketError> {
        let folder = self.path(prefix)?;
        let cut = if self.prefix.is_empty() {
            0
        } else {
            self.prefix.len() + 1
        };
        let mut token = None;
        loop {
            let (store, asked) = (
                Arc::clone(&self.store),
                (!folder.as_ref().is_empty()).then(|| format!("{folder}/")),
            );
            let options = PaginatedListOptions {
                page_token: token.take(),
                ..PaginatedListOptions::default()
            };
            let request = async move { store.list_paginated(asked.as_deref(), options).await };
            let patient = async move { tokio::time::timeout(READ_TIMEOUT * 4, request).await };
            let page = match self.wait(patient).ok_or_else(|| self.stopped(prefix))? {
                Ok(page) => page.map_err(|error| self.fault(Doing::List, prefix, &error))?,
                Err(_) => return Err(self.too_slow(prefix)),
            };
            let mut found: Vec<_> = page.result.objects;
            found.sort_unstable_by(|a, b| a.location.cmp(&b.location));
            for object in found {
                if let Some(key) = object.location.as_ref().get(cut..) {
                    each(ObjectMeta {
                        key: key.to_owned(),
                        size: object.size,
                        modified: object.last_modified.into(),
                    });
                }
            }
            token = page.page_token;
            if token.is_none() {
                return Ok(());
            }
        }
    }

    fn delete(&self, key: &str) -> Result<(), BucketError> {
        let (store, path) = (Arc::clone(&self.store), self.path(key)?);
        let request =
            async move { tokio::time::timeout(READ_TIMEOUT * 4, store.delete(&path)).await };
        match self.wait(request).ok_or_else(|| self.stopped(key))? {
            Ok(Ok(()) | Err(object_store::Error::NotFound { .. })) => Ok(()),
            Ok(Err(error)) => Err(self.fault(Doing::Delete, key, &error)),
            Err(_) => Err(self.too_slow(key)),
        }
    }

    fn place(&self, key: &str) -> String {
        let parts: Vec<&str> = [self.bucket.as_str(), &self.prefix, key]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        format!("gs://{}", parts.join("/"))
    }
}
