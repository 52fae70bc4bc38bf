//! Every question is answered as a look at all rows would, whatever index it takes.

#[path = "../support/mod.rs"]
mod support;

mod data;
mod logs;
mod schema;
mod slow;
mod stats;
mod who;
