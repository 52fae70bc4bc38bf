"""Drives a server through the proxy with the client of the Python SDK.

    client.py MODE URL ACCOUNT.json

MODE: `legacy` (a session), `modern` (2026-07-28, found out by asking), `fallback` (asks a server
that only knows earlier revisions), `stateless` (an earlier revision without a session), `sse`
(HTTP+SSE of 2024-11-05), `vanish` (leaves in the middle of a call), `spread` (2026-07-28 by a load
balancer) or `roaming` (a session whose requests take several ways to the server).
"""

import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

import anyio
import httpx2
import mcp_types as types
from account import Account, write_accounts
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import ClientMessageMetadata

MODE, URL, ACCOUNT = sys.argv[1:]
IDENTITY = types.Implementation(name=f"interop-python-{MODE}", version="2.1.3")
SERVERS = json.loads((Path(__file__).parent.parent / "common/servers.json").read_text())
GREETING = "probe://greeting"
NOTHING = "probe://nothing?q=ü"


class Watch(httpx2.AsyncHTTPTransport):
    """Knows the session, can break a stream, and knows which POSTs are under way."""

    session_id = None
    lose_next_stream = False
    heads = 0
    streams = 0

    async def handle_async_request(self, request):
        if request.method != "POST":
            return await super().handle_async_request(request)
        self.heads += 1
        try:
            response = await super().handle_async_request(request)
        finally:
            self.heads -= 1
        self.session_id = self.session_id or response.headers.get("mcp-session-id")
        is_stream = response.headers.get("content-type", "").startswith("text/event-stream")
        lose = self.lose_next_stream and is_stream
        self.lose_next_stream = self.lose_next_stream and not lose
        response.stream = WatchedStream(self, response.stream, lose)
        return response

    async def sent(self):
        """Ends when every POST that was begun has its response head."""
        await until(lambda: not self.heads)

    async def quiet(self):
        """Ends when also every answer to a POST has ended."""
        await until(lambda: not self.heads and not self.streams)


async def until(condition):
    with anyio.fail_after(10):
        while not condition():
            await anyio.sleep(0.01)


class WatchedStream(httpx2.AsyncByteStream):
    def __init__(self, watch, stream, lose):
        self.watch = watch
        self.stream = stream
        self.lose = lose
        self.open = True
        watch.streams += 1

    async def __aiter__(self):
        async for chunk in self.stream:
            yield chunk
            if self.lose:
                await self.aclose()
                raise httpx2.ReadError("connection lost")

    async def aclose(self):
        self.watch.streams -= self.open
        self.open = False
        await self.stream.aclose()


class Asked:
    """How often the server asked, which makes no row of its own."""

    def __init__(self):
        self.name = self.sample = 0

    async def elicit(self, context, params):
        self.name += 1
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async def create_message(self, context, params):
        self.sample += 1
        content = types.TextContent(type="text", text="sampled")
        return types.CreateMessageResult(role="assistant", content=content, model="none")


