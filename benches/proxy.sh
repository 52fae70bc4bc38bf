#!/usr/bin/env bash
# Measures the proxy of `examples/` with wrk, in front of a server that does
# nothing, in turns with the bare server and, where it is named, with mcpr:
#
#     cargo install mcpr-proxy --version 0.4.50 --root /tmp/mcpr
#     benches/proxy.sh mcpr=/tmp/mcpr/bin/mcpr
set -euo pipefail
cd "$(dirname "$0")/.."

command -v wrk >/dev/null || { echo "wrk is needed (apt-get install wrk)" >&2; exit 2; }
cargo build --release --example proxy
exec cargo bench --bench proxy -- proxy="${CARGO_TARGET_DIR:-target}/release/examples/proxy" "$@"
