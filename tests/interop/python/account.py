"""Records what a client did, so that `check.py` can compare it with the rows of a store."""

import json
import time

from mcp import MCPError


class Account:
    """The account of one connection: its session, and one entry for each request that it sent."""

    def __init__(self, **common):
        """`common` is what the entries of this connection have in common."""
        self.common = common
        self.calls = []

    async def call(self, method, run, **expected):
        """Makes one call. `expected` is what differs from an ordinary success without a target.

        A call that ends otherwise than expected stops the run: then the account is not written,
        since nothing could be learned from the rows.
        """
        entry = self.note(method, **expected)
        result = failure = None
        started = time.perf_counter()
        try:
            result = await run()
        except (MCPError, TimeoutError) as error:
            failure = error
        elapsed_us = (time.perf_counter() - started) * 1e6
        what = f"{method} {entry['tool'] or entry['target']}: {failure!r} {result!r}"
        if entry["status"] == "ok":
            assert failure is None, what
            assert int(getattr(result, "is_error", False)) == entry["tool_error"], what
        else:
            assert failure is not None, what
        if entry["error_code"]:
            assert str(failure.code) == entry["error_code"], what
            entry["error_msg"] = failure.message
        assert elapsed_us >= entry["min_latency_us"], what
        # Whoever gave up did not see the end.
        if entry["status"] == "ok" or entry["error_code"]:
            entry["max_latency_us"] = elapsed_us
        return result

    def note(self, method, **expected):
        """Notes a request whose end the caller records."""
        entry = {
            "method": method,
            "tool": None,
            "target": None,
            "status": "ok",
            "error_code": None,
            "error_msg": None,
            "tool_error": 0,
            "end_reason": None,
            "http_status": 200,
            "min_latency_us": 0,
            "max_latency_us": None,
            **self.common,
            **expected,
        }
        self.calls.append(entry)
        return entry

    def summary(self, protocol_version, session):
        """`session` is None where there is none."""
        return {"protocol_version": protocol_version, "session": session, "calls": self.calls}


def write_accounts(path, accounts):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(accounts, file, indent=2)
