//! What nobody wants is not kept, and what somebody wants later is taken up again.

use gillnet_capture::{Event, Ring, check_filter, expand, open_files};
use gillnet_entry::{Entry, drops::Reason};
use gillnet_kfl::{Env, Options, compile};
use gillnet_names::{Names, NamesConfig};
use gillnet_pipeline::{Board, Consumer, Counters, Keep, Matched, Plan, Shard, ShardConfig, Want};
use std::sync::{Arc, Mutex};

/// Some connections with many HTTP exchanges each.
const CAPTURE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../bench/instructions.pcap.gz"
);

fn plan(kfl: &[&str], generation: u32) -> Arc<Plan> {
    let env = Env::new(&gillnet_protocols::env());
    let wants = kfl.iter().zip(0..).map(|(kfl, bit)| Want {
        bit,
        filter: compile(&env, kfl, &Options::default())
            .unwrap_or_else(|e| panic!("{}", e.render(kfl))),
        record: false,
        bodies: false,
    });
    Arc::new(Plan::new(wants.collect(), generation))
}

/// Streams of entries, and since when they are whole.
type Seen = Arc<Mutex<Vec<(u64, Option<i64>)>>>;

struct See(Seen);

impl Consumer for See {
    fn entry(&mut self, entry: &Entry<'_>, _: Matched) -> bool {
        let common = entry.common;
        self.0
            .lock()
            .unwrap()
            .push((common.stream, common.truncated_before));
        true
    }
}

/// Where the plan changes: among the connections that are used again and again.
const CHANGE: u64 = 2000;

/// Runs the capture under a plan, and from some frame on under another.
fn run(first: &[&str], then: Option<&[&str]>, learns: bool) -> (Vec<(u64, Option<i64>)>, Counters) {
    let seen = Seen::default();
    let names = NamesConfig {
        dns: learns,
        ..NamesConfig::default()
    };
    let mut shard = Shard::new(ShardConfig::new(
        plan(first, 1),
        Arc::new(Names::new(names).unwrap()),
        Keep::Ring(Ring::create(None, 64 << 20).unwrap()),
        Box::new(See(Arc::clone(&seen))),
    ));
    let mut at = 0;
    frames(|frame| {
        if at == CHANGE
            && let Some(then) = then
        {
            shard.set_plan(plan(then, 2));
        }
        at += 1;
        shard.frame(frame);
    });
    shard.finish();
    let board = Board::default();
    shard.publish(Default::default(), &board);
    let seen = std::mem::take(&mut *seen.lock().unwrap());
    (seen, board.read())
}

fn frames(mut see: impl FnMut(&gillnet_capture::Frame<'_>)) {
    let mut source = open_files(expand(&[CAPTURE.to_owned()]).unwrap()).unwrap();
    while let Event::Frame(frame) = source.next().unwrap() {
        see(&frame);
    }
}

#[test]
fn what_nobody_wants_is_dropped_once_it_is_known() {
    let (all, wanted) = run(&["http"], None, true);
    assert!(all.len() > 1000);
    assert_eq!(wanted.drops.get(Reason::Unwanted), 0);
    for unwanted in [
        &["dns"][..],
        &[r#"dns || (http && dst.port == 1)"#],
        &["dns", r#"http && dst.ip == "192.0.2.1""#],
    ] {
        let (none, counters) = run(unwanted, None, true);
        assert!(none.is_empty());
        // of each stream what came up to its first request
        assert!(counters.kept <= 5 * counters.streams, "{counters:?}");
        let dropped = counters.drops.get(Reason::Unwanted);
        assert_eq!(dropped + counters.kept, wanted.kept);
    }
    // where no name can come of it, what has other ports is not looked at at all
    let (none, counters) = run(&[r#"http && dst.port == 1"#], None, false);
    assert!(none.is_empty());
    assert_eq!(counters.kept, 0);
}

#[test]
fn a_stream_is_taken_up_again_where_a_plan_wants_it_later_and_let_go_where_none_does() {
    let (all, _) = run(&["http"], None, true);
    let (late, counters) = run(&["dns"], Some(&["http"]), true);
    let (early, _) = run(&["http"], Some(&["dns"]), true);
    // together they have all, but for what the change cut in two: at most one exchange a connection
    let cut = all.len() - late.len() - early.len();
    assert!(
        early.len() > 300 && late.len() > 300 && cut <= 100,
        "{} and {} of {}",
        early.len(),
        late.len(),
        all.len()
    );
    assert_eq!(counters.drops.get(Reason::Lost), 0);
    // of streams that there were before, it is said that something is missing
    let (with, without): (Vec<_>, Vec<_>) =
        late.iter().partition(|(_, truncated)| truncated.is_some());
    let resumed: std::collections::HashSet<u64> = with.iter().map(|(stream, _)| *stream).collect();
    assert!(resumed.len() > 50);
    assert!(without.iter().all(|(stream, _)| !resumed.contains(stream)));
    assert!(early.iter().all(|(_, truncated)| truncated.is_none()));
}

#[test]
fn the_kernel_is_told_what_is_wanted() {
    let dns = 1 << gillnet_protocols::index("dns").unwrap();
    const ALWAYS: &str = "not (tcp or udp) or ip[6:2] & 0x3fff != 0 or ip6[6] = 44 \
                          or udp port 4789 or udp port 8472 or udp port 6081";
    for (wants, learnt_from, expected) in [
        (&["http"][..], 0, " or tcp"),
        (
            &["http && dst.port == 8080"],
            0,
            " or (tcp and (port 8080))",
        ),
        (
            &["http && dst.port == 8080"],
            dns,
            " or (tcp and (port 8080 or port 53)) or (udp and (port 53))",
        ),
        (
            &["http && dst.port == 8080", r#"dns && src.ip == "10.0.0.1""#],
            0,
            " or (tcp and (port 8080 or host 10.0.0.1)) or (udp and (host 10.0.0.1))",
        ),
        (&[], 0, ""),
    ] {
        let told = plan(wants, 1).packets(learnt_from);
        assert_eq!(told, format!("{ALWAYS}{expected}"), "{wants:?}");
        check_filter(&told).unwrap();
    }
    for everything in [
        &[""][..],
        &["http", "dns"],
        &["http && dst.port == 8080", ""],
    ] {
        assert_eq!(plan(everything, 1).packets(0), "", "{everything:?}");
    }
}
