//! Ships the SQLite files of [`tower_mcp_store`] to one PostgreSQL database, so that many
//! servers can be read as one.
//!
//! Each server records into its own file, which is quick and survives a crash. The file is
//! also the outbox: a shipper copies its rows to the database, and notes in the file how far
//! it is. An outage of the database costs nothing but delay, until the file's
//! [retention](tower_mcp_store::Retention) by size removes rows that were not shipped, and
//! tells so.
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
//! The owner of the database makes the tables with [`fleet::init`], and removes old rows with
//! [`fleet::retain`] once a day.
//!
//! All statements are unnamed, so that PgBouncer may pool connections by transaction.

mod connection;
mod error;
pub mod fleet;
mod schema;
mod shipper;
mod target;
mod tls;

pub use error::{PostgresError, PostgresErrorKind};
pub use schema::SCHEMA_VERSION;
pub use shipper::{ShipConfig, ShipStats, Shipper, ship, ship_once, ship_until};
pub use target::Target;
