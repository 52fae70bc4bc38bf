#!/usr/bin/env bash
# Measures the proxy of `examples/` with wrk, in front of a server that does
# nothing, in turns with the bare server and, where it is named, with mcpr:
#
#     benches/proxy.sh mcpr=path/to/mcpr
#
# Or measures `mcp-store proxy` with one path prefix and, in turns, with twenty:
#
#     benches/proxy.sh prefixes
#
# `rounds=1 seconds=1` after either makes it short.
#
# mcpr is the binary of the crate mcpr-proxy 0.4.50. Installed as it is, it takes
# newer releases of its own crates, with which it does not build: in a copy of
# it, mcpr-core, mcpr-integrations and mcpr-tunnel are set to `=0.4.50`.
# Its daemon keeps running afterwards: stop it with `mcpr stop`.
set -euo pipefail
cd "$(dirname "$0")/.."

command -v wrk >/dev/null || { echo "wrk is needed (apt-get install wrk)" >&2; exit 2; }
release=${CARGO_TARGET_DIR:-target}/release
if [ "${1:-}" = prefixes ]; then
    shift
    cargo build --release -p mcp-store
    measured=prefixes=$release/mcp-store
else
    cargo build --release --example proxy
    measured=proxy=$release/examples/proxy
fi
exec cargo bench --bench proxy -- "$measured" "$@"
