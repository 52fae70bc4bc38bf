// The client of SDK 1.x; see `common/drive.mjs`.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { SSEClientTransport } from "@modelcontextprotocol/sdk/client/sse.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { CreateMessageRequestSchema, ElicitRequestSchema, EmptyResultSchema } from "@modelcontextprotocol/sdk/types.js";

import { drive } from "../common/drive.mjs";

await drive({
  name: "interop-typescript",
  timeoutReason: "McpError: MCP error -32001: Request timed out",
  client(identity, auto, { elicit, sample }) {
    const client = new Client(identity, { capabilities: { elicitation: {}, sampling: {} } });
    client.setRequestHandler(ElicitRequestSchema, elicit);
    client.setRequestHandler(CreateMessageRequestSchema, sample);
    return client;
  },
  streamable: (url, options) => new StreamableHTTPClientTransport(url, options),
  sse: (url, options) => new SSEClientTransport(url, options),
  tool: (client, name, args, options) => client.callTool({ name, arguments: args }, undefined, options),
  request: (client, method) => client.request({ method }, EmptyResultSchema),
  // HTTP+SSE has no name for it in public.
  protocolVersion: (client, transport) => transport.protocolVersion ?? transport._protocolVersion,
});
