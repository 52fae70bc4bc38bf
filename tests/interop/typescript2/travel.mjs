// Sessions of the client of SDK 2.x; see `common/travel.mjs`.
//
//     travel.mjs URL SESSIONS SEED REVISION
//
// REVISION is `legacy` (sessions of the server) or `auto` (2026-07-28).
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

import { travel } from "../common/travel.mjs";

const mode = process.argv[5];
const identity = mode === "auto" ? { name: "travel-agent", version: "2.0.0" } : { name: "travel-desk", version: "1.4.1" };

await travel({
  knowsAirlines: true,
  async connect(url, user, answer) {
    const client = new Client(identity, { capabilities: { elicitation: {} }, versionNegotiation: { mode } });
    client.setRequestHandler("elicitation/create", answer);
    const requestInit = { headers: { authorization: `Bearer ${user}` } };
    const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit });
    await client.connect(transport);
    return {
      tools: async () => (await client.listTools()).tools,
      call: (name, args, options) => client.callTool({ name, arguments: args }, options),
      read: (uri) => client.readResource({ uri }),
      async close() {
        if (mode === "legacy") await transport.terminateSession();
        await client.close();
      },
    };
  },
});
