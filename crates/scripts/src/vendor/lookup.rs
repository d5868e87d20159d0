//! Stores and credentials of clouds through our one HTTP client: what they ask of a vendor goes
//! through the doors, and what they look up of credentials, which lies on link-local addresses, does
//! not.

use std::{collections::HashMap, error::Error as StdError};

use async_trait::async_trait;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    },
};
use reqwest::{Client, Url};

use super::http::Http;

/// Where clouds give credentials to what runs in them: instances and containers of AWS (the last
/// two are EKS pod identity), Azure and Google Cloud (the first, and by name).
const LOOKUPS: [&str; 5] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::23]",
    "metadata.google.internal",
];

/// Variables that say where credentials are given.
const VARIABLES: [&str; 7] = [
    "AWS_ENDPOINT_URL_STS",
    "AWS_METADATA_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AZURE_AUTHORITY_HOST",
    "AZURE_MSI_ENDPOINT",
    "AZURE_IDENTITY_ENDPOINT",
];

/// Makes the HTTP client of a store. The store's own endpoint must have passed the doors before:
/// only the client of credentials asks link-local addresses, never a store that a script named.
#[derive(Clone)]
pub(crate) struct Connector {
    http: Http,
    own: &'static [&'static str],
    /// Host and port of further look-ups, from the environment.
    lookups: Vec<(String, Option<u16>)>,
}

impl Connector {
    pub(crate) fn new(
        http: &Http,
        own: &'static [&'static str],
        variables: &HashMap<String, String>,
    ) -> Self {
        let place = |name: &&str| {
            let url = Url::parse(variables.get(*name)?).ok()?;
            Some((url.host_str()?.to_owned(), url.port_or_known_default()))
        };
        Self {
            http: http.clone(),
            own,
            lookups: VARIABLES.iter().filter_map(place).collect(),
        }
    }

    fn client(&self, url: &Url) -> Result<&Client, HttpError> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default();
        let known = LOOKUPS.contains(&host) && url.scheme() == "http";
        let named = || {
            let mut lookups = self.lookups.iter();
            lookups.any(|(its_host, its_port)| its_host == host && *its_port == port)
        };
        if known || named() {
            return Ok(&self.http.lookups);
        }
        self.http
            .doors
            .check(url, self.own)
            .map_err(|refusal| HttpError::new(HttpErrorKind::Unknown, refusal))?;
        Ok(&self.http.client)
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connector")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let url = Url::parse(&request.uri().to_string())
            .map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        let client = self.client(&url)?;
        client.call(request).await.map_err(|error| {
            // a refusal of the resolver looks like a connection that failed, which would be tried again
            let cause: &(dyn StdError + 'static) = &error;
            match super::http::refusal_in(cause) {
                Some(refusal) => HttpError::new(HttpErrorKind::Unknown, refusal.clone()),
                None => error,
            }
        })
    }
}
