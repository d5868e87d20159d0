//! Streams of HTTP, frame by frame, made without the code that reads them.

use gillnet_capture::LinkType;

/// An answer that comes so soon (nanoseconds) after its request is one entry with it.
pub(crate) const IN_TIME: i64 = 60_000_000_000;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Says {
    /// Nothing that is an entry.
    Nothing,
    /// A request, whole.
    Request,
    /// The answer to the request before it, whole.
    Answer,
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// A connection: a handshake, then requests, each with its answer.
pub(crate) struct Talk {
    stream: u64,
    pub(crate) frames: u64,
    /// Sequence numbers of both ends.
    seqs: [u32; 2],
    /// The exchange that fails, counted from 0; the others don't.
    fails: Option<u64>,
    /// Bytes of each answer's body.
    body: usize,
}

impl Talk {
    pub(crate) fn new(stream: u64) -> Self {
        Self {
            stream,
            frames: 0,
            seqs: [1000, 9000],
            fails: None,
            body: 2,
        }
    }

    /// One on whose ports there may have been another before, which fails once, and has bodies of so many bytes.
    pub(crate) fn between(client: u64, nth: u32, fails: Option<u64>, body: usize) -> Self {
        let base = nth.wrapping_mul(50_000_021);
        Self {
            seqs: [base, base ^ 0x8000_0000],
            fails,
            body,
            ..Self::new(client)
        }
    }

    /// Whether a request waits for its answer.
    pub(crate) fn waits(&self) -> bool {
        self.frames > 3 && self.frames.is_multiple_of(2)
    }

    /// Its last frames: both ends close, or one breaks off.
    pub(crate) fn end(&mut self, link: LinkType, breaks: bool) -> Vec<Vec<u8>> {
        if breaks {
            return vec![self.packet(link, 0, RST | ACK, &[])];
        }
        let ends = [(0, FIN | ACK), (1, FIN | ACK), (0, ACK)];
        ends.map(|(from, flags)| self.packet(link, from, flags, &[]))
            .into()
    }

    /// The next frame; a request asks for `/<id>`.
    pub(crate) fn next(&mut self, link: LinkType, id: u64) -> (Vec<u8>, Says) {
        let (from, flags, text, says) = match self.frames {
            0 => (0, SYN, String::new(), Says::Nothing),
            1 => (1, SYN | ACK, String::new(), Says::Nothing),
            2 => (0, ACK, String::new(), Says::Nothing),
            nth if nth % 2 == 1 => {
                let text = format!("GET /{id} HTTP/1.1\r\nHost: shop\r\n\r\n");
                (0, ACK, text, Says::Request)
            }
            nth => {
                let status = match self.fails == Some(nth / 2 - 2) {
                    true => "500 Internal Server Error",
                    false => "200 OK",
                };
                let (len, body) = (self.body, "ok".repeat(self.body / 2));
                let text = format!("HTTP/1.1 {status}\r\nContent-Length: {len}\r\n\r\n{body}");
                (1, ACK, text, Says::Answer)
            }
        };
        self.frames += 1;
        (self.packet(link, from, flags, text.as_bytes()), says)
    }

    /// A segment of one end.
    fn packet(&mut self, link: LinkType, from: usize, flags: u8, text: &[u8]) -> Vec<u8> {
        let seqs = (self.seqs[from], self.seqs[1 - from]);
        let takes = text.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        self.seqs[from] = seqs.0.wrapping_add(takes);
        let (src, dst) = ends(self.stream, from);
        let mut segment = Vec::new();
        segment.extend(src.1.to_be_bytes());
        segment.extend(dst.1.to_be_bytes());
        segment.extend(seqs.0.to_be_bytes());
        segment.extend(seqs.1.to_be_bytes());
        segment.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        segment.extend(text);
        ip(link, 6, [src.0, dst.0], &segment)
    }
}

/// Sender and receiver of what one end sends: the client (0) or the server.
fn ends(client: u64, from: usize) -> (([u8; 4], u16), ([u8; 4], u16)) {
    let ends = [
        ([10, 0, (client >> 8) as u8, client as u8], 4000),
        ([10, 1, 0, 1], 80),
    ];
    (ends[from], ends[1 - from])
}

/// A packet of IPv4.
fn ip(link: LinkType, protocol: u8, ends: [[u8; 4]; 2], segment: &[u8]) -> Vec<u8> {
    let mut out = match link {
        LinkType::Ethernet => [&[2; 12][..], &[8, 0]].concat(),
        LinkType::LinuxSll2 => {
            let mut head = vec![8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6];
            head.resize(20, 0);
            head
        }
        _ => Vec::new(),
    };
    out.extend([0x45, 0]);
    out.extend((20 + segment.len() as u16).to_be_bytes());
    out.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    out.extend(ends.concat());
    out.extend(segment);
    out
}

/// A question of DNS (0), or its answer (1).
pub(crate) fn lookup(link: LinkType, client: u64, from: usize, id: u16) -> Vec<u8> {
    let (mut src, mut dst) = ends(client, from);
    for end in [&mut src, &mut dst].into_iter().filter(|end| end.1 == 80) {
        *end = ([10, 1, 0, 2], 53);
    }
    let answers = from as u8;
    let mut message = Vec::new();
    message.extend(id.to_be_bytes());
    message.extend([0x01 | answers << 7, 0, 0, 1, 0, answers, 0, 0, 0, 0]);
    let name = format!("d{id}");
    message.push(name.len() as u8);
    message.extend(name.as_bytes());
    message.extend(b"\x04shop\x00\x00\x01\x00\x01");
    if from == 1 {
        message.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 2, 0, 1]);
    }
    let mut datagram = Vec::new();
    datagram.extend(src.1.to_be_bytes());
    datagram.extend(dst.1.to_be_bytes());
    datagram.extend((8 + message.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(message);
    ip(link, 17, [src.0, dst.0], &datagram)
}
