// A server of SDK 2.x with all that the official conformance suite asks for by name. It logs the
// method of each request that reaches it as a line `request METHOD`.
import { readFileSync } from "node:fs";
import { json } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

import { localhostHostValidation } from "@modelcontextprotocol/node";
import {
  McpServer,
  ResourceTemplate,
  completable,
  createRequestStateCodec,
  fromJsonSchema,
  inputRequired,
  inputResponse,
} from "@modelcontextprotocol/server";
import { z } from "zod";

import { serve } from "../common/serve.mjs";
import { endpoint } from "./endpoint.mjs";

const fixtures = JSON.parse(readFileSync(new URL("../conformance/fixtures.json", import.meta.url)));

const text = (text) => ({ type: "text", text });
const image = { type: "image", data: fixtures.png, mimeType: "image/png" };
const resource = (uri, mimeType, text) => ({ type: "resource", resource: { uri, mimeType, text } });
const answer = (...content) => ({ content: content.map((part) => (typeof part === "string" ? text(part) : part)) });
const user = (...content) => ({ messages: content.map((content) => ({ role: "user", content })) });

const elicit = (message, properties) =>
  inputRequired.elicit({ message, requestedSchema: { type: "object", properties, required: Object.keys(properties) } });
const elicitName = (message = "What is your name?") => elicit(message, { name: { type: "string" } });
const sample = (prompt) =>
  inputRequired.createMessage({ messages: [{ role: "user", content: text(prompt) }], maxTokens: 100 });

const states = createRequestStateCodec({ key: crypto.getRandomValues(new Uint8Array(32)) });

/** Asks for what `requests` names; `done` makes the result of the answers once all are there. */
function asking(requests, done, state) {
  return async ({ mcpReq }) => {
    const missing = Object.keys(requests).some((key) => inputResponse(mcpReq.inputResponses, key).kind === "missing");
    if (!missing) return done(mcpReq.inputResponses, mcpReq.requestState());
    return inputRequired({ inputRequests: requests, ...(state && { requestState: await states.mint(state) }) });
  };
}

const step1 = { step1: elicitName("Step 1: What is your name?") };
const step2 = { step2: elicit("Step 2: What is your favorite color?", { color: { type: "string" } }) };
const first = asking(
  step1,
  async () => inputRequired({ inputRequests: step2, requestState: await states.mint("second") }),
  "first",
);
const second = asking(step2, () => answer("done"), "second");
const multiRound = (context) => (context.mcpReq.requestState() === "second" ? second : first)(context);

async function progress({ mcpReq }) {
  const { progressToken } = mcpReq._meta ?? {};
  for (const progress of [0, 50, 100]) {
    if (progressToken !== undefined) {
      await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: 100 } });
    }
    await sleep(50);
  }
  return answer("done");
}

async function logging({ mcpReq }) {
  for (const step of ["started", "processing data", "completed"]) {
    await mcpReq.log("info", `Tool execution ${step}`);
    await sleep(50);
  }
  return answer("logged");
}

/** Ends the stream of the call; the client comes back for the answer. */
async function reconnection({ http }) {
  http.closeSSE?.();
  await sleep(200);
  return answer("back");
}

/** Asks only for what the client said that it can do. */
function capabilities(context) {
  const { sampling, elicitation } = context.mcpReq.envelope?.["io.modelcontextprotocol/clientCapabilities"] ?? {};
  const requests = { ...(sampling && { said: sample("Hello") }), ...(elicitation && { who: elicitName() }) };
  return asking(requests, () => answer("done"))(context);
}

const confirm = { confirm: elicit("Please confirm", { ok: { type: "boolean" } }) };
const everything = {
  user_name: elicitName(),
  greeting: sample("Generate a greeting"),
  client_roots: inputRequired.listRoots(),
};

