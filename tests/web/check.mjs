// Tries each page in a browser: with and without JavaScript, its accessibility, its Content
// Security Policy, and its numbers against those of the command.
//
//     node check.mjs MCP_STORE SAMPLE FILE
//
// FILE is a record that `record.sh` made, and SAMPLE the example `sample`, which writes more
// requests into the file for the page Live.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { ask, launch, paths, serve } from "./browser.mjs";

const [command, sample, db] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const until = Date.now();
const since = until - 7 * 24 * 3_600_000;
const range = `since=${since}&until=${until}`;
const window = ["--since", String(since), "--until", String(until)];
const { url, stop } = await serve(command, db);
const browser = await launch();
const all = paths(command, db, range);
let failed = 0;

/** Runs one check, and goes on if it fails. */
async function check(name, run) {
  try {
    await run();
  } catch (error) {
    failed += 1;
    console.error(`FAILED ${name}: ${error.stack ?? error}`);
  }
}

/** Opens a page that reports errors and violations of its policy. */
async function open(options) {
  const page = await browser.newPage(options);
  const problems = [];
  page.on("console", (message) => {
    // The page for a wrong URL has the status 400.
    const isStatus = message.text().includes("the server responded with a status of 400");
    if (message.type() === "error" && !isStatus) problems.push(message.text());
  });
  page.on("pageerror", (error) => problems.push(String(error)));
  if (options.javaScriptEnabled !== false) {
    await page.exposeFunction("reportViolation", (text) => problems.push(text));
    await page.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => {
        globalThis.reportViolation(`${event.violatedDirective}: ${event.blockedURI}`);
      });
    });
  }
  return { page, problems };
}

/** Returns what axe-core finds that keeps people from using a page. */
async function seriousFindings(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  return serious.map(({ id, nodes }) => `${id}: ${nodes[0].html}`);
}

for (const colorScheme of ["light", "dark"]) {
  for (const width of [400, 1280]) {
    const { page, problems } = await open({ colorScheme, viewport: { width, height: 900 } });
    for (const [name, path] of Object.entries(all)) {
      await check(`${name} at ${width} in ${colorScheme}`, async () => {
        problems.length = 0;
        await page.goto(url + path);
        assert.deepEqual(await seriousFindings(page), []);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `the page is ${wide} pixels wide`);
        assert.deepEqual(problems, []);
      });
    }
    await page.close();
  }
}

await check("narrow charts begin at their newest part, and requests fit into 1280 pixels", async () => {
  const { page } = await open({ javaScriptEnabled: false, viewport: { width: 400, height: 900 } });
  await page.goto(url + all.overview);
  const box = page.locator("figure .scroll").first();
  const [right, edge] = await box.evaluate((box) => {
    const chart = box.querySelector("svg");
    return [chart, box].map((element) => element.getBoundingClientRect().right);
  });
  assert.ok(Math.abs(right - edge) < 2, `the chart ends at ${right}, its box at ${edge}`);
  await page.setViewportSize({ width: 1280, height: 900 });
  await page.goto(url + all.requests);
  const table = page.locator("main .scroll").first();
  const [wide, room] = await table.evaluate((box) => [box.scrollWidth, box.clientWidth]);
  assert.ok(wide <= room, `the table takes ${wide} of ${room} pixels`);
  await page.close();
});

const { page } = await open({ javaScriptEnabled: false });
for (const [name, path] of Object.entries(all)) {
  await check(`${name} without JavaScript`, async () => {
    const response = await page.goto(url + path);
    assert.equal(response.status(), name === "wrong" ? 400 : 200);
    const html = await response.text();
    assert.ok(html.length < 150_000, `${html.length} bytes`);
    assert.ok(await page.locator("h1").innerText());
    if (name !== "wrong") assert.ok((await page.locator("main table, main dl").count()) > 0);
    for (const picture of await page.locator("main svg").all()) {
      assert.ok(await picture.locator("title").first().textContent());
    }
  });
}

/** Returns what the cells in each element say: numbers, times in UTC, or text. `null` is a dash. */
function read(elements, cells) {
  return elements.map((element) =>
    [...element.querySelectorAll(cells)].map((cell) => {
      const exact = [...cell.querySelectorAll("data, time")];
      const values = exact.map((one) => (one.localName === "time" ? one.dateTime : Number(one.value)));
      if (values.length > 1) return values;
      const text = cell.textContent.trim();
      return values[0] ?? (text === "–" ? null : text);
    }),
  );
}

