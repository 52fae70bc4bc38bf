"""Compares the operations of a store with the account of calls that take several requests.

    operations.py MCP_STORE STORE ACCOUNT.json...

MCP_STORE is the command, STORE a file or the URL of the database of a fleet. Every fact of a call and every number of a tool counts as one. The trace
of a request says to which call of the account it belongs.
"""

import json
import subprocess
import sys
from collections import Counter, defaultdict

from store import Database, opened

LATE = """
    SELECT count(*) FROM requests AS leg
    WHERE leg > 1 AND NOT EXISTS (
        SELECT 1 FROM requests AS giver
        WHERE giver.state_out = leg.state_in AND giver.operation_id = leg.operation_id AND giver.id < leg.id)
"""

TOOLS = """
    SELECT gen_ai_tool_name AS tool, sum(calls) AS calls, sum(tool_errors) AS tool_errors, sum(open) AS open
    FROM tool_stats GROUP BY gen_ai_tool_name
"""

passed = failed = 0


def equal(actual, expected, what):
    global passed, failed
    if actual == expected:
        passed += 1
    else:
        failed += 1
        print(f"FAILED {what}: expected {expected!r}, found {actual!r}")


def check_call(db, call):
    trace = call["trace"]
    what = f"{call['tool']} {trace[:8]}"
    rows = db.execute("SELECT request_id, operation_id FROM requests WHERE trace_id = ?", (trace,)).fetchall()
    equal(len(rows), call["requests"], f"requests of {what}")
    found = db.execute("SELECT * FROM operations WHERE trace_id = ? ORDER BY ts, operation_id", (trace,)).fetchall()
    expected = sorted((one["legs"], one["outcome"]) for one in call["operations"])
    equal(sorted((one["legs"], one["outcome"]) for one in found), expected, f"operations of {what}")
    for one in found:
        # In the database of a fleet, a function finds the legs of other files. It counts them.
        if not isinstance(db, Database):
            legs = db.execute(
                "SELECT trace_id, tool FROM requests WHERE coalesce(operation_id, request_id) = ?",
                (one["operation_id"],),
            ).fetchall()
            equal({tuple(leg) for leg in legs}, {(trace, call["tool"])}, f"traces of the legs of {what}")
            equal(len(legs), one["legs"], f"legs of {what}")
        is_open = one["outcome"] == "input_required"
        equal(one["ended_ts"] is None, is_open, f"end of {what}")
    if len(found) == 1 and call["wall_us"] is not None:
        [one] = found
        # The file has times in milliseconds.
        equal(one["wall_us"] <= call["wall_us"] + 2000, True, f"wall time {one['wall_us']} of {call['wall_us']}: {what}")
        equal(one["wall_us"] >= call["thinking_us"] - 2000, True, f"{one['wall_us']} < {call['thinking_us']}: {what}")
        equal(one["wall_us"] - one["server_us"], one["client_us"], f"parts of the time of {what}")


def check_counts(db, store, calls, command):
    """Each way to count calls has the numbers of the account."""
    expected = defaultdict(Counter)
    for call in calls:
        for one in call["operations"]:
            of_tool = expected[call["tool"]]
            of_tool["calls"] += 1
            of_tool[one["outcome"]] += 1
    output = subprocess.run(
        [command, "--db", store, "stats", "--format", "json"], check=True, capture_output=True, text=True
    ).stdout
    shown = {line["tool"]: line for line in map(json.loads, output.splitlines()) if line.get("tool")}
    view = {row["tool"]: row for row in db.execute(TOOLS)}
    equal(sorted(shown), sorted(expected), "tools of stats")
    equal(sorted(view), sorted(expected), "tools of tool_stats")
    for tool, counts in expected.items():
        numbers = (counts["calls"], counts["tool_error"], counts["input_required"])
        for name, row in (("stats", shown[tool]), ("tool_stats", view[tool])):
            equal((row["calls"], row["tool_errors"], row["open"]), numbers, f"calls, tool errors and open of {tool} in {name}")
    operations = db.execute("SELECT count(*) FROM operations WHERE gen_ai_tool_name IS NOT NULL").fetchone()[0]
    equal(operations, sum(counts["calls"] for counts in expected.values()), "operations")


def check_links(db, expected):
    in_sessions = db.execute("SELECT sum(operations) FROM sessions").fetchone()[0]
    if isinstance(db, Database):
        # A file takes a request for a call by itself if the one that it follows is in another file.
        apart = db.execute("SELECT count(*) FROM requests WHERE coalesce(leg, 1) = 1").fetchone()[0]
        equal(in_sessions, apart, "operations of the sessions")
        return
    equal(in_sessions, db.execute("SELECT count(*) FROM operations").fetchone()[0], "operations of the sessions")
    # A leg that was written before the one that it follows was counted, and then linked.
    late = db.execute(LATE).fetchone()[0]
    unlinked = db.execute("SELECT sum(unlinked) FROM writers").fetchone()[0]
    equal(unlinked, expected + late, f"unlinked requests and {late} late ones")


def main(command, store, *paths):
    db = opened(store)
    calls, unlinked = [], 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            account = json.load(file)
        calls += account["calls"]
        unlinked += account["unlinked"]
    for call in calls:
        check_call(db, call)
    check_counts(db, store, calls, command)
    check_links(db, unlinked)
    equal(db.execute("SELECT count(*) FROM losses").fetchone()[0], 0, "losses")
    print(f"{passed} passed, {failed} failed")
    return failed == 0


if __name__ == "__main__":
    sys.exit(not main(*sys.argv[1:]))
