// Sessions of the client of SDK 1.x; see `common/travel.mjs`.
//
//     travel.mjs URL SESSIONS SEED
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { ElicitRequestSchema } from "@modelcontextprotocol/sdk/types.js";

import { travel } from "../common/travel.mjs";

await travel({
  // Written for the first definition of the tool, and not changed since.
  knowsAirlines: false,
  async connect(url, user, answer) {
    const client = new Client({ name: "booking-kiosk", version: "0.9.2" }, { capabilities: { elicitation: {} } });
    client.setRequestHandler(ElicitRequestSchema, answer);
    const transport = new StreamableHTTPClientTransport(new URL(url));
    await client.connect(transport);
    return {
      tools: async () => (await client.listTools()).tools,
      call: (name, args, options) => client.callTool({ name, arguments: args }, undefined, options),
      read: (uri) => client.readResource({ uri }),
      async close() {
        await transport.terminateSession();
        await client.close();
      },
    };
  },
});
