//! As whom Azure's storage is asked: keys, connection strings, signatures, identities.

use std::sync::Arc;

use object_store::azure::{
    AzureConfigKey, AzureCredential, AzureCredentialProvider, MicrosoftAzureBuilder,
};
use tokio::runtime::Runtime;

use super::{
    address::is_loopback,
    azure_account::{AzureAccount, AzureProof, EMULATOR_URL, SUFFIX, check_account},
    signer::{self, Direct, METADATA_TIMEOUT, Named, SERVICE_TIMEOUT},
};
use crate::{Access, BucketError, Credentials, Environment, ErrorKind, credentials::read_file};

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
