//! Certificates that `vendor.elastic` is told to trust.

use std::{
    io::BufReader,
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use gillnet_scripts::vendor::{Elastic, ErrorKind};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer},
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{allowing, sink};

fn digest(certificate: &CertificateDer<'_>) -> String {
    let digest = Sha256::digest(certificate);
    digest
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect::<Vec<_>>()
        .join(":")
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Serves HTTPS with this chain: its port.
fn serve(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let config = Arc::clone(&config);
            thread::spawn(move || {
                let tls = ServerConnection::new(config).unwrap();
                let mut stream = StreamOwned::new(tls, stream.unwrap());
                let mut reader = BufReader::new(&mut stream);
                let kept = Mutex::new(Vec::new());
                if let Some(asked) = sink::read(&mut reader, 0) {
                    let again = format!("{} {} HTTP/1.1\r\n\r\n", asked.method, asked.target);
                    let answer = |_: &sink::Asked| sink::reply(201, "{}");
                    sink::serve(again.as_bytes(), &mut stream, 0, &kept, &answer);
                }
            });
        }
    });
    port
}

#[test]
fn a_certificate_is_trusted_by_its_digest() {
    let (ours, theirs) = (authority(), authority());
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["elastic.example".to_owned()]).unwrap();
    let server = params.signed_by(&key, &ours).unwrap();
    let chain = |authority: &CertifiedIssuer<'static, KeyPair>| {
        vec![server.der().clone(), authority.der().clone()]
    };
    let real = serve(chain(&ours), &key);
    // sends an authority's certificate along that did not sign its own
    let forged = serve(chain(&theirs), &key);
    let vendors = allowing(&["127.0.0.1"]);
    let put = |port: u16, fingerprint: &str| {
        let url = format!("https://127.0.0.1:{port}");
        let to = Elastic {
            url: &url,
            cert_fingerprint: fingerprint,
            ..Elastic::default()
        };
        vendors.elastic(to, "i", &json!({}))
    };
    put(real, &digest(server.der())).unwrap();
    put(real, &digest(ours.der()).replace(':', "").to_lowercase()).unwrap();
    for (port, fingerprint) in [
        (real, String::new()),
        (real, digest(theirs.der())),
        (forged, digest(theirs.der())),
    ] {
        let error = put(port, &fingerprint).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
}
