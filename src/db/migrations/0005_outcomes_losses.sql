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
