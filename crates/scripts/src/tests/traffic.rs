//! Traffic of tests: exchanges as frames, made as hosts send them.

use crate::testing::NOW;
use gillnet_capture::LinkType;
use std::net::Ipv4Addr;

/// Time, link type and bytes of frames.
pub(super) type Frames = Vec<(i64, LinkType, Vec<u8>)>;

/// Frames in order of time, from [`NOW`] on. Each exchange is a stream of its own.
pub(super) struct Traffic {
    frames: Frames,
    /// When the next exchange begins, in ns since the epoch.
    at: i64,
    port: u16,
}

/// Of one exchange, between its packets and between two, in µs.
const STEP: i64 = 10;

const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 1;

impl Traffic {
    pub(super) fn new() -> Traffic {
        Traffic {
            frames: Vec::new(),
            at: NOW,
            port: 30_000,
        }
    }

    /// All frames so far; what comes next goes on where they end.
    pub(super) fn take(&mut self) -> Frames {
        std::mem::take(&mut self.frames)
    }

    /// Lets so many seconds pass before what comes next.
    pub(super) fn wait(&mut self, seconds: i64) {
        self.at += seconds * 1_000_000_000;
    }

    /// A GET of a path that takes so many µs and is answered with a status.
    pub(super) fn get(&mut self, from: &str, to: &str, path: &str, status: u16, micros: i64) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: api\r\nUser-Agent: test\r\n\r\n");
        let response = format!(
            "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n{{\"a\": 1}}"
        );
        self.http(from, to, &request, &response, micros);
    }

    /// An exchange over a connection of its own, `to` being `address:port`.
    pub(super) fn http(
        &mut self,
        from: &str,
        to: &str,
        request: &str,
        response: &str,
        micros: i64,
    ) {
        self.port += 1;
        let (to, to_port) = to.rsplit_once(':').unwrap();
        let ends = [
            (from.parse::<Ipv4Addr>().unwrap(), self.port),
            (to.parse().unwrap(), to_port.parse().unwrap()),
        ];
        let mut sent = [1000u32, 5000];
        let mut segment = |traffic: &mut Traffic, side: usize, flags: u8, data: &str, wait: i64| {
            traffic.at += wait * 1000;
            let mut tcp = Vec::new();
            tcp.extend(ends[side].1.to_be_bytes());
            tcp.extend(ends[1 - side].1.to_be_bytes());
            tcp.extend(sent[side].to_be_bytes());
            tcp.extend(if flags == SYN { 0 } else { sent[1 - side] }.to_be_bytes());
            tcp.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
            tcp.extend(data.as_bytes());
            sent[side] += data.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
            traffic.packet(6, ends[side].0, ends[1 - side].0, &tcp);
        };
        segment(self, 0, SYN, "", STEP);
        segment(self, 1, SYN | ACK, "", STEP);
        segment(self, 0, ACK, "", STEP);
        segment(self, 0, ACK, request, STEP);
        segment(self, 1, ACK, response, micros);
        segment(self, 0, ACK | FIN, "", STEP);
        segment(self, 1, ACK | FIN, "", STEP);
        segment(self, 0, ACK, "", STEP);
    }

    /// A query for the address of a name, and its answer.
    pub(super) fn dns(&mut self, from: &str, to: &str, name: &str) {
        self.port += 1;
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let mut question = Vec::new();
        for label in name.split('.') {
            question.push(label.len() as u8);
            question.extend(label.as_bytes());
        }
        question.extend([0, 0, 1, 0, 1]);
        let id = self.port.to_be_bytes();
        let query = [&id, &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &question].concat();
        let answer = [
            &id,
            &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0][..],
            &question,
            &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 10, 9, 9, 9],
        ]
        .concat();
        for (from, from_port, to, to_port, data) in [
            (from, self.port, to, 53, query),
            (to, 53, from, self.port, answer),
        ] {
            self.at += STEP * 1000;
            let length = (8 + data.len()) as u16;
            let ports = [from_port, to_port, length, 0].map(u16::to_be_bytes);
            let udp = [&ports.concat(), &data[..]].concat();
            self.packet(17, from, to, &udp);
        }
    }

    fn packet(&mut self, protocol: u8, from: Ipv4Addr, to: Ipv4Addr, data: &[u8]) {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        let length = (20 + data.len()) as u16;
        frame.extend([0x45, 0]);
        frame.extend(length.to_be_bytes());
        frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
        frame.extend(from.octets());
        frame.extend(to.octets());
        frame.extend(data);
        self.frames.push((self.at, LinkType::Ethernet, frame));
    }
}
