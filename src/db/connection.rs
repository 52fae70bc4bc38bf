//! The open connection of one writer, and its transactions.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::batch::{Batch, Shared};
use super::busy::{is_busy, retry_while_busy};
use super::checkpoint::Checkpoints;
use super::command_tx::CommandTx;
use super::connect::keep_wal_on_close;
use super::event_rows::EventLogs;
use super::files::{OpenFiles, Place};
use super::keyed_hash::KeyedHash;
use super::open_sessions::OpenSessions;
use super::rollup::NameCounts;
use super::session_ids::SessionIds;
use super::side_files;
use super::stored_ids::StoredIds;
use super::tasks::Unknown;
use super::writer_lock::WriterLock;
use super::writers::{self, Run};
use super::{LossLog, Synchronous, WriteError, WriterStats};

/// How long a batch waits for the write lock before the writer retries later. It is
/// short, because the writer handles nothing else meanwhile, not even a shutdown.
const WRITE_PATIENCE: Duration = Duration::from_millis(250);

/// The connection of one writer.
#[derive(Debug)]
pub(crate) struct Db {
    /// It is declared before the connection, so that the connection is closed last.
    /// `None` without a WAL, and if nothing is recorded: then SQLite checkpoints.
    pub(super) checkpoints: Option<RefCell<Checkpoints>>,
    pub(super) conn: Connection,
    pub(super) files: OpenFiles,
    /// A transaction found that the names lead to other files.
    pub(super) is_replaced: Cell<bool>,
    /// `None` if nothing is recorded.
    pub(super) run: Option<Run>,
    pub(super) session_ids: SessionIds,
    pub(super) keyed_hash: KeyedHash,
    pub(super) unknown_tasks: RefCell<Unknown>,
    /// The current setting of the connection; `None` if it must not be changed.
    pub(super) synchronous: Option<Cell<Synchronous>>,
    pub(super) event_logs: EventLogs,
    /// The state that rolling up remembers from one slice to the next.
    pub(super) name_counts: RefCell<NameCounts>,
    /// The time up to which sessions were last checked for pruning.
    pub(super) session_cursor: Cell<i64>,
}

impl Db {
    /// Returns a connection that records nothing, and so has no run.
    pub(super) fn new(conn: Connection, files: OpenFiles, is_wal: bool) -> Self {
        Self {
            checkpoints: None,
            conn,
            files,
            is_replaced: Cell::new(false),
            run: None,
            session_ids: SessionIds::Plain,
            keyed_hash: KeyedHash::new(&[]),
            unknown_tasks: RefCell::default(),
            synchronous: is_wal.then(|| Cell::new(Synchronous::Normal)),
            event_logs: EventLogs::default(),
            name_counts: RefCell::default(),
            session_cursor: Cell::new(i64::MIN),
        }
    }

    /// Reads the open sessions of the file.
    pub(crate) fn open_sessions(&self) -> rusqlite::Result<OpenSessions> {
        let read = || OpenSessions::read(&self.conn, &self.session_ids);
        retry_while_busy(WRITE_PATIENCE, is_busy, read)
    }

