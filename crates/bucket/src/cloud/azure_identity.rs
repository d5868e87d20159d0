//! As whom Azure's storage is asked: keys, connection strings, signatures, identities.

use std::sync::Arc;

use object_store::azure::{
    AzureConfigKey, AzureCredential, AzureCredentialProvider, MicrosoftAzureBuilder,
};
use tokio::runtime::Runtime;

use super::{
    is_loopback,
    signer::{self, Direct, METADATA_TIMEOUT, Named, SERVICE_TIMEOUT},
};
use crate::{
    Access, BucketError, Credentials, Environment, ErrorKind, Secret, credentials::read_file,
};

/// Where accounts of the public cloud are.
const SUFFIX: &str = "core.windows.net";
/// The emulator's well-known account and key, and where it listens.
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const EMULATOR_URL: &str = "http://127.0.0.1:10000";

/// What proves that a request may be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AzureProof {
    /// The account's key, in base64.
    Key(Secret),
    /// A shared access signature: `sv=…&sig=…`.
    Signature(Secret),
}

impl AzureProof {
    /// A key or a signature, whichever the text is.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let text = text.trim();
        if text.contains("sig=") {
            Self::Signature(Secret::new(text.trim_start_matches('?')))
        } else {
            Self::Key(Secret::new(text))
        }
    }

    /// Gives it to a client.
    #[must_use]
    pub fn apply(&self, builder: MicrosoftAzureBuilder) -> MicrosoftAzureBuilder {
        match self {
            Self::Key(key) => builder.with_access_key(key.reveal()),
            Self::Signature(signature) => {
                builder.with_config(AzureConfigKey::SasKey, signature.reveal())
            }
        }
    }
}

/// A storage account and what opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureAccount {
    /// Its name.
    pub name: String,
    /// Key or signature.
    pub proof: AzureProof,
    /// The URL of its blobs, without a slash at the end.
    pub url: String,
}

impl AzureAccount {
    /// Reads `AccountName=…;AccountKey=…;EndpointSuffix=…`, or with `BlobEndpoint` and
    /// `SharedAccessSignature`, or `UseDevelopmentStorage=true`.
    ///
    /// # Errors
    /// What is missing or can't be, as the end of a sentence, without anything of its secrets.
    pub fn of_connection_string(text: &str) -> Result<Self, String> {
        let part = |name: &str| {
            text.split(';')
                .filter_map(|part| part.trim().split_once('='))
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim())
                .filter(|value| !value.is_empty())
        };
        if part("UseDevelopmentStorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(Self::emulator(EMULATOR_URL));
        }
        let endpoint = part("BlobEndpoint").map(|url| url.trim_end_matches('/'));
        let name = part("AccountName").or_else(|| {
            // a shared access signature's string names the account in its endpoint's host
            let host = endpoint?.split_once("://")?.1;
            host.split(['.', '/', ':']).next()
        });
        let name = name.ok_or("has no AccountName")?;
        check_account(name)?;
        let proof = match (part("SharedAccessSignature"), part("AccountKey")) {
            (Some(signature), _) => {
                AzureProof::Signature(Secret::new(signature.trim_start_matches('?')))
            }
            (None, Some(key)) => AzureProof::Key(Secret::new(key)),
            (None, None) => return Err("has neither AccountKey nor SharedAccessSignature".into()),
        };
        let suffix = part("EndpointSuffix").unwrap_or(SUFFIX);
        let protocol = part("DefaultEndpointsProtocol").unwrap_or("https");
        Ok(Self {
            name: name.to_owned(),
            proof,
            url: endpoint.map_or_else(
                || format!("{protocol}://{name}.blob.{suffix}"),
                str::to_owned,
            ),
        })
    }

    /// The emulator's account.
    fn emulator(url: &str) -> Self {
        Self {
            name: EMULATOR_ACCOUNT.to_owned(),
            proof: AzureProof::Key(Secret::new(EMULATOR_KEY)),
            url: format!("{}/{EMULATOR_ACCOUNT}", url.trim_end_matches('/')),
        }
    }
}

