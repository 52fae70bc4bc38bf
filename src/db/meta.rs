//! The table `meta`: facts about the file, by key.

use rusqlite::{Connection, OptionalExtension, Result, params};

/// Returns the value of `key`; `None` also if the value is not text.
pub(super) fn get(conn: &Connection, key: &str) -> Result<Option<String>> {
    let value: Option<Option<String>> = conn
        .prepare_cached("SELECT CAST(value AS TEXT) FROM meta WHERE key = ?1")?
        .query_row([key], |row| row.get(0))
        .optional()?;
    Ok(value.flatten())
}

/// Sets the value of `key`, and replaces an earlier one.
pub(super) fn set(conn: &Connection, key: &str, value: &str) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2)
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![key, value])
    .map(drop)
}

/// Sets the value of `key`, unless it has one.
pub(super) fn set_once(conn: &Connection, key: &str, value: &str) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO NOTHING",
    )?
    .execute(params![key, value])
    .map(drop)
}

/// Removes `key`.
#[cfg(feature = "outbox")]
pub(super) fn remove(conn: &Connection, key: &str) -> Result<()> {
    let mut remove = conn.prepare_cached("DELETE FROM meta WHERE key = ?1")?;
    remove.execute([key]).map(drop)
}
