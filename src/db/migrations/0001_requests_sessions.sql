-- `status IN (...)` would be the same, but SQLite builds a table of the three
-- values anew for each row that is inserted.
CREATE TABLE requests (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT    NOT NULL UNIQUE,
    ts         INTEGER NOT NULL,
    proxy      TEXT    NOT NULL,
    session_id TEXT,
    method     TEXT    NOT NULL,
    tool       TEXT,
    latency_ms INTEGER NOT NULL,
    status     TEXT    NOT NULL CHECK (status = 'ok' OR status = 'error' OR status = 'timeout'),
    error_code TEXT,
    error_msg  TEXT,
    bytes_in   INTEGER,
    bytes_out  INTEGER
);

CREATE TABLE sessions (
    session_id      TEXT    PRIMARY KEY,
    proxy           TEXT    NOT NULL,
    started_at      INTEGER NOT NULL,
    last_seen_at    INTEGER NOT NULL,
    ended_at        INTEGER,
    client_name     TEXT,
    client_version  TEXT,
    client_platform TEXT,
    total_calls     INTEGER NOT NULL DEFAULT 0,
    total_errors    INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE INDEX idx_requests_ts      ON requests (ts);
CREATE INDEX idx_requests_proxy   ON requests (proxy, ts);
CREATE INDEX idx_requests_tool    ON requests (tool, ts) WHERE tool IS NOT NULL;
CREATE INDEX idx_requests_session ON requests (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX idx_requests_status  ON requests (status, ts);
CREATE INDEX idx_requests_slow    ON requests (proxy, latency_ms DESC, ts);
CREATE INDEX idx_sessions_proxy   ON sessions (proxy, started_at);
CREATE INDEX idx_sessions_client  ON sessions (client_name, client_platform);
CREATE INDEX idx_sessions_active  ON sessions (proxy, last_seen_at) WHERE ended_at IS NULL;
