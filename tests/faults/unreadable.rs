//! Files that are damaged or read-only.

use std::fs;
use std::path::Path;
use std::process::Command;

use tower_mcp_store::{Store, StoreState};
use tracing::Level;

use crate::load::Load;
use crate::log::{listen, logged};
use crate::support::{LONG, connect, fresh, record_requests, value};
use crate::{COUNT, wait_for, wait_until};

#[test]
fn damaged_page_is_logged_once_and_a_new_file_takes_all_events() {
    listen();
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 100);
    store.shutdown(LONG).unwrap();
    damage(&path, "idx_requests_ts");

    let store = Store::open(&path).unwrap();
    let load = Load::start(&store, 2_000);
    wait_until(|| matches!(store.state(), StoreState::Failing { .. }));
    wait_until(|| store.stats().queued > 1_000);
    let StoreState::Failing { reason } = store.state() else {
        panic!("{}", store.state());
    };
    assert!(reason.contains("malformed"), "{reason}");
    assert!(reason.contains("move the file away"), "{reason}");
    assert_eq!(store.stats().written, 0);
    // What the message tells the user to do.
    fs::rename(&path, dir.path().join("damaged.db")).unwrap();
    wait_until(|| store.stats().queued == 0);
    let traffic = load.stop();
    traffic.assert_unharmed(store.shutdown(LONG).unwrap());
    assert_eq!(
        value::<i64>(&connect(&path), COUNT) as u64,
        traffic.recorded
    );
    let name = path.to_str().unwrap();
    assert_eq!(
        logged(Level::ERROR, &["cannot write", name, "malformed"]),
        1
    );
}

/// Overwrites the first page of an index. No process may have the file open.
fn damage(path: &Path, index: &str) {
    let conn = connect(path);
    let page = conn.query_row(
        "SELECT rootpage FROM sqlite_schema WHERE name = ?1",
        [index],
        |row| row.get::<_, i64>(0),
    );
    let page = page.unwrap() as usize;
    let size = value::<i64>(&conn, "PRAGMA page_size") as usize;
    conn.close().unwrap();
    let mut bytes = fs::read(path).unwrap();
    bytes[(page - 1) * size..page * size].fill(0xa5);
    fs::write(path, bytes).unwrap();
}

/// Even root cannot write to an immutable file.
#[cfg(target_os = "linux")]
#[test]
fn file_that_is_read_only_for_a_while_loses_no_event() {
    listen();
    let (dir, path) = fresh();
    let wal = dir.path().join("mcp.db-wal");
    let set = |flag: &str| {
        let status = Command::new("chattr")
            .arg(flag)
            .args([&path, &wal])
            .status();
        status.is_ok_and(|status| status.success())
    };
    let store = Store::open(&path).unwrap();
    if !set("+i") {
        eprintln!("not tested: files cannot be made immutable here");
        return;
    }
    let load = Load::start(&store, 2_000);
    let fails = wait_for(|| matches!(store.state(), StoreState::Failing { .. }));
    let keeps = wait_for(|| store.stats().queued > 1_000);
    assert!(set("-i"), "or the file cannot be removed");
    assert!(fails && keeps, "{}", store.state());
    wait_until(|| store.stats().queued == 0);
    let traffic = load.stop();
    traffic.assert_unharmed(store.shutdown(LONG).unwrap());
    assert_eq!(
        value::<i64>(&connect(&path), COUNT) as u64,
        traffic.recorded
    );
    let name = path.to_str().unwrap();
    assert_eq!(logged(Level::ERROR, &["cannot write", name]), 1);
}
