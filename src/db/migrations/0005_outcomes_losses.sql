-- Each new column is nullable or has a default, so that a program for version 4 can
-- still insert rows.
ALTER TABLE requests ADD COLUMN target           TEXT;
ALTER TABLE requests ADD COLUMN http_status      INTEGER;
ALTER TABLE requests ADD COLUMN tool_error       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN end_reason       TEXT;
ALTER TABLE requests ADD COLUMN ttfb_us          INTEGER;
ALTER TABLE requests ADD COLUMN protocol_version TEXT;
ALTER TABLE requests ADD COLUMN principal        TEXT;
ALTER TABLE requests ADD COLUMN trace_id         TEXT;
ALTER TABLE requests ADD COLUMN parent_span_id   TEXT;
-- JSON text, so that 17 and "17" differ.
ALTER TABLE requests ADD COLUMN rpc_id           TEXT;

-- These columns link the requests of one operation: of a call that asks its client for
-- input, or of a task. Most requests are an operation by themselves. The columns come
-- last because each takes only one byte in the row of such a request.
ALTER TABLE requests ADD COLUMN operation_id     TEXT;
ALTER TABLE requests ADD COLUMN leg              INTEGER;
ALTER TABLE requests ADD COLUMN state_in         BLOB;
ALTER TABLE requests ADD COLUMN state_out        BLOB;
ALTER TABLE requests ADD COLUMN task_id          TEXT;
ALTER TABLE requests ADD COLUMN task_status      TEXT;
ALTER TABLE requests ADD COLUMN operation_us     INTEGER;

ALTER TABLE sessions ADD COLUMN source           TEXT NOT NULL DEFAULT 'header';
ALTER TABLE sessions ADD COLUMN protocol_version TEXT;
ALTER TABLE sessions ADD COLUMN server_name      TEXT;
ALTER TABLE sessions ADD COLUMN server_version   TEXT;
ALTER TABLE sessions ADD COLUMN caller           TEXT;
ALTER TABLE sessions ADD COLUMN operations       INTEGER NOT NULL DEFAULT 0;
UPDATE sessions SET operations = total_calls;

-- One row for each task. A task belongs to the operation whose answer created it.
CREATE TABLE tasks (
    operation_id TEXT    PRIMARY KEY,
    task_id      TEXT    NOT NULL,
    -- As in sessions.caller, because a request may have no session.
    caller       TEXT,
    status       TEXT,
    updated_ts   INTEGER NOT NULL,
    ended_ts     INTEGER,
    outcome      TEXT,
    error_code   TEXT,
    error_msg    TEXT,
    polls        INTEGER NOT NULL DEFAULT 0,
    -- The outcome as which request_rollups counts the end; NULL before it counts the end.
    rolled_up_as    TEXT
) WITHOUT ROWID;
CREATE INDEX idx_tasks_ended    ON tasks (ended_ts) WHERE ended_ts IS NOT NULL;
CREATE INDEX idx_tasks_not_rolled_up ON tasks (ended_ts)
    WHERE ended_ts IS NOT NULL AND rolled_up_as IS NOT outcome;

CREATE TABLE losses (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    from_ts INTEGER NOT NULL,
    to_ts   INTEGER NOT NULL,
    dropped INTEGER,
    reason  TEXT    NOT NULL
);

