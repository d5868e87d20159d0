//! Each box on a capture.

use crate::fixtures;
use gillnet_testkit::{Pcap, pcap};

fn fixture(name: &str) -> Pcap {
    let is_it = |path: &&std::path::PathBuf| path.file_name().is_some_and(|file| file == name);
    pcap(fixtures().iter().find(is_it).unwrap())
}

#[test]
fn frames() {
    fixture("one_exchange.pcap").frames().check("");
}

#[test]
fn streams() {
    fixture("missing_packet.pcap").streams().check("");
}

#[test]
fn entries() {
    let all = fixture("nginx_and_python.pcap").entries();
    let errors = fixture("nginx_and_python.pcap").filtered("http and response.status == 404");
    assert!(!errors.is_empty() && errors.len() < all.len());
    assert!(errors.iter().all(|entry| entry.contains("\"status\":404")));
    assert!(errors.iter().all(|entry| all.contains(entry)));
}

#[test]
fn mapped_or_in_a_ring() {
    for path in fixtures() {
        let mapped = pcap(&path).entries();
        assert_eq!(
            pcap(&path).in_ring(1 << 20).entries(),
            mapped,
            "{}",
            path.display()
        );
    }
}