/** Returns the cells of each row of a table. */
async function table(caption) {
  const found = page.locator("table", { has: page.getByText(caption, { exact: true }) });
  return found.locator("tbody tr").evaluateAll(read, "th, td");
}

/** Returns names and values of the list at this place of the page. */
async function fields(place = 0) {
  const lists = page.locator("main dl");
  const [names, values] = [await lists.evaluateAll(read, "dt"), await lists.evaluateAll(read, "dd")];
  return Object.fromEntries(names[place].map((name, at) => [name, values[place][at]]));
}

/** Returns the outcome that a page shows, which has a sign before it. */
const outcome = (text) => text?.replace(/^\S+ /, "");

await check("numbers of the overview", async () => {
  const total = ask(command, db, "stats", ...window).find(({ kind }) => kind === "total");
  await page.goto(url + all.overview);
  const shown = await fields();
  assert.ok(shown.Calls > 0);
  assert.deepEqual(
    [shown.Calls, shown.Errors, shown["Tool errors"], shown["Caller errors"], shown.Gone, shown.Open],
    [total.calls, [total.errors, total.timeouts], total.tool_errors, total.caller_errors, total.gone, total.open],
  );
  assert.deepEqual([shown.p50, shown.p95, shown.p99], [total.p50_us, total.p95_us, total.p99_us]);
});

await check("numbers of the tools", async () => {
  const groups = ask(command, db, "stats", ...window, "--method", "tools/call");
  const expected = groups.filter(({ kind }) => kind === "group");
  await page.goto(url + all.tools);
  const rows = await table("Tools");
  assert.ok(expected.length > 3);
  for (const group of expected) {
    const row = rows.find(([name]) => name === group.tool);
    assert.deepEqual(
      [row[1], row[3], row[4], row[7], row[8], row[9]],
      [group.calls, group.p50_us, group.p95_us, group.errors, group.tool_errors, group.caller_errors],
    );
  }
});

await check("numbers of one tool", async () => {
  const tool = "search_flights";
  const only = [...window, "--method", "tools/call", "--tool", tool];
  const total = ask(command, db, "stats", ...only).find(({ kind }) => kind === "total");
  await page.goto(url + all.tool);
  const shown = await fields();
  const { p50, p95, p99, Slowest, Errors, Gone, Open } = shown;
  assert.deepEqual(
    [shown.Calls, Errors, shown["Tool errors"], shown["Caller errors"], Gone, Open, p50, p95, p99, Slowest],
    [
      ...[total.calls, [total.errors, total.timeouts], total.tool_errors, total.caller_errors, total.gone],
      ...[total.open, total.p50_us, total.p95_us, total.p99_us, total.max_us],
    ],
  );
  for (const [caption, expected] of [
    ["Slowest calls", ask(command, db, "slow", ...only, "--limit", "10")],
    ["Latest calls that failed", ask(command, db, "logs", ...only, "--failed", "--limit", "10").reverse()],
  ]) {
    assert.ok(expected.length > 5);
    assert.deepEqual(
      (await table(caption)).map((row) => [row[0], row[1], outcome(row[2]), row[5]]),
      expected.map((one) => [String(one.id), one.time, one.outcome, one.latency_us]),
    );
  }
  const changes = ask(command, db, "schema", "--changes").filter(({ item_name }) => item_name === tool);
  assert.equal(changes.length, 1);
  const [{ detected_time, change_type, before, after }] = changes;
  const [change] = await table("Changes of the definition, and all calls in the 7 days before and after");
  assert.deepEqual(
    [change[0], change[2], change[3], change[6], change[7]],
    [
      ...[tool, [before.p50_us, after.p50_us], [before.p95_us, after.p95_us]],
      ...[[before.calls, after.calls], change_type],
    ],
  );
  assert.equal(Date.parse(change[1]), Date.parse(detected_time));
});

