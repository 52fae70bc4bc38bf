//! Every query returns what a scan of all rows would return, with any index.

mod data;
mod logs;
mod neighbours;
mod schema;
mod sessions_and_clients;
mod slow;
mod stats;
mod timeline;
