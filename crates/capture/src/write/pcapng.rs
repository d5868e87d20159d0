//! pcapng blocks (draft-ietf-opsawg-pcapng), little endian, appended to a buffer.
//!
//! A file is a section block, an interface block for each interface in the order of their
//! numbers, then packet blocks. Timestamps are in nanoseconds.

use std::net::IpAddr;

use crate::{Interface, PacketDirection};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const NAME_RESOLUTION: u32 = 4;
const ENHANCED_PACKET: u32 = 6;
const BYTE_ORDER: u32 = 0x1a2b_3c4d;

const OPT_END: u16 = 0;
const OPT_COMMENT: u16 = 1;
/// Custom option with bytes, to be copied by programs that rewrite files.
const OPT_CUSTOM_BYTES: u16 = 2989;
const SHB_HARDWARE: u16 = 2;
const SHB_OS: u16 = 3;
const SHB_APPLICATION: u16 = 4;
const IF_NAME: u16 = 2;
const IF_DESCRIPTION: u16 = 3;
const IF_TSRESOL: u16 = 9;
const EPB_FLAGS: u16 = 2;
const NAME_IPV4: u16 = 1;
const NAME_IPV6: u16 = 2;
/// Names in a block, and bytes of each, at most.
const NAMES: usize = 1000;
const MAX_NAME: usize = 1024;

/// What a section says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct SectionBlock<'a> {
    /// The machine.
    pub hardware: Option<&'a str>,
    /// The operating system.
    pub os: Option<&'a str>,
    /// The program that writes.
    pub application: Option<&'a str>,
    /// Anything else.
    pub comment: Option<&'a str>,
}

/// An option of an organisation's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CustomOption<'a> {
    /// Private Enterprise Number of the organisation that gives `data` its meaning.
    pub pen: u32,
    /// Its bytes; what is above 64 KiB is cut.
    pub data: &'a [u8],
}

/// A frame to write.
#[derive(Clone, Copy, Debug)]
pub struct PacketBlock<'a> {
    /// Its interface: how many interface blocks stand before its own in the section.
    pub iface: u32,
    /// Nanoseconds since the Unix epoch; times before it are written as 0.
    pub ts: i64,
    /// Length on the wire.
    pub wire_len: u32,
    /// Which way it went.
    pub direction: PacketDirection,
    /// Its bytes.
    pub data: &'a [u8],
    /// A comment; what is above 64 KiB is cut.
    pub comment: Option<&'a str>,
    /// Further options.
    pub custom: &'a [CustomOption<'a>],
}

/// Appends the block that begins a section.
pub fn section_block(out: &mut Vec<u8>, section: &SectionBlock<'_>) {
    let start = begin(out, SECTION);
    out.extend_from_slice(&BYTE_ORDER.to_le_bytes());
    out.extend_from_slice(&1u16.to_le_bytes());
    out.extend_from_slice(&0u16.to_le_bytes());
    // how long the section is: not said
    out.extend_from_slice(&u64::MAX.to_le_bytes());
    let before = out.len();
    text(out, OPT_COMMENT, section.comment);
    text(out, SHB_HARDWARE, section.hardware);
    text(out, SHB_OS, section.os);
    text(out, SHB_APPLICATION, section.application);
    end_options(out, before);
    end(out, start);
}

/// Appends the block that describes an interface.
pub fn interface_block(out: &mut Vec<u8>, interface: &Interface) {
    let start = begin(out, INTERFACE);
    // the registry's numbers fit in 16 bits: LinkType holds no others
    out.extend_from_slice(&(interface.link.dlt() as u16).to_le_bytes());
    out.extend_from_slice(&0u16.to_le_bytes());
    out.extend_from_slice(&interface.snaplen.to_le_bytes());
    let before = out.len();
    let said = |text: &'_ str| !text.is_empty();
    text(
        out,
        IF_NAME,
        Some(&interface.name[..]).filter(|name| said(name)),
    );
    text(
        out,
        IF_DESCRIPTION,
        Some(&interface.description[..]).filter(|text| said(text)),
    );
    option(out, IF_TSRESOL, &[9]);
    end_options(out, before);
    end(out, start);
}

