-- SQLite cannot alter a UNIQUE constraint, so server_schema is copied out, made
-- anew and copied back. Renaming a new table over the old name would be
-- shorter, but fails where a view of the user's names the table.
--
-- The first three temporary tables stay for the code that runs after this step
-- and restores what the user added to the old table.
CREATE TEMP TABLE kept_schema AS SELECT * FROM main.server_schema;
CREATE TEMP TABLE kept_schema_sql AS
    SELECT sql FROM main.sqlite_schema
    WHERE tbl_name = 'server_schema' AND type IN ('index', 'trigger')
      AND sql IS NOT NULL AND name <> 'idx_schema_upstream';
CREATE TEMP TABLE kept_schema_columns AS
    SELECT name, type, "notnull", dflt_value FROM pragma_table_info('server_schema')
    WHERE name NOT IN ('id', 'upstream_url', 'method', 'payload', 'captured_at', 'schema_hash');
CREATE TEMP TABLE kept_schema_seq AS
    SELECT seq FROM main.sqlite_sequence WHERE name = 'server_schema';

DROP TABLE main.server_schema;

CREATE TABLE server_schema (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    proxy        TEXT    NOT NULL DEFAULT 'default',
    upstream_url TEXT    NOT NULL,
    method       TEXT    NOT NULL,
    payload      TEXT    NOT NULL,
    captured_at  INTEGER NOT NULL,
    schema_hash  TEXT    NOT NULL,
    UNIQUE (proxy, upstream_url, method)
);

INSERT INTO server_schema (id, upstream_url, method, payload, captured_at, schema_hash)
    SELECT id, upstream_url, method, payload, captured_at, schema_hash FROM temp.kept_schema;

-- Ids of rows that were deleted long ago are not given out again either.
DELETE FROM sqlite_sequence WHERE name = 'server_schema';
INSERT INTO sqlite_sequence (name, seq) SELECT 'server_schema', seq FROM temp.kept_schema_seq;
DROP TABLE temp.kept_schema_seq;

ALTER TABLE schema_changes ADD COLUMN proxy TEXT NOT NULL DEFAULT 'default';

DROP INDEX IF EXISTS idx_schema_changes_upstream;
CREATE INDEX idx_schema_proxy         ON server_schema (proxy, upstream_url);
CREATE INDEX idx_schema_changes_proxy ON schema_changes (proxy, detected_at);
