//! What worker and tap share while they run: listeners, signals, the watched configuration, figures.

use crate::cli::Shared;
use crate::config::Config;
use crate::exit::Done;
use crate::live::Session;
use anyhow::Context;
use gillnet_api::{Extra, MetricsSource, metrics_text};
use notify::Watcher;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
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
        metrics_text(&session.control.board().read(), &extra)
    })
}

/// Waits for a signal or the end of the source, and takes up changes of the configuration meanwhile.
pub async fn until_stopped(shared: &Shared, file: Option<&Path>, session: &Arc<Session>) -> Done {
    let (mut changed, _watcher) = watch(file);
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
    loop {
        tokio::select! {
            _ = interrupt.recv() => return Done::Interrupted,
            _ = terminate.recv() => return Done::Ok,
            _ = hangup.recv() => configure(shared, file, session),
            Some(()) = changed.recv() => {
                // editors write in steps: what follows at once belongs to the same change
                tokio::time::sleep(Duration::from_millis(100)).await;
                while changed.try_recv().is_ok() {}
                configure(shared, file, session);
            }
            _ = beat.tick() => {
                if session.has_ended() {
                    return Done::Ok;
                }
            }
        }
    }
}

fn configure(shared: &Shared, file: Option<&Path>, session: &Arc<Session>) {
    let Some(file) = file else {
        return;
    };
    let config = Config::load(Some(file)).map(|(config, _)| config);
    match tokio::task::block_in_place(|| {
        config.and_then(|config| session.configure(shared, &config))
    }) {
        Ok(()) => tracing::info!("the configuration {} was read again", file.display()),
        Err(error) => tracing::error!("the configuration stays as it was: {error:#}"),
    }
}

/// Tells of changes of a file. Its folder is watched, since editors and Kubernetes put a new file in the old one's place.
fn watch(
    file: Option<&Path>,
) -> (
    tokio::sync::mpsc::UnboundedReceiver<()>,
    Option<notify::RecommendedWatcher>,
) {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    let Some(file) = file else {
        return (told, None);
    };
    let path: PathBuf = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let Some(folder) = path.parent().map(Path::to_path_buf) else {
        return (told, None);
    };
    let mut known = std::fs::read(&path).ok();
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        match event {
            // looking at the file is told as well: to look at it again because of that would never end
            Ok(event) if event.kind.is_access() => return,
            Err(error) if error.paths.is_empty() => return,
            _ => {}
        }
        let content = std::fs::read(&path).ok();
        if content.is_some() && content != known {
            known = content;
            let _ = tell.send(()); // nobody waits any more: the process ends
        }
    });
    let watcher = watcher.and_then(|mut watcher| {
        watcher
            .watch(&folder, notify::RecursiveMode::NonRecursive)
            .map(|()| watcher)
    });
    match watcher {
        Ok(watcher) => (told, Some(watcher)),
        Err(error) => {
            tracing::warn!(
                "{} is not watched ({error}); send SIGHUP to have it read again",
                folder.display()
            );
            (told, None)
        }
    }
}
