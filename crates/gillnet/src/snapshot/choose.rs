//! Which frames of a window are taken: by a packet filter, and by whose they are.

use anyhow::Context;
use gillnet_capture::{Frame, FrameFilter};
use gillnet_entry::Name;
use gillnet_names::Names;
use gillnet_streams::decode::{DecodeLimits, Decoder, Skip};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Workloads by name; a frame is taken where one of its ends is all that is given.
#[derive(clap::Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Workloads {
    /// Only packets from or to this namespace (may be given several times)
    #[arg(long = "namespace", short = 'n', value_name = "NAME")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Only packets from or to this pod
    #[arg(long = "pod", value_name = "NAME")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<String>,
    /// Only packets from or to this service
    #[arg(long = "service", value_name = "NAME")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

impl Workloads {
    fn is_everyone(&self) -> bool {
        self.namespaces.is_empty() && self.pods.is_empty() && self.services.is_empty()
    }

    fn has(&self, name: &Name) -> bool {
        let fits =
            |wanted: &[String], is: &str| wanted.is_empty() || wanted.iter().any(|w| w == is);
        fits(&self.namespaces, &name.namespace)
            && fits(&self.pods, &name.pod)
            && fits(&self.services, &name.service)
    }
}

/// The most bytes of fragments that wait for the rest of their datagram.
const MAX_HELD: usize = 64 << 20;

/// A frame that waits, with a copy of its bytes.
struct Waiting {
    frame: Frame<'static>,
    data: Vec<u8>,
}

/// See the module.
pub struct Choice {
    window: (i64, i64),
    filter: FrameFilter,
    workloads: Workloads,
    names: Names,
    decoder: Decoder,
    /// Fragments, by a number of their own.
    waiting: BTreeMap<u64, Waiting>,
    waiting_bytes: usize,
    next: u64,
    undecided: u64,
}

impl Choice {
    /// Frames within a span of time (ns) that an expression takes, from or to workloads.
    pub fn new(
        window: (i64, i64),
        bpf: &str,
        workloads: &Workloads,
        names: Names,
    ) -> anyhow::Result<Choice> {
        let filter = FrameFilter::new(bpf).context("--bpf")?;
        Ok(Choice {
            window,
            filter,
            workloads: workloads.clone(),
            names,
            decoder: Decoder::new(DecodeLimits::default()),
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            next: 0,
            undecided: 0,
        })
    }

    /// Gives a frame to `take` where it is chosen: it, or the fragments that waited for it before.
    pub fn see(
        &mut self,
        frame: &Frame<'_>,
        take: &mut dyn FnMut(&Frame<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (since, until) = self.window;
        if frame.ts < since || frame.ts >= until || !self.filter.takes(frame) {
            return Ok(());
        }
        if self.workloads.is_everyone() {
            return take(frame);
        }
        let placed = Frame {
            pos: self.next,
            ..*frame
        };
        let packet = match self.decoder.decode(&placed) {
            Ok(packet) => packet,
            Err(Skip::FragmentHeld) => {
                self.wait(frame);
                return Ok(());
            }
            // of nobody that has a name
            Err(_) => return Ok(()),
        };
        let ends = [(packet.src, packet.sport), (packet.dst, packet.dport)];
        let known = ends.map(|(ip, port)| self.names.resolve(ip.ip(), port, frame.ts));
        let chosen = known.iter().any(|name| self.workloads.has(name));
        for part in packet.parts {
            if let Some(waiting) = self.waiting.remove(part) {
                self.waiting_bytes -= waiting.data.len();
                if chosen {
                    take(&Frame {
                        data: &waiting.data,
                        ..waiting.frame
                    })?;
                }
            }
        }
        if chosen { take(frame) } else { Ok(()) }
    }

    fn wait(&mut self, frame: &Frame<'_>) {
        while self.waiting_bytes + frame.data.len() > MAX_HELD
            && let Some((_, oldest)) = self.waiting.pop_first()
        {
            self.waiting_bytes -= oldest.data.len();
            self.undecided += 1;
        }
        let waiting = Waiting {
            frame: Frame {
                data: &[],
                comment: None,
                ts: frame.ts,
                iface: frame.iface,
                link: frame.link,
                direction: frame.direction,
                wire_len: frame.wire_len,
                pos: frame.pos,
            },
            data: frame.data.to_vec(),
        };
        self.waiting_bytes += frame.data.len();
        self.waiting.insert(self.next, waiting);
        self.next += 1;
    }

    /// Fragments of which it could not be said whose they are.
    pub fn undecided(&self) -> u64 {
        self.undecided + self.waiting.len() as u64
    }
}