/// Whether a storage account can have this name; it becomes part of a host's name.
///
/// # Errors
/// What is wrong with it, as the end of a sentence.
pub fn check_account(name: &str) -> Result<(), String> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=63).contains(&name.len()) && name.bytes().all(fits) {
        return Ok(());
    }
    Err(format!(
        "names \"{}\", which can't be a storage account",
        name.escape_debug()
    ))
}

/// Tells a client which identity it has where it has no key, by the variables that Azure's own tools
/// read: workload identity, a client's secret, else the managed identity.
#[must_use]
pub fn azure_identity(
    mut builder: MicrosoftAzureBuilder,
    variable: impl Fn(&str) -> Option<String>,
) -> MicrosoftAzureBuilder {
    use AzureConfigKey as Is;
    for (names, key) in [
        (&["AZURE_CLIENT_ID"][..], Is::ClientId),
        (&["AZURE_CLIENT_SECRET"], Is::ClientSecret),
        (&["AZURE_TENANT_ID"], Is::AuthorityId),
        (&["AZURE_AUTHORITY_HOST"], Is::AuthorityHost),
        (&["AZURE_FEDERATED_TOKEN_FILE"], Is::FederatedTokenFile),
        (
            &[
                "IDENTITY_ENDPOINT",
                "AZURE_IDENTITY_ENDPOINT",
                "AZURE_MSI_ENDPOINT",
            ],
            Is::MsiEndpoint,
        ),
    ] {
        if let Some(value) = names.iter().find_map(|name| variable(name)) {
            // the host is written with a slash at its end by those who set it for workloads
            builder = builder.with_config(key, value.trim_end_matches('/'));
        }
    }
    builder
}

/// The account of a destination that names none, and where it is.
pub(super) struct Located {
    /// Its name.
    pub(super) name: String,
    /// The URL of its blobs, without a slash at the end.
    pub(super) url: String,
    /// Whether somebody named the URL, so that it is not Azure's own.
    pub(super) is_named: bool,
    /// What the same variable proves.
    proof: Option<AzureProof>,
}

/// Which account is meant: that of the destination's host, of the key that was given, of the
/// environment.
pub(super) fn locate(
    place: &str,
    host: Option<&str>,
    credentials: &Credentials,
) -> Result<Located, BucketError> {
    let environment = &credentials.environment;
    let given = match &credentials.key {
        Some(key) => {
            let (place, text) = key.read("the key")?;
            Some(given(&place, text.reveal())?)
        }
        None => None,
    };
    let string = |text: &str| {
        let from = "AZURE_STORAGE_CONNECTION_STRING";
        AzureAccount::of_connection_string(text)
            .map_err(|why| BucketError::new(ErrorKind::MalformedKey, from, why))
    };
    let account = match (
        &given,
        environment.variable(&["AZURE_STORAGE_CONNECTION_STRING"]),
    ) {
        (Some(Given::Account(account)), _) => Some(account.clone()),
        (None, Some(text)) => Some(string(text)?),
        (None, None) if environment.says("AZURE_STORAGE_USE_EMULATOR") => {
            let url = environment.variable(&["AZURITE_BLOB_STORAGE_URL"]);
            Some(AzureAccount::emulator(url.unwrap_or(EMULATOR_URL)))
        }
        _ => None,
    };
    let proof = match given {
        Some(Given::Proof(proof)) => Some(proof),
        _ => account.as_ref().map(|account| account.proof.clone()),
    };
    if let Some(host) = host {
        // what opens another account does not open this one
        let name = host.split('.').next().unwrap_or(host);
        let same = account.as_ref().is_none_or(|account| account.name == name);
        return Ok(Located {
            name: name.to_owned(),
            url: format!("https://{host}"),
            is_named: false,
            proof: proof.filter(|_| same),
        });
    }
    if let Some(account) = account {
        return Ok(Located {
            is_named: !account.url.starts_with("https://") || !account.url.contains(".blob."),
            name: account.name,
            url: account.url,
            proof,
        });
    }
    let names = ["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"];
    let Some(name) = environment.variable(&names) else {
        return Err(BucketError::new(
            ErrorKind::Unauthenticated,
            place,
            "no storage account is named",
        )
        .mend(
            "set AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING, or write the destination as \
             https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX",
        ));
    };
    check_account(name).map_err(|why| {
        BucketError::new(
            ErrorKind::Name,
            place,
            format!("AZURE_STORAGE_ACCOUNT {why}"),
        )
    })?;
    let named = endpoint(environment);
    Ok(Located {
        name: name.to_owned(),
        is_named: named.is_some(),
        url: named.unwrap_or_else(|| format!("https://{name}.blob.{SUFFIX}")),
        proof,
    })
}

