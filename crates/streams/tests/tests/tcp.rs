//! Reassembly on scripted packets.

use gillnet_streams::flow::FlowLimits;

use crate::rig::{Rig, check, check_with, play};

const OPEN: &str = "
    0 > S  99 0
    1 < SA 499 100
    2 > A  100 500
";

/// A script that goes on behind a handshake: data up begins at 100, down at 500.
#[track_caller]
fn opened(script: &str, expected: &str) -> Rig {
    check(&format!("{OPEN}{script}"), expected)
}

#[test]
fn in_order_and_closed_by_both() {
    let rig = opened(
        "3 > A  100 500 hello
         4 < A  500 105 world!
         5 > FA 105 506
         6 < FA 506 106
         7 > A  106 507
         tick 20
         tick 40",
        ">0 hello
         <0 world!
         > end
         < end
         closed Fin",
    );
    assert_eq!(rig.flows.live(), 0);
    assert_eq!(rig.flows.counters().retransmitted, 0);
    assert_eq!(rig.flows.counters().gaps, 0);
}

#[test]
fn data_with_fin_and_simultaneous_close() {
    opened(
        "3 > FA 100 500 bye
         3 < FA 500 100 too
         4 > A  104 504
         4 < A  504 104
         drain",
        ">0 bye
         > end
         <0 too
         < end
         closed Fin",
    );
}

#[test]
fn nothing_comes_behind_the_end() {
    opened(
        "3 > FA 103 500
         4 > A 100 500 abcdef
         5 > A 106 500 ghi
         tick 2000",
        ">0 abc\n> end",
    );
    // with a piece of it held
    opened(
        "3 > FA 103 500
         3 > A 101 500 bc
         4 > A 100 500 abcdef
         4 > A 103 500 def",
        ">0 a\n>1 bc\n> end",
    );
}

#[test]
fn a_sender_that_does_not_count_its_syn() {
    opened(
        "3 > A  99  499 hello
         4 < A  499 99  world
         5 > A  104 499 !
         drain",
        ">0 hello
         <0 world
         >5 !
         closed End",
    );
    // a keep-alive before any data is none
    opened(
        "3 > A  99  500 x
         4 > A  100 500 hello
         drain",
        ">0 hello
         closed End",
    );
}

#[test]
fn half_closed_goes_on() {
    opened(
        "3 > FA 100 500
         4 < A  500 101 one
         5 > A  101 503
         900 < A  503 101 two
         901 < FA 506 101
         drain",
        "> end
         <0 one
         <3 two
         < end
         closed Fin",
    );
}

#[test]
fn the_last_acknowledgement() {
    let closing = "3 > FA 100 500\n4 < FA 500 101\n";
    // comes a round trip later, and belongs to the flow
    let rig = opened(
        &format!("{closing}300 > A 101 501\ntick 310\ntick 330"),
        "> end\n< end\nclosed Fin",
    );
    assert_eq!(rig.flows.counters().opened, 1);
    // never comes
    let rig = opened(&format!("{closing}tick 9000"), "> end\n< end");
    assert_eq!(rig.flows.live(), 1);
    opened(&format!("{closing}tick 10100"), "> end\n< end\nclosed Fin");
    // data on its way when the connection was reset
    let rig = opened(
        "3 > RA 100 500\n200 < A 500 100 late\ntick 400\ntick 600",
        "<0 late\nclosed Reset",
    );
    assert_eq!(rig.flows.counters().opened, 1);
}

#[test]
fn reset_and_data_behind_it() {
    opened(
        "3 > A  100 500 abc
         4 < RA 500 103
         5 > A  103 500 def
         tick 550",
        ">0 abc
         >3 def
         closed Reset",
    );
    // a reset's own text is no data; one far outside of the window is not believed
    opened("3 > RA 100 500 text\ntick 550", "closed Reset");
    let rig = opened("3 > R 300000000 0\ntick 550", "");
    assert_eq!(rig.flows.counters().stray, 1);
    // refused
    check("0 > S 99 0\n1 < RA 0 100\ntick 550", "closed Reset");
}

