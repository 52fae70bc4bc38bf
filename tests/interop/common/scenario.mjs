// The steps that the TypeScript clients take, of either major version of the SDK.
//
// `peer` is a connection:
//   account, client, watch
//   tool(name, args, options)   calls a tool
//   request(method)             sends a request of that method
//   server                      what is particular to the server, of `servers.json`
//   asked                       how often the server asked the client
//   timeoutReason               with which the client cancels a call that took too long
import assert from "node:assert/strict";

const greeting = "probe://greeting";

/** Lists, calls that end well and calls that fail. */
export async function basics(peer, { noResource, unknownMethod } = {}) {
  const { account, client, server } = peer;
  const tool = caller(peer);
  const { tools } = await account.call("tools/list", {}, () => client.listTools());
  assert.ok(tools.some((tool) => tool.name === "echo"));
  await account.call("resources/list", {}, () => client.listResources());
  await account.call("resources/templates/list", {}, () => client.listResourceTemplates());
  await account.call("prompts/list", {}, () => client.listPrompts());

  const echoed = await tool("echo", { text: "grüße 🦀" });
  assert.equal(echoed.content[0].text, "grüße 🦀");
  await Promise.all([1, 2, 3, 4, 5].map((n) => tool("echo", { text: `at once ${n}` })));
  await tool("fail", {}, { tool_error: 1 });
  await tool("no-such-tool", {}, server.unknown_tool);
  let progress = 0;
  const onprogress = () => { progress += 1; };
  await tool("progress", { steps: 4 }, { min_latency_us: 400_000 }, { onprogress });
  assert.equal(progress, 4);

  await account.call("resources/read", { target: greeting }, () => client.readResource({ uri: greeting }));
  const nothing = "probe://nothing?q=ü";
  const missing = { target: nothing, status: "error", error_code: "-32602", ...noResource };
  await account.call("resources/read", missing, () => client.readResource({ uri: nothing }));
  const hello = { name: "hello", arguments: { who: "Ada" } };
  await account.call("prompts/get", { target: "hello" }, () => client.getPrompt(hello));
  const unknown = { status: "error", error_code: "-32601", ...unknownMethod };
  await account.call("no/such/method", unknown, () => peer.request("no/such/method"));
}

/** The server asks the client within a call, which makes no row of its own. */
export async function questions(peer) {
  const tool = caller(peer);
  const answer = await tool("ask", {});
  assert.equal(answer.content[0].text, "Ada");
  assert.equal(peer.asked.name, 1);
  const sampled = await tool("sample", {});
  assert.equal(sampled.content[0].text, "sampled");
  assert.equal(peer.asked.sample, 1);
}

/** The server answers with a question, and the client calls once more with the answer (2026-07-28). */
export async function rounds(peer) {
  const tool = caller(peer);
  const asked = { end_reason: "input_required" };
  peer.account.note("tools/call", { tool: "ask", ...asked });
  const answer = await tool("ask", {});
  assert.equal(answer.content[0].text, "Ada");
  assert.equal(peer.asked.name, 1);
  peer.account.note("tools/call", { tool: "sample", ...asked });
  const sampled = await tool("sample", {});
  assert.equal(sampled.content[0].text, "sampled");
  assert.equal(peer.asked.sample, 1);
}

/** Listens until the server sends a notification (2026-07-28). */
export async function subscription(peer) {
  const { account, client } = peer;
  const tool = caller(peer);
  const changed = new Promise((resolve) => {
    client.setNotificationHandler("notifications/tools/list_changed", resolve);
  });
  account.note("subscriptions/listen", { end_reason: "stream_end" });
  const subscription = await client.listen({ toolsListChanged: true });
  await tool("change", {});
  await changed;
  await subscription.close();
}

/** The answer comes on another stream than the one of its request. */
export async function resumption(peer) {
  const tool = caller(peer);
  // The server ends the stream, and the client comes back for the answer.
  await tool("detour", {}, { end_reason: "resumed", min_latency_us: 200_000 });
  // The client loses the stream.
  peer.watch.loseNextStream = true;
  await tool("progress", { steps: 3 }, { end_reason: "resumed", min_latency_us: 300_000 }, { onprogress: () => {} });
}

/** Calls that the client gives up. */
export async function cancellation(peer, expected = {}) {
  const tool = caller(peer);
  const cancelled = { end_reason: "cancelled" };
  const timeout = { ...cancelled, status: "timeout", error_msg: peer.timeoutReason, ...expected };
  await tool("wait", {}, timeout, { timeout: 300 });
  const stopped = { ...cancelled, status: "error", error_msg: "stopped by the user", ...expected };
  await tool("wait", {}, stopped, { signal: abortIn(300, "stopped by the user") });
}

/** A call that the client leaves, without a session to which a cancellation could belong. */
export async function desertion(peer) {
  const tool = caller(peer);
  // This server sends the head of a response together with its first event.
  const gone = { status: "error", end_reason: "client_gone", http_status: null };
  await tool("wait", {}, gone, { signal: abortIn(300, "stopped by the user") });
}

function abortIn(ms, reason) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), ms);
  return controller.signal;
}

function caller({ account, tool }) {
  return (name, args, expected, options) =>
    account.call("tools/call", { tool: name, ...expected }, () => tool(name, args, options));
}
