//! Parses MCP traffic as it passes: bytes go in, facts come out.
//!
//! - [`Scanner`] reads JSON-RPC bodies, single messages and batches, in chunks of
//!   any size, and yields the facts of each [`Message`].
//! - [`SseDecoder`] finds the events of a `text/event-stream`, whose data is then
//!   fed to a scanner.
//! - [`listing`] converts a listing of what a server offers to its canonical form.
//! - [`uri`] removes the parts of URIs that must not be stored.
//! - [`method`] lists the methods of MCP and where each one names its target.
//!
//! Nothing here does I/O, uses HTTP or reads a clock. Nothing fails or panics:
//! invalid input yields no messages. Memory is bounded for any input, and the
//! result does not depend on how the bytes are split into chunks.

mod envelope;
mod fields;
mod json_id;
mod key_set;
pub(crate) mod listing;
pub(crate) mod method;
mod partial_text;
mod scan;
mod space;
mod sse;
mod swar;
mod text_buffer;
mod text_digest;
mod unescape;
pub(crate) mod uri;
mod value_skipper;

pub(crate) use envelope::{Kind, Message};
pub(crate) use fields::Field;
pub(crate) use json_id::JsonId;
pub(crate) use listing::Discovery;
pub(crate) use scan::{ScanState, Scanner};
pub(crate) use space::begins_json;
pub(crate) use sse::{EventEnd, EventId, EventKind, SseDecoder, SseItem};
