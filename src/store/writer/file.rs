//! The file that the writer thread records into.

use std::sync::Arc;
use std::time::Duration;

use super::super::{Retention, Shared};
use super::counts::Counts;
use super::failure::WriteFailure;
use crate::db::{
    Db, Departure, Hindrance, LossLog, LossReason, LossSpan, OpenSessions, SCHEMA_VERSION,
    WriteError, WriterIdentity, WriterLock,
};
use crate::error::OpenError;

/// The file at the store's path. It is opened again after it was moved, and after some
/// errors.
pub(super) struct RecordingFile {
    shared: Arc<Shared>,
    identity: WriterIdentity,
    retention: Retention,
    db: Option<Db>,
    /// The lock of the writer's run, while it has no file open but had one before.
    lock: Option<WriterLock>,
    /// The losses that are not in the file yet, and the rows in it that may still grow.
    loss_log: LossLog,
}

impl RecordingFile {
    pub(super) fn new(shared: Arc<Shared>, identity: WriterIdentity, retention: Retention) -> Self {
        Self {
            shared,
            identity,
            retention,
            db: None,
            lock: None,
            loss_log: LossLog::default(),
        }
    }

    /// Returns the connection, if the file is open.
    pub(super) fn db(&self) -> Option<&Db> {
        self.db.as_ref()
    }

    pub(super) fn db_mut(&mut self) -> Option<&mut Db> {
        self.db.as_mut()
    }

    /// Adds events that were lost.
    pub(super) fn add_loss(&mut self, reason: LossReason, span: LossSpan) {
        self.loss_log.add(reason, span);
    }

    /// Returns whether the last events of the queue were dropped because it was full.
    pub(super) fn is_losing(&self) -> bool {
        self.loss_log.is_open(LossReason::QueueFull)
    }

    /// Returns the connection and the losses. Opens the file if it is not open or was
    /// moved.
    pub(super) fn connection(
        &mut self,
        counts: &Counts,
    ) -> Result<(&mut Db, &mut LossLog), WriteFailure> {
        if self.db.as_ref().is_some_and(Db::is_replaced) {
            self.leave(counts)?;
        }
        Ok(self.open()?)
    }

    /// Opens the file, if it is not open.
    pub(super) fn open(&mut self) -> Result<(&mut Db, &mut LossLog), OpenError> {
        let db = match &mut self.db {
            Some(db) => db,
            empty => {
                let path = &self.shared.path;
                let db = Db::open(path, &self.identity, &mut self.lock)?;
                tracing::info!(
                    "recording into {}, schema {SCHEMA_VERSION}, retention {}",
                    path.display(),
                    self.retention,
                );
                empty.insert(db)
            }
        };
        Ok((db, &mut self.loss_log))
    }

    /// Reads the open sessions of the file; `None` if they cannot be read.
    pub(super) fn open_sessions(&self) -> Option<OpenSessions> {
        let read = self.db.as_ref()?.open_sessions();
        read.inspect_err(|error| {
            tracing::warn!("the open sessions in the store's file cannot be read: {error}");
        })
        .ok()
    }

    /// Runs a checkpoint between two transactions, if one is due, and keeps the row of
    /// this writer up to date.
    pub(super) fn keep_wal_short(&mut self) {
        if let Some(db) = &mut self.db {
            db.keep_wal_short();
            db.tend_run();
        }
    }

    /// Closes a file that was moved, removed or replaced. While its WAL holds rows that
    /// the file does not, the file stays open. During a shutdown it is closed
    /// nevertheless, and the WAL is left under another name.
    fn leave(&mut self, counts: &Counts) -> Result<(), WriteFailure> {
        let Some(db) = &mut self.db else {
            return Ok(());
        };
        self.shared.readers.let_go();
        let accounts = counts.at_end();
        match db.leave(Some(&accounts)) {
            Ok(Departure::Returned) => return Ok(()),
            Ok(Departure::Ready) => {}
            Err(hindrance) if hindrance.is_damage() || self.shared.queue.is_closing() => {
                db.leave_wal_behind(Some(&accounts))
                    .map_err(Hindrance::from)?;
            }
            Err(hindrance) => return Err(hindrance.into()),
        }
        let path = self.shared.path.display();
        tracing::warn!(
            %path,
            "the store's file was moved, removed or replaced; the store continues with the file at \
             its path"
        );
        self.abandon();
        Ok(())
    }

    /// Closes the connection without another write.
    fn abandon(&mut self) {
        if let Some(db) = self.db.take() {
            self.lock = db.abandon();
        }
        self.loss_log.forget_rows();
    }

    /// Closes the connection if a new one may help.
    pub(super) fn failed_with(&mut self, error: WriteError) -> WriteFailure {
        if error.is_of_connection() {
            self.abandon();
        }
        error.into()
    }

    /// Writes the last losses and counters, and closes the file.
    pub(super) fn close(&mut self, counts: &Counts) {
        if let Err(WriteFailure { reason, .. }) = self.end(counts) {
            tracing::warn!("the store could not be closed in order: {reason}");
        }
        if let Some(lock) = self.lock.take() {
            lock.remove();
        }
    }

    fn end(&mut self, counts: &Counts) -> Result<(), WriteFailure> {
        let Some(db) = &mut self.db else {
            return Ok(());
        };
        let time_left = self.shared.queue.time_left();
        match db.end(&mut self.loss_log, &counts.at_end(), time_left) {
            Err(WriteError::Replaced) => return self.end_replaced(counts),
            ended => ended?,
        }
        match self.db.take() {
            Some(db) => Ok(db.close()?),
            None => Ok(()),
        }
    }

    /// Closes a file that was moved. Losses that are in no file yet are written to the
    /// file at the path. The end of the run is written there too if it is the same
    /// file.
    fn end_replaced(&mut self, counts: &Counts) -> Result<(), WriteFailure> {
        let is_in_place = self.db.as_ref().is_some_and(Db::is_in_place);
        self.leave(counts)?;
        if self.loss_log.is_empty() && !is_in_place {
            return Ok(());
        }
        self.open()?;
        let Some(mut db) = self.db.take() else {
            return Ok(());
        };
        db.end(&mut self.loss_log, &counts.at_end(), Duration::ZERO)?;
        Ok(db.close()?)
    }
}
