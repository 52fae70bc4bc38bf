//! Records the traffic of any MCP server over HTTP into SQLite.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod clock;
pub mod event;
#[cfg(feature = "proxy")]
#[cfg_attr(docsrs, doc(cfg(feature = "proxy")))]
pub mod proxy;

pub use event::{
    EndReason, RequestEvent, RequestStatus, SchemaVersionEvent, SessionEvent, SessionSource,
    StoreEvent, TraceId,
};
