#!/usr/bin/env bash
# Times filters, makes the workload captures once, and times gillnet and its peers on them: `make bench`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/deps.sh
deps_apt nginx-light wrk hey nghttp2-client tcpdump ethtool iproute2 tshark httpry python3 redis-server postgresql dnsmasq-base dnsperf tcpreplay
data=${BENCH_DATA:-bench/data}
for name in http1_small http1_conn http1_large mixed; do
    [ -f "$data/$name.pcap" ] || bench/workloads.sh "$data" $name
done
cargo build --release -p gillnet -p gillnet-bench -p gillnet-bench-kfl
"$CARGO_TARGET_DIR/release/gillnet-bench-kfl"
python3 bench/plan.py "$CARGO_TARGET_DIR/release/gillnet" "$data/http1_small.pcap"
missed=0
python3 bench/index.py "$CARGO_TARGET_DIR/release/gillnet" "$data/mixed.pcap" "http or dns" --live || missed=1
python3 bench/run.py "$CARGO_TARGET_DIR/release/gillnet" "$CARGO_TARGET_DIR/release/floor" "$data" "$@" || missed=1
exit $missed
