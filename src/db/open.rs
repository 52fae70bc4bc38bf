//! Opens a file for writing, or refuses it and leaves it unchanged.
//!
//! 1. Creates the file and its directories if they are missing.
//! 2. Inspects the file over a read-only connection that leaves no trace. A file
//!    that is not ours is refused here, unchanged.
//! 3. Inspects it again over the writing connection, inside the transaction that
//!    migrates, because another process may have been first. This inspection
//!    decides; step 2 only prevents writes to a refused file.

use std::cell::{Cell, RefCell};
use std::fs;
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use uuid::Uuid;

use super::batch::Shared;
use super::busy::{is_busy, retry_while_busy};
use super::checkpoint::{self, Checkpoints};
use super::command_tx::CommandTx;
use super::create::{create, unwritable};
use super::event_rows::EventLogs;
use super::files::{Files, OpenFiles, Place};
use super::keyed_hash::KeyedHash;
use super::open_sessions::OpenSessions;
use super::read_only::{self, Access};
use super::rollup::NameCounts;
use super::session_ids::SessionIds;
use super::side_files;
use super::tasks::Unknown;
use super::writer_identity::WriterIdentity;
use super::writer_lock::WriterLock;
use super::writers;
use super::writers::Run;
use super::{
    Batch, LINEAGE, LossLog, SCHEMA_VERSION, Synchronous, WriteError, WriterStats, brief, inspect,
    meta, migrate, retention,
};
use crate::clock;
use crate::error::{OpenError, OpenErrorKind};

/// How long an opening waits for each lock that another program holds.
const OPEN_PATIENCE: Duration = Duration::from_secs(2);

/// How long a batch waits for the write lock before the writer retries later. It is
/// short, because the writer handles nothing else meanwhile, not even a shutdown.
const WRITE_PATIENCE: Duration = Duration::from_millis(250);

/// How long SQLite itself waits, in milliseconds. [`retry_while_busy`] does the
/// rest.
const BUSY_TIMEOUT_MS: i64 = 1;

/// The capacity of the statement cache: more than the writer has, so that each is
/// prepared once.
const STATEMENTS: usize = 64;

/// The page cache of the connection, in KiB: the ends of all indexes, where rows
/// are added, and more.
const CACHE_KIB: i64 = 16 << 10;

/// The size in bytes to which the WAL is cut after a reader had prevented
/// checkpoints.
const WAL_LIMIT: i64 = 32 << 20;

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
    session_ids: SessionIds,
    keyed_hash: KeyedHash,
    unknown_tasks: RefCell<Unknown>,
    /// The current setting of the connection; `None` if it must not be changed.
    synchronous: Option<Cell<Synchronous>>,
    pub(super) event_logs: EventLogs,
    /// The state that rolling up remembers from one slice to the next.
    pub(super) name_counts: RefCell<NameCounts>,
    /// The time up to which sessions were last checked for pruning.
    pub(super) session_cursor: Cell<i64>,
}

