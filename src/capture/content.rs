//! How the bytes of a body are read: as they are, decoded, or not at all.

use std::ops::ControlFlow;

#[cfg(feature = "decompression")]
use super::decode::Decoder;
use super::headers::Headers;
#[cfg(feature = "decompression")]
use super::headers::Media;

/// A body whose bytes can be read.
pub(super) enum Content {
    /// It is what it says.
    Plain,
    /// It is compressed.
    #[cfg(feature = "decompression")]
    Encoded(Box<Decoder>),
}

/// A body, or the rest of one, is in a coding that is not decoded here, broken,
/// or decodes to more than is worth it.
#[derive(Debug)]
pub(super) struct Undecodable;

impl Content {
    /// How to read a body with these headers.
    pub(super) fn of(headers: &Headers<'_>) -> Result<Self, Undecodable> {
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
            // Nobody sends several in a row.
            _ => Err(Undecodable),
        }
    }

    /// Hands what the next bytes of the body say to `sink`, until it has enough.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Undecodable> {
        match self {
            Self::Plain => Ok(sink(bytes)),
            #[cfg(feature = "decompression")]
            Self::Encoded(decoder) => decoder.read(bytes, sink),
        }
    }
}