await check("numbers of one session", async () => {
  const id = new URL(url + all.session).searchParams.get("session");
  const [expected] = ask(command, db, "session", id, "--limit", "200");
  await page.goto(url + all.session);
  const shown = await fields();
  assert.deepEqual(
    [shown.protocol, shown.server, shown.started, shown["last seen"], shown.ended ?? null],
    [expected.protocol_version, expected.proxy, expected.started_time, expected.last_seen_time, expected.ended_time],
  );
  assert.deepEqual(
    [shown.calls, shown.requests, shown.errors],
    [expected.calls, expected.total_calls, expected.total_errors],
  );
  const several = new Map(expected.operations.map((one) => [one.operation_id, one]));
  assert.ok(several.size > 0);
  const rows = expected.requests.flatMap((one) => {
    const { id, leg, time, outcome, latency_us } = one;
    const own = [String(id), time, outcome, latency_us];
    if (!one.operation_id) return [own];
    if (leg > 1) return [];
    // The requests of a call follow it.
    const call = several.get(one.operation_id);
    return [
      [String(id), time, call.outcome, call.server_us],
      ...expected.requests
        .filter(({ operation_id }) => operation_id === call.operation_id)
        .map((leg) => [String(leg.id), leg.time, leg.outcome, leg.latency_us]),
    ];
  });
  assert.deepEqual(
    (await table("Calls in order, each with the requests that it took")).map((row) => [
      ...[row[0], row[1], outcome(row[4]), row[7]],
    ]),
    rows,
  );
});

await check("every field of requests", async () => {
  const labels = {
    ...{ request_id: "request", rpc_id: "JSON-RPC id", time: "time", proxy: "server", method: "method" },
    ...{ tool: "tool", target: "target", outcome: "outcome", end_reason: "end reason" },
    ...{ error_code: "error code", error_msg: "error", http_status: "http status" },
    ...{ latency_us: "latency", ttfb_us: "first byte", bytes_in: "bytes in", bytes_out: "bytes out" },
    ...{ session_id: "session", client_name: "client", protocol_version: "protocol" },
    ...{ principal: "principal", trace_id: "trace", parent_span_id: "parent span" },
    ...{ operation_id: "call", leg: "leg", state_in: "state received", state_out: "state returned" },
    ...{ task_id: "task", task_status: "task status", operation_us: "time of the call" },
  };
  // The heading has the number, and the outcome follows from these.
  const other = ["id", "ts", "status", "tool_error"];
  const seen = new Set();
  const requests = [
    ask(command, db, "logs", "--failed", "--limit", "1")[0],
    ask(command, db, "logs", "--status", "timeout", "--limit", "1")[0],
    ...ask(command, db, "logs", "--status", "input_required", "--limit", "1"),
    ...ask(command, db, "logs", "--tool", "simulate-research-query", "--limit", "1"),
    ...ask(command, db, "logs", "--method", "resources/read", "--limit", "1"),
  ];
  for (const { id } of requests) {
    const [expected] = ask(command, db, "request", String(id));
    assert.deepEqual(Object.keys(expected).filter((key) => !labels[key] && !other.includes(key)), []);
    await page.goto(`${url}/request?${range}&id=${id}`);
    const shown = await fields();
    for (const [key, label] of Object.entries(labels)) {
      const value = key === "outcome" ? outcome(shown[label]) : shown[label];
      assert.equal(value ?? null, expected[key], `${key} of request ${id}`);
      if (expected[key] !== null) seen.add(key);
    }
    const [call] = ask(command, db, "session", expected.session_id)[0].operations.filter(
      ({ operation_id }) => operation_id === expected.operation_id,
    );
    assert.equal(Boolean(call), expected.operation_id !== null);
    if (!call) continue;
    const whole = await fields(1);
    assert.deepEqual(
      [whole["wall time"] ?? null, whole["server time"] ?? null, whole["client time"] ?? null, whole.polls],
      [call.wall_us, call.server_us, call.client_us, call.task?.polls],
    );
  }
  for (const key of ["error_msg", "leg", "state_out", "task_id", "target"]) assert.ok(seen.has(key), key);
});

await check("numbers of the errors", async () => {
  const expected = ask(command, db, "stats", ...window, "--by", "client", "--failed");
  await page.goto(url + all.errors);
  const rows = await table("By client");
  assert.equal(rows.length, expected.length);
  for (const group of expected) {
    const row = rows.find(([name]) => name === (group.client_name ?? "unknown"));
    assert.deepEqual(
      [row[1], row[3], row[4], row[5], row[6]],
      [group.requests, group.timeouts, group.tool_errors, group.caller_errors, group.gone],
    );
  }
});

await check("numbers of the clients", async () => {
  const expected = ask(command, db, "clients", ...window);
  await page.goto(url + all.clients);
  const rows = await table("Clients");
  assert.deepEqual(
    rows.map((row) => [row[0], row[3], row[5], row[7]]),
    expected.map((one) => [one.client_name, one.sessions, one.calls, one.requests]),
  );
});

