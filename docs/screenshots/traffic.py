"""An MCP server of a travel agency and the agents that call it, for the screenshots.

Both implement only the necessary part of MCP: JSON over POST, in sessions (2025-11-25). A generator
with a seed chooses the calls, so each run has the same ones. After some time the search for flights
needs one more argument. One agent does not know this, and its calls fail.
"""

import http.client
import json
import threading
import time
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random

VERSION = "2025-11-25"


def tool(name, description, required, **properties):
    schema = {"type": "object", "properties": properties, "required": required}
    return {"name": name, "description": description, "inputSchema": schema}


TEXT = {"type": "string"}
COUNT = {"type": "integer", "minimum": 1}
BEFORE = [
    tool("search_flights", "Finds flights between two airports", ["from", "to"], **{"from": TEXT, "to": TEXT}),
    tool("book_flight", "Books a seat on a flight", ["flight"], flight=TEXT),
    tool("get_weather", "Tells the weather at a place", ["place"], place=TEXT),
    tool("convert_currency", "Converts an amount", ["amount", "to"], amount=COUNT, to=TEXT),
    tool("plan_trip", "Plans a trip of some days", ["place"], place=TEXT, days=COUNT),
    tool("fax_ticket", "Sends a ticket by fax", ["number"], number=TEXT),
]
AFTER = [
    tool(
        "search_flights",
        "Finds flights between two airports for a number of passengers",
        ["from", "to", "passengers"],
        **{"from": TEXT, "to": TEXT, "passengers": COUNT},
    ),
    *BEFORE[1:5],
    tool("cancel_booking", "Gives a seat back", ["booking"], booking=TEXT),
]

# How long a tool takes: the median, in seconds.
TAKES = {
    "search_flights": 0.18,
    "book_flight": 0.09,
    "get_weather": 0.012,
    "convert_currency": 0.002,
    "plan_trip": 0.9,
    "cancel_booking": 0.05,
}


class Server(ThreadingHTTPServer):
    """The server, with the tools of before until `change` is called."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.tools = BEFORE
        self.random = Random(7)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/mcp"

    def change(self):
        self.tools = AFTER


class Failed(Exception):
    """A JSON-RPC error: its code and message."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def do_DELETE(self):
        self.answer(200)

    def do_POST(self):
        message = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if "id" not in message:
            return self.answer(202)
        answer = {"jsonrpc": "2.0", "id": message["id"]}
        try:
            answer["result"] = self.result(message["method"], message.get("params", {}))
        except Failed as failed:
            code, text = failed.args
            answer["error"] = {"code": code, "message": text}
        self.answer(200, json.dumps(answer).encode(), new=message["method"] == "initialize")

    def answer(self, status, body=b"", new=False):
        try:
            self.send_response(status)
            if new:
                self.send_header("mcp-session-id", str(uuid.uuid4()))
            if body:
                self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # The agent gave up.

    def result(self, method, params):
        if method == "initialize":
            server = {"name": "travel", "version": "3.1.0"}
            return {"protocolVersion": VERSION, "capabilities": {"tools": {}}, "serverInfo": server}
        if method == "tools/list":
            return {"tools": self.server.tools}
        if method == "resources/read":
            time.sleep(0.004)
            return {"contents": [{"uri": params["uri"], "text": "Luggage of up to 23 kg is free."}]}
        return self.call(params["name"], params["arguments"])

    def call(self, name, arguments):
        def result(text, failed=False):
            return {"content": [{"type": "text", "text": text}], "isError": failed}

        called = next((tool for tool in self.server.tools if tool["name"] == name), None)
        if called is None:
            raise Failed(-32602, f"Unknown tool: {name}")
        missing = [name for name in called["inputSchema"]["required"] if name not in arguments]
        if missing:
            raise Failed(-32602, f"Invalid params: missing field `{missing[0]}`")
        time.sleep(TAKES[name] * self.server.random.lognormvariate(0, 0.4) * arguments.get("days", 1))
        if arguments.get("flight") == "XX 404":
            return result("no seats left on XX 404", failed=True)
        return result("12 results: " + "…" * 200)


class Agent:
    """A client in a session. `knows` is true once it has read the new arguments of the search."""

    def __init__(self, url, name, version, seed):
        _, _, address, self.path = url.split("/", 3)
        self.connection = http.client.HTTPConnection(address)
        self.headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
        self.random = Random(seed)
        self.sent = 0
        client = {"name": name, "version": version}
        self.ask("initialize", protocolVersion=VERSION, capabilities={}, clientInfo=client)
        self.headers["mcp-protocol-version"] = VERSION
        self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        self.ask("tools/list")

    def post(self, message):
        self.connection.request("POST", f"/{self.path}", json.dumps(message), self.headers)
        response = self.connection.getresponse()
        self.headers.setdefault("mcp-session-id", response.headers["mcp-session-id"] or "")
        response.read()

    def ask(self, method, **params):
        self.sent += 1
        self.post({"jsonrpc": "2.0", "id": self.sent, "method": method, "params": params})

    def call(self, name, **arguments):
        self.ask("tools/call", name=name, arguments=arguments)

    def search(self, knows):
        self.call("search_flights", **{"from": "BER", "to": "LIS"}, **({"passengers": 2} if knows else {}))

    def give_up(self, after, name, **arguments):
        """Calls and hangs up before the answer comes."""
        self.connection.timeout = after
        self.connection.close()
        try:
            self.call(name, **arguments)
        except TimeoutError:
            self.connection.close()
        self.connection.timeout = 30

    def work(self, stop, knows):
        """Calls this and that until the event is set."""
        while not stop.wait(self.random.expovariate(4)):
            what = self.random.random()
            if what < 0.35:
                self.search(knows)
            elif what < 0.55:
                self.call("get_weather", place="Lisbon")
            elif what < 0.75:
                self.call("convert_currency", amount=120, to="EUR")
            elif what < 0.9:
                full = self.random.random() < 0.15
                self.call("book_flight", flight="XX 404" if full else "XX 101")
            elif what < 0.96:
                self.ask("resources/read", uri="travel://luggage")
            else:
                self.call("plan_trip", place="Lisbon")

    def end(self):
        self.connection.request("DELETE", f"/{self.path}", headers=self.headers)
        self.connection.getresponse().read()
        self.connection.close()


def work(agents, seconds, knows):
    """Runs all agents at once. `knows` says which of them have read how flights are searched now."""
    stop = threading.Event()
    threads = [threading.Thread(target=agent.work, args=(stop, know)) for agent, know in zip(agents, knows)]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in threads:
        thread.join()


def finish(agent):
    """Something of everything, which the log then ends with."""
    agent.ask("resources/read", uri="travel://luggage")
    agent.search(knows=True)
    agent.call("get_weather", place="Lisbon")
    agent.call("book_flight", flight="XX 404")
    agent.call("book_flight", flight="XX 101")
    agent.search(knows=False)
    agent.search(knows=True)
    agent.call("convert_currency", amount=120, to="EUR")
    agent.call("plan_trip", place="Lisbon", days=3)
    agent.give_up(0.5, "plan_trip", place="Lisbon", days=7)
    agent.call("fax_ticket", number="+351 21 000 0000")
    agent.call("get_weather", place="Porto")
