// Drives the reference server through the proxy with the client of SDK 1.x.
//
//     node reference-client.mjs MODE URL ACCOUNT.json
//
// MODE: `everything`, or `tasks` (only tasks, whose requests may take several ways to the server).
import assert from "node:assert/strict";

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  EmptyResultSchema,
  ListRootsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";

import { Account, writeAccounts } from "../common/account.mjs";

const [mode, url, accountPath] = process.argv.slice(2);
// A resource that the server does not have.
const nothing = "demo://nothing/here?q=ü";
const identity = { name: "interop-reference", version: "1.2.3" };
const account = new Account();
const step = account.call.bind(account);

const client = new Client(identity, { capabilities: { roots: {}, sampling: {} } });
// Requests of the server to the client, and the client's answers, make no rows.
client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: "file:///tmp" }] }));
let sampled = 0;
client.setRequestHandler(CreateMessageRequestSchema, () => {
  sampled += 1;
  return { model: "none", role: "assistant", content: { type: "text", text: "sampled" } };
});

const tool = (name, args, expected, options) =>
  step("tools/call", { tool: name, ...expected }, () =>
    client.callTool({ name, arguments: args }, undefined, options),
  );

const transport = new StreamableHTTPClientTransport(new URL(url));
await step("initialize", {}, async () => {
  await client.connect(transport);
  return client.getServerVersion();
});
if (mode === "everything") {
  await step("ping", {}, () => client.ping());

  const { tools } = await step("tools/list", {}, () => client.listTools());
  assert.ok(tools.some((tool) => tool.name === "echo"));
  await step("resources/list", {}, () => client.listResources());
  await step("resources/templates/list", {}, () => client.listResourceTemplates());
  await step("prompts/list", {}, () => client.listPrompts());

  const echoed = await tool("echo", { message: "grüße 🦀" });
  assert.match(echoed.content[0].text, /grüße 🦀/);
  await tool("get-sum", { a: 2, b: 3 });
  await tool("get-structured-content", { location: "Chicago" });
  await tool("get-tiny-image", {});
  await tool("get-annotated-message", { messageType: "error", includeImage: true });
  await Promise.all([1, 2, 3, 4, 5].map((n) => tool("echo", { message: `at once ${n}` })));

  // The answer ends a stream that lasts as long as the operation.
  let progress = 0;
  await tool(
    "trigger-long-running-operation",
    { duration: 1, steps: 4 },
    { min_latency_us: 900_000 },
    { onprogress: () => { progress += 1; } },
  );
  // The client drops progress that comes together with the answer.
  assert.ok(progress >= 3);

  // The server asks the client within the call.
  await tool("trigger-sampling-request", { prompt: "say something", maxTokens: 10 });
  assert.equal(sampled, 1);

  // This SDK's server answers both with a result that says `isError`.
  await tool("no-such-tool", {}, { tool_error: 1 });
  await tool("get-sum", { a: "two" }, { tool_error: 1 });

  const text = "demo://resource/dynamic/text/1";
  await step("resources/read", { target: text }, () => client.readResource({ uri: text }));
  await step("resources/read", { target: nothing, status: "error", error_code: "-32602" }, () =>
    client.readResource({ uri: nothing }),
  );
  await step("resources/subscribe", { target: text }, () => client.subscribeResource({ uri: text }));
  await step("resources/unsubscribe", { target: text }, () => client.unsubscribeResource({ uri: text }));

  await step("prompts/get", { target: "simple-prompt" }, () => client.getPrompt({ name: "simple-prompt" }));
  await step("prompts/get", { target: "args-prompt" }, () =>
    client.getPrompt({ name: "args-prompt", arguments: { city: "Oslo" } }),
  );
  await step("prompts/get", { target: "no-such-prompt", status: "error", error_code: "-32602" }, () =>
    client.getPrompt({ name: "no-such-prompt" }),
  );
  await step("completion/complete", { target: "completable-prompt" }, () =>
    client.complete({
      ref: { type: "ref/prompt", name: "completable-prompt" },
      argument: { name: "department", value: "E" },
    }),
  );
  await step("logging/setLevel", {}, () => client.setLoggingLevel("warning"));
  await step("no/such/method", { status: "error", error_code: "-32601" }, () =>
    client.request({ method: "no/such/method" }, EmptyResultSchema),
  );
}

// Tasks of 2025-11-25: one that is polled until it is completed, and one that is cancelled.
const tasks = [];
for (const outcome of ["ok", "gone"]) {
  const name = "simulate-research-query";
  account.note("tools/call", { tool: name, end_reason: "task", answered: true });
  const call = { name, arguments: { topic: "bees" } };
  const followed = { task_id: null, outcome, polls: 0 };
  for await (const message of client.experimental.tasks.callToolStream(call, CallToolResultSchema, { task: {} })) {
    followed.task_id ??= message.task.taskId;
    const target = followed.task_id;
    if (message.type === "taskStatus") {
      followed.polls += 1;
      account.note("tasks/get", { target });
    } else if (message.type === "result") {
      account.note("tasks/result", { target });
    } else if (outcome === "gone") {
      await step("tasks/cancel", { target }, () => client.experimental.tasks.cancelTask(target));
      break;
    }
  }
  tasks.push(followed);
}
await step("tasks/list", {}, () => client.experimental.tasks.listTasks());

if (mode === "everything") {
  // After an error this client takes its stream up again, and the server replays all that came
  // since, also answers that are about to come on streams of their own.
  const many = [];
  for (let n = 0; n < 100; n += 1) {
    many.push(
      n % 4 === 3
        ? step("resources/read", { target: nothing, status: "error", error_code: "-32602" }, () =>
            client.readResource({ uri: nothing }),
          )
        : tool("echo", { message: `again ${n}` }),
    );
    if (n % 3 === 0) await many.at(-1);
  }
  await Promise.all(many);
}

const sessionId = transport.sessionId;
assert.ok(sessionId);
await transport.terminateSession();
await client.close();

const server = client.getServerVersion();
const session = {
  session_id: sessionId,
  source: "header",
  client_name: identity.name,
  client_version: identity.version,
  server_name: server.name,
  server_version: server.version,
  // Only the replica at which the session began knows it, and its end may reach another one.
  ended: mode === "tasks" ? null : true,
};
writeAccounts(accountPath, [{ ...account.summary(transport.protocolVersion, session), tasks }]);
