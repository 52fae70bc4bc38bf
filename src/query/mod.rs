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
//! Times are unix milliseconds in UTC, latencies are microseconds. With the
//! feature `serde` every answer can be serialised; its fields are named like
//! the columns of the file.

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
mod sessions;
mod slow;
mod sql;
mod stats;
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
pub use sessions::{Session, SessionFilter};
pub use sql::Value;
pub use stats::{Figures, Group, Percentiles, Stats, StatsFilter};
pub use window::Window;