    /// Begins a transaction and takes the write lock.
    pub(crate) fn batch<'e>(&mut self) -> Result<Batch<'_, 'e>, WriteError> {
        self.synchronize(Synchronous::Normal)?;
        let run = self.run.as_ref().and_then(Run::name);
        let tx = self.begin(WRITE_PATIENCE)?;
        let file = Shared {
            ids: StoredIds {
                session_ids: &self.session_ids,
                keyed_hash: &self.keyed_hash,
            },
            unknown_tasks: &self.unknown_tasks,
            run,
        };
        Batch::begin(tx, &self.conn, file).map_err(WriteError::Store)
    }

    /// Writes only the counters of the run. Does not wait for a lock.
    pub(crate) fn write_counters(&mut self, accounts: &WriterStats) -> Result<(), WriteError> {
        self.synchronize(Synchronous::Normal)?;
        let Some(run) = self.run.as_ref().and_then(Run::name) else {
            return Ok(());
        };
        let tx = self.begin(Duration::ZERO)?;
        writers::update_counters(&tx, run, accounts)
            .and_then(|()| tx.commit())
            .map_err(WriteError::Store)
    }

    /// Begins a transaction of commands and takes the write lock.
    pub(crate) fn begin_commands(
        &mut self,
        synchronous: Synchronous,
    ) -> Result<CommandTx<'_>, WriteError> {
        self.synchronize(synchronous)?;
        // `self.begin` would borrow all of `self`, and the logs are needed as well.
        let tx = begin(&self.conn, &self.files, &self.is_replaced, WRITE_PATIENCE)?;
        CommandTx::begin(tx, &mut self.event_logs).map_err(WriteError::Store)
    }

    /// Sets the durability of the next commits. It cannot be called inside a
    /// transaction.
    fn synchronize(&self, wanted: Synchronous) -> Result<(), WriteError> {
        if let Some(current) = self.synchronous.as_ref().filter(|is| is.get() != wanted) {
            self.conn
                .pragma_update(None, "synchronous", wanted.as_str())
                .map_err(WriteError::Store)?;
            current.set(wanted);
        }
        Ok(())
    }

    /// Takes the write lock, if the names still lead to the files that are open.
    pub(super) fn begin(&self, patience: Duration) -> Result<Transaction<'_>, WriteError> {
        begin(&self.conn, &self.files, &self.is_replaced, patience)
    }

    /// Keeps the WAL short. The writer thread calls it after each transaction, when no
    /// caller waits for that.
    pub(crate) fn keep_wal_short(&self) {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.borrow_mut().advance(&self.conn);
        }
    }

    /// Keeps the table `writers` up to date. The writer thread calls it when no caller
    /// waits.
    pub(crate) fn tend_run(&mut self) {
        if let Some(run) = &mut self.run {
            run.tend(&self.conn);
        }
    }

    /// Ends the thread that checkpoints, so that this connection alone uses the WAL.
    pub(super) fn stop_checkpoints(&self) {
        if let Some(checkpoints) = &self.checkpoints {
            checkpoints.borrow_mut().stop();
        }
    }

    /// Returns whether a transaction found that the names lead to other files. This
    /// connection then writes nothing more, until [`leave`](Self::leave) finds that
    /// they are back.
    pub(crate) fn is_replaced(&self) -> bool {
        self.is_replaced.get()
    }

    /// Writes the last losses and counters, and ends the writer's run. Waits up to
    /// `patience` for a lock. The caller closes the file afterwards.
    ///
    /// If this fails, the run has no end, and the next opening records an unclean
    /// shutdown, because events may be missing.
    pub(crate) fn end(
        &mut self,
        loss_log: &mut LossLog,
        accounts: &WriterStats,
        patience: Duration,
    ) -> Result<(), WriteError> {
        self.stop_checkpoints();
        if let Some(run) = &mut self.run {
            run.tend_now(&self.conn);
        }
        let tx = self.begin(patience.max(WRITE_PATIENCE))?;
        let end = || match &self.run {
            Some(run) => run.end(&tx, accounts),
            None => Ok(()),
        };
        loss_log
            .write(&tx)
            .and_then(|()| end())
            .and_then(|()| tx.commit())
            .map_err(WriteError::Store)?;
        if let Some(run) = self.run.take() {
            run.leave();
        }
        Ok(())
    }

    /// Closes a connection that failed, or whose file was moved. Returns the lock of
    /// the run, which the next file needs. The WAL stays as it is, unless its name
    /// leads to the WAL of the open file.
    pub(crate) fn abandon(mut self) -> Option<WriterLock> {
        let lock = self.run.take().and_then(Run::into_lock);
        let is_named = matches!(self.files.place(), Place::Here | Place::Unlinked);
        if !is_named && let Err(error) = keep_wal_on_close(&self.conn, true) {
            tracing::debug!(%error, "the WAL may be removed");
        }
        lock
    }

    /// Closes the file. The last connection checkpoints and removes the WAL.
    pub(crate) fn close(self) -> Result<(), WriteError> {
        let Self {
            conn,
            files,
            checkpoints,
            ..
        } = self;
        drop(checkpoints);
        let closed = conn.close();
        // SQLite leaves the WAL of a moved file in place.
        if files.place() == Place::Moved && files.own_wal().is_some() {
            side_files::set_wal_aside_unless_empty(files.real());
        }
        closed.map_err(|(_, error)| WriteError::Store(error))
    }
}

/// Takes the write lock; `None` if the names lead to other files.
pub(super) fn begin_here<'c>(
    conn: &'c Connection,
    files: &OpenFiles,
) -> rusqlite::Result<Option<Transaction<'c>>> {
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    Ok(files.are_here().then_some(tx))
}

fn begin<'c>(
    conn: &'c Connection,
    files: &OpenFiles,
    is_replaced: &Cell<bool>,
    patience: Duration,
) -> Result<Transaction<'c>, WriteError> {
    let begin = || begin_here(conn, files);
    match retry_while_busy(patience, is_busy, begin) {
        Ok(Some(tx)) => Ok(tx),
        Ok(None) => {
            is_replaced.set(true);
            Err(WriteError::Replaced)
        }
        Err(error) => Err(WriteError::Store(error)),
    }
}
