//! Google Cloud Storage: who signs, and what its answers mean.

use std::sync::Arc;

use object_store::{
    StaticCredentialProvider,
    client::HttpConnector,
    gcp::{GcpCredential, GoogleCloudStorage, GoogleCloudStorageBuilder},
};
use tokio::runtime::Runtime;

use super::{
    AfterPut, Answer, CloudBucket, Doing, Vendor,
    address::is_plain,
    client_options,
    google_key::{self as keys, Account},
    google_token::{self as token, Tokens},
    retries, threads, wait_on,
};
use crate::{Access, BucketError, Credentials, ErrorKind};

/// Finds credentials and makes the client. Asks the bucket nothing.
pub(crate) fn connect(
    bucket: &str,
    prefix: &str,
    credentials: &Credentials,
    access: Access,
) -> Result<CloudBucket, BucketError> {
    let place = format!("gs://{bucket}");
    let runtime = threads(&place)?;
    let identity = identify(&place, credentials, access, &runtime)?;
    let account = identity.account();
    let store = identity
        .apply(
            GoogleCloudStorageBuilder::new().with_bucket_name(bucket),
            credentials,
            access,
        )
        .with_retry(retries(access))
        .build()
        .map_err(|error| unusable(&place, &error))?;
    let vendor = Gcs { place, account };
    Ok(CloudBucket::new(store, vendor, prefix, runtime))
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
        .apply(builder, credentials, Access::Read)
        .with_retry(retries(Access::Read))
        .build()
        .map_err(|error| unusable(&place, &error))
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
        return keys::read_key(key).map(Identity::Account);
    }
    if let Some(path) = &environment.application_credentials {
        return keys::read_application_credentials(path).map(Identity::Account);
    }
    if environment.emulator_host.is_some() {
        return Ok(Identity::Nobody);
    }
    if let Some(path) = environment.default_credentials() {
        return keys::read_application_credentials(&path).map(Identity::Account);
    }
    let gcloud = environment
        .program("gcloud")
        .filter(|_| access == Access::Read);
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
        access: Access,
    ) -> GoogleCloudStorageBuilder {
        let emulator = credentials.environment.emulator_url();
        let from_key = match &self {
            Self::Account(Account::Service { base_url, .. }) => base_url.clone(),
            _ => None,
        };
        let base_url = emulator.or(from_key);
        // plain HTTP only where somebody named an address with it
        let plain = base_url.as_deref().is_some_and(is_plain);
        let builder = builder.with_client_options(client_options(access, plain));
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

/// One of its buckets.
struct Gcs {
    place: String,
    /// Whose credentials are used, for messages.
    account: String,
}

fn permission(doing: Doing) -> (&'static str, &'static str) {
    match doing {
        Doing::Create => ("storage.objects.create", "roles/storage.objectCreator"),
        Doing::Get => ("storage.objects.get", "roles/storage.objectViewer"),
        Doing::List => ("storage.objects.list", "roles/storage.objectViewer"),
    }
}

impl Vendor for Gcs {
    fn place(&self) -> &str {
        &self.place
    }

    fn explain(&self, doing: Doing, place: &str, answer: &Answer<'_>) -> Option<BucketError> {
        let (account, detail) = (&self.account, answer.detail());
        let (permission, role) = permission(doing);
        let bucket_is_missing = || {
            doing != Doing::Get
                || answer.body.contains("bucket does not exist")
                || answer.code == "NoSuchBucket"
        };
        Some(match answer.status {
            401 => BucketError::new(ErrorKind::Unauthenticated, place, format!("the credentials of {account} were not accepted{detail}"))
                .mend("see whether the key still exists (gcloud iam service-accounts keys list) and this machine's clock is right"),
            403 => BucketError::new(ErrorKind::Forbidden, place, format!("{account} lacks {permission} there{detail}")).mend(format!(
                "give it the role: gcloud storage buckets add-iam-policy-binding {} --member serviceAccount:ACCOUNT --role {role}", self.place
            )),
            404 if bucket_is_missing() => BucketError::new(ErrorKind::NoBucket, self.place.as_str(), format!("there is no such bucket{detail}"))
                .mend(format!("see its name, or make it: gcloud storage buckets create {}", self.place)),
            _ => return None,
        })
    }

    fn after_put(&self, answer: &Answer<'_>) -> Option<AfterPut> {
        match answer.status {
            // With this right named an object is there: an account that may only create would need
            // the right to delete it, had it not asked to create only.
            403 if answer.body.contains("storage.objects.delete") => Some(AfterPut::Exists),
            409 => Some(AfterPut::Exists),
            _ => None,
        }
    }
}
