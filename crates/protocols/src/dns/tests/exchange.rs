//! Pairing and framing.

use super::build::{Build, wire};
use super::drive::Driver;
use crate::{AfterGap, Limits, Step};
use gillnet_entry::Transport;
use gillnet_streams::Dir::{Down, Up};

const SECOND: i64 = 1_000_000_000;

fn query(id: u16, name: &str) -> Vec<u8> {
    Build::query(id, name, 1).bytes
}

fn response(id: u16, name: &str) -> Vec<u8> {
    Build::response(id, name, 1)
        .answer(1, &[192, 0, 2, 1])
        .bytes
}

fn udp() -> Driver {
    Driver::new(Transport::Udp)
}

#[test]
fn a_query_and_its_response() {
    let mut driver = udp().wide();
    driver.feed(Down, &query(7, "example.org"));
    driver.feed(Up, &response(7, "example.org"));
    assert_eq!(driver.close(), ["A example.org 0  Down 1..Some(2) 29+45"]);
}

#[test]
fn each_id_has_its_own() {
    let mut driver = udp();
    for id in 0..100 {
        driver.feed(Up, &query(id, &format!("{id}.example")));
    }
    for id in (0..100).rev() {
        driver.feed(Down, &response(id, &format!("{id}.example")));
    }
    let lines = driver.close();
    let expected: Vec<_> = (0..100)
        .rev()
        .map(|id| format!("A {id}.example 0"))
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn a_query_sent_again_is_another_entry() {
    let mut driver = udp().wide();
    driver.feed(Up, &query(7, "example.org"));
    driver.feed(Up, &query(7, "example.org"));
    driver.feed(Down, &response(7, "example.org"));
    let expected = [
        "A example.org 0  Up 1..Some(3) 29+45",
        "A example.org - pair-not-found Up 2..None 29+0",
    ];
    assert_eq!(driver.close(), expected, "the answer is the first's");

    let mut driver = udp();
    for _ in 0..2 {
        driver.feed(Up, &query(7, "example.org"));
    }
    for _ in 0..2 {
        driver.feed(Down, &response(7, "example.org"));
    }
    assert_eq!(driver.close(), ["A example.org 0"; 2]);
}

#[test]
fn an_id_used_for_another_question_is_told_apart() {
    let mut driver = udp();
    driver.feed(Up, &query(7, "a.example"));
    driver.feed(Up, &query(7, "b.example"));
    driver.feed(Up, &query(7, "c.example"));
    driver.feed(Down, &response(7, "B.EXAMPLE"));
    driver.feed(Down, &response(7, "c.example"));
    assert_eq!(
        driver.close(),
        [
            "A b.example 0",
            "A c.example 0",
            "A a.example - pair-not-found"
        ]
    );
}

#[test]
fn a_response_without_question_answers_any() {
    let mut driver = udp();
    driver.feed(Up, &query(7, "a.example"));
    driver.feed(Down, &Build::new(7, 0x8181).bytes);
    assert_eq!(driver.close(), ["A a.example 1"]);
}

#[test]
fn a_response_captured_before_its_query_finds_it() {
    let mut driver = udp().wide();
    driver.feed(Down, &response(7, "a.example"));
    driver.feed(Up, &query(7, "a.example"));
    assert_eq!(driver.close(), ["A a.example 0  Up 2..Some(2) 27+43"]);

    let mut driver = udp();
    driver.feed(Down, &response(7, "a.example"));
    driver.tick(SECOND);
    assert_eq!(
        driver.lines(),
        ["A a.example 0 pair-not-found"],
        "it does not wait long"
    );
    driver.feed(Up, &query(7, "a.example"));
    assert_eq!(
        driver.close(),
        [
            "A a.example 0 pair-not-found",
            "A a.example - pair-not-found"
        ]
    );
}

#[test]
fn directions_are_told_apart() {
    let mut driver = udp();
    driver.feed(Up, &query(7, "a.example"));
    driver.feed(Up, &response(7, "a.example"));
    assert_eq!(
        driver.close(),
        [
            "A a.example - pair-not-found",
            "A a.example 0 pair-not-found"
        ]
    );
}

#[test]
fn what_waits_too_long_times_out() {
    let mut driver = udp();
    driver.feed(Up, &query(1, "a.example"));
    driver.now = 100 * SECOND;
    driver.feed(Up, &query(2, "b.example"));
    driver.tick(120 * SECOND);
    assert_eq!(driver.lines(), [""; 0]);
    driver.tick(120 * SECOND + 2);
    assert_eq!(driver.lines(), ["A a.example - timeout"]);
    driver.feed(Down, &response(2, "b.example"));
    assert_eq!(driver.close(), ["A a.example - timeout", "A b.example 0"]);
}

#[test]
fn limits_put_the_oldest_out_and_count_it() {
    let mut driver = udp();
    driver.limits = Limits {
        pending: 2,
        ..Limits::default()
    };
    for id in 1..=3 {
        driver.feed(Up, &query(id, &format!("{id}.example")));
    }
    assert_eq!(
        driver.lines(),
        ["pending-limit 1", "A 1.example - pair-not-found"]
    );

    let mut driver = udp();
    for _ in 0..1000 {
        driver.feed(Up, &query(7, "a.example"));
    }
    let cut = driver
        .lines()
        .iter()
        .filter(|line| *line == "pending-limit 1")
        .count();
    assert!(cut > 900, "{cut}");
    assert!(driver.dissector.held() < 64 << 10);
    assert_eq!(
        driver
            .close()
            .iter()
            .filter(|line| line.starts_with('A'))
            .count(),
        1000
    );
}

#[test]
fn what_is_no_message_is_counted_and_what_is_cut_says_so() {
    let mut driver = udp();
    driver.feed(Up, b"short");
    driver.feed(Up, &query(7, "a.example"));
    let whole = response(7, "a.example");
    driver.feed(Down, &whole[..whole.len() - 2]);
    assert_eq!(driver.close(), ["malformed 1", "A a.example 0 dissection"]);

    let mut driver = udp();
    driver.feed(Up, &query(7, "a.example"));
    // a server cuts what is too long for UDP, and says so
    let truncated = Build::new(7, 0x8380)
        .question("a.example", 1, 1)
        .answer(1, &[192, 0, 2, 1])
        .bytes;
    driver.feed(Down, &truncated[..truncated.len() - 2]);
    assert_eq!(driver.close(), ["A a.example 0"]);
}

#[test]
fn codes_of_edns_count() {
    let mut driver = udp();
    driver.feed(Up, &query(7, "a.example"));
    driver.feed(
        Down,
        &Build::response(7, "a.example", 1)
            .opt(0x0100_0000, &[])
            .bytes,
    );
    assert_eq!(driver.close(), ["A a.example 16"]);
}

#[test]
fn updates_and_notifications_are_exchanges_too() {
    let mut driver = udp();
    driver.feed(
        Up,
        &Build::new(1, 0x2800).question("example.org", 6, 1).bytes,
    );
    driver.feed(
        Down,
        &Build::new(1, 0xa805).question("example.org", 6, 1).bytes,
    );
    driver.feed(
        Down,
        &Build::new(2, 0x2400).question("example.org", 6, 1).bytes,
    );
    driver.feed(
        Up,
        &Build::new(2, 0xa400).question("example.org", 6, 1).bytes,
    );
    assert_eq!(driver.close(), ["SOA example.org 5", "SOA example.org 0"]);
}

/// Three queries and their responses in another order, as they go over TCP.
fn talk() -> (Vec<u8>, Vec<u8>) {
    let query = |id, name| Build::query(id, name, 1).framed();
    let response = |id, name: &str| {
        Build::response(id, name, 1)
            .answer(1, &[192, 0, 2, 1])
            .framed()
    };
    (
        [
            query(1, "a.example"),
            query(2, "b.example"),
            query(3, "c.example"),
        ]
        .concat(),
        [
            response(2, "b.example"),
            response(1, "a.example"),
            response(3, "c.example"),
        ]
        .concat(),
    )
}

#[test]
fn messages_on_tcp_may_be_cut_anywhere() {
    let (up, down) = talk();
    for piece in 1..=up.len() {
        let mut driver = Driver::new(Transport::Tcp);
        for bytes in up.chunks(piece) {
            driver.feed(Up, bytes);
        }
        for bytes in down.chunks(piece) {
            driver.feed(Down, bytes);
        }
        assert_eq!(
            driver.close(),
            ["A b.example 0", "A a.example 0", "A c.example 0"],
            "{piece}"
        );
    }
}

#[test]
fn both_directions_of_tcp_may_be_mixed() {
    let (up, down) = talk();
    let mut driver = Driver::new(Transport::Tcp);
    for (up, down) in up.chunks(5).zip(down.chunks(8)) {
        driver.feed(Up, up);
        driver.feed(Down, down);
    }
    assert_eq!(driver.close().len(), 3);
}

#[test]
fn sizes_on_tcp_count_the_length() {
    let mut driver = Driver::new(Transport::Tcp).wide();
    driver.feed(Up, &Build::query(1, "a.example", 1).framed());
    driver.feed(Down, &Build::response(1, "a.example", 1).framed());
    assert_eq!(driver.close(), ["A a.example 0  Up 1..Some(2) 29+29"]);
}

#[test]
fn the_thread_is_found_again() {
    let (up, _) = talk();
    let mut driver = Driver::new(Transport::Tcp);
    assert_eq!(driver.feed(Up, b"\x00\x03abc"), Step::Resync(5));
    assert_eq!(
        driver.feed(Up, &[[0, 20].as_slice(), &[0xff; 20]].concat()),
        Step::Resync(22)
    );
    driver.feed(Up, &up);
    assert_eq!(driver.close().len(), 3);
    let mut driver = Driver::new(Transport::Tcp);
    assert_eq!(driver.gap(Up, 10), AfterGap::Resync);
    driver.feed(Up, &up);
    assert_eq!(driver.close().len(), 3);
}

#[test]
fn a_message_whose_rest_never_comes_is_told_as_cut() {
    let framed = Build::response(1, "a.example", 1)
        .answer(1, &[192, 0, 2, 1])
        .framed();
    let mut driver = Driver::new(Transport::Tcp);
    driver.feed(Up, &Build::query(1, "a.example", 1).framed());
    assert_eq!(
        driver.feed(Down, &framed[..framed.len() - 4]),
        Step::Need(framed.len())
    );
    driver.last(Down);
    assert_eq!(driver.close(), ["A a.example 0 dissection"]);
    let mut driver = Driver::new(Transport::Tcp);
    driver.feed(Up, &framed[..5]);
    driver.last(Up);
    assert_eq!(driver.close(), ["malformed 1"]);
}

#[test]
fn a_zone_transfer_has_many_messages() {
    let soa = [wire("ns.example"), wire("admin.example"), vec![0; 20]].concat();
    let mut driver = Driver::new(Transport::Tcp);
    driver.feed(Up, &Build::query(9, "example", 252).framed());
    driver.feed(
        Down,
        &Build::response(9, "example", 252).answer(6, &soa).framed(),
    );
    driver.feed(
        Down,
        &Build::response(9, "example", 252)
            .answer(1, &[192, 0, 2, 1])
            .framed(),
    );
    driver.feed(
        Down,
        &Build::new(9, 0x8480)
            .record(1, &wire("example"), 6, 1, 60, &soa)
            .framed(),
    );
    assert_eq!(driver.close(), ["AXFR example 0", "AXFR example 0", "  0"]);
}
