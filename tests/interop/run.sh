#!/usr/bin/env bash
# Drives the official TypeScript client against the reference server, both as
# published, through the recording proxy, and compares the rows in the file with
# what the client says that it did.
#
#     tests/interop/run.sh [PROXY]
#
# PROXY is the built example `proxy`; without it, it is built. Needs Node.js with
# npm, and sqlite3. Prints `N passed, N failed` as its last line.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
for tool in node npm sqlite3; do
    command -v "$tool" >/dev/null || { echo "interop: $tool is missing" >&2; exit 2; }
done
if [ $# -gt 0 ]; then
    proxy=$(realpath "$1")
else
    cargo build --quiet --manifest-path "$root/Cargo.toml" --example proxy
    proxy=${CARGO_TARGET_DIR:-$root/target}/debug/examples/proxy
fi

cd "$root/tests/interop/typescript"
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error

work=$(mktemp -d)
children=()
finish() {
    status=$?
    for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
    if [ "$status" -ne 0 ]; then
        for log in "$work"/*.log; do
            echo "--- $(basename "$log")" && tail -n 50 "$log"
        done >&2
    fi
    rm -rf "$work"
}
trap finish EXIT

# wait_for LOG PID PATTERN: the first match in the log of a running process.
wait_for() {
    for _ in $(seq 300); do
        if grep -oEm1 "$3" "$1"; then return; fi
        kill -0 "$2" 2>/dev/null || break
        sleep 0.1
    done
    echo "interop: no /$3/ in $(basename "$1")" >&2
    return 1
}

touch "$work/server.log" "$work/proxy.log"
node server.mjs >"$work/server.log" 2>&1 &
server=$!
children+=("$server")
upstream=$(wait_for "$work/server.log" "$server" 'http://127\.0\.0\.1:[0-9]+/mcp')

"$proxy" --upstream "$upstream" --listen 127.0.0.1:0 --db "$work/store.db" >"$work/proxy.log" 2>&1 &
recorder=$!
children+=("$recorder")
# The welcome names the upstream first, then the URL for clients.
url=$(wait_for "$work/proxy.log" "$recorder" 'client at http://127\.0\.0\.1:[0-9]+/mcp')

timeout 120 node client.mjs "${url#client at }" "$work/account.json"

kill -INT "$recorder"
wait "$recorder"
node check.mjs "$work/account.json" "$work/store.db"
