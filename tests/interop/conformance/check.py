"""Compares the verdicts of the conformance suite on a server with those on the proxy before it.

    check.py NAME DIRECT PROXIED STORE.db SERVER.log

DIRECT and PROXIED hold what the suite wrote, a folder for each revision. The rows in the store
are compared with the requests that the server logged during the proxied run.
"""

import json
import re
import sqlite3
import sys
from collections import Counter
from pathlib import Path

failures = []


def verdicts(folder):
    """Returns how often each check of each scenario had which verdict."""
    found = Counter()
    for path in folder.glob("*/checks.json"):
        scenario = re.fullmatch(r"server-(.+?)-\d{4}-\d\d-\d\dT[\d-]+Z", path.parent.name)[1]
        for check in json.loads(path.read_text()):
            found[scenario, check["id"], check["status"]] += 1
    return found


def compare(name, revision, direct, proxied):
    checks = sum(direct.values())
    scenarios = {scenario for scenario, _, _ in direct}
    failed = sum(count for (_, _, status), count in direct.items() if status == "FAILURE")
    differing = (direct - proxied) + (proxied - direct)
    print(f"{name:19} {revision:11} {len(scenarios):9} {checks:7} {failed:7} {differing.total():10}")
    if not checks:
        failures.append(f"the suite ran no check for {revision}")
    for scenario, check in sorted({key[:2] for key in differing}):
        ways = [
            ", ".join(f"{count} {status}" for (*key, status), count in sorted(way.items()) if key == [scenario, check])
            for way in (direct, proxied)
        ]
        failures.append(f"{revision} {scenario}: {check}: {ways[0] or 'none'} directly, {ways[1] or 'none'} proxied")


def compare_rows(store, log, revisions):
    db = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    # The proxy itself refuses the `Host` that one scenario of each revision sends.
    by_method = "SELECT method, count(*) FROM requests WHERE (http_status IS 403) = ? GROUP BY method"
    rows, refused = (Counter(dict(db.execute(by_method, (refused,)))) for refused in (False, True))
    requests = Counter(re.findall(r"^request (.+)$", Path(log).read_text(), re.MULTILINE))
    print(f"{rows.total()} rows of {len(rows)} methods for {requests.total()} requests; {refused.total()} refused")
    if not rows:
        failures.append("no rows")
    if refused.total() != revisions:
        failures.append(f"{refused.total()} rows of refused requests, not {revisions}")
    for method in sorted(rows.keys() | requests.keys()):
        if rows[method] != requests[method]:
            failures.append(f"{method}: {rows[method]} rows for {requests[method]} requests")
    for count in ("failed", "dropped", "unidentified"):
        (value,) = db.execute(f"SELECT sum({count}) FROM writers").fetchone()
        if value:
            failures.append(f"{count}: {value}")
    failures.extend(f"lost: {reason}" for (reason,) in db.execute("SELECT reason FROM losses"))


def main(name, direct, proxied, store, log):
    print("server              revision    scenarios  checks  failed  differing")
    revisions = sorted(path.name for path in Path(direct).iterdir())
    for revision in revisions:
        compare(name, revision, verdicts(Path(direct, revision)), verdicts(Path(proxied, revision)))
    compare_rows(store, log, len(revisions))
    for failure in failures:
        print(f"FAILED {failure}")
    return not failures


if __name__ == "__main__":
    sys.exit(not main(*sys.argv[1:]))
