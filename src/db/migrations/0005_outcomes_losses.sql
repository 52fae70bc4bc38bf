-- Every new column is nullable or has a default, so that a program written for
-- version 4 can go on inserting.
ALTER TABLE requests ADD COLUMN target           TEXT;
ALTER TABLE requests ADD COLUMN http_status      INTEGER;
ALTER TABLE requests ADD COLUMN tool_error       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE requests ADD COLUMN end_reason       TEXT;
ALTER TABLE requests ADD COLUMN ttfb_us          INTEGER;
ALTER TABLE requests ADD COLUMN protocol_version TEXT;
ALTER TABLE requests ADD COLUMN principal        TEXT;
ALTER TABLE requests ADD COLUMN trace_id         TEXT;
ALTER TABLE requests ADD COLUMN parent_span_id   TEXT;
-- JSON text, so that 17 and "17" differ. Integers take a byte a digit.
ALTER TABLE requests ADD COLUMN rpc_id           TEXT;

-- What links the requests of one operation: calls that ask their client for input, and
-- tasks. Most requests are an operation by themselves. These columns come last, and
-- each takes one byte in such a row.
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

-- The tasks that answers created, by the operation that each belongs to.
CREATE TABLE tasks (
    operation_id TEXT    PRIMARY KEY,
    task_id      TEXT    NOT NULL,
    -- As in sessions.caller: a request may name no session.
    caller       TEXT,
    status       TEXT,
    updated_ts   INTEGER NOT NULL,
    ended_ts     INTEGER,
    outcome      TEXT,
    error_code   TEXT,
    error_msg    TEXT,
    polls        INTEGER NOT NULL DEFAULT 0,
    -- The outcome as which request_rollups counts the end; NULL while it does not.
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

-- One row for each run of a writer, with its accounts as of its last commit.
-- What was recorded before seen_at is in them. A run has no end while its writer
-- lives; where that was killed, the next one enters seen_at.
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

-- The indexes. What an index costs depends less on its rows than on where they
-- go: an index that grows at its end, or at a few places, is nearly free. One
-- that is written all over dirties a page per row, and more so in a large file.
DROP INDEX IF EXISTS idx_requests_proxy;
DROP INDEX IF EXISTS idx_requests_session;
DROP INDEX IF EXISTS idx_requests_status;
DROP INDEX IF EXISTS idx_requests_slow;
DROP INDEX IF EXISTS idx_sessions_client;
DROP INDEX IF EXISTS idx_sessions_active;

-- Kept: idx_requests_ts (ts), and idx_requests_tool (tool, ts) WHERE tool IS
-- NOT NULL, whose other half this is: the requests that call no tool.
CREATE INDEX idx_requests_method ON requests (method, ts) WHERE tool IS NULL;

-- A file with one server needs no index to find its rows, and that
-- one is usually unnamed: so only names cost something.
CREATE INDEX idx_requests_proxy ON requests (proxy, ts) WHERE proxy <> 'default';

-- Ids of sessions are long and random, and random to their end: six letters
-- make the index a third as large; the query compares the whole id as well. By
-- themselves they would be written all over it, a page for each session that is
-- active, and with thousands of those at half the speed once the index is larger
-- than the cache. So it has a part for every 65,536 rows, and a query searches
-- each of these parts.
CREATE INDEX idx_requests_session ON requests (id / 65536, substr(session_id, -6))
    WHERE session_id IS NOT NULL;

-- Ids of traces are as random, and every request may have its own.
CREATE INDEX idx_requests_trace ON requests (id / 65536, substr(trace_id, -6))
    WHERE trace_id IS NOT NULL;

-- Only requests with an authenticated caller cost something.
CREATE INDEX idx_requests_principal ON requests (principal, ts) WHERE principal IS NOT NULL;

-- What went wrong is rare, so these cost next to nothing: the row of an
-- ordinary request is in none of them.
CREATE INDEX idx_requests_status     ON requests (status, ts)     WHERE status <> 'ok';
CREATE INDEX idx_requests_error_code ON requests (error_code, ts) WHERE error_code IS NOT NULL;
CREATE INDEX idx_requests_end_reason ON requests (end_reason, ts) WHERE end_reason IS NOT NULL;
CREATE INDEX idx_requests_tool_error ON requests (ts)             WHERE tool_error <> 0;

-- The legs of operations. Most requests are none, and in none of these.
CREATE INDEX idx_requests_operation ON requests (operation_id) WHERE operation_id IS NOT NULL;
CREATE INDEX idx_requests_state_in  ON requests (state_in)  WHERE state_in IS NOT NULL;
CREATE INDEX idx_requests_state_out ON requests (state_out) WHERE state_out IS NOT NULL;
CREATE INDEX idx_tasks_task         ON tasks (task_id, operation_id);

-- Latency to its first digit, rising with it: below 1 ms -10 to -1, then 1 to 9
-- for milliseconds, 11 to 19 for tens of them, and so on. Rows are added at the
-- ends of some forty runs; by latency itself they would go all over the index,
-- which was its dearest. The slowest rows of any window are found from the
-- highest digit down.
CREATE INDEX idx_requests_slow ON requests (
    CASE WHEN latency_us < 1000 THEN latency_us / 100 - 10
         WHEN latency_us < 10000 THEN latency_us / 1000
         WHEN latency_us < 100000 THEN 10 + latency_us / 10000
         WHEN latency_us < 1000000 THEN 20 + latency_us / 100000
         WHEN latency_us < 10000000 THEN 30 + latency_us / 1000000
         ELSE 40 + latency_us / 10000000 END,
    ts
);

-- idx_sessions_proxy (proxy, started_at) is kept.
CREATE INDEX idx_sessions_started ON sessions (started_at);
CREATE INDEX idx_sessions_client  ON sessions (client_name, started_at);
-- The sessions of a client by when they were last seen. Open ones are written
-- with every group of their requests, ended ones hardly ever, so they are apart:
-- one index of both costs 38 % more WAL with 5,000 sessions that are active.
CREATE INDEX idx_sessions_active  ON sessions (client_name, last_seen_at)
    WHERE ended_at IS NULL;
CREATE INDEX idx_sessions_ended   ON sessions (client_name, last_seen_at)
    WHERE ended_at IS NOT NULL AND client_name IS NOT NULL;

-- Statistics that outlive the requests: a cell for each hour and each day
-- (`width` ms from `start`, UTC) and each name and outcome in it. Requests up to
-- the id in `meta.requests_rolled_up_to` are in these cells; what is younger is to
-- be counted from its rows. `tool` is '' where there is none. `calls` are operations
-- that began, `ended` those that ended with this outcome; both under the method and
-- tool of their first request. `latencies` is a histogram of the microseconds that
-- the server took for them: it and `max_latency_us` leave out tasks, and the requests
-- that only measure how long a client stayed (`stream_end`). `wall_latencies` is a
-- histogram from the first request to the end, tasks included; NULL where it is the
-- same. `tool`, or `method` where it is not tools/call, is '(other)' for names beyond
-- a bound. Of a name of more than 128 bytes there are the first, '~' and 32 digits of
-- its SHA-256. What began before `hours_pruned_to` or `days_pruned_to` in `meta` is
-- gone from here, and requests from before `requests_pruned_to` are not all in
-- `requests`.
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

-- The contents that listings ever had, so that any two can be compared, by the
-- hash that server_schema and schema_changes give. How long one is comes before
-- it, so that it can be told without reading the payload.
CREATE TABLE listing_payloads (
    content_hash TEXT    PRIMARY KEY,
    bytes        INTEGER NOT NULL,
    payload      TEXT    NOT NULL
);
INSERT OR IGNORE INTO listing_payloads
SELECT schema_hash, length(CAST(payload AS BLOB)), payload FROM server_schema;

-- The changes of a time, and those of one listing, whose newest tells whether
-- it is stale. Changes are rare, so these cost next to nothing.
CREATE INDEX idx_schema_changes_time    ON schema_changes (detected_at);
CREATE INDEX idx_schema_changes_listing ON schema_changes (proxy, upstream_url, method);

-- The history of one item.
CREATE INDEX idx_schema_changes_item ON schema_changes (item_name, detected_at)
    WHERE item_name IS NOT NULL;

-- What each class of callers, by revision of the protocol and principal, saw of
-- a listing from when on; its newest row is what it saw last. An empty revision
-- is an unknown one. meta_hash is that of the items' _meta, as last seen.
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

-- Events of SSE streams, which the writer has acknowledged and a client may ask
-- for again. A log is what is replayed together: a session's events, whose ids
-- the server gives (`kind` 'session'), or one stream's, whose ids are given here
-- (`kind` 'stream'), and which clients name by its token.
CREATE TABLE sse_logs (
    -- Never given out again, so that no event can come under another log.
    log            INTEGER PRIMARY KEY AUTOINCREMENT,
    kind           TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    token          BLOB,
    -- The highest id that was evicted, or the one before the first: behind it
    -- nothing is missing.
    complete_after INTEGER NOT NULL DEFAULT 0,
    UNIQUE (kind, name)
);
CREATE UNIQUE INDEX idx_sse_logs_token ON sse_logs (token) WHERE token IS NOT NULL;

-- `n` is when the event arrived, in unix microseconds, or one more than that of
-- the event before: so the oldest of all logs are found without an index by
-- time, and rows are only ever added at the end. `ts` is when it was produced.
CREATE TABLE sse_events (
    n        INTEGER PRIMARY KEY,
    log      INTEGER NOT NULL,
    id       INTEGER NOT NULL,
    ts       INTEGER NOT NULL,
    -- For the client's next attempt; an event of this alone has no data.
    retry_ms INTEGER,
    data     TEXT    NOT NULL,
    UNIQUE (log, id)
);

-- One row: what all events take, and how old they get, as of the last append;
-- what the records of sessions take, and how many pages of the file all of it.
CREATE TABLE sse_totals (
    events        INTEGER NOT NULL,
    bytes         INTEGER NOT NULL,
    max_age_ms    INTEGER,
    session_bytes INTEGER NOT NULL DEFAULT 0,
    pages         INTEGER NOT NULL DEFAULT 0
);
INSERT INTO sse_totals (events, bytes) VALUES (0, 0);

-- What an SDK needs to take up a session again, in the SDK's own form.
CREATE TABLE sdk_sessions (
    session_id TEXT    NOT NULL,
    sdk        TEXT    NOT NULL,
    data       TEXT    NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (session_id, sdk)
) WITHOUT ROWID;
CREATE INDEX idx_sdk_sessions_expires ON sdk_sessions (expires_at);

-- Their sum, whoever writes; 64 bytes stand for what a record takes beside its
-- texts.
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
