//! `gillnet tap`: the dashboard, on this host or on recordings.

use crate::backend::{LiveBackend, RecordedBackend};
use crate::cli::{Shared, TapArgs};
use crate::config::Config;
use crate::exit::{self, Done};
use crate::inputs::Inputs;
use crate::live::{Session, Start};
use crate::output::say;
use crate::serve::{self, Listen};
use crate::worker;
use gillnet_api::{Backend, Doors, Token};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// The usual port of dashboard and API.
const PORT: u16 = 8899;

/// Runs the command.
pub fn run(shared: &Shared, args: &TapArgs) -> anyhow::Result<Done> {
    if args.pcap.is_empty() && !args.local {
        return Err(exit::usage(anyhow::anyhow!(
            "there is no cluster to tap here; record this host with --local, or open a recording with --pcap"
        )));
    }
    let (config, file) = shared.config()?;
    let doors = doors(&config, args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let done = runtime.block_on(async {
        let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, PORT));
        let asked = args.listen.or(config.api.listen);
        let listener = serve::listen(&Listen {
            asked,
            usual,
            what: "dashboard and API",
            flag: "--listen",
        })
        .await?;
        if args.local {
            live(shared, args, &config, file.as_deref(), listener, doors).await
        } else {
            recorded(args, config, listener, doors).await
        }
    });
    runtime.shutdown_background();
    done
}

/// The token: one's own where one is given, which any other address than loopback needs; else one made now.
fn doors(config: &Config, args: &TapArgs) -> anyhow::Result<Doors> {
    let own =
        match (
            &args.token_file,
            std::env::var("GILLNET_TOKEN"),
            &config.api.token,
        ) {
            (Some(file), _, _) => Some(std::fs::read_to_string(file).map_err(|e| {
                exit::usage(anyhow::anyhow!("the token file {}: {e}", file.display()))
            })?),
            (None, Ok(token), _) if !token.is_empty() => Some(token),
            (None, _, Some(token)) => Some(token.read()?),
            _ => None,
        };
    let listen = args.listen.or(config.api.listen);
    if own.is_none() && listen.is_some_and(|addr| !addr.ip().is_loopback()) {
        return Err(exit::usage(anyhow::anyhow!(
            "an address other than loopback needs a token of your own: give --token-file FILE or set GILLNET_TOKEN"
        )));
    }
    let token = match own {
        Some(text) => Token::own(&text).map_err(|e| exit::usage(anyhow::anyhow!(e)))?,
        None => Token::random(),
    };
    Ok(Doors {
        token,
        hosts: Vec::new(),
    })
}

async fn live(
    shared: &Shared,
    args: &TapArgs,
    config: &Config,
    file: Option<&std::path::Path>,
    listener: TcpListener,
    doors: Doors,
) -> anyhow::Result<Done> {
    let mut listens = vec![listener.local_addr()?];
    let usual = SocketAddr::from((Ipv4Addr::LOCALHOST, worker::METRICS_PORT));
    let metrics = serve::listen(&Listen {
        asked: args.metrics,
        usual,
        what: "metrics",
        flag: "--metrics",
    })
    .await?;
    listens.push(metrics.local_addr()?);
    let start = Start {
        config,
        args: &args.capture,
        shown: true,
        listens,
    };
    let session = tokio::task::block_in_place(|| Session::start(shared, start))?;
    worker::say(&session);
    let metrics = tokio::spawn(gillnet_api::serve_metrics(
        metrics,
        serve::figures(&session),
    ));
    let backend: Arc<dyn Backend> = Arc::new(LiveBackend::new(Arc::clone(&session)));
    let served = show(listener, backend, doors, args)?;
    let done = serve::until_stopped(shared, file, &session).await;
    served.abort();
    metrics.abort();
    // whoever still looks lets go of the session with its task
    let _ = tokio::join!(served, metrics);
    tokio::task::spawn_blocking(move || session.stop()).await??;
    Ok(done)
}

async fn recorded(
    args: &TapArgs,
    config: Config,
    listener: TcpListener,
    doors: Doors,
) -> anyhow::Result<Done> {
    let within = args.time.within()?;
    let (sources, access) = (args.pcap.clone(), args.access.clone());
    let backend = tokio::task::spawn_blocking(move || {
        let inputs = Inputs::open(&sources, &access, &config, within)?;
        RecordedBackend::open(inputs, config, within, sources.join(", "))
    });
    let backend: Arc<dyn Backend> = Arc::new(backend.await??);
    if let Some(addr) = args.metrics {
        let metrics = serve::listen(&Listen {
            asked: Some(addr),
            usual: addr,
            what: "metrics",
            flag: "--metrics",
        })
        .await?;
        let shown = Arc::clone(&backend);
        tokio::spawn(gillnet_api::serve_metrics(
            metrics,
            Arc::new(move || {
                let frames = shown.status().counters.get("frames").copied().unwrap_or(0);
                format!(
                    "# TYPE gillnet_received_packets_total counter\ngillnet_received_packets_total {frames}\n"
                )
            }),
        ));
    }
    let served = show(listener, backend, doors, args)?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let done = tokio::select! {
        _ = interrupt.recv() => Done::Interrupted,
        _ = terminate.recv() => Done::Ok,
    };
    served.abort();
    Ok(done)
}

/// Serves the dashboard, prints its address and opens a browser.
fn show(
    listener: TcpListener,
    backend: Arc<dyn Backend>,
    doors: Doors,
    args: &TapArgs,
) -> anyhow::Result<tokio::task::JoinHandle<()>> {
    let mut at = listener.local_addr()?;
    if at.ip().is_unspecified() {
        at.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let url = format!("http://{at}/?token={}", doors.token.secret());
    let served = tokio::spawn(async move {
        if let Err(error) =
            gillnet_api::serve(listener, backend, doors, std::future::pending()).await
        {
            tracing::error!("the dashboard ended: {error}");
        }
    });
    say(&url)?;
    if !args.no_browser && std::env::var_os("DISPLAY").is_some() {
        // where there is no browser, the printed address is enough
        let _ = std::process::Command::new("xdg-open")
            .arg(&url)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
    }
    Ok(served)
}
