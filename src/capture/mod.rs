//! The tower middleware: it observes HTTP exchanges and records them in the store.
//!
//! [`StoreLayer`] wraps a service. Both bodies of an exchange are forwarded frame by
//! frame through [`StoreBody`], which reads each frame after it is taken from the inner
//! body and never holds one back.
//!
//! # The life of a request
//!
//! 1. [`StoreService`] reads the head of a POST (`http`, `request_context`). The recorder
//!    makes an exchange and enters it into the registry of open exchanges. (Of other HTTP
//!    methods only GET streams and DELETE matter; see `tap/get_stream.rs`.)
//! 2. `tap/request.rs` scans the request body. When its JSON value is closed, the exchange
//!    gets the JSON-RPC requests in it: each one is a `Call` that waits for its answer.
//! 3. [`ResponseFuture`] waits for the response head. An inner service that fails, panics
//!    or is dropped before then ends the exchange.
//! 4. `tap/response.rs` scans the response body, a JSON document or an event stream. The
//!    exchange matches each answer with its call. If the row of the call needs the size of
//!    the whole body, the call keeps the answer; else it is `Done`.
//! 5. The end of the response body ends the HTTP part of the exchange. Calls without an
//!    answer get an outcome from how it ended (`exchange/decide.rs`). A call whose answer
//!    may still come on another stream of its session keeps the exchange *detached*, for
//!    the grace time at most.
//! 6. Each call leaves as one row: `Effects::rows`. After the last one, the exchange leaves
//!    the registry: `Effects::finished`.
//!
//! # Facts and effects
//!
//! An exchange is a state machine. Its methods take a fact (a body was read, an answer
//! passed, the caller left) and add `Effects`: rows, sessions, changes of the registry.
//! It knows neither store nor registry, so its tests need neither. `Recorder::apply` is
//! the one place that carries effects out.
//!
//! # Locks
//!
//! No lock is held while another one is taken. An exchange locks its state, decides,
//! releases the lock and leaves its effects to the caller. The registry, the sessions and
//! the memory of listings have a short lock each and call nothing while they hold it. The one exception
//! is `DerivedSession::announce`: it holds the lock of that session while it hands its row
//! to the store, so that no request of the session overtakes it.
//!
//! # Modules
//!
//! Each module imports only those before it.
//!
//! | module | what it holds |
//! |---|---|
//! | `http` | what one HTTP message says: headers, media type, coding, error |
//! | `config`, `context` | the settings, the counters, and whether the store records |
//! | `session` | the sessions that the layer knows |
//! | `request_context` | what the head of a request says, with what is known of its session |
//! | `listing` | listings that pass: the copy, and what was seen before |
//! | `exchange` | the state machine: calls, answers, outcomes, effects |
//! | `registry`, `replays` | the open exchanges; the answers that must not count twice |
//! | `recorder` | carries out effects, and lets one exchange speak to another |
//! | `exchange_handle` | an open exchange with its recorder, for the observers of its bodies |
//! | `tap` | reads bodies: requests, responses, GET streams |
//! | `body`, `future`, `service`, `layer` | the types that tower users meet |

mod body;
mod config;
mod context;
mod exchange;
mod exchange_handle;
mod future;
mod http;
mod layer;
mod listing;
mod no_row;
mod recorder;
mod registry;
mod replays;
mod request_context;
mod service;
mod session;
mod tap;

pub use self::http::{Principal, RequestId};
pub use body::StoreBody;
pub use future::ResponseFuture;
pub use layer::StoreLayer;
pub use service::StoreService;

#[cfg(test)]
mod tests;
