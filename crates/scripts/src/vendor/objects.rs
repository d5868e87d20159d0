//! Objects of scripts in buckets, whoever's they are: how they are called, put and cleared.

use std::{
    fs::File,
    io::Read,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use gillnet_bucket::{Failure, said};
use object_store::{
    BackoffConfig, ObjectStore, ObjectStoreExt, RetryConfig, WriteMultipart,
    list::{PaginatedListOptions, PaginatedListStore},
    path::Path as ObjectPath,
};
use tokio::task::spawn_blocking;

use super::{
    Error, ErrorKind, Node,
    http::{Http, refusal_in, too_large, too_slow},
};

/// Larger files are sent in parts, of which two are on their way at a time.
const WHOLE: u64 = 64 << 20;
const PART: usize = 8 << 20;
const PARTS_AT_A_TIME: usize = 2;

/// A file to put.
#[derive(Debug)]
pub struct Upload {
    /// Its path as the script gave it; the last part names the object.
    pub name: String,
    /// What is in it.
    pub content: Content,
}

/// What is put.
#[derive(Debug)]
pub enum Content {
    /// An open file, from its present position to the end that it has at the call.
    File(File),
    /// Bytes in memory.
    Bytes(Bytes),
}

impl Upload {
    pub(crate) fn size(&self, call: &'static str) -> Result<u64, Error> {
        match &self.content {
            Content::Bytes(bytes) => Ok(bytes.len() as u64),
            Content::File(file) => file
                .metadata()
                .map(|about| about.len())
                .map_err(|error| unreadable(call, &self.name, &error)),
        }
    }

    /// The last part of its path.
    pub(crate) fn base_name(&self, call: &'static str) -> Result<&str, Error> {
        let name = self.name.trim_end_matches('/');
        let name = name.rsplit('/').next().unwrap_or(name);
        if matches!(name, "" | "." | "..") || name.contains(char::is_control) {
            let why = format!("the path \"{}\" names no file", self.name.escape_debug());
            return Err(Error::argument(call, why));
        }
        Ok(name)
    }
}

fn unreadable(call: &'static str, name: &str, error: &std::io::Error) -> Error {
    Error::new(
        call,
        ErrorKind::Other,
        format!("{name} can't be read: {error}"),
    )
}

/// Reads so much of a content, on a thread that may wait; less where it ends before.
pub(crate) async fn read(
    call: &'static str,
    name: &str,
    content: Content,
    most: u64,
) -> Result<(Bytes, Content), Error> {
    match content {
        Content::Bytes(mut bytes) => {
            let cut = bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX));
            let part = bytes.split_to(cut);
            Ok((part, Content::Bytes(bytes)))
        }
        Content::File(file) => {
            let reading = spawn_blocking(move || {
                let mut part = Vec::new();
                (&file).take(most).read_to_end(&mut part)?;
                Ok((Bytes::from(part), Content::File(file)))
            });
            let done = reading
                .await
                .unwrap_or_else(|error| Err(std::io::Error::other(error)));
            done.map_err(|error| unreadable(call, name, &error))
        }
    }
}

/// How requests to stores are tried again: puts overwrite, so that a repeated one does no harm.
pub(crate) fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            max_backoff: std::time::Duration::from_secs(2),
            ..BackoffConfig::default()
        },
        max_retries: 3,
        retry_timeout: std::time::Duration::from_secs(20),
    }
}

/// A bucket, or a folder of one.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) objects: Arc<dyn ObjectStore>,
    pub(crate) pages: Arc<dyn PaginatedListStore>,
    /// What messages call it: `s3://bucket`.
    pub(crate) place: String,
    /// Its URL, without a slash at the end.
    pub(crate) url: String,
    /// A folder in it, or nothing.
    pub(crate) folder: String,
}

/// `bucket/folder` in its parts, without the scheme that may stand before it.
pub(crate) fn bucket_and_folder<'a>(text: &'a str, scheme: &str) -> (&'a str, &'a str) {
    let text = text.trim();
    let text = text.strip_prefix(scheme).unwrap_or(text);
    let (bucket, folder) = text.split_once('/').unwrap_or((text, ""));
    (bucket, folder.trim_matches('/'))
}

