// Drives a server through the proxy with the client of SDK 2.x.
//
//     node client.mjs MODE URL ACCOUNT.json
//
// MODE: `legacy` (with a session), `modern` (2026-07-28, found out by asking), `stateless` (an
// earlier revision without a session) or `vanish` (leaves in the middle of a call).
import assert from "node:assert/strict";

import { Client, SdkHttpError, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { z } from "zod";

import { Account } from "../common/account.mjs";
import * as scenario from "../common/scenario.mjs";

const [mode, url, accountPath] = process.argv.slice(2);
const identity = { name: `interop-typescript2-${mode}`, version: "3.2.1" };
const client = new Client(identity, {
  capabilities: { elicitation: {}, sampling: {} },
  versionNegotiation: { mode: mode === "modern" ? "auto" : "legacy" },
});
const account = new Account();
const watch = scenario.watchedFetch();

const peer = {
  account,
  client,
  tool: (name, args, options) => client.callTool({ name, arguments: args }, options),
  async request(method) {
    try {
      return await client.request({ method }, z.object({}));
    } catch (error) {
      // The client takes a 404 for a failure of HTTP, whatever its body says.
      throw error instanceof SdkHttpError ? JSON.parse(error.data.text).error : error;
    }
  },
  asked: 0,
  sampled: 0,
  watch,
  timeoutReason: "SdkError: Request timed out",
  unknownTool: { status: "error", error_code: "-32602" },
  noResource: { error_code: "-32602" },
};
client.setRequestHandler("elicitation/create", () => {
  peer.asked += 1;
  return { action: "accept", content: { name: "Ada" } };
});
client.setRequestHandler("sampling/createMessage", () => {
  peer.sampled += 1;
  return { model: "none", role: "assistant", content: { type: "text", text: "sampled" } };
});

// The client forgets both when it closes.
let server;
let protocolVersion;

async function connect(method, path = "/mcp") {
  const transport = new StreamableHTTPClientTransport(new URL(path, url), { fetch: watch.fetch });
  await account.call(method, {}, async () => {
    await client.connect(transport);
    server = client.getServerVersion();
    return server;
  });
  protocolVersion = client.getNegotiatedProtocolVersion();
  return transport;
}

function finish(session) {
  const known = {
    client_name: identity.name,
    client_version: identity.version,
    server_name: server.name,
    server_version: server.version,
  };
  account.write(accountPath, protocolVersion, session && { ...known, ...session });
}

const modes = {
  async legacy() {
    const transport = await connect("initialize");
    await account.call("ping", {}, () => client.ping());
    await scenario.basics(peer);
    await scenario.questions(peer);
    await scenario.resumption(peer);
    await scenario.cancellation(peer);
    const id = transport.sessionId;
    assert.ok(id);
    await transport.terminateSession();
    await client.close();
    finish({ session_id: id, source: "header", ended: true });
  },

  async modern() {
    await connect("server/discover");
    peer.unknownMethod = { http_status: 404 };
    await scenario.basics(peer);
    await scenario.rounds(peer);
    // The client closes the connection, and that is all there is to see.
    await scenario.cancellation(peer, { status: "error", error_msg: null, http_status: null });
    await scenario.subscription(peer);
    await client.close();
    finish({ source: "derived", ended: false });
  },

  async stateless() {
    await connect("initialize", "/stateless");
    await scenario.basics(peer);
    // Nothing ties the notification to the call, so all there is to see is that the client leaves.
    // This server sends the head of a response together with its first event.
    const gone = { status: "error", end_reason: "client_gone", http_status: null };
    await scenario.caller(peer)("wait", {}, gone, { signal: scenario.abortIn(300, "stopped by the user") });
    await client.close();
    finish(null);
  },

  async vanish() {
    const transport = await connect("initialize");
    await new Promise((onresumptiontoken) => {
      client.callTool({ name: "wait", arguments: {} }, { onresumptiontoken });
    });
    // The stream could be resumed, so it is waited for until the recording ends.
    account.note("tools/call", { tool: "wait", status: "error", end_reason: "shutdown" });
    finish({ session_id: transport.sessionId, source: "header", ended: false });
    process.exit();
  },
};
await modes[mode]();
