//! Numbers of the IANA registry "Domain Name System (DNS) Parameters" and their names.

use std::fmt;

macro_rules! types {
    ($($name:ident = $number:literal),+ $(,)?) => {
        $(#[allow(dead_code)] pub(super) const $name: u16 = $number;)+

        fn type_name(kind: u16) -> Option<&'static str> {
            match kind {
                $($number => Some(stringify!($name)),)+
                _ => None,
            }
        }
    };
}

types! {
    A = 1, NS = 2, MD = 3, MF = 4, CNAME = 5, SOA = 6, MB = 7, MG = 8, MR = 9, NULL = 10, WKS = 11, PTR = 12,
    HINFO = 13, MINFO = 14, MX = 15, TXT = 16, RP = 17, AFSDB = 18, X25 = 19, ISDN = 20, RT = 21, NSAP = 22,
    SIG = 24, KEY = 25, PX = 26, GPOS = 27, AAAA = 28, LOC = 29, NXT = 30, EID = 31, NIMLOC = 32, SRV = 33,
    ATMA = 34, NAPTR = 35, KX = 36, CERT = 37, A6 = 38, DNAME = 39, SINK = 40, OPT = 41, APL = 42, DS = 43,
    SSHFP = 44, IPSECKEY = 45, RRSIG = 46, NSEC = 47, DNSKEY = 48, DHCID = 49, NSEC3 = 50, NSEC3PARAM = 51,
    TLSA = 52, SMIMEA = 53, HIP = 55, NINFO = 56, RKEY = 57, TALINK = 58, CDS = 59, CDNSKEY = 60, OPENPGPKEY = 61,
    CSYNC = 62, ZONEMD = 63, SVCB = 64, HTTPS = 65, DSYNC = 66, SPF = 99, NID = 104, L32 = 105, L64 = 106, LP = 107,
    EUI48 = 108, EUI64 = 109, NXNAME = 128, TKEY = 249, TSIG = 250, IXFR = 251, AXFR = 252, MAILB = 253,
    MAILA = 254, ANY = 255, URI = 256, CAA = 257, AVC = 258, DOA = 259, AMTRELAY = 260, RESINFO = 261,
    WALLET = 262, CLA = 263, IPN = 264, TA = 32768, DLV = 32769,
}

/// A record type: `A`, `AAAA`, `TYPE65281` (RFC 3597 §5).
#[derive(Clone, Copy, Debug)]
pub(super) struct Type(pub(super) u16);

impl Type {
    pub(super) fn is_known(self) -> bool {
        self.name().is_some()
    }

    pub(super) fn name(self) -> Option<&'static str> {
        match self.0 {
            // NSAP-PTR is no identifier
            23 => Some("NSAP-PTR"),
            other => type_name(other),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "TYPE{}", self.0),
        }
    }
}

/// A class: `IN`, `CH`, `CLASS5` (RFC 3597 §5).
#[derive(Clone, Copy, Debug)]
pub(super) struct Class(pub(super) u16);

impl Class {
    pub(super) fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            1 => "IN",
            2 => "CS",
            3 => "CH",
            4 => "HS",
            254 => "NONE",
            255 => "ANY",
            _ => return None,
        })
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "CLASS{}", self.0),
        }
    }
}

/// Name of an operation code; `None` where it is not assigned.
pub(super) fn op_code(code: u8) -> Option<&'static str> {
    Some(match code {
        0 => "Query",
        1 => "Inverse Query",
        2 => "Status",
        4 => "Notify",
        5 => "Update",
        6 => "DNS Stateful Operations",
        _ => return None,
    })
}

/// What a response code says; `None` where it is not assigned.
pub(super) fn rcode(code: u16) -> Option<&'static str> {
    Some(match code {
        0 => "No Error",
        1 => "Format Error",
        2 => "Server Failure",
        3 => "Non-Existent Domain",
        4 => "Not Implemented",
        5 => "Query Refused",
        6 => "Name Exists when it should not",
        7 => "RR Set Exists when it should not",
        8 => "RR Set that should exist does not",
        9 => "Server Not Authoritative for zone",
        10 => "Name not contained in zone",
        11 => "DSO-TYPE Not Implemented",
        16 => "Bad OPT Version",
        17 => "Key not recognized",
        18 => "Signature out of time window",
        19 => "Bad TKEY Mode",
        20 => "Duplicate key name",
        21 => "Algorithm not supported",
        22 => "Bad Truncation",
        23 => "Bad/missing Server Cookie",
        _ => return None,
    })
}

/// Name of an EDNS option; `None` where it is not assigned.
pub(super) fn option(code: u16) -> Option<&'static str> {
    Some(match code {
        1 => "LLQ",
        2 => "Update Lease",
        3 => "NSID",
        5 => "DAU",
        6 => "DHU",
        7 => "N3U",
        8 => "Client Subnet",
        9 => "Expire",
        10 => "Cookie",
        11 => "TCP Keepalive",
        12 => "Padding",
        13 => "Chain",
        14 => "Key Tag",
        15 => "Extended DNS Error",
        16 => "Client Tag",
        17 => "Server Tag",
        18 => "Report Channel",
        19 => "Zone Version",
        _ => return None,
    })
}

/// Name of a service parameter (RFC 9460 §14.3.2, RFC 9461, 9540, 9606); `None` where it is not assigned.
pub(super) fn service_parameter(key: u16) -> Option<&'static str> {
    Some(match key {
        0 => "mandatory",
        1 => "alpn",
        2 => "no-default-alpn",
        3 => "port",
        4 => "ipv4hint",
        5 => "ech",
        6 => "ipv6hint",
        7 => "dohpath",
        8 => "ohttp",
        _ => return None,
    })
}
