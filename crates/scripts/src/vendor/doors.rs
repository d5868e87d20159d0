//! Which hosts and addresses scripts may reach.
//!
//! Two questions, asked of every request and of every redirect:
//! - **the host**, before anything is sent: is it one of the vendor's own, does it stand in a value
//!   of `scripting.env`, in `scripting.allowHosts` or in `scripting.endpoints`?
//! - **the address**, of those that the name has at the moment of the connection: it is never a
//!   link-local one, and a loopback one only where that was written out. A name that changes its
//!   address meanwhile gains nothing, as the connection is made to the addresses that were looked at.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use reqwest::{Url, dns};
use serde_json::{Map, Value};

/// Services of clouds that answer who runs there, on addresses that are not link-local.
const METADATA_V4: [Ipv4Addr; 2] = [
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(100, 100, 100, 200),
];
/// `fd00:ec2::/32`: instance metadata, pod identity and time of AWS.
const METADATA_V6: [u16; 2] = [0xfd00, 0x0ec2];

/// What kind of address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Ordinary,
    Loopback,
    /// Link-local, metadata of clouds, multicast: never.
    Never,
}

fn class(address: IpAddr) -> Class {
    match address {
        IpAddr::V4(v4) => class_v4(v4),
        IpAddr::V6(v6) => class_v6(v6),
    }
}

fn class_v4(address: Ipv4Addr) -> Class {
    let [first, ..] = address.octets();
    let never = address.is_link_local() || address.is_multicast() || address.is_broadcast();
    if never || METADATA_V4.contains(&address) {
        Class::Never
    } else if first == 127 || first == 0 {
        // 0.0.0.0/8 is this host
        Class::Loopback
    } else {
        Class::Ordinary
    }
}

fn class_v6(address: Ipv6Addr) -> Class {
    let parts = address.segments();
    let [a, b, ..] = parts;
    if let Some(v4) = embedded(parts) {
        return class_v4(v4);
    }
    if a & 0xffc0 == 0xfe80 || a & 0xff00 == 0xff00 || [a, b] == METADATA_V6 {
        Class::Never
    } else if address.is_loopback() || address.is_unspecified() {
        Class::Loopback
    } else {
        Class::Ordinary
    }
}

/// The IPv4 address that packets to an IPv6 address go to in the end: mapped, by NAT64, by 6to4.
fn embedded(parts: [u16; 8]) -> Option<Ipv4Addr> {
    let v4 = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match parts {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            Some(v4(high, low))
        }
        [0x2002, high, low, ..] => Some(v4(high, low)),
        _ => None,
    }
}

/// A host that was allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    host: Pattern,
    /// That port alone; any where it is `None`.
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Any,
    /// `*.example.com`: every host below it.
    Below(String),
    Name(String),
    Address(IpAddr),
}

impl Pattern {
    fn of(host: &str) -> Self {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let bare = host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(&host);
        if let Ok(address) = bare.parse() {
            Self::Address(address)
        } else if host == "*" {
            Self::Any
        } else if let Some(suffix) = host.strip_prefix("*.") {
            Self::Below(suffix.to_owned())
        } else {
            Self::Name(host)
        }
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(suffix) => below(host, suffix),
            Self::Name(name) => name == host,
            Self::Address(address) => literal(host) == Some(*address),
        }
    }

    /// Whether it names this host's loopback outright.
    fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => class(*address) == Class::Loopback,
            Self::Name(name) => is_localhost(name),
            Self::Any | Self::Below(_) => false,
        }
    }
}

fn below(host: &str, suffix: &str) -> bool {
    host.strip_suffix(suffix)
        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
}

fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// The address that a host of a URL is, where it is one.
fn literal(host: &str) -> Option<IpAddr> {
    host.strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(host)
        .parse()
        .ok()
}

/// Why a host or address was refused. The text names the host and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(String);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refusal {}

/// The hosts that the configuration allows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doors {
    /// Of `scripting.allowHosts`.
    allowed: Vec<Rule>,
    /// Of values of `scripting.env` and `scripting.endpoints`.
    named: Vec<Rule>,
}

/// A text of `scripting.allowHosts` that names no host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "scripting.allowHosts: \"{0}\" names no host; give HOST, HOST:PORT, *.DOMAIN or an address"
)]
pub(crate) struct NoHost(String);

