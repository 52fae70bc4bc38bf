//! The files that the database has, and how far each was pulled.

use tower_mcp_store::pull::{PullCursor, PulledFile};

use super::super::snapshot::Snapshot;
use super::super::statement::Statement;
use super::{HOUR_MS, number, text, unwritable};
use crate::error::{PostgresError, PostgresErrorKind};

/// The rows of a file from before `first_seen_at` are incomplete if the writer had removed some
/// of them. The writer keeps later ones until they are shipped.
const STORES: &str = "SELECT store_id::text, first_seen_at, shipped_to,
        CASE WHEN requests_pruned_to IS NOT NULL
            THEN least(requests_pruned_to, first_seen_at) END,
        CASE WHEN polls_pruned_to IS NOT NULL THEN least(polls_pruned_to, first_seen_at) END,
        array_to_string(key_fingerprints, ',')
    FROM sources ORDER BY seen_at, store_id";

const REMOVED_TO: &str = "SELECT requests_pruned_to FROM mcp_store_meta";

/// Two rows may have one number, if a file was restored from a copy and shipped again.
const AT_CURSOR: &str = "SELECT request_id FROM requests";

/// The files of the database.
#[derive(Debug)]
pub(super) struct Stores {
    /// The one that was shipped last comes last.
    pub(super) all: Vec<Store>,
    /// Requests from before this time, in unix milliseconds, were removed from the database;
    /// `i64::MIN` if none were.
    pub(super) removed_to: i64,
}

#[derive(Debug)]
pub(super) struct Store {
    pub(super) cursor: PullCursor,
    shipped_to: i64,
    /// Requests from before this time may be missing from the database, and polls.
    incomplete_to: [Option<i64>; 2],
    key_fingerprints: Vec<String>,
}

impl Stores {
    pub(super) fn read(snapshot: &Snapshot<'_>) -> Result<Self, PostgresError> {
        let mut all = Vec::new();
        snapshot.each(STORES, &Statement::new(), |values| {
            let keys = text(values, 5).unwrap_or_default().split(',');
            let keys = keys.filter(|key| !key.is_empty());
            all.push(Store {
                cursor: PullCursor {
                    store_id: text(values, 0).unwrap_or_default().to_owned(),
                    first_seen_at: number(values, 1).unwrap_or_default(),
                    id: 0,
                    request_id: String::new(),
                },
                shipped_to: number(values, 2).unwrap_or_default(),
                incomplete_to: [number(values, 3), number(values, 4)],
                key_fingerprints: keys.map(str::to_owned).collect(),
            });
        })?;
        let removed_to = snapshot.row(REMOVED_TO, &Statement::new())?;
        Ok(Self {
            all,
            removed_to: number(&removed_to, 0).unwrap_or(i64::MIN),
        })
    }

    /// Takes the cursors of the file. Those that do not hold begin again.
    ///
    /// # Errors
    ///
    /// If the file was pulled from another database.
    pub(super) fn compare(
        &mut self,
        snapshot: &Snapshot<'_>,
        file: &PulledFile,
        since: i64,
    ) -> Result<(), PostgresError> {
        let mut state = file.state().map_err(unwritable)?;
        if since < state.since || state.was_pruned {
            let tx = file.begin().map_err(unwritable)?;
            tx.restart(since).map_err(unwritable)?;
            tx.commit().map_err(unwritable)?;
            state = file.state().map_err(unwritable)?;
        }
        for cursor in state.cursors {
            let is_of_cursor = |store: &&mut Store| {
                store.cursor.store_id == cursor.store_id
                    && store.cursor.first_seen_at == cursor.first_seen_at
            };
            let Some(store) = self.all.iter_mut().find(is_of_cursor) else {
                return Err(PostgresError::new(
                    PostgresErrorKind::File,
                    "the file was pulled from another database; give the path of a new file, or \
                     remove this one",
                ));
            };
            if store.shipped_to >= cursor.id && holds(snapshot, &cursor)? {
                store.cursor = cursor;
            }
        }
        Ok(())
    }

    /// Returns the fingerprints of all keys, those of the file that was shipped last at the end.
    pub(super) fn key_fingerprints(&self) -> Vec<String> {
        let mut keys: Vec<String> = Vec::new();
        for key in self.all.iter().flat_map(|store| &store.key_fingerprints) {
            keys.retain(|other| other != key);
            keys.push(key.clone());
        }
        keys
    }

    /// Returns the times from which on all files have all requests, and all polls.
    pub(super) fn complete_from(&self, since: i64) -> [i64; 2] {
        let latest = |at: fn(&Store) -> Option<i64>| self.all.iter().filter_map(at).max();
        let next_hour = |ts: i64| match ts.rem_euclid(HOUR_MS) {
            0 => ts,
            part => ts.saturating_add(HOUR_MS - part),
        };
        let [requests, polls] = [
            latest(|store| store.incomplete_to[0]),
            latest(|store| store.incomplete_to[1]),
        ];
        let requests = requests.map_or(since, |to| since.max(next_hour(to)));
        [
            requests,
            polls.map_or(requests, |to| requests.max(next_hour(to))),
        ]
    }
}

/// Returns whether the request at the cursor is the one that was pulled. If a file was restored
/// from a copy and shipped again, other requests have the numbers of earlier ones.
fn holds(snapshot: &Snapshot<'_>, cursor: &PullCursor) -> Result<bool, PostgresError> {
    let mut statement = Statement::new();
    let (store, id) = (
        statement.bind(cursor.store_id.as_str()),
        statement.bind(cursor.id),
    );
    statement.add(&format!("store_id = {store}::uuid AND id = {id}"));
    let sql = format!("{AT_CURSOR} {}", statement.conditions());
    Ok(snapshot.texts(&sql, &statement)? == [cursor.request_id.as_str()])
}
