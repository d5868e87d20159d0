//! Runs programs as the kernel does, on frames that are captured already.

use super::{Insn, compile};
use crate::{Frame, LinkType, PacketDirection, Result};

/// What the kernel knows of a frame beside its bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct Known {
    pub(super) hatype: u32,
    pub(super) wire_len: u32,
    pub(super) tag: Option<u32>,
    pub(super) pkttype: u32,
    pub(super) ifindex: u32,
}

/// Hardware types (ARPHRD) of Ethernet, and of interfaces whose frames begin with IP.
const ETHERNET: u32 = 1;
const NONE: u32 = 65534;
/// Of none that is known.
const UNKNOWN: u32 = u32::MAX;
/// PACKET_OUTGOING.
const OUTGOING: u32 = 4;

/// An expression in the syntax of pcap-filter(7), asked of captured frames.
#[derive(Debug)]
pub struct FrameFilter(Vec<Insn>);

impl FrameFilter {
    /// Compiles an expression; an empty one takes every frame.
    ///
    /// # Errors
    /// [`crate::Error::Filter`] with what is wrong and where.
    pub fn new(expression: &str) -> Result<Self> {
        compile(expression, 1).map(Self)
    }

    /// Whether it takes a frame.
    #[must_use]
    pub fn takes(&self, frame: &Frame<'_>) -> bool {
        let (hatype, skip) = match frame.link {
            LinkType::Ethernet => (ETHERNET, 0),
            LinkType::Raw | LinkType::Ipv4 | LinkType::Ipv6 => (NONE, 0),
            LinkType::Null | LinkType::Loop => (NONE, 4),
            LinkType::LinuxSll => (NONE, 16),
            LinkType::LinuxSll2 => (NONE, 20),
            LinkType::Other(_) => (UNKNOWN, 0),
        };
        let known = Known {
            hatype,
            wire_len: frame.wire_len,
            tag: None,
            pkttype: match frame.direction {
                PacketDirection::Out => OUTGOING,
                PacketDirection::In | PacketDirection::Unknown => 0,
            },
            ifindex: 0,
        };
        run(&self.0, frame.data.get(skip..).unwrap_or_default(), known) > 0
    }
}

/// Runs a program on a frame: how many bytes it takes.
pub(super) fn run(program: &[Insn], frame: &[u8], known: Known) -> u32 {
    run_checked(program, frame, known).unwrap_or(0)
}

/// `None` is a load from beyond the frame's end, or what the kernel would not run: both reject the frame.
fn run_checked(program: &[Insn], frame: &[u8], known: Known) -> Option<u32> {
    let (mut a, mut x, mut memory, mut pc) = (0u32, 0u32, [0u32; 16], 0usize);
    let load = |at: u32, bytes: usize| {
        let at = at as usize;
        let bytes = frame.get(at..at.checked_add(bytes)?)?;
        let sum = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
        Some(bytes.iter().fold(0, sum))
    };
    loop {
        // jumps only go forward: it ends
        let Insn { code, jt, jf, k } = *program.get(pc)?;
        pc += 1;
        let operand = if code & 8 != 0 { x } else { k };
        match code {
            0x20 if k >= 0xffff_f000 => {
                a = match k - 0xffff_f000 {
                    4 => known.pkttype,
                    8 => known.ifindex,
                    28 => known.hatype,
                    44 => known.tag.unwrap_or_default(),
                    48 => u32::from(known.tag.is_some()),
                    _ => return None,
                }
            }
            0x20 => a = load(k, 4)?,
            0x28 => a = load(k, 2)?,
            0x30 => a = load(k, 1)?,
            0x40 => a = load(x.checked_add(k)?, 4)?,
            0x48 => a = load(x.checked_add(k)?, 2)?,
            0x50 => a = load(x.checked_add(k)?, 1)?,
            0x00 => a = k,
            0x60 => a = *memory.get(k as usize)?,
            0x80 => a = known.wire_len,
            0xb1 => x = (load(k, 1)? & 15) * 4,
            0x02 => *memory.get_mut(k as usize)? = a,
            0x07 => x = a,
            0x05 => pc += k as usize,
            0x06 => return Some(k),
            _ if code & 7 == 4 => {
                a = match code >> 4 {
                    0 => a.wrapping_add(operand),
                    1 => a.wrapping_sub(operand),
                    2 => a.wrapping_mul(operand),
                    3 => a.checked_div(operand)?,
                    4 => a | operand,
                    5 => a & operand,
                    6 => a << (operand & 31),
                    7 => a >> (operand & 31),
                    8 => a.wrapping_neg(),
                    9 => a.checked_rem(operand)?,
                    10 => a ^ operand,
                    _ => return None,
                }
            }
            _ if code & 7 == 5 => {
                let taken = match code >> 4 {
                    1 => a == operand,
                    2 => a > operand,
                    3 => a >= operand,
                    4 => a & operand != 0,
                    _ => return None,
                };
                pc += usize::from(if taken { jt } else { jf });
            }
            _ => return None,
        }
    }
}
