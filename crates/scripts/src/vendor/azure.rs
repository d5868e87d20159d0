//! `vendor.azure`: Azure Blob Storage by an account's key, a connection string or a shared access
//! signature; without any by the identity that the workload has.

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

use super::{
    Error, ErrorKind, Upload, Vendors,
    objects::{Store, arguments, bucket_and_folder, retries},
};

/// Hosts of Azure's storage, and those that give tokens for it.
const HOSTS: &[&str] = &[
    "*.blob.core.windows.net",
    "*.blob.core.chinacloudapi.cn",
    "*.blob.core.usgovcloudapi.net",
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.partner.microsoftonline.cn",
];

const PUT: &str = "vendor.azure.put";
const CLEAR: &str = "vendor.azure.clear";

/// As whom Azure is asked; what is not given is empty.
#[derive(Clone, Copy, Default)]
pub struct Azure<'a> {
    /// The storage account.
    pub account: &'a str,
    /// Its key, or a shared access signature (`sv=…&sig=…`).
    pub key: &'a str,
    /// In place of both.
    pub connection_string: &'a str,
}

impl std::fmt::Debug for Azure<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Azure")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

impl Vendors {
    /// `vendor.azure.put(container, path, accountName, accountKey, connectionString)`: puts `upload`
    /// in the container, over a blob that is there; the blob's URL.
    ///
    /// # Errors
    /// Without an account, with a key or connection string that can't be read, and what Azure answers.
    pub fn azure_put(
        &self,
        container: &str,
        upload: Upload,
        azure: Azure<'_>,
    ) -> Result<String, Error> {
        let store = self.azure_store(PUT, container, azure)?;
        let node = self.inner.node.clone();
        self.run(move |http| async move { store.put(PUT, &http, &node, upload).await })
    }

    /// `vendor.azure.clear(container, accountName, accountKey, connectionString)`: deletes what this
    /// node put, in this and earlier runs; how many blobs.
    ///
    /// # Errors
    /// As [`Vendors::azure_put`].
    pub fn azure_clear(&self, container: &str, azure: Azure<'_>) -> Result<u64, Error> {
        let store = self.azure_store(CLEAR, container, azure)?;
        let node = self.inner.node.clone();
        self.run(move |http| async move { store.clear(CLEAR, &http, &node).await })
    }

    fn azure_store(
        &self,
        call: &'static str,
        container: &str,
        azure: Azure<'_>,
    ) -> Result<Store, Error> {
        let (container, folder) = bucket_and_folder(container, "az://");
        let Azure {
            account,
            key,
            connection_string,
        } = azure;
        let arguments = arguments(["azure", container, folder, account, key, connection_string]);
        self.inner.stores.get(&arguments, || {
            check_container(call, container)?;
            let how = self.how(call, azure)?;
            let account_url = match (self.endpoint("azure"), &how.endpoint) {
                (Some(endpoint), _) => endpoint.as_str().trim_end_matches('/').to_owned(),
                (None, Some(endpoint)) => endpoint.trim_end_matches('/').to_owned(),
                (None, None) => format!("https://{}.blob.{}", how.account, how.suffix),
            };
            self.check_endpoint(call, &account_url)?;
            let mut builder = MicrosoftAzureBuilder::new()
                .with_account(&how.account)
                .with_container_name(container)
                .with_endpoint(account_url.clone())
                .with_retry(retries())
                .with_http_connector(self.connector(HOSTS));
            builder = match &how.proof {
                Proof::Key(key) => builder.with_access_key(key),
                Proof::Signature(signature) => {
                    builder.with_config(AzureConfigKey::SasKey, signature)
                }
                Proof::Identity => self.identity(builder),
            };
            let store = builder.build().map_err(|_| {
                // what object_store says of a key quotes it
                let why = "the credentials can't be used: the account's key is base64, a shared access signature is sv=…&sig=…";
                Error::new(call, ErrorKind::Credentials, why)
            })?;
            let place = format!("az://{}/{container}", how.account);
            let url = format!("{account_url}/{container}");
            Ok(Store::new(store, place, url, folder))
        })
    }

    /// Workload identity, a client's secret, else the managed identity.
    fn identity(&self, mut builder: MicrosoftAzureBuilder) -> MicrosoftAzureBuilder {
        use AzureConfigKey as Key;
        for (name, key) in [
            ("AZURE_CLIENT_ID", Key::ClientId),
            ("AZURE_CLIENT_SECRET", Key::ClientSecret),
            ("AZURE_TENANT_ID", Key::AuthorityId),
            ("AZURE_AUTHORITY_HOST", Key::AuthorityHost),
            ("AZURE_FEDERATED_TOKEN_FILE", Key::FederatedTokenFile),
            ("AZURE_MSI_ENDPOINT", Key::MsiEndpoint),
            ("AZURE_IDENTITY_ENDPOINT", Key::MsiEndpoint),
        ] {
            if let Some(value) = self.inner.variables.get(name) {
                builder = builder.with_config(key, value);
            }
        }
        builder
    }

