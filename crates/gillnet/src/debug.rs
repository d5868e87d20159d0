//! `gillnet debug`: shows what crosses the boxes of the pipeline.

use crate::cli::{Access, DebugArgs, DebugWhat, Shared};
use crate::exit::Done;
use crate::inputs::Inputs;
use crate::output::Output;
use crate::scan::{self, Needs, Scan};
use gillnet_capture::{Event, FrameHeader, NO_POS, PacketDirection, Ring, Source, Store};
use gillnet_entry::time::Rfc3339;
use gillnet_entry::{Entry, json};
use gillnet_kfl::{Options, compile};
use gillnet_pipeline::{Consumer, Matched, Want};
use gillnet_streams::decode::{DecodeLimits, Decoder, L4};
use gillnet_streams::flow::{Flow, FlowLimits, FlowSink, Flows};
use gillnet_streams::{Chunk, Close, Dir, StreamSink};
use std::io::Write;

/// Runs the command.
pub fn run(shared: &Shared, args: &DebugArgs) -> anyhow::Result<Done> {
    let config = shared.config()?.0;
    let inputs = Inputs::open(
        &args.sources,
        &Access::default(),
        &config,
        (i64::MIN, i64::MAX),
    )?;
    let mut output = Output::stdout();
    match args.what {
        DebugWhat::Entries => {
            let filter = compile(&crate::cli::env(&config), "", &Options::default())
                .map_err(|errors| anyhow::anyhow!("{}", errors.render("")))?;
            let want = Want {
                bit: 0,
                filter,
                record: false,
                bodies: true,
            };
            let scan = Scan {
                config: &config,
                wants: vec![want],
                within: (i64::MIN, i64::MAX),
                tap: None,
                needs: Needs::Packets,
                limit: None,
                strict: false,
                stream: None,
                among: None,
            };
            let summary = scan.run(&inputs, &mut || Box::new(Lines(Output::stdout())))?;
            scan::report(&summary);
            summary.outcome()?;
        }
        what => {
            for reading in inputs.readings()? {
                let mut source = reading.read()?.source;
                let shown = if what == DebugWhat::Frames {
                    frames(&mut *source, &mut output)
                } else {
                    streams(&mut *source, &mut output)
                };
                shown?;
            }
        }
    }
    output.finish()?;
    inputs.ended(Done::Ok)
}

/// Prints each entry, whole.
struct Lines(Output);

impl Consumer for Lines {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        json::write_entry(entry, self.0.buffer());
        self.0.buffer().push(b'\n');
        self.0.spill()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Calls `each` for every frame; faults that are not fatal are said and passed over.
fn every_frame(
    source: &mut dyn Source,
    mut each: impl FnMut(&gillnet_capture::Frame<'_>) -> bool,
) -> anyhow::Result<()> {
    loop {
        match source.next() {
            Ok(Event::Frame(frame)) => {
                if !each(&frame) {
                    return Ok(());
                }
            }
            Ok(Event::Tick(_)) => {}
            Ok(Event::End) => return Ok(()),
            Err(error) if error.is_fatal() => return Err(error.into()),
            Err(error) => tracing::warn!("{error}"),
        }
    }
}

fn frames(source: &mut dyn Source, output: &mut Output) -> anyhow::Result<()> {
    let mut decoder = Decoder::new(DecodeLimits::default());
    every_frame(source, |frame| {
        let direction = match frame.direction {
            PacketDirection::Unknown => "-",
            PacketDirection::In => "in",
            PacketDirection::Out => "out",
        };
        let out = output.buffer();
        // writing to a Vec cannot fail
        let _ = write!(
            out,
            "{} {} {direction} {:?} {}",
            Rfc3339(frame.ts),
            frame.iface,
            frame.link,
            frame.wire_len
        );
        let _ = match decoder.decode(frame) {
            Ok(p) => {
                let _ = write!(out, " {}:{} > {}:{}", p.src, p.sport, p.dst, p.dport);
                match p.l4 {
                    L4::Tcp(tcp) => writeln!(
                        out,
                        " tcp seq {} ack {} flags {:#04x} {} bytes",
                        tcp.seq,
                        tcp.ack,
                        tcp.flags,
                        p.payload.len()
                    ),
                    L4::Udp => writeln!(out, " udp {} bytes", p.payload.len()),
                }
            }
            Err(skip) => writeln!(out, " {skip:?}"),
        };
        output.spill()
    })
}

struct Show<'o> {
    output: &'o mut Output,
    next: u64,
}

impl StreamSink for Show<'_> {
    fn chunk(&mut self, flow: u32, chunk: &Chunk<'_>) {
        let head = chunk.data.get(..32).unwrap_or(chunk.data).escape_ascii();
        let _ = writeln!(
            self.output.buffer(),
            "{flow} {:?} +{} {} bytes {head}",
            chunk.dir,
            chunk.offset,
            chunk.data.len()
        );
        self.output.spill();
    }

    fn gap(&mut self, flow: u32, dir: Dir, missing: u64, _: i64) {
        let _ = writeln!(self.output.buffer(), "{flow} {dir:?} gap {missing} bytes");
    }

    fn half_close(&mut self, flow: u32, dir: Dir, _: i64) {
        let _ = writeln!(self.output.buffer(), "{flow} {dir:?} fin");
    }
}

impl FlowSink for Show<'_> {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    fn closed(&mut self, flow: u32, entry: &Flow, why: Close) {
        let ((a, ap), (b, bp)) = entry.ends();
        let _ = writeln!(
            self.output.buffer(),
            "{flow} closed {why:?} {a}:{ap} {b}:{bp}"
        );
    }
}

const RING: u64 = 64 << 20;

fn streams(source: &mut dyn Source, output: &mut Output) -> anyhow::Result<()> {
    let mut decoder = Decoder::new(DecodeLimits::default());
    let mut flows = Flows::new(FlowLimits::default());
    let mut ring = Ring::create(None, RING)?;
    let store: Store = ring.store();
    let mut show = Show { output, next: 0 };
    every_frame(source, |frame| {
        let Ok(packet) = decoder.decode(frame) else {
            return true;
        };
        flows.tick(frame.ts, &store, &mut show);
        let touch = flows.touch(&packet, frame.ts, &store, &mut show);
        if touch.duplicate {
            return true;
        }
        flows.get_mut(touch.flow).wanted = true;
        let header = FrameHeader::of(frame, NO_POS);
        let at = ring.append(&header, frame.data);
        let pos = packet.payload_off.map_or(NO_POS, |off| at + u64::from(off));
        flows.segment(touch, &packet, pos, frame.ts, &store, &mut show);
        show.output.spill()
    })?;
    flows.drain(&store, &mut show);
    Ok(())
}
