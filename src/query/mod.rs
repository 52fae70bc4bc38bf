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
//! In a file of version 5, these take 10 ms at most, and no more in a file of
//! 10,000,000 requests than in one of 1,000,000:
//!
//! * [`logs`](Reader::logs) of any time, and of one of these: recording point,
//!   method, tool, status, error code, end reason, tool error, session;
//! * `logs` by several of them, where one leads to 10,000 requests of the window
//!   at most, or where those that all apply to are not rare among the newest.
//!   What is looked at are the entries of the index that leads to the fewest;
//! * `logs` of a client: its sessions are looked at from the latest on, until they
//!   have the requests that are asked for;
//! * [`slow`](Reader::slow) of any time, unless nearly all latencies begin with
//!   the same digit; of a session or a client with 1,000 requests at most;
//!   by one of the conditions, where it leads to 1,000 requests at most or to one
//!   of a hundred; by several, where one leads to 5,000 requests at most or all
//!   apply to one of a hundred;
//! * [`find_request`](Reader::find_request), [`find_session`](Reader::find_session),
//!   [`sessions`](Reader::sessions) and [`follow`](Reader::follow), but the open
//!   sessions of all clients take some microseconds for each name of a client, and
//!   those of one recording point look through all open ones;
//! * [`snapshots`](Reader::snapshots) and [`schema_changes`](Reader::schema_changes).
//!
//! [`stats`](Reader::stats) takes what up to 50,000 requests take, some
//! microseconds each at worst, and for longer windows what their days and hours
//! and the requests of two hours take; of a tool that some day does not count by
//! its name, what all its requests take. [`tools`](Reader::tools) takes what the
//! days of its window take. [`effects`](Reader::effects) takes what the
//! statistics of two windows take for each change, less where changes have
//! windows in common.
//!
//! The time of these grows with what they look through: [`clients`](Reader::clients)
//! with all sessions, [`info`](Reader::info) with all requests (by their smallest
//! index), [`compare`](Reader::compare) with how often listings changed, and what
//! a target is asked of with all requests that the other conditions lead to. So
//! does the time of the others beyond the bounds above: `slow` by one condition
//! that neither few nor many requests meet takes some milliseconds more, `logs`
//! and `slow` by several that all lead to many requests and hardly ever to the
//! same take up to a microsecond for each.
//!
//! Times are unix milliseconds in UTC, latencies are microseconds.
//! Every answer can be serialised with serde; its fields are named like the
//! columns of the file.

mod clients;
mod conditions;
mod coverage;
mod error;
mod filter;
mod follow;
mod info;
mod lookup;
mod losses;
mod older;
mod plan;
#[cfg(test)]
mod query_cost;
mod reader;
mod record;
mod recorded;
mod request;
mod requests;
mod schema;
mod session_requests;
mod sessions;
mod slow;
mod sql;
mod stats;
mod window;

pub use clients::Client;
pub use error::{QueryError, QueryErrorKind};
pub use filter::{ClientFilter, RequestFilter, SchemaFilter, SessionFilter, StatsFilter};
pub use follow::Follower;
pub use info::Info;
pub use lookup::Lookup;
pub use losses::Loss;
pub use reader::Reader;
pub use recorded::{ChangeType, LossReason, Recorded, Word};
pub use request::Request;
pub use requests::Position;
pub use schema::{
    ChangeImpact, Comparison, Difference, SchemaChange, Severity, Snapshot, Tool, Usage,
};
pub use sessions::Session;
pub use sql::Value;
pub use stats::{CallStats, Group, Percentiles, StatsReport};
pub use window::Window;
