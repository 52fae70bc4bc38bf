"""Spreads the sessions of a recording over the seven days before now.

    spread.py FILE

A recording takes a minute, and the pages show days. All times of a session move by the same time,
so its requests keep their order and their distances, and no latency changes. Sessions keep their
order. More of them begin by day than at night (UTC). What belongs to no session moves with the
session that began before it, or, for the start of a writer, with the one that began after it.
Nothing but times changes, and the numbers of rows keep the order in which rows were written.
Statistics of hours are removed: they count requests in the hours before, and are made again of
the requests before these are removed.
"""

import bisect
import random
import sqlite3
import sys
import time

HOUR = 3_600_000
WEEK = 7 * 24 * HOUR
# The times that move with what happened before them, and those that move with what comes after.
BEFORE = {
    "server_schema": ["captured_at"],
    "schema_changes": ["detected_at"],
    "listing_views": ["seen_at"],
    "losses": ["from_ts", "to_ts"],
    "writers": ["seen_at", "ended_at"],
}
AFTER = {"writers": ["started_at"]}


def starts(count, end):
    """Times of the week before `end`, in order."""
    choose = random.Random(1)
    hours = [end - WEEK + at * HOUR for at in range(WEEK // HOUR)]
    weights = [1 if 7 <= (hour // HOUR) % 24 < 20 else 0.2 for hour in hours]
    chosen = sorted(hour + choose.randrange(HOUR) for hour in choose.choices(hours, weights, k=count))
    # The record begins and ends with the week.
    return [end - WEEK + HOUR // 2, *chosen[1:-1], end]


def spread(file, end):
    sessions = file.execute("SELECT session_id, started_at FROM sessions ORDER BY started_at, session_id").fetchall()
    moves = [to - began for (_, began), to in zip(sessions, starts(len(sessions), end))]
    began = [began for _, began in sessions]

    def before(ts):
        return ts and ts + moves[max(0, bisect.bisect_right(began, ts) - 1)]

    def after(ts):
        return ts and ts + moves[min(len(moves) - 1, bisect.bisect_left(began, ts))]

    file.create_function("before", 1, before)
    file.create_function("after", 1, after)
    file.execute("CREATE TEMP TABLE moves (session_id TEXT PRIMARY KEY, by INTEGER NOT NULL)")
    file.executemany("INSERT INTO moves VALUES (?, ?)", [(id, by) for (id, _), by in zip(sessions, moves)])
    # A task moves with the request that began it.
    file.execute("""
        UPDATE tasks SET updated_ts = updated_ts + m.by, ended_ts = ended_ts + m.by
        FROM requests AS r JOIN moves AS m USING (session_id) WHERE r.request_id = tasks.operation_id""")
    file.execute("""
        UPDATE sessions SET started_at = started_at + m.by, last_seen_at = last_seen_at + m.by,
            ended_at = ended_at + m.by
        FROM moves AS m WHERE m.session_id = sessions.session_id""")
    file.execute("""
        UPDATE requests SET ts = coalesce(
            ts + (SELECT by FROM moves AS m WHERE m.session_id = requests.session_id), before(ts))""")
    for function, tables in (("before", BEFORE), ("after", AFTER)):
        for table, columns in tables.items():
            changes = ", ".join(f"{column} = {function}({column})" for column in columns)
            file.execute(f"UPDATE {table} SET {changes}")
    file.execute("DELETE FROM request_rollups")
    file.execute("UPDATE tasks SET rolled_up_as = NULL")
    file.execute("DELETE FROM meta WHERE key IN ('requests_rolled_up_to', 'rollup_pages')")
    file.execute("UPDATE meta SET value = CAST(after(CAST(value AS INTEGER)) AS TEXT) WHERE key = 'created_at'")


file = sqlite3.connect(sys.argv[1])
with file:
    # The last session is over by now.
    spread(file, int(time.time() * 1000) - 60_000)
file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
file.close()
