// A server of SDK 2.x with the tools that `common/scenario.mjs` asks for. On `/mcp` 2026-07-28 is
// served beside the earlier revisions, on `/stateless` all revisions without sessions. `/count`
// says how often the tool `count` was called.
import { setTimeout as sleep } from "node:timers/promises";

import { McpServer, ResourceTemplate, acceptedContent, inputRequired } from "@modelcontextprotocol/server";
import { z } from "zod";

import { serve } from "../common/serve.mjs";
import { endpoint } from "./endpoint.mjs";

const text = (text) => ({ content: [{ type: "text", text }] });
let counted = 0;
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
  mcp.registerTool("count", {}, () => text(String((counted += 1))));
  mcp.registerTool("wait", {}, ({ mcpReq }) => sleep(60_000, text("waited"), { signal: mcpReq.signal }));
  mcp.registerTool("change", {}, () => {
    notify.toolsChanged();
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

const { dual, stateless, notify } = endpoint(mcpServer);
serve({
  "/mcp": (req, res) => dual(req, res),
  "/stateless": (req, res) => stateless(req, res),
  "/count": (_, res) => res.end(String(counted)),
});
