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

/// A connection: a handshake, then requests, each with its answer.
pub(crate) struct Talk {
    stream: u64,
    pub(crate) frames: u64,
    /// Sequence numbers of both ends.
    seqs: [u32; 2],
}

impl Talk {
    pub(crate) fn new(stream: u64) -> Self {
        Self {
            stream,
            frames: 0,
            seqs: [1000, 9000],
        }
    }

    /// The next frame; a request asks for `/<id>`.
    pub(crate) fn next(&mut self, link: LinkType, id: u64) -> (Vec<u8>, Says) {
        const SYN: u8 = 2;
        const ACK: u8 = 16;
        let (from, flags, text, says) = match self.frames {
            0 => (0, SYN, String::new(), Says::Nothing),
            1 => (1, SYN | ACK, String::new(), Says::Nothing),
            2 => (0, ACK, String::new(), Says::Nothing),
            nth if nth % 2 == 1 => {
                let text = format!("GET /{id} HTTP/1.1\r\nHost: shop\r\n\r\n");
                (0, ACK, text, Says::Request)
            }
            _ => {
                let text = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned();
                (1, ACK, text, Says::Answer)
            }
        };
        self.frames += 1;
        let seqs = (self.seqs[from], self.seqs[1 - from]);
        self.seqs[from] += text.len() as u32 + u32::from(flags & SYN != 0);
        let client = (
            [10, 0, (self.stream >> 8) as u8, self.stream as u8],
            4000_u16,
        );
        let ends = [client, ([10, 1, 0, 1], 80)];
        let (src, dst) = (ends[from], ends[1 - from]);
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
        out.extend((40 + text.len() as u16).to_be_bytes());
        out.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
        out.extend(src.0);
        out.extend(dst.0);
        out.extend(src.1.to_be_bytes());
        out.extend(dst.1.to_be_bytes());
        out.extend(seqs.0.to_be_bytes());
        out.extend(seqs.1.to_be_bytes());
        out.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        out.extend(text.as_bytes());
        (out, says)
    }
}
