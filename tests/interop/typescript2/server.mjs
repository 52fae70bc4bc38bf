// A server of SDK 2.x with the tools that `common/scenario.mjs` asks for. On `/mcp` 2026-07-28 is
// served beside the earlier revisions, which have sessions and an event store there; on
// `/stateless` all revisions are served without sessions.
import { randomUUID } from "node:crypto";
import { json } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

import { NodeStreamableHTTPServerTransport, toNodeHandler, toWebRequest } from "@modelcontextprotocol/node";
import {
  McpServer,
  ResourceTemplate,
  acceptedContent,
  createMcpHandler,
  inputRequired,
  isLegacyRequest,
} from "@modelcontextprotocol/server";
import { z } from "zod";

import { EventStore } from "../common/event-store.mjs";
import { serve } from "../common/serve.mjs";

const text = (text) => ({ content: [{ type: "text", text }] });
const name = z.object({ name: z.string() });

function mcpServer() {
  const mcp = new McpServer({ name: "interop-typescript2", version: "2.0.1" });
  mcp.registerTool("echo", { inputSchema: z.object({ text: z.string() }) }, ({ text: said }) => text(said));
  mcp.registerTool("fail", {}, () => {
    throw new Error("it broke");
  });
  mcp.registerTool("progress", { inputSchema: z.object({ steps: z.number() }) }, async ({ steps }, { mcpReq }) => {
    for (let step = 1; step <= steps; step += 1) {
      const params = { progressToken: mcpReq._meta.progressToken, progress: step, total: steps };
      await mcpReq.notify({ method: "notifications/progress", params });
      // Also after the last: the client drops progress that comes together with the answer.
      await sleep(100);
    }
    return text("done");
  });
  // To earlier revisions the SDK makes requests of these answers.
  mcp.registerTool("ask", {}, ({ mcpReq }) => {
    const accepted = acceptedContent(mcpReq.inputResponses, "who", name);
    if (accepted) return text(accepted.name);
    const who = inputRequired.elicit({ message: "Who?", requestedSchema: name });
    return inputRequired({ inputRequests: { who } });
  });
  mcp.registerTool("sample", {}, ({ mcpReq }) => {
    const said = mcpReq.inputResponses?.said;
    if (said) return text(said.content.text);
    const messages = [{ role: "user", content: { type: "text", text: "Say something" } }];
    return inputRequired({ inputRequests: { said: inputRequired.createMessage({ messages, maxTokens: 10 }) } });
  });
  // Sends the client away and answers when it is back, or would be.
  mcp.registerTool("detour", {}, async ({ http }) => {
    http.closeSSE();
    await sleep(200);
    return text("back");
  });
  mcp.registerTool("wait", {}, ({ mcpReq }) => sleep(60_000, text("waited"), { signal: mcpReq.signal }));
  mcp.registerTool("change", {}, () => {
    stateless.notify.toolsChanged();
    return text("changed");
  });
  mcp.registerResource("greeting", "probe://greeting", {}, (uri) => ({
    contents: [{ uri: uri.href, text: "hello" }],
  }));
  const number = new ResourceTemplate("probe://number/{n}", { list: undefined });
  mcp.registerResource("number", number, {}, (uri, { n }) => ({ contents: [{ uri: uri.href, text: n }] }));
  mcp.registerPrompt("hello", { argsSchema: z.object({ who: z.string() }) }, ({ who }) => ({
    messages: [{ role: "user", content: { type: "text", text: `Hello ${who}` } }],
  }));
  return mcp;
}

const stateless = createMcpHandler(mcpServer);
const handleStateless = toNodeHandler(stateless);
const sessions = new Map();

async function mcp(req, res) {
  if (req.method !== "POST") return inSession(req, res);
  const body = await json(req);
  const isLegacy = await isLegacyRequest(await toWebRequest(req, body));
  await (isLegacy ? inSession : handleStateless)(req, res, body);
}

async function inSession(req, res, body) {
  const id = req.headers["mcp-session-id"];
  let transport = sessions.get(id);
  if (!transport) {
    if (id) return res.writeHead(404).end();
    transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new EventStore(),
      retryInterval: 50,
      onsessioninitialized: (id) => sessions.set(id, transport),
      onsessionclosed: (id) => sessions.delete(id),
    });
    await mcpServer().connect(transport);
  }
  await transport.handleRequest(req, res, body);
}

serve({ "/mcp": mcp, "/stateless": (req, res) => handleStateless(req, res) });
