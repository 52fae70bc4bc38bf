//! One transaction of events.

use std::cell::RefCell;
use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, Transaction, params};
use uuid::Uuid;

use super::bind::{bounded, count};
use super::links::{self, LateLegs, Place};
use super::listing::{self, SeenListing};
use super::stored_ids::StoredIds;
use super::tasks::{self, Sighting, Unknown};
use super::{LossLog, WriteError, WriterStats, columns, platform, writers};
use crate::event::{Leg, RequestEvent, RequestStatus, SessionEvent, StoreEvent, TaskStatus};

const SESSION: &str = "INSERT INTO sessions (
        session_id, proxy, started_at, last_seen_at, client_name, client_version, client_platform,
        source, protocol_version, server_name, server_version, caller)
     VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
     ON CONFLICT (session_id) DO NOTHING";
const TALLY: &str = "UPDATE sessions SET
        total_calls = total_calls + ?2,
        total_errors = total_errors + ?3,
        operations = operations + ?4,
        last_seen_at = max(last_seen_at, ?5)
     WHERE session_id = ?1";
const CLOSE: &str = "UPDATE sessions SET ended_at = ?2 WHERE session_id = ?1 AND ended_at IS NULL";

/// The most that `requests.error_msg` holds, in characters.
const ERROR_MSG_CHARS: usize = 512;

/// An open transaction. It is rolled back unless it is committed.
///
/// Counters of sessions are summed up and written once per session and batch.
pub(crate) struct Batch<'c, 'e> {
    request: CachedStatement<'c>,
    tally: CachedStatement<'c>,
    tallies: HashMap<&'e str, SessionCounters>,
    file: Shared<'c>,
    /// Sightings in this batch of tasks that are not known yet.
    unknown: Vec<Sighting>,
    /// Tasks that became known. Their sightings are applied.
    known: Vec<Box<str>>,
    unlinked: u64,
    tx: Transaction<'c>,
}

