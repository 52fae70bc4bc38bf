"""Compares the database of a fleet with the files that were shipped to it, and its counts with the clients' account.

    fleet.py MCP_STORE URL FOLDER [ACCOUNT.json...]

FOLDER has the files of the replicas, N.db, and what their shippers printed at their end, N-shipper.log.
With accounts of `check.py`, the counts of tools and clients have to be theirs.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from check import accounts
from store import opened

passed = failed = 0


def equal(actual, expected, what):
    global passed, failed
    if actual == expected:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {what}: expected {expected!r}, found {actual!r}")


def column(db, sql, *parameters):
    return [row[0] for row in db.execute(sql, parameters).fetchall()]


def check_file(db, path):
    """Each request of a file is in the database once, and was sent once."""
    file = opened(str(path))
    [store_id] = column(file, "SELECT value FROM meta WHERE key = 'store_id'")
    ids = column(file, "SELECT request_id FROM requests ORDER BY request_id")
    arrived = column(db, "SELECT request_id FROM requests WHERE store_id = CAST(? AS uuid) ORDER BY request_id", store_id)
    equal(len(ids) > 0, True, f"requests of {path.name}")
    equal(arrived, ids, f"requests from {path.name}")
    log = path.with_name(f"{path.stem}-shipper.log").read_text(encoding="utf-8")
    equal(json.loads(log), {"requests": len(ids), "new": len(ids), "refused": 0}, f"sent from {path.name}")
    for table in ("tasks", "losses", "schema_changes", "server_schema", "listing_views"):
        count = f"SELECT count(*) FROM {table}"
        in_file = column(file, count)
        equal(column(db, f"{count} WHERE store_id = CAST(? AS uuid)", store_id), in_file, f"{table} from {path.name}")
    return store_id


def check_info(command, url, db, stores):
    [info] = ask(command, url, "info")
    equal(sorted(store["store_id"] for store in info["stores"]), sorted(stores), "files")
    equal(len({key for store in info["stores"] for key in store["key_fingerprints"]}), 1, "keys")
    equal([info["requests"]], column(db, "SELECT count(*) FROM requests"), "requests of info")
    equal([info["sessions"]], column(db, "SELECT count(*) FROM sessions"), "sessions of info")
    logged = [line["request_id"] for line in ask(command, url, "logs", "--limit", "100000")]
    equal(sorted(logged), sorted(column(db, "SELECT request_id FROM requests")), "requests of logs")


def check_callers(db, stores):
    """A client without a session is one caller, with a session of each replica and server that it met."""
    met = db.execute("""
        SELECT min(client_name) AS client_name, count(*) AS sessions, count(DISTINCT store_id) AS stores
        FROM store_sessions WHERE source = 'derived' GROUP BY caller, proxy ORDER BY caller
    """).fetchall()
    for caller in met:
        equal(caller["sessions"], caller["stores"], f"sessions of {caller['client_name']}")
    equal(max(caller["stores"] for caller in met), stores, "most replicas of a caller")


def check_rounds(db, stores):
    legs = "SELECT count(DISTINCT store_id) AS stores FROM requests GROUP BY trace_id HAVING trace_id IS NOT NULL"
    equal(max(column(db, legs)), stores, "most replicas of a call")


def check_sums(command, url, db, paths):
    tools, errors, clients, total = Counter(), Counter(), Counter(), 0
    for account in accounts(paths):
        total += len(account["calls"])
        clients[account["session"]["client_name"]] += len(account["calls"])
        for call in account["calls"]:
            if call["method"] == "tools/call":
                tools[call["tool"]] += 1
                errors[call["tool"]] += call["tool_error"]
    shown = [line for line in ask(command, url, "stats") if line.get("tool")]
    equal({line["tool"]: (line["calls"], line["tool_errors"]) for line in shown}, both(tools, errors), "stats")
    rows = db.execute("""
        SELECT gen_ai_tool_name AS tool, sum(calls) AS calls, sum(tool_errors) AS tool_errors
        FROM tool_stats GROUP BY gen_ai_tool_name
    """)
    equal({row["tool"]: (row["calls"], row["tool_errors"]) for row in rows}, both(tools, errors), "tool_stats")
    rows = db.execute("SELECT client_name, sum(requests) AS requests FROM client_stats GROUP BY client_name")
    equal({row["client_name"]: row["requests"] for row in rows}, dict(clients), "client_stats")
    # A poll is a call of its own.
    equal(column(db, "SELECT sum(calls) FROM hourly_stats"), [total], "hourly_stats")


def both(one, other):
    return {key: (one[key], other[key]) for key in one}


def ask(command, url, *question):
    output = subprocess.run([command, "--db", url, *question, "--format", "json"], check=True, capture_output=True, text=True)
    return [json.loads(line) for line in output.stdout.splitlines()]


def main(command, url, folder, *paths):
    db = opened(url)
    stores = [check_file(db, path) for path in sorted(Path(folder).glob("*.db"))]
    check_info(command, url, db, stores)
    check_callers(db, len(stores))
    if paths:
        check_sums(command, url, db, paths)
    else:
        check_rounds(db, len(stores))
    print(f"{passed} passed, {failed} failed")
    return failed == 0


if __name__ == "__main__":
    sys.exit(not main(*sys.argv[1:]))
