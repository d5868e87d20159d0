//! A storage account of Azure and what opens it, as connection strings have it.

use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

use crate::Secret;

/// Where accounts of the public cloud are.
pub(super) const SUFFIX: &str = "core.windows.net";
/// The emulator's well-known account and key, and where it listens.
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
const EMULATOR_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
pub(super) const EMULATOR_URL: &str = "http://127.0.0.1:10000";

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
    pub(super) fn emulator(url: &str) -> Self {
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
