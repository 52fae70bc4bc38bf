//! How the bytes of a body are read: as they are, decoded, or not at all.

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
    /// It is what it says.
    Plain,
    /// It is compressed.
    #[cfg(feature = "decompression")]
    Encoded(Box<Decoder>),
    /// Its headers name a coding, and its first byte tells whether it is in it.
    /// Most servers ignore the header and read the JSON.
    Claimed(Result<Box<Content>, Undecodable>),
    /// It is in an encoding whose bytes look like other JSON.
    Unreadable,
}

/// A body, or the rest of one, is in a coding that is not decoded here, broken,
/// or decodes to more than is worth it.
#[derive(Debug, Clone, Copy)]
pub(in crate::capture) struct Undecodable;

impl Content {
    /// How to read a body with these headers.
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
            // Several in a row are not seen in practice.
            _ => Err(Undecodable),
        }
    }

    /// How to read a request body with these headers.
    pub(in crate::capture) fn of_request(headers: &Headers<'_>) -> Self {
        if headers.is_utf_7() {
            return Self::Unreadable;
        }
        match Self::of(headers) {
            Ok(Self::Plain) => Self::Plain,
            content => Self::Claimed(content.map(Box::new)),
        }
    }

    /// Returns whether a body read this way may begin with a byte that JSON begins with.
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

    /// Hands what the next bytes of the body say to `sink`, until it has enough.
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
