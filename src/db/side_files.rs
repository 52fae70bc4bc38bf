//! Side files that belong to another database file than the one beside them.
//!
//! They exist after the main file was moved, removed or replaced and before its
//! writer noticed, or after that writer was killed. Each writer notes in its lock
//! file which three files belong together ([`note`]). An opening compares that with
//! the files that it finds ([`are_foreign`]). A WAL beside a missing or empty main
//! file belongs to another file in any case: SQLite would remove it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};
use std::{io, thread};

use super::files::{Files, Identity};
use super::sidecar::sidecar;
use super::writer_lock;
use crate::clock;

/// How long to wait for another opening at the same step.
const PATIENCE: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_millis(2);

/// Renames side files of another database before `real` is opened, because SQLite
/// would read them into it.
///
/// Two concurrent openings must not rename each other's files. So the directory
/// stays locked until the value is dropped, which must be after the main file has
/// its first pages. On systems where directories have no locks, concurrent openings
/// are not protected from each other.
pub(super) fn set_foreign_aside(real: &Path) -> io::Result<Option<File>> {
    if !are_foreign(real) {
        return Ok(None);
    }
    let lock = lock_directory(real);
    // Another opening may have done it in the meantime.
    if are_foreign(real) {
        if_any(fs::remove_file(sidecar(real, "-shm")))?;
        set_aside_or_remove(real, "-wal")?;
        // Beside an existing file, SQLite knows which journal belongs to it.
        if !real.exists() {
            set_aside_or_remove(real, "-journal")?;
        }
    }
    Ok(lock)
}

/// Returns whether the side files at the names of `real` belong to another file.
pub(super) fn are_foreign(real: &Path) -> bool {
    let [wal, shm] = side_files(real);
    let Ok(main) = fs::metadata(real) else {
        return wal.is_some() || shm.is_some() || sidecar(real, "-journal").exists();
    };
    if wal.is_none() && shm.is_none() {
        return false;
    }
    if main.len() == 0 {
        return true;
    }
    let Some(main) = Known::at(real) else {
        return false;
    };
    let notes = writer_lock::notes(real).into_iter();
    notes
        .filter_map(|(_, text)| Note::parse(&text))
        .any(|note| note.main != main && note.has_any(wal, shm))
}

/// Returns whether one of the two side files that a living writer has open was
/// removed or renamed. An opening now would use the other one together with a new
/// one.
pub(super) fn are_split(real: &Path) -> bool {
    let [wal, shm] = side_files(real);
    if wal.is_some() == shm.is_some() {
        return false;
    }
    let Some(main) = Known::at(real) else {
        return false;
    };
    writer_lock::notes(real).into_iter().any(|(run, text)| {
        let note = Note::parse(&text);
        let is_half = |note: Note| note.main == main && note.has_any(wal, shm);
        note.is_some_and(is_half) && !writer_lock::is_free(real, run)
    })
}

fn side_files(real: &Path) -> [Option<Known>; 2] {
    ["-wal", "-shm"].map(|suffix| Known::at(&sidecar(real, suffix)))
}

fn set_aside_or_remove(real: &Path, suffix: &str) -> io::Result<()> {
    let name = sidecar(real, suffix);
    match fs::metadata(&name) {
        Ok(file) if file.len() == 0 => if_any(fs::remove_file(&name)),
        Ok(_) => set_aside(real, suffix).map(drop),
        Err(_) => Ok(()),
    }
}

/// Renames the WAL or the journal beside `real`, so that nothing applies it to
/// another file or removes it. Returns its new name.
pub(super) fn set_aside(real: &Path, suffix: &str) -> io::Result<PathBuf> {
    let name = sidecar(real, suffix);
    let mut now = clock::unix_ms();
    let orphan = loop {
        let orphan = sidecar(&name, &format!(".orphan-{now}"));
        if !orphan.exists() {
            break orphan;
        }
        now += 1;
    };
    fs::rename(&name, &orphan)?;
    tracing::warn!(
        path = %real.display(),
        orphan = %orphan.display(),
        "the database file of `{suffix}` was moved, removed or replaced, so `{suffix}` is renamed; \
         unless the orphan is empty the moved file is incomplete without it; to restore its rows, \
         rename the orphan to the name of the moved file followed by `{suffix}` before any program \
         opens that file, then open it with sqlite3"
    );
    Ok(orphan)
}

