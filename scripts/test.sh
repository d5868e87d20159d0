#!/usr/bin/env bash
# Runs every test, on a machine that has Debian 12, Rust and Node: `make test`, and so `.ci/run`.
# Ends with one line: N passed, N failed.
set -uo pipefail
cd "$(dirname "$0")/.."
. scripts/deps.sh

log=$(mktemp)
failed_steps=()
step() { # TITLE COMMAND...
    local title=$1; shift
    say "$title"
    "$@" 2>&1 | tee -a "$log"
    [ "${PIPESTATUS[0]}" = 0 ] || failed_steps+=("$title")
}

export GILLNET_CAPTURES="${GILLNET_CAPTURES:-$(realpath -m ../shared/captures)}"

dependencies() {
    set -e
    deps_apt nginx-light dnsmasq-base bind9-dnsutils curl tshark tcpdump iproute2 ethtool procps valgrind python3-venv libcap2-bin tcpreplay wrk hey \
        kcat util-linux chromium default-jre-headless gcc libc6-dev cmake make ca-certificates
    deps_python
    deps_emulators
    deps_cel_spec
    deps_age_vectors
    deps_har
    deps_ui
}
( dependencies ) || { echo "the tests' dependencies cannot be installed" >&2; exit 1; }

step "formatting" cargo fmt --all --check
step "lints" cargo clippy --workspace --all-targets --quiet -- -D warnings
step "dashboard: lint" npm --prefix ui run --silent lint
step "dashboard: unit tests" npm --prefix ui run --silent test
step "dashboard: size" npm --prefix ui run --silent check-size
step "unit and integration tests" cargo test --workspace --no-fail-fast --quiet
step "release build" cargo build --release --quiet -p gillnet
export GILLNET="$CARGO_TARGET_DIR/release/gillnet"
step "accuracy against tshark" python3 crates/testkit/accuracy/accuracy.py "$GILLNET" "$GILLNET_CAPTURES" --known docs/accuracy.md
step "instructions of the hot path" python3 bench/instructions.py "$GILLNET"
step "end to end" "$GILLNET_VENV/bin/python" -m pytest -q --no-header tests

# cargo: "test result: ok. 3 passed; 0 failed"; vitest: "Tests  4 passed"; pytest: "5 passed, 1 failed in 2s"
total() { sed 's/\x1b\[[0-9;]*m//g' "$log" | grep -E 'test result|^ +Tests |^(=+ )?[0-9]+ (passed|failed).* in ' | grep -oE "[0-9]+ $1" | awk '{n += $1} END {print n + 0}'; }
passed=$(total passed) failed=$(total failed)
rm -f "$log"
if [ ${#failed_steps[@]} -gt 0 ]; then
    [ "$failed" -gt 0 ] || failed=${#failed_steps[@]}
    printf '\nfailed: %s\n' "${failed_steps[@]}"
    echo "$passed passed, $failed failed"
    exit 1
fi
echo "$passed passed, $failed failed"