impl Db {
    /// Opens `path` for this writer.
    ///
    /// `kept` is the lock of the writer's run, if it had another file open.
    pub(crate) fn open(
        path: &Path,
        writer: &WriterIdentity,
        kept: &mut Option<WriterLock>,
    ) -> Result<Self, OpenError> {
        settled(|| {
            let real = create(path, writer.file_mode)?;
            let opened = Opened::at(path, &real)?;
            let failed = |error| inspect::sqlite(path, "it cannot be opened for writing", error);
            let Opened {
                conn,
                files,
                is_wal,
            } = opened;
            let keyed_hash = || match begin_here(&conn, &files) {
                Ok(Some(tx)) => {
                    let key = match &writer.shared_key {
                        Some(key) => key.clone(),
                        None => KeyedHash::of_file(&tx)?,
                    };
                    let before = key.enter(&tx)?;
                    tx.commit().map(|()| Some((key, before)))
                }
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            let keyed_hash = retry_while_busy(OPEN_PATIENCE, is_busy, keyed_hash);
            let (keyed_hash, key_before) =
                keyed_hash.map_err(failed)?.ok_or_else(|| replaced(path))?;
            if let Some(before) = key_before {
                tracing::warn!(
                    "{} was recorded under another key ({before}, now {}); what is hashed with \
                     one key is not found by the hashes of the other",
                    path.display(),
                    keyed_hash.fingerprint(),
                );
            }
            let session_ids = SessionIds::new(writer.session_ids, &keyed_hash);
            let lock = kept.take_if(|lock| lock.is_of(&real, writer.id));
            let mut run = Run::new(writer, files.clone(), lock);
            let enter = || run.enter(&conn, OPEN_PATIENCE);
            if let Err(error) = retry_while_busy(OPEN_PATIENCE, is_busy, enter) {
                *kept = kept.take().or(run.into_lock());
                return Err(failed(error));
            }
            if let Some(elsewhere) = kept.take() {
                elsewhere.remove();
            }
            keep_wal_on_close(&conn, false).map_err(failed)?;
            let checkpoints = is_wal.then(|| Checkpoints::of(&conn, files.clone()));
            let checkpoints = checkpoints.transpose().map_err(failed)?;
            Ok(Self {
                checkpoints: checkpoints.map(RefCell::new),
                conn,
                files,
                is_replaced: Cell::new(false),
                run: Some(run),
                session_ids,
                keyed_hash,
                unknown_tasks: RefCell::default(),
                synchronous: is_wal.then(|| Cell::new(Synchronous::Normal)),
                event_logs: EventLogs::default(),
                name_counts: RefCell::default(),
                session_cursor: Cell::new(i64::MIN),
            })
        })
    }

    /// Reads the open sessions of the file.
    pub(crate) fn open_sessions(&self) -> rusqlite::Result<OpenSessions> {
        let read = || OpenSessions::read(&self.conn, &self.session_ids);
        retry_while_busy(WRITE_PATIENCE, is_busy, read)
    }

    /// Opens an existing file for maintenance, which records nothing and so has no run.
    pub(crate) fn open_to_maintain(path: &Path) -> Result<Self, OpenError> {
        settled(|| {
            let real = read_only::locate(path)?;
            if is_empty(&real) {
                return Err(inspect::empty(path));
            }
            let Opened {
                conn,
                files,
                is_wal,
            } = Opened::at(path, &real)?;
            let failed = |error| inspect::sqlite(path, "it cannot be opened for writing", error);
            keep_wal_on_close(&conn, false).map_err(failed)?;
            Ok(Self {
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
            })
        })
    }

    /// Begins a transaction and takes the write lock.
    pub(crate) fn batch<'e>(&mut self) -> Result<Batch<'_, 'e>, WriteError> {
        self.synchronize(Synchronous::Normal)?;
        let run = self.run.as_ref().and_then(Run::name);
        let tx = self.begin(WRITE_PATIENCE)?;
        let file = Shared {
            session_ids: &self.session_ids,
            keyed_hash: &self.keyed_hash,
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

/// How often an opening is retried because the file was replaced during it.
const ATTEMPTS: usize = 5;

/// Retries the opening until the names lead to the same files before and after it.
fn settled(mut open: impl FnMut() -> Result<Db, OpenError>) -> Result<Db, OpenError> {
    let mut attempts = 1;
    loop {
        match open() {
            Err(error) if error.kind() == OpenErrorKind::Displaced && attempts < ATTEMPTS => {
                attempts += 1;
            }
            done => return done,
        }
    }
}

/// This is not the error of [`replaced`], because a retry does not help.
fn held_otherwise(path: &Path) -> OpenError {
    let detail = "it was moved and came back, and this process has it open from before; \
                  use the other stores and readers of it once, or drop them";
    OpenError::new(OpenErrorKind::Other, path, detail)
}

fn replaced(path: &Path) -> OpenError {
    let detail = "it was moved, removed or replaced while it was being opened; try again";
    OpenError::new(OpenErrorKind::Displaced, path, detail)
}

/// A file that is ready to be written to.
struct Opened {
    conn: Connection,
    files: OpenFiles,
    is_wal: bool,
}

impl Opened {
    fn at(path: &Path, real: &Path) -> Result<Self, OpenError> {
        let unreachable = |error| unwritable(path, error);
        let _guard = side_files::set_foreign_aside(real).map_err(unreachable)?;
        if side_files::are_split(real) {
            let detail = "a side file of it was removed while a store has it open; it can be \
                          opened again once that store records an event or ends";
            return Err(OpenError::new(OpenErrorKind::WalMissing, path, detail));
        }
        refuse_untouched(path, real)?;
        // SQLite opens the main file now and its side files later, each by name. So the
        // files at the names are compared before and after, with the write lock: files that
        // are the same at both times were the same in between.
        let before = Files::at(real).map_err(unreachable)?;
        if before.open_otherwise() {
            return Err(held_otherwise(path));
        }
        let failed = |error| inspect::sqlite(path, "it cannot be opened for writing", error);
        let conn = connect(real).map_err(failed)?;
        let is_wal = make_ready(&conn, path, real, before)?;
        let hold = || Transaction::new_unchecked(&conn, TransactionBehavior::Immediate);
        let held = retry_while_busy(OPEN_PATIENCE, is_busy, hold).map_err(failed)?;
        let files = Files::at(real).map_err(unreachable)?;
        // A link that has replaced the file leads to a file whose side files and locks have
        // other names.
        let is_link = fs::canonicalize(real).map_err(unreachable)? != real;
        if is_link || !before.are_in(files) || !files.are_whole() {
            return Err(replaced(path));
        }
        drop(held);
        let files = OpenFiles::new(path, real, files);
        Ok(Self {
            conn,
            files,
            is_wal,
        })
    }
}

/// Takes the write lock; `None` if the names lead to other files.
fn begin_here<'c>(
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

/// Step 2: fails if the file has to be refused.
///
/// A read-only connection to a database in WAL mode creates the `-wal` and `-shm`
/// files and leaves them behind. `immutable` prevents that, but is only right while
/// no program writes. So it is used if there is neither a WAL nor a journal, before
/// and after. With a WAL the existing `-shm` is read without being written to. A
/// file that neither can read is left to step 3.
fn refuse_untouched(path: &Path, real: &Path) -> Result<(), OpenError> {
    if is_empty(real) {
        return Ok(());
    }
    let was_at_rest = read_only::at_rest(real);
    let access = if was_at_rest {
        Access::AtRest
    } else {
        Access::SharedUntouched
    };
    let verdict = read_only::open(real, access)
        .map_err(|error| inspect::sqlite(path, "it cannot be read", error))
        .and_then(|conn| inspect::version(&conn, path));
    match verdict {
        Err(error) if inspect::is_refusal(&error) && was_at_rest == read_only::at_rest(real) => {
            Err(error)
        }
        _ => Ok(()),
    }
}

fn is_empty(real: &Path) -> bool {
    real.metadata().is_ok_and(|file| file.len() == 0)
}

pub(super) fn connect(real: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        real,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.pragma_update(None, "busy_timeout", BUSY_TIMEOUT_MS)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise SQLite prepares a statement again whenever a bound value is compared
    // with a column without an index.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // A file that step 3 refuses keeps its WAL.
    keep_wal_on_close(&conn, true)?;
    // The tables have one such constraint, on `status`, which our type guarantees.
    // SQLite would build a temporary tree for its list of values with every row, which
    // is a third of the cost of the row.
    conn.pragma_update(None, "ignore_check_constraints", true)?;
    // A user's table must not be able to block the migration or the writer.
    conn.pragma_update(None, "foreign_keys", false)?;
    Ok(conn)
}

/// Step 3, and the settings of the connection after it.
pub(super) fn make_ready(
    conn: &Connection,
    path: &Path,
    real: &Path,
    files: Files,
) -> Result<bool, OpenError> {
    let set_up = || set_up(conn, path, real, files);
    retry_while_busy(OPEN_PATIENCE, is_locked, set_up)?;
    let settings = || switch_to_wal(conn).and_then(|is_wal| bound(conn).map(|()| is_wal));
    retry_while_busy(OPEN_PATIENCE, is_busy, settings)
        .map_err(|error| inspect::sqlite(path, "it cannot be opened for writing", error))
}

fn is_locked(error: &OpenError) -> bool {
    error.kind() == OpenErrorKind::Locked
}

pub(super) fn keep_wal_on_close(conn: &Connection, keep: bool) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep)
        .map(drop)
}

/// Step 3.
fn set_up(conn: &Connection, path: &Path, real: &Path, files: Files) -> Result<(), OpenError> {
    let failed = |error| inspect::sqlite(path, "it cannot be written", error);

    let pages: i64 = conn
        .pragma_query_value(None, "page_count", |row| row.get(0))
        .map_err(failed)?;
    if pages == 0 {
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")
            .map_err(failed)?;
    }

    // The migration runs in the current journal mode. The switch to WAL cannot be part
    // of a transaction, so it follows.
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate).map_err(failed)?;
    if !Files::at(real).is_ok_and(|now| files.are_in(now) && now.are_whole()) {
        return Err(replaced(path));
    }
    let found = inspect::version(&tx, path)?;
    migrate::migrate(&tx, found, SCHEMA_VERSION).map_err(|error| {
        if found == 0 {
            return failed(error);
        }
        let detail = format!(
            "its tables could not be brought from version {found} to {SCHEMA_VERSION}; \
             the file is as it was"
        );
        OpenError::new(OpenErrorKind::MigrationFailed, path, detail).with_source(brief(error))
    })?;
    let inherit = || match found {
        1..=inspect::LAST_SHARED_VERSION => retention::inherit(&tx),
        _ => Ok(()),
    };
    write_meta(&tx)
        .and_then(|()| inherit())
        .and_then(|()| tx.commit())
        .map_err(failed)
}

