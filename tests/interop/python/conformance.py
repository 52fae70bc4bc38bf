"""A server of the Python SDK with all that the official conformance suite asks for by name.

It logs the method of each request that reaches it as a line `request METHOD`.
"""

import json
import warnings
from pathlib import Path

import anyio
import mcp_types as types
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata
from mcp.shared.subscriptions import PromptsListChanged, ToolsListChanged

from counted import Counted
from events import Events
from serve import serve

FIXTURES = json.loads((Path(__file__).parent.parent / "conformance/fixtures.json").read_text())
MODERN = "2026-07-28"
bus = InMemorySubscriptionBus()


def text(said):
    return {"type": "text", "text": said}


def resource(uri, mime_type, said):
    return {"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": said}}


IMAGE = {"type": "image", "data": FIXTURES["png"], "mimeType": "image/png"}


def answer(*content):
    return {"content": [text(part) if isinstance(part, str) else part for part in content]}


def user(*content):
    return {"messages": [{"role": "user", "content": part} for part in content]}


def elicit(message, properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    params = {"mode": "form", "message": message, "requestedSchema": schema}
    return {"method": "elicitation/create", "params": params}


def elicit_name(message="What is your name?"):
    return elicit(message, {"name": {"type": "string"}})


def sample(prompt):
    params = {"messages": [{"role": "user", "content": text(prompt)}], "maxTokens": 100}
    return {"method": "sampling/createMessage", "params": params}


ROOTS = {"method": "roots/list", "params": {}}
# What each request is to a client: its shape, that of its answer, the capability that it needs
# and the member that its answer has.
CLIENT = {
    "elicitation/create": (types.ElicitRequest, types.ElicitResult, "elicitation", "action"),
    "sampling/createMessage": (types.CreateMessageRequest, types.CreateMessageResult, "sampling", "content"),
    "roots/list": (types.ListRootsRequest, types.ListRootsResult, "roots", "roots"),
}


def capability(request):
    return CLIENT[request["method"]][2]


def fits(request, response):
    """Returns whether a response has the shape that its request asks for."""
    return isinstance(response, dict) and CLIENT[request["method"]][3] in response


def client_can(ctx):
    return ctx.session.client_capabilities.model_dump(by_alias=True, exclude_none=True)


async def ask_now(ctx, request):
    """Asks a client of an earlier revision, on the stream of the call."""
    shape, result, *_ = CLIENT[request["method"]]
    metadata = ServerMessageMetadata(related_request_id=ctx.request_id)
    reply = await ctx.session.send_request(shape.model_validate(request), result, metadata=metadata)
    return reply.model_dump(by_alias=True, mode="json", exclude_none=True)


async def ask(ctx, requests, done, state=None):
    """Asks for what `requests` names; `done` makes the result of the answers once all are there."""
    if ctx.protocol_version != MODERN:
        return done({key: await ask_now(ctx, request) for key, request in requests.items()}, state)
    lacking = {capability(request) for request in requests.values()} - client_can(ctx).keys()
    if lacking:
        data = {"requiredCapabilities": {name: {} for name in lacking}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, f"The client lacks {', '.join(lacking)}", data)
    responses = ctx.params.get("inputResponses") or {}
    if all(fits(request, responses.get(key)) for key, request in requests.items()):
        return done(responses, ctx.params.get("requestState"))
    return input_required(requests, state)


def input_required(requests, state):
    result = {"resultType": "input_required", "inputRequests": requests}
    return result | ({"requestState": state} if state else {})


def asking(requests, done, state=None):
    return lambda ctx, arguments: ask(ctx, requests, done, state)


async def multi_round(ctx, arguments):
    first = {"step1": elicit_name("Step 1: What is your name?")}
    second = {"step2": elicit("Step 2: What is your favorite color?", {"color": {"type": "string"}})}
    if ctx.params.get("requestState") == "second":
        return await ask(ctx, second, lambda *_: answer("done"), "second")
    return await ask(ctx, first, lambda *_: input_required(second, "second"), "first")


async def logging(ctx, arguments):
    for step in ("started", "processing data", "completed"):
        await ctx.session.send_log_message("info", f"Tool execution {step}", related_request_id=ctx.request_id)
        await anyio.sleep(0.05)
    return answer("logged")


async def progress(ctx, arguments):
    for done in (0, 50, 100):
        await ctx.session.report_progress(done, 100)
        await anyio.sleep(0.05)
    return answer("done")


async def reconnection(ctx, arguments):
    """Ends the stream of the call; the client comes back for the answer."""
    if ctx.close_sse_stream:
        await ctx.close_sse_stream()
    await anyio.sleep(0.2)
    return answer("back")


async def capabilities(ctx, arguments):
    """Asks only for what the client said that it can do."""
    can = client_can(ctx)
    requests = {"said": sample("Hello"), "who": elicit_name()}
    requests = {key: request for key, request in requests.items() if capability(request) in can}
    return await ask(ctx, requests, lambda *_: answer("done"))


def triggering(event):
    async def trigger(ctx, arguments):
        await bus.publish(event)
        return answer("changed")

    return trigger


def saying(*content, **more):
    async def say(ctx, arguments):
        return answer(*content) | more

    return say


def completed(key):
    def done(responses, _):
        reply = responses[key]
        return answer(f"Elicitation completed: action={reply['action']}, content={json.dumps(reply.get('content'))}")

    return done


async def test_sampling(ctx, arguments):
    said = {"said": sample(arguments["prompt"])}
    return await ask(ctx, said, lambda it, _: answer(f"LLM response: {it['said']['content']['text']}"))


async def test_elicitation(ctx, arguments):
    properties = {"username": {"type": "string"}, "email": {"type": "string"}}
    return await ask(ctx, {"who": elicit(arguments["message"], properties)}, completed("who"))


NAME = {"user_name": elicit_name()}
CONFIRM = {"confirm": elicit("Please confirm", {"ok": {"type": "boolean"}})}
STATE = asking(CONFIRM, lambda _, state: answer(f"state-{state}"), "ok")
EVERYTHING = NAME | {"greeting": sample("Generate a greeting"), "client_roots": ROOTS}
MIXED = resource("test://mixed-content-resource", "application/json", '{"test":"data","value":123}')

TOOLS = {
    "test_simple_text": saying("This is a simple text response for testing."),
    "test_image_content": saying(IMAGE),
    "test_audio_content": saying({"type": "audio", "data": FIXTURES["wav"], "mimeType": "audio/wav"}),
    "test_embedded_resource": saying(
        resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")
    ),
    "test_multiple_content_types": saying("Multiple content types test:", IMAGE, MIXED),
    "test_error_handling": saying("This tool intentionally returns an error for testing", isError=True),
    "test_tool_with_logging": logging,
    "test_logging_tool": logging,
    "test_tool_with_progress": progress,
    "test_reconnection": reconnection,
    "test_missing_capability": asking({"said": sample("Hello")}, lambda *_: answer("done")),
    "test_elicitation_sep1034_defaults": asking(
        {"person": elicit("Who are you?", FIXTURES["person"])}, completed("person")
    ),
    "test_elicitation_sep1330_enums": asking(
        {"choice": elicit("What do you choose?", FIXTURES["choice"])}, completed("choice")
    ),
    "test_streaming_elicitation": asking(NAME, lambda *_: answer("done")),
    "test_input_required_result_elicitation": asking(
        NAME, lambda responses, _: answer(f"Hello, {responses['user_name'].get('content', {}).get('name')}!")
    ),
    "test_input_required_result_sampling": asking(
        {"capital_question": sample("What is the capital of France?")},
        lambda responses, _: answer(responses["capital_question"]["content"]),
    ),
    "test_input_required_result_list_roots": asking(
        {"client_roots": ROOTS}, lambda responses, _: answer(json.dumps(responses["client_roots"]["roots"]))
    ),
    "test_input_required_result_request_state": STATE,
    "test_input_required_result_tampered_state": STATE,
    "test_input_required_result_multiple_inputs": asking(EVERYTHING, lambda *_: answer("done"), "ok"),
    "test_input_required_result_multi_round": multi_round,
    "test_input_required_result_capabilities": capabilities,
    "test_trigger_tool_change": triggering(ToolsListChanged()),
    "test_trigger_prompt_change": triggering(PromptsListChanged()),
    "test_sampling": test_sampling,
    "test_elicitation": test_elicitation,
    "test_header": saying("done"),
    "json_schema_2020_12_tool": saying("done"),
}


def required(**properties):
    return {"type": "object", "properties": properties, "required": list(properties)}


STRING = {"type": "string"}
INPUTS = {
    "test_sampling": required(prompt=STRING),
    "test_elicitation": required(message=STRING),
    "test_header": required(region=STRING | {"x-mcp-header": "Region"}),
    "json_schema_2020_12_tool": FIXTURES["input"],
}


def input_schema(name):
    return INPUTS.get(name, {"type": "object"}) if name in TOOLS else None


async def list_tools(ctx, params):
    return {"tools": [{"name": name, "description": name, "inputSchema": input_schema(name)} for name in TOOLS]}


async def call_tool(ctx, params):
    if params.name not in TOOLS:
        raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {params.name}")
    return await TOOLS[params.name](ctx, params.arguments or {})


RESOURCES = {
    "test://static-text": ("text/plain", {"text": "This is the content of the static text resource."}),
    "test://watched-resource": ("text/plain", {"text": "watched"}),
    "test://static-binary": ("image/png", {"blob": FIXTURES["png"]}),
    "test://template/123/data": (
        "application/json",
        {"text": '{"id":"123","templateTest":true,"data":"Data for ID: 123"}'},
    ),
}


async def list_resources(ctx, params):
    described = {uri: mime_type for uri, (mime_type, _) in RESOURCES.items() if "template" not in uri}
    return {
        "resources": [
            {"uri": uri, "name": uri, "description": uri, "mimeType": mime_type} for uri, mime_type in described.items()
        ]
    }


async def list_resource_templates(ctx, params):
    uri = "test://template/{id}/data"
    return {"resourceTemplates": [{"uriTemplate": uri, "name": "template", "description": "Data of an id"}]}


async def read_resource(ctx, params):
    if params.uri not in RESOURCES:
        raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": params.uri})
    mime_type, content = RESOURCES[params.uri]
    return {"contents": [{"uri": params.uri, "mimeType": mime_type} | content]}


async def with_arguments(ctx, arguments):
    return user(text(f"Prompt with arguments: arg1='{arguments['arg1']}', arg2='{arguments['arg2']}'"))


async def with_embedded_resource(ctx, arguments):
    embedded = resource(arguments["resourceUri"], "text/plain", "Embedded resource content for testing.")
    return user(embedded, text("Please process the embedded resource above."))


def prompting(*content):
    async def prompt(ctx, arguments):
        return user(*content)

    return prompt


CONTEXT = {"user_context": elicit("What context should the prompt use?", {"context": {"type": "string"}})}
PROMPTS = {
    "test_simple_prompt": ((), prompting(text("This is a simple prompt for testing."))),
    "test_prompt_with_arguments": (("arg1", "arg2"), with_arguments),
    "test_prompt_with_embedded_resource": (("resourceUri",), with_embedded_resource),
    "test_prompt_with_image": ((), prompting(IMAGE, text("Please analyze the image above."))),
    "test_input_required_result_prompt": (
        (),
        asking(CONTEXT, lambda responses, _: user(text(json.dumps(responses["user_context"].get("content"))))),
    ),
}


async def list_prompts(ctx, params):
    return {
        "prompts": [
            {"name": name, "description": name, "arguments": [{"name": it, "required": True} for it in arguments]}
            for name, (arguments, _) in PROMPTS.items()
        ]
    }


async def get_prompt(ctx, params):
    if params.name not in PROMPTS:
        raise MCPError(types.INVALID_PARAMS, f"Unknown prompt: {params.name}")
    return await PROMPTS[params.name][1](ctx, params.arguments or {})


async def complete(ctx, params):
    return {"completion": {"values": [], "total": 0, "hasMore": False}}


async def nothing(ctx, params):
    return {}


def shaped(result, handler):
    """Adds what the revision of the request wants in a final result."""

    async def handle(ctx, params):
        made = await handler(ctx, params)
        return made if made.get("resultType") == "input_required" else result.model_validate(made)

    return handle


warnings.simplefilter("ignore")  # Logging, which the earlier revisions are asked for, is deprecated.
server = Server(
    "conformance-python",
    version="1.0.0",
    get_tool_input_schema=input_schema,
    on_list_tools=shaped(types.ListToolsResult, list_tools),
    on_call_tool=shaped(types.CallToolResult, call_tool),
    on_list_resources=shaped(types.ListResourcesResult, list_resources),
    on_list_resource_templates=shaped(types.ListResourceTemplatesResult, list_resource_templates),
    on_read_resource=shaped(types.ReadResourceResult, read_resource),
    on_subscribe_resource=nothing,
    on_unsubscribe_resource=nothing,
    on_subscriptions_listen=ListenHandler(bus),
    on_list_prompts=shaped(types.ListPromptsResult, list_prompts),
    on_get_prompt=shaped(types.GetPromptResult, get_prompt),
    on_completion=shaped(types.CompleteResult, complete),
    on_set_logging_level=nothing,
)
server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience=server.name))
serve(Counted(server.streamable_http_app(event_store=Events(), retry_interval=50)))
