//! What worker and tap share while they run: listeners, signals, the watched configuration, figures.

use crate::cli::Shared;
use crate::config::Config;
use crate::exit::Done;
use crate::live::Session;
use crate::recordings::at_work;
use crate::scan;
use anyhow::Context;
use gillnet_api::{Extra, MetricsSource, metrics_text};
use gillnet_recorder::Left;
use gillnet_scripts::Scripts;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Where to listen.
pub struct Listen {
    /// The address that was asked for.
    pub asked: Option<SocketAddr>,
    /// The usual one; where its port is taken, the next free one is used, and said.
    pub usual: SocketAddr,
    /// What listens there.
    pub what: &'static str,
    /// The flag that chooses another.
    pub flag: &'static str,
}

/// Ports that are tried after the usual one.
const TRIES: u16 = 50;

/// Listens, or says why not.
pub async fn listen(listen: &Listen) -> anyhow::Result<TcpListener> {
    let Listen {
        asked,
        usual,
        what,
        flag,
    } = listen;
    if let Some(asked) = asked {
        return TcpListener::bind(asked).await.with_context(|| {
            format!("the {what} cannot listen on {asked}; stop what does, or choose another address with {flag}")
        });
    }
    for port in usual.port()..usual.port().saturating_add(TRIES) {
        let addr = SocketAddr::new(usual.ip(), port);
        match TcpListener::bind(addr).await {
            Ok(listener) => {
                if port != usual.port() {
                    tracing::info!(
                        "port {} is taken; the {what} listen on {port}",
                        usual.port()
                    );
                }
                return Ok(listener);
            }
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {}
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "the {what} cannot listen on {addr}; choose another address with {flag}"
                    )
                });
            }
        }
    }
    anyhow::bail!(
        "the {what} find no free port from {} on; choose an address with {flag}",
        usual.port()
    )
}

/// The figures of a session for Prometheus.
pub fn figures(session: &Arc<Session>) -> MetricsSource {
    let session = Arc::downgrade(session);
    Arc::new(move || {
        let Some(session) = session.upgrade() else {
            return String::new();
        };
        let status = session.recorder();
        let sum = |of: fn(&gillnet_recorder::RuleCounters) -> u64| {
            status.rules.iter().map(|rule| of(&rule.counters)).sum()
        };
        let extra: Extra = vec![
            (
                "recorded_packets",
                "Frames written to the spool",
                sum(|c| c.recorded_packets),
            ),
            (
                "uploaded_objects",
                "Objects that are in their bucket",
                sum(|c| c.uploaded_objects),
            ),
            (
                "uploaded_packets",
                "Packets in them",
                sum(|c| c.uploaded_packets),
            ),
            (
                "uploaded_bytes",
                "Bytes put into buckets",
                sum(|c| c.uploaded_bytes),
            ),
            (
                "upload_conflicts",
                "Objects whose name another object had",
                sum(|c| c.conflicts),
            ),
            (
                "spool_given_up_packets",
                "Packets given up because the spool was full",
                sum(|c| c.given_up_packets),
            ),
            (
                "spool_dropped_packets",
                "Packets that disk or spool did not take",
                sum(|c| c.dropped_disk + c.dropped_limit),
            ),
            (
                "recorder_queue_dropped_packets",
                "Packets that found the recorder's queue full",
                status.dropped_queue,
            ),
        ];
        let mut text = metrics_text(&session.control.board().read(), &extra);
        at_work::figures(&status, scan::now(), &mut text);
        if let Some(raw) = session.raw() {
            raw_figures(&raw, &mut text);
        }
        script_figures(&session.scripts, &mut text);
        text.push_str(&session.scripts.metrics().text());
        text
    })
}

/// How raw capture does, for Prometheus; what it drops is among the reasons of `gillnet_drops_total`.
fn raw_figures(raw: &gillnet_recorder::raw::RawStatus, out: &mut String) {
    for (name, kind, help, n) in [
        (
            "raw_packets_total",
            "counter",
            "Frames written to the raw ring",
            raw.written_packets,
        ),
        (
            "raw_bytes_total",
            "counter",
            "Bytes written to the raw ring",
            raw.written_bytes,
        ),
        (
            "raw_deleted_segments_total",
            "counter",
            "Segments of the raw ring deleted for size or age",
            raw.deleted_segments,
        ),
        (
            "raw_cut_bytes_total",
            "counter",
            "Bytes of torn ends cut off at the start",
            raw.cut_bytes,
        ),
        (
            "raw_segments",
            "gauge",
            "Segments of the raw ring",
            raw.segments,
        ),
        (
            "raw_size_bytes",
            "gauge",
            "Bytes of the raw ring on the disk",
            raw.bytes,
        ),
        (
            "raw_oldest_seconds",
            "gauge",
            "Time of the oldest frame in the raw ring",
            raw.oldest.max(0).unsigned_abs() / 1_000_000_000,
        ),
    ] {
        let _ = writeln!(
            out,
            "# HELP gillnet_{name} {help}\n# TYPE gillnet_{name} {kind}\ngillnet_{name} {n}"
        );
    }
}

