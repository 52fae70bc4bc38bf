//! Records the traffic of any MCP server over HTTP into SQLite.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
pub mod event;
mod wire;

pub use event::{
    EndReason, RequestEvent, RequestStatus, SchemaVersionEvent, SessionEvent, SessionSource,
    StoreEvent, TraceId,
};
