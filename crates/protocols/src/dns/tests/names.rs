//! Names: compression, limits, escapes.

use super::super::wire::Name;
use super::build::wire;

fn read(bytes: &[u8], at: usize) -> Option<(String, usize)> {
    Name::read(bytes, at).map(|(name, end)| (name.to_string(), end))
}

/// Names stand behind a header.
fn behind_header(rest: &[u8]) -> Vec<u8> {
    [&[0; 12], rest].concat()
}

#[test]
fn names_are_followed_backwards() {
    let message = behind_header(b"\x07example\x03org\x00\x03www\xc0\x0c\x01a\xc0\x19\xc0\x1f");
    assert_eq!(read(&message, 12), Some(("example.org".into(), 25)));
    assert_eq!(read(&message, 25), Some(("www.example.org".into(), 31)));
    assert_eq!(read(&message, 31), Some(("a.www.example.org".into(), 35)));
    assert_eq!(read(&message, 35), Some(("a.www.example.org".into(), 37)));
    assert_eq!(read(&message, 24), Some((".".into(), 25)));
}

#[test]
fn loops_and_leaps_forward_are_refused() {
    for (rest, at) in [
        (&b"\xc0\x0c"[..], 12),     // to itself
        (b"\xc0\x0e\xc0\x0c", 14),  // to and fro
        (b"\x01a\xc0\x0c", 12),     // round and round
        (b"\x01a\xc0\x0c", 14),     // into such a round
        (b"\xc0\x0e\x01a\x00", 12), // forward
        (b"\x01a\xc0\x00", 12),     // into the header
        (b"\x01a\xc0\xff", 12),     // out of the message
        (b"\x01a\xc0", 12),         // cut
        (b"\x01a", 12),             // without an end
        (b"\x05ab", 12),            // a label cut
        (b"\x41a\x00", 12),         // label types that are none
        (b"\x81a\x00", 12),
        (b"", 12),
        (b"\x00", 99),
    ] {
        assert_eq!(
            read(&behind_header(rest), at),
            None,
            "{}",
            rest.escape_ascii()
        );
    }
}

#[test]
fn a_name_has_255_bytes_at_most() {
    let label = |n: usize| [&[u8::try_from(n).unwrap()][..], &vec![b'x'; n]].concat();
    let name = |last: usize| {
        behind_header(&[label(63), label(63), label(63), label(last), vec![0]].concat())
    };
    assert!(read(&name(61), 12).is_some());
    assert!(read(&name(62), 12).is_none());
    // the same through a pointer: 2 + 253 bytes
    let longer = |first: &[u8]| [name(61), first.to_vec(), b"\xc0\x0c".to_vec()].concat();
    assert!(read(&longer(b""), 12 + 255).is_some());
    assert!(read(&longer(b"\x01a"), 12 + 255).is_none());
    assert_eq!("a.".repeat(127).len() + 1, 255);
    assert!(read(&behind_header(&wire(&"a.".repeat(127))), 12).is_some());
    assert!(read(&behind_header(&wire(&"a.".repeat(128))), 12).is_none());
}

#[test]
fn jumps_are_limited() {
    let mut message = behind_header(b"\x00");
    let mut ends = vec![12u16];
    for _ in 0..200 {
        let at = u16::try_from(message.len()).unwrap();
        message.extend((0xc000 | ends.last().unwrap()).to_be_bytes());
        ends.push(at);
    }
    assert!(read(&message, usize::from(ends[127])).is_some());
    assert!(read(&message, usize::from(ends[128])).is_none());
}

#[test]
fn letters_are_escaped_as_dig_does() {
    let label = b"a b.c;d\\e\"f(g)h@i$j*_-\x00\x7f\xff";
    let mut bytes = vec![u8::try_from(label.len()).unwrap()];
    bytes.extend(label);
    bytes.extend(b"\x03ORG\x00");
    let shown = read(&behind_header(&bytes), 12).unwrap().0;
    assert_eq!(
        shown,
        r#"a\032b\.c\;d\\e\"f\(g\)h\@i\$j*_-\000\127\255.ORG"#
    );
}

#[test]
fn case_does_not_count() {
    let message = behind_header(b"\x01a\x03ORG\x00\x01A\x03org\x00\x01b\x03org\x00");
    let name = |at| Name::read(&message, at).unwrap().0;
    assert!(name(12).same(name(19)));
    assert!(!name(12).same(name(26)));
    assert!(!name(12).same(name(14)));
}
