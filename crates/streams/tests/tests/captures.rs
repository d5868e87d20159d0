//! Real captures: what decode finds is what tshark finds, but for what is listed here with its reason.

use std::path::{Path, PathBuf};

use gillnet_capture::{Event, Input, NO_POS, Ring, open_files};
use gillnet_streams::decode::Decoder;
use gillnet_streams::flow::{FlowLimits, Flows};

use crate::rig::Log;

/// The folder of captures: `GILLNET_CAPTURES`, or beside the workspace.
fn folder() -> PathBuf {
    match std::env::var_os("GILLNET_CAPTURES") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures"),
    }
}

/// Why counts differ from tshark's.
const LINK: &str = "a link type that is not decoded (Cisco HDLC, PPP, PPI, ARCNET, IPoIB, NFLOG)";
const OUTER: &str = "tshark counts the UDP packets of VXLAN and Geneve beside those inside";
const GTP: &str = "GTP-U is not followed; tshark counts what is inside beside it";
const LISP: &str = "LISP is not followed; tshark counts what is inside beside it";
const CAPWAP: &str = "CAPWAP is not followed; tshark counts what is inside beside it";
const COMPRESSED: &str = "IPComp is not unpacked";
const BIG: &str = "tshark 4.0 does not know IPv6 packets whose length has no room in the header";
const BOGUS: &str = "garbage that tshark reports as TCP with a bogus header length";

/// Captures whose counts differ from tshark's: file, TCP and UDP packets by decode, and why.
#[rustfmt::skip]
const DIFFERENT: &[(&str, u64, u64, &str)] = &[
    ("diameter/open5gs__ipsec_reg.pcapng", 684, 298, GTP),
    ("diameter/open5gs__ipsec_to_ipsec_call.pcapng", 162, 1460, GTP),
    ("diameter/open5gs__nonipsec_reg.pcapng", 595, 228, GTP),
    ("diameter/open5gs__srsenb.pcapng", 2, 1892, GTP),
    ("diameter/open5gs__volte.pcapng", 30, 298, GTP),
    ("http1/libpcap__ah-ipcomp-ipv4.pcap", 6, 0, COMPRESSED),
    ("http1/libpcap__ah-ipcomp-ipv6.pcap", 8, 0, COMPRESSED),
    ("http1/ndpi__false_positives.pcapng", 0, 120, GTP),
    ("icmp/pcpp__ipv6.pcap", 0, 35, LISP),
    ("icmp/pcpp__ipv6.pcapng", 0, 35, LISP),
    ("l4/pcpp__ciscohdlc.pcap", 0, 0, LINK),
    ("l4/tcpdump__bigtcp-ipv6.pcap", 1, 0, BIG),
    ("mixed/5g-trace-visualizer__n3_example.pcap", 0, 92, GTP),
    ("mixed/5g-trace-visualizer__n3_example_2.pcap", 0, 10, GTP),
    ("mixed/deepflow__decapsulate_test.pcap", 0, 0, OUTER),
    ("mixed/deepflow__geneve.pcap", 0, 0, OUTER),
    ("mixed/deepflow__ip6-vxlan.pcap", 1, 0, OUTER),
    ("mixed/libpcap__arcnet-rfc1051-arp-icmp-http.pcap", 0, 0, LINK),
    ("mixed/libpcap__arcnet-rfc1201-arp-icmp-http.pcap", 0, 0, LINK),
    ("mixed/libpcap__geneve.pcap", 8, 0, OUTER),
    ("mixed/libpcap__http_ppi.pcap", 0, 0, LINK),
    ("mixed/ndpi__bgp_cisco_hdlc_slarp.pcap", 0, 0, LINK),
    ("mixed/ndpi__bgp_redist.pcap", 0, 0, LINK),
    ("mixed/ndpi__capwap.pcap", 0, 397, CAPWAP),
    ("mixed/ndpi__capwap_data.pcapng", 0, 14, CAPWAP),
    ("mixed/ndpi__ip_fragmented_garbage.pcap", 2, 0, BOGUS),
    ("mixed/ndpi__ipv6_in_gtp.pcap", 0, 2, GTP),
    ("mixed/ndpi__ja3_lots_of_cipher_suites_2_anon.pcap", 0, 27, GTP),
    ("mixed/ndpi__rtmp.pcap", 26, 34, GTP),
    ("mixed/ndpi__someip_sd_sample.pcap", 0, 0, LINK),
    ("mixed/ndpi__vxlan.pcap", 119, 8, OUTER),
    ("mixed/pcpp__gtp.pcap", 0, 7, GTP),
    ("mixed/pcpp__nflogpacket.pcap", 0, 0, LINK),
    ("mixed/pcpp__vxlan1.pcap", 0, 0, OUTER),
    ("mixed/pcpp__vxlan2.pcap", 0, 0, OUTER),
    ("mixed/tcpdump__arcnet-rfc1051-arp-icmp-http.pcap", 0, 0, LINK),
    ("mixed/tcpdump__arcnet-rfc1201-arp-icmp-http.pcap", 0, 0, LINK),
    ("mixed/tcpdump__geneve-gcp.pcap", 1, 0, OUTER),
    ("mixed/tcpdump__geneve.pcap", 33, 0, OUTER),
    ("mixed/tcpdump__gso-ipv4-geneve-ipv6.pcap", 1, 0, OUTER),
    ("mixed/tcpdump__gso-ipv6-geneve-ipv6.pcap", 1, 0, OUTER),
    ("mixed/tcpdump__ipoib.pcap", 0, 0, LINK),
    ("mixed/tcpdump__lspping-fec-ldp.pcap", 0, 0, LINK),
    ("mixed/tcpdump__lspping-fec-rsvp.pcap", 0, 0, LINK),
    ("mixed/tcpdump__mpls-traceroute.pcap", 0, 0, LINK),
    ("mixed/tcpdump__nflog.pcap", 0, 0, LINK),
    ("mixed/tcpdump__vxlan.pcap", 0, 0, OUTER),
];

