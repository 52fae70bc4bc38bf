//! One transaction of events.

use std::collections::HashMap;

use rusqlite::types::Null;
use rusqlite::{CachedStatement, Connection, Transaction, params};
use uuid::Uuid;

use super::bind::{bounded, count};
use super::listing::{self, SeenListing};
use super::session_ids::SessionIds;
use super::{LossLog, WriteError, WriterStats, columns, platform, writers};
use crate::event::{RequestEvent, RequestStatus, SessionEvent, StoreEvent};

const SESSION: &str = "INSERT INTO sessions (
        session_id, proxy, started_at, last_seen_at, client_name, client_version, client_platform,
        source, protocol_version, server_name, server_version)
     VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
     ON CONFLICT (session_id) DO NOTHING";
const TALLY: &str = "UPDATE sessions SET
        total_calls = total_calls + ?2,
        total_errors = total_errors + ?3,
        operations = operations + ?4,
        last_seen_at = max(last_seen_at, ?5)
     WHERE session_id = ?1";
const CLOSE: &str = "UPDATE sessions SET ended_at = ?2 WHERE session_id = ?1 AND ended_at IS NULL";

/// What `requests.error_msg` holds at most, in characters.
const ERROR_MSG_CHARS: usize = 512;

/// An open transaction; rolled back unless it is committed.
///
/// Counters of sessions are summed up and written once per session and batch.
pub(crate) struct Batch<'c, 'e> {
    request: CachedStatement<'c>,
    tally: CachedStatement<'c>,
    tallies: HashMap<&'e str, SessionCounters>,
    session_ids: &'c SessionIds,
    run: Option<&'c str>,
    tx: Transaction<'c>,
}

/// What the requests of one batch add to the row of their session.
#[derive(Default)]
struct SessionCounters {
    calls: i64,
    errors: i64,
    operations: i64,
    last_seen: i64,
}

