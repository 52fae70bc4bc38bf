//! Every question is answered as a look at all rows would, whatever index it takes.

mod data;
mod logs;
mod schema;
mod slow;
mod stats;
mod who;
