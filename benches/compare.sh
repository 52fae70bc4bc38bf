#!/usr/bin/env bash
# Measures the writer beside a plain loop and the writer of mcpr, in turns, or
# the query side beside that of mcpr.
# benches/compare.sh [writer] [rounds=N]
# benches/compare.sh query [rows=N]
set -euo pipefail
cd "$(dirname "$0")/.."

bench=writer
case ${1:-} in
writer | query)
    bench=$1
    shift
    ;;
esac

peers=${CARGO_TARGET_DIR:-target}/peers
CARGO_TARGET_DIR=$peers cargo build --release --locked --manifest-path benches/peers/Cargo.toml
exec cargo bench --bench "$bench" -- peer="$peers/release/peers" "$@"