class Peer:
    def __init__(self, client, account, asked, watch):
        self.client = client
        self.account = account
        self.asked = asked
        self.watch = watch
        self.server = SERVERS[client.server_info.name]

    async def tool(self, name, arguments=None, *, expected=None, **options):
        async def run():
            return await self.client.call_tool(name, arguments or {}, **options)

        return await self.account.call("tools/call", run, tool=name, **(expected or {}))

    async def basics(self, *, no_resource=None, unknown_method=None):
        """Lists, calls that end well and calls that fail."""
        client, account = self.client, self.account
        await account.call("tools/list", client.list_tools)
        await account.call("resources/list", client.list_resources)
        await account.call("resources/templates/list", client.list_resource_templates)
        await account.call("prompts/list", client.list_prompts)

        echoed = await self.tool("echo", {"text": "grüße 🦀"})
        assert echoed.content[0].text == "grüße 🦀"
        async with anyio.create_task_group() as group:
            for n in range(5):
                group.start_soon(self.tool, "echo", {"text": f"at once {n}"})
        await self.tool("fail", expected={"tool_error": 1})
        await self.tool("no-such-tool", expected=self.server["unknown_tool"])
        steps = []

        async def on_progress(progress, total, message):
            steps.append(progress)

        slow = {"min_latency_us": 400_000}
        await self.tool("progress", {"steps": 4}, expected=slow, progress_callback=on_progress)
        assert steps == [1, 2, 3, 4], steps

        await account.call("resources/read", lambda: client.read_resource(GREETING), target=GREETING)
        nothing = {"target": NOTHING, "status": "error", "error_code": "-32602", **(no_resource or {})}
        await account.call("resources/read", lambda: client.read_resource(NOTHING), **nothing)
        await account.call("prompts/get", lambda: client.get_prompt("hello", {"who": "Ada"}), target="hello")
        request = types.Request(method="no/such/method", params=None)
        unknown = {"status": "error", "error_code": "-32601", **(unknown_method or {})}
        await account.call(
            "no/such/method", lambda: client.session.send_request(request, types.EmptyResult), **unknown
        )

    async def questions(self):
        """The server asks the client within a call; under 2026-07-28 the answer is the question."""
        for name, text in (("ask", "Ada"), ("sample", "sampled")):
            if MODE in ("modern", "spread"):
                self.account.note("tools/call", tool=name, end_reason="input_required")
            answer = await self.tool(name)
            assert answer.content[0].text == text, answer
        assert (self.asked.name, self.asked.sample) == (1, 1)

    async def resumption(self):
        """The answer comes on another stream than the one of its request."""
        # The server ends the stream, and the client comes back for the answer.
        resumed = {"end_reason": "resumed"}
        await self.tool("detour", expected={**resumed, "min_latency_us": 200_000})
        # The client loses the stream.
        self.watch.lose_next_stream = True
        slow = {**resumed, "min_latency_us": 300_000}
        await self.tool("progress", {"steps": 3}, expected=slow, progress_callback=ignore)

    async def cancellation(self, **expected):
        """Calls that the client gives up."""
        timed_out = {"status": "timeout", "error_msg": "timed out after 0.3s"}
        cancelled = {"end_reason": "cancelled"}
        await self.tool("wait", expected={**cancelled, **timed_out, **expected}, read_timeout_seconds=0.3)

        async def run():
            with anyio.fail_after(0.3):
                await self.client.call_tool("wait", {})

        stopped = {"status": "error", "error_msg": "caller cancelled"}
        await self.account.call("tools/call", run, tool="wait", **{**cancelled, **stopped, **expected})
        # The client does not wait for its notifications, and closing it takes them back. What is
        # sent after the cancellation shows that it is on its way.
        await self.tool("echo", {"text": "after the cancellation"})
        await (self.watch.quiet() if expected.get("answered") else self.watch.sent())

    async def subscription(self):
        """Listens until the server sends a notification (2026-07-28)."""
        self.account.note("subscriptions/listen", end_reason="stream_end")
        async with self.client.listen(tools_list_changed=True) as subscription:
            await self.tool("change")
            await anext(subscription)


async def ignore(progress, total, message):
    pass


@asynccontextmanager
async def connected(account, method="initialize", mode="legacy", path="/mcp"):
    """A connection by streamable HTTP."""
    watch = Watch()
    async with httpx2.AsyncClient(transport=watch, timeout=30) as http:
        transport = streamable_http_client(urljoin(URL, path), http_client=http)
        async with connected_by(transport, watch, account, method, mode) as peer:
            yield peer


@asynccontextmanager
async def connected_by(transport, watch, account, method, mode):
    asked = Asked()
    client = Client(
        transport,
        mode=mode,
        client_info=IDENTITY,
        elicitation_callback=asked.elicit,
        sampling_callback=asked.create_message,
    )
    await account.call(method, client.__aenter__)
    try:
        yield Peer(client, account, asked, watch)
    finally:
        await client.__aexit__(None, None, None)


