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

ALTER TABLE sessions ADD COLUMN source           TEXT NOT NULL DEFAULT 'header';
ALTER TABLE sessions ADD COLUMN protocol_version TEXT;
ALTER TABLE sessions ADD COLUMN server_name      TEXT;
ALTER TABLE sessions ADD COLUMN server_version   TEXT;

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
    id           TEXT    PRIMARY KEY,
    started_at   INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    ended_at     INTEGER,
    submitted    INTEGER NOT NULL DEFAULT 0,
    written      INTEGER NOT NULL DEFAULT 0,
    failed       INTEGER NOT NULL DEFAULT 0,
    dropped      INTEGER NOT NULL DEFAULT 0,
    truncated    INTEGER NOT NULL DEFAULT 0,
    unidentified INTEGER NOT NULL DEFAULT 0,
    mismatched   INTEGER NOT NULL DEFAULT 0,
    in_flight    INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

-- The indexes, weighed anew. What an index costs is less the row in it than
-- the place of that row: one that grows at its end, or at a few places, is
-- nearly free, one that is written all over dirties a page per row, and the
-- more so the larger the file.
DROP INDEX IF EXISTS idx_requests_proxy;
DROP INDEX IF EXISTS idx_requests_session;
DROP INDEX IF EXISTS idx_requests_status;
DROP INDEX IF EXISTS idx_requests_slow;
DROP INDEX IF EXISTS idx_sessions_client;
DROP INDEX IF EXISTS idx_sessions_active;

-- Kept: idx_requests_ts (ts), and idx_requests_tool (tool, ts) WHERE tool IS
-- NOT NULL, whose other half this is: the requests that call no tool.
CREATE INDEX idx_requests_method ON requests (method, ts) WHERE tool IS NULL;

-- A file with one recording point needs no index to find its rows, and that
-- one is usually unnamed: so only names cost something.
CREATE INDEX idx_requests_proxy ON requests (proxy, ts) WHERE proxy <> 'default';

-- Ids of sessions are long and random, and random to their end. Eight letters
-- halve the index; the query compares the whole id as well.
CREATE INDEX idx_requests_session ON requests (substr(session_id, -8))
    WHERE session_id IS NOT NULL;

-- What went wrong is rare, so these cost next to nothing: the row of an
-- ordinary request is in none of them.
CREATE INDEX idx_requests_status     ON requests (status, ts)     WHERE status <> 'ok';
CREATE INDEX idx_requests_error_code ON requests (error_code, ts) WHERE error_code IS NOT NULL;
CREATE INDEX idx_requests_end_reason ON requests (end_reason, ts) WHERE end_reason IS NOT NULL;
CREATE INDEX idx_requests_tool_error ON requests (ts)             WHERE tool_error <> 0;

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
-- Written with every group of a session's requests, so as short as can be.
CREATE INDEX idx_sessions_active  ON sessions (last_seen_at) WHERE ended_at IS NULL;

-- Statistics that outlive the requests: a cell for each hour and each day
-- (`width` ms from `start`, UTC) and each name and status in it. Requests up to
-- the id in `meta.requests_folded_to` are in these cells; what is younger is to
-- be counted from its rows. `tool` is '' where there is none. `latencies` is a
-- histogram of microseconds; it and `max_latency_us` leave out the requests
-- that only measure how long a client stayed (`stream_end`).
CREATE TABLE request_rollups (
    width          INTEGER NOT NULL,
    start          INTEGER NOT NULL,
    proxy          TEXT    NOT NULL,
    method         TEXT    NOT NULL,
    tool           TEXT    NOT NULL,
    status         TEXT    NOT NULL,
    calls          INTEGER NOT NULL,
    tool_errors    INTEGER NOT NULL,
    bytes_in       INTEGER NOT NULL,
    bytes_out      INTEGER NOT NULL,
    max_latency_us INTEGER NOT NULL,
    latencies      BLOB    NOT NULL,
    PRIMARY KEY (width, start, proxy, method, tool, status)
) WITHOUT ROWID;
