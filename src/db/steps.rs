//! The steps that migrate a file from any older version to the current one.
//!
//! A released step is never edited, because files of its version exist. A fresh
//! file goes through the same steps.
//!
//! Until its release, the newest step is edited in place. Builds from before and
//! after an edit make different files of the same version, so each file holds the
//! fingerprint of the step that made it.

use std::sync::LazyLock;

use rusqlite::{Connection, Result};
use sha2::{Digest as _, Sha256};

use super::SCHEMA_VERSION;
use super::bind::hex;
use super::outcome;

/// `STEPS[n]` leads from version `n` to `n + 1`.
const STEPS: [&str; SCHEMA_VERSION as usize] = [
    include_str!("migrations/0001_requests_sessions.sql"),
    include_str!("migrations/0002_schema_listings.sql"),
    include_str!("migrations/0003_schema_proxy.sql"),
    include_str!("migrations/0004_latency_us.sql"),
    concat!(
        include_str!("migrations/0005_outcomes_losses.sql"),
        include_str!("migrations/0005_views.sql"),
    ),
];

/// The placeholders of steps, and their replacements.
const PARTS: [(&str, &str); 3] = [
    (
        "{operations}",
        include_str!("migrations/0005_operations.sql"),
    ),
    ("{outcome}", outcome::OUTCOME),
    ("{error_type}", outcome::ERROR_TYPE),
];

/// The key in `meta` of the fingerprint of the newest step that the file has.
pub(super) const FINGERPRINT: &str = "schema_fingerprint";

/// How many bytes of a hash make a fingerprint.
const FINGERPRINT_BYTES: usize = 8;

/// Returns the fingerprint of the step to the current version.
pub(super) fn fingerprint() -> &'static str {
    static NEWEST: LazyLock<String> = LazyLock::new(|| {
        let [.., newest] = STEPS;
        let hash = Sha256::digest(whole(newest));
        hex(hash.iter().take(FINGERPRINT_BYTES))
    });
    &NEWEST
}

/// Runs the steps from version `from` to version `to`, with the names that `rename`
/// puts into each.
pub(super) fn apply(
    conn: &Connection,
    from: i64,
    to: i64,
    rename: impl Fn(&str) -> String,
) -> Result<()> {
    for (version, step) in (1..).zip(STEPS) {
        if (from + 1..=to).contains(&version) {
            conn.execute_batch(&rename(&whole(step)))?;
            if version == 3 {
                restore_additions(conn)?;
            }
        }
    }
    Ok(())
}

/// Makes the tables of a version in an empty database.
pub(super) fn create(conn: &Connection, version: i64) -> Result<()> {
    apply(conn, 0, version, str::to_owned)
}

/// Returns a step with its placeholders replaced.
fn whole(step: &str) -> String {
    let replace = |step: String, (name, part): &(&str, &str)| step.replace(name, part);
    PARTS.iter().fold(step.to_owned(), replace)
}

/// The user's columns and their definitions. A column that is added to a table with
/// rows can only have a constant default, and needs one to be NOT NULL.
const KEPT_COLUMNS: &str = "SELECT name, type || CASE
        WHEN dflt_value IS NULL OR dflt_value LIKE '%(%' OR dflt_value LIKE 'CURRENT_%' THEN ''
        ELSE iif(\"notnull\" AND upper(dflt_value) <> 'NULL', ' NOT NULL', '')
            || ' DEFAULT ' || dflt_value
    END FROM temp.kept_schema_columns";

/// Restores the columns, indexes and triggers of `server_schema` that were not part
/// of its version.
fn restore_additions(conn: &Connection) -> Result<()> {
    for (name, definition) in rows(conn, KEPT_COLUMNS)? {
        let name = quoted(&name);
        conn.execute_batch(&format!(
            "ALTER TABLE main.server_schema ADD COLUMN {name} {definition};
             UPDATE main.server_schema SET {name} =
                 (SELECT kept.{name} FROM temp.kept_schema kept WHERE kept.id = server_schema.id);"
        ))?;
    }
    for (sql, _) in rows(conn, "SELECT sql, '' FROM temp.kept_schema_sql")? {
        conn.execute_batch(&sql)?;
    }
    conn.execute_batch(
        "DROP TABLE temp.kept_schema;
         DROP TABLE temp.kept_schema_columns;
         DROP TABLE temp.kept_schema_sql;",
    )
}

fn rows(conn: &Connection, sql: &str) -> Result<Vec<(String, String)>> {
    conn.prepare(sql)?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Returns `name` as an SQL identifier.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hashes of the released steps. A release adds the newest step.
    const RELEASED: [&str; 4] = [
        "cb7ad6786734e53359fa39c6094adc01bb32b4b5df8e20f6975024d6ddb7e5a6",
        "9d14e8fb412ef92f4fbcd412672f0072dc8d3fbaeab140ea56d2f73e8e56b8ae",
        "c7b6c7d21195b3099a017a0d5b1f0bbc8fd9c64f71b7ef4b74fd3abf980d2b46",
        "46f3aef1440595ee0f071d7ebce4d4931b843833aa92fad0d0bee9d49cd65136",
    ];

    #[test]
    fn fingerprint_depends_on_the_parts_of_the_newest_step() {
        let [.., newest] = STEPS;
        for (name, _) in PARTS {
            let edited = whole(&newest.replace(name, "edited"));
            let edited = hex(Sha256::digest(edited).iter().take(FINGERPRINT_BYTES));
            assert_ne!(edited, fingerprint(), "{name}");
        }
    }

    #[test]
    fn released_steps_are_never_edited() {
        for (version, (step, released)) in (1..).zip(STEPS.iter().zip(RELEASED)) {
            assert_eq!(hex(Sha256::digest(step).iter()), released, "step {version}");
        }
    }
}
