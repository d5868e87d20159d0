//! `vendor.elastic`: one document into an index of Elasticsearch.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{Method, Url, header};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::ParsedCertificate,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Error, ErrorKind, Vendors,
    http::{Request, builder, url_of},
};

const CALL: &str = "vendor.elastic";
const HOSTS: &[&str] = &[
    "*.elastic-cloud.com",
    "*.elastic.cloud",
    "*.cloud.es.io",
    "*.found.io",
    "*.found.no",
    "*.foundit.no",
];

/// Where Elasticsearch is, and as whom it is asked; what is not given is empty.
#[derive(Clone, Copy, Default)]
pub struct Elastic<'a> {
    /// Base URL.
    pub url: &'a str,
    /// For basic authentication.
    pub username: &'a str,
    /// For basic authentication.
    pub password: &'a str,
    /// Of Elastic Cloud, in place of the URL: `name:base64(host$elasticsearch$kibana)`.
    pub cloud_id: &'a str,
    /// An API key, encoded or as `id:key`.
    pub api_key: &'a str,
    /// A service account's token.
    pub service_token: &'a str,
    /// SHA-256 of the certificate that is trusted (the server's, or the authority's that signed it),
    /// in hexadecimal digits with or without colons.
    pub cert_fingerprint: &'a str,
}

impl std::fmt::Debug for Elastic<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Elastic").finish_non_exhaustive()
    }
}

impl Vendors {
    /// `vendor.elastic(url, index, data, username, password, cloudID, apiKey, serviceToken,
    /// certFingerprint)`: indexes the document under a new id, and refreshes; the id.
    ///
    /// # Errors
    /// A URL, cloud id or fingerprint that can't be read, and what Elasticsearch answers.
    pub fn elastic(&self, to: Elastic<'_>, index: &str, document: &Value) -> Result<String, Error> {
        if index.trim().is_empty() {
            return Err(Error::argument(CALL, "no index was given"));
        }
        let id = uuid(rand::random());
        let mut url = match self.endpoint("elastic") {
            Some(endpoint) => endpoint.clone(),
            None if !to.cloud_id.trim().is_empty() => cloud_url(to.cloud_id)?,
            None => url_of(CALL, "URL", to.url)?,
        };
        let no_path = || Error::argument(CALL, "the URL can't have a path");
        url.path_segments_mut()
            .map_err(|()| no_path())?
            .pop_if_empty()
            .extend([index.trim(), "_doc", &id]);
        url.set_query(Some("refresh=true"));
        let mut request = Request::new(CALL, Method::PUT, url)
            .own(HOSTS)
            .body("application/json", document.to_string());
        for secret in [to.password, to.api_key, to.service_token] {
            request = request.secret(secret);
        }
        if let Some(value) = authorization(to) {
            request = request.header(header::AUTHORIZATION, &value)?;
        }
        let fingerprint = to.cert_fingerprint.trim();
        let pinned = if fingerprint.is_empty() {
            None
        } else {
            Some(self.pinned(fingerprint)?)
        };
        self.run(move |http| async move {
            let client = pinned.as_ref().unwrap_or(&http.client);
            http.send_well_by(client, request).await
        })?;
        Ok(id)
    }

    /// A client that trusts one certificate; the last few are kept.
    fn pinned(&self, fingerprint: &str) -> Result<reqwest::Client, Error> {
        let wanted = digest_of(fingerprint).ok_or_else(|| {
            let why = "the certificate's fingerprint is no SHA-256: give 64 hexadecimal digits";
            Error::argument(CALL, why)
        })?;
        self.inner.pinned.get(&wanted, || {
            let failed = |error: String| Error::new(CALL, ErrorKind::Other, error);
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let verifier = Arc::new(Pinned {
                wanted,
                provider: Arc::clone(&provider),
            });
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| failed(error.to_string()))?
                .dangerous()
                .with_custom_certificate_verifier(verifier)
                .with_no_client_auth();
            builder()
                .dns_resolver(super::doors::Resolver(Arc::clone(&self.http.doors)))
                .tls_backend_preconfigured(config)
                .build()
                .map_err(|error| failed(error.to_string()))
        })
    }
}

