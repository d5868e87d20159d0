//! Frames to streams: decode, flow table, TCP reassembly.
//!
//! Three boxes, each driven alone by a test on a capture: [`decode`] turns a frame into a [`decode::Packet`]
//! of the innermost flow, [`flow`] finds the flow and says whether the packet is a copy seen elsewhere, and
//! TCP reassembly (behind [`flow::Flows::segment`]) puts payloads in order and hands out [`Chunk`]s without a
//! hole, gaps and the end of each direction.
//!
//! The loop of a shard is, for each frame: [`decode::Decoder::decode`], [`flow::Flows::tick`],
//! [`flow::Flows::touch`]; where the packet is no duplicate and its flow is wanted, the frame is appended to
//! the byte store and [`flow::Flows::segment`] called. At the end of the source: [`flow::Flows::drain`].
//!
//! Nothing here panics on any input, and nothing is allocated for a packet in order.

mod addr;
mod chunk;
mod clock;
pub mod decode;
pub mod flow;
mod tcp;

pub use addr::Addr;
pub use chunk::{Chunk, Close, Dir, StreamSink};
