//! Commits events and commands, and retries while the file cannot be written to.

use std::sync::Arc;
use std::time::Duration;

use super::super::Shared;
use super::super::command_queue::{PendingCommand, RetryMode, SubmitError};
use super::super::deadline::Deadline;
use super::super::queue::{Chunk, Pause, Refused};
use super::Report;
use super::counts::Counts;
use super::failure::WriteFailure;
use super::file::RecordingFile;
use super::reporter::Reporter;
use super::transaction::{self, Written};
use crate::db::{LossReason, WriteError};
use crate::error::chain;

/// The pause between two attempts at a file that cannot be opened or written to. It
/// doubles from the first of these values to the second.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

/// The file with its counters and the reports about it.
pub(super) struct Committer {
    shared: Arc<Shared>,
    file: RecordingFile,
    counts: Counts,
    reporter: Reporter,
}

impl Committer {
    pub(super) fn new(shared: Arc<Shared>, file: RecordingFile) -> Self {
        Self {
            reporter: Reporter::new(Arc::clone(&shared)),
            shared,
            file,
            counts: Counts::new(),
        }
    }

    pub(super) fn file(&self) -> &RecordingFile {
        &self.file
    }

    /// Opens the file for the first time. Returns `false` if the writer thread has to
    /// end.
    pub(super) fn open_first(&mut self, report: Report) -> bool {
        let mut pause = PAUSE_FIRST;
        loop {
            let error = match self.file.open() {
                Ok(_) => {
                    if let Some(open) = self.file.open_sessions() {
                        // Only this thread sets them, and only once.
                        drop(self.shared.open_sessions.set(open));
                    }
                    self.reporter.succeeded();
                    if let Some(report) = report {
                        // Sending fails if the caller is gone. Then the queue closes.
                        drop(report.send(Ok(())));
                    }
                    return true;
                }
                Err(error) => error,
            };
            let reason = chain(&error);
            if let Some(report) = report {
                drop(report.send(Err(error)));
                return false;
            }
            self.reporter.failed_to_open(reason);
            self.ask_queue();
            if !self.pause(pause) {
                return false;
            }
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    /// Waits before another attempt, and runs commands in the meantime. Returns `false`
    /// if there will be no other attempt.
    fn pause(&mut self, pause: Duration) -> bool {
        let over = Deadline::after(pause);
        loop {
            match self.shared.queue.pause(over) {
                Pause::Over => return true,
                Pause::Commands(commands) => self.serve(commands),
                Pause::End => return false,
            }
        }
    }

    /// Retries until at least the first chunk of the batch is committed; `None` if the
    /// time was up before. If `until` is set, the batch holds the last events that were
    /// accepted before that moment.
    pub(super) fn write_batch(&mut self, batch: &[Chunk], until: Option<i64>) -> Option<Written> {
        let mut pause = PAUSE_FIRST;
        loop {
            if self.shared.queue.is_overdue() {
                return None;
            }
            self.ask_queue();
            match self.attempt_batch(batch, until) {
                Ok(written) => {
                    self.reporter.succeeded();
                    return Some(written);
                }
                Err(failure) => self.reporter.failed_to_write(failure),
            }
            if !self.pause(pause) {
                return None;
            }
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    /// The loss log and the counters change with the file or not at all.
    fn attempt_batch(
        &mut self,
        batch: &[Chunk],
        until: Option<i64>,
    ) -> Result<Written, WriteFailure> {
        loop {
            let (db, losses) = self.file.connection(&self.counts)?;
            let mut loss_log = losses.clone();
            let as_of = self.counts.as_of();
            let as_of = as_of..until.unwrap_or(as_of);
            let (stats, queue) = (self.counts.stats(), &self.shared.queue);
            match transaction::commit(db, batch, &mut loss_log, stats, as_of, queue) {
                Ok(written) => {
                    *losses = loss_log;
                    self.counts.committed_to(written.as_of);
                    self.reporter.rejected(&written.rejected);
                    if !self.file.is_losing() {
                        self.reporter.has_room();
                    }
                    return Ok(written);
                }
                // The next connection opens the file that is at the path now.
                Err(WriteError::Replaced) => {}
                Err(error) => return Err(self.file.failed_with(error)),
            }
        }
    }

    /// Runs the waiting commands, if there are any.
    pub(super) fn serve_waiting(&mut self) {
        if let Some(commands) = self.shared.queue.take_commands() {
            self.serve(commands);
        }
    }

    /// Runs commands in one transaction and sends their callers the results.
    ///
    /// While another connection holds the lock, the writer thread retries for as long
    /// as a caller waits. It does not retry after other failures.
    fn serve(&mut self, mut commands: Vec<PendingCommand>) {
        loop {
            commands.retain(|command| !command.is_abandoned());
            let error = match self.attempt_commands(&mut commands) {
                Ok(()) => {
                    for command in commands {
                        command.acknowledge();
                    }
                    self.file.keep_wal_short();
                    return;
                }
                Err(lock) if lock.is_lock && !self.shared.queue.is_overdue() => continue,
                Err(failure) => SubmitError::Failed(failure.reason),
            };
            for command in commands {
                command.refuse(error.clone());
            }
            return;
        }
    }

    fn attempt_commands(&mut self, commands: &mut [PendingCommand]) -> Result<(), WriteFailure> {
        let Some(synchronous) = commands.iter().map(|command| command.synchronous()).max() else {
            return Ok(());
        };
        loop {
            let (db, _) = self.file.connection(&self.counts)?;
            let mut attempt = |mode: RetryMode| {
                let mut transaction = db.begin_commands(synchronous)?;
                for command in commands.iter_mut() {
                    command.run(&mut transaction, mode)?;
                }
                transaction.commit()
            };
            let done = match attempt(RetryMode::Transaction) {
                Err(WriteError::Row(_)) => attempt(RetryMode::Savepoints),
                done => done,
            };
            match done {
                // The next connection opens the file that is at the path now.
                Err(WriteError::Replaced) => {}
                done => return done.map_err(|error| self.file.failed_with(error)),
            }
        }
    }

    /// Writes the counters, if they counted requests without a row since the last time.
    pub(super) fn write_counters(&mut self) {
        self.ask_queue();
        let (Some(db), Some(accounts)) = (self.file.db_mut(), self.counts.to_write()) else {
            return;
        };
        match db.write_counters(&accounts) {
            Ok(()) => self.counts.wrote(),
            // The next commit writes them.
            Err(error) => tracing::debug!(%error, "the counters are not written yet"),
        }
        self.file.keep_wal_short();
    }

    /// Runs a checkpoint between two transactions, if one is due.
    pub(super) fn keep_wal_short(&mut self) {
        self.file.keep_wal_short();
    }

    /// Takes the refused events from the queue, and the counters of the same moment.
    fn ask_queue(&mut self) {
        let refused = self.shared.queue.take_refused();
        self.note(refused);
    }

    fn note(&mut self, refused: Refused) {
        self.counts.update(refused.stats, &self.shared.counters);
        if let Some(span) = refused.queue_full {
            self.reporter.overloaded(span.dropped);
            self.file.add_loss(LossReason::QueueFull, span);
        }
        if let Some(span) = refused.shutdown {
            self.file.add_loss(LossReason::Shutdown, span);
        }
    }

    /// Drops the remaining events, records the loss in the file if possible, and closes
    /// the file.
    pub(super) fn close(&mut self) {
        self.shared.readers.close();
        let refused = self.shared.queue.give_up();
        if let Some(span) = refused.shutdown {
            let lost = span.dropped;
            tracing::warn!("{lost} events came too late for the store and are lost");
        }
        self.note(refused);
        self.file.close(&self.counts);
    }
}
