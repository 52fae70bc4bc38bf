//! Faults of the file while events arrive: it is locked, full, moved, removed, damaged or missing.
//! Recording never blocks. The store keeps what it can, counts what it loses, logs one message that
//! names the fault, and recovers by itself.
//!
//! `MCP_STORE_TEST_FAULTS=long` runs the faults for as long as they may take in production.

#[path = "../support/mod.rs"]
mod support;

mod concurrent_programs;
mod disk;
mod displaced;
mod load;
mod locked;
mod log;
mod moved;
mod opening;
mod orphans;
mod other_process;
mod rows;
mod unreadable;

use std::time::{Duration, Instant};

use support::LONG;

const COUNT: &str = "SELECT count(*) FROM requests";

/// Returns whether the long form is switched on.
fn is_long() -> bool {
    std::env::var_os("MCP_STORE_TEST_FAULTS").is_some_and(|form| form == "long")
}

#[track_caller]
fn wait_until(done: impl FnMut() -> bool) {
    assert!(wait_for(done), "the condition stayed false");
}

/// Waits for `done`. Returns `false` if that takes too long.
fn wait_for(mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    while !done() {
        if start.elapsed() > LONG {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}
