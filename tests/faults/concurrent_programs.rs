//! Other programs that read or write the file at the same time.

use tower_mcp_store::{Store, StoreEvent};

use crate::load::Load;
use crate::other_process::{Holder, WRITES, writer};
use crate::support::{LONG, connect, fresh, request, value};
use crate::{COUNT, is_long};

#[test]
fn two_processes_that_write_one_file_lose_nothing() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let load = Load::start(&store, 20_000);
    let mut other = writer(&path);
    assert!(other.wait().unwrap().success());
    let traffic = load.stop();
    traffic.assert_unharmed(store.shutdown(LONG).unwrap());
    let conn = connect(&path);
    assert_eq!(value::<i64>(&conn, COUNT) as u64, traffic.recorded + WRITES);
    assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM losses"), 0);
    let writers = "SELECT count(*) FROM writers WHERE ended_at IS NOT NULL AND dropped = 0";
    assert_eq!(value::<i64>(&conn, writers), 2);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
}

#[test]
fn reader_with_a_snapshot_loses_no_event_and_the_wal_shrinks_afterwards() {
    /// How large the WAL may become without a reader that blocks checkpoints, in bytes.
    const BOUND: u64 = 32 << 20;
    let (dir, path) = fresh();
    let wal = || dir.path().join("mcp.db-wal").metadata().unwrap().len();
    let store = Store::open(&path).unwrap();
    let reader = Holder::of(&path, "BEGIN; SELECT count(*) FROM requests;");
    if is_long() {
        let load = Load::start(&store, 5_000);
        std::thread::sleep(std::time::Duration::from_secs(60));
        load.stop().assert_free();
    }
    // Large rows fill the WAL sooner.
    let mut event = request();
    event.target = Some("x".repeat(2_000).into());
    while wal() <= BOUND {
        for _ in 0..2_000 {
            event.request_id = uuid::Uuid::now_v7();
            store.record(StoreEvent::Request(event.clone()));
        }
        store.flush(LONG).unwrap();
    }
    println!("the WAL has grown to {} MiB", wal() >> 20);
    drop(reader);
    // A checkpoint runs beside the writer. Then the next batch starts the WAL again from its
    // beginning.
    let start = std::time::Instant::now();
    while wal() > BOUND {
        assert!(start.elapsed() < LONG, "{} bytes", wal());
        event.request_id = uuid::Uuid::now_v7();
        store.record(StoreEvent::Request(event.clone()));
        store.flush(LONG).unwrap();
    }
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!(stats.written, stats.submitted);
    assert_eq!(value::<i64>(&connect(&path), COUNT) as u64, stats.written);
}
