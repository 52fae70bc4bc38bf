#!/usr/bin/env bash
# Measures the writer beside a plain loop and the writer of mcpr, in turns.
# benches/compare.sh [rounds=N]
set -euo pipefail
cd "$(dirname "$0")/.."

peers=${CARGO_TARGET_DIR:-target}/peers
CARGO_TARGET_DIR=$peers cargo build --release --locked --manifest-path benches/peers/Cargo.toml
exec cargo bench --bench writer -- peer="$peers/release/peers" "$@"
