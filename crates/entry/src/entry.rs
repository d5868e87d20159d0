//! An entry as it crosses the sinks: borrowed on the shard that made it, owned wherever else it goes.

use crate::{
    Bump, Bytes, Common, Ctx, End, Fault, Name, Nothing, Origin, ProtocolInfo, Record, Transport,
    Value,
};
use std::net::IpAddr;
use std::sync::Arc;

/// One dissected exchange, borrowed from its shard.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The common part.
    pub common: &'a Common<'a>,
    /// Index of the protocol in the registry.
    pub protocol: u8,
    /// The protocol's part.
    pub record: &'a dyn Record,
    /// What its fields are read with.
    pub ctx: Ctx<'a>,
}

impl<'a> Entry<'a> {
    /// A field of the common part.
    pub fn common(&self, field: u16) -> Value<'a> {
        self.common.get(field, &self.ctx)
    }

    /// A field of the protocol's part.
    pub fn own(&self, field: u16) -> Value<'a> {
        self.record.get(field, &self.ctx)
    }

    /// A copy that needs neither store nor shard; heads and bodies are cut after `limit` bytes each. For many use a
    /// [`Detacher`].
    pub fn detach(&self, limit: usize) -> OwnedEntry {
        Detacher::default().detach(self, limit)
    }
}

/// Makes copies that need neither store nor shard: keeps what entries of one origin have in common.
#[derive(Debug, Default)]
pub struct Detacher {
    shared: Option<(Arc<Origin>, Arc<str>)>,
}

impl Detacher {
    /// A copy of an entry; heads and bodies are cut after `limit` bytes each.
    pub fn detach(&mut self, entry: &Entry<'_>, limit: usize) -> OwnedEntry {
        let c = entry.common;
        let (origin, recording) = match &self.shared {
            Some((origin, recording)) if **origin == *c.origin && **recording == *c.record => {
                (Arc::clone(origin), Arc::clone(recording))
            }
            _ => {
                let made = (Arc::new(c.origin.clone()), Arc::from(c.record));
                self.shared.insert(made).clone()
            }
        };
        OwnedEntry {
            protocol: entry.protocol,
            record: entry.record.detach(entry.ctx.store, limit),
            origin,
            recording,
            stream: c.stream,
            transport: c.transport,
            index: c.index,
            tls: c.tls,
            src: (c.src.ip, c.src.port, Arc::clone(c.src.name)),
            dst: (c.dst.ip, c.dst.port, Arc::clone(c.dst.name)),
            ts: c.ts,
            end_ts: c.end_ts,
            request_size: c.request_size,
            response_size: c.response_size,
            fault: c.fault,
            missing: c.missing,
            truncated_before: c.truncated_before,
            info: c.info,
        }
    }
}

/// An entry that owns all that it holds.
#[derive(Debug)]
pub struct OwnedEntry {
    /// Index of the protocol in the registry.
    pub protocol: u8,
    /// The protocol's part.
    pub record: Box<dyn Record>,
    /// Where it comes from.
    pub origin: Arc<Origin>,
    /// The recordings it is in, a line each.
    pub recording: Arc<str>,
    /// Number of its stream.
    pub stream: u64,
    /// Transport of its stream.
    pub transport: Transport,
    /// Position in its stream.
    pub index: u32,
    /// Whether it was taken outside encryption.
    pub tls: bool,
    /// The requester.
    pub src: (IpAddr, u16, Arc<Name>),
    /// The responder.
    pub dst: (IpAddr, u16, Arc<Name>),
    /// Time of the request, ns.
    pub ts: i64,
    /// Time of the response's end, ns.
    pub end_ts: Option<i64>,
    /// Bytes of the request.
    pub request_size: u64,
    /// Bytes of the response.
    pub response_size: u64,
    /// What is wrong with it.
    pub fault: Option<Fault>,
    /// Bytes missing.
    pub missing: u64,
    /// Since when its stream's recording is whole.
    pub truncated_before: Option<i64>,
    /// The protocol as it is shown.
    pub info: &'static ProtocolInfo,
}

impl OwnedEntry {
    /// The common part.
    pub fn common(&self) -> Common<'_> {
        Common {
            index: self.index,
            stream: self.stream,
            origin: &self.origin,
            info: self.info,
            tls: self.tls,
            src: End {
                ip: self.src.0,
                port: self.src.1,
                name: &self.src.2,
            },
            dst: End {
                ip: self.dst.0,
                port: self.dst.1,
                name: &self.dst.2,
            },
            ts: self.ts,
            end_ts: self.end_ts,
            request_size: self.request_size,
            response_size: self.response_size,
            fault: self.fault,
            missing: self.missing,
            truncated_before: self.truncated_before,
            passed: false,
            failed: false,
            record: &self.recording,
            transport: self.transport,
        }
    }

    /// Runs `read` on the entry as its shard would see it.
    pub fn with<T>(&self, arena: &Bump, read: impl FnOnce(&Entry<'_>) -> T) -> T {
        let common = self.common();
        let store: &dyn Bytes = &Nothing;
        let entry = Entry {
            common: &common,
            protocol: self.protocol,
            record: &*self.record,
            ctx: Ctx { store, arena },
        };
        read(&entry)
    }
}
