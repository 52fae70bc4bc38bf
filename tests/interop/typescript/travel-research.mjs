// Tasks of 2025-11-25 by the client of SDK 1.x with the reference server, for `tests/web/record.sh`:
// one that is polled until it is completed, and one that is cancelled.
//
//     travel-research.mjs URL
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { CallToolResultSchema } from "@modelcontextprotocol/sdk/types.js";

const client = new Client({ name: "research-bot", version: "0.3.0" }, { capabilities: {} });
const transport = new StreamableHTTPClientTransport(new URL(process.argv[2]));
await client.connect(transport);
await client.listTools();
await client.callTool({ name: "get-sum", arguments: { a: 2, b: 3 } });
const { tasks } = client.experimental;
const call = { name: "simulate-research-query", arguments: { topic: "night trains" } };
for (const isAwaited of [true, false]) {
  for await (const { type, task } of tasks.callToolStream(call, CallToolResultSchema, { task: {} })) {
    if (isAwaited || type !== "taskCreated") continue;
    await tasks.cancelTask(task.taskId);
    break;
  }
}
await transport.terminateSession();
await client.close();
process.exit();
