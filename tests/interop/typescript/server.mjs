// A server of SDK 1.x with the tools that `common/scenario.mjs` asks for: streamable HTTP with an
// event store on `/mcp`, behind Express on `/express`, HTTP+SSE (2024-11-05) on `/sse` and `/messages`.
// `/count` says how often the tool `count` was called.
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";

import { createMcpExpressApp } from "@modelcontextprotocol/sdk/server/express.js";
import { McpServer, ResourceTemplate } from "@modelcontextprotocol/sdk/server/mcp.js";
import { SSEServerTransport } from "@modelcontextprotocol/sdk/server/sse.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { z } from "zod";

import { EventStore } from "../common/event-store.mjs";
import { serve } from "../common/serve.mjs";

const text = (text) => ({ content: [{ type: "text", text }] });
let counted = 0;

function mcpServer() {
  const mcp = new McpServer({ name: "interop-typescript", version: "1.0.1" });
  mcp.registerTool("echo", { inputSchema: { text: z.string() } }, ({ text: said }) => text(said));
  mcp.registerTool("fail", {}, () => {
    throw new Error("it broke");
  });
  mcp.registerTool("progress", { inputSchema: { steps: z.number() } }, async ({ steps }, { _meta, sendNotification }) => {
    for (let step = 1; step <= steps; step += 1) {
      const params = { progressToken: _meta.progressToken, progress: step, total: steps };
      await sendNotification({ method: "notifications/progress", params });
      // Also after the last: the client drops progress that comes together with the answer.
      await sleep(100);
    }
    return text("done");
  });
  mcp.registerTool("ask", {}, async () => {
    const requestedSchema = { type: "object", properties: { name: { type: "string" } } };
    const { content } = await mcp.server.elicitInput({ message: "Who?", requestedSchema });
    return text(content.name);
  });
  mcp.registerTool("sample", {}, async () => {
    const messages = [{ role: "user", content: { type: "text", text: "Say something" } }];
    const { content } = await mcp.server.createMessage({ messages, maxTokens: 10 });
    return text(content.text);
  });
  // Sends the client away and answers when it is back, or would be.
  mcp.registerTool("detour", {}, async (extra) => {
    extra.closeSSEStream();
    await sleep(200);
    return text("back");
  });
  mcp.registerTool("count", {}, () => text(String((counted += 1))));
  mcp.registerTool("wait", {}, ({ signal }) => sleep(60_000, text("waited"), { signal }));
  mcp.registerResource("greeting", "probe://greeting", {}, (uri) => ({
    contents: [{ uri: uri.href, text: "hello" }],
  }));
  const number = new ResourceTemplate("probe://number/{n}", { list: undefined });
  mcp.registerResource("number", number, {}, (uri, { n }) => ({ contents: [{ uri: uri.href, text: n }] }));
  mcp.registerPrompt("hello", { argsSchema: { who: z.string() } }, ({ who }) => ({
    messages: [{ role: "user", content: { type: "text", text: `Hello ${who}` } }],
  }));
  return mcp;
}

const sessions = new Map();

async function streamable(req, res) {
  const id = req.headers["mcp-session-id"];
  let transport = sessions.get(id);
  if (!transport) {
    if (id) return res.writeHead(404).end();
    transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new EventStore(),
      retryInterval: 50,
      onsessioninitialized: (id) => sessions.set(id, transport),
      onsessionclosed: (id) => sessions.delete(id),
    });
    await mcpServer().connect(transport);
  }
  // Express has read the body.
  await transport.handleRequest(req, res, req.body);
}

const app = createMcpExpressApp();
app.post("/express", streamable);
const express = (req, res) => app(req, res);

async function sse(req, res) {
  const transport = new SSEServerTransport("/messages", res);
  sessions.set(transport.sessionId, transport);
  await mcpServer().connect(transport);
}

async function message(req, res, url) {
  await sessions.get(url.searchParams.get("sessionId")).handlePostMessage(req, res);
}

const count = (_, res) => res.end(String(counted));

serve({ "/mcp": streamable, "/express": express, "/sse": sse, "/messages": message, "/count": count });
