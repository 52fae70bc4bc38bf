//! Guests: sessions that requests name and the file does not have. Behind a load balancer, the
//! file of another server may have them.
//!
//! The counts of a guest grow as its requests are shipped. `outbox_guests` holds the counts of
//! confirmed batches, so that a batch that is read again gives the same counts.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Result, Row, params};

use super::rows::{OutboxColumn, OutboxRows, OutboxTable, OutboxValues};

/// The most guests that are remembered. The counts of a forgotten guest begin at 0 again, and the
/// database keeps the higher ones.
const REMEMBERED: i64 = 100_000;

const FIND: &str = "SELECT proxy, started_at, last_seen_at, total_calls, total_errors, operations
     FROM outbox_guests WHERE session_id = ?1";
const REMEMBER: &str = "INSERT OR REPLACE INTO outbox_guests
         (session_id, proxy, started_at, last_seen_at, total_calls, total_errors, operations)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
const EVICT: &str = "DELETE FROM outbox_guests WHERE n <= (SELECT max(n) FROM outbox_guests) - ?1";

/// The counts of one guest.
#[derive(Debug, Clone, PartialEq)]
struct Guest {
    proxy: String,
    started_at: i64,
    last_seen_at: i64,
    total_calls: i64,
    total_errors: i64,
    operations: i64,
}

/// The guests of a batch, by their session ids.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Guests(BTreeMap<String, Guest>);

impl Guests {
    /// Returns the guests among the sessions of these requests, with the requests before them.
    pub(super) fn of(
        conn: &Connection,
        requests: &OutboxRows,
        is_guest: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let mut guests = Self::default();
        let mut find = conn.prepare_cached(FIND)?;
        for at in 0..requests.len() {
            let Some(id) = text(requests, "session_id", at).filter(|id| is_guest(id)) else {
                continue;
            };
            let ts = integer(requests, "ts", at).unwrap_or(0);
            if !guests.0.contains_key(id) {
                let before = find.query_row([id], Guest::read).optional()?;
                let new = || Guest {
                    proxy: text(requests, "proxy", at).unwrap_or_default().to_owned(),
                    started_at: ts,
                    last_seen_at: ts,
                    total_calls: 0,
                    total_errors: 0,
                    operations: 0,
                };
                guests.0.insert(id.to_owned(), before.unwrap_or_else(new));
            }
            if let Some(guest) = guests.0.get_mut(id) {
                let is_error = text(requests, "status", at) != Some("ok");
                let begins = integer(requests, "leg", at).is_none_or(|leg| leg == 1);
                guest.started_at = guest.started_at.min(ts);
                guest.last_seen_at = guest.last_seen_at.max(ts);
                guest.total_calls += 1;
                guest.total_errors += i64::from(is_error);
                guest.operations += i64::from(begins);
            }
        }
        Ok(guests)
    }

    /// Returns the guests as rows of sessions.
    pub(super) fn rows(&self) -> OutboxRows {
        let texts = |name, value: fn(&String, &Guest) -> String| OutboxColumn {
            name,
            values: OutboxValues::Texts(
                self.0
                    .iter()
                    .map(|(id, guest)| Some(value(id, guest)))
                    .collect(),
            ),
        };
        let integers = |name, value: fn(&Guest) -> i64| OutboxColumn {
            name,
            values: OutboxValues::Integers(
                self.0.values().map(|guest| Some(value(guest))).collect(),
            ),
        };
        OutboxRows {
            table: OutboxTable::GuestSessions,
            columns: vec![
                texts("session_id", |id, _| id.clone()),
                texts("proxy", |_, guest| guest.proxy.clone()),
                integers("started_at", |guest| guest.started_at),
                integers("last_seen_at", |guest| guest.last_seen_at),
                integers("total_calls", |guest| guest.total_calls),
                integers("total_errors", |guest| guest.total_errors),
                integers("operations", |guest| guest.operations),
                integers("is_guest", |_| 1),
            ],
        }
    }

    /// Stores the counts, in the transaction that confirms the batch.
    pub(super) fn remember(&self, conn: &Connection) -> Result<()> {
        let mut remember = conn.prepare_cached(REMEMBER)?;
        for (id, guest) in &self.0 {
            remember.execute(params![
                id,
                guest.proxy,
                guest.started_at,
                guest.last_seen_at,
                guest.total_calls,
                guest.total_errors,
                guest.operations,
            ])?;
        }
        if !self.0.is_empty() {
            conn.prepare_cached(EVICT)?.execute([REMEMBERED])?;
        }
        Ok(())
    }
}

impl Guest {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            proxy: row.get(0)?,
            started_at: row.get(1)?,
            last_seen_at: row.get(2)?,
            total_calls: row.get(3)?,
            total_errors: row.get(4)?,
            operations: row.get(5)?,
        })
    }
}

fn column<'r>(rows: &'r OutboxRows, name: &str) -> Option<&'r OutboxValues> {
    let mut columns = rows.columns.iter();
    columns
        .find(|column| column.name == name)
        .map(|column| &column.values)
}

fn text<'r>(rows: &'r OutboxRows, name: &str, at: usize) -> Option<&'r str> {
    match column(rows, name)? {
        OutboxValues::Texts(values) => values.get(at),
        _ => None,
    }
}

fn integer(rows: &OutboxRows, name: &str, at: usize) -> Option<i64> {
    match column(rows, name)? {
        OutboxValues::Integers(values) => *values.get(at)?,
        _ => None,
    }
}
