//! The content of one HTTP message: its headers, media type, coding and error. It
//! has no state and uses no other module of the room.

mod content_coding;
mod error_body;
mod extensions;
mod failure;
mod headers;
mod media;
mod mirror;
mod text;

pub(super) use content_coding::{Content, Undecodable};
pub(super) use error_body::ErrorBody;
pub use extensions::{Principal, RequestId};
pub(super) use failure::Failure;
pub(super) use headers::{Headers, header_text};
pub(super) use media::Media;
pub(super) use mirror::MirrorHeaders;
pub(super) use text::{bounded, owned_bytes};
