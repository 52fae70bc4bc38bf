//! Opens a file for writing, or refuses it and leaves it unchanged.
//!
//! 1. Creates the file and its directories if they are missing.
//! 2. Inspects the file over a read-only connection that leaves no trace. A file
//!    that is not ours is refused here, unchanged.
//! 3. Inspects it again over the writing connection, inside the transaction that
//!    migrates, because another process may have been first. This inspection
//!    decides; step 2 only prevents writes to a refused file.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::busy::{OPEN_PATIENCE, is_busy, retry_while_busy};
use super::checkpoint::Checkpoints;
use super::connect::{connect, keep_wal_on_close};
use super::connection::{Db, begin_here};
use super::create::{create, unwritable};
use super::files::{Files, OpenFiles};
use super::keyed_hash::KeyedHash;
use super::pulled;
use super::read_only::{self, Access};
use super::session_ids::SessionIds;
use super::set_up::{make_ready, replaced};
use super::writer_identity::WriterIdentity;
use super::writer_lock::WriterLock;
use super::writers::Run;
use super::{inspect, side_files};
use crate::error::{OpenError, OpenErrorKind};

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
            refuse_pulled(&conn, path)?;
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
                run: Some(run),
                session_ids,
                keyed_hash,
                ..Self::new(conn, files, is_wal)
            })
        })
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
            Ok(Self::new(conn, files, is_wal))
        })
    }

    /// Fails if the file was pulled from the database of a fleet.
    #[cfg(feature = "outbox")]
    pub(crate) fn refuse_pulled(&self, path: &Path) -> Result<(), OpenError> {
        refuse_pulled(&self.conn, path)
    }
}

/// Fails if the file was pulled from the database of a fleet.
fn refuse_pulled(conn: &Connection, path: &Path) -> Result<(), OpenError> {
    match pulled::is_pulled(conn) {
        Ok(false) => Ok(()),
        Ok(true) => Err(pulled::refusal(path)),
        Err(error) => Err(inspect::sqlite(path, "it cannot be read", error)),
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
