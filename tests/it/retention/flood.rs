//! The size limit under traffic that would fill the file beyond it. `MCP_STORE_TEST_FLOOD=60` makes
//! each case last 60 seconds. Run that with `--release -- --nocapture --test-threads=1`.

use std::fs;
use std::time::{Duration, Instant};

use tower_mcp_store::{Retention, Store, StoreEvent};

use super::{CALLS, USED, await_value, end};
use crate::support::{LONG, connect, fresh, request, value};

fn seconds() -> u64 {
    std::env::var("MCP_STORE_TEST_FLOOD").map_or(4, |seconds| seconds.parse().expect("seconds"))
}

/// Returns the name of a tool, `bytes` long.
fn name(number: u64, bytes: usize) -> String {
    format!("{number:032x}{}", "x".repeat(bytes.saturating_sub(32)))
}

/// Records `rate` calls a second, each of another tool.
fn flood(limit_mib: u64, rate: u64, name_bytes: usize) {
    let (_dir, path) = fresh();
    let limit = limit_mib << 20;
    let store = Store::builder(&path)
        .retention(Retention::default().max_bytes(limit))
        // The queue drops the excess early, so that a flush takes little time.
        .queue_events(16_384)
        .open()
        .unwrap();
    let conn = connect(&path);
    let (mut recorded, mut largest) = (0, 0);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds()) {
        let due = start.elapsed().as_millis() as u64 * rate / 1000;
        for number in recorded..due {
            let mut event = request();
            event.tool = Some(name(number, name_bytes).into());
            store.record(StoreEvent::Request(event));
        }
        recorded = due;
        largest = largest.max(fs::metadata(&path).unwrap().len());
        std::thread::sleep(Duration::from_millis(1));
    }
    let asked = Instant::now();
    store.flush(4 * LONG).unwrap();
    largest = largest.max(fs::metadata(&path).unwrap().len());
    let stats = store.stats();
    println!(
        "limit {limit_mib} MiB, {rate}/s of {name_bytes} bytes for {} s: file at most {:.1} MiB, \
         last flush {} ms; {stats}",
        seconds(),
        largest as f64 / f64::from(1 << 20),
        asked.elapsed().as_millis(),
    );
    assert!(largest < 2 * limit, "{largest} of {limit}");
    await_value(&conn, &format!("SELECT ({USED}) <= {limit}"), true);
    end(&store);
    let stats = store.stats();
    assert_eq!(stats.submitted, stats.written + stats.dropped);
    // Every other call is in the statistics, or counted as lost.
    let left: i64 = value(&conn, "SELECT count(*) FROM requests");
    assert!(left > 100, "{left} are left");
    let not_rolled_up = "SELECT count(*) FROM requests WHERE id > (SELECT CAST(value AS INTEGER)
        FROM meta WHERE key = 'requests_rolled_up_to')";
    let uncounted = "SELECT coalesce(sum(dropped), 0) FROM losses WHERE reason = 'not_counted'";
    let known: i64 = [CALLS, not_rolled_up, uncounted]
        .iter()
        .map(|sql| value::<i64>(&conn, sql))
        .sum();
    assert_eq!(known as u64, stats.written);
    assert_eq!(value::<String>(&conn, "PRAGMA integrity_check"), "ok");
}

#[test]
fn long_names_at_a_high_rate_leave_the_file_near_its_limit() {
    flood(if seconds() > 4 { 32 } else { 8 }, 3_000, 1_000);
}

#[test]
fn more_calls_than_the_writer_can_write_leave_the_file_near_its_limit() {
    flood(8, 100_000, 32);
}

#[test]
fn steady_flood_leaves_the_file_near_its_limit() {
    flood(if seconds() > 4 { 16 } else { 4 }, 20_000, 32);
}
