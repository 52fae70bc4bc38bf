#!/usr/bin/env bash
# Tries the web pages in Debian's Chromium, on a record of clients of the official SDKs.
#
#     tests/web/run.sh
#
# The environment's MCP_STORE is the built command, SAMPLE and TRAVEL the built examples and
# CHROMIUM the browser; without the first three, they are built. Needs Node.js 20 with npm, and
# Python 3 with `venv`. What is installed from npm stays in this folder and in those of
# `tests/interop`, what from PyPI under the target directory.
set -euo pipefail
mcp_store=${MCP_STORE:+$(realpath "$MCP_STORE")}
sample=${SAMPLE:+$(realpath "$SAMPLE")}
travel=${TRAVEL:+$(realpath "$TRAVEL")}
cd "$(dirname "$0")"
root=$(cd ../.. && pwd)
target=$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")
if [ -z "$mcp_store" ]; then
    cargo build --quiet --manifest-path "$root/Cargo.toml" -p mcp-store
    mcp_store=$target/debug/mcp-store
fi
if [ -z "$sample" ]; then
    cargo build --quiet --manifest-path "$root/Cargo.toml" -p mcp-store-web --example sample
    sample=$target/debug/examples/sample
fi
if [ -z "$travel" ]; then
    cargo build --quiet --manifest-path "$root/Cargo.toml" --all-features --example travel
    travel=$target/debug/examples/travel
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
npx tsc --project .
size=$(wc -c <"$root/crates/mcp-store-web/assets/page.js")
if [ "$size" -ge 20000 ]; then
    echo "page.js has $size bytes, and 20,000 are allowed" >&2
    exit 1
fi
CARGO_TARGET_DIR=$target MCP_STORE=$mcp_store TRAVEL=$travel ./record.sh "$work/record.db"
node check.mjs "$mcp_store" "$sample" "$work/record.db"
