// What the clients of both major versions of the TypeScript SDK do in each mode.
//
//     node client.mjs MODE URL ACCOUNT.json
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { Account, writeAccounts } from "./account.mjs";
import * as scenario from "./scenario.mjs";
import { Watch } from "./watch.mjs";

const servers = JSON.parse(readFileSync(new URL("servers.json", import.meta.url), "utf8"));

/**
 * `sdk` adapts one version of the SDK:
 *   name                          of the client
 *   timeoutReason                 with which it cancels a call that took too long
 *   client(identity, auto, handlers)   `auto`: it finds out which revisions the server speaks
 *   streamable(url, options), sse(url, options)   transports
 *   tool(client, name, args, options)
 *   request(client, method)
 *   protocolVersion(client, transport)
 */
export async function drive(sdk) {
  const [mode, url, accountPath] = process.argv.slice(2);
  const identity = { name: `${sdk.name}-${mode}`, version: "1.2.3" };
  const asked = { name: 0, sample: 0 };
  const client = sdk.client(identity, ["modern", "fallback", "spread"].includes(mode), {
    elicit() {
      asked.name += 1;
      return { action: "accept", content: { name: "Ada" } };
    },
    sample() {
      asked.sample += 1;
      return { model: "none", role: "assistant", content: { type: "text", text: "sampled" } };
    },
  });
  const watch = new Watch();
  // By HTTP+SSE the POST is accepted, and the answer comes on the session's stream.
  const account = new Account(mode === "sse" ? { http_status: 202 } : {});

  // The client forgets both when it closes.
  let server;
  let protocolVersion;
  async function connect(transport, method = "initialize") {
    await account.call(method, {}, async () => {
      await client.connect(transport);
      server = client.getServerVersion();
      return server;
    });
    protocolVersion = sdk.protocolVersion(client, transport);
    return {
      ...{ account, client, watch, asked },
      server: servers[server.name],
      timeoutReason: sdk.timeoutReason,
      tool: (name, args, options) => sdk.tool(client, name, args, options),
      request: (method) => sdk.request(client, method),
    };
  }

  function summary(session) {
    const known = {
      client_name: identity.name,
      client_version: identity.version,
      server_name: server.name,
      server_version: server.version,
    };
    return account.summary(protocolVersion, session && { ...known, ...session });
  }
  const write = (...summaries) => writeAccounts(accountPath, summaries);

  const streamable = (path = "/mcp") => sdk.streamable(new URL(path, url), { fetch: watch.fetch });
  async function inRevision2026(last = async () => {}) {
    const peer = await connect(streamable(), "server/discover");
    const { no_resource_modern } = peer.server;
    await scenario.basics(peer, { noResource: no_resource_modern, unknownMethod: { http_status: 404 } });
    await scenario.rounds(peer);
    // The client closes the connection, and that is all there is to see.
    await scenario.cancellation(peer, { status: "error", error_msg: null, http_status: null });
    await last(peer);
    await client.close();
    write(summary({ source: "derived", ended: false }));
  }

  const modes = {
    /** A session. */
    async legacy() {
      const transport = streamable();
      const peer = await connect(transport);
      await account.call("ping", {}, () => client.ping());
      await scenario.basics(peer);
      await scenario.questions(peer);
      await scenario.resumption(peer);
      const { cancelled_legacy = {} } = peer.server;
      await scenario.cancellation(peer, cancelled_legacy);
      await (cancelled_legacy.answered ? watch.quiet() : watch.sent());
      const id = transport.sessionId;
      assert.ok(id);
      await transport.terminateSession();
      await client.close();
      write(summary({ session_id: id, source: "header", ended: true }));
    },

    /** 2026-07-28, found out by asking. */
    async modern() {
      await inRevision2026(scenario.subscription);
    },

    /** The same by a load balancer. A notification reaches only the subscribers of its replica. */
    async spread() {
      await inRevision2026();
    },

    /** A session whose requests take several ways to the server. */
    async roaming() {
      const transport = streamable();
      const peer = await connect(transport);
      await account.call("ping", {}, () => client.ping());
      await scenario.basics(peer);
      const id = transport.sessionId;
      assert.ok(id);
      await transport.terminateSession();
      await client.close();
      // Only the replica at which the session began knows it, and its end may reach another one.
      write(summary({ session_id: id, source: "header", ended: null }));
    },

    /** Asks a server that only knows earlier revisions. */
    async fallback() {
      const transport = streamable();
      const peer = await connect(transport);
      const probe = new Account();
      probe.note("server/discover", { status: "error", http_status: 400, ...peer.server.discover });
      await scenario.basics(peer);
      const id = transport.sessionId;
      await transport.terminateSession();
      await client.close();
      const unknown = { client_name: identity.name, client_version: identity.version, server_name: null };
      write(
        probe.summary("2026-07-28", { ...unknown, source: "derived", ended: false }),
        summary({ session_id: id, source: "header", ended: true }),
      );
    },

    /** An earlier revision without a session. */
    async stateless() {
      const peer = await connect(streamable("/stateless"));
      await scenario.basics(peer);
      await scenario.desertion(peer);
      await client.close();
      write(summary(null));
    },

    /** HTTP+SSE of 2024-11-05. */
    async sse() {
      const peer = await connect(sdk.sse(new URL("/sse", url), { fetch: watch.fetch }));
      await account.call("ping", {}, () => client.ping());
      await scenario.basics(peer);
      await scenario.questions(peer);
      await scenario.cancellation(peer);
      await watch.sent();
      const { searchParams } = new URL(watch.url);
      const id = searchParams.get("sessionId") ?? searchParams.get("session_id");
      assert.ok(id);
      await client.close();
      write(summary({ session_id: id, source: "query", ended: true }));
    },

    /** Leaves in the middle of a call. */
    async vanish() {
      const transport = streamable();
      await connect(transport);
      // The stream could be resumed, so it is waited for until the recording ends.
      account.note("tools/call", { tool: "wait", status: "error", end_reason: "shutdown" });
      await new Promise((onresumptiontoken) => {
        sdk.tool(client, "wait", {}, { onresumptiontoken });
      });
      write(summary({ session_id: transport.sessionId, source: "header", ended: false }));
      process.exit();
    },
  };
  await modes[mode]();
}
