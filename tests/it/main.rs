//! The tests of the public interface, a module for each promise.
//!
//! They share one binary, which is linked once. A test has a binary of its own where it needs a
//! process of its own: `faults` and `privacy` listen to everything that the process logs, `idle`
//! looks at all its threads, and `corpus` runs without the test harness.

#[path = "../recording/mod.rs"]
mod recording;
#[path = "../support/mod.rs"]
mod support;

mod accounting;
mod awaited_commands;
mod capture;
mod crash;
mod decompression;
mod endings;
mod event_crash;
mod event_model;
mod event_store;
mod fixture;
mod forms;
mod forwarded;
mod identity;
mod imports;
mod late_answers;
mod layer_order;
mod lifecycle;
mod listings;
mod load;
mod maintenance;
mod migrations;
mod model;
mod operations;
mod outbox;
mod query;
mod reader;
mod replay;
mod resume;
mod retention;
mod rows;
mod sdk;
mod sdk_stores;
mod session_ids;
mod session_store;
mod sessions;
mod transparency;
mod triggers;
mod unreadable_requests;
mod views;
