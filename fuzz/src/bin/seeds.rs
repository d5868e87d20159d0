//! Writes the seeds of all targets into folders of their names: `seeds FOLDER`. They are made of the dissectors'
//! fixtures, the filter language's test vectors, and the filters that fuzzing found.

use gillnet_capture::write::{
    PacketBlock, SectionBlock, interface_block, packet_block, section_block,
};
use gillnet_capture::{Event, Frame, Input, open_files};
use gillnet_fuzz::reassembly::Record;
use gillnet_fuzz::{decode, stream};
use gillnet_streams::Dir;
use gillnet_streams::decode::{DecodeLimits, Decoder, L4, TcpHeader};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).expect("seeds FOLDER"));
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    for protocol in fs::read_dir(crates.join("protocols/src"))? {
        let Ok(files) = fs::read_dir(protocol?.path().join("fixtures")) else {
            continue;
        };
        for file in files {
            let path = file?.path();
            if path.extension().is_some_and(|e| e == "pcap") {
                capture(&path, &folder)?;
            }
        }
    }
    for (how, file) in ["kfl1_vectors.tsv", "kfl2_vectors.tsv"].iter().enumerate() {
        let vectors = fs::read_to_string(crates.join("kfl/tests/vectors").join(file))?;
        for (n, line) in vectors.lines().enumerate() {
            let text = line.split('\t').next().unwrap_or_default();
            let seed = [&[how as u8], text.as_bytes()].concat();
            write(&folder.join("kfl"), &format!("{file}_{n}"), &seed)?;
        }
    }
    let found = include_str!("../../seeds/kfl.txt").lines().enumerate();
    for (n, line) in found {
        let (how, text) = line.split_once(' ').unwrap_or_default();
        let how = u8::from_str_radix(how, 16).map_err(io::Error::other)?;
        let seed = [&[how], text.as_bytes()].concat();
        write(&folder.join("kfl"), &format!("found_{n}"), &seed)?;
    }
    Ok(())
}

fn write(folder: &Path, name: &str, seed: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(name), seed)
}

/// One connection, or pair of UDP ends, of a capture.
#[derive(Default)]
struct Conversation {
    opener: Option<SocketAddr>,
    tcp: bool,
    /// Sequence numbers from which each direction counts.
    starts: [Option<u32>; 2],
    dialogue: Vec<u8>,
    segments: Vec<u8>,
    last: i64,
}

/// The seeds that a capture gives.
fn capture(path: &Path, folder: &Path) -> io::Result<()> {
    let name = path
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let protocol = if path.components().any(|c| c.as_os_str() == "dns") {
        "dns"
    } else {
        "http"
    };
    let (plain, readers) = (fs::read(path)?, folder.join("readers"));
    write(&readers, &name, &plain)?;
    write(&readers, &format!("{name}.gz"), &gzip(&plain)?)?;
    write(
        &readers,
        &format!("{name}.zst"),
        &zstd::encode_all(&plain[..], 1)?,
    )?;
    write(&readers, &format!("{name}ng"), &pcapng(path)?)?;
    let mut frames = Vec::new();
    let mut conversations = BTreeMap::<_, Conversation>::new();
    let mut decoder = Decoder::new(DecodeLimits::default());
    let mut source = open_files(vec![Input::File(path.to_owned())]).map_err(io::Error::other)?;
    while let Event::Frame(frame) = source.next().map_err(io::Error::other)? {
        decode::write(&frame, &mut frames);
        packet(&frame, &mut decoder, &mut conversations);
    }
    write(&folder.join("decode"), &name, &frames)?;
    for (n, conversation) in conversations.values().enumerate() {
        // its transport is the last or the first of the protocol's
        let how = u8::from(conversation.tcp && protocol == "dns");
        for how in [how, how | 8] {
            let seed = [&[how][..], &conversation.dialogue].concat();
            write(&folder.join(protocol), &format!("{name}_{n}_{how}"), &seed)?;
        }
        let seed = [&[0][..], &conversation.segments].concat();
        write(&folder.join("reassembly"), &format!("{name}_{n}"), &seed)?;
    }
    Ok(())
}

fn gzip(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::Write::write_all(&mut packed, plain)?;
    packed.finish()
}

/// A capture as pcapng, each frame with a comment.
fn pcapng(path: &Path) -> io::Result<Vec<u8>> {
    let mut source = open_files(vec![Input::File(path.to_owned())]).map_err(io::Error::other)?;
    let (mut head, mut packets) = (Vec::new(), Vec::new());
    section_block(
        &mut head,
        &SectionBlock {
            application: Some("seeds"),
            ..SectionBlock::default()
        },
    );
    while let Event::Frame(frame) = source.next().map_err(io::Error::other)? {
        let block = PacketBlock {
            iface: frame.iface,
            ts: frame.ts,
            wire_len: frame.wire_len,
            direction: frame.direction,
            data: frame.data,
            comment: Some("a frame"),
            custom: &[],
        };
        packet_block(&mut packets, &block);
    }
    for interface in source.interfaces() {
        interface_block(&mut head, interface);
    }
    Ok([head, packets].concat())
}

/// Appends a packet to its conversation.
fn packet(
    frame: &Frame<'_>,
    decoder: &mut Decoder,
    conversations: &mut BTreeMap<[SocketAddr; 2], Conversation>,
) {
    let Ok(p) = decoder.decode(frame) else {
        return;
    };
    let (from, to): (SocketAddr, SocketAddr) =
        ((p.src.ip(), p.sport).into(), (p.dst.ip(), p.dport).into());
    let c = conversations
        .entry([from.min(to), from.max(to)])
        .or_default();
    let back = *c.opener.get_or_insert(from) != from;
    let dir = if back { Dir::Down } else { Dir::Up };
    stream::write(dir, p.payload, &mut c.dialogue);
    let L4::Tcp(head) = p.l4 else {
        return;
    };
    c.tcp = true;
    let seq = *c.starts[dir as usize].get_or_insert(head.seq);
    let ack = *c.starts[dir.flip() as usize].get_or_insert(if head.has(TcpHeader::ACK) {
        head.ack
    } else {
        0
    });
    let wait = if c.last == 0 {
        0
    } else {
        (frame.ts - c.last).max(0) / 1_000_000
    };
    c.last = frame.ts;
    let record = Record {
        connection: 0,
        back,
        flags: head.flags,
        wait: u16::try_from(wait).unwrap_or(u16::MAX),
        seq: head.seq.wrapping_sub(seq) as u16,
        ack: head.ack.wrapping_sub(ack) as u16,
        len: p.wire_payload as u16,
    };
    record.write(&mut c.segments);
}
