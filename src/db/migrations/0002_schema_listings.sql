CREATE TABLE server_schema (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    upstream_url TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    payload      TEXT    NOT NULL,
    captured_at  INTEGER NOT NULL,
    schema_hash  TEXT    NOT NULL,
    UNIQUE (upstream_url, method)
);

CREATE TABLE schema_changes (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    upstream_url TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    change_type  TEXT    NOT NULL,
    item_name    TEXT,
    old_hash     TEXT,
    new_hash     TEXT,
    detected_at  INTEGER NOT NULL
);

CREATE INDEX idx_schema_upstream         ON server_schema (upstream_url);
CREATE INDEX idx_schema_changes_upstream ON schema_changes (upstream_url, detected_at);
