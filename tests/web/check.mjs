// Tries each page in a browser: with and without JavaScript, its accessibility, its Content
// Security Policy, and its numbers against those of the command.
//
//     node check.mjs MCP_STORE SAMPLE FILE
//
// SAMPLE is the example `sample`, which writes more requests into the file for the page Live.

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

/** Returns the numbers of a table, by the text of the first cell of each row. */
async function table(caption) {
  const found = page.locator("table", { has: page.getByText(caption, { exact: true }) });
  const rows = await found.locator("tbody tr").evaluateAll((rows) =>
    rows.map((row) =>
      [...row.children].map((cell) => {
        const data = cell.querySelector("data");
        return data ? Number(data.value) : cell.textContent.trim();
      }),
    ),
  );
  return rows;
}

/** Returns names and values. */
async function fields() {
  const found = await page.locator("main dl").first().evaluate((list) =>
    [...list.querySelectorAll("dt")].map((name) => {
      const value = name.nextElementSibling;
      const data = value.querySelector("data");
      return [name.textContent, data ? Number(data.value) : value.textContent];
    }),
  );
  return Object.fromEntries(found);
}

await check("numbers of the overview", async () => {
  const total = ask(command, db, "stats", ...window).find(({ kind }) => kind === "total");
  await page.goto(url + all.overview);
  const shown = await fields();
  assert.ok(shown.Calls > 0);
  assert.deepEqual(
    [shown.Calls, shown.Errors, shown["Tool errors"], shown["Caller errors"], shown.Gone, shown.Open],
    [total.calls, total.errors, total.tool_errors, total.caller_errors, total.gone, total.open],
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
      [row[1], row[3], row[4], row[6], row[7], row[8]],
      [group.calls, group.p50_us, group.p95_us, group.errors, group.tool_errors, group.caller_errors],
    );
  }
});

await check("numbers of one tool", async () => {
  const stats = ask(command, db, "stats", ...window, "--method", "tools/call", "--tool", "search_flights");
  const total = stats.find(({ kind }) => kind === "total");
  await page.goto(url + all.tool);
  const shown = await fields();
  assert.deepEqual([shown.Calls, shown.p95], [total.calls, total.p95_us]);
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
    rows.map((row) => [row[0], row[4], row[5], row[6]]),
    expected.map((one) => [one.session_id, one.calls, one.total_calls, one.total_errors]),
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
  assert.deepEqual(
    [shown.requests, shown.sessions, shown.losses, shown["events lost"], shown.size],
    [info.requests, info.sessions, info.losses, info.dropped, info.file_bytes],
  );
});

await check("numbers of the schema", async () => {
  const expected = ask(command, db, "schema", "--changes", ...window, "--limit", "100").reverse();
  await page.goto(url + all.schema);
  const rows = await table("Changes in this range, newest first");
  assert.deepEqual(
    rows.map((row) => row[4]),
    expected.map((one) => one.item_name ?? "–"),
  );
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
