//! Every query returns what a scan of all rows would return, with any index.

mod data;
mod logs;
mod schema;
mod slow;
mod stats;
mod who;