#[test]
fn out_of_order() {
    let rig = opened(
        "3 > A 105 500 fghij
         3 > A 115 500 pqrst
         4 > A 110 500 klmno
         5 > A 100 500 abcde
         6 > A 120 500 uvwxy",
        ">0 abcde
         >5 fghij
         >10 klmno
         >15 pqrst
         >20 uvwxy",
    );
    assert_eq!(rig.flows.counters().reordered, 3);
    assert_eq!(rig.flows.held_bytes(), 0);
}

#[test]
fn first_come_wins() {
    // what was delivered stays
    let rig = opened("3 > A 100 500 abcd\n4 > A 102 500 XXef", ">0 abcd\n>4 ef");
    assert_eq!(rig.flows.counters().retransmitted_bytes, 2);
    // of held ones the older win: before, behind, around, inside
    opened(
        "3 > A 104 500 efgh
         4 > A 106 500 XXij
         4 > A 102 500 cdXX
         4 > A 105 500 X
         5 > A 100 500 abXXXXXXXXkl",
        ">0 ab
         >2 cd
         >4 efgh
         >8 ij
         >10 kl",
    );
    opened(
        "3 > A 102 500 c
         3 > A 104 500 e
         3 > A 106 500 g
         4 > A 101 500 bXdXfXh
         5 > A 100 500 a",
        ">0 a\n>1 b\n>2 c\n>3 d\n>4 e\n>5 f\n>6 g\n>7 h",
    );
}

#[test]
fn retransmissions_and_probes_are_counted_only() {
    let rig = opened(
        "3 > A 100 500 abc
         4 > A 100 500 abc
         5 < A 500 103
         6000 > A 102 500
         6001 < A 500 103
         7000 > A 102 500 c
         7001 < A 500 103
         7002 > A 103 500 def",
        ">0 abc\n>3 def",
    );
    assert_eq!(rig.flows.counters().retransmitted, 3);
    assert_eq!(rig.flows.counters().retransmitted_bytes, 4);
}

#[test]
fn sequence_numbers_wrap() {
    check(
        "0 > S  4294967293 0
         1 < SA 4294967295 4294967294
         2 > A  4294967294 0 abcd
         3 > A  4 0 ghij
         4 > A  2 0 ef
         5 < A  0 8 xyz
         6 > FA 8 3
         7 < FA 3 9
         drain",
        ">0 abcd
         >4 ef
         >6 ghij
         <0 xyz
         > end
         < end
         closed Fin",
    );
}

#[test]
fn a_hole_that_the_peer_acknowledged() {
    // three more packets from behind it, and a millisecond
    opened(
        "3 > A 100 500 ab
         3 > A 105 500 fg
         3 < A 500 107
         3 > A 107 500 hi
         3 > A 109 500 jk
         4 > A 111 500 lm",
        ">0 ab
         > gap 3
         >5 fg
         >7 hi
         >9 jk
         >11 lm",
    );
    // or many more
    let more: String = (0..64)
        .map(|i| format!("3 > A {} 500 x\n", 107 + i))
        .collect();
    let rig = opened(&format!("3 > A 105 500 fg\n3 < A 500 107\n{more}"), &{
        let bytes: String = (0..64).map(|i| format!(">{} x\n", 7 + i)).collect();
        format!("> gap 5\n>5 fg\n{bytes}")
    });
    assert_eq!(rig.flows.held_bytes(), 0);
    // or ten milliseconds
    let silent = "
         3 > A 100 500 ab
         3 > A 105 500 fg
         4 < A 500 107";
    opened(silent, ">0 ab");
    opened(&format!("{silent}\ntick 13"), ">0 ab");
    opened(&format!("{silent}\ntick 16"), ">0 ab\n> gap 3\n>5 fg");
    // the acknowledgement was captured first
    let rig = opened(
        "3 < A 500 102
         3 > A 100 500 ab
         4 < A 500 108
         4 > A 102 500 cd
         4 > A 104 500 ef
         4 > A 106 500 gh
         tick 100",
        ">0 ab\n>2 cd\n>4 ef\n>6 gh",
    );
    assert_eq!(rig.flows.counters().gaps, 0);
    // late data moves the grace
    opened(
        "3 < A 500 104
         12 > A 100 500 ab
         20 > A 102 500 cd
         tick 100",
        ">0 ab\n>2 cd",
    );
    // nothing behind it: acknowledged, never seen
    opened("3 < A 500 110\ntick 20", "> gap 10");
    // acknowledged in part: the rest may still come
    opened(
        "3 > A 110 500 xyz
         4 < A 500 105
         tick 16
         20 > A 105 500 fghij",
        "> gap 5\n>5 fghij\n>10 xyz",
    );
}

