//! Each box on a capture.

use crate::fixtures;
use gillnet_testkit::{Pcap, pcap};

fn fixture(name: &str) -> Pcap {
    let is_it = |path: &&std::path::PathBuf| path.file_name().is_some_and(|file| file == name);
    pcap(fixtures().iter().find(is_it).unwrap())
}

#[test]
fn frames() {
    fixture("one_exchange.pcap").frames().check(
        "10.33.0.31:61959 > 120.52.183.165:80 tcp 0x18 1256301628 4032757599 231 bytes
         120.52.183.165:80 > 10.33.0.31:61959 tcp 0x18 4032757599 1256301859 227 bytes",
    );
    fixture("ipv4.pcap").frames().check(
        "10.0.0.1:58121 > 10.0.0.138:53 udp 32 bytes
         10.0.0.138:53 > 10.0.0.1:58121 udp 122 bytes",
    );
}

#[test]
fn streams() {
    fixture("missing_packet.pcap").streams().check(
        "0 > 0+1420
         0 > gap 1420
         0 > 2840+31
         0 > 2871+1420
         0 > 4291+1420
         0 > 5711+1420
         0 > 7131+1420
         0 > 8551+1397
         0 closed End 10.0.0.1:61541 81.218.72.15:80",
    );
    fixture("one_exchange.pcap").streams().check(
        "0 > 0+231
         0 < 0+227
         0 closed End 10.33.0.31:61959 120.52.183.165:80",
    );
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
