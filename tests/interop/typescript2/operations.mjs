// Calls of several rounds by the client of SDK 2.x.
//
//     operations.mjs URL OTHER_URL ACCOUNT.json
//
// Both URLs are proxies before one server that record into one file, or the same URL is that of a
// fleet whose replicas have one key. The trace of each call is its
// label, so that the file shows which requests belong together.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const [url, otherUrl, accountPath] = process.argv.slice(2);
const calls = [];
/** What is particular to a call, by its label. */
const known = new Map();

/** Sends a request to the server as its call wants it: on another way, or twice. */
async function send(to, init) {
  const label = init?.method === "POST" && JSON.parse(init.body).params?.arguments?.label;
  if (!label) return fetch(to, init);
  const call = known.get(label);
  call.posts += 1;
  const headers = new Headers(init.headers);
  headers.set("traceparent", `00-${label}-${randomBytes(8).toString("hex")}-01`);
  const elsewhere = call.movesAt === call.posts ? new URL(otherUrl) : to;
  const post = () => fetch(elsewhere, { ...init, headers });
  // The network loses the answer of the first, and the client sends the same leg again.
  if (call.repeats === call.posts) {
    call.posts += 1;
    await (await post()).arrayBuffer();
  }
  return post();
}

class Caller {
  constructor(name, authorization) {
    this.client = new Client(
      { name, version: "1.0.0" },
      { capabilities: { elicitation: {} }, versionNegotiation: { mode: "auto" } },
    );
    this.client.setRequestHandler("elicitation/create", ({ params }) => known.get(params.message).answer());
    const requestInit = authorization && { headers: { authorization } };
    this.transport = new StreamableHTTPClientTransport(new URL(url), { fetch: send, requestInit });
  }

  static async connected(...identity) {
    const caller = new Caller(...identity);
    await caller.client.connect(caller.transport);
    return caller;
  }

  /** Makes a call that becomes one operation, if `expected` says nothing else. */
  async call(tool, { answer = accept, movesAt, repeats, operations, outcome = "ok" } = {}) {
    const label = randomBytes(16).toString("hex");
    let thinking = 0;
    const timed = async () => {
      const began = performance.now();
      try {
        return await answer();
      } finally {
        thinking += performance.now() - began;
      }
    };
    const call = { posts: 0, answer: timed, movesAt, repeats };
    known.set(label, call);
    const began = performance.now();
    const ended = await this.client.callTool({ name: tool, arguments: { label } }).catch((error) => error);
    const wall_us = (performance.now() - began) * 1000;
    const open = ended instanceof Error;
    assert.equal(open, outcome === "input_required", String(ended));
    if (!open) assert.equal(ended.isError === true, outcome === "tool_error", JSON.stringify(ended));
    const one = [{ legs: call.posts, outcome }];
    calls.push({
      ...{ trace: label, tool, requests: call.posts, operations: operations ?? one },
      ...{ wall_us: open ? null : wall_us, thinking_us: thinking * 1000 },
    });
  }
}

const accept = async () => ({ action: "accept", content: { name: "Ada" } });
const decline = async () => ({ action: "decline" });
const leave = async () => {
  throw new Error("the user has left");
};

/** An answer that waits for `release`; `asked` ends when the question is there. */
function held() {
  let release;
  let ask;
  const released = new Promise((resolve) => { release = resolve; });
  const asked = new Promise((resolve) => { ask = resolve; });
  const answer = async () => {
    ask();
    await released;
    return accept();
  };
  return { answer, asked, release };
}

/** Two calls of one tool: the first to be asked is the last to be answered. */
async function interleaved(one, other, tool, expected) {
  const first = held();
  const last = one.call(tool, { answer: first.answer, ...expected });
  await first.asked;
  await other.call(tool, expected);
  first.release();
  await last;
}

const alone = await Caller.connected("operations-typescript2");
const offered = new Set((await alone.client.listTools()).tools.map(({ name }) => name));
await alone.call("ask");
await alone.call("survey");
await alone.call("form");
await alone.call("ask", { answer: decline, outcome: "tool_error" });
await alone.call("ask", { answer: leave, outcome: "input_required" });
await interleaved(alone, alone, "ask");
// Another user of the same client, whom nothing tells apart.
const double = await Caller.connected("operations-typescript2");
await interleaved(alone, double, "survey");
const [ada, bob] = [
  await Caller.connected("operations-typescript2", "Bearer ada"),
  await Caller.connected("operations-typescript2", "Bearer bob"),
];
await interleaved(ada, bob, "ask");
await alone.call("survey", { movesAt: 2 });
await alone.call("survey", { repeats: 2 });
await alone.call("ask", { repeats: 2 });

/** A retry that is linked to nothing is a call by itself. */
const lost = { legs: 1, outcome: "input_required" };
const lone = { legs: 1, outcome: "ok" };
const apart = [lost, lone];
const isFleet = url === otherUrl;
// Without a common key, a caller with a credential is another one to each proxy.
await ada.call("ask", { movesAt: 2, operations: isFleet ? undefined : apart });
// This server makes equal states of equal payloads within one second.
const nextSecond = () => new Promise((resolve) => setTimeout(resolve, 1010 - (Date.now() % 1000)));
// The first request is sent twice, and the client answers the second question. Nothing tells the two
// apart if both have the same state.
await nextSecond();
const twice = offered.has("constant") ? [lost, ...apart] : [lost, { legs: 2, outcome: "ok" }];
await alone.call("ask", { repeats: 1, operations: twice });
if (offered.has("constant")) {
  // Equal states of two calls link to neither.
  await nextSecond();
  await alone.call("constant");
  await alone.call("constant", { operations: apart });
  await nextSecond();
  await interleaved(alone, double, "constant", { operations: apart });
}
if (offered.has("stateless")) {
  // Keys link only the calls of a caller with a credential.
  await alone.call("stateless", { operations: apart });
  await ada.call("stateless");
  await interleaved(ada, bob, "stateless");
  await interleaved(ada, ada, "stateless", { operations: apart });
}

const unlinked = calls.filter(({ operations }) => operations.includes(lone)).length;
writeFileSync(accountPath, JSON.stringify({ calls, unlinked }, null, 2));
for (const { client } of [alone, double, ada, bob]) await client.close();
