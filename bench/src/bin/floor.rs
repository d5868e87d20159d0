//! The floor under `gillnet query http FILE --count`: walks the frames of a capture the same way, finds the TCP
//! payload of Ethernet and IPv4, and runs `httparse` on whatever starts like the head of a message. Keeps nothing:
//! no flow, no reassembly, no pairing, no entry.

use gillnet_capture::{Event, expand, open_files};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files: Vec<String> = std::env::args().skip(1).collect();
    let mut source = open_files(expand(&files)?)?;
    let mut messages = 0u64;
    loop {
        match source.next()? {
            Event::Frame(frame) => messages += u64::from(is_message(frame.data)),
            Event::Tick(_) => {}
            Event::End => break,
        }
    }
    println!("{messages}");
    Ok(())
}

/// The TCP payload of an Ethernet frame with IPv4.
fn payload(frame: &[u8]) -> Option<&[u8]> {
    let ip = frame.get(14..)?;
    if frame.get(12..14)? != [0x08, 0x00] || *ip.get(9)? != 6 {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?]));
    let tcp = ip.get(usize::from(ip.first()? & 15) * 4..total.min(ip.len()))?;
    tcp.get(usize::from(tcp.get(12)? >> 4) * 4..)
}

fn is_message(frame: &[u8]) -> bool {
    let Some(payload) = payload(frame).filter(|p| p.first().is_some_and(u8::is_ascii_uppercase))
    else {
        return false;
    };
    let mut headers = [httparse::EMPTY_HEADER; 64];
    if payload.starts_with(b"HTTP/") {
        httparse::Response::new(&mut headers)
            .parse(payload)
            .is_ok_and(|s| s.is_complete())
    } else {
        httparse::Request::new(&mut headers)
            .parse(payload)
            .is_ok_and(|s| s.is_complete())
    }
}
