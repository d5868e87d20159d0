#!/usr/bin/env bash
# Fuzzes each target for FUZZ_SECONDS (120), or those named: `make fuzz`, `scripts/fuzz.sh http dns`.
# Seeds are made of the fixtures; what is found between runs stays in fuzz/corpus, crashes in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/deps.sh
rustup toolchain list | grep -q nightly || { say "the nightly toolchain"; rustup toolchain install nightly --profile minimal; }
cargo fuzz --version >/dev/null 2>&1 || { say "cargo-fuzz"; cargo install --locked cargo-fuzz; }
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(readers decode reassembly http dns kfl)
built=$CARGO_TARGET_DIR/fuzz
seeds=$built/seeds
rm -rf "$seeds"
cargo +nightly run --quiet --manifest-path fuzz/Cargo.toml --target-dir "$built" --bin seeds "$seeds"
failed=()
for target in "${targets[@]}"; do
    say "$target"
    mkdir -p "fuzz/corpus/$target"
    cargo +nightly fuzz run --target-dir "$built" "$target" "fuzz/corpus/$target" "$seeds/$target" -- \
        -max_total_time="${FUZZ_SECONDS:-120}" -timeout=10 -rss_limit_mb=1024 -max_len=65536 -print_final_stats=1 || failed+=("$target")
done
[ ${#failed[@]} = 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