/// State that a connection keeps from one batch to the next.
#[derive(Clone, Copy)]
pub(super) struct Shared<'c> {
    pub(super) ids: StoredIds<'c>,
    pub(super) unknown_tasks: &'c RefCell<Unknown>,
    pub(super) run: Option<&'c str>,
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
    /// Begins a batch in the transaction `tx` of `conn`, which updates the counters of
    /// the writer's run.
    pub(super) fn begin(
        tx: Transaction<'c>,
        conn: &'c Connection,
        file: Shared<'c>,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            request: conn.prepare_cached(&columns::INSERT_REQUEST)?,
            tally: conn.prepare_cached(TALLY)?,
            tallies: HashMap::new(),
            file,
            unknown: Vec::new(),
            known: Vec::new(),
            unlinked: 0,
            tx,
        })
    }

    /// Adds an event. After [`WriteError::Row`] the batch is unchanged; after
    /// [`WriteError::Store`] it cannot be used any more.
    pub(crate) fn add(&mut self, event: &'e StoreEvent) -> Result<(), WriteError> {
        self.write(event).map_err(|error| self.classify(error))
    }

    /// Adds a listing, with the same errors as [`add`](Self::add).
    pub(crate) fn add_listing(&mut self, seen: &SeenListing) -> Result<(), WriteError> {
        let mut see = || {
            let savepoint = self.tx.savepoint()?;
            listing::see(&savepoint, seen)?;
            savepoint.commit()
        };
        see().map_err(|error: rusqlite::Error| self.classify(error.into()))
    }

    /// Classifies an error. A user's trigger can refuse a row in a way that rolls back
    /// the whole transaction.
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
                let session_id = self.file.ids.session_ids.stored(session_id);
                let mut close = self.tx.prepare_cached(CLOSE)?;
                close.execute(params![session_id, ended_at])?;
            }
            StoreEvent::SchemaVersion(event) => {
                // These rows are written together or not at all.
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
            StoreEvent::TaskStatus(event) => {
                let seen = Sighting::notified(event, self.file.ids);
                self.see(seen)?;
            }
        }
        Ok(())
    }

    fn request(&mut self, event: &'e RequestEvent) -> Result<(), WriteError> {
        // The pattern has no `..`, so that the compiler reports a new field.
        let RequestEvent {
            request_id,
            ts,
            proxy,
            session_id,
            method,
            tool,
            target: _,
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
            rpc_id,
            leg,
        } = event;
        let mut id = Uuid::encode_buffer();
        let id = &*request_id.hyphenated().encode_lower(&mut id);
        let session_id = session_id.as_deref();
        let leg = leg.as_deref();
        let place = match leg {
            Some(leg) => links::place(&self.tx, self.file.ids.keyed_hash, event, leg, id)?,
            None => Place::default(),
        };
        let task = leg.and_then(|leg| leg.task_id.as_ref());
        let task = task.map(|task| self.file.ids.session_ids.stored_task(task));
        let error_msg = error_msg.as_deref();
        // The values are in the order of `columns::REQUESTS`.
        self.request.execute(params![
            id,
            ts,
            proxy,
            session_id.map(|id| self.file.ids.session_ids.stored(id)),
            method,
            tool,
            count(*latency_us),
            status.as_str(),
            error_code,
            error_msg.map(|text| bounded(text, ERROR_MSG_CHARS)),
            bytes_in.map(count),
            bytes_out.map(count),
            self.file
                .ids
                .session_ids
                .stored_target(event, task.as_deref()),
            http_status,
            tool_error,
            end_reason.map(|reason| reason.as_str()),
            ttfb_us.map(count),
            protocol_version,
            principal,
            trace_id.map(|id| id.to_string()),
            parent_span_id.map(|id| id.to_string()),
            rpc_id.as_ref().map(|id| id.to_json().to_string()),
            place.operation_id,
            place.leg,
            place.state_in,
            place.state_out,
            task,
            leg.and_then(|leg| leg.task_status).map(TaskStatus::as_str),
            place.operation_us,
        ])?;
        if let Some(session_id) = session_id {
            let tally = self.tallies.entry(session_id).or_default();
            tally.calls += 1;
            tally.operations += i64::from(place.begins_operation());
            tally.errors += i64::from(event.status != RequestStatus::Ok);
            tally.last_seen = tally.last_seen.max(event.ts);
        }
        self.unlinked += u64::from(place.is_unlinked);
        match leg {
            Some(leg) => self.follow(event, leg, &place, task),
            None => Ok(()),
        }
    }

    /// Updates earlier rows by what the request says about them.
    fn follow(
        &mut self,
        event: &RequestEvent,
        leg: &Leg,
        place: &Place,
        task: Option<Box<str>>,
    ) -> Result<(), WriteError> {
        if let Some(late) = LateLegs::of(&self.tx, event, place)? {
            let savepoint = self.tx.savepoint()?;
            match late.link(&savepoint, event, leg, place) {
                Ok(()) => savepoint.commit()?,
                // If a user's trigger refuses the links, the row is kept without them.
                Err(error) => match WriteError::from(error) {
                    WriteError::Row(_) => {}
                    error => return Err(error),
                },
            }
        }
        let Some(task) = task else {
            return Ok(());
        };
        if let Some(operation_id) = place.creates_task(event) {
            tasks::create(
                &self.tx,
                self.file.ids.keyed_hash,
                operation_id,
                &task,
                event,
                leg,
            )?;
            let earlier = self.file.unknown_tasks.borrow();
            let earlier = earlier.of(&task).chain(&self.unknown);
            for seen in earlier.filter(|seen| seen.task_id == task) {
                tasks::see(&self.tx, seen)?;
            }
            self.known.push(task.clone());
        }
        match Sighting::answered(event, leg, task, self.file.ids) {
            Some(seen) => self.see(seen),
            None => Ok(()),
        }
    }

    fn see(&mut self, seen: Sighting) -> Result<(), WriteError> {
        if !tasks::see(&self.tx, &seen)? {
            self.unknown.push(seen);
        }
        Ok(())
    }

    /// Returns how many requests of this batch sent a state back and were linked to no
    /// operation.
    pub(crate) fn unlinked(&self) -> u64 {
        self.unlinked
    }

    fn session(&mut self, event: &SessionEvent) -> Result<(), WriteError> {
        // Requests that precede their session are not counted, in the same batch or in an
        // earlier one.
        if let Some((session_id, tally)) = self.tallies.remove_entry(&*event.session_id) {
            self.write_tally(session_id, &tally)?;
        }
        let client_name = event.client_name.as_deref();
        self.tx.prepare_cached(SESSION)?.execute(params![
            self.file.ids.session_ids.stored(&event.session_id),
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
            event
                .caller
                .as_ref()
                .map(|caller| self.file.ids.keyed_hash.caller(caller)),
        ])?;
        Ok(())
    }

    fn write_tally(&mut self, session_id: &str, tally: &SessionCounters) -> rusqlite::Result<()> {
        let session_id = self.file.ids.session_ids.stored(session_id);
        let values = params![
            session_id,
            tally.calls,
            tally.errors,
            tally.operations,
            tally.last_seen
        ];
        self.tally.execute(values).map(drop)
    }

    /// Commits everything, together with the losses in `loss_log` and the current
    /// counters. The caller discards the loss log if this fails.
    pub(crate) fn commit(
        mut self,
        loss_log: &mut LossLog,
        accounts: &WriterStats,
    ) -> Result<(), WriteError> {
        // The rows are written in the order of the index, so that neighbours share a page.
        let mut tallies = Vec::from_iter(std::mem::take(&mut self.tallies));
        tallies.sort_unstable_by_key(|(session_id, _)| *session_id);
        for (session_id, tally) in tallies {
            let written = self.write_tally(session_id, &tally);
            match written.map_err(|error| self.classify(error.into())) {
                // If a user's trigger refuses the sums of a session, its requests are written
                // nevertheless.
                Ok(()) | Err(WriteError::Row(_)) => {}
                Err(error) => return Err(error),
            }
        }
        loss_log
            .write(&self.tx)
            .and_then(|()| match self.file.run {
                Some(run) => writers::update_counters(&self.tx, run, accounts),
                None => Ok(()),
            })
            .and_then(|()| self.tx.commit())
            .map_err(WriteError::Store)?;
        if !self.unknown.is_empty() || !self.known.is_empty() {
            let mut unknown = self.file.unknown_tasks.borrow_mut();
            unknown.keep(self.unknown, &self.known);
        }
        Ok(())
    }
}
