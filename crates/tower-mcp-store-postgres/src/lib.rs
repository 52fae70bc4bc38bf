//! Ships the SQLite files of [`tower_mcp_store`] to one PostgreSQL database, so that one query
//! covers many servers.
//!
//! Each server records into its own file, which is fast and survives a crash. A shipper copies
//! the rows to the database, and stores in the file which rows it has copied. During an outage of
//! the database the file keeps the rows. If the file exceeds the size of its
//! [retention](tower_mcp_store::Retention), the writer removes rows that were not shipped, and
//! reports their number in `losses`.
//!
//! ```no_run
//! use std::time::Duration;
//! use tower_mcp_store::Store;
//! use tower_mcp_store_postgres::{ShipConfig, ship};
//!
//! let store = Store::open("mcp.db")?;
//! let target = "postgres://replica@db.example/mcp".parse()?;
//! let shipper = ship(&store, ShipConfig::new(target))?;
//! // The server runs.
//! store.shutdown(Duration::from_secs(5))?;
//! shipper.stop(Duration::from_secs(5))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The owner of the database creates the tables with [`fleet::init`], and removes old rows with
//! [`fleet::retain`] once a day. A [`FleetReader`] answers for all files as
//! [`Reader`](tower_mcp_store::query::Reader) does for one.
//!
//! All statements are unnamed, so that PgBouncer may pool connections by transaction.

mod backoff;
mod connection;
mod error;
pub mod fleet;
mod read;
mod schema;
mod shipper;
mod target;
mod tls;

pub use error::{PostgresError, PostgresErrorKind};
pub use read::{
    FleetFollower, FleetInfo, FleetReader, FleetRequest, FleetStore, Handles, Pulled, pull,
};
pub use schema::SCHEMA_VERSION;
pub use shipper::{ShipConfig, ShipStats, Shipper, ship, ship_once, ship_until};
pub use target::Target;