/// Appends blocks that say what addresses are called. A name that a text of C can't hold is cut.
pub fn name_blocks<'n>(out: &mut Vec<u8>, names: impl IntoIterator<Item = (IpAddr, &'n str)>) {
    let mut names = names.into_iter().peekable();
    while names.peek().is_some() {
        let start = begin(out, NAME_RESOLUTION);
        for (ip, name) in names.by_ref().take(NAMES) {
            let name = name.split('\0').next().unwrap_or_default();
            let name = name
                .get(..name.floor_char_boundary(MAX_NAME))
                .unwrap_or_default();
            let mut record = Vec::with_capacity(name.len() + 17);
            let kind = match ip {
                IpAddr::V4(ip) => {
                    record.extend_from_slice(&ip.octets());
                    NAME_IPV4
                }
                IpAddr::V6(ip) => {
                    record.extend_from_slice(&ip.octets());
                    NAME_IPV6
                }
            };
            record.extend_from_slice(name.as_bytes());
            record.push(0);
            option(out, kind, &record);
        }
        option_head(out, OPT_END, 0);
        end(out, start);
    }
}

/// Appends the block of a frame.
pub fn packet_block(out: &mut Vec<u8>, packet: &PacketBlock<'_>) {
    let start = begin(out, ENHANCED_PACKET);
    let ts = u64::try_from(packet.ts).unwrap_or(0);
    let cap_len = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
    let data = packet.data.get(..cap_len as usize).unwrap_or_default();
    for word in [
        packet.iface,
        (ts >> 32) as u32,
        ts as u32,
        cap_len,
        packet.wire_len,
    ] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    out.extend_from_slice(data);
    pad(out, data.len());
    let before = out.len();
    text(out, OPT_COMMENT, packet.comment);
    let flags: u32 = match packet.direction {
        PacketDirection::Unknown => 0,
        PacketDirection::In => 1,
        PacketDirection::Out => 2,
    };
    if flags != 0 {
        option(out, EPB_FLAGS, &flags.to_le_bytes());
    }
    for custom in packet.custom {
        let data = custom
            .data
            .get(..custom.data.len().min(MAX_OPTION - 4))
            .unwrap_or_default();
        option_head(out, OPT_CUSTOM_BYTES, data.len() + 4);
        out.extend_from_slice(&custom.pen.to_le_bytes());
        out.extend_from_slice(data);
        pad(out, data.len());
    }
    end_options(out, before);
    end(out, start);
}

/// The longest value of an option; its length is a 16-bit field.
const MAX_OPTION: usize = u16::MAX as usize;

/// Starts a block, to be closed by [`end`].
fn begin(out: &mut Vec<u8>, kind: u32) -> usize {
    let start = out.len();
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    start
}

/// Closes a block: its length stands at its start and at its end.
fn end(out: &mut Vec<u8>, start: usize) {
    let len = (out.len() + 4 - start) as u32;
    if let Some(field) = out.get_mut(start + 4..start + 8) {
        field.copy_from_slice(&len.to_le_bytes());
    }
    out.extend_from_slice(&len.to_le_bytes());
}

fn option_head(out: &mut Vec<u8>, code: u16, len: usize) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(len as u16).to_le_bytes());
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    option_head(out, code, value.len());
    out.extend_from_slice(value);
    pad(out, value.len());
}

/// A text option, cut at a character's border where it is too long.
fn text(out: &mut Vec<u8>, code: u16, value: Option<&str>) {
    if let Some(value) = value {
        let cut = value.floor_char_boundary(MAX_OPTION);
        option(out, code, value.get(..cut).unwrap_or_default().as_bytes());
    }
}

/// The end mark, where there are options at all.
fn end_options(out: &mut Vec<u8>, before: usize) {
    if out.len() > before {
        option_head(out, OPT_END, 0);
    }
}

/// Fills up to a multiple of four.
fn pad(out: &mut Vec<u8>, len: usize) {
    const ZEROS: [u8; 4] = [0; 4];
    out.extend_from_slice(&ZEROS[..len.wrapping_neg() & 3]);
}
