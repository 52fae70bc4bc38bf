# What the scripts here have in common. Sourced.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=$(cd "$root" && realpath -m "${CARGO_TARGET_DIR:-target}")
venv=$target/interop/python
# Resolved before the folder changes.
proxy=${PROXY:+$(realpath "$PROXY")}
mcp_store=${MCP_STORE:+$(realpath "$MCP_STORE")}
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

# serve LOG COMMAND...: starts a server, whose address is then in `url`.
serve() {
    start "$@"
    url=$(wait_for "$1" "$started" 'http://127\.0\.0\.1:[0-9]+/mcp')
}

# need_example, need_command: builds the example `proxy` or the command, unless the environment names it.
need_example() {
    [ -z "$proxy" ] || return 0
    cargo build --quiet --manifest-path "$root/Cargo.toml" --example proxy
    proxy=$target/debug/examples/proxy
}
need_command() {
    [ -z "$mcp_store" ] || return 0
    cargo build --quiet --manifest-path "$root/Cargo.toml" -p mcp-store
    mcp_store=$target/debug/mcp-store
}

# record LOG DB: starts the example before the server at `url`, which is then the proxy's address.
record() {
    record_by "$1" "$proxy" --upstream "$url" --listen 127.0.0.1:0 --db "$2"
}

# record_by LOG COMMAND...: starts a proxy, whose address is then in `url`.
record_by() {
    start "$@"
    # The welcome names the upstream first, then the URL for clients.
    url=$(wait_for "$1" "$started" 'client at http://127\.0\.0\.1:[0-9]+[^ ;]*')
    url=${url#client at }
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