await check("numbers of the sessions", async () => {
  const expected = ask(command, db, "sessions", ...window, "--limit", "100").reverse();
  await page.goto(url + all.sessions);
  const rows = await table("Sessions, newest first");
  assert.deepEqual(
    rows.map((row) => [row[0].replace("…", ""), row[4], row[5], row[6]]),
    expected.map((one) => [one.session_id.replace("derived:", "").slice(0, 13), one.calls, one.total_calls, one.total_errors]),
  );
});

await check("numbers of the requests", async () => {
  const expected = ask(command, db, "logs", ...window, "--limit", "50").reverse();
  await page.goto(url + all.requests);
  const rows = await table("Requests, newest first");
  assert.deepEqual(
    rows.map((row) => [row[0], row[5]]),
    expected.map((one) => [String(one.id), one.latency_us]),
  );
});

await check("numbers of the health", async () => {
  const [info] = ask(command, db, "info");
  await page.goto(url + all.health);
  const shown = await fields();
  const second = (time) => time.replace(/\.\d+Z$/, ".000Z");
  assert.deepEqual(
    [shown["schema version"], shown["store id"], shown.instances, shown.oldest, shown.newest],
    [String(info.schema_version), info.store_id, info.instances.join(", "), info.oldest_time, info.newest_time],
  );
  assert.equal(second(shown.created), second(info.created_time));
  assert.deepEqual(
    [shown.requests, shown.sessions, shown["not ended"], shown.losses, shown["events lost"]],
    [info.requests, info.sessions, info.active_sessions, info.losses, info.dropped],
  );
  assert.deepEqual(
    [shown.size, shown["free space"], shown.WAL],
    [info.file_bytes, info.free_bytes, info.wal_bytes],
  );
  const { counters } = info;
  assert.deepEqual(
    (await table("Requests that were seen")).map(([, count]) => count),
    [
      ...[counters.posts, counters.skipped, counters.unidentified, counters.other_media],
      ...[counters.failed, counters.listings_too_long, counters.listings_malformed],
    ],
  );
  const losses = ask(command, db, "sql", "SELECT * FROM losses ORDER BY from_ts");
  assert.ok(losses.length >= 2);
  assert.deepEqual(
    (await table("Losses in this range, oldest first")).map((row) => [Date.parse(row[0]), Date.parse(row[1]), row[2], row[3]]),
    losses.map((one) => [one.from_ts, one.to_ts, one.dropped ?? "unknown", one.reason]),
  );
});

await check("numbers of the schema", async () => {
  await page.goto(url + all.schema);
  const listings = ask(command, db, "schema");
  const size = ({ payload }) => Buffer.byteLength(payload);
  const items = ({ method, payload }) => JSON.parse(payload)[method.split("/")[0]]?.length ?? null;
  assert.deepEqual(
    (await table("Current listings")).map((row) => [row[0], row[1], row[2], row[3], row[4]]),
    listings.map((one) => [one.method, one.proxy, one.upstream_url, items(one), size(one)]),
  );
  const changes = ask(command, db, "schema", "--changes", ...window, "--limit", "100").reverse();
  assert.deepEqual(
    (await table("Changes in this range, newest first")).map((row) => row.slice(1)),
    changes.map((one) => [one.proxy, one.method, one.change_type, one.item_name]),
  );
  const tools = changes.filter(({ before, after }) => before?.calls || after?.calls);
  assert.ok(tools.length > 0);
  assert.deepEqual(
    (await table("Changed tools, and their calls in the 7 days before and after")).map((row) => [
      ...[row[0], row[3], row[6]],
    ]),
    tools.map((one) => [
      ...[one.item_name, [one.before.p95_us, one.after.p95_us], [one.before.calls, one.after.calls]],
    ]),
  );
  // A listing that was first seen in the range is compared with what it was then.
  const initial = changes.filter(({ change_type }) => change_type === "initial");
  assert.ok(initial.length > 0);
  const severities = ["breaking", "compatible", "cosmetic"];
  const differences = initial
    .sort((a, b) => `${a.proxy} ${a.method}`.localeCompare(`${b.proxy} ${b.method}`))
    .flatMap(({ proxy, method, detected_at }) => {
      const times = [String(detected_at + 1), String(until)];
      return ask(command, db, "schema", "--diff", ...times, "--server", proxy, "--method", method);
    })
    .filter(({ old_hash }) => old_hash !== null)
    .sort((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity));
  assert.ok(differences.length > 1);
  assert.deepEqual(
    (await table("Differences between the start and the end of this range")).map((row) => row.slice(0, 4)),
    differences.slice(0, 100).map((one) => [one.severity, one.method, one.item, one.path || null]),
  );
});