    /// What the call gives, or the environment (`AZURE_STORAGE_…`, as Azure's own tools read it).
    fn how(&self, call: &'static str, azure: Azure<'_>) -> Result<How, Error> {
        let variable = |name: &str| self.inner.variables.get(name).map_or("", String::as_str);
        let given = |given: &str, names: &[&str]| {
            let given = given.trim();
            if !given.is_empty() {
                return given.to_owned();
            }
            let found = names
                .iter()
                .map(|name| variable(name))
                .find(|text| !text.is_empty());
            found.unwrap_or_default().to_owned()
        };
        let nothing = azure.account.is_empty() && azure.key.is_empty();
        let string = azure.connection_string.trim();
        if !string.is_empty() {
            return connection_string(call, string);
        }
        let string = variable("AZURE_STORAGE_CONNECTION_STRING");
        if nothing && !string.is_empty() {
            return connection_string(call, string);
        }
        let account = given(
            azure.account,
            &["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"],
        );
        check_account(call, &account)?;
        let keys = [
            "AZURE_STORAGE_KEY",
            "AZURE_STORAGE_ACCOUNT_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
        ];
        let key = given(azure.key, &keys);
        Ok(How {
            account,
            proof: match key.as_str() {
                "" => Proof::Identity,
                key if key.contains("sig=") => Proof::Signature(bare_signature(key)),
                key => Proof::Key(key.to_owned()),
            },
            endpoint: None,
            suffix: SUFFIX.to_owned(),
        })
    }
}

const SUFFIX: &str = "core.windows.net";

/// How a storage account is reached.
struct How {
    account: String,
    proof: Proof,
    endpoint: Option<String>,
    suffix: String,
}

enum Proof {
    Key(String),
    Signature(String),
    Identity,
}

fn bare_signature(signature: &str) -> String {
    signature.trim_start_matches('?').to_owned()
}

/// `AccountName=…;AccountKey=…;EndpointSuffix=…`, or with `BlobEndpoint` and `SharedAccessSignature`.
fn connection_string(call: &'static str, text: &str) -> Result<How, Error> {
    let part = |name: &str| {
        text.split(';')
            .filter_map(|part| part.trim().split_once('='))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .filter(|value| !value.is_empty())
    };
    let wrong = |why: &str| {
        Err(Error::argument(
            call,
            format!("the connection string {why}"),
        ))
    };
    let endpoint = part("BlobEndpoint");
    let account = part("AccountName").or_else(|| {
        // a shared access signature's string names the account in its endpoint's host
        let host = endpoint.as_deref()?.split_once("://")?.1;
        host.split(['.', '/', ':']).next().map(str::to_owned)
    });
    let Some(account) = account else {
        return wrong("has no AccountName");
    };
    check_account(call, &account)?;
    let proof = match (part("SharedAccessSignature"), part("AccountKey")) {
        (Some(signature), _) => Proof::Signature(bare_signature(&signature)),
        (None, Some(key)) => Proof::Key(key),
        (None, None) => return wrong("has neither AccountKey nor SharedAccessSignature"),
    };
    Ok(How {
        account,
        proof,
        endpoint,
        suffix: part("EndpointSuffix").unwrap_or_else(|| SUFFIX.to_owned()),
    })
}

/// An account's name becomes part of a host's name.
fn check_account(call: &'static str, account: &str) -> Result<(), Error> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if account.is_empty() {
        let why = "no storage account was given: neither accountName nor connectionString, nor AZURE_STORAGE_ACCOUNT";
        return Err(Error::argument(call, why));
    }
    if account.len() <= 63 && account.bytes().all(fits) {
        return Ok(());
    }
    let why = format!(
        "\"{}\" can't be a storage account's name",
        account.escape_debug()
    );
    Err(Error::argument(call, why))
}

fn check_container(call: &'static str, container: &str) -> Result<(), Error> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-$".contains(&b);
    if (1..=63).contains(&container.len()) && container.bytes().all(fits) {
        return Ok(());
    }
    let why = format!(
        "\"{}\" can't be a container's name",
        container.escape_debug()
    );
    Err(Error::argument(call, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_strings() {
        let read = |text: &str| connection_string(PUT, text).map_err(|error| error.to_string());
        let whole = read("DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5==;EndpointSuffix=core.chinacloudapi.cn").unwrap();
        assert_eq!(
            (whole.account.as_str(), whole.suffix.as_str()),
            ("acc", "core.chinacloudapi.cn")
        );
        assert!(matches!(whole.proof, Proof::Key(key) if key == "a2V5=="));
        let signed = read(
            "BlobEndpoint=https://acc.blob.core.windows.net/;SharedAccessSignature=?sv=1&sig=x%3D",
        )
        .unwrap();
        assert_eq!(signed.account, "acc");
        assert!(matches!(signed.proof, Proof::Signature(text) if text == "sv=1&sig=x%3D"));
        for (text, says) in [
            ("AccountKey=hush", "no AccountName"),
            ("AccountName=acc", "neither AccountKey"),
            (
                "AccountName=a.b/c;AccountKey=hush",
                "can't be a storage account",
            ),
        ] {
            let error = read(text).err().unwrap();
            assert!(error.contains(says) && !error.contains("hush"), "{error}");
        }
    }
}
