//! Addresses of stores that somebody names: with TLS, or of this host.

use std::net::IpAddr;

use crate::{BucketError, ErrorKind};

/// Whether a URL goes without TLS.
pub(super) fn is_plain(url: &str) -> bool {
    url.starts_with("http://")
}

/// Refuses an address without TLS that is not of this host, unless `allowed` (by `variable`).
pub(super) fn check_plain(
    place: &str,
    url: &str,
    variable: &str,
    allowed: bool,
) -> Result<(), BucketError> {
    if !url.contains("://") {
        return Err(BucketError::new(
            ErrorKind::Name,
            place,
            format!("the endpoint {url} is no URL"),
        )
        .mend("write https://HOST"));
    }
    if !is_plain(url) || allowed || is_loopback(url) {
        return Ok(());
    }
    Err(BucketError::new(
        ErrorKind::Name,
        place,
        format!("the endpoint {url} has no TLS: recordings and keys could be read on the way"),
    )
    .mend(format!(
        "give an https:// one, or say that it may be so: {variable}=true"
    )))
}

pub(super) fn is_loopback(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    let bare = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => host.split(':').next().unwrap_or(host),
    };
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_without_tls_are_of_this_host_or_allowed() {
        for (url, allowed, good) in [
            ("https://s3.example", false, true),
            ("http://127.0.0.1:8333", false, true),
            ("http://[::1]:8333/x", false, true),
            ("http://localhost", false, true),
            ("http://localhost.example", false, false),
            ("http://127.0.0.1.example", false, false),
            ("http://minio:9000", false, false),
            ("http://minio:9000", true, true),
            ("minio:9000", true, false),
        ] {
            let checked = check_plain("s3://b", url, "AWS_ALLOW_HTTP", allowed);
            assert_eq!(checked.is_ok(), good, "{url}: {checked:?}");
        }
        let error = check_plain("s3://b", "http://minio", "AWS_ALLOW_HTTP", false).unwrap_err();
        assert!(error.mend.contains("AWS_ALLOW_HTTP=true"), "{error}");
    }
}