/// How scripts do, for Prometheus.
fn script_figures(scripts: &Scripts, out: &mut String) {
    let status = scripts.status();
    let runs = || {
        let of = status.iter();
        of.flat_map(|script| script.runs.iter().map(|run| (script.number, run)))
    };
    let mut figure = |name: &str, help: &str, lines: &mut dyn Iterator<Item = (String, u64)>| {
        let _ = writeln!(
            out,
            "# HELP gillnet_{name} {help}\n# TYPE gillnet_{name} counter"
        );
        for (labels, n) in lines {
            let _ = writeln!(out, "gillnet_{name}{labels} {n}");
        }
    };
    let calls = |pick: fn(u64, u64) -> u64| {
        runs().flat_map(move |(script, run)| {
            run.calls.iter().map(move |(hook, called, dropped)| {
                let (side, hook) = (run.side.name(), hook.name());
                let labels = format!("{{script=\"{script}\",side=\"{side}\",hook=\"{hook}\"}}");
                (labels, pick(*called, *dropped))
            })
        })
    };
    figure(
        "script_calls_total",
        "Calls of scripts' hooks",
        &mut calls(|called, _| called),
    );
    figure(
        "script_dropped_calls_total",
        "Calls of hooks for which a script had no room",
        &mut calls(|_, dropped| dropped),
    );
    let streams = scripts.streams();
    for (name, help, n) in [
        (
            "script_streams_written_total",
            "Captures of streams that scripts opened",
            streams.written,
        ),
        (
            "script_streams_cut_total",
            "Of these, those whose first packets had left the ring",
            streams.cut,
        ),
        (
            "script_streams_missed_total",
            "Captures of streams that scripts asked for in vain",
            streams.missed,
        ),
    ] {
        figure(name, help, &mut std::iter::once((String::new(), n)));
    }
}

/// How long no object of a source that has ended may arrive, until it is not waited for any more.
const PATIENCE: Duration = Duration::from_secs(60);
/// After so long it is said what is waited for.
const SILENCE: Duration = Duration::from_secs(2);

/// What a source that has ended left to upload.
struct Leftover {
    left: Option<Left>,
    /// Since when that is so.
    since: Instant,
    /// When it is to be said.
    say: Option<Instant>,
}

impl Leftover {
    fn new() -> Self {
        let since = Instant::now();
        Self {
            left: None,
            since,
            say: Some(since + SILENCE),
        }
    }

    /// Whether objects go on to arrive.
    fn goes_on(&mut self, session: &Session) -> bool {
        let left = tokio::task::block_in_place(|| session.finish());
        let now = Instant::now();
        if left != self.left {
            (self.left, self.since) = (left, now);
        }
        if let Some(left) = left
            && self.say.take_if(|at| *at < now).is_some()
        {
            let objects = left.objects;
            tracing::info!("all is read; {objects} objects are on their way to their bucket");
        }
        left.is_some() && now - self.since < PATIENCE
    }
}

/// Waits for a signal or the end of the source, with all that was recorded of it in its bucket, and takes up changes of the
/// configuration meanwhile.
pub async fn until_stopped(shared: &Shared, file: Option<&Path>, session: &Arc<Session>) -> Done {
    let mut watched = file.map(Watched::new);
    let signals = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ]
    .map(signal);
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hangup)] = signals else {
        tracing::error!("signals cannot be awaited");
        return Done::Interrupted;
    };
    let mut beat = tokio::time::interval(Duration::from_millis(200));
    // two looks at the configuration are always a beat apart
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut leftover = None;
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Done::Interrupted,
            _ = terminate.recv() => return Done::Ok,
            _ = hangup.recv() => configure(shared, file, session),
            _ = beat.tick() => {
                if session.has_ended() {
                    let leftover = leftover.get_or_insert_with(|| {
                        beat = tokio::time::interval(Duration::from_millis(20));
                        Leftover::new()
                    });
                    if !leftover.goes_on(session) {
                        return Done::Ok;
                    }
                    continue;
                }
                session.follow_windows();
                let changed = match &mut watched {
                    Some(watched) => watched.has_changed().await,
                    None => false,
                };
                // a script that records by itself, and one that no longer does, change what the built-in rule has to do
                if changed || session.scripts_changed() {
                    configure(shared, file, session);
                }
            }
        }
    }
}

fn configure(shared: &Shared, file: Option<&Path>, session: &Arc<Session>) {
    let config = match file {
        Some(file) => Config::load(Some(file)).map(|(config, _)| config),
        None => Ok(Config::default()),
    };
    match tokio::task::block_in_place(|| {
        config.and_then(|config| session.configure(shared, &config))
    }) {
        Ok(()) => match file {
            Some(file) => tracing::info!("the configuration {} was read again", file.display()),
            None => tracing::info!("what is recorded was looked at again"),
        },
        Err(error) => tracing::error!("the configuration stays as it was: {error:#}"),
    }
}

/// A file that is looked at again and again. Looking costs less than being told of what happens in its folder, in which
/// a busy neighbour may write, and sees every way of changing it: in place, by renaming, through a link, on a network.
struct Watched<'a> {
    path: &'a Path,
    /// What it held when it was last taken up.
    known: Option<Vec<u8>>,
    /// What it held when it was last looked at.
    seen: Option<Vec<u8>>,
}

impl<'a> Watched<'a> {
    fn new(path: &'a Path) -> Self {
        let known = std::fs::read(path).ok();
        Self {
            path,
            seen: known.clone(),
            known,
        }
    }

    /// Whether it holds something new. Editors write in steps: what changes is left alone until the next look.
    async fn has_changed(&mut self) -> bool {
        let Ok(now) = tokio::fs::read(self.path).await else {
            return false; // away, perhaps about to be put in place again
        };
        let settled = self.seen.as_ref() == Some(&now);
        let changed = settled && self.known.as_ref() != Some(&now);
        if changed {
            self.known = Some(now);
        } else if !settled {
            self.seen = Some(now);
        }
        changed
    }
}
