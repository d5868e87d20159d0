//! Azure Blob Storage: where it is, and what its answers mean.

use object_store::azure::MicrosoftAzureBuilder;

use super::{
    AfterPut, Answer, CloudBucket, Doing, Vendor,
    address::{check_plain, is_plain},
    azure_account::AzureProof,
    azure_identity::{self as identity, Signer},
    client_options, retries, threads,
};
use crate::{Access, BucketError, Credentials, ErrorKind, destination::AzurePlace};

/// Where the storage is, if it is not that of Azure.
pub(crate) fn endpoint(at: &AzurePlace, credentials: &Credentials) -> Option<String> {
    let located = identity::locate("", at.host.as_deref(), credentials).ok()?;
    located.is_named.then_some(located.url)
}

/// Finds credentials and makes the client. Asks the container nothing.
pub(crate) fn connect(
    at: &AzurePlace,
    credentials: &Credentials,
    access: Access,
) -> Result<CloudBucket, BucketError> {
    let place = at.place();
    let environment = &credentials.environment;
    let located = identity::locate(&place, at.host.as_deref(), credentials)?;
    let allowed = environment.says("AZURE_ALLOW_HTTP");
    check_plain(&place, &located.url, "AZURE_ALLOW_HTTP", allowed)?;
    let runtime = threads(&place)?;
    let (signer, who) = identity::identify(&place, &located, credentials, access, &runtime)?;
    let builder = MicrosoftAzureBuilder::new()
        .with_account(&located.name)
        .with_container_name(&at.container)
        .with_endpoint(located.url.clone())
        .with_client_options(client_options(access, is_plain(&located.url)))
        .with_retry(retries(access));
    let may_create = matches!(&signer, Signer::Proof(AzureProof::Signature(signature)) if permits(signature.reveal(), 'c'));
    let builder = match signer {
        Signer::Nobody => builder.with_skip_signature(true),
        Signer::Proof(proof) => proof.apply(builder),
        Signer::Source(source) => builder.with_credentials(source),
    };
    // what object_store says of a key quotes it
    let store = builder.build().map_err(|_| {
        BucketError::new(
            ErrorKind::MalformedKey,
            &place,
            format!("{who} can't be used"),
        )
        .mend("an account's key is base64, a shared access signature is sv=…&sig=…")
    })?;
    let vendor = Azure {
        place,
        container: at.container.clone(),
        account: located.name,
        who,
        may_create,
    };
    Ok(CloudBucket::new(store, vendor, &at.prefix, runtime))
}

struct Azure {
    place: String,
    container: String,
    /// The storage account.
    account: String,
    /// Whose credentials are used, for messages.
    who: String,
    /// Whether they are a signature that permits to create blobs.
    may_create: bool,
}

/// Whether a shared access signature has a permission.
fn permits(signature: &str, permission: char) -> bool {
    let mut parts = signature.split('&');
    parts.any(|part| {
        part.strip_prefix("sp=")
            .is_some_and(|permissions| permissions.contains(permission))
    })
}

/// Codes of answers to requests that prove nothing.
const NOT_LET_IN: [&str; 7] = [
    "AuthenticationFailed",
    "InvalidAuthenticationInfo",
    "NoAuthenticationInformation",
    "KeyBasedAuthenticationNotPermitted",
    "PublicAccessNotPermitted",
    "AccountIsDisabled",
    "AuthenticationFailure",
];

impl Vendor for Azure {
    fn place(&self) -> &str {
        &self.place
    }

    fn explain(&self, doing: Doing, place: &str, answer: &Answer<'_>) -> Option<BucketError> {
        let Self {
            container,
            account,
            who,
            ..
        } = self;
        let detail = answer.detail();
        let (right, letter, role) = match doing {
            Doing::Create => ("create blobs", "c", "Storage Blob Data Contributor"),
            Doing::Get => ("read blobs", "r", "Storage Blob Data Reader"),
            Doing::List => ("list blobs", "l", "Storage Blob Data Reader"),
        };
        Some(match (answer.status, answer.code) {
            (status, code) if status == 401 || NOT_LET_IN.contains(&code) || detail.contains("failed to authenticate") => {
                let code = if code.is_empty() { String::new() } else { format!(": {code}") };
                BucketError::new(ErrorKind::Unauthenticated, place, format!("the credentials of {who} were not accepted{code}{detail}"))
                    .mend(format!("see whether the key or signature is of the account {account}, has not expired and was not replaced, and this machine's clock is right"))
            }
            (403, "AuthorizationFailure") => BucketError::new(ErrorKind::Forbidden, place, format!("the account {account} does not let this host in{detail}"))
                .mend("see the account's network rules and the addresses that its signature allows"),
            (403, _) => BucketError::new(ErrorKind::Forbidden, place, format!("{who} may not {right} there{detail}")).mend(format!(
                "give it the role \"{role}\" on the container {container} of the account {account}, or a signature with the permission {letter}"
            )),
            (404, code) if doing != Doing::Get || code == "ContainerNotFound" => {
                BucketError::new(ErrorKind::NoBucket, self.place.as_str(), format!("there is no such container{detail}")).mend(format!(
                    "see its name, or make it: az storage container create --account-name {account} --name {container}"
                ))
            }
            _ => return None,
        })
    }

    fn after_put(&self, answer: &Answer<'_>) -> Option<AfterPut> {
        match (answer.status, answer.code) {
            // the second is what a signature is told that may create and not write over
            (409, "BlobAlreadyExists") | (403, "UnauthorizedBlobOverwrite") => {
                Some(AfterPut::Exists)
            }
            // where it permits to create, what it does not permit is to write over
            (403, "AuthorizationPermissionMismatch") if self.may_create => Some(AfterPut::Exists),
            // a retention policy or a lease holds what is there
            (409, "BlobImmutableDueToPolicy") | (412, "LeaseIdMissing") => Some(AfterPut::Exists),
            _ => None,
        }
    }
}
