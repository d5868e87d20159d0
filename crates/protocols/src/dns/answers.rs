//! What responses teach: the names that addresses were asked for by.

use super::codes;
use super::rdata::Data;
use super::record;
use super::wire::{Message, Name, Section};
use gillnet_entry::{Ctx, Record};
use std::net::IpAddr;

/// Longest chain of CNAMEs that is followed.
const CHAIN_LIMIT: usize = 16;

/// Tells the addresses that an entry's response gives, where the entry is DNS and its query was seen: a response that
/// nobody asked for teaches nothing. `each` takes the name asked for, the address, and for how many seconds.
pub fn learn<'a>(record: &'a dyn Record, ctx: &Ctx<'a>, each: impl FnMut(&str, IpAddr, u32)) {
    if let Some(message) = record::paired_response(record, ctx) {
        answers(message, each);
    }
}

/// Tells the addresses in a response: `each` takes the name asked for, the address, and for how many seconds. An
/// address behind CNAMEs has the name that was asked, and the shortest of the lives on the way.
pub fn answers(message: &[u8], mut each: impl FnMut(&str, IpAddr, u32)) {
    let Some(message) = Message::read(message) else {
        return;
    };
    let Some(question) = message.questions().next() else {
        return;
    };
    if !message.header.is_response() || message.header.op_code() != 0 || message.header.rcode() != 0
    {
        return;
    }
    let mut asked = None;
    let chain = chain(message, question.name);
    for record in message.section(Section::Answers).filter(|r| r.class == 1) {
        let ip = match Data::of(&record) {
            Data::A(ip) => IpAddr::V4(ip),
            Data::Aaaa(ip) => IpAddr::V6(ip),
            _ => continue,
        };
        if let Some((_, ttl)) = chain
            .iter()
            .flatten()
            .find(|(name, _)| name.same(record.name))
        {
            each(
                asked.get_or_insert_with(|| question.name.to_string()),
                ip,
                record.ttl.min(*ttl),
            );
        }
    }
}

/// The name asked for and the names that CNAMEs lead to, each with the shortest life on the way. Records may stand in
/// any order, so that a link is looked for from the start each time.
fn chain<'m>(message: Message<'m>, asked: Name<'m>) -> [Option<(Name<'m>, u32)>; CHAIN_LIMIT] {
    let mut chain = [None; CHAIN_LIMIT];
    let mut last = Some((asked, u32::MAX));
    for link in &mut chain {
        let Some((name, ttl)) = last else {
            break;
        };
        *link = last;
        last = message
            .section(Section::Answers)
            .find_map(|record| match Data::of(&record) {
                Data::Name(_, target) if record.kind == codes::CNAME && record.name.same(name) => {
                    Some((target, ttl.min(record.ttl)))
                }
                _ => None,
            });
    }
    chain
}
