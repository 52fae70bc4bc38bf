//! Retention under traffic. `MCP_STORE_TEST_ROWS=5000000` is the long form. Run it with `--release
//! -- --nocapture`.

use std::fs;
use std::time::{Duration, Instant};

use tower_mcp_store::{Retention, Store};

use super::{USED, days, file, insert, now};
use crate::support::{LONG, fresh, record_requests, value};

const RATE: u64 = 5_000;

fn rows() -> i64 {
    std::env::var("MCP_STORE_TEST_ROWS")
        .map_or(60_000, |rows| rows.parse().expect("a number of rows"))
}

/// Half of the rows are older than the retention, while 5,000 arrive each second.
#[test]
fn removing_half_of_a_file_delays_and_loses_no_event() {
    let rows = rows();
    let (dir, path) = fresh();
    let conn = file(&path);
    let day = i64::try_from(days(1).as_millis()).unwrap();
    let step = 20;
    insert(
        &conn,
        rows / 2,
        now() - day - 3_600_000 - rows / 2 * step,
        step,
    );
    insert(&conn, rows / 2, now() - rows / 2 * step, step);
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let before = fs::metadata(&path).unwrap().len();
    let wal = path.with_extension("db-wal");

    let store = Store::builder(&path)
        .retention(Retention::default().max_age(days(1)).max_bytes(None))
        .open()
        .unwrap();
    let (mut recorded, mut slowest, mut longest_wal) = (0, Duration::ZERO, 0);
    let limit = LONG + Duration::from_micros(rows as u64 * 200);
    let start = Instant::now();
    let after = loop {
        let due = start.elapsed().as_millis() as u64 * RATE / 1000;
        record_requests(&store, due - recorded);
        recorded = due;
        let asked = Instant::now();
        store.flush(LONG).unwrap();
        slowest = slowest.max(asked.elapsed());
        longest_wal = longest_wal.max(fs::metadata(&wal).map_or(0, |file| file.len()));

        let size = fs::metadata(&path).unwrap().len();
        let used: i64 = value(&conn, USED);
        let has_old = "SELECT EXISTS (SELECT 1 FROM requests WHERE ts < ?1)";
        let has_old: bool = conn
            .query_row(has_old, [now() - day], |row| row.get(0))
            .unwrap();
        if !has_old && size < used as u64 * 8 / 7 + (2 << 20) {
            break size;
        }
        assert!(start.elapsed() < limit, "{used} of {size} bytes are in use");
        std::thread::sleep(Duration::from_millis(10));
    };
    let took = start.elapsed();
    let stats = store.shutdown(LONG).unwrap();
    println!(
        "{} of {rows} rows removed in {:.1} s beside {recorded} events; slowest flush {} ms; \
         file {} to {} MiB, WAL at most {} MiB; {stats}",
        rows / 2,
        took.as_secs_f64(),
        slowest.as_millis(),
        before >> 20,
        after >> 20,
        longest_wal >> 20,
    );
    assert_eq!(
        (stats.written, stats.failed, stats.dropped),
        (recorded, 0, 0)
    );
    assert!(slowest < Duration::from_millis(500), "{slowest:?}");
    assert!(longest_wal < 64 << 20, "{longest_wal}");
    let left: i64 = value(&conn, "SELECT count(*) FROM requests");
    assert_eq!(left, rows / 2 + recorded as i64);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
    drop(dir);
}
