#!/usr/bin/env bash
# Records clients of the official SDKs, and spreads their sessions over a week.
#
#     tests/web/record.sh FILE
#
# Two servers are behind the proxy: the tools of a travel agency, and the reference server. The
# clients are those of the Python SDK, of TypeScript SDK 1.x and 2.x, and of rmcp. In the course of
# the record the proxy is killed, another program locks the file for too long, and the tool
# `search_flights` changes and becomes slower. The environment's MCP_STORE is the built command, and
# TRAVEL the built example `travel`; without them, they are built. Needs what `tests/interop` needs.
set -euo pipefail

file=$(realpath -m "$1")
here=$(realpath "$(dirname "$0")")
travel=${TRAVEL:+$(realpath "$TRAVEL")}
# shellcheck source=tests/interop/lib.sh
source "$here/../interop/lib.sh"
need_command
if [ -z "$travel" ]; then
    cargo build --quiet --manifest-path "$root/Cargo.toml" --all-features --example travel
    travel=$target/debug/examples/travel
fi
npm_install typescript
npm_install typescript2
pip_install python

serve "$work/travel.log" node typescript2/travel-server.mjs
agency=$url
serve "$work/reference.log" node typescript/reference-server.mjs
reference=$url

# record_both OPTION...: starts the proxy before both servers.
record_both() {
    rounds=$((rounds + 1))
    start "$work/proxy-$rounds.log" "$mcp_store" proxy --db "$file" --listen 127.0.0.1:0 \
        --upstream "travel=$agency" --prefix travel=/travel \
        --upstream "reference=$reference" --prefix reference=/reference --tool-error-text "$@"
    recorder=$started
    url=$(wait_for "$work/proxy-$rounds.log" "$recorder" 'http://127\.0\.0\.1:[0-9]+/travel')
    url=${url%/travel}
}
rounds=0

# visit SESSIONS: each client begins so many sessions, and all run at once.
visit() {
    local clients=() pid
    start "$work/python.log" "$venv/bin/python" python/travel.py "$url/travel/mcp" $(($1 * 3 / 4)) $rounds
    clients+=("$started")
    start "$work/legacy.log" node typescript2/travel.mjs "$url/travel/mcp" "$1" "1$rounds" legacy
    clients+=("$started")
    start "$work/modern.log" node typescript2/travel.mjs "$url/travel/mcp" "$1" "2$rounds" auto
    clients+=("$started")
    start "$work/kiosk.log" node typescript/travel.mjs "$url/travel/mcp" "$1" "3$rounds"
    clients+=("$started")
    start "$work/rmcp.log" "$travel" "$url/travel/mcp" $(($1 / 2))
    clients+=("$started")
    start "$work/research.log" node typescript/travel-research.mjs "$url/reference/mcp"
    clients+=("$started")
    for pid in "${clients[@]}"; do wait "$pid"; done
}

record_both
visit 12
# With requests under way, which then have no row.
start "$work/killed.log" node typescript2/travel.mjs "$url/travel/mcp" 6 40 legacy
sleep 1.5
kill -KILL "$recorder"
wait "$recorder" || true
kill "$started"
wait "$started" || true

record_both
visit 18
kill -INT "$recorder"
wait "$recorder"

# Another program locks the file for longer than a short queue lasts.
record_both --queue-events 8
start "$work/lock.log" python3 -c '
import sqlite3, sys, time
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN IMMEDIATE")
time.sleep(4)
file.execute("ROLLBACK")' "$file"
visit 3
kill -INT "$recorder"
wait "$recorder"

curl --silent --show-error "${agency%/mcp}/deploy"
record_both
visit 14
kill -INT "$recorder"
wait "$recorder"

python3 "$here/spread.py" "$file"
