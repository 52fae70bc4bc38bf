// The client of SDK 2.x; see `common/drive.mjs`.
import { Client, SSEClientTransport, SdkHttpError, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { z } from "zod";

import { drive } from "../common/drive.mjs";

await drive({
  name: "interop-typescript2",
  timeoutReason: "SdkError: Request timed out",
  client(identity, auto, { elicit, sample }) {
    const client = new Client(identity, {
      capabilities: { elicitation: {}, sampling: {} },
      versionNegotiation: { mode: auto ? "auto" : "legacy" },
    });
    client.setRequestHandler("elicitation/create", elicit);
    client.setRequestHandler("sampling/createMessage", sample);
    return client;
  },
  streamable: (url, options) => new StreamableHTTPClientTransport(url, options),
  sse: (url, options) => new SSEClientTransport(url, options),
  tool: (client, name, args, options) => client.callTool({ name, arguments: args }, options),
  async request(client, method) {
    try {
      return await client.request({ method }, z.object({}));
    } catch (error) {
      // The client takes a 404 for a failure of HTTP, whatever its body says.
      throw error instanceof SdkHttpError ? JSON.parse(error.data.text).error : error;
    }
  },
  protocolVersion: (client) => client.getNegotiatedProtocolVersion(),
});
