//! `vendor.azure`: Azure Blob Storage by an account's key, a connection string or a shared access
//! signature; without any by the identity that the workload has.

use gillnet_bucket::{AzureAccount, AzureProof, azure_identity};
use object_store::azure::MicrosoftAzureBuilder;

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
            let account_url = match self.endpoint("azure") {
                Some(endpoint) => endpoint.as_str().trim_end_matches('/').to_owned(),
                None => how.url.clone(),
            };
            self.check_endpoint(call, &account_url)?;
            let mut builder = MicrosoftAzureBuilder::new()
                .with_account(&how.account)
                .with_container_name(container)
                .with_endpoint(account_url.clone())
                .with_retry(retries())
                .with_http_connector(self.connector(HOSTS));
            builder = match &how.proof {
                Some(proof) => proof.apply(builder),
                None => azure_identity(builder, |name| self.inner.variables.get(name).cloned()),
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
            url: format!("https://{account}.blob.core.windows.net"),
            account,
            proof: (!key.is_empty()).then(|| AzureProof::of_text(&key)),
        })
    }
}

/// How a storage account is reached; without a proof as the workload itself.
struct How {
    account: String,
    proof: Option<AzureProof>,
    url: String,
}

fn connection_string(call: &'static str, text: &str) -> Result<How, Error> {
    match AzureAccount::of_connection_string(text) {
        Ok(account) => Ok(How {
            account: account.name,
            proof: Some(account.proof),
            url: account.url,
        }),
        Err(why) => Err(Error::argument(
            call,
            format!("the connection string {why}"),
        )),
    }
}

/// An account's name becomes part of a host's name.
fn check_account(call: &'static str, account: &str) -> Result<(), Error> {
    if account.is_empty() {
        let why = "no storage account was given: neither accountName nor connectionString, nor AZURE_STORAGE_ACCOUNT";
        return Err(Error::argument(call, why));
    }
    gillnet_bucket::check_account(account)
        .map_err(|why| Error::argument(call, format!("accountName {why}")))
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