impl Doors {
    pub(crate) fn new<'a>(
        allow_hosts: &[String],
        env: &Map<String, Value>,
        endpoints: impl Iterator<Item = &'a str>,
    ) -> Result<Self, NoHost> {
        let allowed = allow_hosts
            .iter()
            .map(|text| allowed(text).ok_or_else(|| NoHost(text.clone())))
            .collect::<Result<_, _>>()?;
        let mut named = Vec::new();
        for value in env.values() {
            if let Some(text) = value.as_str() {
                hosts_in(text, &mut named);
            }
        }
        for endpoint in endpoints {
            hosts_in(endpoint, &mut named);
        }
        Ok(Self { allowed, named })
    }

    /// Whether a request to this URL may be made at all. `own` are the vendor's own hosts
    /// (`*.slack.com`), which are taken with TLS alone.
    pub(crate) fn check(&self, url: &Url, own: &[&str]) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal(format!(
                "{}:// can't be asked; give an http:// or https:// URL",
                url.scheme()
            )));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(Refusal("the URL has no host".to_owned()));
        };
        let own = if url.scheme() == "https" { own } else { &[] };
        self.check_host(host, port, own)
    }

    /// The same for a host and port that are no URL.
    pub(crate) fn check_host(&self, host: &str, port: u16, own: &[&str]) -> Result<(), Refusal> {
        let name = host.trim_end_matches('.').to_ascii_lowercase();
        let fits =
            |rule: &&Rule| rule.port.is_none_or(|only| only == port) && rule.host.matches(&name);
        let address = literal(&name);
        match address.map(class) {
            Some(Class::Never) => return Err(never(&name)),
            Some(Class::Ordinary) => {}
            None if !is_localhost(&name) => {}
            Some(Class::Loopback) | None => {
                // neither a wildcard nor a vendor names loopback
                let outright =
                    |rule: &&Rule| matches!(rule.host, Pattern::Address(_) | Pattern::Name(_));
                let named = self.rules().filter(outright).any(|rule| fits(&rule));
                return if named || address.is_some_and(|address| self.loopback_allowed(address)) {
                    Ok(())
                } else {
                    Err(loopback(&name, port))
                };
            }
        }
        let ours = |pattern: &&str| Pattern::of(pattern).matches(&name);
        if self.rules().any(|rule| fits(&rule)) || own.iter().any(ours) {
            return Ok(());
        }
        Err(Refusal(format!(
            "scripts may not reach {name}: it is no endpoint of this vendor and stands in no value of scripting.env; \
             add it to scripting.allowHosts"
        )))
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.allowed.iter().chain(&self.named)
    }

    /// Whether `scripting.allowHosts` names this host's loopback, on every port.
    fn loopback_allowed(&self, address: IpAddr) -> bool {
        self.allowed.iter().any(|rule| {
            rule.port.is_none()
                && match &rule.host {
                    Pattern::Address(allowed) => *allowed == address,
                    pattern => pattern.is_loopback(),
                }
        })
    }

    /// Of the addresses that a name has, those that may be connected to.
    ///
    /// # Errors
    /// A [`Refusal`] where the name has addresses and none of them may be, else what the resolver
    /// said.
    pub(crate) async fn resolve(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let bare = literal(name).map_or_else(|| name.to_owned(), |address| address.to_string());
        let found: Vec<_> = tokio::net::lookup_host((bare, port)).await?.collect();
        self.pass(name, &found).map_err(io::Error::other)
    }

    fn pass(&self, name: &str, found: &[SocketAddr]) -> Result<Vec<SocketAddr>, Refusal> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        // "localhost", and addresses, came here only because a rule names them
        let outright = is_localhost(&name) || literal(&name).is_some();
        let may = |address: IpAddr| match class(address) {
            Class::Ordinary => true,
            Class::Loopback => outright || self.loopback_allowed(address),
            Class::Never => false,
        };
        let passed: Vec<_> = found
            .iter()
            .filter(|address| may(address.ip()))
            .copied()
            .collect();
        match found.first() {
            Some(first) if passed.is_empty() => Err(match class(first.ip()) {
                Class::Loopback => Refusal(format!(
                    "scripts may not reach {name}: it is {}, this host's loopback; add {} to scripting.allowHosts",
                    first.ip(),
                    first.ip()
                )),
                _ => never(&format!("{name} ({})", first.ip())),
            }),
            _ => Ok(passed),
        }
    }
}

fn never(place: &str) -> Refusal {
    Refusal(format!(
        "scripts may not reach {place}: link-local and metadata addresses are never allowed, not by scripting.allowHosts either"
    ))
}

