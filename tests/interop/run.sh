#!/usr/bin/env bash
# Drives official MCP clients against official servers, all as published, through
# the recording proxy, and compares the rows in the file with what each client
# says that it did.
#
#     tests/interop/run.sh [PEER...]
#
# PEER is `typescript` (SDK 1.x and the reference server), `typescript2` (SDK 2.x)
# or `python`; without one, all of them. The environment's PROXY is the built
# example `proxy`; without it, it is built. Needs Python 3 and, for the TypeScript
# peers, Node.js with npm; what is installed from npm and PyPI stays under the
# folders of the peers and under the target directory. Prints `N passed, N failed`
# as its last line.
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
target=$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")
if [ -n "${PROXY:-}" ]; then
    proxy=$(realpath "$PROXY")
else
    cargo build --quiet --manifest-path "$root/Cargo.toml" --example proxy
    proxy=$target/debug/examples/proxy
fi
cd "$root/tests/interop"

work=$(mktemp -d)
children=()
finish() {
    status=$?
    for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
    if [ "$status" -ne 0 ]; then
        for log in "$work"/*.log; do
            [ ! -e "$log" ] || { echo "--- $(basename "$log")" && tail -n 50 "$log"; }
        done >&2
    fi
    rm -rf "$work"
}
trap finish EXIT

# start LOG COMMAND...: starts a child, whose id is then in `started`.
start() {
    local log=$1
    shift
    "$@" >"$log" 2>&1 &
    started=$!
    children+=("$started")
}

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

passed=0
failed=0

# record NAME SERVER CLIENT MODE...: records a server while a client does what each
# mode says, and checks the file.
record() {
    local name=$1 server=$2 client=$3 url recorder mode began=$SECONDS
    shift 3
    # Both commands are of words without spaces.
    # shellcheck disable=SC2086
    start "$work/$name-server.log" $server
    url=$(wait_for "$work/$name-server.log" "$started" 'http://127\.0\.0\.1:[0-9]+/mcp')
    local upstream=$started
    start "$work/$name-proxy.log" "$proxy" --upstream "$url" --listen 127.0.0.1:0 --db "$work/$name.db"
    recorder=$started
    # The welcome names the upstream first, then the URL for clients.
    url=$(wait_for "$work/$name-proxy.log" "$recorder" 'client at http://127\.0\.0\.1:[0-9]+/mcp')

    local accounts=()
    for mode in "$@"; do
        # shellcheck disable=SC2086
        timeout 60 $client "$mode" "${url#client at }" "$work/$name-$mode.json" \
            >"$work/$name-$mode.log" 2>&1 || {
            echo "interop: $name: the client did not do $mode" >&2
            return 1
        }
        accounts+=("$work/$name-$mode.json")
    done
    kill -INT "$recorder"
    wait "$recorder"
    kill "$upstream"

    local verdict
    verdict=$(python3 check.py "$work/$name.db" "${accounts[@]}") || true
    echo "$name: $verdict ($((SECONDS - began)) s)"
    verdict=$(tail -n 1 <<<"$verdict")
    [[ $verdict =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
}

npm_install() {
    (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
}

peer_typescript() {
    npm_install typescript
    record reference 'node typescript/reference-server.mjs' 'node typescript/reference-client.mjs' everything
    record typescript 'node typescript/server.mjs' 'node typescript/client.mjs' streamable sse vanish
}

peer_typescript2() {
    npm_install typescript2
    record typescript2 'node typescript2/server.mjs' 'node typescript2/client.mjs' legacy modern stateless vanish
}

peer_python() {
    local venv=$target/interop/python
    [ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement python/requirements.txt
    record python "$venv/bin/python python/server.py" "$venv/bin/python python/client.py" legacy modern sse vanish
}

if [ $# -eq 0 ]; then set -- typescript typescript2 python; fi
for peer in "$@"; do
    if ! declare -F "peer_$peer" >/dev/null; then
        echo "interop: no peer $peer" >&2
        exit 2
    fi
    "peer_$peer"
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
