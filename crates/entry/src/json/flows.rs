//! What entries of a flow have in common, kept as text: a connection has many entries.

use crate::{Common, End, Name, Origin, ProtocolInfo};
use std::net::IpAddr;
use std::sync::Arc;

/// Flows that are remembered, each in the place that its number gives it; about 1 KiB each.
const FLOWS: u64 = 256;

/// The flows seen last.
#[derive(Debug, Default)]
pub(super) struct Flows {
    /// Origin and recording of all of them.
    origin: Origin,
    recording: String,
    flows: Vec<Option<Flow>>,
}

/// A flow, from requester to responder.
#[derive(Debug)]
struct Flow {
    stream: u64,
    tls: bool,
    info: &'static ProtocolInfo,
    src: (IpAddr, u16, Arc<Name>),
    dst: (IpAddr, u16, Arc<Name>),
    text: Vec<u8>,
}

impl Flows {
    /// The text of an entry's flow. The caller fills it where it is empty, which it is for a flow that is not remembered.
    #[allow(clippy::cast_possible_truncation)] // below FLOWS
    pub(super) fn text(&mut self, c: &Common<'_>) -> &mut Vec<u8> {
        if !self.are_of(c) {
            self.origin = c.origin.clone();
            c.record.clone_into(&mut self.recording);
            self.flows.clear();
        }
        let place = (c.stream % FLOWS) as usize;
        if self.flows.len() <= place {
            self.flows.resize_with(place + 1, || None);
        }
        let flow = self.flows[place].get_or_insert_with(|| Flow::new(c, Vec::new()));
        if !flow.has(c) {
            let mut text = std::mem::take(&mut flow.text);
            text.clear();
            *flow = Flow::new(c, text);
        }
        &mut flow.text
    }
}

impl Flows {
    fn are_of(&self, c: &Common<'_>) -> bool {
        let Origin {
            worker,
            node,
            node_ip,
            cluster,
            run,
            backend,
        } = &self.origin;
        let o = c.origin;
        let equal = same(worker, &o.worker)
            && same(node, &o.node)
            && same(node_ip, &o.node_ip)
            && same(cluster, &o.cluster);
        equal && same(run, &o.run) && same(backend, o.backend) && same(&self.recording, c.record)
    }
}

/// Whether two texts are equal. An empty one points nowhere, and comparing nothing there with vector instructions costs
/// some processors hundreds of cycles.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && (a.is_empty() || a == b)
}

impl Flow {
    fn new(c: &Common<'_>, text: Vec<u8>) -> Flow {
        let own = |end: &End<'_>| (end.ip, end.port, Arc::clone(end.name));
        Flow {
            stream: c.stream,
            tls: c.tls,
            info: c.info,
            src: own(&c.src),
            dst: own(&c.dst),
            text,
        }
    }

    /// Whether an entry is of this flow, and its ends are called the same.
    fn has(&self, c: &Common<'_>) -> bool {
        let is = |own: &(IpAddr, u16, Arc<Name>), end: &End<'_>| {
            own.0 == end.ip && own.1 == end.port && Arc::ptr_eq(&own.2, end.name)
        };
        let same = self.stream == c.stream && self.tls == c.tls && std::ptr::eq(self.info, c.info);
        same && is(&self.src, &c.src) && is(&self.dst, &c.dst)
    }
}
