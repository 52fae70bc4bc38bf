// A server of SDK 2.x whose tools ask before they answer (2026-07-28). Each question carries the
// label of its call, so that the client knows which call it answers.
import { McpServer, createRequestStateCodec, inputRequired, inputResponse } from "@modelcontextprotocol/server";
import { z } from "zod";

import { serve } from "../common/serve.mjs";
import { endpoint } from "./endpoint.mjs";

// Replicas have one key, in the environment.
const key = process.env.STATE_KEY ? Buffer.from(process.env.STATE_KEY, "hex") : crypto.getRandomValues(new Uint8Array(32));
const states = createRequestStateCodec({ key });
const inputSchema = z.object({ label: z.string() });
const requestedSchema = z.object({ name: z.string() });

const text = (text) => ({ content: [{ type: "text", text }] });
const question = (key, label) => ({ [key]: inputRequired.elicit({ message: label, requestedSchema }) });

/** Asks these questions one after the other; `state` makes what the server gives with a question. */
function asking(keys, state) {
  return async ({ label }, { mcpReq }) => {
    const given = mcpReq.requestState()?.step ?? 0;
    const answer = inputResponse(mcpReq.inputResponses, keys[given]);
    if (answer.kind !== "missing" && answer.action !== "accept") return { ...text("declined"), isError: true };
    const step = given + (answer.kind === "missing" ? 0 : 1);
    if (step === keys.length) return text("done");
    return inputRequired({ inputRequests: question(keys[step], label), ...(await state(label, step)) });
  };
}

const minted = async (state) => ({ requestState: await states.mint(state) });

function mcpServer() {
  const mcp = new McpServer(
    { name: "operations-typescript2", version: "1.0.0" },
    { requestState: { verify: states.verify } },
  );
  const tool = (name, handler) => mcp.registerTool(name, { inputSchema }, handler);
  const unique = (label, step) => minted({ label, step });
  tool("ask", asking(["who"], unique));
  tool("survey", asking(["who", "where", "when"], unique));
  tool("form", async ({ label }, { mcpReq }) => {
    if (mcpReq.inputResponses) return text("done");
    const keys = ["who", "how", "why"];
    const inputRequests = Object.assign({}, ...keys.map((key) => question(key, label)));
    return inputRequired({ inputRequests, ...(await unique(label, 0)) });
  });
  // The SDK makes equal states of equal payloads within one second.
  tool("constant", asking(["who"], (_, step) => minted({ step })));
  tool("stateless", asking(["who"], () => ({})));
  return mcp;
}

const { dual } = endpoint(mcpServer);
serve({ "/mcp": (req, res) => dual(req, res) });