-- One row for each run of a writer, with its counters as of its last commit. They count
-- all events from before seen_at. ended_at is NULL while the process runs. If the process
-- was killed, the next writer sets ended_at to seen_at.
CREATE TABLE writers (
    id                 TEXT    PRIMARY KEY,
    started_at         INTEGER NOT NULL,
    seen_at            INTEGER NOT NULL,
    ended_at           INTEGER,
    instance           TEXT,
    submitted          INTEGER NOT NULL DEFAULT 0,
    written            INTEGER NOT NULL DEFAULT 0,
    failed             INTEGER NOT NULL DEFAULT 0,
    dropped            INTEGER NOT NULL DEFAULT 0,
    unlinked           INTEGER NOT NULL DEFAULT 0,
    posts              INTEGER NOT NULL DEFAULT 0,
    skipped            INTEGER NOT NULL DEFAULT 0,
    truncated          INTEGER NOT NULL DEFAULT 0,
    unidentified       INTEGER NOT NULL DEFAULT 0,
    other_media        INTEGER NOT NULL DEFAULT 0,
    mismatched         INTEGER NOT NULL DEFAULT 0,
    listings_too_long  INTEGER NOT NULL DEFAULT 0,
    listings_malformed INTEGER NOT NULL DEFAULT 0,
    in_flight          INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- The indexes. The cost of an index depends on where new entries go. If they go to the
-- end or to a few places, the index costs almost nothing. If they go to random places,
-- each row dirties a page of its own, and this costs more in a larger file.
DROP INDEX IF EXISTS idx_requests_proxy;
DROP INDEX IF EXISTS idx_requests_session;
DROP INDEX IF EXISTS idx_requests_status;
DROP INDEX IF EXISTS idx_requests_slow;
DROP INDEX IF EXISTS idx_sessions_client;
DROP INDEX IF EXISTS idx_sessions_active;

-- Earlier versions made idx_requests_ts (ts), and idx_requests_tool (tool, ts) WHERE tool
-- IS NOT NULL. This index has the requests that call no tool.
CREATE INDEX idx_requests_method ON requests (method, ts) WHERE tool IS NULL;

-- A file with one server needs no index of servers. Its server usually has no name, so it
-- has no entries here.
CREATE INDEX idx_requests_proxy ON requests (proxy, ts) WHERE proxy <> 'default';

-- Ids of sessions are long and random. With only their last six characters the index is a
-- third as large, and the query compares the whole id too. In an index of ids alone, new
-- entries go to random places. With thousands of active sessions, this halves the speed of
-- the writer once the index is larger than the cache. So the index has a part for each
-- 65,536 rows, and a query searches all parts.
CREATE INDEX idx_requests_session ON requests (id / 65536, substr(session_id, -6))
    WHERE session_id IS NOT NULL;

-- Ids of traces are random too, and each request may have its own.
CREATE INDEX idx_requests_trace ON requests (id / 65536, substr(trace_id, -6))
    WHERE trace_id IS NOT NULL;

-- Only requests with an authenticated caller have an entry.
CREATE INDEX idx_requests_principal ON requests (principal, ts) WHERE principal IS NOT NULL;

-- Failures are rare, so these indexes cost almost nothing. The row of a request that
-- succeeded has no entry in them.
CREATE INDEX idx_requests_status     ON requests (status, ts)     WHERE status <> 'ok';
CREATE INDEX idx_requests_error_code ON requests (error_code, ts) WHERE error_code IS NOT NULL;
CREATE INDEX idx_requests_end_reason ON requests (end_reason, ts) WHERE end_reason IS NOT NULL;
CREATE INDEX idx_requests_tool_error ON requests (ts)             WHERE tool_error <> 0;

-- The legs of operations. Most requests are no leg and have no entry here.
CREATE INDEX idx_requests_operation ON requests (operation_id) WHERE operation_id IS NOT NULL;
CREATE INDEX idx_requests_state_in  ON requests (state_in)  WHERE state_in IS NOT NULL;
CREATE INDEX idx_requests_state_out ON requests (state_out) WHERE state_out IS NOT NULL;
CREATE INDEX idx_tasks_task         ON tasks (task_id, operation_id);

-- The magnitude and the first digit of the latency, as a number that rises with the
-- latency: -10 to -1 below 1 ms, 1 to 9 for milliseconds, 11 to 19 for tens of
-- milliseconds, and so on. New entries go to the ends of about forty runs. In an index of
-- exact latencies they would go to random places, which costs more than all other indexes.
-- A query for the slowest requests of a window reads from the highest number down.
CREATE INDEX idx_requests_slow ON requests (
    CASE WHEN latency_us < 1000 THEN latency_us / 100 - 10
         WHEN latency_us < 10000 THEN latency_us / 1000
         WHEN latency_us < 100000 THEN 10 + latency_us / 10000
         WHEN latency_us < 1000000 THEN 20 + latency_us / 100000
         WHEN latency_us < 10000000 THEN 30 + latency_us / 1000000
         ELSE 40 + latency_us / 10000000 END,
    ts
);

-- An earlier version made idx_sessions_proxy (proxy, started_at).
CREATE INDEX idx_sessions_started ON sessions (started_at);
CREATE INDEX idx_sessions_client  ON sessions (client_name, started_at);
-- The sessions of a client by the time of their last request. The writer updates open
-- sessions with each batch of their requests, and ended sessions almost never. One index
-- for both costs 38 % more WAL with 5,000 active sessions.
CREATE INDEX idx_sessions_active  ON sessions (client_name, last_seen_at)
    WHERE ended_at IS NULL;
CREATE INDEX idx_sessions_ended   ON sessions (client_name, last_seen_at)
    WHERE ended_at IS NOT NULL AND client_name IS NOT NULL;

-- Statistics that stay when requests are removed: a cell for each hour and each day
-- (`width` milliseconds from `start`, UTC), server, method, tool and outcome. The cells
-- count requests up to the id in `meta.requests_rolled_up_to`. Later requests must be
-- counted from their rows.
--
-- `tool` is '' if there is none. `calls` are the operations that began, `ended` those that
-- ended with this outcome, both under the method and tool of their first request.
-- `latencies` is a histogram of server times in microseconds. It and `max_latency_us` do
-- not have tasks, nor requests whose time only shows how long a client listened
-- (`stream_end`). `wall_latencies` is a histogram of the times from the first request to
-- the end, with tasks; NULL if it equals `latencies`.
--
-- Beyond a number of names, `tool` is '(other)', or `method` if it is not tools/call. A
-- name of more than 128 bytes is cut, and ends in '~' and 32 digits of its SHA-256. Cells
-- from before `hours_pruned_to` or `days_pruned_to` in `meta` were removed. Some or all
-- requests from before `requests_pruned_to` were removed.
CREATE TABLE request_rollups (
    width          INTEGER NOT NULL,
    start          INTEGER NOT NULL,
    proxy          TEXT    NOT NULL,
    method         TEXT    NOT NULL,
    tool           TEXT    NOT NULL,
    outcome        TEXT    NOT NULL,
    calls          INTEGER NOT NULL,
    ended          INTEGER NOT NULL,
    bytes_in       INTEGER NOT NULL,
    bytes_out      INTEGER NOT NULL,
    max_latency_us INTEGER NOT NULL,
    latencies      BLOB    NOT NULL,
    max_wall_us    INTEGER NOT NULL,
    wall_latencies BLOB,
    PRIMARY KEY (width, start, proxy, method, tool, outcome)
) WITHOUT ROWID;

-- The sums of these cells over all methods and tools, without ping, tasks/get and
-- tasks/list. There are far fewer of them, so calls over time are read from here.
CREATE TABLE rollup_totals (
    width          INTEGER NOT NULL,
    start          INTEGER NOT NULL,
    proxy          TEXT    NOT NULL,
    outcome        TEXT    NOT NULL,
    calls          INTEGER NOT NULL,
    ended          INTEGER NOT NULL,
    max_latency_us INTEGER NOT NULL,
    latencies      BLOB    NOT NULL,
    PRIMARY KEY (width, start, proxy, outcome)
) WITHOUT ROWID;

-- The contents that listings had at any time, so that any two can be compared. The key is
-- the hash in server_schema and schema_changes. `bytes` comes before the payload, so that
-- SQLite finds it without reading the payload.
CREATE TABLE listing_payloads (
    content_hash TEXT    PRIMARY KEY,
    bytes        INTEGER NOT NULL,
    payload      TEXT    NOT NULL
);
INSERT OR IGNORE INTO listing_payloads
SELECT schema_hash, length(CAST(payload AS BLOB)), payload FROM server_schema;

-- The changes of a window, and those of one listing, whose newest change shows whether it
-- is stale. Changes are rare, so these indexes cost almost nothing.
CREATE INDEX idx_schema_changes_time    ON schema_changes (detected_at);
CREATE INDEX idx_schema_changes_listing ON schema_changes (proxy, upstream_url, method);

-- The history of one item.
CREATE INDEX idx_schema_changes_item ON schema_changes (item_name, detected_at)
    WHERE item_name IS NOT NULL;

-- The contents that each class of callers got, and when they got each one first. A class
-- is a revision of the protocol and a principal. The newest row of a class has its newest
-- content. `protocol_version` is '' if the revision is unknown. `meta_hash` is the hash of
-- the newest `_meta` of the items.
CREATE TABLE listing_views (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    proxy            TEXT    NOT NULL,
    upstream_url     TEXT    NOT NULL,
    method           TEXT    NOT NULL,
    protocol_version TEXT    NOT NULL,
    principal        TEXT,
    content_hash     TEXT    NOT NULL,
    meta_hash        TEXT,
    seen_at          INTEGER NOT NULL
);
CREATE INDEX idx_listing_views
    ON listing_views (proxy, upstream_url, method, protocol_version, principal);
CREATE INDEX idx_listing_views_content ON listing_views (content_hash);

-- Logs of events of SSE streams. The writer has acknowledged these events, and a client
-- may ask for them again. The events of one log are replayed together. A log has the
-- events of a session, whose ids the server chooses (`kind` 'session'), or the events of
-- one stream, whose ids the writer chooses (`kind` 'stream'). Clients name a stream by its
-- token.
CREATE TABLE sse_logs (
    -- A number is never used again, so no event can get into another log.
    log            INTEGER PRIMARY KEY AUTOINCREMENT,
    kind           TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    token          BLOB,
    -- The highest id that was evicted, or the id before the first event. No later event
    -- is missing.
    complete_after INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, name)
);
CREATE UNIQUE INDEX idx_sse_logs_token ON sse_logs (token) WHERE token IS NOT NULL;