/// The URL of the account's blobs, where a variable names it.
pub(super) fn endpoint(environment: &Environment) -> Option<String> {
    let names = ["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"];
    let url = environment.variable(&names)?;
    Some(url.trim_end_matches('/').to_owned())
}

/// A key that was given.
enum Given {
    Account(AzureAccount),
    Proof(AzureProof),
}

fn given(place: &str, text: &str) -> Result<Given, BucketError> {
    let text = text.trim();
    let is_string = text.split(';').any(|part| {
        let name = part.split('=').next().unwrap_or_default().trim();
        ["AccountName", "BlobEndpoint", "UseDevelopmentStorage"]
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
    });
    if is_string {
        return AzureAccount::of_connection_string(text)
            .map(Given::Account)
            .map_err(|why| BucketError::new(ErrorKind::MalformedKey, place, why));
    }
    if text.is_empty() {
        let what = "is empty";
        return Err(BucketError::new(ErrorKind::MalformedKey, place, what)
            .mend("give a connection string, an account's key or a shared access signature"));
    }
    Ok(Given::Proof(AzureProof::of_text(text)))
}

/// Who signs.
pub(super) enum Signer {
    Nobody,
    Proof(AzureProof),
    Source(AzureCredentialProvider),
}

/// The first credentials that there are; see [`Credentials`] for the order. With what messages call
/// them.
pub(super) fn identify(
    place: &str,
    located: &Located,
    credentials: &Credentials,
    access: Access,
    runtime: &Runtime,
) -> Result<(Signer, String), BucketError> {
    let environment = &credentials.environment;
    if credentials.anonymous {
        return Ok((Signer::Nobody, "an anonymous reader".to_owned()));
    }
    let by_variable = || {
        let keys = [
            "AZURE_STORAGE_KEY",
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_ACCESS_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_STORAGE_SAS_KEY",
        ];
        environment.variable(&keys).map(AzureProof::of_text)
    };
    if let Some(proof) = located.proof.clone().or_else(by_variable) {
        let name = match &proof {
            AzureProof::Key(_) => format!("the key of the account {}", located.name),
            AzureProof::Signature(_) => "the shared access signature".to_owned(),
        };
        return Ok((Signer::Proof(proof), name));
    }
    let variable = |name: &str| environment.variable(&[name]).map(str::to_owned);
    let blank = || {
        MicrosoftAzureBuilder::new()
            .with_account(&located.name)
            .with_container_name("unused")
            .with_retry(signer::retries())
    };
    let source = |builder: MicrosoftAzureBuilder| {
        let client = builder.build().map_err(|error| {
            BucketError::new(ErrorKind::Unauthenticated, place, error.to_string())
        })?;
        let credentials: &Arc<_> = client.credentials();
        Ok::<AzureCredentialProvider, BucketError>(Arc::clone(credentials))
    };
    let named = |name: &str| environment.variable(&[name]);
    let client = named("AZURE_CLIENT_ID");
    let federated = named("AZURE_FEDERATED_TOKEN_FILE");
    let secret = named("AZURE_CLIENT_SECRET");
    if federated.is_some() || secret.is_some() {
        let (Some(client), Some(_)) = (client, named("AZURE_TENANT_ID")) else {
            let what = "AZURE_FEDERATED_TOKEN_FILE or AZURE_CLIENT_SECRET is set, and not both AZURE_CLIENT_ID and AZURE_TENANT_ID";
            return Err(BucketError::new(ErrorKind::MalformedKey, place, what)
                .mend("set all three: for workload identity label the pod azure.workload.identity/use and annotate its service account"));
        };
        if let Some(file) = federated {
            // for its size and readability only: it is read anew for each token
            read_file(file.as_ref())?;
        }
        let builder = azure_identity(blank(), variable);
        let builder = match named("AZURE_AUTHORITY_HOST").is_some_and(is_loopback) {
            true => builder.with_http_connector(Direct),
            false => builder,
        };
        let name = format!("the client {client}");
        let found = signer::named(place, access, runtime, source(builder)?, &name)?;
        return Ok((Signer::Source(found), name));
    }
    let builder = azure_identity(blank(), variable).with_http_connector(Direct);
    let found = source(builder)?;
    let mut why = match signer::first(runtime, &found, METADATA_TIMEOUT) {
        Ok(()) => return Ok(by_name(found, "the managed identity")),
        Err(failure) => format!("no managed identity: {}", signer::why(&failure)),
    };
    if access == Access::Read && environment.program("az").is_some() {
        let found = source(blank().with_use_azure_cli(true))?;
        match signer::first(runtime, &found, SERVICE_TIMEOUT) {
            Ok(()) => return Ok(by_name(found, "the account that az is logged in with")),
            Err(failure) => why.push_str(&format!("; az: {}", signer::why(&failure))),
        }
    }
    Err(no_credentials(place, access, &why))
}

