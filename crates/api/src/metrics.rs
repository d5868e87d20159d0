//! Counters in the text format of Prometheus, under the names that Kubeshark's worker has.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use gillnet_pipeline::Counters;
use std::fmt::Write;
use std::sync::Arc;

/// Figures beside the shard's counters: (name, help, value).
pub type Extra = Vec<(&'static str, &'static str, u64)>;

/// The figures as text, version 0.0.4.
pub fn metrics_text(c: &Counters, extra: &Extra) -> String {
    let dropped: u64 = c.drops.iter().map(|(_, n)| n).sum();
    let lost = c.drops.get(gillnet_entry::drops::Reason::Lost)
        + c.drops.get(gillnet_entry::drops::Reason::Unidentified);
    let mut out = String::with_capacity(4096);
    for (name, help, value) in [
        ("received_packets", "Frames that came in", c.frames),
        (
            "dropped_packets",
            "Frames, bytes, streams and entries dropped, for any reason",
            dropped,
        ),
        (
            "dropped_chunks",
            "Gaps in streams",
            c.drops.get(gillnet_entry::drops::Reason::Gap),
        ),
        (
            "processed_bytes",
            "Bytes of the frames that came in",
            c.bytes,
        ),
        ("tcp_packets", "TCP packets", c.tcp_packets),
        ("dns_packets", "DNS messages", c.dns_packets),
        ("icmp_packets", "ICMP packets", c.icmp_packets),
        (
            "reassembled_tcp_payloads",
            "Chunks handed to dissectors",
            c.chunks,
        ),
        (
            "matched_pairs",
            "Requests paired with their response",
            c.pairs,
        ),
        (
            "dropped_tcp_streams",
            "Streams that no dissector could follow",
            lost,
        ),
    ] {
        counter(&mut out, name, help, value);
    }
    let _ = writeln!(
        out,
        "# HELP gillnet_live_tcp_streams TCP streams that are followed now\n\
         # TYPE gillnet_live_tcp_streams gauge\ngillnet_live_tcp_streams {}\n\
         # HELP gillnet_drops_total What was dropped, cut or passed over, by reason\n\
         # TYPE gillnet_drops_total counter",
        c.live_tcp_streams
    );
    for (reason, count) in c.drops.iter() {
        let _ = writeln!(
            out,
            "gillnet_drops_total{{reason=\"{}\"}} {count}",
            reason.name()
        );
    }
    for (name, help, value) in extra {
        counter(&mut out, name, help, *value);
    }
    out
}

fn counter(out: &mut String, name: &str, help: &str, value: u64) {
    // writing to a String cannot fail
    let _ = writeln!(
        out,
        "# HELP gillnet_{name}_total {help}\n# TYPE gillnet_{name}_total counter\ngillnet_{name}_total {value}"
    );
}

/// Where the figures come from.
pub type Source = Arc<dyn Fn() -> String + Send + Sync>;

/// Serves `/metrics` on a listener of its own until the process ends.
pub async fn serve_metrics(
    listener: tokio::net::TcpListener,
    source: Source,
) -> std::io::Result<()> {
    let answer = |State(source): State<Source>| async move {
        (
            [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
            source(),
        )
    };
    let router = axum::Router::new()
        .route("/metrics", get(answer))
        .with_state(source);
    axum::serve(listener, router).await
}
