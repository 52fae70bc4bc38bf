//! Reads a recorded file, with typed answers.
//!
//! A [`Reader`] opens a file without changing it, whether its writer is running, has
//! ended or was killed. The command `mcp-store` shows the same answers.
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
//! In a file of version 5, these take 10 ms at most, and as long in a file of
//! 10,000,000 requests as in one of 1,000,000:
//!
//! | question | fast if | otherwise |
//! |---|---|---|
//! | [`requests`](Reader::requests) of any time, or by one condition | always | |
//! | `requests` with several conditions | one condition matches at most 10,000 requests in the window, or rows matching all of them are common among the newest | up to 1 µs for each entry of the most selective index |
//! | `requests` of a client | its newest sessions have the requests | grows with the sessions that are read |
//! | [`slow`](Reader::slow) of any time | nearly always | some ms more, if nearly all latencies begin with the same digit |
//! | `slow` with one condition | it matches at most 1,000 requests, or one in a hundred | some ms more |
//! | `slow` with several conditions | one matches at most 5,000 requests, or one in a hundred matches all | up to 1 µs for each entry |
//! | [`find_request`](Reader::find_request), [`find_session`](Reader::find_session), [`follow`](Reader::follow) | always | |
//! | [`sessions`](Reader::sessions) | always, except for open ones | open sessions of all clients: some µs for each name of a client; of one server: grows with all open ones |
//! | [`snapshots`](Reader::snapshots), [`schema_changes`](Reader::schema_changes) | always | |
//!
//! Conditions on a target, a protocol, a JSON-RPC id and the outcome `ok` have no index. A query
//! with one of them reads the rows that match its other conditions.
//!
//! | question | its time grows with |
//! |---|---|
//! | [`stats`](Reader::stats) | up to 50,000 requests; for longer windows the days and hours in it, and the requests of two hours; all requests of a tool that some day does not count by its name |
//! | [`timeline`](Reader::timeline) | like `stats`; with buckets below an hour, or with a client, the requests of the window |
//! | [`tools`](Reader::tools) | the days of the window |
//! | [`change_impacts`](Reader::change_impacts), [`tool_change_impacts`](Reader::tool_change_impacts) | the statistics of two windows for each change, fewer where changes share windows |
//! | [`clients`](Reader::clients), [`client_revisions`](Reader::client_revisions), [`sessions_by`](Reader::sessions_by) | all sessions |
//! | [`callers`](Reader::callers) | the requests of the window that have a principal |
//! | [`breakdown`](Reader::breakdown) | the requests that match the filter |
//! | [`neighbours`](Reader::neighbours) | all requests of the session |
//! | [`names`](Reader::names) | the names that are returned |
//! | [`info`](Reader::info) | all requests, through their smallest index |
//! | [`compare`](Reader::compare) | how often listings changed |
//!
//! Timestamps are unix milliseconds in UTC, and columns named `*_us` are microseconds.
//! Every answer can be serialised with serde; its fields have the names of the columns
//! in the file.
//!
//! # Modules
//!
//! Imports run one way: `error, window, record, recorded, state_hash, older < link,
//! filter, request, outcomes < reader < names < latency, session_requests < conditions < plan <
//! requests < slow, follow,
//! lookup < breakdown, neighbours, operations, sessions, clients, losses, info, kinship, sql,
//! coverage < stats < foreign, schema < timeline`.

mod breakdown;
mod clients;
mod conditions;
mod coverage;
mod error;
mod filter;
mod follow;
#[cfg(feature = "outbox")]
#[doc(hidden)]
pub mod foreign;
mod info;
mod kinship;
mod latency;
mod link;
mod lookup;
mod losses;
mod names;
mod neighbours;
mod older;
mod operations;
mod outcomes;
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
mod state_hash;
mod stats;
mod timeline;
mod window;

pub use breakdown::{Breakdown, GroupBy};
pub use clients::{Caller, Client, ClientRevision};
pub use error::{QueryError, QueryErrorKind};
pub use filter::{
    ClientFilter, RequestFilter, SchemaFilter, SessionFilter, StatsFilter, TimelineFilter,
};
pub use follow::{Follower, Written};
pub use info::{Info, Shipping};
pub use kinship::Kinship;
pub use lookup::Lookup;
pub use losses::Loss;
pub use names::NameKind;
pub use operations::{Operation, OperationKind, OperationLeg, Task};
pub use reader::Reader;
pub use recorded::{ChangeType, LossReason, Recorded, Word};
pub use request::Request;
pub use requests::Position;
pub use schema::{
    ChangeImpact, Comparison, Difference, SchemaChange, Severity, Snapshot, Tool, Usage,
};
pub use sessions::{Session, SessionOrder};
pub use sql::Value;
pub use state_hash::StateHash;
pub use stats::{CallStats, Group, Percentiles, StatsReport};
pub use timeline::{
    BucketSource, LatencyCount, Timeline, TimelineBucket, TimelineGroup, WriterStart,
};
pub use window::Window;
