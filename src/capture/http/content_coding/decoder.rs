//! Decodes a copy of compressed bodies as they pass. What is forwarded stays as it is.
//!
//! A body comes from a stranger, and little of it may stand for very much. So
//! memory is bounded by the window of the coding, and time by how much a body
//! may decode to; one that goes beyond is not read further. Nothing is held
//! back: whatever the compressor flushed is handed on at once.

use std::ops::ControlFlow;

use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::DParameter;
use compression_codecs::{
    BrotliDecoder, DecodeV2, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};

use super::Undecodable;
use super::window::Window;

/// How many bytes one byte of a body may stand for in the long run. A listing
/// of a thousand like things reaches 10 in gzip and 100 in zstd, a run of
/// zeros 1,000 and 30,000.
const RATIO: u64 = 200;

/// How many bytes a body may stand for beyond that, for its repetitive parts.
/// With [`RATIO`] it bounds what a single frame can cost.
const BURST: u64 = 4 * 1024 * 1024;

/// How much is decoded of a body that is no event stream, in bytes. An event
/// stream may go on for days.
const DOCUMENT: u64 = 256 * 1024 * 1024;

/// Largest window of a zstd frame, as a power of two: the 8 MiB of RFC 9659.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The window of deflate.
const DEFLATE_WINDOW: u64 = 32 * 1024;

/// How much is decoded at a time, in bytes.
const PIECE: usize = 16 * 1024;

/// Decodes one body.
pub(in crate::capture) struct Decoder {
    coding: Coding,
    /// None before the first byte.
    codec: Option<Codec>,
    /// The codec came to its end, though the body may go on.
    ended: bool,
    /// Bytes that may be decoded without any more coming, at most [`BURST`].
    credit: u64,
    decoded: u64,
    /// Bytes that may be decoded of the whole body.
    limit: u64,
}

type Codec = (Box<dyn DecodeV2 + Send + Sync>, Window);

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// Returns the coding of this name in `Content-Encoding`.
    fn named(name: &[u8]) -> Option<Self> {
        let is = |coding: &[u8]| name.eq_ignore_ascii_case(coding);
        if is(b"gzip") || is(b"x-gzip") {
            Some(Self::Gzip)
        } else if is(b"deflate") {
            Some(Self::Deflate)
        } else if is(b"br") {
            Some(Self::Brotli)
        } else if is(b"zstd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    /// What decodes a body that begins with this byte.
    fn codec(self, first: u8) -> Result<Codec, Undecodable> {
        let (codec, window): (Box<dyn DecodeV2 + Send + Sync>, _) = match self {
            Self::Gzip => (Box::new(GzipDecoder::new()), DEFLATE_WINDOW),
            // By the standard in the zlib format, whose first byte tells the
            // method 8; some send it bare, and no encoder begins so.
            Self::Deflate if first & 0x0f == 8 => (Box::new(ZlibDecoder::new()), DEFLATE_WINDOW),
            Self::Deflate => (Box::new(DeflateDecoder::new()), DEFLATE_WINDOW),
            Self::Brotli => {
                let window = brotli_window(first)?;
                (Box::new(BrotliDecoder::new()), window)
            }
            Self::Zstd => {
                let limit = DParameter::window_log_max(ZSTD_WINDOW_LOG);
                let codec = ZstdDecoder::new_with_params(&[limit]);
                (Box::new(codec), 1 << ZSTD_WINDOW_LOG)
            }
        };
        Ok((codec, Window::new(window)))
    }

    /// Returns whether a body may be several of the coding's streams in a row.
    fn is_repeatable(self) -> bool {
        matches!(self, Self::Gzip | Self::Zstd)
    }
}

/// The window that a brotli stream begins with, in bytes (RFC 7932, section
/// 9.1). The codec would also take what the standard does not know: up to 1 GiB.
fn brotli_window(first: u8) -> Result<u64, Undecodable> {
    let log = match (first & 1, first >> 1 & 7, first >> 4 & 7) {
        (0, _, _) => 16,
        (_, 0, 0) => 17,
        (_, 0, 1) => return Err(Undecodable),
        (_, 0, bits) => 8 + bits,
        (_, bits, _) => 17 + bits,
    };
    Ok(1 << log)
}

impl Decoder {
    /// Makes the decoder of a body in the coding of this name, which may be `endless`.
    pub(super) fn of(coding: &[u8], endless: bool) -> Result<Self, Undecodable> {
        Ok(Self {
            coding: Coding::named(coding).ok_or(Undecodable)?,
            codec: None,
            ended: false,
            credit: BURST,
            decoded: 0,
            limit: if endless { u64::MAX } else { DOCUMENT },
        })
    }

    /// Returns whether a body in this coding may begin with a byte that JSON begins
    /// with. In brotli it may with all but these two; in the other codings no
    /// encoder begins so.
    pub(super) fn may_begin_like_json(&self, first: u8) -> bool {
        matches!(self.coding, Coding::Brotli) && !matches!(first, b'{' | 0xef)
    }

    /// Decodes on, until `sink` has enough or nothing can follow.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        sink: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Undecodable> {
        let Some(&first) = bytes.first() else {
            return Ok(ControlFlow::Continue(()));
        };
        let mut codec = match self.codec.take() {
            Some(codec) => codec,
            None => self.coding.codec(first)?,
        };
        let flow = self.decode(&mut codec, bytes, sink);
        self.codec = Some(codec);
        flow
    }

    fn decode(
        &mut self,
        (codec, window): &mut Codec,
        bytes: &[u8],
        sink: &mut impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Undecodable> {
        let mut piece = [0; PIECE];
        let mut input = PartialBuffer::new(bytes);
        // A full piece may have left something in the codec.
        let mut full = false;
        while full || !input.unwritten().is_empty() {
            if self.ended {
                if !self.coding.is_repeatable() {
                    return Ok(ControlFlow::Break(()));
                }
                codec.reinit().map_err(|_| Undecodable)?;
                self.ended = false;
            }
            let mut output = WriteBuffer::new_initialized(&mut piece);
            let before = input.written_len();
            let result = match input.unwritten().is_empty() {
                true => codec.flush(&mut output).map(|_| false),
                false => codec.decode(&mut input, &mut output),
            };
            // What came before an error counts: others read it, too.
            let (read, decoded) = (input.written_len() - before, output.written());
            self.spend(read, decoded.len())?;
            window.fill(self.decoded)?;
            if !decoded.is_empty() && sink(decoded).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            self.ended = result.map_err(|_| Undecodable)?;
            let stuck = read == 0 && decoded.is_empty() && !self.ended;
            if stuck && !input.unwritten().is_empty() {
                return Err(Undecodable);
            }
            full = output.has_no_spare_space() && !self.ended;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Counts bytes that were read and what they decoded to. Fails beyond the bounds.
    fn spend(&mut self, read: usize, decoded: usize) -> Result<(), Undecodable> {
        let decoded = decoded as u64;
        let credit = (self.credit + RATIO * read as u64).min(BURST);
        self.credit = credit.checked_sub(decoded).ok_or(Undecodable)?;
        self.decoded = self.decoded.saturating_add(decoded);
        if self.decoded > self.limit {
            return Err(Undecodable);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
