//! Live capture in network namespaces that each test makes for itself and removes again.

#![allow(unsafe_code)]

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use super::*;

/// Two namespaces joined by a veth pair: 10.99.7.1 and 10.99.7.2 on `left0` and `right0`.
struct Pair {
    left: String,
    right: String,
}

fn ip(arguments: &str) {
    let done = Command::new("ip")
        .args(arguments.split(' '))
        .output()
        .expect("`ip` of the Debian package iproute2");
    assert!(
        done.status.success(),
        "ip {arguments}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
}

impl Pair {
    /// `None`, said, where this user may not make namespaces.
    fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let uid = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .unwrap()
            .split_whitespace()
            .next();
        if uid != Some("0") {
            eprintln!("SKIPPED: live capture is tested as root only");
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("gillnet-{}-{number}{side}", std::process::id());
        let pair = Self {
            left: name("l"),
            right: name("r"),
        };
        ip(&format!("netns add {}", pair.left));
        ip(&format!("netns add {}", pair.right));
        pair.link();
        Some(pair)
    }

    /// Makes the veth pair, with addresses, and sets it up.
    fn link(&self) {
        let Self { left, right } = self;
        ip(&format!(
            "link add left0 netns {left} type veth peer name right0 netns {right}"
        ));
        for (space, device, address) in [(left, "left0", 1), (right, "right0", 2)] {
            ip(&format!(
                "-n {space} addr add 10.99.7.{address}/24 dev {device}"
            ));
            ip(&format!("-n {space} link set lo up"));
            ip(&format!("-n {space} link set {device} up"));
        }
    }

    fn config(&self, space: &str, interface: &str, filter: &str) -> LiveConfig {
        LiveConfig {
            interfaces: vec![interface.to_owned()],
            netns: Some(path(space)),
            filter: Some(filter.to_owned()),
            ring_bytes: 8 << 20,
            ..LiveConfig::default()
        }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for space in [&self.left, &self.right] {
            let _ = Command::new("ip").args(["netns", "del", space]).status();
        }
    }
}

fn path(space: &str) -> PathBuf {
    PathBuf::from("/run/netns").join(space)
}

/// Runs something in a namespace, on a thread of its own.
fn within<T: Send>(space: &str, run: impl FnOnce() -> T + Send) -> T {
    let namespace = File::open(path(space)).unwrap();
    thread::scope(|scope| {
        let inside = || {
            kernel::enter(&namespace).unwrap();
            run()
        };
        scope.spawn(inside).join().unwrap()
    })
}

/// Sends frames as they are.
fn send(space: &str, device: &str, frames: &[Vec<u8>]) {
    within(space, || {
        let socket = Socket::new().unwrap();
        socket.bind(socket.index_of(device).unwrap()).unwrap();
        let mut socket = File::from(socket.into_fd());
        for frame in frames {
            assert_eq!(socket.write(frame).unwrap(), frame.len());
        }
    });
}

/// An Ethernet frame with tags, IPv4 and UDP to a port; the text is its payload.
fn udp_frame(tags: &[u16], port: u16, text: &str) -> Vec<u8> {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 9]);
    for tag in tags {
        frame.extend([0x81, 0x00]);
        frame.extend(tag.to_be_bytes());
    }
    frame.extend([0x08, 0x00, 0x45, 0]);
    frame.extend((28 + text.len() as u16).to_be_bytes());
    frame.extend([0, 1, 0, 0, 64, 17, 0, 0, 10, 99, 7, 1, 10, 99, 7, 2]);
    frame.extend(4000u16.to_be_bytes());
    frame.extend(port.to_be_bytes());
    frame.extend((8 + text.len() as u16).to_be_bytes());
    frame.extend([0, 0]);
    frame.extend(text.bytes());
    frame
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    interface: String,
    link: LinkType,
    direction: PacketDirection,
    data: Vec<u8>,
}

