//! Packets made layer by layer, from the inside out.

/// A TCP segment.
#[derive(Clone, Debug)]
pub(crate) struct Seg {
    pub(crate) sport: u16,
    pub(crate) dport: u16,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) data: Vec<u8>,
}

impl Seg {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.sport.to_be_bytes());
        out.extend(self.dport.to_be_bytes());
        out.extend(self.seq.to_be_bytes());
        out.extend(self.ack.to_be_bytes());
        out.extend([5 << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        out.extend(&self.data);
        out
    }
}

pub(crate) fn udp(sport: u16, dport: u16, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend(sport.to_be_bytes());
    out.extend(dport.to_be_bytes());
    out.extend((data.len() as u16 + 8).to_be_bytes());
    out.extend([0, 0]);
    out.extend(data);
    out
}

pub(crate) fn ipv4(src: [u8; 4], dst: [u8; 4], protocol: u8, data: &[u8]) -> Vec<u8> {
    ipv4_with(src, dst, protocol, 0, 0, &[], data)
}

/// With identification, the word of flags and fragment offset, and options (of a length that four divides).
pub(crate) fn ipv4_with(
    src: [u8; 4],
    dst: [u8; 4],
    protocol: u8,
    id: u16,
    fragment: u16,
    options: &[u8],
    data: &[u8],
) -> Vec<u8> {
    let header = 20 + options.len();
    let mut out = vec![0x40 | (header / 4) as u8, 0];
    let total = u16::try_from(header + data.len()).unwrap_or(0);
    out.extend(total.to_be_bytes());
    out.extend(id.to_be_bytes());
    out.extend(fragment.to_be_bytes());
    out.extend([64, protocol, 0, 0]);
    out.extend(src);
    out.extend(dst);
    out.extend(options);
    out.extend(data);
    out
}

pub(crate) fn ipv6(src: [u8; 16], dst: [u8; 16], next: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![0x60, 0, 0, 0];
    out.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    out.extend([next, 64]);
    out.extend(src);
    out.extend(dst);
    out.extend(data);
    out
}

/// An extension header of `8 * (units + 1)` bytes before `data`.
pub(crate) fn extension(next: u8, units: u8, data: &[u8]) -> Vec<u8> {
    let mut out = vec![next, units];
    out.resize(8 * (usize::from(units) + 1), 0);
    out.extend(data);
    out
}

pub(crate) fn ethernet(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut out = vec![2; 12];
    out.extend(kind.to_be_bytes());
    out.extend(data);
    out
}

pub(crate) fn vxlan(inner: &[u8]) -> Vec<u8> {
    let mut out = vec![8, 0, 0, 0, 0, 0, 42, 0];
    out.extend(inner);
    out
}
