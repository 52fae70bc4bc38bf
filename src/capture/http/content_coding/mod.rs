//! How the bytes of a body are read: unchanged, decoded, or not at all.

#[cfg(feature = "decompression")]
mod decoder;
#[cfg(feature = "decompression")]
mod window;

use std::ops::ControlFlow;

#[cfg(feature = "decompression")]
use self::decoder::Decoder;
use super::headers::Headers;
#[cfg(feature = "decompression")]
use super::media::Media;
use crate::wire;

/// A body whose bytes can be read.
pub(in crate::capture) enum Content {
    /// The bytes are the text.
    Plain,
    /// It is compressed.
    #[cfg(feature = "decompression")]
    Encoded(Box<Decoder>),
    /// Its headers name a coding, and its first byte decides whether it is compressed.
    /// Most servers ignore the header and read the JSON.
    Claimed(Result<Box<Content>, Undecodable>),
    /// It is in an encoding whose bytes look like different JSON.
    Unreadable,
}

/// A body, or the rest of one, is in a coding that is not decoded here, is broken,
/// or exceeds the limits of decoding.
#[derive(Debug, Clone, Copy)]
pub(in crate::capture) struct Undecodable;

impl Content {
    /// Returns how to read a body with these headers.
    pub(in crate::capture) fn of(headers: &Headers<'_>) -> Result<Self, Undecodable> {
        if !headers.is_encoded() {
            return Ok(Self::Plain);
        }
        let mut codings = headers.codings();
        match (codings.next(), codings.next()) {
            (None, _) => Ok(Self::Plain),
            #[cfg(feature = "decompression")]
            (Some(coding), None) => {
                let endless = headers.media() == Media::EventStream;
                let decoder = Decoder::of(coding, endless)?;
                Ok(Self::Encoded(Box::new(decoder)))
            }
            // Several codings in a row do not occur in practice.
            _ => Err(Undecodable),
        }
    }

    /// Returns how to read a request body with these headers.
    pub(in crate::capture) fn of_request(headers: &Headers<'_>) -> Self {
        if headers.is_utf_7() {
            return Self::Unreadable;
        }
        match Self::of(headers) {
            Ok(Self::Plain) => Self::Plain,
            content => Self::Claimed(content.map(Box::new)),
        }
    }

    /// Returns whether a body read this way may begin with a byte that begins JSON.
    #[cfg(feature = "decompression")]
    fn may_begin_like_json(&self, first: u8) -> bool {
        match self {
            Self::Encoded(decoder) => decoder.may_begin_like_json(first),
            _ => true,
        }
    }

    #[cfg(not(feature = "decompression"))]
    fn may_begin_like_json(&self, _: u8) -> bool {
        true
    }

    /// Passes the content of the next bytes to `sink`, until `sink` stops it.
    pub(in crate::capture) fn read(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Undecodable> {
        match self {
            Self::Plain => Ok(sink(bytes)),
            #[cfg(feature = "decompression")]
            Self::Encoded(decoder) => decoder.read(bytes, sink),
            Self::Unreadable if bytes.is_empty() => Ok(ControlFlow::Continue(())),
            Self::Unreadable => Err(Undecodable),
            Self::Claimed(content) => {
                let Some(&first) = bytes.first() else {
                    return Ok(ControlFlow::Continue(()));
                };
                let like_json = wire::begins_json(first);
                *self = match std::mem::replace(content, Err(Undecodable)) {
                    Ok(content) if !like_json || content.may_begin_like_json(first) => *content,
                    Err(Undecodable) if !like_json => return Err(Undecodable),
                    _ => Self::Plain,
                };
                self.read(bytes, sink)
            }
        }
    }
}