/// Reads until so many frames came, at most for so many ticks; what else happened is counted.
fn read(source: &mut LiveSource, wanted: usize) -> Vec<Seen> {
    let mut seen: Vec<(u32, Seen)> = Vec::new();
    let mut ticks = 0;
    while seen.len() < wanted && ticks < 200 {
        match source.next() {
            Ok(Event::Frame(frame)) => {
                assert!(frame.ts > 1_600_000_000_000_000_000 && frame.pos == NO_POS);
                assert_eq!(frame.wire_len as usize, frame.data.len());
                let one = Seen {
                    interface: String::new(),
                    link: frame.link,
                    direction: frame.direction,
                    data: frame.data.to_vec(),
                };
                seen.push((frame.iface, one));
            }
            Ok(Event::Tick(now)) => {
                assert!(now > 1_600_000_000_000_000_000);
                ticks += 1;
            }
            Ok(Event::End) => panic!("a live source does not end"),
            Err(error) => panic!("{error}"),
        }
    }
    let names = |number: u32| source.interfaces()[number as usize].clone();
    seen.into_iter()
        .map(|(number, one)| {
            assert_eq!(names(number).link, one.link);
            Seen {
                interface: names(number).name,
                ..one
            }
        })
        .collect()
}

/// Two ticks in a row: nothing more comes.
fn assert_silence(source: &mut LiveSource) {
    for _ in 0..2 {
        match source.next() {
            Ok(Event::Tick(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_frame_once_and_whole_on_a_named_interface() {
    let Some(pair) = Pair::new() else { return };
    let mut right =
        open_live(&pair.config(&pair.right, "right0", "udp port 5001 or 5002")).unwrap();
    let mut left = open_live(&pair.config(&pair.left, "left0", "udp port 5001")).unwrap();
    let frames: Vec<Vec<u8>> = (0..3000)
        .map(|n| udp_frame(&[], 5000 + n % 3, &"x".repeat(n as usize % 1400)))
        .collect();
    send(&pair.left, "left0", &frames);
    let chosen = |ports: &[u8]| {
        frames
            .iter()
            .filter(|frame| ports.contains(&frame[37]))
            .cloned()
            .collect::<Vec<_>>()
    };
    for (source, direction, name, ports) in [
        (&mut right, PacketDirection::In, "right0", &[0x89, 0x8a][..]),
        (&mut left, PacketDirection::Out, "left0", &[0x89]),
    ] {
        let expected = chosen(ports);
        let seen = read(source, expected.len());
        assert!(
            seen.iter()
                .all(|frame| frame.direction == direction && frame.interface == name)
        );
        assert!(
            seen.into_iter()
                .map(|frame| frame.data)
                .eq(expected.iter().cloned())
        );
        assert_silence(source);
        let stats = source.stats();
        assert_eq!(
            (stats.kernel_received, stats.kernel_dropped),
            (expected.len() as u64, 0)
        );
        assert_eq!(
            (stats.frames, source.stats().kernel_received),
            (expected.len() as u64, expected.len() as u64)
        );
    }
}

#[test]
fn vlan_tags_are_where_they_were() {
    let Some(pair) = Pair::new() else { return };
    let mut all =
        open_live(&pair.config(&pair.right, "right0", "ether src 02:00:00:00:00:09")).unwrap();
    let mut seven =
        open_live(&pair.config(&pair.right, "right0", "vlan 7 and udp port 5001")).unwrap();
    let mut inner =
        open_live(&pair.config(&pair.right, "right0", "vlan 7 and vlan 9 and udp port 5001"))
            .unwrap();
    let frames = vec![
        udp_frame(&[], 5001, "no tag"),
        udp_frame(&[7], 5001, "one"),
        udp_frame(&[0x6008], 5001, "with a priority"),
        udp_frame(&[7, 9], 5001, "two"),
        udp_frame(&[7], 5002, "another port"),
    ];
    send(&pair.left, "left0", &frames);
    let data = |seen: Vec<Seen>| seen.into_iter().map(|frame| frame.data).collect::<Vec<_>>();
    assert_eq!(data(read(&mut all, 5)), frames);
    assert_eq!(data(read(&mut seven, 1)), frames[1..2]);
    assert_eq!(data(read(&mut inner, 1)), frames[3..4]);
    for source in [&mut all, &mut seven, &mut inner] {
        assert_silence(source);
    }
}

/// A device whose frames have no link header: what is written to the file arrives on it.
fn tunnel(space: &str, name: &str) -> File {
    within(space, || {
        let file = File::options()
            .read(true)
            .write(true)
            .open("/dev/net/tun")
            .unwrap();
        // SAFETY: all zeros are a valid ifreq, and this request takes one.
        unsafe {
            let mut request: libc::ifreq = std::mem::zeroed();
            for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
                *to = from as libc::c_char;
            }
            request.ifr_ifru.ifru_flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
            assert_eq!(
                libc::ioctl(
                    std::os::fd::AsRawFd::as_raw_fd(&file),
                    libc::TUNSETIFF,
                    &request
                ),
                0
            );
        }
        file
    })
}

#[test]
fn any_has_an_interface_for_each_and_a_tunnels_frames_begin_with_ip() {
    let Some(pair) = Pair::new() else { return };
    let space = &pair.left;
    let mut tun7 = tunnel(space, "tun7");
    ip(&format!("-n {space} addr add 10.98.0.1/30 dev tun7"));
    ip(&format!("-n {space} link set tun7 up"));
    let mut source = open_live(&pair.config(space, ANY, "udp port 5001")).unwrap();
    within(space, || {
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.send_to(b"to itself", "127.0.0.1:5001").unwrap();
        socket
            .send_to(b"to the other end", "10.99.7.2:5001")
            .unwrap();
        socket
            .send_to(b"into the tunnel", "10.98.0.2:5001")
            .unwrap();
    });
    let arriving = &udp_frame(&[], 5001, "out of the tunnel")[14..];
    tun7.write_all(arriving).unwrap();
    let mut seen = read(&mut source, 4);
    seen.sort_by_key(|frame| {
        (
            frame.interface.clone(),
            frame.direction == PacketDirection::In,
        )
    });
    let summary: Vec<_> = seen
        .iter()
        .map(|frame| (&frame.interface[..], frame.link, frame.direction))
        .collect();
    let expected = [
        ("left0", LinkType::Ethernet, PacketDirection::Out),
        // loopback sends it, too: that sight is only counted
        ("lo", LinkType::Ethernet, PacketDirection::In),
        ("tun7", LinkType::Raw, PacketDirection::Out),
        ("tun7", LinkType::Raw, PacketDirection::In),
    ];
    assert_eq!(summary, expected);
    assert!(seen[1].data.ends_with(b"to itself"));
    assert!(seen[2].data[0] == 0x45 && seen[2].data.ends_with(b"into the tunnel"));
    assert_eq!(seen[3].data, arriving);
    assert_silence(&mut source);
    assert_eq!(source.stats().loopback_copies, 1);
}

#[test]
fn large_segments_come_whole() {
    const BYTES: usize = 4 << 20;
    let Some(pair) = Pair::new() else { return };
    let mut source = open_live(&pair.config(&pair.right, "right0", "tcp src port 5009")).unwrap();
    let listener = within(&pair.left, || {
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, 5009)).unwrap()
    });
    let mut client = within(&pair.right, || {
        TcpStream::connect("10.99.7.1:5009").unwrap()
    });
    let (mut server, _) = listener.accept().unwrap();
    let sender = thread::spawn(move || server.write_all(&vec![7; BYTES]).unwrap());
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    sender.join().unwrap();
    assert_eq!(got.len(), BYTES);
    // the stream's bytes are all there, whatever the segments, of which some may come twice
    let (mut first, mut missing, mut largest) = (None, vec![true; BYTES], 0);
    while missing.contains(&true) {
        let seen = read(&mut source, 1);
        let frame = &seen.first().expect("frames of the whole stream").data;
        let sequence = u32::from_be_bytes(*frame[38..].first_chunk().unwrap());
        let header = 14 + 20 + usize::from(frame[46] >> 4) * 4;
        // the first frame is the SYN, whose number is one before the first byte's
        let at = sequence
            .wrapping_sub(*first.get_or_insert(sequence))
            .saturating_sub(1) as usize;
        let payload = frame.len() - header;
        missing.get_mut(at..at + payload).unwrap().fill(false);
        largest = largest.max(frame.len());
    }
    assert!(largest > 9000, "no large segment was seen: {largest}");
    assert_eq!(source.stats().kernel_dropped, 0);
}

#[test]
fn frames_are_cut_to_the_snap_length() {
    let Some(pair) = Pair::new() else { return };
    let config = LiveConfig {
        snaplen: 60,
        ..pair.config(&pair.right, "right0", "udp port 5001")
    };
    let mut source = open_live(&config).unwrap();
    let frame = udp_frame(&[], 5001, &"x".repeat(500));
    send(&pair.left, "left0", std::slice::from_ref(&frame));
    loop {
        match source.next().unwrap() {
            Event::Frame(seen) => {
                assert_eq!(
                    (seen.data, seen.wire_len as usize),
                    (&frame[..60], frame.len())
                );
                break;
            }
            Event::Tick(_) => {}
            Event::End => panic!("a live source does not end"),
        }
    }
    assert_eq!(source.interfaces()[0].snaplen, 60);
}

/// The next thing that is not a tick, within a bounded number of them.
fn next_thing(source: &mut LiveSource) -> Result<Vec<u8>> {
    for _ in 0..200 {
        match source.next()? {
            Event::Frame(frame) => return Ok(frame.data.to_vec()),
            Event::Tick(_) => {}
            Event::End => panic!("a live source does not end"),
        }
    }
    panic!("nothing came");
}

/// Sends until a frame is seen: whether the source has noticed yet that the interface is back
/// can't be known from outside.
fn send_until_seen(pair: &Pair, source: &mut LiveSource, frame: &[u8]) {
    for _ in 0..100 {
        send(&pair.left, "left0", &[frame.to_vec()]);
        for _ in 0..2 {
            if let Event::Frame(seen) = source.next().unwrap() {
                assert_eq!(seen.data, frame);
                return;
            }
        }
    }
    panic!("no frame was seen after the interface came back");
}

#[test]
fn an_interface_may_go_and_come_back() {
    let Some(pair) = Pair::new() else { return };
    let mut source = open_live(&pair.config(&pair.right, "right0", "udp port 5001")).unwrap();
    let frame = udp_frame(&[], 5001, "hello");
    send(&pair.left, "left0", std::slice::from_ref(&frame));
    assert_eq!(next_thing(&mut source).unwrap(), frame);
    let gone = |source: &mut LiveSource, expected: &str| {
        // frames of before may still be in the ring
        let error = loop {
            if let Err(error) = next_thing(source) {
                break error;
            }
        };
        assert!(!error.is_fatal());
        assert!(
            matches!(&error, Error::InterfaceGone { interface, how } if interface == "right0" && *how == expected),
            "{error}"
        );
    };

    ip(&format!("-n {} link set right0 down", pair.right));
    gone(&mut source, "down");
    ip(&format!("-n {} link set right0 up", pair.right));
    send_until_seen(&pair, &mut source, &frame);

    ip(&format!("-n {} link del right0", pair.right));
    gone(&mut source, "away");
    while !matches!(source.next().unwrap(), Event::Tick(_)) {}
    pair.link();
    send_until_seen(&pair, &mut source, &frame);
    assert_eq!(source.stats().interfaces_lost, 2);
    assert_eq!(
        source.interfaces().len(),
        1,
        "under its name it is the same interface"
    );
}

#[test]
fn an_interface_that_is_down_is_waited_for() {
    let Some(pair) = Pair::new() else { return };
    ip(&format!("-n {} link set right0 down", pair.right));
    let mut source = open_live(&pair.config(&pair.right, "right0", "udp port 5001")).unwrap();
    let error = next_thing(&mut source).unwrap_err();
    assert!(
        matches!(error, Error::InterfaceGone { how: "down", .. }),
        "{error}"
    );
    ip(&format!("-n {} link set right0 up", pair.right));
    send_until_seen(&pair, &mut source, &udp_frame(&[], 5001, "hello"));
}

#[test]
fn what_is_wrong_is_said_with_the_mend() {
    let Some(pair) = Pair::new() else { return };
    let text = |config: &LiveConfig| {
        let error = open_live(config).unwrap_err();
        assert!(error.is_fatal());
        error.to_string()
    };
    let error = text(&pair.config(&pair.right, "eth77", ""));
    assert!(
        error.contains("no interface eth77") && error.contains("lo, right0"),
        "{error}"
    );
    let error = text(&pair.config(&pair.right, "a-name-far-too-long-for-linux", ""));
    assert!(error.contains("there are: lo, right0"), "{error}");
    let error = text(&pair.config(&pair.right, "right0", "tcp prt 80"));
    assert!(error.contains("\n  tcp prt 80\n      ^"), "{error}");
    let error = text(&pair.config("no-such-namespace", "lo", ""));
    assert!(error.contains("/run/netns/no-such-namespace"), "{error}");
    let error = text(&LiveConfig {
        ring_bytes: 1 << 50,
        ..pair.config(&pair.right, "right0", "")
    });
    assert!(error.contains("MiB say (capture.ring.size)"), "{error}");
    let error = text(&LiveConfig {
        interfaces: Vec::new(),
        ..LiveConfig::default()
    });
    assert!(error.contains("no interface"), "{error}");
}

/// A thread without capabilities is told what it lacks.
#[test]
fn without_the_capability() {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let opened = thread::spawn(|| {
        // version 3 of the interface; 0 is the calling thread, and no capability is left to it
        let (header, none) = (
            Header {
                version: 0x2008_0522,
                pid: 0,
            },
            [[0u32; 3]; 2],
        );
        // SAFETY: both pointers are to what this version of the call reads.
        assert_eq!(
            unsafe { libc::syscall(libc::SYS_capset, &header, &none) },
            0
        );
        open_live(&LiveConfig {
            interfaces: vec!["lo".to_owned()],
            ..LiveConfig::default()
        })
        .map(drop)
    });
    let error = opened.join().unwrap().unwrap_err();
    assert!(
        matches!(&error, Error::NotAllowed { interface } if interface == "lo"),
        "{error}"
    );
    assert!(error.to_string().contains("CAP_NET_RAW"));
}

/// The kernel checks programs before it takes them.
#[test]
fn the_kernel_takes_every_program() {
    let Some(_pair) = Pair::new() else { return };
    let socket = Socket::new().unwrap();
    for expression in crate::filter::EXPRESSIONS.lines() {
        let program = filter::compile(expression, 262_144).unwrap();
        socket
            .filter(&program)
            .unwrap_or_else(|error| panic!("{expression}: {error}"));
    }
}

#[test]
fn a_silent_interface_ticks() {
    let Some(pair) = Pair::new() else { return };
    let config = LiveConfig {
        tick: Duration::from_millis(5),
        ..pair.config(&pair.right, "right0", "ip proto 200")
    };
    let mut source = open_live(&config).unwrap();
    let mut last = 0;
    for _ in 0..20 {
        match source.next().unwrap() {
            Event::Tick(now) => {
                assert!(now >= last);
                last = now;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_kernel_passes_over_what_nobody_wants_any_more() {
    let Some(pair) = Pair::new() else { return };
    let mut source =
        open_live(&pair.config(&pair.right, "right0", "udp port 5001 or 5002")).unwrap();
    let frames: Vec<Vec<u8>> = (0..30).map(|n| udp_frame(&[], 5000 + n % 3, "x")).collect();
    let port = |seen: &[Seen]| {
        seen.iter()
            .map(|frame| frame.data[37])
            .collect::<BTreeSet<u8>>()
    };
    let mut sees = |wanted: &str, ports: &[u8]| {
        source.narrow(wanted).unwrap();
        send(&pair.left, "left0", &frames);
        let seen = read(&mut source, 10 * ports.len());
        assert_eq!(port(&seen), ports.iter().copied().collect(), "{wanted}");
        assert_silence(&mut source);
    };
    sees("", &[0x89, 0x8a]);
    // of what was asked for at first; not more
    sees("udp port 5002 or 5000", &[0x8a]);
    sees("udp port 5001", &[0x89]);
    sees("", &[0x89, 0x8a]);
    // what can't be told narrows nothing
    assert!(matches!(
        source.narrow("udp prt 7"),
        Err(Error::Filter { .. })
    ));
    source.narrow("udp port 5001").unwrap();
    assert!(source.narrow("udp prt 7").is_err());
    send(&pair.left, "left0", &frames);
    assert_eq!(port(&read(&mut source, 20)), [0x89, 0x8a].into());
}