const tools = {
  test_simple_text: () => answer("This is a simple text response for testing."),
  test_image_content: () => answer(image),
  test_audio_content: () => answer({ type: "audio", data: fixtures.wav, mimeType: "audio/wav" }),
  test_embedded_resource: () =>
    answer(resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")),
  test_multiple_content_types: () =>
    answer(
      "Multiple content types test:",
      image,
      resource("test://mixed-content-resource", "application/json", JSON.stringify({ test: "data", value: 123 })),
    ),
  test_error_handling: () => {
    throw new Error("This tool intentionally returns an error for testing");
  },
  test_tool_with_logging: logging,
  test_logging_tool: logging,
  test_tool_with_progress: progress,
  test_reconnection: reconnection,
  test_missing_capability: asking({ said: sample("Hello") }, () => answer("done")),
  test_elicitation_sep1034_defaults: asking(
    { person: elicit("Who are you?", fixtures.person) },
    ({ person }) => answer(`Elicitation completed: action=${person.action}, content=${JSON.stringify(person.content)}`),
  ),
  test_elicitation_sep1330_enums: asking(
    { choice: elicit("What do you choose?", fixtures.choice) },
    ({ choice }) => answer(`Elicitation completed: action=${choice.action}, content=${JSON.stringify(choice.content)}`),
  ),
  test_streaming_elicitation: asking({ user_name: elicitName() }, () => answer("done")),
  test_input_required_result_elicitation: asking({ user_name: elicitName() }, ({ user_name }) =>
    answer(`Hello, ${user_name.content?.name}!`),
  ),
  test_input_required_result_sampling: asking(
    { capital_question: sample("What is the capital of France?") },
    ({ capital_question }) => answer(capital_question.content),
  ),
  test_input_required_result_list_roots: asking({ client_roots: inputRequired.listRoots() }, ({ client_roots }) =>
    answer(JSON.stringify(client_roots.roots)),
  ),
  test_input_required_result_request_state: asking(confirm, (_, state) => answer(`state-${state}`), "ok"),
  test_input_required_result_tampered_state: asking(confirm, (_, state) => answer(`state-${state}`), "ok"),
  test_input_required_result_multiple_inputs: asking(everything, () => answer("done"), "ok"),
  test_input_required_result_multi_round: multiRound,
  test_input_required_result_capabilities: capabilities,
  test_trigger_tool_change: () => {
    notify.toolsChanged();
    return answer("changed");
  },
  test_trigger_prompt_change: () => {
    notify.promptsChanged();
    return answer("changed");
  },
};

const toolsWithArguments = {
  test_sampling: [
    z.object({ prompt: z.string() }),
    ({ prompt }, context) =>
      asking({ said: sample(prompt) }, ({ said }) => answer(`LLM response: ${said.content.text}`))(context),
  ],
  test_elicitation: [
    z.object({ message: z.string() }),
    ({ message }, context) =>
      asking(
        { who: elicit(message, { username: { type: "string" }, email: { type: "string" } }) },
        ({ who }) => answer(`User response: action=${who.action}, content=${JSON.stringify(who.content)}`),
      )(context),
  ],
  test_header: [z.object({ region: z.string().meta({ "x-mcp-header": "Region" }) }), ({ region }) => answer(region)],
  json_schema_2020_12_tool: [fromJsonSchema(fixtures.input), () => answer("done")],
};

const two = z.object({ arg1: completable(z.string(), () => []), arg2: z.string() });

function mcpServer() {
  const capabilities = { logging: {}, completions: {}, resources: { subscribe: true } };
  const options = { capabilities, requestState: { verify: states.verify } };
  const mcp = new McpServer({ name: "conformance-typescript2", version: "1.0.0" }, options);
  for (const [name, handler] of Object.entries(tools)) {
    mcp.registerTool(name, { description: name }, handler);
  }
  for (const [name, [inputSchema, handler]] of Object.entries(toolsWithArguments)) {
    mcp.registerTool(name, { description: name, inputSchema }, handler);
  }

  const contents = (uri, content) => ({ contents: [{ uri: uri.href, ...content }] });
  const plain = { description: "A text", mimeType: "text/plain" };
  mcp.registerResource("static-text", "test://static-text", plain, (uri) =>
    contents(uri, { mimeType: plain.mimeType, text: "This is the content of the static text resource." }),
  );
  mcp.registerResource("watched", "test://watched-resource", plain, (uri) =>
    contents(uri, { mimeType: plain.mimeType, text: "watched" }),
  );
  const picture = { description: "A picture", mimeType: "image/png" };
  mcp.registerResource("static-binary", "test://static-binary", picture, (uri) =>
    contents(uri, { mimeType: picture.mimeType, blob: fixtures.png }),
  );
  const template = new ResourceTemplate("test://template/{id}/data", { list: undefined });
  const data = { description: "Data of an id", mimeType: "application/json" };
  mcp.registerResource("template", template, data, (uri, { id }) =>
    contents(uri, {
      mimeType: data.mimeType,
      text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${id}` }),
    }),
  );
  mcp.server.setRequestHandler("resources/subscribe", () => ({}));
  mcp.server.setRequestHandler("resources/unsubscribe", () => ({}));

  const prompt = (name, argsSchema, handler) => mcp.registerPrompt(name, { description: name, argsSchema }, handler);
  prompt("test_simple_prompt", undefined, () => user(text("This is a simple prompt for testing.")));
  prompt("test_prompt_with_arguments", two, ({ arg1, arg2 }) =>
    user(text(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
  );
  prompt("test_prompt_with_embedded_resource", z.object({ resourceUri: z.string() }), ({ resourceUri }) =>
    user(
      resource(resourceUri, "text/plain", "Embedded resource content for testing."),
      text("Please process the embedded resource above."),
    ),
  );
  prompt("test_prompt_with_image", undefined, () => user(image, text("Please analyze the image above.")));
  prompt(
    "test_input_required_result_prompt",
    undefined,
    asking(
      { user_context: elicit("What context should the prompt use?", { context: { type: "string" } }) },
      ({ user_context }) => user(text(`In the context of ${user_context.content?.context}`)),
    ),
  );
  return mcp;
}

const { dual, notify } = endpoint(mcpServer);
// The `Host` alone, which the proxy has to check in its place.
const isAllowed = localhostHostValidation();

async function mcp(req, res) {
  const body = req.method === "POST" ? await json(req) : undefined;
  for (const message of [body ?? []].flat()) {
    if (message.jsonrpc && message.method && message.id !== undefined) console.log(`request ${message.method}`);
  }
  if (isAllowed(req, res)) await dual(req, res, body);
}

serve({ "/mcp": mcp });
