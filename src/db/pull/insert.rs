//! Inserts rows of a table, and replaces those with the same key.

use std::fmt;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, Result, params_from_iter};

use super::super::outbox::OutboxTable;

/// What the first column of a row becomes.
#[derive(Debug)]
enum First {
    /// The value that was pulled.
    Pulled,
    /// SQLite gives the row a number.
    Given,
    /// The next number. The table was emptied, and its rows keep their order.
    Counted(i64),
}

/// Inserts rows of one table.
pub(crate) struct Insert<'c> {
    statement: CachedStatement<'c>,
    first: First,
}

impl fmt::Debug for Insert<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Insert").finish_non_exhaustive()
    }
}

impl<'c> Insert<'c> {
    /// Begins to insert rows. Tables whose rows have no key in the database are emptied.
    pub(super) fn new(conn: &'c Connection, table: OutboxTable) -> Result<Self> {
        let columns = table.columns();
        let (name, names) = (table.source(), columns.join(", "));
        let places = vec!["?"; columns.len()].join(", ");
        let (first, on_conflict) = match table {
            OutboxTable::Requests => (
                First::Given,
                "ON CONFLICT (request_id) DO NOTHING".to_owned(),
            ),
            OutboxTable::Sessions | OutboxTable::Tasks => (First::Pulled, replace(&columns)),
            OutboxTable::ListingPayloads => (First::Pulled, "ON CONFLICT DO NOTHING".to_owned()),
            OutboxTable::Writers => (First::Pulled, String::new()),
            _ => (First::Counted(0), String::new()),
        };
        if on_conflict.is_empty() {
            conn.execute(&format!("DELETE FROM {name}"), [])?;
        }
        let sql = format!("INSERT INTO {name} ({names}) VALUES ({places}) {on_conflict}");
        Ok(Self {
            statement: conn.prepare_cached(&sql)?,
            first,
        })
    }

    /// Inserts a row with these values, in the order of the table's columns. Returns whether the
    /// file changed.
    pub(crate) fn put<'v>(
        &mut self,
        values: impl IntoIterator<Item = ValueRef<'v>>,
    ) -> Result<bool> {
        let first = match &mut self.first {
            First::Pulled => None,
            First::Given => Some(ValueRef::Null),
            First::Counted(number) => {
                *number += 1;
                Some(ValueRef::Integer(*number))
            }
        };
        let values = values.into_iter().enumerate();
        let values = values.map(|(at, value)| match first {
            Some(first) if at == 0 => ToSqlOutput::Borrowed(first),
            _ => ToSqlOutput::Borrowed(value),
        });
        Ok(self.statement.execute(params_from_iter(values))? > 0)
    }
}

/// Returns the clause that replaces a row with the same key, which is its first column, if it
/// has changed.
fn replace(columns: &[&str]) -> String {
    let Some((key, others)) = columns.split_first() else {
        return String::new();
    };
    let new: Vec<String> = others
        .iter()
        .map(|name| format!("excluded.{name}"))
        .collect();
    let (old, new) = (others.join(", "), new.join(", "));
    format!("ON CONFLICT ({key}) DO UPDATE SET ({old}) = ({new}) WHERE ({old}) IS NOT ({new})")
}
