"""A server of the Python SDK whose tools ask before they answer (2026-07-28).

Each question carries the label of its call, so that the client knows which call it answers.
"""

import os
from typing import Annotated

from mcp.server.elicitation import AcceptedElicitation, ElicitationResult
from mcp.server.mcpserver import MCPServer, RequestStateSecurity
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import Elicit, Resolve
from pydantic import BaseModel

from serve import serve

# Replicas have one key, in the environment.
key = os.environ.get("STATE_KEY")
security = RequestStateSecurity(keys=[bytes.fromhex(key)]) if key else None
mcp = MCPServer("operations-python", version="1.0.0", request_state_security=security)


class Name(BaseModel):
    name: str


def who(label: str):
    return Elicit(label, Name)


# A question that depends on an answer comes in a round of its own.
def where(label: str, answer: Annotated[Name, Resolve(who)]):
    return Elicit(label, Name)


def when(label: str, answer: Annotated[Name, Resolve(where)]):
    return Elicit(label, Name)


def how(label: str):
    return Elicit(label, Name)


def why(label: str):
    return Elicit(label, Name)


@mcp.tool()
def ask(label: str, answer: Annotated[ElicitationResult[Name], Resolve(who)]) -> str:
    if not isinstance(answer, AcceptedElicitation):
        raise ToolError("declined")
    return "done"


@mcp.tool()
def survey(label: str, answer: Annotated[Name, Resolve(when)]) -> str:
    return "done"


@mcp.tool()
def form(
    label: str,
    first: Annotated[Name, Resolve(who)],
    second: Annotated[Name, Resolve(how)],
    third: Annotated[Name, Resolve(why)],
) -> str:
    return "done"


serve(mcp.streamable_http_app())
