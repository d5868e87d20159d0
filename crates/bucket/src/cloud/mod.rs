//! A bucket of a cloud, through object_store: what the clouds have in common. What is particular to
//! one (who signs, what its answers mean) is a [`Vendor`], in a file of its own.

mod address;
pub(crate) mod aws;
pub(crate) mod azure;
pub(crate) mod azure_account;
pub(crate) mod azure_identity;
pub(crate) mod failure;
pub(crate) mod gcs;
mod google_key;
mod google_token;
pub(crate) mod s3;
mod signer;

use std::{future::Future, ops::Range, sync::Arc, sync::mpsc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions, RetryConfig,
    list::{PaginatedListOptions, PaginatedListStore},
    path::Path as ObjectPath,
};
use tokio::{runtime::Runtime, time::timeout};

use crate::{Access, Body, Bucket, BucketError, ErrorKind, ObjectMeta, PutError};
use failure::{Failure, code, said};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A read that gives no byte for so long is broken off and tried again.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// A request that reads, its repetitions included.
const PATIENCE: Duration = Duration::from_secs(120);
/// An upload may take this long, and longer by its size at the slowest speed that is waited for.
const PUT_TIMEOUT: Duration = Duration::from_secs(30);
const SLOWEST_UPLOAD: u64 = 128 << 10;

/// How requests are tried again: reads by object_store, on 408, 429, 5xx and broken connections,
/// after 0.1 s and then after a random time up to twice the one before. A `Retry-After` is not
/// heeded. A body that breaks off goes on from where it broke.
///
/// Puts are not tried again here. object_store repeats a conditional PUT whose answer was lost (a
/// connection closed after the request was sent counts as "not sent" there), finds its own object
/// and says "exists already". The recorder must know of every attempt, so it makes them.
fn retries(access: Access) -> RetryConfig {
    match access {
        Access::Record => RetryConfig {
            max_retries: 0,
            ..RetryConfig::default()
        },
        Access::Read => RetryConfig {
            backoff: BackoffConfig {
                max_backoff: Duration::from_secs(5),
                ..BackoffConfig::default()
            },
            max_retries: 8,
            retry_timeout: Duration::from_secs(60),
        },
    }
}

/// How the client connects; `plain` lets it do so without TLS.
fn client_options(access: Access, plain: bool) -> ClientOptions {
    let options = ClientOptions::new()
        .with_allow_http(plain)
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_timeout_disabled();
    match access {
        // its clock would run while an upload is being sent, which has its own limit
        Access::Record => options.with_read_timeout_disabled(),
        Access::Read => options.with_read_timeout(READ_TIMEOUT),
    }
}

/// The threads that requests are made on.
fn threads(place: &str) -> Result<Runtime, BucketError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("gillnet-bucket")
        .enable_all()
        .build()
        .map_err(|error| {
            BucketError::new(
                ErrorKind::Other,
                place,
                format!("no threads for it: {error}"),
            )
        })
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

/// What a request was for, so that a refusal says which right is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Create,
    Get,
    List,
    Delete,
}

impl Doing {
    /// Whether it is about one object that should be there, so that "not found" may be said of it.
    pub(crate) fn is_of_object(self) -> bool {
        matches!(self, Doing::Get | Doing::Delete)
    }
}

/// An answer that is no success.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// The code of its XML (`AccessDenied`), else empty.
    pub(crate) code: &'a str,
    pub(crate) body: &'a str,
}

impl Answer<'_> {
    /// What it says, as the end of a sentence.
    fn detail(&self) -> String {
        said(self.body).map_or(String::new(), |text| format!(": {text}"))
    }
}

/// What is known of an object after a put that was answered with no success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterPut {
    /// One of that name was there.
    Exists,
    /// It was not written; a later attempt may work.
    NotNow,
    /// It was not written, and won't be before something is changed.
    Refused,
    /// It may be there.
    Unknown,
}

/// What is particular to one cloud.
pub(crate) trait Vendor: Send + Sync {
    /// What messages call the bucket: `gs://bucket`.
    fn place(&self) -> &str;

