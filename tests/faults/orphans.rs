//! A file that is moved before the rows of its WAL are in it. The store never applies the WAL to
//! another file and never removes it, and the user can restore it.
#![cfg(unix)]

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use rusqlite::Connection;
use tower_mcp_store::event_store::{EventRecord, EventStore};
use tower_mcp_store::maintenance::Maintenance;
use tower_mcp_store::query::{Reader, RequestFilter};
use tower_mcp_store::{Store, StoreState};
use tracing::Level;

use crate::load::Load;
use crate::log::{listen, logged};
use crate::other_process::{Holder, Recorder};
use crate::support::{LONG, connect, fixture, fresh, record_requests, value};
use crate::{COUNT, is_long, wait_until};

/// Returns the files beside `path` whose names begin like orphans of its WAL.
fn orphans(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path.parent().unwrap()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut orphans: Vec<PathBuf> = paths
        .filter(|path| path.to_str().unwrap().contains("-wal.orphan-"))
        .collect();
    orphans.sort();
    orphans
}

/// Restores the orphan as the log message says.
fn restore(orphan: &Path, old: &Path) {
    fs::rename(orphan, format!("{}-wal", old.display())).unwrap();
}

#[track_caller]
fn assert_whole(path: &Path, rows: i64) {
    let conn = connect(path);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
    assert_eq!(value::<i64>(&conn, COUNT), rows, "{path:?}");
}

/// Creates a file of `rows` rows whose writer was killed. The last of the rows are in the WAL.
fn killed(path: &Path, rows: u64) {
    let mut recorder = Recorder::of(path);
    recorder.record(rows);
    recorder.kill();
}

#[test]
fn moved_file_stays_open_while_a_reader_keeps_its_wal_and_the_reason_is_logged_once() {
    listen();
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 100);
    store.flush(LONG).unwrap();
    let reader = Holder::of(&path, "BEGIN; SELECT count(*) FROM requests");
    record_requests(&store, 50);
    store.flush(LONG).unwrap();
    let old = dir.path().join("old.db");
    fs::rename(&path, &old).unwrap();
    record_requests(&store, 30);
    wait_until(|| matches!(store.state(), StoreState::Failing { .. }));
    // Time for a few more attempts.
    record_requests(&store, 30);
    std::thread::sleep(std::time::Duration::from_millis(700));
    assert!(!path.exists());
    let name = path.to_str().unwrap();
    let words = [name, "moved, removed or replaced", "open transaction"];
    assert_eq!(logged(Level::ERROR, &words), 1);
    drop(reader);
    store.flush(LONG).unwrap();
    assert_whole(&old, 150);
    assert_whole(&path, 60);
    assert_eq!(store.shutdown(LONG).unwrap().dropped, 0);
}

#[test]
fn append_is_refused_with_the_reason_while_a_reader_keeps_the_wal_of_a_moved_file() {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let events = store.event_store().timeout(LONG);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let append = |id| {
        let event = EventRecord::new(id, "data".to_owned());
        runtime.block_on(events.append("session", event))
    };
    append(1).unwrap();
    let reader = Holder::of(&path, "BEGIN; SELECT count(*) FROM sse_events");
    append(2).unwrap();
    fs::rename(&path, dir.path().join("old.db")).unwrap();
    let start = Instant::now();
    let error = append(3).unwrap_err().to_string();
    assert!(error.contains("open transaction"), "{error}");
    assert!(start.elapsed() < LONG / 2);
    drop(reader);
    append(4).unwrap();
    let kept = "SELECT count(*) FROM sse_events";
    assert_eq!(value::<i64>(&connect(&path), kept), 1);
    store.shutdown(LONG).unwrap();
    assert_eq!(value::<i64>(&connect(&dir.path().join("old.db")), kept), 2);
}