fn by_name(source: AzureCredentialProvider, name: &str) -> (Signer, String) {
    let name = name.to_owned();
    let named: Named<AzureCredential> = Named {
        source,
        name: name.clone(),
    };
    (Signer::Source(Arc::new(named)), name)
}

fn no_credentials(place: &str, access: Access, why_not: &str) -> BucketError {
    let mut mend = "give one of: AZURE_STORAGE_CONNECTION_STRING; AZURE_STORAGE_ACCOUNT with AZURE_STORAGE_KEY or \
        AZURE_STORAGE_SAS_TOKEN; workload identity (AZURE_FEDERATED_TOKEN_FILE, AZURE_CLIENT_ID, AZURE_TENANT_ID); a client's \
        secret (AZURE_CLIENT_SECRET in place of the file); a machine or pod with a managed identity; \
        AZURE_STORAGE_USE_EMULATOR=true for the emulator"
        .to_owned();
    if access == Access::Read {
        mend.push_str("; for reading also --key-file FILE, az on the PATH and logged in (az login), or --anonymous for a public container");
    }
    BucketError::new(
        ErrorKind::Unauthenticated,
        place,
        format!("no credentials for it ({why_not})"),
    )
    .mend(mend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings() {
        let whole = AzureAccount::of_connection_string(
            "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5==;EndpointSuffix=core.chinacloudapi.cn",
        )
        .unwrap();
        assert_eq!(whole.name, "acc");
        assert_eq!(whole.url, "https://acc.blob.core.chinacloudapi.cn");
        assert_eq!(whole.proof, AzureProof::Key(Secret::new("a2V5==")));
        let signed = AzureAccount::of_connection_string(
            "BlobEndpoint=https://acc.blob.core.windows.net/;SharedAccessSignature=?sv=1&sig=x%3D",
        )
        .unwrap();
        assert_eq!(signed.name, "acc");
        assert_eq!(signed.url, "https://acc.blob.core.windows.net");
        assert_eq!(
            signed.proof,
            AzureProof::Signature(Secret::new("sv=1&sig=x%3D"))
        );
        let emulator = AzureAccount::of_connection_string("UseDevelopmentStorage=true").unwrap();
        assert_eq!(emulator.url, "http://127.0.0.1:10000/devstoreaccount1");
        for (text, says) in [
            ("AccountKey=hush", "no AccountName"),
            ("AccountName=acc", "neither AccountKey"),
            (
                "AccountName=a.b/c;AccountKey=hush",
                "can't be a storage account",
            ),
        ] {
            let error = AzureAccount::of_connection_string(text).unwrap_err();
            assert!(error.contains(says) && !error.contains("hush"), "{error}");
        }
    }
}
