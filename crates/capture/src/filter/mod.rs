//! Packet filters in the language of pcap-filter(7), compiled to classic BPF for the kernel.
//!
//! Expression to tokens ([`lexer`]), to a syntax tree ([`parser`]), to tests of bytes at fixed
//! places for one link type ([`lower`]), to instructions ([`emit`]); on frames that are captured
//! already they run here ([`machine`]). What libpcap accepts and this
//! does not: names of hosts and networks (nothing is looked up), `gateway`, `protochain` (the
//! kernel has no loops), `geneve`, and the protocols of other ages (DECnet, AppleTalk, ISO, ATM).

mod ast;
mod emit;
mod lexer;
mod lower;
mod machine;
mod parser;
#[cfg(test)]
mod tests;

use crate::{Error, Result};
pub(crate) use emit::Insn;
use emit::Variants;
use lower::{Link, lower};
pub use machine::FrameFilter;
#[cfg(test)]
pub(crate) use tests::EXPRESSIONS;

/// A fault in an expression and where it is, in characters from 0.
#[derive(Debug)]
struct Fault {
    position: usize,
    why: String,
}

impl Fault {
    fn new(position: usize, why: impl Into<String>) -> Self {
        Self {
            position,
            why: why.into(),
        }
    }
}

/// Checks a filter expression without capturing.
///
/// # Errors
/// [`Error::Filter`] with what is wrong and where.
pub fn check_filter(expression: &str) -> Result<()> {
    compile(expression, 1).map(drop)
}

/// Compiles an expression for an AF_PACKET socket on any interface: the program looks at the
/// hardware type of each frame's interface, and takes a VLAN tag that the kernel has set aside for
/// one in the frame. What passes is cut to `snaplen` bytes.
pub(crate) fn compile(expression: &str, snaplen: u32) -> Result<Vec<Insn>> {
    let fault = |fault: Fault| Error::Filter {
        expression: expression.to_owned(),
        position: fault.position,
        why: fault.why,
    };
    let tree = parser::parse(expression).map_err(fault)?;
    let Some(tree) = tree else {
        return Ok(vec![Insn::accept(snaplen)]);
    };
    let on = |link| lower(&tree, link).map_err(fault);
    let variants = Variants {
        ethernet: on(Link::ethernet(false))?,
        tag_aside: if tree.asks_for_vlan() {
            Some(on(Link::ethernet(true))?)
        } else {
            None
        },
        raw: on(Link::raw())?,
        unknown: on(Link::unknown())?,
    };
    emit::program(&variants, snaplen).map_err(|why| fault(Fault::new(0, why)))
}
