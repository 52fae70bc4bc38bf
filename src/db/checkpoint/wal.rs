//! Reads the length of the WAL.
//!
//! SQLite reports it only to a hook, which rusqlite offers with SQLite 3.44 and
//! newer. But the file shows it: the header of the WAL holds two random numbers,
//! which each frame repeats, and which change when SQLite restarts the WAL. SQLite
//! holds no locks on this file, so it may be opened and closed.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::db::files::OpenFiles;

const HEADER: u64 = 32;
const FRAME_HEADER: u64 = 24;

/// The offset of the salt in the header of the file, and in that of a frame.
const SALT: u64 = 16;
const FRAME_SALT: u64 = 8;

/// The value that all frames of the current WAL have in common.
pub(super) type Salt = [u8; 8];

#[derive(Debug)]
pub(super) struct Wal(File);

impl Wal {
    /// Opens the WAL of a connection, unless its name leads elsewhere by now.
    pub(super) fn open(files: &OpenFiles) -> io::Result<Self> {
        let elsewhere = || io::Error::from(io::ErrorKind::NotFound);
        let wal = File::open(files.own_wal().ok_or_else(elsewhere)?)?;
        // The name led there before and after, so it did in between.
        files.own_wal().map(|_| Self(wal)).ok_or_else(elsewhere)
    }

    /// Returns whether it was truncated to nothing.
    pub(super) fn is_empty(&self) -> io::Result<bool> {
        Ok(self.0.metadata()?.len() == 0)
    }

    pub(super) fn salt(&self) -> io::Result<Salt> {
        self.read(SALT)
    }

    /// Returns whether the WAL has at least `pages` pages.
    pub(super) fn reaches(&self, pages: u32) -> io::Result<bool> {
        let Some(others) = pages.checked_sub(1) else {
            return Ok(true);
        };
        // The page size may change while no program has the file open.
        let page = u32::from_be_bytes(self.read(8)?);
        let frame = HEADER + u64::from(others) * (FRAME_HEADER + u64::from(page));
        match self.read::<8>(frame + FRAME_SALT) {
            Ok(salt) => Ok(salt == self.salt()?),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn read<const N: usize>(&self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        let mut file = &self.0;
        file.seek(SeekFrom::Start(at))?;
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::db::files::Files;

    #[test]
    fn length_is_that_of_sqlite_even_after_the_wal_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let conn = Connection::open(dir.path().join("file")).unwrap();
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (a)",
        )
        .unwrap();
        let path = dir.path().join("file");
        let files = OpenFiles::new(&path, &path, Files::at(&path).unwrap());
        let wal = Wal::open(&files).unwrap();
        let first = wal.salt().unwrap();
        // It gets longer, is checkpointed, and restarts.
        for rows in [1, 400, 800, 1] {
            for _ in 0..rows {
                conn.execute("INSERT INTO t VALUES (randomblob(3000))", [])
                    .unwrap();
            }
            let checkpoint = "PRAGMA wal_checkpoint(PASSIVE)";
            let length: u32 = conn.query_row(checkpoint, [], |row| row.get(1)).unwrap();
            assert!(length >= rows);
            assert!(wal.reaches(length).unwrap() && wal.reaches(0).unwrap());
            assert!(!wal.reaches(length + 1).unwrap(), "{length}");
        }
        assert_ne!(wal.salt().unwrap(), first);
    }
}