#[test]
fn a_hole_that_nobody_acknowledges_waits() {
    opened(
        "3 > A 105 500 fgh
         tick 900
         tick 1010",
        "> gap 5\n>5 fgh",
    );
    // what comes too late is dropped
    let rig = opened(
        "3 > A 105 500 fgh
         tick 1010
         1011 > A 100 500 abcde",
        "> gap 5\n>5 fgh",
    );
    assert_eq!(rig.flows.counters().retransmitted_bytes, 5);
    // each hole waits since what is behind it came
    opened(
        "3 > A 105 500 fgh
         503 > A 110 500 klm
         tick 1010
         tick 1400
         tick 1510",
        "> gap 5\n>5 fgh\n> gap 2\n>10 klm",
    );
    // the end too
    opened("3 > FA 103 500\ntick 1010", "> gap 3\n> end");
}

#[test]
fn the_end_gives_up_holes() {
    opened(
        "3 > A 102 500 cd
         3 > A 106 500 gh
         3 > FA 110 500
         3 < A 502 100 yz
         drain",
        "> gap 2
         >2 cd
         > gap 2
         >6 gh
         > gap 2
         > end
         < gap 2
         <2 yz
         closed End",
    );
    opened(
        "3 > A 102 500 cd
         4 > R 100 0
         tick 550",
        "> gap 2\n>2 cd\nclosed Reset",
    );
}

#[test]
fn what_the_snap_length_cut() {
    let rig = opened(
        "3 > A 100 500 ab +3
         4 > A 105 500 fg
         5 > A 112 500 mn +2
         6 > A 107 500 +5
         7 > FA 116 500",
        ">0 ab
         > gap 3
         >5 fg
         > gap 5
         >12 mn
         > gap 2
         > end",
    );
    assert_eq!(rig.flows.counters().cut_bytes, 10);
    assert_eq!(rig.flows.counters().gap_bytes, 10);
}

#[test]
fn what_the_ring_overwrote() {
    let rig = opened(
        "3 > A 102 500 cd
         lose
         4 > A 104 500 ef
         5 > A 100 500 ab",
        ">0 ab\n> gap 2\n>4 ef",
    );
    assert_eq!(rig.flows.counters().overwritten_bytes, 2);
}

#[test]
fn bytes_in_no_store_are_kept_while_held() {
    let mut rig = Rig::new(FlowLimits::default());
    rig.store = false;
    play(&mut rig, OPEN);
    play(
        &mut rig,
        "3 > A 102 500 cd\n4 > A 101 500 bX\n5 > A 100 500 a",
    );
    assert_eq!(rig.log.lines, [">0 a", ">1 b", ">2 cd"]);
}