await check("answers that a new user finds by following links", async () => {
  const follow = (name) => page.getByRole("link", { name, exact: true }).first().click();
  const row = (text) => page.locator("tbody tr", { hasText: text }).first();
  await page.goto(`${url}/`);
  await follow("7 days");
  // Which tool became slower, since when, and what changed then?
  assert.match(await row("▲").innerText(), /search_flights.*2\d{3}-\d{2}-\d{2}/s);
  await row("▲").getByRole("link").click();
  assert.match(await row("breaking").innerText(), /"from","to","airline"/);
  // Why do its calls fail, and for whom?
  await follow("Why its calls fail");
  assert.match(await row("airline").innerText(), /^\W*tool_error.*booking-kiosk/s);
  // What did one session do?
  await row("airline").getByRole("link").click();
  await page.locator('a[href^="session?"]').first().click();
  assert.match(await page.locator("p.outcomes").innerText(), /tool_error/);
  assert.ok((await page.locator("main svg text").count()) > 5);
  // Is anything missing?
  await follow("Remove all conditions");
  await follow("Health");
  assert.match(await page.locator("p.problem").innerText(), /\d requests of this range are missing/);
});

await check("signing in, without JavaScript and with it", async () => {
  const token = randomBytes(32).toString("hex");
  const file = join(dirname(db), "token");
  writeFileSync(file, token, { mode: 0o600 });
  const { url, stop } = await serve(command, db, ["--token-file", file]);
  try {
    for (const javaScriptEnabled of [false, true]) {
      const context = await browser.newContext({ javaScriptEnabled });
      const page = await context.newPage();
      const asked = await page.goto(url + all.tools);
      assert.equal(asked.status(), 401);
      if (javaScriptEnabled) assert.deepEqual(await seriousFindings(page), []);
      await page.getByLabel("Token").fill("wrong");
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByText("This is not the token.").waitFor();
      await page.goto(url + all.tools);
      await page.getByLabel("Token").fill(token);
      await page.getByRole("button", { name: "Sign in" }).click();
      await page.getByRole("heading", { name: "Tools" }).waitFor();
      assert.equal(page.url(), url + all.tools);
      assert.equal(await page.evaluate(() => document.cookie), "");
      await context.close();
    }
  } finally {
    stop();
  }
});

await check("numbers under the pointer, and a range that is dragged over", async () => {
  const { page, problems } = await open({ viewport: { width: 1280, height: 900 } });
  await page.goto(url + all.overview);
  // No mark covers a bar in the middle.
  const tip = page.locator("figure .tip").nth(20);
  await tip.hover();
  const expected = await tip.getAttribute("data-text");
  assert.equal(await page.locator(".read-out").first().textContent(), expected);
  const plot = page.locator("rect.plot").first();
  const { x, y, width, height } = await plot.boundingBox();
  await page.mouse.move(x + width / 4, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(x + width / 2, y + height / 2);
  await Promise.all([page.waitForURL((to) => !to.href.includes(range)), page.mouse.up()]);
  const chosen = new URL(page.url()).searchParams;
  const part = (Number(chosen.get("until")) - Number(chosen.get("since"))) / (until - since);
  assert.ok(part > 0.2 && part < 0.3, `a quarter of the range was chosen, not ${part}`);
  assert.deepEqual(problems, []);
  await page.close();
});

await check("new requests on the page Live", async () => {
  const { page, problems } = await open({ viewport: { width: 1280, height: 900 } });
  await page.goto(url + all.live);
  await page.getByText("Following.").waitFor();
  const last = Number(await page.locator("tbody tr").first().getAttribute("data-id"));
  execFileSync(sample, [db]);
  await page.waitForFunction(
    (last) => Number(document.querySelector("tbody tr").dataset.id) > last,
    last,
  );
  assert.ok((await page.locator("tbody tr").count()) <= 50);
  assert.deepEqual(problems, []);
  await page.close();
});

await browser.close();
stop();
if (failed) {
  console.error(`${failed} failed`);
  process.exit(1);
}
console.log("all checks of the pages passed");
