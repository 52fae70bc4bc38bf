use std::fs;

use super::*;
use crate::db::files::Files;

fn file() -> (tempfile::TempDir, Connection, Checkpoints) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a)")
        .unwrap();
    conn.pragma_update(None, "synchronous", "NORMAL").unwrap();
    let files = OpenFiles::new(&path, &path, Files::at(&path).unwrap());
    let checkpoints = Checkpoints::of(&conn, files).unwrap();
    (dir, conn, checkpoints)
}

/// Commits this many pages.
fn write(conn: &Connection, pages: u32) {
    conn.execute("INSERT INTO t VALUES (zeroblob(4096 * ?1))", [pages])
        .unwrap();
}

/// Writes until SQLite restarts the WAL, which it does before the WAL is too long.
fn until_restarted(conn: &Connection, checkpoints: &mut Checkpoints) {
    let before = checkpoints.salt;
    loop {
        write(conn, 32);
        checkpoints.advance(conn);
        if checkpoints.salt != before {
            return;
        }
        let wal = checkpoints.wal.as_ref().unwrap();
        assert!(!wal.reaches(TOO_LONG + STEP).unwrap());
    }
}

#[test]
fn wal_restarts_while_the_writer_keeps_writing() {
    let (dir, conn, mut checkpoints) = file();
    write(&conn, 1);
    checkpoints.advance(&conn);
    for _ in 0..3 {
        until_restarted(&conn, &mut checkpoints);
    }
    assert!(fs::metadata(dir.path().join("file")).unwrap().len() > u64::from(3 * STEP) * 4096);
}

#[test]
fn checkpoint_that_a_reader_prevents_is_not_retried_after_each_commit() {
    let (_dir, conn, mut checkpoints) = file();
    write(&conn, 1);
    let reader = Connection::open(checkpoints.files.real()).unwrap();
    reader.execute_batch("BEGIN; SELECT * FROM t").unwrap();
    write(&conn, 3 * STEP);
    checkpoints.advance(&conn);
    let (asked, due) = (checkpoints.asked, checkpoints.due);
    assert_eq!(due, 4 * STEP);
    write(&conn, 1);
    checkpoints.advance(&conn);
    assert!(checkpoints.asked == asked || asked.elapsed() > AGAIN);
    drop(reader);
    until_restarted(&conn, &mut checkpoints);
}

#[test]
fn writer_checkpoints_itself_if_the_thread_cannot_open_the_file() {
    let (dir, conn, mut checkpoints) = file();
    write(&conn, 1);
    checkpoints.advance(&conn);
    fs::rename(checkpoints.files.real(), dir.path().join("moved")).unwrap();
    until_restarted(&conn, &mut checkpoints);
}

#[test]
fn thread_that_is_stopped_during_its_work_leaves_nothing_open() {
    let (dir, conn, mut checkpoints) = file();
    write(&conn, 3 * STEP);
    checkpoints.advance(&conn);
    assert!(checkpoints.worker.is_some());
    checkpoints.stop();
    // Only the last connection does this.
    conn.close().unwrap();
    assert!(!dir.path().join("file-wal").exists());
}
