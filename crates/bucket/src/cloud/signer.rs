//! Credentials that something else gives (a metadata server, a token service): asked for once when a
//! bucket is opened, and under a name that faults call them by.

use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientOptions, CredentialProvider, RetryConfig,
    client::{HttpClient, HttpConnector},
};
use tokio::{runtime::Runtime, time::timeout};

use super::{
    failure::{Failure, NoCredentials, code, said},
    wait_on,
};
use crate::{Access, BucketError, ErrorKind};

/// Where there is a metadata server it answers in milliseconds; where there is none nothing may.
pub(super) const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
/// A service that was named may be as slow as this.
pub(super) const SERVICE_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn retries() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 2,
        retry_timeout: SERVICE_TIMEOUT,
    }
}

/// Connects without proxy: metadata servers answer to nobody but the host itself.
#[derive(Debug)]
pub(super) struct Direct;

impl HttpConnector for Direct {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(1))
            .timeout(SERVICE_TIMEOUT)
            .build()
            .map_err(|error| object_store::Error::Generic {
                store: "metadata",
                source: Box::new(error),
            })?;
        Ok(HttpClient::new(client))
    }
}

/// A source of credentials with its name.
pub(super) struct Named<C> {
    pub(super) source: Arc<dyn CredentialProvider<Credential = C>>,
    pub(super) name: String,
}

impl<C> fmt::Debug for Named<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Named").field(&self.name).finish()
    }
}

impl<C: fmt::Debug + Send + Sync + 'static> CredentialProvider for Named<C> {
    type Credential = C;

    fn get_credential<'a, 'b>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = object_store::Result<Arc<C>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async {
            self.source
                .get_credential()
                .await
                .map_err(|error| object_store::Error::Generic {
                    store: "credentials",
                    source: Box::new(NoCredentials(format!(
                        "{} gives none: {}",
                        self.name,
                        why(&Failure::of(&error))
                    ))),
                })
        })
    }
}

/// What an answer, or none, says.
pub(super) fn why(failure: &Failure) -> String {
    match failure {
        Failure::Answer(status, body) => {
            let parts = [code(body), said(body).unwrap_or_default()];
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            match parts.as_slice() {
                [] => format!("it answered {status}"),
                parts => format!("it answered {status}: {}", parts.join(": ")),
            }
        }
        Failure::Unsigned(why)
        | Failure::NoConnection(why)
        | Failure::NoAnswer(why)
        | Failure::Client(why) => why.clone(),
    }
}

/// Asks for the first credentials: where there are none, why.
pub(super) fn first<C: fmt::Debug + Send + Sync + 'static>(
    runtime: &Runtime,
    source: &Arc<dyn CredentialProvider<Credential = C>>,
    limit: Duration,
) -> Result<(), Failure> {
    let source = Arc::clone(source);
    let asked = async move { timeout(limit, source.get_credential()).await };
    match wait_on(runtime, asked) {
        Some(Ok(Ok(_))) => Ok(()),
        Some(Ok(Err(error))) => Err(Failure::of(&error)),
        Some(Err(_)) | None => Err(Failure::NoAnswer(format!(
            "no answer within {} s",
            limit.as_secs()
        ))),
    }
}

/// The same of a source that somebody named. A recorder does not give up where that is away for now:
/// what it records waits, and each attempt to upload asks again.
pub(super) fn named<C: fmt::Debug + Send + Sync + 'static>(
    place: &str,
    access: Access,
    runtime: &Runtime,
    source: Arc<dyn CredentialProvider<Credential = C>>,
    name: &str,
) -> Result<Arc<dyn CredentialProvider<Credential = C>>, BucketError> {
    if let Err(failure) = first(runtime, &source, SERVICE_TIMEOUT) {
        let passes = match &failure {
            Failure::Answer(status, _) => matches!(status, 408 | 429 | 500..=599),
            Failure::NoConnection(_) => true,
            // a file that can't be read is told in the same way as an answer that does not come
            _ => false,
        };
        let message = format!("{name} gives no credentials: {}", why(&failure));
        if !(passes && access == Access::Record) {
            return Err(BucketError::new(ErrorKind::Unauthenticated, place, message)
                .mend("see what the variables name, and whether it lets this workload in"));
        }
        tracing::warn!("{place}: {message}; it is asked again at each upload");
    }
    let name = name.to_owned();
    Ok(Arc::new(Named { source, name }))
}
