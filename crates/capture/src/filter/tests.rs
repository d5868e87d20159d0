//! The compiler against libpcap: `tcpdump` and the machine for our programs choose the same frames
//! out of real captures.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::machine::{Known, run};
use super::{FrameFilter, check_filter, compile};
use crate::{
    Error, Event, Frame, Input, LinkType, NO_POS, PacketDirection, open_files,
    write::{PcapResolution, PcapWriter},
};

/// Frames of one link type, each numbered by its time in microseconds.
struct Frames {
    frames: Vec<(Vec<u8>, u32)>,
    pcap: PathBuf,
    _dir: tempfile::TempDir,
}

impl Frames {
    fn new(frames: Vec<(Vec<u8>, u32)>, link: u32) -> Self {
        assert!(frames.len() > 1000, "too few frames for a test");
        let dir = tempfile::tempdir().unwrap();
        let pcap = dir.path().join("frames.pcap");
        let mut writer = PcapWriter::new(Vec::new(), PcapResolution::Micro).unwrap();
        for (number, (data, wire_len)) in frames.iter().enumerate() {
            writer
                .frame(number as i64 * 1000, LinkType::Ethernet, *wire_len, data)
                .unwrap();
        }
        let mut bytes = writer.into_inner();
        bytes[20..24].copy_from_slice(&link.to_le_bytes());
        fs::write(&pcap, bytes).unwrap();
        Self {
            frames,
            pcap,
            _dir: dir,
        }
    }