struct Counts {
    frames: u64,
    tcp: u64,
    udp: u64,
}

/// Runs a capture through decode, table and reassembly.
fn run(path: &Path) -> Counts {
    let mut source = open_files(vec![Input::File(path.to_owned())]).unwrap();
    let store = source
        .store()
        .unwrap_or_else(|| Ring::create(None, 1 << 20).unwrap().store());
    let mut decoder = Decoder::default();
    let mut flows = Flows::new(FlowLimits::default());
    let mut log = Log::default();
    loop {
        let frame = match source.next() {
            Ok(Event::Frame(frame)) => frame,
            Ok(Event::Tick(now)) => {
                flows.tick(now, &store, &mut log);
                continue;
            }
            Ok(Event::End) => break,
            Err(_) => continue,
        };
        flows.tick(frame.ts, &store, &mut log);
        let Ok(packet) = decoder.decode(&frame) else {
            continue;
        };
        let touch = flows.touch(&packet, frame.ts, &store, &mut log);
        if !touch.duplicate {
            let pos = match packet.payload_off {
                Some(off) if frame.pos != NO_POS => frame.pos + u64::from(off),
                _ => NO_POS,
            };
            flows.segment(touch, &packet, pos, frame.ts, &store, &mut log);
        }
    }
    flows.drain(&store, &mut log);
    assert_eq!(flows.live(), 0, "{}", path.display());
    assert_eq!(flows.held_bytes(), 0, "{}", path.display());
    let (c, f) = (decoder.counters(), flows.counters());
    assert_eq!((c.tcp, c.udp), (f.tcp_packets, f.udp_packets));
    let skipped = c.link_type + c.not_ip + c.malformed + c.transports() + c.nesting;
    let fragments = c.fragments_held + c.fragments_refused;
    assert_eq!(
        c.frames,
        c.tcp + c.udp + skipped + fragments,
        "{}",
        path.display()
    );
    Counts {
        frames: c.frames,
        tcp: c.tcp,
        udp: c.udp,
    }
}

#[test]
fn counts_are_those_of_tshark() {
    let folder = folder();
    let Ok(manifest) = std::fs::read_to_string(folder.join("MANIFEST.tsv")) else {
        panic!("no captures at {}: set GILLNET_CAPTURES", folder.display());
    };
    let mut wrong = Vec::new();
    let mut checked = 0;
    for line in manifest.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let (file, truth) = (columns[0], columns[7]);
        let counts = run(&folder.join(file));
        let truth: serde_json::Value = serde_json::from_str(truth).unwrap_or_default();
        let number = |name: &str| truth.get(name).and_then(|n| n.as_u64()).unwrap_or(0);
        if file.starts_with("hostile/") || truth.get("error").is_some() {
            continue;
        }
        checked += 1;
        let tshark = (number("tcp_packets"), number("udp_packets"));
        let (expected, why) = match DIFFERENT.iter().find(|different| different.0 == file) {
            Some((_, tcp, udp, why)) => ((*tcp, *udp), *why),
            None => (tshark, "as tshark"),
        };
        assert!(
            why == "as tshark" || expected != tshark,
            "{file} does not differ"
        );
        if (counts.tcp, counts.udp) != expected {
            wrong.push(format!(
                "{file}: {} of {} frames: TCP {} UDP {}, expected {expected:?}: {why}",
                counts.tcp + counts.udp,
                counts.frames,
                counts.tcp,
                counts.udp
            ));
        }
    }
    assert!(checked > 100, "only {checked} captures");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
