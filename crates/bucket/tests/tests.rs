//! The bucket against the real emulator of Google Cloud Storage behind the proxy, against folders,
//! and packet objects in tshark's eyes.

// helpers of tests may panic as tests do
#![allow(clippy::unwrap_used)]

#[path = "tests/frames.rs"]
mod frames;
#[path = "tests/gcs.rs"]
mod gcs;
#[path = "tests/identity.rs"]
mod identity;
#[path = "tests/packets.rs"]
mod packets;
#[path = "tests/proxy.rs"]
mod proxy;
#[path = "tests/recordings.rs"]
mod recordings;
#[path = "tests/selection.rs"]
mod selection;
