//! The proof that a writer is alive.
//!
//! Each run of a writer holds an exclusive lock of the operating system on its own
//! side file, `<database>-lock-<run>`, while it has the database open. The
//! operating system releases the lock when the process ends for any reason. A run
//! whose lock is free therefore has no living writer.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::file_mode::FileMode;
use super::sidecar::sidecar;
use crate::clock;

/// The pause between two attempts at a lock that another process holds.
const STEP: Duration = Duration::from_millis(10);

/// The beginning of a side file once its writer has held the lock. Without it, the
/// file belongs to a writer that is about to take the lock, or was killed before.
const HELD: &str = "held";

/// The part of a side file's name between the database's name and the run.
const SUFFIX: &str = "-lock-";

/// The lock of one run. The side file stays when this is dropped;
/// [`remove`](Self::remove) deletes it.
#[derive(Debug)]
pub(crate) struct WriterLock {
    path: PathBuf,
    /// The locked file, which also contains the writer's note about its files.
    file: File,
}

impl WriterLock {
    /// Takes the lock of `run`, waiting up to `patience` for a process that holds it.
    pub(super) fn acquire(
        database: &Path,
        run: Uuid,
        patience: Duration,
    ) -> Result<Self, TryLockError> {
        let path = path(database, run);
        let start = Instant::now();
        loop {
            let file = create(&path, FileMode::of(database)).map_err(TryLockError::Error)?;
            match file.try_lock() {
                Ok(()) if leads_to(&path, &file) => {
                    let lock = Self { path, file };
                    lock.note("").map_err(TryLockError::Error)?;
                    return Ok(lock);
                }
                // Another writer removed the file before this one had the lock.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if start.elapsed() < patience => {
                    std::thread::sleep(STEP);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns whether it is the lock of `run` on the database of this name. The file
    /// may have been moved along with the database.
    pub(super) fn is_of(&self, database: &Path, run: Uuid) -> bool {
        self.path == path(database, run) && leads_to(&self.path, &self.file)
    }

    /// Notes which files belong together, for later openings.
    pub(super) fn note(&self, text: &str) -> io::Result<()> {
        let note = format!("{HELD} {text}\n");
        let mut file = &self.file;
        file.rewind()?;
        // It is cut after the write, so that even after a kill the file shows that the lock
        // was held.
        file.write_all(note.as_bytes())?;
        file.set_len(note.len() as u64)
    }

    /// Releases the lock and removes its file.
    pub(crate) fn remove(self) {
        if leads_to(&self.path, &self.file) {
            remove(&self.path);
        }
    }
}

/// Returns whether no living writer holds the lock of `run`. If the file system
/// does not say, the run counts as alive.
pub(super) fn is_free(database: &Path, run: Uuid) -> bool {
    match open(&path(database, run)) {
        Ok(file) => file.try_lock().is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Removes the side files that killed writers left. Returns their runs, and when
/// each run began, in unix milliseconds.
pub(super) fn sweep(database: &Path) -> Vec<(Uuid, i64)> {
    let dead = of_all_runs(database).into_iter().filter_map(|(run, path)| {
        // The lock is held while the file is removed, so that a writer that opens it in the
        // meantime notices in `acquire`.
        let file = open(&path).ok()?;
        if file.try_lock().is_err() || !leads_to(&path, &file) {
            return None;
        }
        let entered = file.metadata().and_then(|file| file.modified());
        let was_held = note_in(&path).is_some();
        remove(&path);
        was_held.then(|| (run, entered.map_or(0, clock::to_unix_ms)))
    });
    dead.collect()
}

/// Returns the notes of all runs, including killed ones.
pub(super) fn notes(database: &Path) -> Vec<(Uuid, String)> {
    let notes = of_all_runs(database).into_iter();
    notes
        .filter_map(|(run, path)| Some((run, note_in(&path)?)))
        .collect()
}

/// Returns the note in a side file, if its writer has held the lock.
fn note_in(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    text.strip_prefix(HELD).map(str::to_owned)
}

/// Returns the existing side files with their runs.
fn of_all_runs(database: &Path) -> Vec<(Uuid, PathBuf)> {
    let (Some(directory), Some(name)) = (database.parent(), database.file_name()) else {
        return Vec::new();
    };
    let mut prefix = OsString::from(name);
    prefix.push(SUFFIX);
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let ours = entries
        .flatten()
        .filter_map(|entry| Some((run(&entry.file_name(), &prefix)?, entry.path())));
    ours.collect()
}

/// Returns the run of a file with this name, if it is a lock file: the prefix, and
/// then the run.
fn run(name: &OsStr, prefix: &OsStr) -> Option<Uuid> {
    let run = name
        .as_encoded_bytes()
        .strip_prefix(prefix.as_encoded_bytes());
    Uuid::try_parse_ascii(run?).ok()
}

fn path(database: &Path, run: Uuid) -> PathBuf {
    sidecar(database, &format!("{SUFFIX}{run}"))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Opens the file, or makes it with the mode of its database.
fn create(path: &Path, mode: FileMode) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    mode.apply(&mut options);
    options.open(path)
}

fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path) {
        tracing::debug!(%error, path = %path.display(), "a lock file stays");
    }
}

/// Returns whether `path` is still the name of `file`.
fn leads_to(path: &Path, file: &File) -> bool {
    let (Ok(named), Ok(opened)) = (fs::metadata(path), file.metadata()) else {
        return false;
    };
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        (named.dev(), named.ino()) == (opened.dev(), opened.ino())
    }
    // On other systems an open file keeps its name.
    #[cfg(not(unix))]
    {
        named.is_file() && opened.is_file()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names = Vec::from_iter(names);
        names.sort();
        names
    }

    #[test]
    fn lock_of_a_living_run_is_held_and_lock_of_a_dropped_run_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("mcp.db");
        let (run, other) = (Uuid::now_v7(), Uuid::now_v7());
        assert!(is_free(&database, run), "there is no file yet");
        let lock = WriterLock::acquire(&database, run, NONE).unwrap();
        assert!(!is_free(&database, run));
        assert!(is_free(&database, other));
        let second = WriterLock::acquire(&database, run, NONE);
        assert!(matches!(second, Err(TryLockError::WouldBlock)));
        drop(lock);
        assert!(is_free(&database, run));
        let again = WriterLock::acquire(&database, run, NONE).unwrap();
        again.remove();
        assert_eq!(names(dir.path()), [""; 0]);
    }

    #[test]
    fn writer_that_is_about_to_take_its_lock_is_not_dead() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("mcp.db");
        let [starting, killed] = [(); 2].map(|()| Uuid::now_v7());
        let opened = create(&path(&database, starting), FileMode::Owner).unwrap();
        drop(WriterLock::acquire(&database, killed, NONE).unwrap());

        let dead: Vec<_> = sweep(&database).into_iter().map(|(run, _)| run).collect();

        assert_eq!(dead, [killed]);
        assert_eq!(names(dir.path()), [""; 0]);
        opened.try_lock().unwrap();
        assert!(
            !leads_to(&path(&database, starting), &opened),
            "it tries again"
        );
    }

    #[test]
    fn sweep_removes_only_files_of_dead_runs_of_this_database() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("mcp.db");
        let (alive, dead) = (Uuid::now_v7(), Uuid::now_v7());
        let lock = WriterLock::acquire(&database, alive, NONE).unwrap();
        drop(WriterLock::acquire(&database, dead, NONE).unwrap());
        let other = dir.path().join("other.db");
        drop(WriterLock::acquire(&other, dead, NONE).unwrap());
        fs::write(dir.path().join("mcp.db-lock-notes"), "").unwrap();
        sweep(&database);
        let left = [
            format!("mcp.db-lock-{alive}"),
            "mcp.db-lock-notes".to_owned(),
            format!("other.db-lock-{dead}"),
        ];
        assert_eq!(names(dir.path()), left);
        drop(lock);
    }
}
