//! Dialogues, each told in every way a network could cut it.

use crate::testing::{Event, Outcome, Random, down, tell, tell_every_way, up};
use crate::{Config, Limits};
use gillnet_entry::Transport;
use gillnet_streams::Dir;

const SHORT: &[&str] = &["request.method", "request.url", "response.status"];

/// Asserts the entries of a dialogue in every cut, with bodies wanted and not.
#[track_caller]
fn check(events: &[Event], lines: &[&str]) {
    for bodies in [true, false] {
        let config = Config {
            bodies,
            ..Config::default()
        };
        let out = tell_every_way(events, &config, SHORT);
        assert_eq!(out.lines, lines, "bodies: {bodies}");
        assert_eq!(out.counts(), [], "bodies: {bodies}");
    }
}

/// What a dialogue gives when told whole.
fn whole(events: &[Event], fields: &[&str]) -> Outcome {
    tell(
        Transport::Tcp,
        events,
        &Config::default(),
        fields,
        true,
        |_| Vec::new(),
    )
}

/// Asserts given fields of the one entry of a dialogue in every cut.
#[track_caller]
fn check_fields(events: &[Event], fields: &[(&str, &str)]) {
    let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
    let values: Vec<&str> = fields.iter().map(|(_, value)| *value).collect();
    let out = tell_every_way(events, &Config::default(), &names);
    assert_eq!(out.lines.len(), 1, "{:?}", out.lines);
    let line = out.lines[0].splitn(4, ' ').nth(3).unwrap_or_default();
    assert_eq!(line, values.join(" "));
}