impl Store {
    pub(crate) fn new<S: ObjectStore + PaginatedListStore>(
        store: S,
        place: String,
        url: String,
        folder: &str,
    ) -> Self {
        let store = Arc::new(store);
        Self {
            objects: Arc::clone(&store) as Arc<dyn ObjectStore>,
            pages: store,
            place,
            url,
            folder: folder.to_owned(),
        }
    }

    fn in_folder(&self, key: &str) -> String {
        if self.folder.is_empty() {
            key.to_owned()
        } else {
            format!("{}/{key}", self.folder)
        }
    }

    /// Puts an object, over one that is there: its URL.
    pub(crate) async fn put(
        &self,
        call: &'static str,
        http: &Http,
        node: &Node,
        upload: Upload,
    ) -> Result<String, Error> {
        let size = upload.size(call)?;
        if size > http.limits.upload {
            return Err(too_large(call, &upload.name, size, http.limits.upload));
        }
        let Node { name, ip, run } = node;
        let key = self.in_folder(&format!("{name}_{ip}_{run}/{}", upload.base_name(call)?));
        let path = ObjectPath::parse(&key)
            .map_err(|error| Error::argument(call, format!("{key}: {error}")))?;
        let limit = http.upload_time(size);
        match tokio::time::timeout(limit, self.send(call, &path, size, upload)).await {
            Ok(done) => done?,
            Err(_) => return Err(too_slow(call, &format!("{}/{key}", self.place), limit)),
        }
        Ok(format!("{}/{key}", self.url))
    }

    async fn send(
        &self,
        call: &'static str,
        path: &ObjectPath,
        size: u64,
        upload: Upload,
    ) -> Result<(), Error> {
        let Upload { name, content } = upload;
        let fault = |error| self.fault(call, path.as_ref(), &error);
        if size <= WHOLE {
            let (whole, _) = read(call, &name, content, size).await?;
            self.objects.put(path, whole.into()).await.map_err(fault)?;
            return Ok(());
        }
        let started = self.objects.put_multipart(path).await.map_err(fault)?;
        let mut writer = WriteMultipart::new_with_chunk_size(started, PART);
        match self
            .send_parts(call, &name, content, size, &mut writer)
            .await
        {
            Ok(()) => writer.finish().await.map(|_| ()).map_err(fault),
            Err(Parts::Unreadable(error)) => {
                // what was sent must not stay there and be paid for
                let _ = writer.abort().await;
                Err(error)
            }
            Err(Parts::Store(error)) => {
                let _ = writer.abort().await;
                Err(fault(error))
            }
        }
    }

    async fn send_parts(
        &self,
        call: &'static str,
        name: &str,
        mut content: Content,
        size: u64,
        writer: &mut WriteMultipart,
    ) -> Result<(), Parts> {
        let mut left = size;
        while left > 0 {
            let (part, rest) = read(call, name, content, left.min(PART as u64))
                .await
                .map_err(Parts::Unreadable)?;
            if part.is_empty() {
                break;
            }
            left -= part.len() as u64;
            content = rest;
            writer
                .wait_for_capacity(PARTS_AT_A_TIME)
                .await
                .map_err(Parts::Store)?;
            writer.put(part);
        }
        Ok(())
    }

    /// Deletes what this node put, in every run: keys that begin with `<node>_<ip>` and go on with
    /// `_` or `/`, so that a node whose address begins alike keeps its own. How many there were.
    pub(crate) async fn clear(
        &self,
        call: &'static str,
        http: &Http,
        node: &Node,
    ) -> Result<u64, Error> {
        let prefix = self.in_folder(&format!("{}_{}", node.name, node.ip));
        let limit = http.upload_time(0) * 4;
        match tokio::time::timeout(limit, self.clear_all(call, &prefix)).await {
            Ok(done) => done,
            Err(_) => Err(too_slow(call, &format!("{}/{prefix}", self.place), limit)),
        }
    }

