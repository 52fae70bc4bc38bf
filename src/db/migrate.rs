//! Migrates the tables of a file.

use rusqlite::{Connection, Result};

use super::names::Names;
use super::steps;

/// Migrates the tables from version `from` to version `to`.
///
/// The caller holds the transaction that makes it atomic, and writes the new
/// version into `meta`.
pub(super) fn migrate(conn: &Connection, from: i64, to: i64) -> Result<()> {
    let names = Names::given(conn, from, to)?;
    steps::apply(conn, from, to, |step| names.applied(step))
}