#[test]
fn picked_up_in_the_middle() {
    // by its first bytes
    check(
        "0 > A 700 900 abc
         1 < A 900 703 xyz
         2 > A 703 903 def",
        ">0 abc\n<0 xyz\n>3 def",
    );
    // an acknowledgement tells that earlier bytes are missing: they are only late, or lost
    let late = "
         0 > A 700 900 abc
         1 < A 905 703 fgh";
    check(
        &format!("{late}\n2 < A 900 703 abcde"),
        ">0 abc\n<0 abcde\n<5 fgh",
    );
    check(&format!("{late}\ntick 1500"), ">0 abc\n< gap 5\n<5 fgh");
    // the acknowledgement is captured before what it acknowledges
    check(
        "0 > A 700 910
         1 < A 900 700 abcdefghij
         2 < A 910 700 klm",
        "<0 abcdefghij\n<10 klm",
    );
    // keep-alives do not mislead
    check(
        "0 > A 699 900
         1 < A 900 700
         2 > A 700 900 abc
         3 < A 900 703 xyz",
        ">0 abc\n<0 xyz",
    );
    check("0 > A 699 900\n1 > A 700 900 abc", ">0 abc");
    // only one direction is seen
    check(
        "0 > A 700 900 abc
         1 > A 703 950 def
         2 > FA 706 999
         drain",
        ">0 abc\n>3 def\n> end\nclosed End",
    );
    // the SYN was missed
    check(
        "0 < SA 499 100
         1 > A  100 500 abc
         2 < A  500 103 xyz",
        ">0 abc\n<0 xyz",
    );
}

#[test]
fn fast_open_and_second_answers() {
    check(
        "0 > S  99 0 abc
         1 < SA 499 103
         2 > A  103 500 def",
        ">0 abc\n>3 def",
    );
    // the data of the SYN was not taken and comes again
    check(
        "0 > S  99 0 abc
         1 < SA 499 100
         2 > A  100 500 abcdef",
        ">0 abc\n>3 def",
    );
    // answered anew with another number
    check(
        "0 > S  99 0
         1 < SA 499 100
         2 < SA 7999 100
         3 > A  100 8000 abc
         4 < A  8000 103 xyz",
        ">0 abc\n<0 xyz",
    );
    // both open at once
    check(
        "0 > S  99 0
         0 < S  499 0
         1 > SA 99 500
         1 < SA 499 100
         2 > A  100 500 abc
         3 < A  500 103 xyz",
        ">0 abc\n<0 xyz",
    );
}

#[test]
fn a_new_connection_on_the_same_ports() {
    let again = "
         20 > S  5099 0
         21 < SA 7499 5100
         22 > A  5100 7500 new
         23 < A  7500 5103 too
         drain";
    opened(
        &format!("3 > A 100 500 old\n{again}"),
        ">0 old\nclosed Replaced\n>0 new\n<0 too\nclosed End",
    );
    // the old one has just ended
    opened(
        &format!("3 > FA 100 500\n4 < FA 500 101\n{again}"),
        "> end\n< end\nclosed Fin\n>0 new\n<0 too\nclosed End",
    );
    // from the other side
    opened(
        "3 > A 100 500 old
         4 < A 500 103 odd
         20 < S 7499 0
         drain",
        ">0 old\n<0 odd\nclosed Replaced\nclosed End",
    );
    // a SYN that is only sent again is no new connection
    opened(
        "3 > S 99 0\n4 > A 100 500 abc\n5 > S 99 0\n6 > A 103 500 def",
        ">0 abc\n>3 def",
    );
}

#[test]
fn limits_of_held_bytes() {
    let limits = FlowLimits {
        held_flow: 120,
        ..FlowLimits::default()
    };
    let rig = check_with(
        limits,
        &format!("{OPEN}3 > A 102 500 cd\n3 > A 106 500 gh\n3 > A 110 500 kl\n4 > A 112 500 mn"),
        "> gap 2\n>2 cd\n> gap 2\n>6 gh\n> gap 2\n>10 kl\n>12 mn",
    );
    assert_eq!(rig.flows.counters().reorder_cuts, 1);
    assert_eq!(rig.flows.held_bytes(), 0);
}

