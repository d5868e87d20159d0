//! What responses teach about names.

use super::super::record::{Dns, Half};
use super::super::{answers, learn};
use super::build::{Build, wire};
use gillnet_entry::{Bump, Ctx, Nothing, Part};
use std::net::IpAddr;

fn learnt(message: &Build) -> Vec<String> {
    let mut lines = Vec::new();
    answers(&message.bytes, |name, ip, ttl| {
        lines.push(format!("{name} {ip} {ttl}"))
    });
    lines
}

#[test]
fn an_address_has_the_name_that_was_asked() {
    let message = Build::response(1, "www.example.org", 1)
        .answer(1, &[192, 0, 2, 1])
        .answer(
            28,
            &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
        );
    assert_eq!(
        learnt(&message),
        [
            "www.example.org 192.0.2.1 300",
            "www.example.org 2001:db8::1 300"
        ]
    );
}

#[test]
fn chains_are_followed_in_any_order() {
    let a = |b: Build| b.record(1, &wire("c.example.net"), 1, 1, 50, &[192, 0, 2, 1]);
    let last = |b: Build| b.record(1, &wire("B.example.net"), 5, 1, 20, &wire("c.example.net"));
    let first = |b: Build| {
        b.record(
            1,
            &wire("www.EXAMPLE.org"),
            5,
            1,
            600,
            &wire("b.example.net"),
        )
    };
    let ask = || Build::response(1, "www.example.org", 1);
    for message in [a(last(first(ask()))), first(last(a(ask())))] {
        assert_eq!(learnt(&message), ["www.example.org 192.0.2.1 20"]);
    }
}

#[test]
fn what_does_not_belong_teaches_nothing() {
    let other = Build::response(1, "www.example.org", 1).record(
        1,
        &wire("bank.example"),
        1,
        1,
        60,
        &[192, 0, 2, 9],
    );
    let elsewhere =
        Build::response(1, "www.example.org", 1).record(3, &[0xc0, 12], 1, 1, 60, &[192, 0, 2, 9]);
    let chaos =
        Build::response(1, "www.example.org", 1).record(1, &[0xc0, 12], 1, 3, 60, &[192, 0, 2, 9]);
    let failed = Build::new(1, 0x8183)
        .question("www.example.org", 1, 1)
        .answer(1, &[192, 0, 2, 9]);
    let query = Build::query(1, "www.example.org", 1).answer(1, &[192, 0, 2, 9]);
    for message in [other, elsewhere, chaos, failed, query] {
        assert_eq!(learnt(&message), [""; 0]);
    }
}

#[test]
fn a_ring_of_names_ends() {
    let ring = Build::response(1, "a.example", 1)
        .record(1, &wire("a.example"), 5, 1, 60, &wire("b.example"))
        .record(1, &wire("b.example"), 5, 1, 60, &wire("a.example"))
        .record(1, &wire("b.example"), 1, 1, 60, &[192, 0, 2, 1]);
    assert_eq!(learnt(&ring), ["a.example 192.0.2.1 60"]);
}

#[test]
fn only_what_was_asked_for_is_learnt() {
    let half = |message: Build| Half {
        len: 0,
        part: Part::Own(message.bytes.into()),
    };
    let response = half(Build::response(1, "a.example", 1).answer(1, &[192, 0, 2, 1]));
    let query = half(Build::query(1, "a.example", 1));
    let arena = Bump::new();
    let ctx = Ctx {
        store: &Nothing,
        arena: &arena,
    };
    let ips = |record: &Dns| {
        let mut ips: Vec<IpAddr> = Vec::new();
        learn(record, &ctx, |_, ip, _| ips.push(ip));
        ips.len()
    };
    assert_eq!(
        ips(&Dns {
            query: Some(query.clone()),
            response: Some(response.clone())
        }),
        1
    );
    assert_eq!(
        ips(&Dns {
            query: None,
            response: Some(response)
        }),
        0
    );
    assert_eq!(
        ips(&Dns {
            query: Some(query),
            response: None
        }),
        0
    );
}
