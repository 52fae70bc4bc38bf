//! The files that a connection has open, and where their names lead now.
//!
//! A database in WAL mode consists of three files: the main file, `-wal` and
//! `-shm`. SQLite opens the side files by name, so a connection is right only while
//! all three names belong together. A program that moves, removes or replaces the
//! main file leaves the side files of the old file beside the new one:
//!
//! - A program that opens the new file reads the frames of the old file's WAL into
//!   it.
//! - Two files share one `-shm`. A process that closes its last connection to one
//!   of them drops its POSIX locks on the `-shm` that the other still maps. Another
//!   process then takes the `-shm` for unused and truncates it, and the next access
//!   to the mapping is a SIGBUS.
//!
//! So each writer compares the files that the names lead to with the files that it
//! opened, after it has the write lock and before it writes. If one differs, it
//! does not write ([`OpenFiles::place`]). The names of the side files are removed
//! only under the write lock and with an empty WAL
//! ([`departure`](super::departure)). Together this means: once the names are
//! removed, no writer of this crate adds a frame to the old WAL.
//!
//! SQLite keeps one `-shm` for each main file in a process, even if its name leads
//! elsewhere by now. So if a file was moved and came back, an older connection of
//! this process would share its `-shm` with a new connection, while other processes
//! use another one. [`Files::open_otherwise`] detects that before anything is
//! opened. It knows only the connections of this crate.
//!
//! `metadata` opens nothing. Opening and closing one of the files here would drop
//! the locks that SQLite holds on it in this process.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, io};

use super::sidecar::sidecar;

/// How long a connection may stay registered after it was closed.
const CLOSING: Duration = Duration::from_millis(500);

/// The file that a name leads to. Unique while the file exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    #[cfg(unix)]
    pub(super) device: u64,
    #[cfg(unix)]
    pub(super) inode: u64,
}