#[test]
fn shutdown_beside_a_reader_of_a_moved_file_leaves_an_orphan_that_can_be_restored() {
    listen();
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 100);
    store.flush(LONG).unwrap();
    let reader = Holder::of(&path, "BEGIN; SELECT count(*) FROM requests");
    record_requests(&store, 50);
    store.flush(LONG).unwrap();
    let old = dir.path().join("old.db");
    fs::rename(&path, &old).unwrap();
    record_requests(&store, 30);
    wait_until(|| matches!(store.state(), StoreState::Failing { .. }));
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!((stats.written, stats.dropped), (180, 0));
    assert_whole(&path, 30);
    drop(reader);
    let [orphan] = &orphans(&path)[..] else {
        panic!("{:?}", orphans(&path));
    };
    let words = [orphan.to_str().unwrap(), "to restore its rows, rename"];
    assert_eq!(logged(Level::WARN, &words), 1);
    restore(orphan, &old);
    assert_whole(&old, 150);
    // The run in the old file has ended.
    let store = Store::open(&old).unwrap();
    assert_eq!(
        value::<i64>(&connect(&old), "SELECT count(*) FROM losses"),
        0
    );
    store.shutdown(LONG).unwrap();
}

#[test]
fn shutdown_beside_a_reader_of_a_moved_file_without_events_leaves_an_orphan() {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 100);
    store.flush(LONG).unwrap();
    let reader = Holder::of(&path, "BEGIN; SELECT count(*) FROM requests");
    record_requests(&store, 50);
    store.flush(LONG).unwrap();
    let old = dir.path().join("old.db");
    fs::rename(&path, &old).unwrap();
    store.shutdown(LONG).unwrap();
    drop(reader);
    assert!(!path.exists());
    restore(&orphans(&path)[0], &old);
    assert_whole(&old, 150);
}

#[test]
fn wal_beside_a_missing_file_becomes_an_orphan_that_can_be_restored() {
    let (dir, path) = fresh();
    killed(&path, 100);
    let old = dir.path().join("old.db");
    fs::rename(&path, &old).unwrap();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 10);
    store.shutdown(LONG).unwrap();
    assert_whole(&path, 10);
    restore(&orphans(&path)[0], &old);
    assert_whole(&old, 100);
}

#[test]
fn wal_beside_an_empty_file_becomes_an_orphan_that_can_be_restored() {
    let (dir, path) = fresh();
    killed(&path, 100);
    let old = dir.path().join("old.db");
    fs::rename(&path, &old).unwrap();
    fs::write(&path, "").unwrap();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 10);
    store.shutdown(LONG).unwrap();
    assert_whole(&path, 10);
    restore(&orphans(&path)[0], &old);
    assert_whole(&old, 100);
}

#[test]
fn journal_beside_a_missing_file_becomes_an_orphan_that_can_be_restored() {
    let (dir, path) = fresh();
    let (old, journal) = (dir.path().join("old.db"), dir.path().join("mcp.db-journal"));
    // What a program leaves that writes without a WAL and is killed.
    let (_other, writing) = fresh();
    let conn = Connection::open(&writing).unwrap();
    conn.execute_batch(
        "PRAGMA cache_size = 1; CREATE TABLE t (a);
         INSERT INTO t VALUES (zeroblob(1000000));
         BEGIN; UPDATE t SET a = randomblob(1000000);",
    )
    .unwrap();
    fs::copy(&writing, &old).unwrap();
    fs::copy(format!("{}-journal", writing.display()), &journal).unwrap();
    drop(conn);

    let store = Store::open(&path).unwrap();
    record_requests(&store, 10);
    store.shutdown(LONG).unwrap();
    assert_whole(&path, 10);
    let names = fs::read_dir(dir.path()).unwrap();
    let names = names.map(|entry| entry.unwrap().path());
    let orphan = names
        .into_iter()
        .find(|name| name.to_str().unwrap().contains("-journal.orphan-"))
        .unwrap();
    fs::rename(orphan, format!("{}-journal", old.display())).unwrap();
    let conn = connect(&old);
    let is_as_before = "SELECT count(*) FROM t WHERE a = zeroblob(1000000)";
    assert_eq!(value::<i64>(&conn, is_as_before), 1);
}

/// Puts a file of 500 rows in the place of a file whose writer was killed. Returns where that file
/// is now.
fn replaced(dir: &Path, path: &Path) -> PathBuf {
    let (ready, old) = (dir.join("ready.db"), dir.join("old.db"));
    let store = Store::open(&ready).unwrap();
    record_requests(&store, 500);
    store.shutdown(LONG).unwrap();
    killed(path, 100);
    fs::hard_link(path, &old).unwrap();
    fs::rename(ready, path).unwrap();
    old
}

