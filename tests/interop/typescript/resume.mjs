// The client of SDK 1.x that resumes; see `common/resume.mjs`.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ProgressNotificationSchema } from "@modelcontextprotocol/sdk/types.js";

import { resume } from "../common/resume.mjs";

await resume({
  client(identity, onProgress) {
    const client = new Client(identity);
    client.setNotificationHandler(ProgressNotificationSchema, ({ params }) => onProgress(params));
    return client;
  },
  streamable: (url, options) => new StreamableHTTPClientTransport(url, options),
  tool: (client, params, options) => client.callTool(params, undefined, options),
});