    async fn clear_all(&self, call: &'static str, prefix: &str) -> Result<u64, Error> {
        let fault = |error| self.fault(call, prefix, &error);
        let mut keys = Vec::new();
        let mut token = None;
        loop {
            let options = PaginatedListOptions {
                page_token: token.take(),
                ..PaginatedListOptions::default()
            };
            let page = self
                .pages
                .list_paginated(Some(prefix), options)
                .await
                .map_err(fault)?;
            keys.extend(page.result.objects.into_iter().filter_map(|object| {
                let rest = object.location.as_ref().strip_prefix(prefix)?;
                // some stores list folders too, as empty objects
                let ours = rest.starts_with(['_', '/']) && rest.contains('/');
                ours.then_some(object.location)
            }));
            token = page.page_token;
            if token.is_none() {
                break;
            }
        }
        let mut deleted = 0;
        for key in keys {
            match self.objects.delete(&key).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => deleted += 1,
                Err(error) => return Err(fault(error)),
            }
        }
        Ok(deleted)
    }

    pub(crate) fn fault(
        &self,
        call: &'static str,
        key: &str,
        error: &object_store::Error,
    ) -> Error {
        fault(call, &format!("{}/{key}", self.place), error)
    }
}

/// What ended an upload in parts.
enum Parts {
    Unreadable(Error),
    Store(object_store::Error),
}

/// What object_store says, without what it quotes of requests.
pub(crate) fn fault(call: &'static str, place: &str, error: &object_store::Error) -> Error {
    if let Some(refusal) = refusal_in(error) {
        return Error::new(call, ErrorKind::Refused, refusal.to_string());
    }
    match Failure::of(error) {
        Failure::Answer(status, body) => {
            let code = body
                .split_once("<Code>")
                .and_then(|(_, rest)| rest.split_once("</Code>"))
                .map(|(code, _)| format!(": {code}"))
                .unwrap_or_default();
            let detail = said(&body)
                .map(|text| format!(": {}", super::error::excerpt(text, &[])))
                .unwrap_or_default();
            Error::answer(
                call,
                status,
                format!("{place} answered {status}{code}{detail}"),
            )
        }
        Failure::Unsigned(why) => Error::new(
            call,
            ErrorKind::Credentials,
            format!("{place}: no credentials: {why}"),
        ),
        Failure::NoConnection(why) => Error::new(
            call,
            ErrorKind::Unreachable,
            format!("{place}: no connection: {why}"),
        ),
        Failure::NoAnswer(why) => Error::new(
            call,
            ErrorKind::Unreachable,
            format!("{place}: no whole answer: {why}"),
        ),
        Failure::Client(why) => Error::new(call, ErrorKind::Other, format!("{place}: {why}")),
    }
}

/// What was made last, by its arguments, so that tokens and connections are kept from call to call.
pub(crate) struct Kept<K, V> {
    most: NonZeroUsize,
    held: Mutex<Vec<(K, V)>>,
}

/// The stores that were used last.
pub(crate) type Stores = Kept<Vec<String>, Store>;

impl<K: PartialEq + Clone, V: Clone> Kept<K, V> {
    pub(crate) fn new(most: NonZeroUsize) -> Self {
        Self {
            most,
            held: Mutex::new(Vec::new()),
        }
    }

    /// What belongs to these arguments, made by `make` where it is new.
    pub(crate) fn get(
        &self,
        arguments: &K,
        make: impl FnOnce() -> Result<V, Error>,
    ) -> Result<V, Error> {
        {
            let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, value)) = held.iter().find(|(key, _)| key == arguments) {
                return Ok(value.clone());
            }
        }
        // made outside of the lock: it may look for credentials
        let value = make()?;
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.retain(|(key, _)| key != arguments);
        if held.len() >= self.most.get() {
            held.remove(0);
        }
        held.push((arguments.clone(), value.clone()));
        Ok(value)
    }
}

/// Arguments as [`Stores`] takes them.
pub(crate) fn arguments<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).into()
}
