//! The tower middleware: watches HTTP exchanges and tells the store what passed.
//!
//! [`StoreLayer`] wraps a service. Each POST becomes an exchange; the two
//! bodies are forwarded frame by frame through [`StoreBody`], which looks at
//! what passes and never holds it back. What the two directions say is put
//! together in one place, `exchange.rs`, from which each JSON-RPC request
//! leaves as exactly one row, whatever ends first.

mod body;
mod config;
mod content;
mod context;
#[cfg(feature = "decompression")]
mod decode;
mod error_body;
mod exchange;
mod failure;
mod future;
mod headers;
mod layer;
mod listing;
mod mirror;
mod recorder;
mod registry;
mod replays;
mod request_context;
mod service;
mod session;
mod tap;

pub use body::StoreBody;
pub use future::ResponseFuture;
pub use headers::{Principal, RequestId};
pub use layer::StoreLayer;
pub use service::StoreService;

#[cfg(test)]
mod tests;
