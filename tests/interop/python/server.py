"""A server of the Python SDK with the tools that `client.py` asks for.

2026-07-28, and the earlier revisions with sessions and an event store, on `/mcp`; HTTP+SSE
(2024-11-05) on `/sse` and `/messages/`. `/count` says how often the tool `count` was called.
"""

from typing import Annotated

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve, Sample
from mcp_types import CreateMessageResult, SamplingMessage, TextContent
from pydantic import BaseModel
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from events import Events
from serve import serve

mcp = MCPServer("interop-python", version="3.0.1")


class Name(BaseModel):
    name: str


def who():
    return Elicit("Who?", Name)


def said():
    prompt = TextContent(type="text", text="Say something")
    return Sample([SamplingMessage(role="user", content=prompt)], max_tokens=10)


@mcp.tool()
def echo(text: str) -> str:
    return text


@mcp.tool()
def fail() -> str:
    raise ToolError("it broke")


@mcp.tool()
async def progress(steps: int, ctx: Context) -> str:
    for step in range(1, steps + 1):
        await ctx.report_progress(step, steps)
        await anyio.sleep(0.1)
    return "done"


@mcp.tool()
def ask(answer: Annotated[Name, Resolve(who)]) -> str:
    return answer.name


@mcp.tool()
def sample(result: Annotated[CreateMessageResult, Resolve(said)]) -> str:
    return result.content.text


@mcp.tool()
async def detour(ctx: Context) -> str:
    """Sends the client away and answers when it is back, or would be."""
    await ctx.close_sse_stream()
    await anyio.sleep(0.2)
    return "back"


counted = 0


@mcp.tool()
def count() -> str:
    global counted
    counted += 1
    return str(counted)


@mcp.tool()
async def wait() -> str:
    await anyio.sleep(60)
    return "waited"


@mcp.tool()
async def change(ctx: Context) -> str:
    await ctx.notify_tools_changed()
    return "changed"


@mcp.resource("probe://greeting")
def greeting() -> str:
    return "hello"


@mcp.resource("probe://number/{n}")
def number(n: str) -> str:
    return n


@mcp.prompt()
def hello(who: str) -> str:
    return f"Hello {who}"


app = mcp.streamable_http_app(event_store=Events(), retry_interval=50)
app.router.routes.extend(mcp.sse_app().routes)
app.router.routes.append(Route("/count", lambda _: PlainTextResponse(str(counted))))
serve(app)
