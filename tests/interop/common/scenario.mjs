// What the TypeScript clients do, of either major version of the SDK.
//
// `peer` adapts a client to it:
//   account             the account of this connection
//   client              the connected client
//   tool(name, args, options)   calls a tool
//   request(method)     sends a request of that method
//   asked, sampled      how often the server asked the client
//   watch               see `watchedFetch`
//   unknownTool         what this server answers to a call of a tool that it has not
//   noResource          the code with which it answers where there is no resource
import assert from "node:assert/strict";

const greeting = "probe://greeting";

/** Lists, calls that end well and calls that fail. */
export async function basics(peer) {
  const { account, client, unknownMethod = {} } = peer;
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
  await tool("no-such-tool", {}, peer.unknownTool);
  let progress = 0;
  const onprogress = () => { progress += 1; };
  await tool("progress", { steps: 4 }, { min_latency_us: 400_000 }, { onprogress });
  assert.equal(progress, 4);

  await account.call("resources/read", { target: greeting }, () => client.readResource({ uri: greeting }));
  const nothing = "probe://nothing?q=ü";
  const noResource = { target: nothing, status: "error", ...peer.noResource };
  await account.call("resources/read", noResource, () => client.readResource({ uri: nothing }));
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
  assert.equal(peer.asked, 1);
  const sampled = await tool("sample", {});
  assert.equal(sampled.content[0].text, "sampled");
  assert.equal(peer.sampled, 1);
}

/** The server answers with a question, and the client calls once more with the answer (2026-07-28). */
export async function rounds(peer) {
  const tool = caller(peer);
  const asked = { end_reason: "input_required" };
  peer.account.note("tools/call", { tool: "ask", ...asked });
  const answer = await tool("ask", {});
  assert.equal(answer.content[0].text, "Ada");
  assert.equal(peer.asked, 1);
  peer.account.note("tools/call", { tool: "sample", ...asked });
  const sampled = await tool("sample", {});
  assert.equal(sampled.content[0].text, "sampled");
  assert.equal(peer.sampled, 1);
}

/** Listens until the server has something to tell (2026-07-28). */
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
  // The client does not wait for its notifications, and closing it takes them back.
  await peer.watch.sent();
}

export function abortIn(ms, reason) {
  const controller = new AbortController();
  setTimeout(() => controller.abort(reason), ms);
  return controller.signal;
}

export function caller({ account, tool }) {
  return (name, args, expected, options) =>
    account.call("tools/call", { tool: name, ...expected }, () => tool(name, args, options));
}

/** A `fetch` that can break a stream and tells what it sent. */
export function watchedFetch() {
  const underWay = new Set();
  const watch = {
    loseNextStream: false,
    /** Where the last POST went. */
    url: null,
    /** Ends when every POST that was begun has its response head. */
    sent: () => Promise.allSettled(underWay),
    async fetch(url, init) {
      const answer = fetch(url, init);
      if (init?.method !== "POST") return answer;
      watch.url = String(url);
      underWay.add(answer);
      const response = await answer.finally(() => underWay.delete(answer));
      const isStream = response.headers.get("content-type")?.startsWith("text/event-stream");
      if (!watch.loseNextStream || !isStream) return response;
      watch.loseNextStream = false;
      return new Response(brokenAfterOneChunk(response.body), response);
    },
  };
  return watch;
}

function brokenAfterOneChunk(body) {
  const reader = body.getReader();
  return new ReadableStream({
    async start(controller) {
      controller.enqueue((await reader.read()).value);
    },
    async pull(controller) {
      await reader.cancel();
      controller.error(new Error("connection lost"));
    },
  });
}
