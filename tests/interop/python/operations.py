"""Calls of several rounds by the client of the Python SDK.

    operations.py URL OTHER_URL ACCOUNT.json

Both URLs are proxies before one server that record into one file, or the same URL is that of a
fleet whose replicas have one key. The trace of each call is its label, so that the file shows which
requests belong together. Does what `typescript2/operations.mjs`
does, but for states that this SDK never gives.
"""

import json
import secrets
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import anyio
import httpx2
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

URL, OTHER_URL, ACCOUNT = sys.argv[1:]
IDENTITY = types.Implementation(name="operations-python", version="1.0.0")
calls = []


async def accept():
    return types.ElicitResult(action="accept", content={"name": "Ada"})


async def decline():
    return types.ElicitResult(action="decline")


async def leave():
    return types.ErrorData(code=types.INTERNAL_ERROR, message="the user has left")


@dataclass
class Call:
    """What is particular to a call."""

    answer: object
    moves_at: int | None = None
    repeats: int | None = None
    posts: int = 0
    thinking: float = 0
    label: str = field(default_factory=lambda: secrets.token_hex(16))


known = {}


class Ways(httpx2.AsyncHTTPTransport):
    """Sends a request to the server as its call wants it: on another way, or twice."""

    async def handle_async_request(self, request):
        message = json.loads(request.content) if request.method == "POST" else {}
        label = message.get("params", {}).get("arguments", {}).get("label")
        if not label:
            return await super().handle_async_request(request)
        call = known[label]
        call.posts += 1
        request.headers["traceparent"] = f"00-{label}-{secrets.token_hex(8)}-01"
        if call.moves_at == call.posts:
            request.url = httpx2.URL(OTHER_URL)
            request.headers["host"] = request.url.netloc.decode()
        # The network loses the answer of the first, and the client sends the same leg again.
        if call.repeats == call.posts:
            call.posts += 1
            response = await super().handle_async_request(request)
            await response.aread()
            await response.aclose()
        return await super().handle_async_request(request)


async def elicit(context, params):
    call = known[params.message]
    began = time.perf_counter()
    try:
        return await call.answer()
    finally:
        call.thinking += time.perf_counter() - began


class Caller:
    def __init__(self, client):
        self.client = client

    async def call(self, tool, answer=accept, *, operations=None, outcome="ok", **particular):
        """Makes a call that becomes one operation, if `operations` says nothing else."""
        call = Call(answer, **particular)
        known[call.label] = call
        began = time.perf_counter()
        try:
            ended = await self.client.call_tool(tool, {"label": call.label})
        except MCPError as error:
            ended = error
        wall_us = (time.perf_counter() - began) * 1e6
        is_open = isinstance(ended, MCPError)
        assert is_open == (outcome == "input_required"), ended
        assert is_open or ended.is_error == (outcome == "tool_error"), ended
        calls.append({
            "trace": call.label,
            "tool": tool,
            "requests": call.posts,
            "operations": operations or [{"legs": call.posts, "outcome": outcome}],
            "wall_us": None if is_open else wall_us,
            "thinking_us": call.thinking * 1e6,
        })  # fmt: skip


async def interleaved(one, other, tool, **expected):
    """Two calls of one tool: the first to be asked is the last to be answered."""
    asked, released = anyio.Event(), anyio.Event()

    async def held():
        asked.set()
        await released.wait()
        return await accept()

    async with anyio.create_task_group() as group:
        group.start_soon(lambda: one.call(tool, held, **expected))
        await asked.wait()
        await other.call(tool, **expected)
        released.set()


# A retry that is linked to nothing is a call by itself.
ONE_LOST = [{"legs": 1, "outcome": "input_required"}]
APART = [*ONE_LOST, {"legs": 1, "outcome": "ok"}]


async def next_second():
    """The server of SDK 2.x makes equal states of equal payloads within one second."""
    await anyio.sleep(1.01 - time.time() % 1)


async def main():
    async with AsyncExitStack() as stack:

        async def connected(authorization=None):
            headers = {"authorization": authorization} if authorization else {}
            http = httpx2.AsyncClient(transport=Ways(), timeout=30, headers=headers)
            transport = streamable_http_client(URL, http_client=await stack.enter_async_context(http))
            client = Client(transport, mode="auto", client_info=IDENTITY, elicitation_callback=elicit)
            return Caller(await stack.enter_async_context(client))

        alone = await connected()
        offered = {tool.name for tool in (await alone.client.list_tools()).tools}
        await alone.call("ask")
        await alone.call("survey")
        await alone.call("form")
        await alone.call("ask", decline, outcome="tool_error")
        await alone.call("ask", leave, outcome="input_required")
        await interleaved(alone, alone, "ask")
        # Another user of the same client, whom nothing tells apart.
        await interleaved(alone, await connected(), "survey")
        ada, bob = await connected("Bearer ada"), await connected("Bearer bob")
        await interleaved(ada, bob, "ask")
        await alone.call("survey", moves_at=2)
        await alone.call("survey", repeats=2)
        await alone.call("ask", repeats=2)
        # Without a common key, a caller with a credential is another one to each proxy.
        is_fleet = URL == OTHER_URL
        await ada.call("ask", moves_at=2, operations=None if is_fleet else APART)
        # The first request is sent twice, and the client answers the second question. Nothing tells
        # the two apart if both have the same state.
        await next_second()
        twice = ONE_LOST + APART if "constant" in offered else [*ONE_LOST, {"legs": 2, "outcome": "ok"}]
        await alone.call("ask", repeats=1, operations=twice)
        if "constant" in offered:
            await next_second()
            await alone.call("constant")
            await alone.call("constant", operations=APART)
        if "stateless" in offered:
            await alone.call("stateless", operations=APART)
            await ada.call("stateless")
    unlinked = sum(APART[-1] in call["operations"] for call in calls if call["requests"] > 1)
    with open(ACCOUNT, "w", encoding="utf-8") as file:
        json.dump({"calls": calls, "unlinked": unlinked}, file, indent=2)


anyio.run(main)
