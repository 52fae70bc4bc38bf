// The client of SDK 2.x that resumes; see `common/resume.mjs`.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

import { resume } from "../common/resume.mjs";

await resume({
  client(identity, onProgress) {
    const client = new Client(identity, { versionNegotiation: { mode: "legacy" } });
    client.setNotificationHandler("notifications/progress", ({ params }) => onProgress(params));
    return client;
  },
  streamable: (url, options) => new StreamableHTTPClientTransport(url, options),
  tool: (client, params, options) => client.callTool(params, options),
});
