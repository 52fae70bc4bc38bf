//! What looks at the frames of a body and reports to the exchange what they say.
//!
//! A compressed body is read as what it decodes to, if the feature
//! `decompression` is on, and otherwise only counted. The size of a whole body
//! is always that of the bytes that passed. That of a message in a batch, and
//! of the events up to an answer, is counted in what was decoded, as only that
//! has a place where they end.

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
