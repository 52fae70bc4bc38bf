// A client that resumes its stream after its server was killed. It calls the tool `count` and prints
// each step that it receives. After the first steps it reads no more, until a line on standard input
// reports the kill.
//
//     node resume.mjs reconnect URL    keeps its streams open until they break off; the transport
//                                      then connects again by itself
//     node resume.mjs return URL       closes; another client then resumes in its place
//
// `tests/it/resume` kills the servers and compares the steps received with the steps acknowledged.
// What the SDK leaves to its user, or cannot do:
//   - The SDK reports the last event id only for the stream of a call (`onresumptiontoken`). So no
//     client can return to a server that sends progress on the stream of the session.
//   - If a resumed stream breaks off before its first event, the SDK opens it without an id.
//   - After `maxRetries` attempts, 2 by default, the transport gives up.
//   - `resumeStream` makes one attempt.
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

const HEARD_AT_FIRST = 3;
const RETRY_MS = 20;

/**
 * `sdk` adapts one version of the SDK:
 *   client(identity, onProgress)   `onProgress` gets the parameters of the notifications
 *   streamable(url, options)       the transport
 *   tool(client, params, options)  calls a tool
 */
export async function resume(sdk) {
  const [mode, url] = process.argv.slice(2);
  let steps = 0;
  let onStep = () => {};
  let isKilled = false;
  const killed = once(process.stdin, "data").then(() => { isKilled = true; });

  async function connect(options) {
    const client = sdk.client({ name: "resume", version: "1.0.0" }, ({ progress }) => {
      console.log(progress);
      steps += 1;
      onStep();
    });
    const transport = sdk.streamable(new URL(url), {
      reconnectionOptions: {
        initialReconnectionDelay: RETRY_MS,
        maxReconnectionDelay: RETRY_MS,
        reconnectionDelayGrowFactor: 1,
        maxRetries: 1500,
      },
      ...options,
    });
    await client.connect(transport);
    return { client, transport };
  }

  /** Passes bytes until enough steps were heard, and breaks off with the kill. */
  function standingStill(body) {
    const reader = body.getReader();
    return new ReadableStream({
      async pull(controller) {
        if (steps >= HEARD_AT_FIRST) {
          await killed;
          throw new Error("connection lost");
        }
        const { done, value } = await reader.read();
        if (done) controller.close();
        else controller.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    });
  }

  /** Begins the call, on which the server counts for ever. */
  async function count(onresumptiontoken) {
    // The transport opens the stream of the session when it has connected, and does not say when.
    let onListening;
    const listening = new Promise((resolve) => { onListening = resolve; });
    const connected = await connect({
      async fetch(url, init) {
        const response = await fetch(url, init);
        if (init.method === "GET") onListening();
        if (isKilled || !response.body) return response;
        return new Response(standingStill(response.body), response);
      },
    });
    await listening;
    const params = { name: "count", arguments: {}, _meta: { progressToken: "p" } };
    // Goes with the server that is killed, or with the client.
    sdk.tool(connected.client, params, { onresumptiontoken }).catch(() => {});
    return connected;
  }

  const modes = {
    reconnect: () => count(),

    async return() {
      let token;
      const onresumptiontoken = (id) => { token = id; };
      const { client, transport } = await count(onresumptiontoken);
      const { sessionId, protocolVersion } = transport;
      while (steps < HEARD_AT_FIRST) await new Promise((resolve) => { onStep = resolve; });
      await client.close();

      await killed;
      const next = await connect({ sessionId });
      next.transport.setProtocolVersion(protocolVersion);
      for (;;) {
        try {
          return await next.transport.resumeStream(token, { onresumptiontoken });
        } catch {
          // The next server may not listen yet.
          await sleep(RETRY_MS);
        }
      }
    },
  };
  await modes[mode]();
}
