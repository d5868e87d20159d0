//! Tests to instructions of classic BPF, as the kernel takes them (struct sock_filter).
//!
//! The program is written from its end to its beginning: so the targets of all jumps, which only
//! go forward, are known when a jump is written.

use super::lower::{Bool, Test, With};

pub(super) const LD_ABS: u16 = 0x20;
pub(super) const LD_IND: u16 = 0x40;
pub(super) const LD_LEN: u16 = 0x80;
pub(super) const LD_MEM: u16 = 0x60;
const LD_IMM: u16 = 0x00;
/// X = 4 * (the lower four bits of the byte at k).
pub(super) const LDX_MSH: u16 = 0xb1;
pub(super) const ST: u16 = 0x02;
pub(super) const ALU: u16 = 0x04;
pub(super) const TAX: u16 = 0x07;
pub(super) const JEQ: u16 = 0x15;
pub(super) const JGT: u16 = 0x25;
pub(super) const JGE: u16 = 0x35;
pub(super) const JSET: u16 = 0x45;
const JA: u16 = 0x05;
const RET: u16 = 0x06;
/// In a jump: compare with X.
const WITH_X: u16 = 0x08;

/// Offsets at which the kernel gives what it knows of a frame (SKF_AD_OFF and on).
const AD: u32 = 0xffff_f000;
pub(super) const AD_PKTTYPE: u32 = AD + 4;
pub(super) const AD_IFINDEX: u32 = AD + 8;
const AD_HATYPE: u32 = AD + 28;
pub(super) const AD_VLAN_TAG: u32 = AD + 44;
pub(super) const AD_VLAN_PRESENT: u32 = AD + 48;

/// Words of memory that a program has.
pub(super) const MAX_MEMORY: u32 = 16;
/// Instructions that the kernel takes.
const MAX_PROGRAM: usize = 4096;

/// Hardware types (ARPHRD) of interfaces whose frames begin with an Ethernet header, and with IP.
const HATYPE_ETHERNET: [u32; 2] = [1, 772];
const HATYPE_RAW: [u32; 8] = [65534, 519, 768, 769, 776, 778, 823, 512];

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Insn {
    pub(crate) code: u16,
    pub(crate) jt: u8,
    pub(crate) jf: u8,
    pub(crate) k: u32,
}

impl Insn {
    pub(super) fn new(code: u16, k: u32) -> Self {
        Self {
            code,
            jt: 0,
            jf: 0,
            k,
        }
    }

    pub(super) fn immediate(k: u32) -> Self {
        Self::new(LD_IMM, k)
    }

    /// Ends the program: so many bytes of the frame are taken.
    pub(super) fn accept(bytes: u32) -> Self {
        Self::new(RET, bytes)
    }
}

/// A place in the program: how many instructions stand from there to the end.
type Label = usize;

/// An expression on each kind of link.
pub(super) struct Variants {
    pub(super) ethernet: Bool,
    /// Where the kernel has set a VLAN tag aside, and that makes a difference.
    pub(super) tag_aside: Option<Bool>,
    pub(super) raw: Bool,
    pub(super) unknown: Bool,
}

/// The program that tells which variant a frame is for, and what that says.
pub(super) fn program(variants: &Variants, snaplen: u32) -> Result<Vec<Insn>, String> {
    let mut out = Backward { code: Vec::new() };
    let reject = out.push(Insn::accept(0));
    let accept = out.push(Insn::accept(snaplen));
    let mut ethernet = out.bool(&variants.ethernet, accept, reject);
    let raw = out.bool(&variants.raw, accept, reject);
    let unknown = out.bool(&variants.unknown, accept, reject);
    if let Some(variant) = &variants.tag_aside {
        let tagged = out.bool(variant, accept, reject);
        let present = Test {
            code: vec![Insn::new(LD_ABS, AD_VLAN_PRESENT)],
            jump: JEQ,
            with: With::Number(1),
        };
        ethernet = out.test(&present, tagged, ethernet);
    }
    let mut next = unknown;
    for hatype in HATYPE_RAW.iter().rev() {
        next = out.jump(JEQ, *hatype, raw, next);
    }
    for hatype in HATYPE_ETHERNET.iter().rev() {
        next = out.jump(JEQ, *hatype, ethernet, next);
    }
    out.push(Insn::new(LD_ABS, AD_HATYPE));
    if out.code.len() > MAX_PROGRAM {
        return Err(format!(
            "it needs {} instructions, the kernel takes {MAX_PROGRAM}",
            out.code.len()
        ));
    }
    out.code.reverse();
    Ok(out.code)
}

struct Backward {
    code: Vec<Insn>,
}

impl Backward {
    fn push(&mut self, insn: Insn) -> Label {
        self.code.push(insn);
        self.code.len()
    }

    /// What goes to one label where it is true and to the other where it is false.
    fn bool(&mut self, what: &Bool, yes: Label, no: Label) -> Label {
        match what {
            Bool::Const(true) => yes,
            Bool::Const(false) => no,
            Bool::Not(inner) => self.bool(inner, no, yes),
            Bool::And(left, right) => {
                let right = self.bool(right, yes, no);
                self.bool(left, right, no)
            }
            Bool::Or(left, right) => {
                let right = self.bool(right, yes, no);
                self.bool(left, yes, right)
            }
            Bool::Test(test) => self.test(test, yes, no),
        }
    }

    fn test(&mut self, test: &Test, yes: Label, no: Label) -> Label {
        let mut at = match &test.with {
            With::Number(number) => self.jump(test.jump, *number, yes, no),
            With::X => self.jump(test.jump | WITH_X, 0, yes, no),
            With::AnyOf(numbers) => numbers
                .iter()
                .rev()
                .fold(no, |next, number| self.jump(test.jump, *number, yes, next)),
        };
        for insn in test.code.iter().rev() {
            at = self.push(*insn);
        }
        at
    }

    /// A jump; where a target is more than 255 instructions away, by way of another.
    fn jump(&mut self, code: u16, k: u32, yes: Label, no: Label) -> Label {
        // a way station for one target moves the other one further away
        let yes = self.near(yes, 1);
        let no = self.near(no, 0);
        let here = self.code.len();
        // `near` has brought both within reach
        let distance = |label: Label| u8::try_from(here - label).unwrap_or(u8::MAX);
        self.push(Insn {
            code,
            jt: distance(yes),
            jf: distance(no),
            k,
        })
    }

    /// A label that a jump written next, or after `further` more instructions, can reach.
    fn near(&mut self, label: Label, further: usize) -> Label {
        let distance = self.code.len() - label;
        if distance + further <= usize::from(u8::MAX) {
            return label;
        }
        // the kernel jumps 32 bits far here
        self.push(Insn::new(JA, distance as u32))
    }
}
