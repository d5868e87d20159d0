//! Reads packet objects without the code that wrote them.

use std::collections::BTreeMap;
use std::io::Read;

/// A packet as it stands in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) ts: i64,
    pub(crate) link: u16,
    pub(crate) interface: String,
    pub(crate) wire_len: u32,
    pub(crate) data: Vec<u8>,
    pub(crate) comment: Option<String>,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Options of a block, by their codes.
fn options(mut bytes: &[u8]) -> BTreeMap<u16, Vec<u8>> {
    let mut out = BTreeMap::new();
    while bytes.len() >= 4 {
        let (code, len) = (u16_at(bytes, 0), usize::from(u16_at(bytes, 2)));
        if code == 0 {
            break;
        }
        out.insert(code, bytes[4..4 + len].to_vec());
        bytes = &bytes[4 + len.next_multiple_of(4)..];
    }
    out
}

/// The packets of an object (gzip, pcapng). Panics where it is not whole.
pub(crate) fn packets(packed: &[u8]) -> Vec<Found> {
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(packed)
        .read_to_end(&mut bytes)
        .expect("a whole gzip file");
    let mut rest = bytes.as_slice();
    let mut interfaces = Vec::new();
    let mut out = Vec::new();
    while !rest.is_empty() {
        let (kind, len) = (u32_at(rest, 0), u32_at(rest, 4) as usize);
        assert_eq!(
            u32_at(rest, len - 4) as usize,
            len,
            "both lengths of a block"
        );
        let body = &rest[8..len - 4];
        match kind {
            0x0a0d_0d0a => {}
            1 => {
                let name = options(&body[8..]).remove(&2).unwrap_or_default();
                interfaces.push((u16_at(body, 0), String::from_utf8(name).unwrap()));
            }
            6 => {
                let (link, interface) = interfaces[u32_at(body, 0) as usize].clone();
                let ts = i64::from(u32_at(body, 4)) << 32 | i64::from(u32_at(body, 8));
                let (cap_len, wire_len) = (u32_at(body, 12) as usize, u32_at(body, 16));
                let data = body[20..20 + cap_len].to_vec();
                let comment = options(&body[20 + cap_len.next_multiple_of(4)..]).remove(&1);
                let comment = comment.map(|text| String::from_utf8(text).unwrap());
                out.push(Found {
                    ts,
                    link,
                    interface,
                    wire_len,
                    data,
                    comment,
                });
            }
            other => panic!("a block of kind {other}"),
        }
        rest = &rest[len..];
    }
    out
}
