//! Files that are removed, moved or replaced while the store writes to them.

use std::fs;

use tower_mcp_store::{OpenErrorKind, Store, StoreState};
use tracing::Level;

use crate::load::Load;
use crate::log::{listen, logged};
use crate::support::{LONG, connect, fresh, record_requests, value};
use crate::{COUNT, wait_until};

#[test]
fn removed_file_is_created_again() {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 1);
    store.flush(LONG).unwrap();
    for entry in fs::read_dir(dir.path()).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    record_requests(&store, 2);
    store.flush(LONG).unwrap();
    assert_eq!(value::<i64>(&connect(&path), COUNT), 2);
    assert_eq!(store.shutdown(LONG).unwrap().written, 3);
}

#[test]
fn moved_file_stays_whole_and_a_new_file_takes_the_next_rows() {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 1);
    store.flush(LONG).unwrap();
    let old = dir.path().join("old.db");
    fs::rename(&path, &old).unwrap();
    record_requests(&store, 2);
    store.flush(LONG).unwrap();
    assert_eq!(value::<i64>(&connect(&old), COUNT), 1);
    assert_eq!(value::<i64>(&connect(&path), COUNT), 2);
    store.shutdown(LONG).unwrap();
}

#[test]
fn writer_that_closes_a_moved_file_keeps_the_wal_of_the_next_one() {
    let (dir, path) = fresh();
    let wal = dir.path().join("mcp.db-wal");
    let store = Store::open(&path).unwrap();
    record_requests(&store, 1);
    store.flush(LONG).unwrap();
    fs::rename(&path, dir.path().join("old.db")).unwrap();
    for suffix in ["-wal", "-shm"] {
        fs::remove_file(dir.path().join(format!("mcp.db{suffix}"))).unwrap();
    }
    let next = Store::open(&path).unwrap();
    record_requests(&next, 2);
    next.flush(LONG).unwrap();
    record_requests(&store, 4);
    store.flush(LONG).unwrap();
    assert!(wal.exists());
    assert_eq!(value::<i64>(&connect(&path), COUNT), 6);
    next.shutdown(LONG).unwrap();
    store.shutdown(LONG).unwrap();
    let conn = connect(&path);
    assert_eq!(value::<i64>(&conn, COUNT), 6);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
}

#[test]
fn other_file_at_the_path_stays_untouched_until_it_is_removed() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"something else").unwrap();
    record_requests(&store, 1);
    wait_until(|| matches!(store.state(), StoreState::Failing { .. }));
    assert_eq!(fs::read(&path).unwrap(), b"something else");
    fs::remove_file(&path).unwrap();
    store.flush(LONG).unwrap();
    assert_eq!(value::<i64>(&connect(&path), COUNT), 1);
}

#[test]
fn file_removed_under_load_loses_no_later_event() {
    listen();
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let load = Load::start(&store, 2_000);
    wait_until(|| store.stats().written > 200);
    // The rows of the removed file can still be counted under this name.
    let kept = dir.path().join("kept.db");
    fs::hard_link(&path, &kept).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        fs::remove_file(dir.path().join(format!("mcp.db{suffix}"))).unwrap();
    }
    wait_until(|| path.exists() && store.stats().queued == 0);
    let traffic = load.stop();
    let stats = store.shutdown(LONG).unwrap();
    traffic.assert_unharmed(stats);
    let rows = value::<i64>(&connect(&kept), COUNT) + value::<i64>(&connect(&path), COUNT);
    assert_eq!(rows as u64, traffic.recorded);
    let name = path.to_str().unwrap();
    assert_eq!(
        logged(Level::WARN, &["moved, removed or replaced", name]),
        1
    );
}

#[cfg(unix)]
#[test]
fn file_that_lacks_one_side_file_of_a_store_is_opened_once_that_store_records() {
    for suffix in ["-wal", "-shm"] {
        let (dir, path) = fresh();
        let store = Store::open(&path).unwrap();
        record_requests(&store, 100);
        store.flush(LONG).unwrap();
        fs::remove_file(dir.path().join(format!("mcp.db{suffix}"))).unwrap();
        let error = Store::open(&path).unwrap_err();
        assert_eq!(error.kind(), OpenErrorKind::WalMissing, "{error}");
        record_requests(&store, 1);
        store.flush(LONG).unwrap();
        let other = Store::open(&path).unwrap();
        record_requests(&other, 1);
        other.shutdown(LONG).unwrap();
        store.shutdown(LONG).unwrap();
        let conn = connect(&path);
        assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
        assert_eq!(value::<i64>(&conn, COUNT), 102);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn stream_is_read_at_the_path_after_a_move_and_the_old_file_is_closed() {
    use tower_mcp_store::event_store::{EventRecord, EventStore};

    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let events = store.event_store();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let append = |id| {
        let event = EventRecord::new(id, "data".to_owned());
        runtime.block_on(events.append("session", event)).unwrap();
    };
    let replayed = || runtime.block_on(events.replay_after("session", 0)).unwrap();
    append(1);
    assert_eq!(replayed().len(), 1);
    let old = dir.path().join("old.db");
    fs::rename(&path, &old).unwrap();
    assert_eq!(replayed().len(), 0);
    append(2);
    assert_eq!(replayed().len(), 1);
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    assert!(!open.into_iter().any(|name| name.starts_with(&old)));
    store.shutdown(LONG).unwrap();
}
