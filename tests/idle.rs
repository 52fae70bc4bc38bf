//! The writer sleeps when there is nothing to write. Alone in its process, so
//! that the thread that is watched is the right one.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::time::{Duration, Instant};

use support::{LONG, fresh, record_requests};
use tower_mcp_store::Store;

/// How often the writer's thread has gone to sleep; `None` unless it sleeps.
fn sleeps() -> Option<u64> {
    for task in fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        // The kernel keeps 15 letters of a name.
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

/// Waits until the writer's thread has slept this long, however busy the machine
/// is before, and tells how often it had gone to sleep by then.
fn settled(pause: Duration) -> u64 {
    let start = Instant::now();
    loop {
        let before = sleeps();
        std::thread::sleep(pause);
        if let (Some(before), true) = (before, sleeps() == before) {
            return before;
        }
        assert!(start.elapsed() < LONG, "the writer wakes again and again");
    }
}

#[test]
fn an_idle_writer_does_not_wake() {
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
    let pause = Duration::from_millis(100);
    let before = settled(pause);
    record_requests(&store, 1);
    // It wakes, and goes to sleep again until the interval is over.
    let woken = settled(pause);
    assert!(woken > before);
    for _ in 0..9 {
        record_requests(&store, 111);
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(settled(pause), woken);
    assert_eq!(store.stats().queued, 1000);
}
