//! The writer sleeps while there is nothing to write. The test has a process of its own, so that it
//! finds the right thread.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use support::{LONG, child, fresh, record_requests};
use tower_mcp_store::Store;

/// Returns how often the writer thread has gone to sleep; `None` while it is awake.
fn sleeps() -> Option<u64> {
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        // The kernel keeps 15 bytes of a thread's name.
        if fs::read_to_string(task.join("comm")).unwrap().trim() == "mcp-store-write" {
            let status = fs::read_to_string(task.join("status")).unwrap();
            let field = |name| {
                let line = status.lines().find(|line| line.starts_with(name));
                line.and_then(|line| line.split_whitespace().nth(1))
                    .unwrap()
            };
            let count = field("voluntary_ctxt_switches").parse().unwrap();
            return (field("State:") == "S").then_some(count);
        }
    }
    panic!("there is no writer thread");
}

/// Waits until the writer thread has slept for `pause`, however busy the machine is before. Returns
/// how often it had gone to sleep by then.
fn settled(pause: Duration) -> u64 {
    let start = Instant::now();
    loop {
        let before = sleeps();
        std::thread::sleep(pause);
        if let (Some(before), true) = (before, sleeps() == before) {
            return before;
        }
        assert!(start.elapsed() < LONG, "the writer keeps waking");
    }
}

#[test]
fn idle_writer_does_not_wake() {
    let (_dir, path) = fresh();
    let interval = Duration::from_millis(1);
    let store = Store::builder(path)
        .flush_interval(interval)
        .open()
        .unwrap();
    settled(Duration::from_millis(300));
    record_requests(&store, 100);
    store.flush(LONG).unwrap();
    settled(Duration::from_millis(300));
    store.shutdown(LONG).unwrap();
}

#[test]
fn events_in_one_interval_wake_the_writer_once() {
    // In a process of its own, as above.
    let status = child::test("writer_wakes_once_for_a_thousand_events")
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
#[ignore = "run by the test above, alone in its process"]
fn writer_wakes_once_for_a_thousand_events() {
    let (_dir, path) = fresh();
    let store = Store::builder(path).flush_interval(LONG).open().unwrap();
    let pause = Duration::from_millis(100);
    let before = settled(pause);
    record_requests(&store, 1);
    // The writer wakes, and sleeps again until the interval is over.
    let woken = settled(pause);
    assert!(woken > before);
    for _ in 0..9 {
        record_requests(&store, 111);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(settled(pause), woken);
    assert_eq!(store.stats().queued, 1000);
}