#[test]
fn wal_of_a_killed_writer_is_not_applied_to_the_file_that_replaced_its_own() {
    let (dir, path) = fresh();
    let old = replaced(dir.path(), &path);
    let store = Store::open(&path).unwrap();
    record_requests(&store, 10);
    store.shutdown(LONG).unwrap();
    assert_whole(&path, 510);
    restore(&orphans(&path)[0], &old);
    assert_whole(&old, 100);
}

#[test]
fn wal_of_a_killed_writer_is_not_read_into_the_file_that_replaced_its_own() {
    let (dir, path) = fresh();
    let old = replaced(dir.path(), &path);
    let reader = Reader::open(&path).unwrap();
    let rows = |reader: &Reader| {
        reader
            .requests(&RequestFilter::default(), 1_000, None)
            .unwrap()
            .len()
    };
    assert_eq!((rows(&reader), rows(&reader)), (500, 500));
    assert!(orphans(&path).is_empty(), "a reader changes nothing");
    let maintenance = Maintenance::open(&path).unwrap();
    maintenance
        .vacuum(|_| std::ops::ControlFlow::Continue(()))
        .unwrap();
    drop(maintenance);
    assert_eq!(rows(&reader), 500);
    drop(reader);
    assert_whole(&path, 500);
    restore(&orphans(&path)[0], &old);
    assert_whole(&old, 100);
}

#[test]
fn file_moved_during_maintenance_keeps_its_rows_and_maintenance_returns_the_reason() {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 20_000);
    store.shutdown(LONG).unwrap();
    let old = dir.path().join("old.db");
    let maintenance = Maintenance::open(&path).unwrap();
    let mut removed = 0;
    let error = maintenance.prune(i64::MAX, |progress| {
        if progress.step == tower_mcp_store::maintenance::Step::Remove {
            removed = progress.done;
            if path.exists() {
                fs::rename(&path, &old).unwrap();
            }
        }
        std::ops::ControlFlow::Continue(())
    });
    let source = std::error::Error::source(&error.unwrap_err())
        .unwrap()
        .to_string();
    assert!(source.contains("moved, removed or replaced"), "{source}");
    drop(maintenance);
    assert!(!path.exists());
    for suffix in ["-wal", "-shm"] {
        assert!(!dir.path().join(format!("mcp.db{suffix}")).exists());
    }
    // Rows that were removed before the move are missing in the moved file.
    let conn = connect(&old);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
    let left = value::<i64>(&conn, COUNT);
    assert!(removed > 0 && left > 0, "{removed} removed, {left} left");
}

