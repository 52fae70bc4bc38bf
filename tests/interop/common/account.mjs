// Records what a client did, so that `check.py` can compare it with the rows of a store.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";

/** The account of one connection: its session, and one entry for each request that it sent. */
export class Account {
  #common;
  #calls = [];

  /** `common` is what the entries of this connection have in common. */
  constructor(common = {}) {
    this.#common = common;
  }

  /**
   * Makes one call. `expected` is what differs from an ordinary success without a target.
   *
   * A call that ends otherwise than expected stops the run: then the account is not written,
   * since nothing could be learned from the rows.
   */
  async call(method, expected, run) {
    const entry = this.note(method, expected);
    const started = performance.now();
    let result;
    let failure;
    try {
      result = await run();
    } catch (error) {
      failure = error;
    }
    const elapsed_us = (performance.now() - started) * 1000;
    const what = `${method} ${entry.tool ?? entry.target ?? ""}: ${failure ?? JSON.stringify(result)}`;
    if (entry.status === "ok") {
      assert.ok(result && !failure, what);
      assert.equal(Number(result.isError === true), entry.tool_error, what);
    } else {
      assert.ok(failure, what);
    }
    if (entry.error_code) {
      assert.equal(String(failure.code), entry.error_code, what);
      // SDK 1.x puts the code in front of the text that came.
      const isOld = failure.constructor.name === "McpError";
      entry.error_msg = isOld ? failure.message.replace(/^MCP error -?\d+: /, "") : failure.message;
    }
    assert.ok(elapsed_us >= entry.min_latency_us, what);
    // A client that gave up did not see the end.
    if (entry.status === "ok" || entry.error_code) entry.max_latency_us = elapsed_us;
    return result;
  }

  /** Notes a request whose end the caller records. */
  note(method, expected) {
    const entry = {
      method,
      tool: null,
      target: null,
      status: "ok",
      error_code: null,
      error_msg: null,
      tool_error: 0,
      end_reason: null,
      http_status: 200,
      min_latency_us: 0,
      max_latency_us: null,
      ...this.#common,
      ...expected,
    };
    this.#calls.push(entry);
    return entry;
  }

  /** `session` is null where there is none. */
  summary(protocolVersion, session) {
    return { protocol_version: protocolVersion, session, calls: this.#calls };
  }
}

export function writeAccounts(path, accounts) {
  writeFileSync(path, JSON.stringify(accounts, null, 2));
}
