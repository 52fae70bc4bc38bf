// Starts the pages of a file, and a browser.

import { execFileSync, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

/** Starts `mcp-store serve`. Returns its URL, and a function that ends it. */
export async function serve(command, db, access = ["--no-token"]) {
  const child = spawn(
    command,
    ["serve", "--db", db, "--listen", "127.0.0.1:0", ...access],
    { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, TZ: "UTC" } },
  );
  for await (const line of createInterface(child.stdout)) {
    const found = /the pages are at (http:\S+)\//.exec(line);
    if (found) return { url: found[1], stop: () => child.kill("SIGTERM") };
  }
  throw new Error("mcp-store serve ended");
}

/** Returns the records that a command of `mcp-store` prints. */
export function ask(command, db, ...words) {
  const env = { ...process.env, TZ: "UTC" };
  const text = execFileSync(command, [...words, "--db", db, "--json"], { env, encoding: "utf8" });
  return text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
}

/** Starts Debian's Chromium. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-background-networking", "--disable-dev-shm-usage"],
  });
}

/** Returns the path of each page, for a range of time. */
export function paths(command, db, range) {
  const [session] = ask(command, db, "sessions", "--limit", "1");
  // A session with a call of several rounds and, if there is one, a call that failed.
  const failed = ask(command, db, "logs", "--failed", "--limit", "1000");
  const failing = new Set(failed.map(({ session_id }) => session_id));
  const legs = ask(command, db, "logs", "--status", "input_required", "--limit", "1000").reverse();
  const leg = legs.find(({ session_id }) => failing.has(session_id)) ?? legs[0];
  return {
    overview: `/overview?${range}`,
    tools: `/tools?${range}`,
    tool: `/tool?${range}&tool=search_flights`,
    errors: `/errors?${range}`,
    clients: `/clients?${range}`,
    sessions: `/sessions?${range}`,
    session: `/session?${range}&session=${leg?.session_id ?? session.session_id}`,
    requests: `/requests?${range}`,
    request: `/request?${range}&id=${leg?.id ?? 1}`,
    live: "/live",
    schema: `/schema?${range}`,
    health: `/health?${range}`,
    wrong: "/requests?since=soon",
  };
}
