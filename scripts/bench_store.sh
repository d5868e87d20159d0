#!/usr/bin/env bash
# Makes a large bucket and asks it, beside tshark and DuckDB: `make bench-store`. Arguments go to bench/store.py.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/deps.sh
deps_apt nginx-light wrk hey nghttp2-client tcpdump ethtool iproute2 tshark python3-venv
deps_python
"$GILLNET_VENV/bin/python" -c 'import numpy' 2>/dev/null ||
    "$GILLNET_VENV/bin/pip" install --quiet --disable-pip-version-check -r bench/requirements.txt
data=${BENCH_DATA:-bench/data}
for name in http1_small http1_conn; do
    [ -f "$data/$name.pcap" ] || bench/workloads.sh "$data" $name
done
cargo build --release -p gillnet
exec "$GILLNET_VENV/bin/python" bench/store.py "$CARGO_TARGET_DIR/release/gillnet" "$data/http1_small.pcap" "$data/http1_conn.pcap" "$@"
