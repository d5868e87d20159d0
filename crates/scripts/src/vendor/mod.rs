//! What scripts send to others: `vendor.*`, `fetch`, `chatgpt.prompt`.
//!
//! - [`Vendors`] has one method for each call. They block, each within its time limit, and are made
//!   from scripts' own threads; arguments and results are texts and JSON values.
//! - [`Config`] says who this node is, which hosts may be reached and where vendors' endpoints are.
//! - [`resolve_env`] reads values of `scripting.env` that are given by reference.
//! - [`Error`] is what a script catches: the call, the status, a message without any secret.

mod azure;
mod chatgpt;
mod doors;
mod elastic;
mod env;
mod error;
mod gcs;
mod http;
mod influxdb;
mod kafka;
mod kinesis;
mod lookup;
mod objects;
mod otlp;
mod pubsub;
mod s3;
mod scram;
mod slack;
mod webhook;

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    num::NonZeroUsize,
    sync::{Arc, mpsc},
    time::Duration,
};

use reqwest::Url;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use doors::Doors;
use http::Http;

pub use azure::Azure;
pub use elastic::Elastic;
pub use env::{EnvError, resolve_env, resolve_value};
pub use error::{Error, ErrorKind};
pub use http::Redirects;
pub use influxdb::Influx;
pub use kafka::{Kafka, KafkaMessage, KafkaPlace};
pub use objects::{Content, Upload};
pub use otlp::Signal;
pub use s3::{S3Clear, S3Keys, S3Put};
pub use slack::SlackMessage;
pub use webhook::{Fetch, Fetched};

/// Who this node is: objects are called `<node>_<ip>_<run>/<basename>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its address.
    pub ip: String,
    /// The run of this process.
    pub run: String,
}

/// Bounds of every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A call may take this long; an upload longer by its size, at 128 KiB a second.
    pub timeout: Duration,
    /// The longest body of a request, and so the largest file of `vendor.slackBot`, in bytes; `put`
    /// has its own bound.
    pub request: u64,
    /// The longest answer, in bytes.
    pub answer: u64,
    /// The largest file of `put`, in bytes.
    pub upload: u64,
    /// The largest record of Kinesis, in bytes. A stream of AWS takes 1 MiB if not told otherwise.
    pub kinesis_record: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            request: 16 << 20,
            answer: 16 << 20,
            upload: 5 << 30,
            kinesis_record: 1 << 20,
        }
    }
}

/// What vendor calls need of the configuration.
#[derive(Clone)]
pub struct Config {
    /// This node.
    pub node: Node,
    /// `scripting.env`, resolved: hosts in its values may be reached.
    pub env: Map<String, Value>,
    /// `scripting.allowHosts`: `HOST`, `HOST:PORT`, `*.DOMAIN`, an address, `*`.
    pub allow_hosts: Vec<String>,
    /// `scripting.endpoints`: what stands in for a vendor's own endpoint, by vendor (see [`ENDPOINTS`]).
    pub endpoints: BTreeMap<String, String>,
    /// Bounds.
    pub limits: Limits,
    /// Variables of the process, for the default credentials of AWS and Azure (`AWS_…`, `AZURE_…`).
    pub variables: HashMap<String, String>,
    /// The same for Google Cloud.
    pub google: gillnet_bucket::Environment,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // values of env and variables, and URLs of endpoints, may be secrets
        f.debug_struct("Config")
            .field("node", &self.node)
            .field("allow_hosts", &self.allow_hosts)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// A configuration that allows no host but the vendors' own, with this process's environment.
    #[must_use]
    pub fn new(node: Node) -> Self {
        Self {
            node,
            env: Map::new(),
            allow_hosts: Vec::new(),
            endpoints: BTreeMap::new(),
            limits: Limits::default(),
            variables: std::env::vars_os()
                .filter_map(|(key, value)| {
                    Some((key.into_string().ok()?, value.into_string().ok()?))
                })
                .filter(|(key, value)| {
                    !value.is_empty() && (key.starts_with("AWS_") || key.starts_with("AZURE_"))
                })
                .collect(),
            google: gillnet_bucket::Environment::of_process(),
        }
    }
}

/// The keys of `scripting.endpoints`.
pub const ENDPOINTS: [&str; 11] = [
    "azure", "chatgpt", "elastic", "gcs", "influxdb", "kafka", "kinesis", "otlp", "pubsub", "s3",
    "slack",
];

/// Hosts of object stores: a store's endpoint is one of these, or what the configuration names.
const OBJECT_STORES: &[&str] = &[
    "*.amazonaws.com",
    "*.amazonaws.com.cn",
    "*.api.aws",
    "*.googleapis.com",
    "*.blob.core.windows.net",
    "*.blob.core.chinacloudapi.cn",
    "*.blob.core.usgovcloudapi.net",
];