    /// Numbers of the frames that tcpdump chooses; `None` where it refuses the expression.
    fn by_tcpdump(&self, expression: &str) -> Option<BTreeSet<usize>> {
        let tcpdump = Command::new("tcpdump")
            .arg("-r")
            .arg(&self.pcap)
            .args(["-n", "-w", "-", expression])
            .output()
            .expect("tcpdump, which this test needs, is in the Debian package of that name");
        if !tcpdump.status.success() {
            return None;
        }
        let reader = Box::new(std::io::Cursor::new(tcpdump.stdout));
        let mut source = open_files(vec![Input::Reader {
            name: "tcpdump".into(),
            reader,
        }])
        .unwrap();
        let mut numbers = BTreeSet::new();
        loop {
            match source.next() {
                Ok(Event::Frame(frame)) => assert!(numbers.insert((frame.ts / 1000) as usize)),
                Ok(Event::Tick(_)) => {}
                Ok(Event::End) => return Some(numbers),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn by_us(&self, expression: &str, hatype: u32) -> Result<BTreeSet<usize>, Error> {
        let program = compile(expression, 262_144)?;
        let chosen = self
            .frames
            .iter()
            .enumerate()
            .filter(|(_, (data, wire_len))| {
                run(
                    &program,
                    data,
                    Known {
                        hatype,
                        wire_len: *wire_len,
                        ..Known::default()
                    },
                ) > 0
            });
        Ok(chosen.map(|(number, _)| number).collect())
    }
}

/// Up to 120 Ethernet frames of each capture that is not a broken one.
fn ethernet() -> Frames {
    let mut frames = Vec::new();
    let folder = folder();
    for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
        if entry.file_name() == "hostile" || !entry.path().is_dir() {
            continue;
        }
        for file in fs::read_dir(entry.path()).unwrap().map(Result::unwrap) {
            let mut source = open_files(vec![Input::File(file.path())]).unwrap();
            let before = frames.len();
            while let Ok(event) = source.next() {
                match event {
                    Event::Frame(frame) if frame.link == LinkType::Ethernet => {
                        frames.push((
                            frame.data.to_vec(),
                            frame.wire_len.max(frame.data.len() as u32),
                        ));
                    }
                    Event::End => break,
                    Event::Frame(_) | Event::Tick(_) => {}
                }
                if frames.len() - before == 120 {
                    break;
                }
            }
        }
    }
    Frames::new(frames, 1)
}

fn folder() -> PathBuf {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures");
    std::env::var_os("GILLNET_CAPTURES").map_or(beside, PathBuf::from)
}

/// Expressions that libpcap takes too. Every primitive, every kind of qualifier and operator.
pub(crate) const EXPRESSIONS: &str = r"
tcp
udp
sctp
icmp
icmp6
igmp
ah
esp
vrrp
pim
arp
rarp
ip
ip6
stp
not tcp
!(tcp or udp)
! tcp && ! udp
tcp port 80
port 53
tcp port http
port domain or port https
udp port 53 or tcp port 80
tcp port 80 or tcp port 443 and host 10.0.0.1
tcp and not port 22
port 80 or 443
port 80 or 443 and not host 192.168.1.1
tcp port 80 or 443 or 8080
tcp port (80 or 443 or 8080)
not port 80 and not 443
src or dst port 53
dst or src port 53
src and dst port 53
tcp src port 80
udp dst port 53
sctp port 2905
portrange 1-1023
portrange 1023-1
tcp portrange 8000-9000
tcp src portrange 1024-65535
host 10.0.0.1
host 192.168.1.1 or 192.168.1.2
host 192.168.1.1 or 192.168.1.2 or 10.0.0.1 or port 53 or 80 or tcp or net 10.1.0.0/16 or 10.2.0.0/16
src host 192.168.1.1 or 192.168.1.2 or 192.168.1.3
src and dst host 10.0.0.1 or 10.0.0.2
not host 192.168.1.1 and 192.168.1.2
src 10.0.0.1
ip host 192.168.1.1
ip src 10.0.0.1
ip src or dst 10.0.0.1
arp host 10.0.0.1
arp src host 192.168.1.1
rarp host 10.0.0.1
net 10.0.0.0/8
net 10
net 192.168
net 192.168.1
src net 192.168.0.0/16
dst net 192.168.1.0/24
src and dst net 10.0.0.0/8
net 172.16.0.0 mask 255.240.0.0
net 0.0.0.0/0
arp net 192.168.0.0/16
ip6 net fe80::/10
net fe80::/10
net 2000::/3 and tcp
ip6 host fe80::1
host ::1
src host fe80::1 or dst host ff02::1
dst net ff00::/8
ip proto 47
ip proto \tcp
ip proto 6
ip6 proto 58
ip6 proto \udp
proto 132
proto \udp
ether proto 0x88cc
ether proto \arp
ether proto 0x86dd
ether proto \ip6
ether proto 0x42
ether broadcast
ether multicast
broadcast
multicast
ip multicast
ip6 multicast
ether host ff:ff:ff:ff:ff:ff
ether dst 01:00:5e:00:00:fb
ether src 00:00:00:00:00:00
ether host 00-00-00-00-00-00 or ff:ff:ff:ff:ff:ff
vlan
vlan 10
vlan and tcp
vlan and vlan
vlan and vlan and ip
vlan and (vlan or ip)
vlan and host 10.0.0.1
vlan 100 or vlan 200
tcp or vlan and tcp
mpls
mpls and tcp
mpls and mpls
mpls 16 or mpls
mpls and host 10.0.0.1
pppoed
pppoes
pppoes and ip
pppoes and tcp port 80
pppoes 1 and ip6
len > 1000
len <= 60
greater 200
less 100
len = 60 or len = 66
len - 14 = 46
tcp[tcpflags] & (tcp-syn|tcp-fin) != 0
tcp[tcpflags] & tcp-syn != 0 and tcp[tcpflags] & tcp-ack == 0
tcp[13] & 2 != 0
tcp[13] = 18
not tcp[13] & 2 != 0
tcp[((tcp[12] & 0xf0) >> 2):4] = 0x47455420
(tcp[12:1] & 0xf0) >> 2 > 20
port 80 and tcp[((tcp[12:1] & 0xf0) >> 2):4] = 0x48545450
ip[6:2] & 0x1fff != 0
ip[6:2] & 0x1fff = 0 and udp
ip[2:2] > 576
ip[8] < 64
ip[0] & 0xf != 5
ip[0] & 0xf > 5
icmp[icmptype] = icmp-echo
icmp[icmptype] != icmp-echo and icmp[icmptype] != icmp-echoreply
icmp[0] == 8
icmp6[0] == 135
icmp6[icmp6type] = icmp6-neighborsolicit or icmp6[0] = 136
ip6[6] = 17
ip6[40] = 128
arp[6:2] = 1
udp[8:2] = 0x0000
udp[4:2] >= 512
sctp[0:2] = 2905
ether[12:2] == 0x0800
ether[0] & 1 = 1
link[0] = 0
tcp[2:2] = 80 and tcp[0:2] > 1023
tcp[0:2] + 1 = 81
tcp[0:2] = tcp[2:2]
udp[0:2] = udp[2:2]
ip[12:4] = ip[16:4]
tcp port 80 and (((ip[2:2] - ((ip[0]&0xf)<<2)) - ((tcp[12]&0xf0)>>2)) != 0)
tcp[0:2] * 2 < 200
tcp[0:2] / 2 = 40
ip[2:2] % 8 = 0
ip[4:2] ^ 0xffff < 100
ip[1] | 3 = 3
1 = 1
1 + 1 = 2
0x10 = 020
ether[len - 1] = 0
ip[ip[0] & 15] = 0
tcp && !port 80 || udp
ip host 192.168.1.1 and not (port 53 or arp)
(tcp or udp) and (port 53 or port 5060)
((((tcp))))
icmp or (udp and (port 53 or (port 5353 and ip6)))
port 53 and host 8.8.8.8 and len < 100
(port 80)
(port 80 or 443) and (src or dst net 10)
";

#[test]
fn the_same_frames_as_libpcap_on_ethernet() {
    let frames = ethernet();
    let mut wrong = Vec::new();
    let mut empty = 0;
    for expression in EXPRESSIONS.lines().filter(|line| !line.is_empty()) {
        let Some(expected) = frames.by_tcpdump(expression) else {
            wrong.push(format!("{expression}: tcpdump refuses it"));
            continue;
        };
        empty += usize::from(expected.is_empty());
        match frames.by_us(expression, 1) {
            Ok(found) if found == expected => {}
            Ok(found) => {
                let example = found.symmetric_difference(&expected).next().unwrap();
                let (data, _) = &frames.frames[*example];
                let start = &data[..data.len().min(64)];
                wrong.push(format!(
                    "{expression}: {} for {}, e.g. {start:02x?}",
                    found.len(),
                    expected.len()
                ));
            }
            Err(error) => wrong.push(error.to_string()),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} frames\n{}",
        frames.frames.len(),
        wrong.join("\n")
    );
    assert!(empty < 40, "{empty} expressions choose nothing here");
}

#[test]
fn the_same_frames_as_libpcap_on_raw_ip() {
    let ip =
        |frame: &[u8]| matches!(frame[12..14], [0x08, 0x00] | [0x86, 0xdd]) && frame.len() > 14;
    let frames = ethernet()
        .frames
        .into_iter()
        .filter(|(data, _)| data.len() > 14 && ip(data));
    let frames = Frames::new(
        frames
            .map(|(data, wire_len)| (data[14..].to_vec(), wire_len - 14))
            .collect(),
        101,
    );
    for expression in EXPRESSIONS.lines().filter(|line| !line.is_empty()) {
        // libpcap refuses some, and looks for nothing where we say no
        let layer2 = [
            "arp",
            "ether",
            "vlan",
            "mpls",
            "pppoe",
            "stp",
            "link",
            "multicast",
            "broadcast",
        ];
        if layer2.iter().any(|word| expression.contains(word)) {
            continue;
        }
        let expected = frames.by_tcpdump(expression);
        assert_eq!(
            Some(frames.by_us(expression, 65534).unwrap()),
            expected,
            "{expression}"
        );
    }
}

/// A tag that the kernel set aside is found like one in the frame.
#[test]
fn a_vlan_tag_set_aside_is_like_one_in_the_frame() {
    let frames = ethernet();
    let expressions = [
        "vlan",
        "vlan 10",
        "vlan 100 and tcp",
        "vlan and tcp port 80",
        "vlan and vlan",
        "vlan and ip6",
        "vlan and not ip",
    ];
    let mut tagged = 0;
    for expression in expressions {
        let program = compile(expression, 100).unwrap();
        for (data, wire_len) in &frames.frames {
            if data.get(12..14) != Some(&[0x81, 0x00]) || data.len() < 18 {
                continue;
            }
            let known = Known {
                hatype: 1,
                wire_len: *wire_len,
                ..Known::default()
            };
            let tag = u32::from(u16::from_be_bytes([data[14], data[15]]));
            let stripped = [&data[..12], &data[16..]].concat();
            let aside = run(
                &program,
                &stripped,
                Known {
                    tag: Some(tag),
                    wire_len: wire_len - 4,
                    ..known
                },
            );
            assert_eq!(
                aside,
                run(&program, data, known),
                "{expression} {data:02x?}"
            );
            tagged += 1;
        }
    }
    assert!(tagged > 100, "{tagged}");
}

#[test]
fn what_only_the_kernel_knows() {
    let takes = |expression, known| run(&compile(expression, 100).unwrap(), &[0; 64], known) > 0;
    let known = Known {
        hatype: 1,
        wire_len: 64,
        ..Known::default()
    };
    assert!(takes(
        "outbound",
        Known {
            pkttype: 4,
            ..known
        }
    ));
    assert!(!takes(
        "inbound",
        Known {
            pkttype: 4,
            ..known
        }
    ));
    assert!(takes("inbound", known));
    assert!(takes(
        "ifindex 7",
        Known {
            ifindex: 7,
            ..known
        }
    ));
    assert!(!takes("ifindex 7", known));
    // of an unknown link only lengths are known
    let unknown = Known {
        hatype: 9999,
        ..known
    };
    assert!(
        takes("less 64", unknown)
            && !takes("tcp or ip or ether[0] = 0", unknown)
            && takes("not tcp", unknown)
    );
    assert!(takes("", unknown) && takes("  ", known));
}

/// Programs whose jumps are too far for one instruction.
#[test]
fn long_expressions() {
    let mut hosts: Vec<String> = (0..150)
        .map(|n| format!("host 10.1.{}.{}", n / 100, n % 100))
        .collect();
    let frame = |last: u8| {
        let mut frame = vec![0; 64];
        frame[12] = 8;
        frame[14] = 0x45;
        frame[26..30].copy_from_slice(&[10, 1, 1, last]);
        frame
    };
    let takes = |expression: &str, last| {
        let known = Known {
            hatype: 1,
            wire_len: 64,
            ..Known::default()
        };
        run(&compile(expression, 100).unwrap(), &frame(last), known) > 0
    };
    let any = hosts.join(" or ");
    assert!(takes(&any, 49) && takes(&any, 0) && !takes(&any, 50));
    let none = format!("not ({any}) and ip");
    assert!(!takes(&none, 49) && takes(&none, 50));
    let last = format!("({any}) and dst host 0.0.0.0");
    assert!(takes(&last, 10) && !takes(&last, 50));
    hosts.extend((0..500).map(|n| format!("host 10.2.{}.{}", n / 100, n % 100)));
    let error = check_filter(&hosts.join(" or ")).unwrap_err();
    assert!(
        error.to_string().contains("the kernel takes 4096"),
        "{error}"
    );
}

#[test]
fn a_wrong_expression_is_shown_where_it_is_wrong() {
    let cases = [
        ("tcp prt 80", 4, "`and`, `or` or the end"),
        ("tcp port", 8, "the expression ends where a port"),
        ("port 99999", 5, "at most 65535"),
        ("port no-such-service", 5, "no service"),
        ("host example.com", 5, "names are not looked up"),
        ("80", 0, "must stand before this"),
        ("foo", 0, "where a primitive"),
        ("tcp and", 7, "the expression ends"),
        ("(tcp or udp", 11, "`)`"),
        ("tcp) or udp", 3, "the end"),
        ("net 10.0.0.1/8", 4, "behind its prefix"),
        ("net 10.0.0.0/40", 13, "at most 32 bits"),
        ("net fe80::1/10", 4, "behind its prefix"),
        ("host 1:2:3:4", 5, "is no address"),
        ("tcp[0:3] = 1", 6, "1, 2 or 4"),
        ("tcp[0] ? 1", 7, "means nothing"),
        ("tcp[0]", 6, "a comparison"),
        ("ip[0] / 0 = 1", 6, "division by zero"),
        ("ip[0] << 40 = 1", 6, "shifted"),
        ("tcp host 10.0.0.1", 9, "tcp has no IPv4 addresses"),
        ("icmp port 80", 10, "icmp has no ports"),
        ("host 00:00:00:00:00:00", 5, "`ether` must stand"),
        ("vlan 5000", 5, "at most 4095"),
        ("gateway 10.0.0.1", 0, "not supported"),
        ("ip protochain 6", 3, "is expected"),
        ("esp[0] = 1", 0, "can't be looked at"),
        ("port 80 or tcp or 443", 18, "must stand before this"),
        ("ip[4294967290:4] = 0", 0, "31 bits"),
        ("port 99999999999", 5, "32 bits"),
    ];
    for (expression, expected, part) in cases {
        let error = check_filter(expression).unwrap_err();
        let text = error.to_string();
        let Error::Filter { position, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(position, expected, "{text}");
        assert!(text.contains(part), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2].find('^'), Some(2 + expected), "{text}");
        assert_eq!(&lines[1][2..], expression);
    }
    let deep = "(".repeat(5000) + "tcp" + &")".repeat(5000);
    assert!(check_filter(&deep).is_err());
    let deep = "not ".repeat(5000) + "tcp";
    assert!(check_filter(&deep).is_err());
    let long = "tcp[".repeat(1000);
    assert!(check_filter(&long).is_err());
    let long = "1+".repeat(20_000) + "1 = len";
    assert!(check_filter(&long).is_err());
    let long = "1+".repeat(1000) + "1 = len";
    check_filter(&long).unwrap();
}

/// Rubbish never panics, nor overflows the stack.
#[test]
fn rubbish_is_refused_or_compiled() {
    let words: Vec<&str> = EXPRESSIONS
        .split_whitespace()
        .chain(["[", "]", "(", ")", ":", "/", "-", "\\", "::", "é"])
        .collect();
    let mut state = 0x2545_f491_4f6c_dd1du64;
    let mut compiled = 0;
    for _ in 0..20_000 {
        let mut expression = String::new();
        state ^= state << 13;
        for _ in 0..state % 12 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            expression.push_str(words[state as usize % words.len()]);
            if state & 0x1000 != 0 {
                expression.push(' ');
            }
        }
        compiled += usize::from(check_filter(&expression).is_ok());
    }
    assert!(compiled > 100, "{compiled}");
}

/// Frames that are captured already begin with the header that their link type says.
#[test]
fn captured_frames_of_each_link() {
    let mut ip = vec![
        0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    ip.extend([0x9c, 0x40, 0, 80]);
    ip.resize(40, 0);
    let ethernet = [&[0; 12][..], &[8, 0]].concat();
    for (link, head) in [
        (LinkType::Ethernet, &ethernet[..]),
        (LinkType::Raw, &[]),
        (LinkType::Ipv4, &[]),
        (LinkType::Null, &[2, 0, 0, 0]),
        (LinkType::LinuxSll, &[0; 16]),
        (LinkType::LinuxSll2, &[0; 20]),
    ] {
        let data = [head, &ip].concat();
        let frame = Frame {
            ts: 0,
            iface: 0,
            link,
            direction: PacketDirection::Out,
            wire_len: data.len() as u32,
            data: &data,
            pos: NO_POS,
            comment: None,
        };
        let takes = |expression: &str| FrameFilter::new(expression).unwrap().takes(&frame);
        for yes in ["", "tcp dst port 80 and src host 10.0.0.1", "outbound"] {
            assert!(takes(yes), "{link:?} {yes}");
        }
        for no in ["udp", "host 10.0.0.3", "inbound"] {
            assert!(!takes(no), "{link:?} {no}");
        }
    }
}
