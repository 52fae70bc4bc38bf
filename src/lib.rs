//! Records the traffic of any MCP server over HTTP into SQLite.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
mod db;
mod error;
pub mod event;
mod store;
mod wire;

pub use db::SCHEMA_VERSION;
pub use error::{FlushError, OpenError, OpenErrorKind, ShutdownError};
pub use event::{
    EndReason, RequestEvent, RequestStatus, SchemaVersionEvent, SessionEvent, SessionSource,
    StoreEvent, TraceId,
};
pub use store::{Stats, Store, StoreBuilder, StoreState};