#[test]
fn strays_do_not_drag_a_stream_along() {
    // one segment far ahead is not believed
    let rig = opened(
        "3 > A 100 500 abc
         4 > A 900000000 500 zzz
         5 > A 103 500 def
         tick 1500
         1501 > A 106 500 ghi",
        ">0 abc\n>3 def\n>6 ghi",
    );
    assert_eq!(rig.flows.counters().stray, 1);
    // nor an acknowledgement
    opened(
        "3 < A 500 900000000\ntick 100\n101 > A 100 500 abc",
        ">0 abc",
    );
    // two are: capture lost that much
    opened(
        "3 > A 900000000 500 xy
         4 > A 900000002 500 z
         tick 1500",
        "> gap 899999900\n>899999900 xy\n>899999902 z",
    );
}

#[test]
fn copies_elsewhere_are_not_taken_twice() {
    // out and in of loopback
    let rig = check(
        "0 > S  99 0 @1o
         0 > S  99 0 @1i
         1 < SA 499 100 @1o
         1 < SA 499 100 @1i
         2 > A  100 500 @1o
         2 > A  100 500 @1i
         3 > A  100 500 abc @1o
         3 > A  100 500 abc @1i
         4 > A  100 500 abc @1o
         4 > A  100 500 abc @1i
         5 > FA 103 500 @1o
         5 > FA 103 500 @1i",
        ">0 abc\n> end",
    );
    assert_eq!(rig.flows.counters().duplicates, 6);
    assert_eq!(rig.flows.counters().retransmitted, 1);
    assert_eq!(rig.flows.counters().rehomed, 0);
    // the route changes: nothing is lost
    let rig = check(
        "0 > A 100 500 abc @1i
         0 > A 100 500 abc @2o
         1 > A 103 500 def @2o
         2 > A 106 500 ghi @3i
         2 > A 106 500 ghi @2o",
        ">0 abc\n>3 def\n>6 ghi",
    );
    assert_eq!(rig.flows.counters().duplicates, 2);
    // segments that one place joins and another cuts
    let rig = check(
        "0 > A 100 500 abcdef @1i
         0 > A 100 500 abc @2o
         0 > A 103 500 def @2o
         1 > A 106 500 ghi @2o
         1 > A 106 500 ghijkl @1i",
        ">0 abcdef\n>6 ghi\n>9 jkl",
    );
    assert_eq!(rig.flows.counters().duplicates, 2);
    // a bare acknowledgement moves with a silent home only
    let rig = check(
        "0 > A 100 500 abc @1i
         1 > A 103 600 @2i
         2000 > A 103 700 @2i",
        ">0 abc",
    );
    assert_eq!(rig.flows.counters().duplicates, 1);
    assert_eq!(rig.flows.counters().rehomed, 1);
}

#[test]
fn copies_of_what_is_out_of_order() {
    let rig = opened(
        "3 > A 103 500 def
         3 > A 103 500 def @1i
         4 > A 100 500 abc
         4 > A 100 500 abc @1i",
        ">0 abc\n>3 def",
    );
    assert_eq!(rig.flows.counters().duplicates, 2);
}

#[test]
fn wanted_later() {
    let mut rig = opened(
        "unwant
         3 > A 100 500 abc
         4 < A 500 103 defg
         5 > A 103 504 hij
         want
         6 > A 106 504 klm
         7 < A 504 109 nop",
        ">6 klm\n<4 nop",
    );
    assert_eq!(rig.flows.counters().gaps, 0);
    // the packet at which it becomes wanted is not lost, nor an end that it brings
    opened(
        "unwant
         3 > A 100 500 abc
         want-next
         4 > A 103 500 def
         5 < A 500 106 xyz",
        ">3 def\n<0 xyz",
    );
    opened(
        "unwant
         3 > A 100 500 abc
         want-next
         4 > FA 103 500 def
         5 < FA 500 107
         6 > A 107 501
         tick 30",
        ">3 def\n> end\n< end\nclosed Fin",
    );
    // it ends also while nobody wants it
    play(
        &mut rig,
        "unwant\n8 > FA 109 507\n9 < FA 507 110\n10 > A 110 508\ntick 60",
    );
    assert_eq!(rig.log.lines.last().map(String::as_str), Some("closed Fin"));
}
