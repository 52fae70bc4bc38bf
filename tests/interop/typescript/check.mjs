// Compares the rows of a store with the account of what the client did.
//
//     node check.mjs ACCOUNT.json STORE.db
//
// Every expected row, every row too many and every fact about the session counts as one.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const [accountPath, store] = process.argv.slice(2);
const { session, calls } = JSON.parse(readFileSync(accountPath, "utf8"));

function query(sql) {
  const output = execFileSync("sqlite3", ["-readonly", "-json", store, sql], { encoding: "utf8" });
  return output.trim() === "" ? [] : JSON.parse(output);
}

let passed = 0;
let failed = 0;
function check(ok, what) {
  if (ok) passed += 1;
  else {
    failed += 1;
    console.log(`FAILED ${what}`);
  }
}
function equal(actual, expected, what) {
  check(actual === expected, `${what}: expected ${expected}, found ${actual}`);
}

// The same rows, as often, in whatever order they were finished.
const facts = ["method", "tool", "target", "status", "error_code", "tool_error"];
const describe = (row) => facts.map((fact) => `${fact}=${row[fact]}`).join(" ");
const rows = query("SELECT * FROM requests ORDER BY id");
const left = [...rows];
for (const call of calls) {
  const at = left.findIndex((row) => describe(row) === describe(call));
  const [row] = at < 0 ? [] : left.splice(at, 1);
  check(row, `no row for ${describe(call)}`);
  if (!row) continue;
  check(row.latency_us >= Math.max(1, call.min_latency_us), `latency ${row.latency_us} of ${describe(row)}`);
  check(row.ttfb_us <= row.latency_us, `head after ${row.ttfb_us} of ${row.latency_us}: ${describe(row)}`);
  check(row.bytes_in > 0 && row.bytes_out > 0, `sizes ${row.bytes_in}, ${row.bytes_out} of ${describe(row)}`);
  equal(row.session_id, session.session_id, `session of ${describe(row)}`);
  equal(row.http_status, 200, `HTTP status of ${describe(row)}`);
  equal(row.end_reason, null, `end of ${describe(row)}`);
}
for (const row of left) check(false, `a row that no call made: ${describe(row)}`);

const sessions = query("SELECT * FROM sessions");
equal(sessions.length, 1, "sessions");
for (const row of sessions.slice(0, 1)) {
  for (const [fact, expected] of Object.entries(session)) equal(row[fact], expected, fact);
  equal(row.source, "header", "source of the session");
  check(row.ended_at >= row.started_at, `the session ended at ${row.ended_at}`);
  equal(row.total_calls, calls.length, "calls of the session");
  equal(row.total_errors, calls.filter((call) => call.status !== "ok").length, "errors of the session");
}
equal(query("SELECT * FROM losses").length, 0, "losses");

console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
