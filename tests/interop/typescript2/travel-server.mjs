// A server of SDK 2.x, whose traffic `tests/web/record.sh` records. After a GET of `/deploy` the
// tool `search_flights` has a new definition, and is slower.
import { json } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";

import { McpServer, ResourceTemplate, acceptedContent, inputRequired } from "@modelcontextprotocol/server";
import { z } from "zod";

import { serve } from "../common/serve.mjs";
import { endpoint } from "./endpoint.mjs";

const text = (text) => ({ content: [{ type: "text", text }] });
const around = (ms) => sleep(ms * (0.6 + Math.random() * 0.8));
const name = z.object({ name: z.string() });
let isDeployed = false;
let calls = 0;

function mcpServer() {
  const mcp = new McpServer({ name: "travel", version: isDeployed ? "3.3.0" : "3.2.0" });
  const tool = (name, description, shape, handler) =>
    mcp.registerTool(name, { description, inputSchema: z.object(shape) }, handler);

  const places = { from: z.string().describe("A city"), to: z.string().describe("A city") };
  const usual = isDeployed ? 600 : 60;
  tool(
    "search_flights",
    isDeployed ? "Finds flights of one airline, or of any." : "Finds flights.",
    isDeployed ? { ...places, airline: z.string().describe("A code, or `any`") } : places,
    async ({ from, to }) => {
      await around(Math.random() < 0.02 ? 1_500 : usual);
      return text(`${from} to ${to}: `.padEnd(300 + Math.random() * 4_000, "TF 123 at 9:00, "));
    },
  );
  // To earlier revisions the SDK makes requests of these answers.
  tool("book_flight", "Books a flight, after it has asked for the name.", { flight: z.string() }, async ({ flight }, { mcpReq }) => {
    const asked = mcpReq.inputResponses?.who;
    const accepted = acceptedContent(mcpReq.inputResponses, "who", name);
    await around(asked ? 90 : 20);
    if (accepted) return text(`${flight} is booked for ${accepted.name}`);
    if (asked) return { ...text("Nothing was booked."), isError: true };
    const who = inputRequired.elicit({ message: "Who flies?", requestedSchema: name });
    return inputRequired({ inputRequests: { who } });
  });
  tool("get_weather", "The weather in a city.", { city: z.string() }, async ({ city }) => {
    await around(12);
    if (city === "Atlantis") throw new Error(`no such city: ${city}`);
    return text("Rain, 8 degrees.");
  });
  tool("convert_currency", "Converts an amount.", { amount: z.number(), from: z.string(), to: z.string() }, () => text("1,380 NOK"));
  tool("find_hotels", "Finds hotels of so many stars.", { city: z.string(), stars: z.number() }, async ({ stars }, { mcpReq }) => {
    await (stars === 5 ? sleep(60_000, null, { signal: mcpReq.signal }) : around(60));
    return text("Grand Hotel");
  });
  tool("list_airports", "All airports.", {}, () => text("OSL, LIS, ATH, VIE, DUB"));

  const timetable = new ResourceTemplate("travel://timetable/{of}", { list: undefined });
  mcp.registerResource("timetable", timetable, {}, async (uri, { of }) => {
    await around(8);
    if (of === "ferries") throw new Error("the database of ferries is not reachable");
    return { contents: [{ uri: uri.href, text: "every hour" }] };
  });
  return mcp;
}

const { dual } = endpoint(mcpServer);

async function mcp(req, res) {
  if (req.method !== "POST") return dual(req, res);
  const body = await json(req);
  if (body.method === "tools/call") calls += 1;
  // What a load balancer says for a server that is overloaded.
  if (body.method === "tools/call" && calls % 70 === 0) return res.writeHead(503).end("overloaded");
  return dual(req, res, body);
}

function deploy(_, res) {
  isDeployed = true;
  res.end();
}

serve({ "/mcp": mcp, "/deploy": deploy });
