"""Sends one server requests in many forms and compares what it executed with the rows.

    forms.py STORE.db SERVER-URL PROXY-URL WAY...

`forms.json` is the table. A way is how a client speaks: `legacy` with a session on `/mcp`, `express`
the same on `/express`, `sse` (2024-11-05) on `/sse`, `modern` (2026-07-28) on `/mcp`. The server says on `/count` how often its
tool was called. Each form in each way counts as one.
"""

import gzip
import http.client
import itertools
import json
import pathlib
import sqlite3
import sys
import threading
import time
import urllib.parse
import zlib

TABLE = pathlib.Path(__file__).with_name("forms.json")
CALL = '{"jsonrpc":"2.0","id":$id,"method":"tools/call","params":{"name":"count","arguments":{}$meta}}'
META = (
    ',"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
    '"io.modelcontextprotocol/clientCapabilities":{},'
    '"io.modelcontextprotocol/clientInfo":{"name":"forms","version":"1"}}'
)
PACK = {None: bytes, "gzip": gzip.compress, "deflate": zlib.compress}
numbers = itertools.count(1)


def body_of(form, meta):
    """The bytes of a form. In it, `$call` is the usual message, `$id` the id, `$n` a new number."""
    text = form.get("body", "$call").replace("$call", CALL).replace("$meta", meta)
    text = text.replace("$id", form.get("id", "$n"))
    pieces = text.split("$n")
    text = pieces[0] + "".join(str(next(numbers)) + piece for piece in pieces[1:])
    text = form.get("before", "") + text + form.get("after", "")
    return PACK[form.get("pack")](text.encode(form.get("encoding", "utf-8"), "surrogatepass"))


def trace(number):
    return f"{number:032x}"


class Client:
    """One way of talking to the server through the proxy."""

    def __init__(self, proxy, way):
        self.host, self.path = proxy.netloc, "/express" if way == "express" else "/mcp"
        self.headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
        self.meta = ""
        if way == "modern":
            self.meta = META
            self.headers |= {
                "mcp-protocol-version": "2026-07-28",
                "mcp-method": "tools/call",
                "mcp-name": "count",
            }
            return
        if way == "sse":
            self.path = self.announced()
        params = {"protocolVersion": "2025-03-26", "capabilities": {}, "clientInfo": {"name": way, "version": "1"}}
        message = {"jsonrpc": "2.0", "id": "initialize", "method": "initialize", "params": params}
        response, _ = self.post(json.dumps(message).encode())
        if way != "sse":
            self.headers["mcp-session-id"] = response.headers["mcp-session-id"]
            self.headers["mcp-protocol-version"] = "2025-03-26"
        self.post(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')

    def announced(self):
        """Opens the stream on which all answers come, and returns the path that it names."""
        connection = http.client.HTTPConnection(self.host)
        connection.request("GET", "/sse", headers={"accept": "text/event-stream"})
        stream = connection.getresponse()
        data = next(line for line in stream if line.startswith(b"data: "))
        threading.Thread(target=lambda: [None for _ in stream], daemon=True).start()
        return data.removeprefix(b"data: ").strip().decode()

    def post(self, body, headers={}, number=None):
        """Returns the head and the body of the answer."""
        headers = self.headers | headers
        if number is not None:
            headers["traceparent"] = f"00-{trace(number)}-00f067aa0ba902b7-01"
        connection = http.client.HTTPConnection(self.host, timeout=20)
        connection.request("POST", self.path, body, {k: v for k, v in headers.items() if v is not None})
        response = connection.getresponse()
        text = response.read()
        connection.close()
        return response, text

    def settle(self, db):
        """Sends a request and waits for its row, so that what came before it is in the file."""
        number = next(numbers)
        mark = {"mcp-method": "ping"} if self.meta else {}
        message = '{"jsonrpc":"2.0","id":%d,"method":"ping","params":{%s}}' % (next(numbers), self.meta[1:])
        self.post(message.encode(), mark, number)
        if not until(lambda: rows_of(db, number)):
            raise TimeoutError("no row of a ping")


def counted(server):
    connection = http.client.HTTPConnection(server.netloc, timeout=20)
    connection.request("GET", "/count")
    return int(connection.getresponse().read())


def rows_of(db, number):
    return db.execute("SELECT * FROM requests WHERE trace_id = ?", (trace(number),)).fetchall()


def unidentified(db):
    return db.execute("SELECT sum(unidentified) FROM writers").fetchone()[0]


def until(condition, seconds=20):
    """Waits for a condition, and returns whether it came true."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def is_right(form, executed, rows, unread):
    """Returns whether the rows of a form, and the growth of `unidentified`, match the executed calls."""
    calls = [row for row in rows if (row["method"], row["tool"]) == ("tools/call", "count")]
    answered = [row for row in calls if row["status"] == "ok"]
    ends = {row["end_reason"] for row in answered}
    if executed and not rows and form.get("unreadable"):
        return unread == 1
    if not executed - form.get("unanswered", 0) <= len(answered) <= executed:
        return False
    if not ends <= ({None, "opaque"} if form.get("unreadable") else {None}):
        return False
    # What the server refused it may have refused unread.
    return unread == 0 or not executed and unread == 1


def main(store, server, proxy, *ways):
    server, proxy = urllib.parse.urlsplit(server), urllib.parse.urlsplit(proxy)
    forms = json.loads(TABLE.read_text("utf-8"))
    db = sqlite3.connect(f"file:{store}?mode=ro", uri=True)
    db.row_factory = sqlite3.Row
    passed = failed = 0
    for way in ways:
        client = Client(proxy, way)
        client.settle(db)
        for form in forms:
            before, known = counted(server), unidentified(db)
            body, headers = body_of(form, client.meta), form.get("headers", {})
            response, answer = client.post(body, headers, number := next(numbers))
            client.settle(db)

            def seen():
                return counted(server) - before, rows_of(db, number), unidentified(db) - known

            # On the stream of the session answers come in any order.
            if until(lambda: is_right(form, *seen()), seconds=2):
                passed += 1
                continue
            failed += 1
            executed, rows, unread = seen()
            print(f"FAILED {way}: {form['name']}: executed {executed}, unidentified {unread}")
            for row in rows:
                print("   ", {key: row[key] for key in row.keys() if row[key] is not None})
            print("   ", response.status, answer[:300])
    print(f"{passed} passed, {failed} failed")
    return failed == 0


if __name__ == "__main__":
    sys.exit(not main(*sys.argv[1:]))