/// Switches to WAL. Returns whether that worked.
fn switch_to_wal(conn: &Connection) -> rusqlite::Result<bool> {
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    let is_wal = mode.eq_ignore_ascii_case("wal");
    if is_wal {
        // In other journal modes a power loss could then damage the file.
        conn.pragma_update(None, "synchronous", Synchronous::Normal.as_str())?;
    }
    Ok(is_wal)
}

/// Sets limits. SQLite reads the file for this first, and may find the lock of
/// another opening.
fn bound(conn: &Connection) -> rusqlite::Result<()> {
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update(None, "wal_autocheckpoint", checkpoint::STEP)?;
    conn.pragma_update(None, "journal_size_limit", WAL_LIMIT)
}

fn write_meta(conn: &Connection) -> rusqlite::Result<()> {
    for (key, value) in [
        ("created_at", clock::unix_ms().to_string()),
        ("store_id", Uuid::now_v7().to_string()),
    ] {
        meta::set_once(conn, key, &value)?;
    }
    for (key, value) in [
        ("schema_version", SCHEMA_VERSION.to_string().as_str()),
        ("writer_version", env!("CARGO_PKG_VERSION")),
        ("lineage", LINEAGE),
        (migrate::FINGERPRINT, migrate::fingerprint()),
    ] {
        meta::set(conn, key, value)?;
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::db::FileMode;

    #[test]
    fn link_that_took_the_place_of_the_file_is_not_opened_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let named = create(&folder.path().join("mcp.db"), FileMode::Owner).unwrap();
        let target = create(&folder.path().join("elsewhere.db"), FileMode::Owner).unwrap();
        fs::remove_file(&named).unwrap();
        std::os::unix::fs::symlink(&target, &named).unwrap();

        let opened = Opened::at(&named, &named);

        let error = opened.err().expect("the lock would have the link's name");
        assert_eq!(error.kind(), OpenErrorKind::Displaced);
        assert!(Opened::at(&named, &target).is_ok());
    }
}
