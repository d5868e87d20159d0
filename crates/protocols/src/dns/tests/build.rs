//! Builds messages byte by byte.

/// A message being built.
#[derive(Clone, Debug)]
pub(super) struct Build {
    pub(super) bytes: Vec<u8>,
}

pub(super) const QUERY: u16 = 0x0100;
pub(super) const RESPONSE: u16 = 0x8180;

impl Build {
    pub(super) fn new(id: u16, flags: u16) -> Build {
        let mut bytes = vec![0; 12];
        bytes[..2].copy_from_slice(&id.to_be_bytes());
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        Build { bytes }
    }

    /// A query of a client.
    pub(super) fn query(id: u16, name: &str, kind: u16) -> Build {
        Build::new(id, QUERY).question(name, kind, 1)
    }

    /// The response to a client's query.
    pub(super) fn response(id: u16, name: &str, kind: u16) -> Build {
        Build::new(id, RESPONSE).question(name, kind, 1)
    }

    fn count(&mut self, section: usize) {
        let at = 4 + 2 * section;
        let n = u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]) + 1;
        self.bytes[at..at + 2].copy_from_slice(&n.to_be_bytes());
    }

    pub(super) fn question(mut self, name: &str, kind: u16, class: u16) -> Build {
        self.count(0);
        self.bytes.extend(wire(name));
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend(class.to_be_bytes());
        self
    }

    /// A record in a section (1 to 3) under a name in wire format.
    pub(super) fn record(
        mut self,
        section: usize,
        name: &[u8],
        kind: u16,
        class: u16,
        ttl: u32,
        data: &[u8],
    ) -> Build {
        self.count(section);
        self.bytes.extend(name);
        self.bytes.extend(kind.to_be_bytes());
        self.bytes.extend(class.to_be_bytes());
        self.bytes.extend(ttl.to_be_bytes());
        self.bytes
            .extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        self.bytes.extend(data);
        self
    }

    /// An answer under the name of the first question.
    pub(super) fn answer(self, kind: u16, data: &[u8]) -> Build {
        self.record(1, &[0xc0, 12], kind, 1, 300, data)
    }

    pub(super) fn opt(self, ttl: u32, data: &[u8]) -> Build {
        self.record(3, &[0], 41, 1232, ttl, data)
    }

    /// As it stands on TCP.
    pub(super) fn framed(&self) -> Vec<u8> {
        let length = u16::try_from(self.bytes.len()).unwrap();
        [&length.to_be_bytes(), self.bytes.as_slice()].concat()
    }
}

/// A name in wire format, uncompressed.
pub(super) fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    let mut bytes: Vec<u8> = labels
        .flat_map(|l| [&[u8::try_from(l.len()).unwrap()], l.as_bytes()].concat())
        .collect();
    bytes.push(0);
    bytes
}

pub(super) fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap())
        .collect()
}