impl Identity {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        #[cfg(unix)]
        return Ok(Self {
            device: std::os::unix::fs::MetadataExt::dev(&metadata),
            inode: std::os::unix::fs::MetadataExt::ino(&metadata),
        });
        // On other systems an open file can be neither moved nor removed.
        #[cfg(not(unix))]
        return metadata
            .is_file()
            .then_some(Self {})
            .ok_or(io::ErrorKind::NotFound.into());
    }

    /// Returns the identity of a file; `None` if there is no such file.
    pub(super) fn if_any(path: &Path) -> io::Result<Option<Self>> {
        match Self::of(path) {
            Ok(identity) => Ok(Some(identity)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The files of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) main: Identity,
    pub(crate) wal: Option<Identity>,
    pub(crate) shm: Option<Identity>,
}

impl Files {
    /// Returns the files that the names of the database at `real` lead to.
    pub(crate) fn at(real: &Path) -> io::Result<Self> {
        Ok(Self {
            main: Identity::of(real)?,
            wal: Identity::if_any(&sidecar(real, "-wal"))?,
            shm: Identity::if_any(&sidecar(real, "-shm"))?,
        })
    }

    /// Returns whether both side files exist, or neither.
    pub(crate) fn are_whole(self) -> bool {
        self.wal.is_some() == self.shm.is_some()
    }

    /// Returns whether every file of `self` is also in `later`, which may have more
    /// side files.
    pub(crate) fn are_in(self, later: Self) -> bool {
        let is_kept = |before: Option<_>, after| before.is_none() || before == after;
        self.main == later.main && is_kept(self.wal, later.wal) && is_kept(self.shm, later.shm)
    }
}

/// The databases in WAL mode that connections of this process have open, one entry
/// per connection.
static OPEN: Mutex<Vec<Files>> = Mutex::new(Vec::new());

fn open_here() -> MutexGuard<'static, Vec<Files>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Files {
    /// Returns whether this process has the main file open with other side files than
    /// those at the names.
    ///
    /// A closed connection stays registered for a moment. If its file was removed by
    /// then, another file can have the same inode, so this waits for a short time.
    pub(crate) fn open_otherwise(self) -> bool {
        let is_other = |open: &Self| open.main == self.main && *open != self;
        let start = Instant::now();
        loop {
            let is_open = open_here().iter().any(is_other);
            if !is_open || start.elapsed() >= CLOSING {
                return is_open;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Registers the files of a connection for later openings. Drop it after the
/// connection.
#[derive(Debug)]
pub(crate) struct Registration(Files);

impl Registration {
    /// Registers files; `None` outside of WAL mode, where nothing is shared.
    pub(crate) fn of(files: Files) -> Option<Self> {
        files.shm?;
        open_here().push(files);
        Some(Self(files))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut open = open_here();
        if let Some(place) = open.iter().position(|files| *files == self.0) {
            open.swap_remove(place);
        }
    }
}

/// Where the names of an open database lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// To the files that are open.
    Here,
    /// The path leads elsewhere, but the resolved name leads to the open files: a
    /// symbolic link was changed.
    Unlinked,
    /// The main file is in its place, but side files were removed and not replaced.
    Stripped,
    /// The main file is in its place, but has other side files now.
    Rebuilt,
    /// The resolved name leads to another main file or to none.
    Moved,
}

/// The files that a connection has open, with their names. Drop it after the
/// connection.
#[derive(Debug, Clone)]
pub(crate) struct OpenFiles {
    /// The path as it was given.
    path: PathBuf,
    /// The path with links resolved at the opening.
    real: PathBuf,
    wal: PathBuf,
    shm: PathBuf,
    files: Files,
    _registration: Option<Arc<Registration>>,
}

impl OpenFiles {
    /// Makes it of the `files` that the connection to `real` has open.
    pub(super) fn new(path: &Path, real: &Path, files: Files) -> Self {
        Self {
            path: path.to_owned(),
            real: real.to_owned(),
            wal: sidecar(real, "-wal"),
            shm: sidecar(real, "-shm"),
            files,
            _registration: Registration::of(files).map(Arc::new),
        }
    }

    pub(super) fn real(&self) -> &Path {
        &self.real
    }

    pub(super) fn files(&self) -> Files {
        self.files
    }

    /// Returns where the names lead now.
    pub(super) fn place(&self) -> Place {
        let open = self.files;
        if Identity::of(&self.real).ok() != Some(open.main) {
            return Place::Moved;
        }
        let (wal, shm) = (self.named_wal(), self.named_shm());
        if (wal, shm) != (open.wal, open.shm) {
            let named = Files { wal, shm, ..open };
            return match named.are_in(open) {
                true => Place::Stripped,
                false => Place::Rebuilt,
            };
        }
        let is_same = self.path == self.real || Identity::of(&self.path).ok() == Some(open.main);
        match is_same {
            true => Place::Here,
            false => Place::Unlinked,
        }
    }

    /// Returns whether the names lead to the open files.
    pub(super) fn are_here(&self) -> bool {
        self.place() == Place::Here
    }

    /// Returns the name of the WAL, if it leads to the open one.
    pub(super) fn own_wal(&self) -> Option<&Path> {
        let is_own = self.files.wal.is_some() && self.named_wal() == self.files.wal;
        is_own.then_some(&self.wal)
    }

    /// Returns the name of the `-shm` file, if it leads to the open one.
    pub(super) fn own_shm(&self) -> Option<&Path> {
        let is_own = self.files.shm.is_some() && self.named_shm() == self.files.shm;
        is_own.then_some(&self.shm)
    }

    // If the look-up of a name fails, the name counts as leading elsewhere.
    fn named_wal(&self) -> Option<Identity> {
        Identity::of(&self.wal).ok()
    }

    fn named_shm(&self) -> Option<Identity> {
        Identity::of(&self.shm).ok()
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Creates a database of three files in a directory.
    fn database() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(dir.path()).unwrap().join("db");
        for suffix in ["", "-wal", "-shm"] {
            fs::write(sidecar(&real, suffix), "").unwrap();
        }
        (dir, real)
    }

    fn open(path: &Path, real: &Path) -> OpenFiles {
        OpenFiles::new(path, real, Files::at(real).unwrap())
    }

    #[test]
    fn place_says_which_names_lead_elsewhere() {
        type Change = fn(&Path);
        let cases: [(Change, Place); 8] = [
            (|_| {}, Place::Here),
            (|real| fs::remove_file(real).unwrap(), Place::Moved),
            (
                |real| {
                    fs::write(sidecar(real, "-new"), "").unwrap();
                    fs::rename(sidecar(real, "-new"), real).unwrap();
                },
                Place::Moved,
            ),
            (
                |real| fs::remove_file(sidecar(real, "-wal")).unwrap(),
                Place::Stripped,
            ),
            (
                |real| fs::remove_file(sidecar(real, "-shm")).unwrap(),
                Place::Stripped,
            ),
            (
                |real| {
                    fs::write(sidecar(real, "-new"), "").unwrap();
                    fs::rename(sidecar(real, "-new"), sidecar(real, "-wal")).unwrap();
                },
                Place::Rebuilt,
            ),
            (
                |real| {
                    fs::write(sidecar(real, "-new"), "").unwrap();
                    fs::rename(sidecar(real, "-new"), sidecar(real, "-shm")).unwrap();
                },
                Place::Rebuilt,
            ),
            (
                |real| {
                    fs::rename(real, sidecar(real, "-away")).unwrap();
                    fs::rename(sidecar(real, "-away"), real).unwrap();
                },
                Place::Here,
            ),
        ];
        for (number, (change, place)) in cases.into_iter().enumerate() {
            let (_dir, real) = database();
            let files = open(&real, &real);
            change(&real);
            assert_eq!(files.place(), place, "case {number}");
        }
    }

    #[test]
    fn place_distinguishes_a_changed_link_from_a_moved_file() {
        let (dir, real) = database();
        let link = dir.path().join("link");
        symlink(&real, &link).unwrap();
        let files = open(&link, &real);
        assert_eq!(files.place(), Place::Here);
        fs::remove_file(&link).unwrap();
        assert_eq!(files.place(), Place::Unlinked);
        symlink(dir.path(), &link).unwrap();
        assert_eq!(files.place(), Place::Unlinked);
        fs::remove_file(&real).unwrap();
        assert_eq!(files.place(), Place::Moved);
    }

    #[test]
    fn names_that_lead_elsewhere_are_not_those_of_the_open_files() {
        let (_dir, real) = database();
        let files = open(&real, &real);
        assert!(files.own_wal().is_some() && files.own_shm().is_some());
        let (wal, shm) = (sidecar(&real, "-wal"), sidecar(&real, "-shm"));
        fs::rename(&shm, &wal).unwrap();
        assert_eq!((files.own_wal(), files.own_shm()), (None, None));
    }

    #[test]
    fn file_is_open_otherwise_until_the_last_connection_with_other_side_files_is_closed() {
        let (_dir, real) = database();
        let files = open(&real, &real);
        let copy = files.clone();
        assert!(!Files::at(&real).unwrap().open_otherwise());
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(sidecar(&real, suffix)).unwrap();
        }
        assert!(Files::at(&real).unwrap().open_otherwise());
        drop(files);
        assert!(Files::at(&real).unwrap().open_otherwise());
        drop(copy);
        assert!(!Files::at(&real).unwrap().open_otherwise());
    }

    #[test]
    fn opening_waits_for_a_connection_that_is_being_closed() {
        let (_dir, real) = database();
        let files = open(&real, &real);
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(sidecar(&real, suffix)).unwrap();
        }
        let found = Files::at(&real).unwrap();
        let closing = std::thread::spawn(move || drop(files));
        assert!(!found.open_otherwise());
        closing.join().unwrap();
    }
}
