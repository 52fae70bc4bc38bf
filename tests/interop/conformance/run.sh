#!/usr/bin/env bash
# Runs the official conformance suite, as published, against servers of two official
# SDKs, directly and through `mcp-store proxy`, which has an address for the server or a path
# prefix, and fails if one verdict differs.
#
#     tests/interop/conformance/run.sh [SERVER...]
#
# SERVER is `typescript2` or `python`; without a name both are tested. The environment's MCP_STORE
# is the built command; without it, it is built. `tests/interop/run.sh` says what else the script needs and where it installs that. The suite brings its own Node.js, for
# Linux on x86-64. The script also fails if a server does not meet a requirement of a revision,
# if the requests of a server differ from the rows of the file, or if the file has a loss. The
# checks that fail are those of optional extensions, which both servers refuse in the same way.
set -euo pipefail

source "$(dirname "$0")/../lib.sh"
need_command

# The revisions whose requirements are tested: the last with sessions and the first without.
revisions=(2025-11-25 2026-07-28)

declare -A install=([typescript2]=npm_install [python]=pip_install)
declare -A server=(
    [typescript2]='node typescript2/conformance.mjs'
    [python]="$venv/bin/python python/conformance.py"
)

# suite NAME: runs the suite against the server at `url`.
suite() {
    local revision
    for revision in "${revisions[@]}"; do
        mkdir -p "$work/$1/$revision"
        if ! conformance/node_modules/node-linux-*/bin/node conformance/node_modules/.bin/conformance server \
            --url "$url" --requirements "$revision" --output-dir "$work/$1/$revision" &>"$work/$1-$revision.log"; then
            echo "FAILED $1 does not meet the requirements of $revision"
            failed=1
        fi
    done
}

npm_install conformance
if [ $# -eq 0 ]; then set -- typescript2 python; fi
failed=0
for name in "$@"; do
    if [ -z "${server[$name]:-}" ]; then
        echo "conformance: no server $name" >&2
        exit 2
    fi
    "${install[$name]}" "$name"
    for way in direct address prefix; do
        # The command is of words without spaces.
        # shellcheck disable=SC2086
        serve "$work/$name-$way-server.log" ${server[$name]}
        upstream=$started
        case $way in
            direct) options=() ;;
            address) options=(--upstream "$url") ;;
            prefix) options=(--upstream "tested=$url" --prefix tested=/a/tested) ;;
        esac
        if [ "$way" != direct ]; then
            record_by "$work/$name-$way-proxy.log" \
                "$mcp_store" proxy "${options[@]}" --listen 127.0.0.1:0 --db "$work/$name-$way.db"
        fi
        suite "$name-$way"
        if [ "$way" != direct ]; then
            kill -INT "$started"
            wait "$started"
        fi
        kill "$upstream"
        wait "$upstream" || true
        children=()
    done
    for way in address prefix; do
        python3 conformance/check.py "$name-$way" "$work/$name-direct" "$work/$name-$way" \
            "$work/$name-$way.db" "$work/$name-$way-server.log" || failed=1
    done
done
exit "$failed"
