//! Files that are locked, full, moved, removed, damaged or not there at all,
//! while traffic goes on: it is not held up, what can be kept is kept, the rest
//! is accounted for, one message says what is wrong, and the store recovers by
//! itself.
//!
//! `MCP_STORE_TEST_FAULTS=long` lets the faults last as long as they may in life.

#[path = "../support/mod.rs"]
mod support;

mod disk;
mod displaced;
mod load;
mod locked;
mod log;
mod moved;
mod opening;
mod orphans;
mod other;
mod others;
mod rows;
mod unreadable;

use std::time::{Duration, Instant};

use support::LONG;

const COUNT: &str = "SELECT count(*) FROM requests";

/// Whether the long form is asked for.
fn is_long() -> bool {
    std::env::var_os("MCP_STORE_TEST_FAULTS").is_some_and(|form| form == "long")
}

#[track_caller]
fn wait_until(done: impl FnMut() -> bool) {
    assert!(wait_for(done), "waited in vain");
}

/// Whether it is done in time.
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
