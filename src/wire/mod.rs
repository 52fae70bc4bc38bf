//! Bytes in, facts out: what MCP traffic says, read while it passes.
//!
//! - [`Scanner`] reads JSON-RPC bodies, single messages and batches, in
//!   whatever pieces they come, and yields the facts of each [`Message`].
//! - [`SseDecoder`] finds the events of a `text/event-stream`, whose data is
//!   then fed to a scanner.
//! - [`listing`] brings what a server says that it offers into one form.
//! - [`uri`] takes out of URIs what is not to be kept.
//! - [`method`] knows the methods of MCP and what each one aims at.
//!
//! Nothing here does I/O, knows HTTP or reads a clock, nothing fails and
//! nothing panics: input that is not what it should be yields no messages.
//! Memory is bounded whatever comes, and how the bytes were cut into chunks
//! changes nothing.

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