def summary(peer, account, **session):
    server = peer.client.server_info
    known = {
        "client_name": IDENTITY.name,
        "client_version": IDENTITY.version,
        "server_name": server.name,
        "server_version": server.version,
    }
    return account.summary(peer.client.protocol_version, {**known, **session})


def write(*accounts):
    write_accounts(ACCOUNT, accounts)


async def legacy():
    account = Account()
    async with connected(account) as peer:
        await account.call("ping", peer.client.send_ping)
        await peer.basics()
        await peer.questions()
        await peer.resumption()
        await peer.cancellation(**peer.server.get("cancelled_legacy", {}))
        write(summary(peer, account, session_id=peer.watch.session_id, source="header", ended=True))


async def modern(last=Peer.subscription):
    account = Account()
    async with connected(account, "server/discover", "auto") as peer:
        no_resource = peer.server.get("no_resource_modern")
        await peer.basics(no_resource=no_resource, unknown_method={"http_status": 404})
        await peer.questions()
        # The client closes the connection, and that is all there is to see.
        await peer.cancellation(status="error", error_msg=None, http_status=None)
        await last(peer)
        write(summary(peer, account, source="derived", ended=False))


async def spread():
    # A notification reaches only the subscribers of its replica.
    await modern(last=nothing_more)


async def nothing_more(peer):
    pass


async def roaming():
    account = Account()
    async with connected(account) as peer:
        await account.call("ping", peer.client.send_ping)
        await peer.basics()
        # Only the replica at which the session began knows it, and its end may reach another one.
        write(summary(peer, account, session_id=peer.watch.session_id, source="header", ended=None))


async def fallback():
    account = Account()
    async with connected(account, mode="auto") as peer:
        probe = Account(http_status=400)
        probe.note("server/discover", status="error", **peer.server["discover"])
        await peer.basics()
        unknown = {"server_name": None, "server_version": None}
        asked = summary(peer, probe, **unknown, source="derived", ended=False)
        asked["protocol_version"] = "2026-07-28"
        session_id = peer.watch.session_id
        write(asked, summary(peer, account, session_id=session_id, source="header", ended=True))


async def stateless():
    account = Account()
    async with connected(account, path="/stateless") as peer:
        await peer.basics()
        # Nothing ties the notification to the call, so all there is to see is that the client
        # leaves. This server sends the head of a response together with its first event.
        gone = {"status": "error", "end_reason": "client_gone", "http_status": None}
        await peer.tool("wait", expected=gone, read_timeout_seconds=0.3)
        write(account.summary(peer.client.protocol_version, None))


async def sse():
    # The POST is accepted, and the answer comes on the session's stream.
    account = Account(http_status=202)
    watch = Watch()
    created = []

    def http(headers=None, timeout=None, auth=None):
        return httpx2.AsyncClient(transport=watch, headers=headers, timeout=timeout, auth=auth)

    transport = sse_client(urljoin(URL, "/sse"), httpx_client_factory=http, on_session_created=created.append)
    async with connected_by(transport, watch, account, "initialize", "legacy") as peer:
        await account.call("ping", peer.client.send_ping)
        await peer.basics()
        await peer.questions()
        await peer.cancellation()
        write(summary(peer, account, session_id=created[0], source="query", ended=True))


async def vanish():
    account = Account()
    async with connected(account) as peer:
        # The stream could be resumed, so it is waited for until the recording ends.
        account.note("tools/call", tool="wait", status="error", end_reason="shutdown")
        write(summary(peer, account, session_id=peer.watch.session_id, source="header", ended=False))

        async def leave(_):
            os._exit(0)

        params = types.CallToolRequestParams(name="wait", arguments={})
        metadata = ClientMessageMetadata(on_resumption_token_update=leave)
        request = types.CallToolRequest(params=params)
        await peer.client.session.send_request(request, types.CallToolResult, metadata=metadata)


anyio.run(globals()[MODE])
