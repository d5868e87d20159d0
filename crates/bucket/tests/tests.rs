//! The bucket against emulators of Google Cloud Storage (behind the proxy), S3 and Azure, against folders,
//! and packet objects in tshark's eyes.

// helpers of tests may panic as tests do
#![allow(clippy::unwrap_used)]

#[path = "tests/cloud_identity.rs"]
mod cloud_identity;
#[path = "tests/clouds.rs"]
mod clouds;
#[path = "tests/door.rs"]
mod door;
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
