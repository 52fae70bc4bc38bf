//! Reads what was recorded: typed answers from a file that may be written to meanwhile.
//!
//! A [`Reader`] opens a file without changing it, whether its writer runs, has
//! ended or was killed. The command `mcp-store` shows what it tells.
//!
//! ```
//! use tower_mcp_store::query::Reader;
//! # use tower_mcp_store::Store;
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("mcp-store.db");
//! # Store::open(&path)?.shutdown(std::time::Duration::from_secs(5))?;
//!
//! let reader = Reader::open(&path)?;
//! assert_eq!(reader.version(), 5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is fast
//!
//! In a file of version 5 these take no longer for all the requests that are in
//! it, some milliseconds at most:
//!
//! * [`logs`](Reader::logs) of any time, recording point, method, tool, status,
//!   error code, end reason or session, by each of these alone; and by several of
//!   them, where one leads to no more than a thousand requests or where those
//!   that all apply to are not rare among the newest;
//! * [`slow`](Reader::slow) of any time, unless nearly all latencies begin with
//!   the same digit; with other conditions, where they lead to no more than a
//!   thousand requests or to ones that are slow;
//! * [`snapshots`](Reader::snapshots), [`schema_changes`](Reader::schema_changes)
//!   and [`effects`](Reader::effects), each of which takes what the statistics of
//!   two windows take;
//! * [`find_request`](Reader::find_request), [`find_session`](Reader::find_session),
//!   [`sessions`](Reader::sessions) and [`follow`](Reader::follow);
//! * [`stats`](Reader::stats), which takes what up to 50,000 requests take, and
//!   for longer windows what their days and hours take.
//!
//! The time of these grows with what they look through: `logs` of a client with
//! the number of its sessions, [`clients`](Reader::clients) with that of all
//! sessions, [`info`](Reader::info) with that of all requests (a look at the
//! smallest index), and what a target is asked of, without a method, with all
//! requests of the window.
//!
//! Times are unix milliseconds in UTC, latencies are microseconds.
//! Every answer can be serialised with serde; its fields are named like the
//! columns of the file.

mod calls;
mod clients;
mod filter;
mod follow;
mod found;
mod info;
mod logs;
mod losses;
mod reader;
mod request;
mod row;
mod schema;
mod sessions;
mod slow;
mod sql;
mod stats;
#[cfg(test)]
mod steps;
mod window;

pub use clients::Client;
pub use filter::Filter;
pub use follow::Follow;
pub use found::Found;
pub use info::Info;
pub use logs::Position;
pub use losses::Loss;
pub use reader::Reader;
pub use request::Request;
pub use schema::{
    Comparison, Difference, Effect, SchemaChange, SchemaFilter, Severity, Snapshot, Tool, Usage,
};
pub use sessions::{Session, SessionFilter};
pub use sql::Value;
pub use stats::{Figures, Group, Percentiles, Stats, StatsFilter};
pub use window::Window;
