//! Vendor calls against emulators that others wrote (Google Cloud Storage, S3, Azure, Kafka) and
//! against sinks that check what they get.

// helpers of tests may panic as tests do
#![allow(clippy::unwrap_used)]

#[path = "vendor/clouds.rs"]
mod clouds;
#[path = "vendor/doors.rs"]
mod doors;
#[path = "vendor/kafka.rs"]
mod kafka;
#[path = "vendor/limits.rs"]
mod limits;
#[path = "vendor/services.rs"]
mod services;
#[path = "vendor/sink.rs"]
mod sink;
#[path = "vendor/stores.rs"]
mod stores;
#[path = "vendor/tls.rs"]
mod tls;

use std::{collections::HashMap, fs::File, io::Write};

use gillnet_scripts::vendor::{Config, Content, Node, Upload, Vendors};
use gillnet_testkit::emulators;
use serde_json::{Map, Value};

/// A node of tests, with nothing of this process's environment.
fn config() -> Config {
    let node = Node {
        name: "node-1".to_owned(),
        ip: "10.0.0.1".to_owned(),
        run: "00c0ffee00c0ffee".to_owned(),
    };
    Config {
        variables: HashMap::new(),
        google: gillnet_bucket::Environment::default(),
        ..Config::new(node)
    }
}

/// Vendors that may reach these hosts.
fn allowing(hosts: &[&str]) -> Vendors {
    let mut config = config();
    config.allow_hosts = hosts.iter().map(|&host| host.to_owned()).collect();
    Vendors::new(config).unwrap()
}

/// Vendors with one endpoint in another's place.
fn with_endpoint(vendor: &str, url: &str) -> Vendors {
    let mut config = config();
    config.endpoints.insert(vendor.to_owned(), url.to_owned());
    Vendors::new(config).unwrap()
}

fn map(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap()
}

fn bytes(name: &str, content: impl Into<Vec<u8>>) -> Upload {
    Upload {
        name: name.to_owned(),
        content: Content::Bytes(content.into().into()),
    }
}

/// An open file with that content.
fn file(name: &str, content: &[u8]) -> Upload {
    let mut path = tempfile::NamedTempFile::new().unwrap();
    path.write_all(content).unwrap();
    Upload {
        name: name.to_owned(),
        content: Content::File(File::open(path.path()).unwrap()),
    }
}
