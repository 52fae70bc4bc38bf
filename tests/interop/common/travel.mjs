// The sessions of a client of the server `typescript2/travel-server.mjs`, for `tests/web/record.sh`.
//
//     travel.mjs URL SESSIONS SEED
//
// The same seed gives the same choices.
import { setTimeout as sleep } from "node:timers/promises";

const CITIES = ["Oslo", "Lisbon", "Athens", "Vienna", "Dublin"];
const AT_ONCE = 4;

/** Pseudo-random numbers below 1. */
function numbers(seed) {
  let state = seed * 2654435761;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * `client` is one client program:
 *   knowsAirlines   whether it reads the definitions of the tools, and so sends `airline` when it must
 *   connect(url, user, answer)   begins a session; `answer` answers the questions of the server
 * and a session has:
 *   tools()                      the definitions
 *   call(name, args, options)    calls a tool
 *   read(uri)                    reads a resource
 *   close()                      ends it
 */
export async function travel(client) {
  const [url, sessions, seed] = process.argv.slice(2);
  const random = numbers(Number(seed));
  const plans = Array.from({ length: Number(sessions) }, (_, at) => ({ user: `user-${seed}-${at}`, random: numbers(random() * 1e9) }));
  const worker = async () => {
    for (let plan = plans.shift(); plan; plan = plans.shift()) await one(client, url, plan);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  // Streams of calls that were left would keep the process.
  process.exit();
}

async function one(client, url, { user, random }) {
  const oneOf = (list) => list[Math.floor(random() * list.length)];
  const answer = async () => {
    await sleep(100 + random() * 500);
    return random() < 0.9 ? { action: "accept", content: { name: "Ada" } } : { action: "decline" };
  };
  const session = await client.connect(url, user, answer);
  const tools = await session.tools();
  const search = tools.find(({ name }) => name === "search_flights");
  const mustNameAirline = search.inputSchema.required.includes("airline");
  const flight = () => ({
    from: oneOf(CITIES),
    to: oneOf(CITIES),
    ...(mustNameAirline && client.knowsAirlines && { airline: "any" }),
  });
  const steps = [
    [40, () => session.call("search_flights", flight())],
    [18, () => session.call("book_flight", { flight: `TF ${Math.floor(random() * 900)}` })],
    [18, () => session.call("get_weather", { city: random() < 0.06 ? "Atlantis" : oneOf(CITIES) })],
    [10, () => session.call("convert_currency", { amount: 120, from: "EUR", to: "NOK" })],
    // Some hotels answer too late for the client.
    [7, () => session.call("find_hotels", { city: oneOf(CITIES), stars: random() < 0.25 ? 5 : 3 }, { timeout: 600 })],
    [5, () => session.read(random() < 0.3 ? "travel://timetable/ferries" : "travel://timetable/trains")],
    [2, () => session.call("search_trains", { from: "Oslo" })],
  ];
  for (let left = 3 + random() * 7; left > 0; left -= 1) {
    let lot = random() * 100;
    const [, step] = steps.find(([part]) => (lot -= part) < 0) ?? steps[0];
    // A failure is what the record shows.
    await step().catch(() => {});
    await sleep(random() * 120);
  }
  if (random() < 0.8) await session.close();
}
