#!/usr/bin/env bash
# Recall and precision of gillnet's entries against tshark's, over a folder of captures.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/deps.sh
deps_apt tshark python3
cargo build --quiet --release -p gillnet
folders=("$@")
known=()
if [ ${#folders[@]} = 0 ]; then
    folders=("${GILLNET_CAPTURES:-../shared/captures}")
    known=(--known docs/accuracy.md)
fi
exec python3 crates/testkit/accuracy/accuracy.py "$CARGO_TARGET_DIR/release/gillnet" "${folders[@]}" "${known[@]}"
