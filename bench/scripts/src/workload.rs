//! A capture of HTTP on keep-alive connections, with heads as browsers and servers send them.

use gillnet_capture::LinkType;
use gillnet_capture::write::{PcapResolution, PcapWriter};
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

const REQUEST: &str = "GET /api/v1/users?id=123 HTTP/1.1\r\nHost: payment-service:8080\r\nUser-Agent: curl/8\r\n\
     Accept: application/json, text/plain, */*\r\nAccept-Encoding: gzip, deflate, br\r\nAccept-Language: en-US,en;q=0.9\r\n\
     X-Request-Id: 8f14e45f-ceea-467f-a8a5-1c2d3e4f5a6b\r\nConnection: keep-alive\r\n\r\n";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 13 Mar 2023 02:37:46 GMT\r\n\
     Content-Type: application/json\r\nContent-Length: 29\r\nConnection: keep-alive\r\n\r\n{\"name\":\"Holy\",\"price\":99.99}";

const SYN: u8 = 2;
const ACK: u8 = 16;
const FIN: u8 = 1;

/// Writes so many connections with so many exchanges each.
pub(crate) fn write(path: &Path, connections: u32, exchanges: u32) {
    let file = BufWriter::new(File::create(path).expect("a file"));
    let mut out = PcapWriter::new(file, PcapResolution::Nano).expect("a capture");
    let mut ts = 1_700_000_000_000_000_000;
    for connection in 0..connections {
        #[allow(clippy::cast_possible_truncation)]
        let port = 1024 + (connection % 60_000) as u16;
        let client = 0x0a00_0001 + connection / 60_000;
        let mut sides = [(client, port, 1000u32), (0x0a01_0001, 80, 2000)];
        let mut send = |from: usize, flags: u8, data: &[u8]| {
            let (a, b) = (sides[from], sides[1 - from]);
            let frame = frame(a, b, flags, data);
            ts += 1000;
            let len = u32::try_from(frame.len()).expect("a frame");
            out.frame(ts, LinkType::Ethernet, len, &frame)
                .expect("room");
            let len = u32::try_from(data.len()).expect("a segment");
            sides[from].2 += len + u32::from(flags & (SYN | FIN) != 0);
        };
        send(0, SYN, &[]);
        send(1, SYN | ACK, &[]);
        send(0, ACK, &[]);
        for _ in 0..exchanges {
            send(0, ACK, REQUEST.as_bytes());
            send(1, ACK, RESPONSE.as_bytes());
            send(0, ACK, &[]);
        }
        send(0, FIN | ACK, &[]);
        send(1, FIN | ACK, &[]);
        send(0, ACK, &[]);
    }
}

/// A segment from one side, which is (address, port, sequence number), to the other.
fn frame(from: (u32, u16, u32), to: (u32, u16, u32), flags: u8, data: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    let len = u16::try_from(40 + data.len()).expect("a segment");
    frame.extend([0x45, 0]);
    frame.extend(len.to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, 6, 0, 0]);
    frame.extend(from.0.to_be_bytes());
    frame.extend(to.0.to_be_bytes());
    frame.extend(from.1.to_be_bytes());
    frame.extend(to.1.to_be_bytes());
    frame.extend(from.2.to_be_bytes());
    frame.extend(to.2.to_be_bytes());
    frame.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    frame.extend(data);
    frame
}
