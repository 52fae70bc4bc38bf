# Three replicas, whose files are shipped to a private PostgreSQL, behind a load balancer.
# Sourced by `run.sh`.

# postgres_programs: the folder of the programs, which Debian keeps out of the path.
postgres_programs() {
    local folder found=
    for folder in "$(pg_config --bindir 2>/dev/null)" /usr/lib/postgresql/*/bin; do
        [ ! -x "$folder/initdb" ] || found=$folder
    done
    echo "$found"
}

# start_postgres: starts PostgreSQL on a socket in the folder `socket`.
start_postgres() {
    local programs user=()
    programs=$(postgres_programs)
    socket=$work/postgres
    mkdir "$socket"
    # It refuses to run as root.
    if [ "$(id -u)" -eq 0 ]; then
        user=(setpriv --reuid=postgres --regid=postgres --clear-groups)
        chmod 711 "$work"
        chown postgres: "$socket"
    fi
    (cd / && "${user[@]}" "$programs/initdb" --no-sync --auth=trust --encoding=UTF8 --no-locale \
        --username owner --pgdata "$socket/data" >"$work/initdb.log")
    start "$work/postgres.log" env --chdir=/ "${user[@]}" "$programs/postgres" -D "$socket/data" -k "$socket" \
        -c listen_addresses= -c fsync=off
    wait_for "$work/postgres.log" "$started" 'ready to accept' >/dev/null
}

# has_postgres: fails if there is no PostgreSQL, and ends the script in continuous integration.
has_postgres() {
    if [ -n "$(postgres_programs)" ]; then return; fi
    echo 'interop: the fleet needs PostgreSQL, which is not installed' >&2
    [ -z "${CI:-}" ] || exit 1
    return 1
}

# begin_fleet NAME: makes a database, whose URL is then in `database`, and a folder for the files.
begin_fleet() {
    fleet=$work/$1
    mkdir "$fleet"
    psql -qX "postgres://owner@${socket//\//%2F}/postgres" -c "CREATE DATABASE \"$1\""
    database=postgres://owner@${socket//\//%2F}/$1
    "$mcp_store" fleet init --to "$database" >"$fleet/init.log"
    proxies=() shippers=() behind=()
}

# serve_fleet COMMAND: starts a server of a fleet, whose address is then in `url`.
serve_fleet() {
    # The command is of words without spaces.
    # shellcheck disable=SC2086
    serve "$fleet/server-${#behind[@]}.log" $1
    behind+=("$started")
}

# replica NUMBER NAME=URL...: starts a replica that records these servers, and its shipper.
replica() {
    local number=$1 options=() server
    shift
    for server in "$@"; do
        options+=(--upstream "$server" --listen "${server%%=*}=127.0.0.1:0")
    done
    start "$fleet/$number.log" "$mcp_store" proxy "${options[@]}" --db "$fleet/$number.db" \
        --shared-key-file "$work/fleet.key"
    proxies+=("$started")
    wait_for "$fleet/$number.log" "$started" 'stop with' >/dev/null
    # Only what it prints at its end goes to the log.
    start "$fleet/$number-shipper.log" sh -c 'exec "$@" 2>"$0"' "$fleet/$number-shipper-errors.log" \
        "$mcp_store" ship --to "$database" --db "$fleet/$number.db" --format json
    shippers+=("$started")
}

# balance WAY NAME: starts a load balancer before what the replicas record as NAME.
balance() {
    local urls=() number
    for number in 1 2 3; do
        urls+=("$(sed -n "/ as $2\$/{n;s/.*client at //p}" "$fleet/$number.log")")
    done
    serve "$fleet/$1-$2-balancer.log" node common/balancer.mjs "$1" "${urls[@]}"
    behind+=("$started")
}

# end_fleet: ends the replicas, and their shippers once they have shipped everything.
end_fleet() {
    local pid
    for pid in "${proxies[@]}" "${shippers[@]}"; do
        kill -INT "$pid"
        wait "$pid"
    done
    kill "${behind[@]}"
}

# drive NAME COMMAND MODE...: starts a client for each mode.
drive() {
    local name=$1 command=$2 mode
    shift 2
    for mode in "$@"; do
        accounts+=("$fleet/$name-$mode.json")
        # shellcheck disable=SC2086
        start "$fleet/$name-$mode.log" timeout 60 $command "$mode" "$url" "${accounts[-1]}"
        drivers+=("$started")
    done
}

# finish_clients: waits for the clients.
finish_clients() {
    local pid
    for pid in "${drivers[@]}"; do
        if ! wait "$pid"; then
            echo "interop: a client of the fleet failed" >&2
            tail -n 50 "$fleet"/*.log >&2
            return 1
        fi
    done
}

# Each replica has a server of its own, and all replicas record two more servers. A client with a
# session is pinned to a replica, or its requests reach the common server by all replicas.
fleet_of_calls() {
    local began=$SECONDS accounts=() drivers=() own=() common tasks number
    begin_fleet calls
    serve_fleet 'node typescript/reference-server.mjs'
    tasks=$url
    serve_fleet "${server[typescript2]}"
    common=$url
    for number in 1 2 3; do
        serve_fleet "${server[typescript2]}"
        replica "$number" "own=$url" "common=$common" "tasks=$tasks"
    done
    balance pinned own
    drive typescript2 "${client[typescript2]}" legacy spread
    drive python "${client[python]}" legacy spread
    balance rotating common
    drive typescript2 "${client[typescript2]}" roaming
    drive python "${client[python]}" roaming
    balance rotating tasks
    drive reference 'node typescript/reference-client.mjs' tasks
    finish_clients
    end_fleet
    count fleet-rows "$began" python3 check.py "$database" "${accounts[@]}"
    count fleet-counts "$SECONDS" python3 fleet.py "$mcp_store" "$database" "$fleet" "${accounts[@]}"
}

# Each replica has two servers that ask, and the rounds of a call reach different replicas.
fleet_of_rounds() {
    local began=$SECONDS accounts=() drivers=() peer number upstreams STATE_KEY
    STATE_KEY=$(cat "$work/fleet.key")
    export STATE_KEY
    begin_fleet rounds
    for number in 1 2 3; do
        upstreams=()
        for peer in typescript2 python; do
            serve_fleet "${asking_server[$peer]}"
            upstreams+=("$peer=$url")
        done
        replica "$number" "${upstreams[@]}"
    done
    for peer in typescript2 python; do
        balance rotating "$peer"
        for from in typescript2 python; do
            accounts+=("$fleet/$from-asked-by-$peer.json")
            # shellcheck disable=SC2086
            start "$fleet/$from-asked-by-$peer.log" timeout 60 ${asked_client[$from]} "$url" "$url" "${accounts[-1]}"
            drivers+=("$started")
        done
    done
    finish_clients
    end_fleet
    count fleet-operations "$began" python3 operations.py "$mcp_store" "$database" "${accounts[@]}"
    count fleet-files "$SECONDS" python3 fleet.py "$mcp_store" "$database" "$fleet"
}

meet_fleet() {
    has_postgres || return 0
    od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$work/fleet.key"
    chmod 600 "$work/fleet.key"
    start_postgres
    local postgres=$started
    fleet_of_calls
    fleet_of_rounds
    kill -QUIT "$postgres"
    wait "$postgres" || true
    children=()
}
