//! `gillnet worker`: records this host. No dashboard, hub, cluster or proxy.

use crate::cli::{Shared, WorkerArgs};
use crate::exit::Done;
use crate::live::{Session, Start};
use crate::recordings::at_work;
use crate::serve::{self, Listen};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The usual port of the metrics.
pub const METRICS_PORT: u16 = 49100;

/// Runs the command.
pub fn run(shared: &Shared, args: &WorkerArgs) -> anyhow::Result<Done> {
    let (config, file) = shared.config()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, METRICS_PORT));
        let metrics = serve::listen(&Listen {
            asked: args.metrics,
            usual,
            what: "metrics",
            flag: "--metrics",
        })
        .await?;
        let listens = vec![metrics.local_addr()?];
        let start = Start {
            config: &config,
            args: &args.capture,
            shown: false,
            listens,
        };
        let session = tokio::task::block_in_place(|| Session::start(shared, start))?;
        say(&session);
        tracing::info!("metrics at http://{}/metrics", metrics.local_addr()?);
        let figures = serve::figures(&session);
        tokio::spawn(gillnet_api::serve_metrics(metrics, figures));
        let done = serve::until_stopped(shared, file.as_deref(), &session).await;
        tokio::task::spawn_blocking(move || session.stop()).await??;
        Ok(done)
    })
}

/// Says what is captured and recorded.
pub fn say(session: &Arc<Session>) {
    tracing::info!("capturing on {}", session.source);
    for script in session.scripts.status().iter().filter(|s| s.active) {
        tracing::info!("script {}: {}", script.number, script.path.display());
    }
    let by_script = session.recording_scripts();
    if let Some(scripts) = &by_script {
        tracing::info!(
            "the built-in recorder is off, as {scripts} records what RECORDING_KFL says; recording.builtin: on has both record"
        );
    }
    let status = session.recorder();
    let raw = session.raw();
    if raw.is_some() {
        tracing::info!("every frame is kept in the raw ring (capture.raw)");
    }
    if status.rules.is_empty() && by_script.is_none() && raw.is_none() {
        tracing::warn!(
            "nothing is recorded: set RECORDING_KFL and GCS_BUCKET, or recording.rules in the configuration"
        );
    }
    for rule in status.rules {
        tracing::info!(
            "recording `{}` to {}, flushed {}, {}",
            rule.kfl,
            rule.destination,
            rule.flush,
            at_work::stands(&rule)
        );
    }
}