/// Of several the first that there is: API key, service token, name and password.
fn authorization(to: Elastic<'_>) -> Option<String> {
    let key = to.api_key.trim();
    if !key.is_empty() {
        let key = if key.contains(':') {
            BASE64_STANDARD.encode(key)
        } else {
            key.to_owned()
        };
        return Some(format!("ApiKey {key}"));
    }
    let token = to.service_token.trim();
    if !token.is_empty() {
        return Some(format!("Bearer {token}"));
    }
    if to.username.is_empty() {
        return None;
    }
    let both = format!("{}:{}", to.username, to.password);
    Some(format!("Basic {}", BASE64_STANDARD.encode(both)))
}

/// The URL of Elasticsearch in a cloud id.
fn cloud_url(id: &str) -> Result<Url, Error> {
    let wrong = || {
        Error::argument(
            CALL,
            "the cloud id can't be read: it is NAME:BASE64, as Elastic Cloud shows it",
        )
    };
    let (_, encoded) = id.trim().rsplit_once(':').ok_or_else(wrong)?;
    let decoded = BASE64_STANDARD.decode(encoded).map_err(|_| wrong())?;
    let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
    let mut parts = decoded.split('$');
    let (Some(host), Some(cluster)) = (parts.next(), parts.next()) else {
        return Err(wrong());
    };
    let word = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._:".contains(&b))
    };
    if !word(host) || !word(cluster) || cluster.contains(':') {
        return Err(wrong());
    }
    Url::parse(&format!("https://{cluster}.{host}")).map_err(|_| wrong())
}

/// A random UUID (RFC 9562, version 4).
fn uuid(random: u128) -> String {
    let bits = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let cuts = [0..8, 8..12, 12..16, 16..20, 20..32];
    let parts: Vec<&str> = cuts.into_iter().filter_map(|cut| hex.get(cut)).collect();
    parts.join("-")
}

fn digest_of(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .filter(|c| *c != ':' && !c.is_whitespace())
        .map(|c| c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
        .collect();
    if digits.len() == 64 {
        bytes.try_into().ok()
    } else {
        None
    }
}

/// Trusts the certificate with this digest: as the server's own, or as the authority's that signed
/// the server's. Names are not compared, as the digest names the server more strictly than they do.
#[derive(Debug)]
struct Pinned {
    wanted: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_it = |der: &CertificateDer<'_>| <[u8; 32]>::from(Sha256::digest(der)) == self.wanted;
        if is_it(server) {
            return Ok(ServerCertVerified::assertion());
        }
        let Some(authority) = others.iter().find(|der| is_it(der)) else {
            return Err(CertificateError::UnknownIssuer.into());
        };
        // anybody can send an authority's certificate along; it must have signed the server's
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(server)?,
            &roots,
            others,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloud_ids() {
        let url = |id: &str| cloud_url(id).map(String::from).map_err(|e| e.to_string());
        assert_eq!(
            url("us:dXMtZWFzdC0xLmF3cy5mb3VuZC5pbyRhYmMkZGVm").unwrap(),
            "https://abc.us-east-1.aws.found.io/"
        );
        for id in ["", "x", "x:", "x:!!", "x:YWJj", "x:YUAvYiRj"] {
            assert!(url(id).unwrap_err().contains("cloud id"), "{id}");
        }
    }

    #[test]
    fn who_asks() {
        let to = Elastic {
            username: "u",
            password: "p",
            ..Elastic::default()
        };
        assert_eq!(authorization(to).unwrap(), "Basic dTpw");
        let to = Elastic {
            service_token: "t",
            ..to
        };
        assert_eq!(authorization(to).unwrap(), "Bearer t");
        let to = Elastic {
            api_key: "i:k",
            ..to
        };
        assert_eq!(authorization(to).unwrap(), "ApiKey aTpr");
        let to = Elastic {
            api_key: "aTpr",
            ..to
        };
        assert_eq!(authorization(to).unwrap(), "ApiKey aTpr");
        assert_eq!(authorization(Elastic::default()), None);
    }

    #[test]
    fn ids_and_digests() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(digest_of(&"0f:".repeat(32)), Some([15; 32]));
        assert_eq!(digest_of(&"0f".repeat(31)), None);
        assert_eq!(digest_of(&"0g".repeat(32)), None);
    }
}
