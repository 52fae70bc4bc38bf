// How a server of SDK 2.x meets its clients over HTTP.
import { randomUUID } from "node:crypto";
import { json } from "node:stream/consumers";

import { NodeStreamableHTTPServerTransport, toNodeHandler, toWebRequest } from "@modelcontextprotocol/node";
import { createMcpHandler, isLegacyRequest } from "@modelcontextprotocol/server";

import { EventStore } from "../common/event-store.mjs";

/**
 * Returns the handlers of two paths and the notifier for subscribers. `dual` serves 2026-07-28
 * beside the earlier revisions, which have sessions and an event store there; `stateless` serves
 * all revisions without sessions. Both take the body where it is read already. `mcpServer` makes a
 * server for each session and each request.
 */
export function endpoint(mcpServer) {
  const handler = createMcpHandler(mcpServer);
  const stateless = toNodeHandler(handler);
  const sessions = new Map();

  async function dual(req, res, body) {
    if (req.method !== "POST") return inSession(req, res);
    body ??= await json(req);
    const isLegacy = await isLegacyRequest(await toWebRequest(req, body));
    await (isLegacy ? inSession : stateless)(req, res, body);
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

  return { dual, stateless, notify: handler.notify };
}