#[test]
fn a_request_and_its_response() {
    check(
        &[
            up("GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n"),
            down("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        ],
        &[r#"Up 1-2 32/43 "GET" "/a?b=c" 200"#],
    );
}

#[test]
fn keep_alive_and_bodies_both_ways() {
    check(
        &[
            up("POST /1 HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"),
            down("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"),
            up("PUT /2 HTTP/1.0\r\nContent-Length: 10\r\n\r\n01234"),
            up("56789"),
            down("HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noh"),
            down("no"),
            up("GET /3 HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"),
        ],
        &[
            r#"Up 1-2 42/43 "POST" "/1" 201"#,
            r#"Up 3-6 49/42 "PUT" "/2" 500"#,
            r#"Up 7-8 19/49 "GET" "/3" 304"#,
        ],
    );
}

#[test]
fn pipelining_pairs_in_order() {
    check(
        &[
            up("GET /1 HTTP/1.1\r\n\r\nHEAD /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n"),
            down(
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
            ),
        ],
        &[
            r#"Up 1-2 19/39 "GET" "/1" 200"#,
            r#"Up 1-2 20/38 "HEAD" "/2" 200"#,
            r#"Up 1-2 19/19 "GET" "/3" 204"#,
        ],
    );
}

#[test]
fn chunked_with_extensions_and_trailers() {
    let events = [
        up("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\"\r\nabc\r\n0\r\n\r\n"),
        down("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, Chunked\r\n\r\n5\r\nhello\r\n"),
        down("00A ; ext\r\n0123456789\r\n0\r\nX-Trailer: 1\r\nY: 2\r\n\r\n"),
        up("GET /2 HTTP/1.1\n\n"),
        down("HTTP/1.1 404 Not Found\nTransfer-Encoding: chunked\n\n2\nno\n0\n\n"),
    ];
    check(
        &events,
        &[
            r#"Up 1-3 66/111 "POST" "/" 200"#,
            r#"Up 4-5 17/59 "GET" "/2" 404"#,
        ],
    );
    let out = tell_every_way(
        &events,
        &Config::default(),
        &[
            "request.postData.text",
            "request.bodySize",
            "response.bodySize",
        ],
    );
    assert_eq!(out.lines[0], r#"Up 1-3 66/111 "abc" 3 15"#);
}

#[test]
fn interim_responses_are_not_final() {
    check(
        &[
            up("POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
            down("HTTP/1.1 100 Continue\r\n\r\n"),
            up("ab"),
            down(
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            ),
        ],
        &[r#"Up 1-4 62/38 "POST" "/" 200"#],
    );
}

#[test]
fn a_body_without_length_runs_until_the_end() {
    check(
        &[
            up("GET / HTTP/1.0\r\n\r\n"),
            down("HTTP/1.0 200 OK\r\n\r\nall"),
            down(" that follows\r\nHTTP/1.1 200 OK\r\n\r\n"),
            Event::End(Dir::Down),
            Event::Wait(0),
        ],
        &[r#"Up 1-3 18/56 "GET" "/" 200"#],
    );
}

#[test]
fn a_response_before_its_request_has_ended() {
    check(
        &[
            up("POST /big HTTP/1.1\r\nContent-Length: 100\r\n\r\nstart"),
            down("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n"),
            Event::End(Dir::Down),
            Event::End(Dir::Up),
        ],
        &[r#"Up 1-2 48/45 "POST" "/big" 413"#],
    );
}

#[test]
fn a_response_that_the_capture_put_before_its_request() {
    // told before the request, though it came later
    let mut events = vec![
        down("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        up("GET / HTTP/1.1\r\n\r\n"),
    ];
    check(
        &events,
        &[
            r#"Up 1 0/38 pair-not-found: response without request null null 200"#,
            r#"Up 2 18/0 pair-not-found: request without response "GET" "/" null"#,
        ],
    );
    events.insert(1, Event::Wait(-5_000_000));
    check(&events, &[r#"Up -2-1 18/38 "GET" "/" 200"#]);
}

#[test]
fn what_stays_alone() {
    check(
        &[
            up("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"),
            Event::End(Dir::Up),
        ],
        &[
            r#"Up 1 19/0 pair-not-found: request without response "GET" "/1" null"#,
            r#"Up 1 19/0 pair-not-found: request without response "GET" "/2" null"#,
        ],
    );
    check(
        &[
            down("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"),
            down("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            r#"Up 1 0/39 pair-not-found: response without request null null 200"#,
            r#"Up 2 0/38 pair-not-found: response without request null null 404"#,
        ],
    );
}

#[test]
fn a_request_waits_so_long_and_no_longer() {
    let out = whole(
        &[
            up("GET /1 HTTP/1.1\r\n\r\n"),
            Event::Wait(60_000_000_000),
            up("GET /2 HTTP/1.1\r\n\r\n"),
            Event::Wait(61_000_000_000),
            down("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            down("HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        SHORT,
    );
    assert_eq!(
        out.lines,
        [
            r#"Up 1 19/0 timeout: no response in time "GET" "/1" null"#,
            r#"Up 121005 0/38 pair-not-found: response without request null null 200"#,
            r#"Up 60003-121006 19/38 "GET" "/2" 201"#,
        ]
    );
}

#[test]
fn a_response_before_its_head_request_says_so() {
    check(
        &[
            up("GET / HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            Event::Wait(5_000_000),
            down("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n"),
            Event::Wait(-5_000_000),
            up("HEAD / HTTP/1.1\r\n\r\n"),
            Event::Wait(5_000_000),
            down("HTTP/1."),
        ],
        &[
            r#"Up 1-2 18/38 "GET" "/" 200"#,
            r#"Up 6-13 19/45 dissection: came before its request, so that what follows was taken for its body "HEAD" "/" 200"#,
        ],
    );
}

#[test]
fn a_response_may_last() {
    check(
        &[
            up("GET /events HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 200 OK\r\n\r\none"),
            Event::Wait(300_000_000_000),
            down("two"),
            Event::End(Dir::Down),
        ],
        &[r#"Up 1-300004 24/25 "GET" "/events" 200"#],
    );
}

#[test]
fn requests_that_wait_are_bounded() {
    let limits = Limits {
        pending: 2,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::default()
    };
    let events = [
        up("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\nGET /3 HTTP/1.1\r\n\r\n"),
        down("HTTP/1.1 200 OK\r\n\r\n"),
    ];
    let out = tell_every_way(&events, &config, SHORT);
    assert_eq!(out.counts(), [("pending-limit", 1)]);
    assert_eq!(
        out.lines,
        [
            r#"Up 1 19/0 pair-not-found: request without response "GET" "/1" null"#,
            r#"Up 2 0/19 pair-not-found: response without request null null 200"#,
            r#"Up 1 19/0 pair-not-found: request without response "GET" "/2" null"#,
            r#"Up 1 19/0 pair-not-found: request without response "GET" "/3" null"#,
        ]
    );
}

#[test]
fn a_tunnel_is_another_stream() {
    check(
        &[
            up("CONNECT a:80 HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 200 Established\r\nContent-Length: 7\r\n\r\n"),
            up("GET /inner HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ],
        &[
            r#"Up 1-2 25/47 "CONNECT" "a:80" 200"#,
            r#"Up 3-4 23/40 "GET" "/inner" 200"#,
        ],
    );
    check(
        &[
            up("CONNECT a:80 HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 407 Who\r\nContent-Length: 2\r\n\r\nno"),
            up("GET /b HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            r#"Up 1-2 25/41 "CONNECT" "a:80" 407"#,
            r#"Up 3-4 19/38 "GET" "/b" 200"#,
        ],
    );
}

#[test]
fn an_upgrade_hands_over() {
    for (name, drops) in [
        ("websocket", [("unidentified", 1)]),
        ("h2c", [("unidentified", 1)]),
    ] {
        let out = tell_every_way(
            &[
                up(format!(
                    "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: {name}\r\n\r\n"
                )),
                down(format!(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: {name}\r\n\r\n\x01\x02"
                )),
                up("GET /no HTTP/1.1\r\n\r\n"),
            ],
            &Config::default(),
            SHORT,
        );
        assert_eq!(out.lines.len(), 1);
        assert!(
            out.lines[0].ends_with(r#""GET" "/ws" 101"#),
            "{:?}",
            out.lines
        );
        assert_eq!(out.counts(), drops);
    }
    // what the protocol is is not known by name: its first bytes tell
    check(
        &[
            up("GET /ws HTTP/1.1\r\nUpgrade: other\r\n\r\n"),
            down("HTTP/1.1 101 S\r\nUpgrade: other\r\n\r\n"),
            up("GET /in HTTP/1.1\r\n\r\n"),
        ],
        &[
            r#"Up 1-2 36/34 "GET" "/ws" 101"#,
            r#"Up 3 20/0 pair-not-found: request without response "GET" "/in" null"#,
        ],
    );
}

#[test]
fn odd_heads() {
    check(
        &[
            up("\r\n\r\nget   /x y  HTTP/1.1\nHost : a\n\n"),
            down("\r\nHTTP/1.1 200\r\ncontent-length : 2\r\n\r\nhi"),
            up("BREW-IT http://pot/tea?x HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 418 I'm a teapot\r\nContent-Length: 2, 2\r\n\r\nhi"),
            up(
                "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            ),
            down("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            r#"Up 1-2 31/38 "get" "/x y" 200"#,
            r#"Up 3-4 37/53 "BREW-IT" "http://pot/tea?x" 418"#,
            r#"Up 5-6 71/38 "POST" "/" 200"#,
        ],
    );
    check(
        &[
            up("POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab"),
            down("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[r#"Up 1-2 59/38 dissection: conflicting Content-Length "POST" "/" 200"#],
    );
}

#[test]
fn other_protocols_are_not_http() {
    for text in [
        "RTSP/1.0 200 OK\r\n\r\n",
        "ICY 200 OK\r\n\r\n",
        "OPTIONS sip:a SIP/2.0\r\n\r\n",
        "SSH-2.0-x\r\n",
    ] {
        let out = tell_every_way(&[up(text), down(text)], &Config::default(), SHORT);
        assert_eq!(
            (out.lines.len(), out.counts()),
            (0, vec![("unidentified", 1)]),
            "{text}"
        );
    }
}

#[test]
fn picked_up_inside_a_body() {
    let out = whole(
        &[
            down("rest of a body\r\nthat began before"),
            down(" and more"),
            up("GET /2 HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ],
        SHORT,
    );
    assert_eq!(out.lines, [r#"Up 3-4 19/40 "GET" "/2" 200"#]);
    assert_eq!(out.counts(), []);
}

#[test]
fn the_side_that_did_not_open_may_ask() {
    check(
        &[
            down("GET / HTTP/1.1\r\n\r\n"),
            up("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[r#"Down 1-2 18/38 "GET" "/" 200"#],
    );
}

#[test]
fn a_gap_inside_a_body_is_counted_there() {
    check(
        &[
            up("POST / HTTP/1.1\r\nContent-Length: 10\r\n\r\n012"),
            Event::Gap(Dir::Up, 4),
            up("789"),
            down("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\n01"),
            Event::Gap(Dir::Down, 8),
            down("\r\n0\r\n\r\n"),
            up("GET /2 HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 200 OK\r\n\r\nab"),
            Event::Gap(Dir::Down, 100),
            down("cd"),
        ],
        &[
            r#"Up 1-6 45/59 missing 12 "POST" "/" 200"#,
            r#"Up 7-10 19/23 missing 100 "GET" "/2" 200"#,
        ],
    );
}

#[test]
fn a_gap_at_the_end_of_a_body_ends_it() {
    check(
        &[
            up("GET / HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"),
            Event::Gap(Dir::Down, 2),
            up("GET /2 HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 404 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            r#"Up 1-2 18/40 missing 2 "GET" "/" 200"#,
            r#"Up 4-5 19/38 "GET" "/2" 404"#,
        ],
    );
}

#[test]
fn behind_a_gap_pairing_starts_anew() {
    // the rest of the first response and the second are missing with the third request
    check(
        &[
            up("GET /1 HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"),
            Event::Gap(Dir::Down, 80),
            down("end of a lost one HTTP/1.1 \r\n"),
            Event::Gap(Dir::Up, 80),
            up("GET /4 HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 404 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            r#"Up 1-2 19/40 missing 2 "GET" "/1" 200"#,
            r#"Up 6-7 19/38 "GET" "/4" 404"#,
        ],
    );
    // one request, and a response that starts just behind the gap; a request sent after the packet behind it
    check(
        &[
            up("GET /1 HTTP/1.1\r\n\r\n"),
            Event::Gap(Dir::Down, 80),
            down("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            up("GET /2 HTTP/1.1\r\n\r\n"),
            Event::Gap(Dir::Down, 80),
            Event::Wait(10_000_000),
            up("GET /3 HTTP/1.1\r\n\r\n"),
            Event::Wait(-5_000_000),
            down("tail"),
            Event::Wait(6_000_000),
            down("HTTP/1.1 404 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            r#"Up 1-3 19/38 "GET" "/1" 200"#,
            r#"Up 4 19/0 pair-not-found: request without response "GET" "/2" null"#,
            r#"Up 17-22 19/38 "GET" "/3" 404"#,
        ],
    );
    check(
        &[
            up("GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n"),
            Event::Gap(Dir::Down, 80),
            down("x\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            r#"Up 1 19/0 pair-not-found: request without response "GET" "/1" null"#,
            r#"Up 1 19/0 pair-not-found: request without response "GET" "/2" null"#,
            r#"Up 3 0/38 pair-not-found: response without request null null 200"#,
        ],
    );
}

#[test]
fn each_gap_may_hide_responses() {
    check(
        &[
            up("GET /1 HTTP/1.1\r\n\r\n"),
            Event::Gap(Dir::Down, 80),
            down("tail"),
            up("GET /2 HTTP/1.1\r\n\r\n"),
            Event::Gap(Dir::Down, 80),
            down("tail"),
            up("GET /3 HTTP/1.1\r\n\r\n"),
            down("HTTP/1.1 404 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            r#"Up 1 19/0 pair-not-found: request without response "GET" "/1" null"#,
            r#"Up 4 19/0 pair-not-found: request without response "GET" "/2" null"#,
            r#"Up 7-8 19/38 "GET" "/3" 404"#,
        ],
    );
}

#[test]
fn a_head_that_is_cut_is_told_of() {
    for end in [Event::End(Dir::Down), Event::Gap(Dir::Down, 10)] {
        check(
            &[
                up("GET /1 HTTP/1.1\r\n\r\n"),
                down("HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX: "),
                end,
            ],
            &[r#"Up 1-2 19/39 dissection: head is cut short "GET" "/1" 200"#],
        );
    }
}

#[test]
fn nonsense_between_messages_is_passed_over() {
    let out = tell_every_way(
        &[
            up("GET /1 HTTP/1.1\r\n\r\n"),
            down(
                "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nstray {bytes}\r\nHTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
            ),
        ],
        &Config::default(),
        SHORT,
    );
    assert_eq!(
        out.lines,
        [
            r#"Up 1-2 19/38 "GET" "/1" 200"#,
            r#"Up 2 0/38 pair-not-found: response without request null null 404"#,
        ]
    );
    assert_eq!(out.counts(), [("lost", 1)]);
}

#[test]
fn a_head_has_a_limit() {
    let limits = Limits {
        head: 100,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::default()
    };
    let long = format!("GET /2 HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(200));
    let out = tell_every_way(
        &[
            up("GET /1 HTTP/1.1\r\n\r\n"),
            up(&long[..150]),
            up(&long[150..]),
        ],
        &config,
        SHORT,
    );
    assert_eq!(out.counts(), [("head-limit", 1)]);
    assert_eq!(
        out.lines,
        [r#"Up 1 19/0 pair-not-found: request without response "GET" "/1" null"#]
    );
    assert!(out.held < 4096);
}

#[test]
fn a_body_has_a_limit() {
    let limits = Limits {
        body: 8,
        ..Limits::default()
    };
    let config = Config {
        limits,
        ..Config::default()
    };
    let events = [
        up("POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n0123456789ab"),
        down("HTTP/1.1 200 OK\r\n\r\n0123456789"),
    ];
    let out = tell_every_way(
        &events,
        &config,
        &[
            "request.postData.text",
            "request.bodySize",
            "response.content.text",
        ],
    );
    assert_eq!(out.lines, [r#"Up 1-2 51/29 "01234567" 12 "MDEyMzQ1Njc=""#]);
    assert_eq!(out.counts(), [("body-limit", 2)]);
}

#[test]
fn bodies_that_nobody_wants_cost_nothing() {
    let config = Config {
        bodies: false,
        ..Config::default()
    };
    let mut events = vec![
        up("GET / HTTP/1.1\r\n\r\n"),
        down("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
    ];
    events.extend((0..100).map(|_| down([b'x'; 1000])));
    let out = tell(Transport::Tcp, &events, &config, SHORT, true, |_| {
        Vec::new()
    });
    assert_eq!(out.lines, [r#"Up 1-102 18/100043 "GET" "/" 200"#]);
    assert!(out.held < 1024, "{}", out.held);
}

#[test]
fn fields_of_a_request() {
    check_fields(
        &[
            up(
                "POST /a/b%20c?x=1&y=a+b&x=2 HTTP/1.1\r\nHost: h\r\nCookie: s=1; t=2\r\nX: 1\r\nx: 2\r\n\
                Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 7\r\n\r\nk=v&l=%",
            ),
            down("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        &[
            ("request.url", r#""/a/b%20c?x=1&y=a+b&x=2""#),
            ("request.targetUri", r#""/a/b%20c?x=1&y=a+b&x=2""#),
            ("request.path", r#""/a/b%20c""#),
            ("request.pathSegments", r#"["a","b%20c"]"#),
            ("request.httpVersion", r#""HTTP/1.1""#),
            ("request.cookies", r#"{"s":"1","t":"2"}"#),
            ("request.queryString", r#"{"x":["1","2"],"y":"a b"}"#),
            (
                "request.headers",
                r#"{"Host":"h","Cookie":"s=1; t=2","X":"1,2","Content-Type":"application/x-www-form-urlencoded","Content-Length":"7"}"#,
            ),
            ("request.headersSize", "147"),
            ("request.bodySize", "7"),
            (
                "request.postData.mimeType",
                r#""application/x-www-form-urlencoded""#,
            ),
            (
                "request.postData.params",
                r#"[{"name":"k","value":"v"},{"name":"l","value":"%"}]"#,
            ),
            ("request.postData.text", r#""k=v&l=%""#),
            ("response.httpVersion", r#""HTTP/1.0""#),
            ("response.content.text", r#""""#),
        ],
    );
}

#[test]
fn fields_of_a_response() {
    let body = zstd::encode_all(&b"hello"[..], 1).unwrap();
    let mut response = format!(
        "HTTP/1.1 302 Over There\r\nLocation: /there\r\nSet-Cookie: s=1; Path=/\r\nSet-Cookie: t=2\r\n\
        Content-Type: text/plain; charset=utf-8\r\nContent-Encoding: zstd\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    response.extend(&body);
    check_fields(
        &[up("GET / HTTP/1.1\r\n\r\n"), down(&response)],
        &[
            ("request.pathSegments", "[]"),
            ("request.queryString", "{}"),
            ("request.postData.text", "null"),
            ("response.status", "302"),
            ("response.statusText", r#""Over There""#),
            ("response.redirectURL", r#""/there""#),
            ("response.cookies", r#"{"s":"1","t":"2"}"#),
            ("response.bodySize", &body.len().to_string()),
            (
                "response.content.mimeType",
                r#""text/plain; charset=utf-8""#,
            ),
            ("response.content.size", "5"),
            ("response.content.encoding", r#""base64""#),
            ("response.content.text", r#""aGVsbG8=""#),
        ],
    );
}

#[test]
fn targets_in_all_forms() {
    for (target, path, query) in [
        ("/", "/", "{}"),
        ("/a?", "/a", "{}"),
        ("/a?b#c", "/a", r#"{"b":""}"#),
        ("http://host/a/b?c=d", "/a/b", r#"{"c":"d"}"#),
        ("http://host?c=d", "/", r#"{"c":"d"}"#),
        ("*", "*", "{}"),
        ("host:443", "host:443", "{}"),
        ("/a://b/c", "/a://b/c", "{}"),
    ] {
        let out = whole(
            &[up(format!("OPTIONS {target} HTTP/1.1\r\n\r\n"))],
            &["request.path", "request.queryString"],
        );
        assert!(
            out.lines[0].ends_with(&format!("\"{path}\" {query}")),
            "{target}: {:?}",
            out.lines
        );
    }
}

/// Whatever the bytes, it ends, breaks nothing and holds no more than its limits.
#[test]
fn mutated_dialogues() {
    let seeds: Vec<Vec<Event>> = vec![
        vec![
            up(
                "GET /a?b=c HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\n\r\n",
            ),
            down(
                "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\n\r\na\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
            ),
            up("CONNECT a:80 HTTP/1.1\r\n\r\n"),
            Event::Gap(Dir::Down, 7),
            down("HTTP/1.1 200 Established\r\n\r\n"),
            up("GET / HTTP/1.1\r\nUpgrade: x\r\n\r\n"),
            down("HTTP/1.1 101 S\r\nUpgrade: x\r\n\r\nHTTP/1.1 101 S\r\n\r\n"),
            Event::End(Dir::Up),
        ],
        vec![
            up(
                "POST /f HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 60\r\n\r\n--B\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--B--\r\n",
            ),
            down("HTTP/1.0 200 OK\r\nContent-Encoding: br\r\n\r\nall of it"),
            Event::End(Dir::Down),
        ],
    ];
    let limits = Limits {
        head: 4096,
        body: 4096,
        pending: 4,
        ..Limits::default()
    };
    let mut random = Random(7);
    for round in 0..6000 {
        let mut events = seeds[round % seeds.len()].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut events, &mut random);
        }
        let config = Config {
            limits: limits.clone(),
            bodies: round % 3 > 0,
            ..Config::default()
        };
        let cut = |bytes: &[u8]| vec![random.below(bytes.len() + 1)];
        let out = tell(Transport::Tcp, &events, &config, &[], round % 2 == 0, cut);
        assert!(
            out.held < 128 << 10,
            "{} bytes held in round {round}",
            out.held
        );
    }
}

fn mutate(events: &mut Vec<Event>, random: &mut Random) {
    let at = random.below(events.len());
    let other = events[random.below(events.len())].clone();
    match (random.below(6), &mut events[at]) {
        (0, _) => {
            events.remove(at);
            events.push(other);
        }
        (1, _) => events.insert(at, other),
        (2, _) => events.insert(
            at,
            Event::Gap(
                if random.below(2) == 0 {
                    Dir::Up
                } else {
                    Dir::Down
                },
                random.next() % 100,
            ),
        ),
        (_, Event::Say(_, bytes)) if !bytes.is_empty() => {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.next() as u8,
                1 => drop(bytes.drain(at..(at + random.below(20)).min(bytes.len()))),
                2 => bytes.insert(at, b"\r\n :;0fF"[random.below(8)]),
                _ => bytes[at] ^= 1 << random.below(8),
            }
        }
        _ => {}
    }
}

#[test]
fn a_record_that_left_its_shard() {
    use gillnet_entry::{Bump, Ctx, Nothing, Record};
    struct Kept(Option<Box<dyn Record>>);
    impl crate::EntrySink for Kept {
        fn entry(&mut self, emit: &crate::Emit<'_>) {
            // what is copied of head and body is limited
            self.0 = Some(emit.record.detach(&Nothing, 60));
        }
        fn count(&mut self, _: gillnet_entry::drops::Reason, _: u64) {}
    }
    let (mut stream, mut kept) = (crate::Stream::new(Transport::Tcp, (1, 80)), Kept(None));
    let body = "x".repeat(100);
    for (dir, text) in [
        (
            Dir::Up,
            "GET /path?q=1 HTTP/1.0\r\nX-One: 1\r\nx-one: 2\r\nHost: h\r\n\r\n".to_owned(),
        ),
        (
            Dir::Down,
            format!("HTTP/1.1 404 Not Here\r\nServer: s\r\nContent-Length: 100\r\n\r\n{body}"),
        ),
    ] {
        let chunk = gillnet_streams::Chunk {
            dir,
            data: text.as_bytes(),
            pos: u64::MAX,
            ts: 0,
            offset: 0,
        };
        stream.chunk(&chunk, &Nothing, &Config::default(), &mut kept);
    }
    let record = kept.0.unwrap();
    let arena = Bump::new();
    let ctx = Ctx {
        store: &Nothing,
        arena: &arena,
    };
    assert_eq!(
        (record.method(&ctx), record.summary(&ctx)),
        ("GET", "/path?q=1")
    );
    assert_eq!(
        (record.status(&ctx), record.ok(&ctx)),
        (("404", Some(404)), false)
    );
    assert_eq!((record.info().version, record.info().abbr), ("1.0", "HTTP"));
    let field = |name: &str| record.schema().json(name).unwrap();
    let headers = field("request.headers");
    for (key, ignore_case) in [
        ("X-One", false),
        ("x-one", true),
        ("X-Two", true),
        ("x-one", false),
    ] {
        let quick = record.key(headers, key, ignore_case, &ctx);
        assert_eq!(
            quick,
            record.get(headers, &ctx).key(key, ignore_case),
            "{key}"
        );
    }
    assert_eq!(
        record
            .key(field("response.headers"), "server", true, &ctx)
            .as_str(),
        Some("s")
    );
    assert_eq!(
        record
            .key(field("request.queryString"), "q", false, &ctx)
            .as_str(),
        Some("1")
    );
    let text = field("response.content.text");
    assert!(matches!(record.get(text, &ctx), gillnet_entry::Value::Bytes(b) if b.len() == 60));
    assert_eq!(
        record
            .get(record.schema().kfl2("http_version").unwrap(), &ctx)
            .as_str(),
        Some("HTTP/1.0")
    );
    assert_eq!(record.get(u16::MAX, &ctx), gillnet_entry::Value::Missing);
}