fn loopback(name: &str, port: u16) -> Refusal {
    Refusal(format!(
        "scripts may not reach {name}:{port}, this host's loopback; add {name} or {name}:{port} to scripting.allowHosts"
    ))
}

/// The addresses that the one HTTP client connects to.
pub(crate) struct Resolver(pub(crate) std::sync::Arc<Doors>);

impl dns::Resolve for Resolver {
    fn resolve(&self, name: dns::Name) -> dns::Resolving {
        let doors = std::sync::Arc::clone(&self.0);
        Box::pin(async move {
            let found = doors.resolve(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as dns::Addrs)
        })
    }
}

/// An entry of `scripting.allowHosts`: a host, with or without a port, or a URL.
fn allowed(text: &str) -> Option<Rule> {
    let text = text.trim();
    if text.contains("://") {
        let mut rules = Vec::new();
        url_rule(text, &mut rules);
        return rules.pop();
    }
    let (host, port) = match literal(text) {
        Some(_) => (text, None),
        None => host_and_port(text)?,
    };
    let name = host.strip_prefix("*.").unwrap_or(host);
    (host == "*" || literal(host).is_some() || is_name(name)).then(|| Rule {
        host: Pattern::of(host),
        port,
    })
}

/// `host`, `host:port`, `[v6]:port`.
fn host_and_port(text: &str) -> Option<(&str, Option<u16>)> {
    match text.rsplit_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok()?))),
        None => Some((text, None)),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

/// Every host that stands in a value: URLs anywhere in it, a whole value (or each part of a list
/// with commas) that is a host, and the host of an Elastic Cloud id. A bare word without dot and
/// port is a value, not a host.
fn hosts_in(text: &str, rules: &mut Vec<Rule>) {
    let ends = |c: char| c.is_whitespace() || "\"'`,;<>|\\(){}".contains(c);
    for (at, _) in text.match_indices("://") {
        let before = text.get(..at).unwrap_or_default();
        let scheme = before
            .rfind(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)))
            .map_or(before, |end| before.get(end + 1..).unwrap_or_default());
        let rest = text.get(at..).unwrap_or_default();
        let rest = rest.find(ends).map_or(rest, |end| &rest[..end]);
        url_rule(&format!("{scheme}{rest}"), rules);
    }
    if text.contains("://") {
        return;
    }
    for part in text.split(',').map(str::trim) {
        if let Some(host) = cloud_host(part) {
            rules.push(Rule {
                host: Pattern::Below(host.clone()),
                port: None,
            });
            rules.push(Rule {
                host: Pattern::Name(host),
                port: None,
            });
            continue;
        }
        let Some(rule) = allowed(part) else { continue };
        let speaks = match &rule.host {
            Pattern::Address(_) => true,
            Pattern::Name(name) => rule.port.is_some() || name.contains('.') || is_localhost(name),
            // a value is no pattern
            Pattern::Any | Pattern::Below(_) => false,
        };
        if speaks {
            rules.push(rule);
        }
    }
}

/// The host of a URL; with its port where it is loopback, whose other ports are other services.
fn url_rule(text: &str, rules: &mut Vec<Rule>) {
    let Ok(url) = Url::parse(text) else { return };
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return;
    };
    let host = Pattern::of(host);
    let port = if host.is_loopback() {
        url.port_or_known_default()
    } else {
        None
    };
    rules.push(Rule { host, port });
}

