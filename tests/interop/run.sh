#!/usr/bin/env bash
# Drives official MCP clients against official servers, all as published, through
# the recording proxy, and compares the rows in the file with what each client
# says that it did.
#
#     tests/interop/run.sh [PEER...]
#
# PEER is `typescript` (SDK 1.x and the reference server), `typescript2` (SDK 2.x)
# or `python`; each client named meets each server named, and without a name all
# do. The environment's PROXY is the built example `proxy`; without it, it is built.
# Needs Python 3 with `venv` and, for the TypeScript peers, Node.js 20 with npm. What
# is installed from npm stays in the folders of the peers, what from PyPI under the
# target directory. Prints `N passed, N failed` as its last line.
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
    : >"$log" # There before the child is.
    "$@" &>"$log" &
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

# record NAME SERVER CLIENT MODE...: records a server while one client for each mode
# does what it says, all at once, and checks the file.
record() {
    local name=$1 server=$2 client=$3 url upstream recorder mode began=$SECONDS
    shift 3
    # Both commands are of words without spaces.
    # shellcheck disable=SC2086
    start "$work/$name-server.log" $server
    upstream=$started
    url=$(wait_for "$work/$name-server.log" "$upstream" 'http://127\.0\.0\.1:[0-9]+/mcp')
    start "$work/$name-proxy.log" "$proxy" --upstream "$url" --listen 127.0.0.1:0 --db "$work/$name.db"
    recorder=$started
    # The welcome names the upstream first, then the URL for clients.
    url=$(wait_for "$work/$name-proxy.log" "$recorder" 'client at http://127\.0\.0\.1:[0-9]+/mcp')

    local clients=() accounts=()
    for mode in "$@"; do
        accounts+=("$work/$name-$mode.json")
        # shellcheck disable=SC2086
        start "$work/$name-$mode.log" timeout 60 $client "$mode" "${url#client at }" "${accounts[-1]}"
        clients+=("$started")
    done
    for mode in "$@"; do
        if ! wait "${clients[0]}"; then
            echo "interop: $name: the client did not do $mode" >&2
            return 1
        fi
        clients=("${clients[@]:1}")
    done
    kill -INT "$recorder"
    wait "$recorder"
    kill "$upstream"
    wait "$upstream" || true
    children=()

    local verdict
    verdict=$(python3 check.py "$work/$name.db" "${accounts[@]}") || true
    echo "$name: $verdict ($((SECONDS - began)) s)"
    verdict=$(tail -n 1 <<<"$verdict")
    [[ $verdict =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
}

npm_install() {
    if ! node -e 'process.exit(Number(process.versions.node.split(".")[0] < 20))'; then
        echo 'interop: the TypeScript peers need Node.js 20 or newer, with npm' >&2
        exit 2
    fi
    (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null)
}

pip_install() {
    [ -x "$venv/bin/pip" ] || python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$1/requirements.txt"
}

venv=$target/interop/python
declare -A install=(
    [typescript]=npm_install
    [typescript2]=npm_install
    [python]=pip_install
)
declare -A server=(
    [typescript]='node typescript/server.mjs'
    [typescript2]='node typescript2/server.mjs'
    [python]="$venv/bin/python python/server.py"
)
declare -A client=(
    [typescript]='node typescript/client.mjs'
    [typescript2]='node typescript2/client.mjs'
    [python]="$venv/bin/python python/client.py"
)
# What a server offers, and what a client can do with it.
declare -A server_modes=(
    [typescript]='legacy fallback sse vanish'
    [typescript2]='legacy modern stateless vanish'
    [python]='legacy modern sse vanish'
)
declare -A client_modes=(
    [typescript]='legacy stateless sse vanish'
    [typescript2]='legacy modern fallback stateless sse vanish'
    [python]='legacy modern fallback stateless sse vanish'
)

if [ $# -eq 0 ]; then set -- typescript typescript2 python; fi
for peer in "$@"; do
    if [ -z "${install[$peer]:-}" ]; then
        echo "interop: no peer $peer" >&2
        exit 2
    fi
    "${install[$peer]}" "$peer"
done
for to in "$@"; do
    for from in "$@"; do
        modes=()
        for mode in ${client_modes[$from]}; do
            [[ " ${server_modes[$to]} " != *" $mode "* ]] || modes+=("$mode")
        done
        record "$from-to-$to" "${server[$to]}" "${client[$from]}" "${modes[@]}"
    done
done
if [[ " $* " == *' typescript '* ]]; then
    record reference 'node typescript/reference-server.mjs' 'node typescript/reference-client.mjs' everything
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