    /// What an answer that will be the same later means to the thing at `place`, and what to do about it; `None` for
    /// those of which there is nothing to say but what they say.
    fn explain(&self, doing: Doing, place: &str, answer: &Answer<'_>) -> Option<BucketError>;

    /// What an answer to a put means, where it differs from what its status means in HTTP.
    fn after_put(&self, answer: &Answer<'_>) -> Option<AfterPut>;
}

/// A bucket of a cloud, or a folder in it.
pub(crate) struct CloudBucket {
    objects: Arc<dyn ObjectStore>,
    pages: Arc<dyn PaginatedListStore>,
    vendor: Box<dyn Vendor>,
    prefix: String,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Drop for CloudBucket {
    fn drop(&mut self) {
        // a runtime must not be waited for where it is dropped, which may be on another's thread
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl CloudBucket {
    fn new<S: ObjectStore + PaginatedListStore>(
        store: S,
        vendor: impl Vendor + 'static,
        prefix: &str,
        runtime: Runtime,
    ) -> Self {
        let store = Arc::new(store);
        Self {
            objects: Arc::clone(&store) as Arc<dyn ObjectStore>,
            pages: store,
            vendor: Box::new(vendor),
            prefix: prefix.to_owned(),
            runtime: Some(runtime),
        }
    }

    fn path(&self, key: &str) -> Result<ObjectPath, BucketError> {
        let whole = match (self.prefix.as_str(), key) {
            ("", key) => key.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, key) => format!("{prefix}/{key}"),
        };
        ObjectPath::parse(&whole)
            .map_err(|error| BucketError::new(ErrorKind::Name, self.place(key), error.to_string()))
    }

    /// Makes a request and waits for its answer, as long as is told.
    fn ask<T: Send + 'static>(
        &self,
        doing: Doing,
        key: &str,
        request: impl Future<Output = object_store::Result<T>> + Send + 'static,
    ) -> Result<T, BucketError> {
        match self.wait(PATIENCE, request) {
            Waited::Answered(Ok(value)) => Ok(value),
            Waited::Answered(Err(error)) => Err(self.describe(doing, key, &Failure::of(&error))),
            Waited::TooSlow => Err(self.too_slow(key)),
            Waited::Stopped => Err(self.stopped(key)),
        }
    }

    fn wait<T: Send + 'static>(
        &self,
        limit: Duration,
        request: impl Future<Output = T> + Send + 'static,
    ) -> Waited<T> {
        let Some(runtime) = &self.runtime else {
            return Waited::Stopped;
        };
        match wait_on(runtime, async move { timeout(limit, request).await }) {
            Some(Ok(answer)) => Waited::Answered(answer),
            Some(Err(_)) => Waited::TooSlow,
            None => Waited::Stopped,
        }
    }

    fn describe(&self, doing: Doing, key: &str, failure: &Failure) -> BucketError {
        let place = self.place(key);
        let away = |what: &str, why: &str| {
            BucketError::new(
                ErrorKind::Unavailable,
                place.as_str(),
                format!("{what}: {why}"),
            )
        };
        match failure {
            Failure::Answer(status, body) => self.answer(doing, place, *status, body),
            Failure::Unsigned(why) => away("no credentials for it now", why),
            Failure::NoConnection(why) => away("no connection", why),
            Failure::NoAnswer(why) => away("no whole answer", why),
            Failure::Client(why) => BucketError::new(ErrorKind::Other, place, why.as_str()),
        }
    }

    fn answer(&self, doing: Doing, place: String, status: u16, body: &str) -> BucketError {
        let answer = Answer {
            status,
            code: code(body),
            body,
        };
        let plain = |kind, place| {
            let code = match answer.code {
                "" => String::new(),
                code => format!(" {code}"),
            };
            BucketError::new(
                kind,
                place,
                format!("answered {status}{code}{}", answer.detail()),
            )
        };
        match status {
            408 | 429 | 500 | 502..=599 => plain(ErrorKind::Unavailable, place),
            _ => match self.vendor.explain(doing, &place, &answer) {
                Some(error) => error,
                None if status == 404 && doing.is_of_object() => {
                    BucketError::new(ErrorKind::NotFound, place, "there is no such object")
                }
                None => plain(ErrorKind::Other, place),
            },
        }
    }

    /// What is known after a put that did not succeed.
    fn not_put(&self, key: &str, error: &object_store::Error) -> PutError {
        let failure = Failure::of(error);
        let after = match &failure {
            Failure::Answer(status, body) => {
                let (status, code) = (*status, code(body));
                let answer = Answer { status, code, body };
                self.vendor.after_put(&answer).unwrap_or(match status {
                    412 => AfterPut::Exists,
                    429 => AfterPut::NotNow,
                    408 | 500..=599 => AfterPut::Unknown,
                    _ => AfterPut::Refused,
                })
            }
            Failure::NoConnection(_) | Failure::Unsigned(_) => AfterPut::NotNow,
            Failure::NoAnswer(_) => AfterPut::Unknown,
            Failure::Client(_) => AfterPut::Refused,
        };
        let fault = || self.describe(Doing::Create, key, &failure);
        match after {
            AfterPut::Exists => PutError::Exists {
                place: self.place(key),
            },
            AfterPut::NotNow => PutError::Unavailable(BucketError {
                kind: ErrorKind::Unavailable,
                ..fault()
            }),
            AfterPut::Refused => PutError::Refused(fault()),
            AfterPut::Unknown => PutError::Ambiguous(fault()),
        }
    }

    fn read(&self, key: &str, options: GetOptions) -> Result<Vec<u8>, BucketError> {
        let (store, path) = (Arc::clone(&self.objects), self.path(key)?);
        let request = async move { store.get_opts(&path, options).await?.bytes().await };
        self.ask(Doing::Get, key, request).map(Into::into)
    }

    fn too_slow(&self, key: &str) -> BucketError {
        BucketError::new(
            ErrorKind::Unavailable,
            self.place(key),
            "did not answer in time",
        )
    }

    fn stopped(&self, key: &str) -> BucketError {
        BucketError::new(
            ErrorKind::Other,
            self.place(key),
            "the request was given up, as its thread ended",
        )
    }
}

enum Waited<T> {
    Answered(T),
    TooSlow,
    Stopped,
}

impl Bucket for CloudBucket {
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
        let store = Arc::clone(&self.objects);
        let request = async move {
            store
                .put_opts(&path, bytes.into(), PutOptions::from(PutMode::Create))
                .await
        };
        match self.wait(limit, request) {
            Waited::Answered(Ok(_)) => Ok(()),
            Waited::Answered(Err(error)) => Err(self.not_put(key, &error)),
            Waited::TooSlow => Err(PutError::Ambiguous(self.too_slow(key))),
            Waited::Stopped => Err(PutError::Ambiguous(self.stopped(key))),
        }
    }

    fn head(&self, key: &str) -> Result<Option<ObjectMeta>, BucketError> {
        let (store, path) = (Arc::clone(&self.objects), self.path(key)?);
        if path.as_ref().is_empty() {
            return Ok(None);
        }
        match self.ask(Doing::Get, key, async move { store.head(&path).await }) {
            Ok(found) => Ok(Some(ObjectMeta {
                key: key.to_owned(),
                size: found.size,
                modified: found.last_modified.into(),
            })),
            Err(fault) if fault.kind == ErrorKind::NotFound => Ok(None),
            Err(fault) => Err(fault),
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
        self.list_while(prefix, &mut |meta| {
            each(meta);
            true
        })
    }

    fn list_while(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(ObjectMeta) -> bool,
    ) -> Result<(), BucketError> {
        let folder = self.path(prefix)?;
        let cut = if self.prefix.is_empty() {
            0
        } else {
            self.prefix.len() + 1
        };
        let mut token = None;
        loop {
            let (store, asked) = (
                Arc::clone(&self.pages),
                (!folder.as_ref().is_empty()).then(|| format!("{folder}/")),
            );
            let options = PaginatedListOptions {
                page_token: token.take(),
                ..PaginatedListOptions::default()
            };
            let request = async move { store.list_paginated(asked.as_deref(), options).await };
            let page = self.ask(Doing::List, prefix, request)?;
            let mut found: Vec<_> = page.result.objects;
            found.sort_unstable_by(|a, b| a.location.cmp(&b.location));
            for object in found {
                let Some(key) = object.location.as_ref().get(cut..) else {
                    continue;
                };
                let goes_on = each(ObjectMeta {
                    key: key.to_owned(),
                    size: object.size,
                    modified: object.last_modified.into(),
                });
                if !goes_on {
                    return Ok(());
                }
            }
            token = page.page_token;
            if token.is_none() {
                return Ok(());
            }
        }
    }

    fn delete(&self, key: &str) -> Result<(), BucketError> {
        let (store, path) = (Arc::clone(&self.objects), self.path(key)?);
        match self.ask(Doing::Delete, key, async move { store.delete(&path).await }) {
            Err(fault) if fault.kind != ErrorKind::NotFound => Err(fault),
            _ => Ok(()),
        }
    }

    fn place(&self, key: &str) -> String {
        let parts: Vec<&str> = [self.vendor.place(), &self.prefix, key]
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect();
        parts.join("/")
    }
}
