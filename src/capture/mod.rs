//! The tower middleware: watches HTTP exchanges and tells the store what passed.
//!
//! [`StoreLayer`] wraps a service. Each POST becomes an exchange; the two
//! bodies are forwarded frame by frame through [`StoreBody`], which looks at
//! what passes and never holds it back. What the two directions say is put
//! together in one place, `exchange.rs`, from which each JSON-RPC request
//! leaves as exactly one row, whatever ends first.

mod body;
mod call;
mod config;
mod content;
#[cfg(feature = "decompression")]
mod decode;
mod ending;
mod error_body;
mod exchange;
mod failure;
mod future;
mod head;
mod headers;
mod held;
mod layer;
mod listing;
mod mirror;
mod open;
mod recorder;
mod replays;
mod service;
mod session;
mod stream;
mod tap;

pub use body::StoreBody;
pub use future::ResponseFuture;
pub use headers::{Principal, RequestId};
pub use layer::StoreLayer;
pub use service::StoreService;
