// Drives a server through the proxy with the client of SDK 1.x.
//
//     node client.mjs MODE URL ACCOUNT.json
//
// MODE: `streamable`, `sse` (HTTP+SSE of 2024-11-05) or `vanish` (leaves in the middle of a call).
import assert from "node:assert/strict";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { CreateMessageRequestSchema, ElicitRequestSchema, EmptyResultSchema } from "@modelcontextprotocol/sdk/types.js";

import { Account } from "../common/account.mjs";
import * as scenario from "../common/scenario.mjs";

const [mode, url, accountPath] = process.argv.slice(2);
const identity = { name: `interop-typescript-${mode}`, version: "1.2.3" };
const client = new Client(identity, { capabilities: { elicitation: {}, sampling: {} } });
const account = new Account();
const watch = scenario.watchedFetch();

const peer = {
  account,
  client,
  tool: (name, args, options) => client.callTool({ name, arguments: args }, undefined, options),
  request: (method) => client.request({ method }, EmptyResultSchema),
  asked: 0,
  sampled: 0,
  watch,
  timeoutReason: "McpError: MCP error -32001: Request timed out",
  // A result that says `isError`, as SDK 1.x has it.
  unknownTool: { tool_error: 1 },
  noResource: { error_code: "-32602" },
};
client.setRequestHandler(ElicitRequestSchema, () => {
  peer.asked += 1;
  return { action: "accept", content: { name: "Ada" } };
});
client.setRequestHandler(CreateMessageRequestSchema, () => {
  peer.sampled += 1;
  return { model: "none", role: "assistant", content: { type: "text", text: "sampled" } };
});

let protocolVersion;
async function connect(transport, expected) {
  const { setProtocolVersion } = transport;
  transport.setProtocolVersion = (version) => {
    protocolVersion = version;
    setProtocolVersion?.call(transport, version);
  };
  await account.call("initialize", expected, async () => {
    await client.connect(transport);
    return client.getServerVersion();
  });
}

function finish(id, source, ended) {
  const server = client.getServerVersion();
  account.write(accountPath, protocolVersion, {
    session_id: id,
    source,
    client_name: identity.name,
    client_version: identity.version,
    server_name: server.name,
    server_version: server.version,
    ended,
  });
}

const modes = {
  async streamable() {
    const transport = new StreamableHTTPClientTransport(new URL(url), { fetch: watch.fetch });
    await connect(transport, {});
    await account.call("ping", {}, () => client.ping());
    await scenario.basics(peer);
    await scenario.questions(peer);
    await scenario.resumption(peer);
    await scenario.cancellation(peer);
    const id = transport.sessionId;
    assert.ok(id);
    await transport.terminateSession();
    await client.close();
    finish(id, "header", true);
  },

  async sse() {
    const transport = new SSEClientTransport(new URL("/sse", url), { fetch: watch.fetch });
    // The POST is accepted, and the answer comes on the session's stream.
    const { call } = account;
    account.call = (method, expected, run) => call.call(account, method, { http_status: 202, ...expected }, run);
    await connect(transport, {});
    await account.call("ping", {}, () => client.ping());
    await scenario.basics(peer);
    await scenario.questions(peer);
    await scenario.cancellation(peer);
    const id = new URL(watch.url).searchParams.get("sessionId");
    assert.ok(id);
    await client.close();
    finish(id, "query", true);
  },

  async vanish() {
    const transport = new StreamableHTTPClientTransport(new URL(url), { fetch: watch.fetch });
    await connect(transport, {});
    await new Promise((onresumptiontoken) => {
      client.callTool({ name: "wait", arguments: {} }, undefined, { onresumptiontoken });
    });
    // The stream could be resumed, so it is waited for until the recording ends.
    account.note("tools/call", { tool: "wait", status: "error", end_reason: "shutdown" });
    finish(transport.sessionId, "header", false);
    process.exit();
  },
};
await modes[mode]();
