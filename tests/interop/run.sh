#!/usr/bin/env bash
# Drives official MCP clients against official servers, all as published, through
# the recording proxy, and compares the rows in the file with what each client
# says that it did. Then it sends each server requests in all the forms of
# `forms.json`, and compares what the server executed with the rows. Clients of SDKs
# that speak 2026-07-28 make calls of several rounds, through two proxies that record
# into one file, and the operations are compared with their account. At last, clients meet
# three replicas behind a load balancer, and the database of the fleet is compared with
# their accounts.
#
#     tests/interop/run.sh [PEER...]
#
# PEER is `typescript` (SDK 1.x and the reference server), `typescript2` (SDK 2.x)
# or `python`; each client named meets each server named, and without a name all
# do. `fleet` is for the replicas, which are last without a name. The environment's PROXY is the built example `proxy`, and MCP_STORE the built
# command; without them, they are built.
# Needs Python 3 with `venv` and, for the TypeScript peers, Node.js 20 with npm. What
# is installed from npm stays in the folders of the peers, what from PyPI under the
# target directory. Prints `N passed, N failed` as its last line.
set -euo pipefail

source "$(dirname "$0")/lib.sh"
source ./fleet.sh
need_example
need_command

passed=0
failed=0

# meet NAME SERVER CLIENT MODE...: records a server while one client for each mode
# does what it says, all at once, and checks the file.
meet() {
    local name=$1 server=$2 client=$3 url upstream recorder mode began=$SECONDS
    shift 3
    # Both commands are of words without spaces.
    # shellcheck disable=SC2086
    serve "$work/$name-server.log" $server
    upstream=$started
    record "$work/$name-proxy.log" "$work/$name.db"
    recorder=$started

    local clients=() accounts=()
    for mode in "$@"; do
        accounts+=("$work/$name-$mode.json")
        # shellcheck disable=SC2086
        start "$work/$name-$mode.log" timeout 60 $client "$mode" "$url" "${accounts[-1]}"
        clients+=("$started")
    done
    for mode in "$@"; do
        if ! wait "${clients[0]}"; then
            echo "interop: $name: the client did not do $mode" >&2
            return 1
        fi
        clients=("${clients[@]:1}")
    done
    part "$recorder" "$upstream"
    count "$name" "$began" python3 check.py "$work/$name.db" "${accounts[@]}"
}

# send_forms NAME SERVER WAY...: sends a server requests in all forms, in each way.
send_forms() {
    local name=$1 server=$2 url upstream recorder direct began=$SECONDS
    shift 2
    # shellcheck disable=SC2086
    serve "$work/$name-server.log" $server
    upstream=$started direct=$url
    record "$work/$name-proxy.log" "$work/$name.db"
    recorder=$started
    count "$name" "$began" timeout 300 python3 forms.py "$work/$name.db" "$direct" "$url" "$@"
    part "$recorder" "$upstream"
}

# ask NAME SERVER CLIENT: records calls of several rounds by two proxies, and checks the operations.
ask() {
    local name=$1 url direct upstream recorder one began=$SECONDS
    # shellcheck disable=SC2086
    serve "$work/$name-server.log" $2
    upstream=$started direct=$url
    record "$work/$name-proxy.log" "$work/$name.db"
    recorder=$started one=$url url=$direct
    record "$work/$name-other-proxy.log" "$work/$name.db"
    # shellcheck disable=SC2086
    timeout 60 $3 "$one" "$url" "$work/$name.json" &>"$work/$name.log"
    part "$recorder" "$started" "$upstream"
    count "$name" "$began" python3 operations.py "$mcp_store" "$work/$name.db" "$work/$name.json"
}

# part PROXY... SERVER: ends the processes.
part() {
    while [ $# -gt 1 ]; do
        kill -INT "$1"
        wait "$1"
        shift
    done
    kill "$1"
    wait "$1" || true
    children=()
}

# count NAME BEGAN COMMAND...: adds the verdict in the last line of what a command prints.
count() {
    local name=$1 began=$2 verdict
    shift 2
    verdict=$("$@") || true
    echo "$name: $verdict ($((SECONDS - began)) s)"
    verdict=$(tail -n 1 <<<"$verdict")
    [[ $verdict =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]
    passed=$((passed + BASH_REMATCH[1]))
    failed=$((failed + BASH_REMATCH[2]))
}

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
# Servers and clients of calls of several rounds.
declare -A asking_server=(
    [typescript2]='node typescript2/operations-server.mjs'
    [python]="$venv/bin/python python/operations_server.py"
)
declare -A asked_client=(
    [typescript2]='node typescript2/operations.mjs'
    [python]="$venv/bin/python python/operations.py"
)
# The ways of `forms.py` that a server knows.
declare -A server_ways=(
    [typescript]='legacy express sse'
    [typescript2]='legacy modern'
    [python]='legacy sse modern'
)

if [ $# -eq 0 ]; then set -- typescript typescript2 python fleet; fi
peers=() needed=()
for name in "$@"; do
    if [ "$name" = fleet ]; then
        needed+=(typescript typescript2 python)
    elif [ -n "${install[$name]:-}" ]; then
        peers+=("$name")
        needed+=("$name")
    else
        echo "interop: no peer $name" >&2
        exit 2
    fi
done
for name in $(printf '%s\n' "${needed[@]}" | sort -u); do "${install[$name]}" "$name"; done
for to in "${peers[@]}"; do
    for from in "${peers[@]}"; do
        modes=()
        for mode in ${client_modes[$from]}; do
            [[ " ${server_modes[$to]} " != *" $mode "* ]] || modes+=("$mode")
        done
        meet "$from-to-$to" "${server[$to]}" "${client[$from]}" "${modes[@]}"
        if [ -n "${asking_server[$to]:-}" ] && [ -n "${asked_client[$from]:-}" ]; then
            ask "$from-asked-by-$to" "${asking_server[$to]}" "${asked_client[$from]}"
        fi
    done
    # shellcheck disable=SC2086
    send_forms "forms-to-$to" "${server[$to]}" ${server_ways[$to]}
done
if [[ " $* " == *' typescript '* ]]; then
    meet reference 'node typescript/reference-server.mjs' 'node typescript/reference-client.mjs' everything
fi
if [[ " $* " == *' fleet '* ]]; then meet_fleet; fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