/// A configuration that can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An entry of `scripting.allowHosts` or `scripting.endpoints`, named with what would do.
    #[error("{0}")]
    Value(String),
    /// No threads or no TLS.
    #[error("vendor calls can't be made: {0}")]
    Start(String),
}

/// So many stores, and clients with a certificate of their own, are kept for the next call.
const KEPT: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);

/// All vendor calls. A clone shares connections and credentials.
#[derive(Clone)]
pub struct Vendors {
    inner: Arc<Inner>,
    http: Http,
}

struct Inner {
    node: Node,
    endpoints: BTreeMap<&'static str, Url>,
    /// Bootstrap servers in place of those that scripts give.
    kafka: Option<String>,
    variables: HashMap<String, String>,
    google: gillnet_bucket::Environment,
    stores: objects::Stores,
    /// Clients that trust one certificate, by its digest.
    pinned: objects::Kept<[u8; 32], reqwest::Client>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // a runtime must not be waited for where it is dropped, which may be on another's thread
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Vendors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vendors")
            .field("node", &self.inner.node)
            .finish_non_exhaustive()
    }
}

impl Vendors {
    /// Starts the threads that requests run on. Asks nobody anything.
    ///
    /// # Errors
    /// Where an entry of `allow_hosts` or `endpoints` can't be used, by its key.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        let mut endpoints = BTreeMap::new();
        let mut kafka = None;
        for (key, text) in &config.endpoints {
            let Some(&vendor) = ENDPOINTS.iter().find(|vendor| *vendor == key) else {
                let known = ENDPOINTS.join(", ");
                return Err(ConfigError::Value(format!(
                    "scripting.endpoints.{key}: there is no such vendor; known are {known}"
                )));
            };
            if vendor == "kafka" {
                kafka = Some(text.clone());
                continue;
            }
            let url = Url::parse(text.trim())
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
            let Some(url) = url else {
                return Err(ConfigError::Value(format!(
                    "scripting.endpoints.{key}: give http://HOST or https://HOST, with a port where it needs one"
                )));
            };
            endpoints.insert(vendor, url);
        }
        let stand_ins = config.endpoints.values().map(String::as_str);
        let doors = Doors::new(
            &config.allow_hosts,
            &config.env,
            stand_ins.chain(config.google.emulator_host.as_deref()),
        )
        .map_err(|error| ConfigError::Value(error.to_string()))?;
        let start = |error: String| ConfigError::Start(error);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("gillnet-vendor")
            .enable_all()
            .build()
            .map_err(|error| start(error.to_string()))?;
        let http =
            Http::new(Arc::new(doors), config.limits).map_err(|error| start(error.to_string()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                node: config.node,
                endpoints,
                kafka,
                variables: config.variables,
                google: config.google,
                stores: objects::Stores::new(KEPT),
                pinned: objects::Kept::new(KEPT),
                runtime: Some(runtime),
            }),
            http,
        })
    }

    /// The same calls, none of which takes longer than `limit`: what is left of a hook's or job's
    /// time. Uploads are held to it too.
    #[must_use]
    pub fn within(&self, limit: Duration) -> Self {
        let mut http = self.http.clone();
        http.limits.timeout = http.limits.timeout.min(limit);
        http.whole = Some(limit);
        Self {
            inner: Arc::clone(&self.inner),
            http,
        }
    }

    /// Runs requests on our own threads and waits for them, so that it does not matter whose thread
    /// the caller's is.
    fn run<T: Send + 'static, F: Future<Output = Result<T, Error>> + Send + 'static>(
        &self,
        requests: impl FnOnce(Http) -> F,
    ) -> Result<T, Error> {
        let gone = || Error::new("vendor", ErrorKind::Other, "the call was given up");
        let runtime = self.inner.runtime.as_ref().ok_or_else(gone)?;
        let (answer, answered) = mpsc::sync_channel(1);
        let whole = self.http.whole;
        let requests = requests(self.http.clone());
        runtime.spawn(async move {
            let done = match whole {
                // a call may be several requests
                Some(whole) => tokio::time::timeout(whole, requests)
                    .await
                    .unwrap_or_else(|_| Err(http::too_slow("vendor", "the call", whole))),
                None => requests.await,
            };
            let _ = answer.send(done);
        });
        answered.recv().map_err(|_| gone())?
    }

    /// What stands in for a vendor's endpoint, where something does.
    fn endpoint(&self, vendor: &str) -> Option<&Url> {
        self.inner.endpoints.get(vendor)
    }
}
