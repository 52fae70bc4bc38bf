"""Compares the rows of a store with the accounts of what the clients did.

    check.py STORE ACCOUNT.json...

STORE is a file, or the URL of the database of a fleet. Every expected row, every row too many and
every fact of a session counts as one.
"""

import hashlib
import json
import sys
from collections import defaultdict

from store import Database, opened

# What a row and an entry of an account have to agree on.
FACTS = (
    "session_id", "protocol_version", "method", "tool", "target", "status",
    "error_code", "error_msg", "tool_error", "end_reason", "http_status",
)  # fmt: skip

passed = failed = 0


def check(ok, what):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {what}")


def equal(actual, expected, what):
    check(actual == expected, f"{what}: expected {expected!r}, found {actual!r}")


def describe(row):
    facts = ((fact, row[fact]) for fact in FACTS)
    return " ".join(f"{fact}={value}" for fact, value in facts if value is not None)


def accounts(paths):
    for path in paths:
        with open(path, encoding="utf-8") as file:
            yield from json.load(file)


def check_session(rows, account):
    """Returns the id of the session that belongs to the account."""
    expected = account["session"]
    if expected is None:
        return None
    name = f"{expected['client_name']} ({expected['source']})"
    found = [row for row in rows if f"{row['client_name']} ({row['source']})" == name]
    equal(len(found), 1, f"sessions of {name}")
    if not found:
        return expected.get("session_id")
    row = found[0]
    for fact, value in expected.items():
        if fact != "ended":
            equal(row[fact], value, f"{fact} of {name}")
    equal(row["protocol_version"], account["protocol_version"], f"protocol version of {name}")
    equal(row["session_id"].startswith("derived:"), row["source"] == "derived", f"kind of id of {name}")
    if expected["ended"]:
        check(row["ended_at"] and row["ended_at"] >= row["started_at"], f"{name} ended at {row['ended_at']}")
    elif expected["ended"] is not None:
        equal(row["ended_at"], None, f"end of {name}")
    calls = account["calls"]
    equal(row["total_calls"], len(calls), f"calls of {name}")
    errors = sum(call["status"] != "ok" for call in calls)
    equal(row["total_errors"], errors, f"errors of {name}")
    return row["session_id"]


def of_callers(sessions):
    """Returns one session for each caller, and the id of that session for each id of its others."""
    whole, first_of = {}, {}
    for row in sessions:
        one = whole.setdefault(row["caller"] or row["session_id"], row)
        first_of[row["session_id"]] = one["session_id"]
        if one is not row:
            for fact in ("total_calls", "total_errors", "operations"):
                one[fact] += row[fact]
    return list(whole.values()), first_of


def check_row(row, call):
    what = describe(row)
    check(row["latency_us"] >= max(1, call["min_latency_us"]), f"latency {row['latency_us']} of {what}")
    if call["max_latency_us"] is not None:
        # The client's clock began before and stopped after.
        check(row["latency_us"] <= call["max_latency_us"], f"{row['latency_us']} > {call['max_latency_us']} µs: {what}")
    equal(row["ttfb_us"] is None, row["http_status"] is None, f"time of the head: {what}")
    # A 202 may come after the answer, which takes another way.
    if row["http_status"] not in (None, 202):
        check(row["ttfb_us"] <= row["latency_us"], f"head after {row['ttfb_us']} of {row['latency_us']}: {what}")
    check(row["bytes_in"] > 0, f"request of {row['bytes_in']} bytes: {what}")
    # An end reason mostly says why there is no answer.
    if call.get("answered", row["end_reason"] in (None, "input_required")):
        check((row["bytes_out"] or 0) > 0, f"answer of {row['bytes_out']} bytes: {what}")
    else:
        equal(row["bytes_out"], None, f"size of the answer: {what}")


def check_tasks(db, tasks):
    """The calls that were answered with a task end as the client saw it."""
    found = db.execute("SELECT task_id, outcome, polls FROM operations WHERE kind = 'task' ORDER BY ts").fetchall()
    expected = [(task["task_id"], task["outcome"], task["polls"]) for task in tasks]
    equal([tuple(row) for row in found], expected, "tasks")


LISTINGS = {
    "initialize": None,
    "server/discover": None,
    "tools/list": ("tools", "name"),
    "resources/list": ("resources", "uri"),
    "resources/templates/list": ("resourceTemplates", "uriTemplate"),
    "prompts/list": ("prompts", "name"),
}


def check_listings(db):
    """What the server was asked about itself is there, as its hash says, and in order."""
    asked = db.execute("SELECT DISTINCT method FROM requests WHERE status = 'ok' AND end_reason IS NULL")
    for method in sorted(LISTINGS.keys() & {row["method"] for row in asked}):
        row = db.execute("SELECT * FROM server_schema WHERE method = ?", (method,)).fetchone()
        if row is None:
            check(False, f"no listing of {method}")
            continue
        equal(row["schema_hash"], hashlib.sha256(row["payload"].encode()).hexdigest(), f"hash of {method}")
        payload = json.loads(row["payload"])
        if LISTINGS[method] is None:
            check(payload.get("serverInfo", {}).get("name"), f"no name of the server in {method}")
        else:
            array, key = LISTINGS[method]
            names = [item[key] for item in payload[array]]
            equal(names, sorted(names, key=str.encode), f"order of {method}")
        first = "SELECT change_type FROM schema_changes WHERE method = ? ORDER BY id LIMIT 1"
        equal(db.execute(first, (method,)).fetchone()[0], "initial", f"first change of {method}")
    lost = "SELECT count(*) FROM listing_views WHERE content_hash NOT IN (SELECT content_hash FROM listing_payloads)"
    equal(db.execute(lost).fetchone()[0], 0, "contents that are not kept")


def main(store, paths):
    db = opened(store)
    sessions = db.execute("SELECT * FROM sessions ORDER BY session_id").fetchall()
    # A client without a session has one of each replica, with one caller.
    first_of = {}
    if isinstance(db, Database):
        sessions, first_of = of_callers(sessions)

    # The same rows, as often, in whatever order they were finished. Of equal
    # ones the quicker belongs to the call that took less time.
    calls = defaultdict(list)
    expected_sessions = 0
    for account in accounts(paths):
        expected_sessions += account["session"] is not None
        session_id = check_session(sessions, account)
        for call in account["calls"]:
            call = {"protocol_version": account["protocol_version"], **call, "session_id": session_id}
            calls[describe(call)].append(call)
    equal(len(sessions), expected_sessions, "sessions")

    rows = defaultdict(list)
    for row in db.execute("SELECT * FROM requests ORDER BY latency_us"):
        row = {**row, "session_id": first_of.get(row["session_id"], row["session_id"])}
        rows[describe(row)].append(row)
    for what, expected in calls.items():
        expected.sort(key=lambda call: call["max_latency_us"] or 0)
        found = rows.pop(what, [])
        for call, row in zip(expected, found):
            check(True, what)
            check_row(row, call)
        for _ in expected[len(found) :]:
            check(False, f"no row for {what}")
        for _ in found[len(expected) :]:
            check(False, f"a row that no call made: {what}")
    for what, found in rows.items():
        for _ in found:
            check(False, f"a row that no call made: {what}")

    check_tasks(db, [task for account in accounts(paths) for task in account.get("tasks", [])])
    check_listings(db)
    equal(db.execute("SELECT count(*) FROM losses").fetchone()[0], 0, "losses")
    print(f"{passed} passed, {failed} failed")
    return failed == 0


if __name__ == "__main__":
    sys.exit(not main(sys.argv[1], sys.argv[2:]))
