//! Is it DNS? By content; port 53 is believed where the content leaves doubt.

use super::codes::{self, Class, Type};
use super::wire::{HEADER, Header, Message, Question, u16_at};
use crate::{Start, Verdict};
use gillnet_entry::Transport;

/// Bytes before a message on TCP: its length (RFC 1035 §4.2.2).
pub(super) const PREFIX: usize = 2;

/// Shortest message with a question: the root's name, type and class.
const SHORTEST: usize = HEADER + 5;

/// Longest first message that is waited for on a TCP port that says nothing.
const LONGEST_FIRST: usize = 4096;

/// How sure one has to be.
#[derive(Clone, Copy)]
enum Doubt {
    /// The port says DNS.
    Hinted,
    /// Nothing but the content speaks for it.
    Bare,
}

/// The registry's question.
pub(super) fn identify(first: &[u8], transport: Transport, port_hint: bool) -> Verdict {
    let doubt = if port_hint {
        Doubt::Hinted
    } else {
        Doubt::Bare
    };
    match transport {
        Transport::Udp => {
            verdict(Message::read(first).is_some_and(|message| doubt.message(message)))
        }
        Transport::Tcp => framed(first, doubt),
    }
}

/// The first sure start of a message behind a gap in a TCP stream: wherever it stands, as a segment may begin inside one.
pub(super) fn start(bytes: &[u8]) -> Start {
    let mut perhaps = Start::No;
    for at in 0..bytes.len() {
        match framed(bytes.get(at..).unwrap_or_default(), Doubt::Bare) {
            Verdict::Yes => return Start::At(at),
            Verdict::More if perhaps == Start::No => perhaps = Start::Maybe(at),
            Verdict::More | Verdict::No => {}
        }
    }
    perhaps
}

/// Whether what stands where a message is due can be one.
pub(super) fn likely(message: Message<'_>) -> bool {
    Doubt::Hinted.message(message)
}

fn verdict(yes: bool) -> Verdict {
    if yes { Verdict::Yes } else { Verdict::No }
}

/// Judges the first message behind its length on TCP, as early as can be: others wait for the verdict.
fn framed(bytes: &[u8], doubt: Doubt) -> Verdict {
    let (Some(length), Some(come)) = (u16_at(bytes, 0), bytes.get(PREFIX..)) else {
        return Verdict::More;
    };
    let length = usize::from(length);
    let longest = match doubt {
        Doubt::Hinted => usize::from(u16::MAX),
        Doubt::Bare => LONGEST_FIRST,
    };
    if !(SHORTEST..=longest).contains(&length) {
        return Verdict::No;
    }
    if let Some(message) = come.get(..length) {
        return verdict(Message::read(message).is_some_and(|message| doubt.message(message)));
    }
    // what has not come reads as a header that nothing speaks against
    let mut head = [0, 0, doubt.fitting_flags(), 0, 0, 1, 0, 0, 0, 0, 0, 0];
    head.iter_mut().zip(come).for_each(|(to, from)| *to = *from);
    match Header::read(&head) {
        Some(header) if doubt.header(header) => Verdict::More,
        _ => Verdict::No,
    }
}

impl Doubt {
    fn fitting_flags(self) -> u8 {
        match self {
            Doubt::Hinted => 0,
            Doubt::Bare => 1, // recursion desired
        }
    }

    fn header(self, header: Header) -> bool {
        match self {
            Doubt::Hinted => likely_header(header),
            Doubt::Bare => sure_header(header),
        }
    }

    fn message(self, message: Message<'_>) -> bool {
        let first = message.questions().next();
        self.header(message.header)
            && match self {
                Doubt::Hinted => message.header.counts[0] == 0 || first.is_some(),
                // of a type and class that exist, in a message that ends where its last record does
                Doubt::Bare => {
                    first.is_some_and(|q| {
                        Type(q.kind).is_known() && Class(q.class).name().is_some() && !is_netbios(q)
                    }) && message.end(message.questions()) == Some(message.bytes.len())
                }
            }
    }
}

/// Enough where the port says DNS: an operation that exists, and counts that are none of another protocol's text.
fn likely_header(header: Header) -> bool {
    let empty_query = header.counts == [0; 4] && !header.is_response();
    codes::op_code(header.op_code()).is_some()
        && header.counts.iter().all(|count| *count < 0x2000)
        && !empty_query
}

/// Needed where the port says nothing: one question of a client that desires recursion, and what else its kind of
/// message has.
fn sure_header(header: Header) -> bool {
    let [questions, answers, authorities, additionals] = header.counts;
    let asks =
        header.op_code() == 0 && header.recursion_desired() && !header.reserved() && questions == 1;
    let fits = if header.is_response() {
        codes::rcode(header.rcode().into()).is_some()
    } else {
        // a query may carry OPT and a signature, no more
        let bits = header.authoritative() || header.truncated() || header.recursion_available();
        !bits && header.rcode() == 0 && answers == 0 && authorities == 0 && additionals <= 2
    };
    asks && fits
}

/// Whether it is of NetBIOS' name service, which shares the format (RFC 1002 §4.2): a first label of 32 letters, each
/// standing for half a byte, and one of two types, which mean others there than here.
fn is_netbios(question: Question<'_>) -> bool {
    let first = question.name.labels().next().unwrap_or_default();
    matches!(question.kind, 0x20 | 0x21)
        && first.len() == 32
        && first.iter().all(|letter| (b'A'..=b'P').contains(letter))
}