/// A step of a recorder that changes to the new file, and whether it has been reached.
type Step = (&'static str, Box<dyn Fn() -> bool>);

/// Tells a file from a later one of the same name, which may also have the same inode.
fn identity(path: &Path) -> Option<(u64, Option<SystemTime>)> {
    let file = fs::metadata(path).ok()?;
    Some((file.ino(), file.created().ok()))
}

fn steps(path: &Path) -> Vec<Step> {
    let side = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
    let length = |path: PathBuf| move || fs::metadata(&path).map_or(0, |file| file.len());
    // Each condition stays true, because the recorder may take several steps between two looks.
    let is_left = |path: PathBuf| {
        let old = identity(&path);
        move || identity(&path) != old
    };
    let is_another = |path: PathBuf| {
        let old = identity(&path);
        move || identity(&path).is_some_and(|new| Some(new) != old)
    };
    vec![
        ("before it notices", Box::new(|| true)),
        ("once the WAL is empty", {
            let (length, is_left) = (length(side("-wal")), is_left(side("-wal")));
            Box::new(move || length() == 0 || is_left())
        }),
        ("once -shm is gone", Box::new(is_left(side("-shm")))),
        ("once -wal is gone", Box::new(is_left(side("-wal")))),
        ("once the path exists", {
            let path = path.to_owned();
            Box::new(move || path.exists())
        }),
        ("once the file has pages", {
            let length = length(path.to_owned());
            Box::new(move || length() > 0)
        }),
        ("once it has a WAL", Box::new(is_another(side("-wal")))),
        ("once rows are in the WAL", {
            let length = length(side("-wal"));
            let path = path.to_owned();
            Box::new(move || path.exists() && length() > 24 << 10)
        }),
    ]
}

#[test]
fn recorder_killed_while_it_changes_files_leaves_both_whole_and_a_loss() {
    const STEPS: usize = 8;
    let rounds = if is_long() { 20 } else { 1 };
    for round in 0..rounds * STEPS {
        kill_on_the_way(round % STEPS, None, None);
        // The other combinations in turn.
        kill_on_the_way(round % STEPS, Some(Recorder::of), None);
        kill_on_the_way(round % STEPS, None, Some(|path| Holder::of(path, COUNT)));
    }
}

fn kill_on_the_way(
    step: usize,
    recorder: Option<fn(&Path) -> Recorder>,
    shell: Option<fn(&Path) -> Holder>,
) {
    let (dir, path) = fresh();
    let mut killed = Recorder::of(&path);
    killed.record(200);
    let others = (
        recorder.map(|open| open(&path)),
        shell.map(|open| open(&path)),
    );
    let (step, is_reached) = steps(&path).swap_remove(step);
    println!(
        "{step}, beside {}, {}",
        others.0.is_some(),
        others.1.is_some()
    );
    let old = dir.path().join("old.db");
    fs::rename(&path, &old).unwrap();
    killed.send("queue 100");
    let start = Instant::now();
    while !is_reached() {
        assert!(start.elapsed() < LONG);
        std::thread::yield_now();
    }
    killed.kill();

    let store = Store::open(&path).unwrap();
    record_requests(&store, 10);
    store.shutdown(LONG).unwrap();
    if let Some(idle) = others.0 {
        assert_eq!(idle.end(), (0, 0));
    }
    drop(others.1);
    for orphan in orphans(&path) {
        if fs::metadata(&orphan).unwrap().len() > 0 {
            restore(&orphan, &old);
        }
    }
    assert_whole(&old, 200);
    let conn = connect(&path);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
    let rows = value::<i64>(&conn, COUNT);
    assert!((10..=110).contains(&rows), "{rows}");
    let losses = "SELECT count(*) FROM losses WHERE reason = 'unclean_shutdown'";
    assert_eq!(value::<i64>(&conn, losses), 1);
}

#[test]
fn file_moved_repeatedly_under_two_recorders_loses_no_row() {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let mut other = Recorder::of(&path);
    let load = Load::start(&store, 5_000);
    let rounds = if is_long() { 500 } else { 25 };
    let mut recorded = 0;
    for round in 0..rounds {
        other.queue(50);
        recorded += 50;
        let written = store.stats().written;
        wait_until(|| path.exists() && store.stats().written > written + 50);
        fs::rename(&path, dir.path().join(format!("old-{round}.db"))).unwrap();
    }
    let traffic = load.stop();
    traffic.assert_unharmed(store.shutdown(LONG).unwrap());
    assert_eq!(other.end(), (recorded, 0));
    let mut rows = 0;
    for entry in fs::read_dir(dir.path()).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "db") {
            let conn = connect(&file);
            assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
            if value::<i64>(&conn, "SELECT count(*) FROM sqlite_schema") == 0 {
                // The file was moved just after its creation.
                continue;
            }
            rows += value::<i64>(&conn, COUNT) as u64;
            let losses = "SELECT count(*) FROM losses";
            assert_eq!(value::<i64>(&conn, losses), 0, "{file:?}");
        }
    }
    assert_eq!(rows, traffic.recorded + recorded);
    for orphan in orphans(&path) {
        assert_eq!(fs::metadata(orphan).unwrap().len(), 0);
    }
}

#[test]
fn file_moved_before_a_vacuum_is_not_changed() {
    let (dir, path) = fixture(4);
    let old = dir.path().join("old.db");
    let maintenance = Maintenance::open(&path).unwrap();
    let error = maintenance.vacuum(|_| {
        fs::rename(&path, &old).unwrap();
        std::ops::ControlFlow::Continue(())
    });
    let source = std::error::Error::source(&error.unwrap_err())
        .unwrap()
        .to_string();
    assert!(source.contains("moved, removed or replaced"), "{source}");
    drop(maintenance);
    let conn = connect(&old);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
    assert_eq!(value::<i64>(&conn, "PRAGMA auto_vacuum"), 0);
    assert_eq!(value::<i64>(&conn, "PRAGMA freelist_count"), 0);
}
