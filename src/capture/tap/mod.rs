//! Inspects the frames of a body and reports their content to the exchange.
//!
//! A compressed body is decoded if the feature `decompression` is on, and otherwise
//! only counted. The size of a whole body is always the number of bytes that
//! passed. The sizes of a message in a batch and of the events up to an answer are
//! counted in decoded bytes, because only decoded bytes show where a message ends.

mod get_stream;
mod held;
mod message_stream;
mod panic_flag;
mod request;
mod response;

pub(super) use get_stream::{GetStreamTap, GetStreamWatch};
pub(super) use panic_flag::PanicFlag;
pub(super) use request::RequestTap;
pub(super) use response::ResponseTap;