-- `n` is the unix time in microseconds at which the event arrived, or 1 more than that of
-- the event before, if this is higher. So the oldest events of all logs are found without
-- an index of times, and new rows go to the end. `ts` is the time at which the server
-- produced the event.
CREATE TABLE sse_events (
    n        INTEGER PRIMARY KEY,
    log      INTEGER NOT NULL,
    id       INTEGER NOT NULL,
    ts       INTEGER NOT NULL,
    -- How long the client waits before it connects again. An event that only sets this
    -- has no data.
    retry_ms INTEGER,
    data     TEXT    NOT NULL,
    UNIQUE (log, id)
);

-- One row: the number and the size of all events and their highest age, as of the last
-- append; the size of the records of sessions; and the number of pages that all of these
-- take in the file.
CREATE TABLE sse_totals (
    events        INTEGER NOT NULL,
    bytes         INTEGER NOT NULL,
    max_age_ms    INTEGER,
    session_bytes INTEGER NOT NULL DEFAULT 0,
    pages         INTEGER NOT NULL DEFAULT 0
);
INSERT INTO sse_totals (events, bytes) VALUES (0, 0);

-- The data with which an SDK resumes a session, in the SDK's own form.
CREATE TABLE sdk_sessions (
    session_id TEXT    NOT NULL,
    sdk        TEXT    NOT NULL,
    data       TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (session_id, sdk)
) WITHOUT ROWID;
CREATE INDEX idx_sdk_sessions_expires ON sdk_sessions (expires_at);

-- The sum of their sizes, also if another program writes. A record takes about 64 bytes
-- more than its texts.
CREATE TRIGGER IF NOT EXISTS sdk_session_added AFTER INSERT ON sdk_sessions BEGIN
    UPDATE sse_totals SET session_bytes = session_bytes + 64
        + length(CAST(new.session_id || new.sdk || new.data AS BLOB));
END;
CREATE TRIGGER IF NOT EXISTS sdk_session_removed AFTER DELETE ON sdk_sessions BEGIN
    UPDATE sse_totals SET session_bytes = session_bytes - 64
        - length(CAST(old.session_id || old.sdk || old.data AS BLOB));
END;
CREATE TRIGGER IF NOT EXISTS sdk_session_changed AFTER UPDATE OF data ON sdk_sessions BEGIN
    UPDATE sse_totals SET session_bytes = session_bytes
        + length(CAST(new.data AS BLOB)) - length(CAST(old.data AS BLOB));
END;