/// Like [`set_aside`], for a file that is being closed, so there is no other
/// attempt.
pub(super) fn set_wal_aside_unless_empty(real: &Path) {
    if let Err(error) = set_aside_or_remove(real, "-wal") {
        tracing::warn!(path = %real.display(), "the WAL of a moved file cannot be renamed: {error}");
    }
}

/// Returns the note of a writer about its open files; `None` if the names lead
/// elsewhere by now.
pub(super) fn note(real: &Path, files: Files) -> Option<String> {
    let known = ["", "-wal", "-shm"].map(|suffix| Known::at(&sidecar(real, suffix)));
    let [Some(main), Some(wal), Some(shm)] = known else {
        return None;
    };
    let named = Files {
        main: main.identity,
        wal: Some(wal.identity),
        shm: Some(shm.identity),
    };
    (named == files).then(|| Note { main, wal, shm }.to_text())
}

/// The three files that belong together.
#[derive(Debug, Clone, Copy)]
struct Note {
    main: Known,
    wal: Known,
    shm: Known,
}

/// The identity of a file that stays unique after its removal, when another file
/// may get its number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Known {
    identity: Identity,
    /// When it was created, in nanoseconds; 0 if the file system does not say.
    born: u128,
}

impl Known {
    fn at(path: &Path) -> Option<Self> {
        let born = fs::metadata(path).ok()?.created().ok();
        let born = born.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Some(Self {
            identity: Identity::of(path).ok()?,
            born: born.map_or(0, |at| at.as_nanos()),
        })
    }
}

impl Note {
    fn has_any(self, wal: Option<Known>, shm: Option<Known>) -> bool {
        wal == Some(self.wal) || shm == Some(self.shm)
    }

    #[cfg(unix)]
    fn to_text(self) -> String {
        let text = |it: Known| format!("{} {} {}", it.identity.device, it.identity.inode, it.born);
        let Self { main, wal, shm } = self;
        format!("{} {} {}\n", text(main), text(wal), text(shm))
    }

    #[cfg(unix)]
    fn parse(text: &str) -> Option<Self> {
        let numbers: Vec<u128> = text
            .split_whitespace()
            .map(|number| number.parse().ok())
            .collect::<Option<_>>()?;
        let known = |at: usize| {
            Some(Known {
                identity: Identity {
                    device: (*numbers.get(at)?).try_into().ok()?,
                    inode: (*numbers.get(at + 1)?).try_into().ok()?,
                },
                born: *numbers.get(at + 2)?,
            })
        };
        Some(Self {
            main: known(0)?,
            wal: known(3)?,
            shm: known(6)?,
        })
    }

    // On other systems an open file can be neither moved nor removed.
    #[cfg(not(unix))]
    fn to_text(self) -> String {
        String::new()
    }

    #[cfg(not(unix))]
    fn parse(_: &str) -> Option<Self> {
        None
    }
}

/// Prevents openings from renaming files between the check of a name and its
/// removal. `None` if directories have no locks.
pub(super) fn lock_directory(real: &Path) -> Option<File> {
    let directory = File::open(real.parent()?).ok()?;
    let start = Instant::now();
    while directory.try_lock().is_err() {
        if start.elapsed() > PATIENCE {
            return None;
        }
        thread::sleep(STEP);
    }
    Some(directory)
}

