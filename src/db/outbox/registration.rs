//! Registers a shipper in a file, and removes the registration.

use rusqlite::{Connection, Result};

use super::super::hold::{SHIPPED_AT, SHIPPED_TO};
use super::super::meta;
use super::cursor::{REWOUND, SHIPPED_REQUEST_ID};

/// A table whose rows are listed when they are added or changed.
struct Listed {
    table: &'static str,
    key: &'static str,
    /// The event and the condition of each trigger.
    triggers: &'static [(&'static str, &'static str)],
    /// Whether the rows that exist at registration are listed, too.
    lists_existing: bool,
}

const ADDED: (&str, &str) = ("INSERT", "");
const CHANGED: (&str, &str) = ("UPDATE", "");

const LISTED: [Listed; 9] = [
    Listed {
        table: "requests",
        key: "id",
        triggers: &[("UPDATE OF operation_id, leg, operation_us, task_status", "")],
        // They are read by their ids.
        lists_existing: false,
    },
    Listed {
        table: "sessions",
        key: "session_id",
        // A session is shipped with its requests. Only changes that count no request are listed.
        triggers: &[ADDED, ("UPDATE", "WHEN new.total_calls IS old.total_calls")],
        lists_existing: true,
    },
    Listed::whole("tasks", "operation_id"),
    Listed::whole("losses", "id"),
    Listed::whole("writers", "id"),
    Listed::whole("server_schema", "id"),
    Listed::whole("schema_changes", "id"),
    Listed::whole("listing_payloads", "content_hash"),
    Listed::whole("listing_views", "id"),
];

impl Listed {
    const fn whole(table: &'static str, key: &'static str) -> Self {
        Self {
            table,
            key,
            triggers: &[ADDED, CHANGED],
            lists_existing: true,
        }
    }
}

/// Triggers do not use `OR REPLACE`, because the conflict clause of the statement that fires
/// them would apply instead.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS outbox_changes (
        n    INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        key  NOT NULL,
        UNIQUE (kind, key)
    );
    CREATE TABLE IF NOT EXISTS outbox_cells (
        n       INTEGER PRIMARY KEY AUTOINCREMENT,
        width   INTEGER NOT NULL,
        start   INTEGER NOT NULL,
        proxy   TEXT NOT NULL,
        method  TEXT NOT NULL,
        tool    TEXT NOT NULL,
        outcome TEXT NOT NULL,
        UNIQUE (width, start, proxy, method, tool, outcome)
    );
    CREATE TABLE IF NOT EXISTS outbox_guests (
        n            INTEGER PRIMARY KEY AUTOINCREMENT,
        session_id   TEXT NOT NULL UNIQUE,
        proxy        TEXT NOT NULL,
        started_at   INTEGER NOT NULL,
        last_seen_at INTEGER NOT NULL,
        total_calls  INTEGER NOT NULL,
        total_errors INTEGER NOT NULL,
        operations   INTEGER NOT NULL
    );
    INSERT OR IGNORE INTO outbox_cells (width, start, proxy, method, tool, outcome)
        SELECT width, start, proxy, method, tool, outcome FROM request_rollups;";

const CELL: &str = "(new.width, new.start, new.proxy, new.method, new.tool, new.outcome)";

/// Registers a shipper, unless there is one. Lists all existing rows, so that they are shipped.
pub(super) fn register(conn: &Connection) -> Result<()> {
    if meta::get(conn, SHIPPED_TO)?.is_some() {
        return Ok(());
    }
    conn.execute_batch(TABLES)?;
    for Listed {
        table,
        key,
        triggers,
        lists_existing,
    } in LISTED
    {
        if lists_existing {
            conn.execute_batch(&format!(
                "INSERT OR IGNORE INTO outbox_changes (kind, key)
                 SELECT '{table}', {key} FROM {table};"
            ))?;
        }
        for (number, (event, condition)) in triggers.iter().enumerate() {
            conn.execute_batch(&format!(
                "CREATE TRIGGER IF NOT EXISTS outbox_{table}_{number} AFTER {event} ON {table}
                 {condition} BEGIN
                     DELETE FROM outbox_changes WHERE kind = '{table}' AND key = new.{key};
                     INSERT INTO outbox_changes (kind, key) VALUES ('{table}', new.{key});
                 END;"
            ))?;
        }
    }
    for (number, event) in ["INSERT", "UPDATE"].iter().enumerate() {
        conn.execute_batch(&format!(
            "CREATE TRIGGER IF NOT EXISTS outbox_request_rollups_{number}
             AFTER {event} ON request_rollups BEGIN
                 DELETE FROM outbox_cells
                 WHERE (width, start, proxy, method, tool, outcome) = {CELL};
                 INSERT INTO outbox_cells (width, start, proxy, method, tool, outcome)
                 VALUES {CELL};
             END;"
        ))?;
    }
    meta::set(conn, SHIPPED_TO, "0")
}

/// Removes all that [`register`] made.
pub(super) fn forget(conn: &Connection) -> Result<()> {
    let triggers: Vec<String> = conn
        .prepare(
            "SELECT name FROM main.sqlite_schema
             WHERE type = 'trigger' AND name LIKE 'outbox\\_%' ESCAPE '\\'",
        )?
        .query_map([], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for name in triggers {
        conn.execute_batch(&format!("DROP TRIGGER \"{}\"", name.replace('"', "\"\"")))?;
    }
    conn.execute_batch(
        "DROP TABLE IF EXISTS outbox_changes;
         DROP TABLE IF EXISTS outbox_cells;
         DROP TABLE IF EXISTS outbox_guests;",
    )?;
    for key in [SHIPPED_TO, SHIPPED_AT, SHIPPED_REQUEST_ID, REWOUND] {
        meta::remove(conn, key)?;
    }
    Ok(())
}
