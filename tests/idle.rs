//! The writer sleeps when there is nothing to write. Alone in its process, so
//! that the thread that is watched is the right one.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::time::Duration;

use support::{LONG, fresh, record_requests};
use tower_mcp_store::Store;

/// How often the writer's thread has gone to sleep.
fn sleeps() -> u64 {
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        // The kernel keeps 15 letters of a name.
        if fs::read_to_string(task.join("comm")).unwrap().trim() == "mcp-store-write" {
            let status = fs::read_to_string(task.join("status")).unwrap();
            let line = status
                .lines()
                .find(|line| line.starts_with("voluntary_ctxt_switches"));
            return line
                .unwrap()
                .split_whitespace()
                .nth(1)
                .unwrap()
                .parse()
                .unwrap();
        }
    }
    panic!("there is no writer thread");
}

#[test]
fn an_idle_writer_does_not_wake() {
    let (_dir, path) = fresh();
    let interval = Duration::from_millis(1);
    let store = Store::builder(path)
        .flush_interval(interval)
        .open()
        .unwrap();
    let idle = |store: &Store| {
        // The flush is answered just before the writer goes to sleep.
        store.flush(LONG).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let before = sleeps();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(sleeps(), before);
    };
    idle(&store);
    record_requests(&store, 100);
    idle(&store);
    store.shutdown(LONG).unwrap();
}

#[test]
fn events_in_one_interval_wake_the_writer_once() {
    // In a process of its own, as above.
    let exe = std::env::current_exe().unwrap();
    let name = "the_writer_wakes_once_for_a_thousand_events";
    let status = std::process::Command::new(exe)
        .args(["--exact", "--ignored", name])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
#[ignore = "run by the test above, alone in its process"]
fn the_writer_wakes_once_for_a_thousand_events() {
    let (_dir, path) = fresh();
    let store = Store::builder(path).flush_interval(LONG).open().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    let before = sleeps();
    for _ in 0..10 {
        record_requests(&store, 100);
        std::thread::sleep(Duration::from_millis(10));
    }
    // It woke, and went to sleep again until the interval is over.
    assert_eq!(sleeps() - before, 1);
    assert_eq!(store.stats().queued, 1000);
}