impl<'c, 'e> Batch<'c, 'e> {
    /// A batch in the transaction `tx` of `conn`, which brings the accounts of
    /// the writer's `run` up to date.
    pub(super) fn begin(
        tx: Transaction<'c>,
        conn: &'c Connection,
        session_ids: &'c SessionIds,
        run: Option<&'c str>,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            request: conn.prepare_cached(&columns::INSERT_REQUEST)?,
            tally: conn.prepare_cached(TALLY)?,
            tallies: HashMap::new(),
            session_ids,
            run,
            tx,
        })
    }

    /// Adds what `event` says. After [`WriteError::Row`] the batch is as it was
    /// before the event; after [`WriteError::Store`] it is of no use.
    pub(crate) fn add(&mut self, event: &'e StoreEvent) -> Result<(), WriteError> {
        self.write(event).map_err(|error| self.classify(error))
    }

    /// Adds a listing that passed, likewise.
    pub(crate) fn add_listing(&mut self, seen: &SeenListing) -> Result<(), WriteError> {
        let mut see = || {
            let savepoint = self.tx.savepoint()?;
            listing::see(&savepoint, seen)?;
            savepoint.commit()
        };
        see().map_err(|error: rusqlite::Error| self.classify(error.into()))
    }

    /// A trigger of the user's can refuse a row in a way that rolls everything
    /// back.
    fn classify(&self, error: WriteError) -> WriteError {
        match error {
            WriteError::Row(error) if self.tx.is_autocommit() => WriteError::Store(error),
            error => error,
        }
    }

    fn write(&mut self, event: &'e StoreEvent) -> Result<(), WriteError> {
        match event {
            StoreEvent::Request(event) => self.request(event)?,
            StoreEvent::Session(event) => self.session(event)?,
            StoreEvent::SessionClosed {
                session_id,
                ended_at,
            } => {
                let session_id = self.session_ids.stored(session_id);
                let mut close = self.tx.prepare_cached(CLOSE)?;
                close.execute(params![session_id, ended_at])?;
            }
            StoreEvent::SchemaVersion(event) => {
                // Several rows that stand or fall together.
                let savepoint = self.tx.savepoint()?;
                listing::record(&savepoint, event)?;
                savepoint.commit()?;
            }
            StoreEvent::SchemaStale {
                ts,
                proxy,
                upstream_url,
                method,
            } => {
                let mut stale = self.tx.prepare_cached(listing::STALE)?;
                stale.execute(params![proxy, upstream_url, method, ts])?;
            }
            // There is nothing to change: no request has an operation yet.
            StoreEvent::TaskStatus(_) => {}
        }
        Ok(())
    }

    fn request(&mut self, event: &'e RequestEvent) -> Result<(), WriteError> {
        // Without `..`, so that the compiler finds a new field.
        let RequestEvent {
            request_id,
            ts,
            proxy,
            session_id,
            method,
            tool,
            target,
            latency_us,
            status,
            error_code,
            error_msg,
            bytes_in,
            bytes_out,
            http_status,
            tool_error,
            end_reason,
            ttfb_us,
            protocol_version,
            principal,
            trace_id,
            parent_span_id,
            leg: _,
        } = event;
        let mut id = Uuid::encode_buffer();
        let session_id = session_id.as_deref();
        let error_msg = error_msg.as_deref();
        // In the order of `columns::REQUESTS`.
        self.request.execute(params![
            &*request_id.hyphenated().encode_lower(&mut id),
            ts,
            proxy,
            session_id.map(|id| self.session_ids.stored(id)),
            method,
            tool,
            count(*latency_us),
            status.as_str(),
            error_code,
            error_msg.map(|text| bounded(text, ERROR_MSG_CHARS)),
            bytes_in.map(count),
            bytes_out.map(count),
            target,
            http_status,
            tool_error,
            end_reason.map(|reason| reason.as_str()),
            ttfb_us.map(count),
            protocol_version,
            principal,
            trace_id.map(|id| id.to_string()),
            parent_span_id.map(|id| id.to_string()),
            // operation_id, leg, state_in, state_out, task_id, task_status, operation_us
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
            Null,
        ])?;
        if let Some(session_id) = session_id {
            let tally = self.tallies.entry(session_id).or_default();
            tally.calls += 1;
            tally.operations += 1;
            tally.errors += i64::from(event.status != RequestStatus::Ok);
            tally.last_seen = tally.last_seen.max(event.ts);
        }
        Ok(())
    }

    fn session(&mut self, event: &SessionEvent) -> Result<(), WriteError> {
        // Requests that came before their session count for nothing, whether
        // or not they share its batch.
        if let Some((session_id, tally)) = self.tallies.remove_entry(&*event.session_id) {
            self.write_tally(session_id, &tally)?;
        }
        let client_name = event.client_name.as_deref();
        self.tx.prepare_cached(SESSION)?.execute(params![
            self.session_ids.stored(&event.session_id),
            event.proxy,
            event.started_at,
            client_name,
            event.client_version,
            event
                .client_platform
                .as_deref()
                .unwrap_or_else(|| platform::platform(client_name)),
            event.source.as_str(),
            event.protocol_version,
            event.server_name,
            event.server_version,
        ])?;
        Ok(())
    }

    fn write_tally(&mut self, session_id: &str, tally: &SessionCounters) -> rusqlite::Result<()> {
        let session_id = self.session_ids.stored(session_id);
        let values = params![
            session_id,
            tally.calls,
            tally.errors,
            tally.operations,
            tally.last_seen
        ];
        self.tally.execute(values).map(drop)
    }

    /// Commits everything together with the losses that `loss_log` holds and the
    /// accounts as they are then. The caller throws the loss_log away if this fails.
    pub(crate) fn commit(
        mut self,
        loss_log: &mut LossLog,
        accounts: &WriterStats,
    ) -> Result<(), WriteError> {
        // In the order of the index, so that neighbours share a page.
        let mut tallies = Vec::from_iter(std::mem::take(&mut self.tallies));
        tallies.sort_unstable_by_key(|(session_id, _)| *session_id);
        for (session_id, tally) in tallies {
            let written = self.write_tally(session_id, &tally);
            match written.map_err(|error| self.classify(error.into())) {
                // The sums of a session that a trigger of the user's protects are
                // not worth its requests.
                Ok(()) | Err(WriteError::Row(_)) => {}
                Err(error) => return Err(error),
            }
        }
        loss_log
            .write(&self.tx)
            .and_then(|()| match self.run {
                Some(run) => writers::go_on(&self.tx, run, accounts),
                None => Ok(()),
            })
            .and_then(|()| self.tx.commit())
            .map_err(WriteError::Store)
    }
}