/// The host in `name:base64(host$elasticsearch$kibana)`.
fn cloud_host(text: &str) -> Option<String> {
    let (_, encoded) = text.rsplit_once(':')?;
    let decoded = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (host, _) = decoded.split_once('$')?;
    let (host, _) = host_and_port(host)?;
    (is_name(host) && host.contains('.')).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn doors(allow: &[&str], env: Value) -> Doors {
        let allow: Vec<_> = allow.iter().map(|&text| text.to_owned()).collect();
        Doors::new(&allow, env.as_object().unwrap(), std::iter::empty()).unwrap()
    }

    fn asked(doors: &Doors, url: &str) -> Result<(), String> {
        let own = ["hooks.slack.com", "*.amazonaws.com"];
        doors
            .check(&Url::parse(url).unwrap(), &own)
            .map_err(|refusal| refusal.to_string())
    }

    #[test]
    fn hosts_are_the_vendors_own_or_allowed_or_named_by_a_value() {
        let doors = doors(
            &["sink.example", "*.corp.example:8443", "10.1.2.3"],
            json!({
                "WEBHOOK": "https://hook.example:9000/path?key=1",
                "BROKERS": "kafka-0.kafka:9092, kafka-1.kafka:9092",
                "AZURE": "AccountName=a;BlobEndpoint=https://blobs.example/a;AccountKey=b",
                "CLOUD": "us:dXMtZWFzdC0xLmF3cy5mb3VuZC5pbyRhYmMkZGVm",
                "BUCKET": "test-11-12",
                "NUMBER": 12,
            }),
        );
        for url in [
            "https://hooks.slack.com/services/x",
            "https://kinesis.us-east-1.amazonaws.com/",
            "http://sink.example/",
            "http://SINK.example.:81/",
            "https://a.b.corp.example:8443/",
            "http://10.1.2.3:7/",
            "http://hook.example/",
            "http://kafka-1.kafka:9092/",
            "https://blobs.example/",
            "https://abc.us-east-1.aws.found.io/",
        ] {
            assert_eq!(asked(&doors, url), Ok(()), "{url}");
        }
        for url in [
            "http://hooks.slack.com/",
            "https://hooks.slack.com.example/",
            "https://amazonaws.com/",
            "https://xamazonaws.com/",
            "https://a.sink.example/",
            "https://corp.example:8443/",
            "https://a.corp.example/",
            "http://10.1.2.4/",
            "http://test-11-12/",
            "http://kafka-1.kafka/",
        ] {
            let refusal = asked(&doors, url).unwrap_err();
            assert!(refusal.contains("scripting.allowHosts"), "{url}: {refusal}");
            let host = Url::parse(url).unwrap().host_str().unwrap().to_owned();
            assert!(refusal.contains(&host), "{url}: {refusal}");
        }
        assert!(
            asked(&doors, "ftp://sink.example/")
                .unwrap_err()
                .contains("ftp://")
        );
    }

    #[test]
    fn link_local_is_never_reached() {
        let all = ["*", "169.254.169.254", "fe80::1", "metadata.example"];
        let doors = doors(&all, json!({"A": "http://169.254.169.254/"}));
        for url in [
            "http://169.254.169.254/latest",
            "http://0xa9fea9fe/",
            "http://2852039166/",
            "http://[fe80::1]/",
            "http://[febf::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://[64:ff9b::169.254.169.254]/",
            "http://[fd00:ec2::254]/",
            "http://168.63.129.16/",
            "http://224.0.0.1/",
        ] {
            let refusal = asked(&doors, url).unwrap_err();
            assert!(refusal.contains("never allowed"), "{url}: {refusal}");
        }
        let found = ["169.254.169.254:80".parse().unwrap()];
        let refusal = doors.pass("metadata.example", &found).unwrap_err();
        assert!(
            refusal.0.contains("metadata.example (169.254.169.254)"),
            "{refusal}"
        );
        let mixed = [found[0], "10.0.0.1:80".parse().unwrap()];
        assert_eq!(doors.pass("metadata.example", &mixed).unwrap(), mixed[1..]);
    }

    #[test]
    fn loopback_is_reached_where_it_was_written_out() {
        let closed = doors(&["*", "rebound.example"], json!({}));
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://localhost:80/",
            "http://[::1]/",
            "http://0.0.0.0/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
        ] {
            let refusal = asked(&closed, url).unwrap_err();
            assert!(refusal.contains("loopback"), "{url}: {refusal}");
        }
        let found = ["127.0.0.1:0".parse().unwrap()];
        assert!(closed.pass("rebound.example", &found).is_err());

        let named = doors(&[], json!({"URL": "http://127.0.0.1:8086/x"}));
        assert_eq!(asked(&named, "http://127.0.0.1:8086/y"), Ok(()));
        assert!(asked(&named, "http://127.0.0.1:10250/").is_err());
        assert!(named.pass("rebound.example", &found).is_err());

        let open = doors(&["127.0.0.1", "localhost:81", "sink.example"], json!({}));
        assert_eq!(asked(&open, "http://127.0.0.1:1/"), Ok(()));
        assert_eq!(asked(&open, "http://localhost:81/"), Ok(()));
        assert!(asked(&open, "http://localhost:82/").is_err());
        assert!(asked(&open, "http://127.0.0.2/").is_err());
        assert!(open.pass("sink.example", &found).is_ok());
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for text in ["", "a b", "http://", "x:y", "a..b"] {
            let made = Doors::new(&[text.to_owned()], &Map::new(), std::iter::empty());
            assert!(
                made.unwrap_err().to_string().contains("allowHosts"),
                "{text}"
            );
        }
    }
}