/// Ignores a missing file, because another opening may have been first.
fn if_any(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::thread;

    use uuid::Uuid;

    use super::super::writer_lock::WriterLock;
    use super::*;

    /// Returns a database whose files one writer has noted.
    fn database() -> (tempfile::TempDir, PathBuf, WriterLock) {
        let dir = tempfile::tempdir().unwrap();
        let real = dir.path().join("db");
        for suffix in ["", "-wal", "-shm"] {
            fs::write(sidecar(&real, suffix), "some bytes").unwrap();
        }
        let lock = WriterLock::acquire(&real, Uuid::now_v7(), Duration::ZERO).unwrap();
        let files = Files::at(&real).unwrap();
        lock.note(&note(&real, files).unwrap()).unwrap();
        (dir, real, lock)
    }

    fn replace(real: &Path) {
        fs::write(sidecar(real, ".new"), "other bytes").unwrap();
        fs::rename(sidecar(real, ".new"), real).unwrap();
    }

    fn orphans(real: &Path) -> usize {
        let names = fs::read_dir(real.parent().unwrap()).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains("-wal.orphan-")).count()
    }

    #[test]
    fn side_files_are_foreign_once_the_main_file_is_another() {
        let (_dir, real, lock) = database();
        assert!(!are_foreign(&real));
        replace(&real);
        assert!(are_foreign(&real));
        // Also those of a writer that was killed.
        drop(lock);
        assert!(are_foreign(&real));
        // Files without a note are not treated as foreign.
        for suffix in ["-wal", "-shm"] {
            replace(&sidecar(&real, suffix));
        }
        assert!(!are_foreign(&real));
    }

    #[test]
    fn side_files_beside_an_empty_or_missing_file_are_foreign() {
        let (_dir, real, lock) = database();
        lock.remove();
        assert!(!are_foreign(&real));
        fs::write(&real, "").unwrap();
        assert!(are_foreign(&real));
        fs::remove_file(&real).unwrap();
        assert!(are_foreign(&real));
        for suffix in ["-wal", "-shm"] {
            fs::remove_file(sidecar(&real, suffix)).unwrap();
        }
        assert!(!are_foreign(&real));
    }

    #[test]
    fn side_files_are_split_while_a_writer_that_has_both_is_alive() {
        for suffix in ["-wal", "-shm"] {
            let (_dir, real, lock) = database();
            assert!(!are_split(&real));
            fs::remove_file(sidecar(&real, suffix)).unwrap();
            assert!(are_split(&real));
            drop(lock);
            assert!(!are_split(&real));
        }
    }

    #[test]
    fn file_that_got_the_number_of_a_removed_one_is_another() {
        let (_dir, real, lock) = database();
        let noted = note(&real, Files::at(&real).unwrap()).unwrap();
        let with = |place: usize| {
            let mut words: Vec<&str> = noted.split_whitespace().collect();
            words[place] = "7";
            words.join(" ")
        };
        // When the main file was created.
        lock.note(&with(2)).unwrap();
        assert!(are_foreign(&real));
        lock.note(&noted).unwrap();
        assert!(!are_foreign(&real));
        // Side files of a file that is gone, whose numbers others got.
        replace(&real);
        lock.note(&with(5)).unwrap();
        assert!(are_foreign(&real), "the -shm is known");
        let mut words: Vec<&str> = noted.split_whitespace().collect();
        (words[5], words[8]) = ("7", "7");
        lock.note(&words.join(" ")).unwrap();
        assert!(!are_foreign(&real));
    }

    #[test]
    fn wal_with_bytes_is_renamed_and_an_empty_one_is_removed() {
        let (_dir, real, _lock) = database();
        replace(&real);
        assert!(set_foreign_aside(&real).unwrap().is_some());
        assert_eq!(orphans(&real), 1);
        assert!(!sidecar(&real, "-wal").exists() && !sidecar(&real, "-shm").exists());
        assert!(set_foreign_aside(&real).unwrap().is_none());

        let (_dir, real, _lock) = database();
        fs::write(sidecar(&real, "-wal"), "").unwrap();
        replace(&real);
        assert!(set_foreign_aside(&real).unwrap().is_some());
        assert_eq!(orphans(&real), 0);
        assert!(!sidecar(&real, "-wal").exists() && !sidecar(&real, "-shm").exists());
    }

    #[test]
    fn opening_waits_for_another_that_sets_files_aside() {
        let (_dir, real, _lock) = database();
        fs::write(&real, "").unwrap();
        let first = set_foreign_aside(&real).unwrap();
        // The first opening has made the file's WAL, but not its first page.
        fs::write(sidecar(&real, "-wal"), "its own").unwrap();
        let path = real.clone();
        let second = thread::spawn(move || set_foreign_aside(&path).unwrap());
        thread::sleep(Duration::from_millis(20));
        assert!(!second.is_finished());
        fs::write(&real, "a page").unwrap();
        drop(first);
        drop(second.join().unwrap());
        assert_eq!(orphans(&real), 1);
        assert!(sidecar(&real, "-wal").exists());
    }
}
