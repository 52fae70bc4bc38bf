//! Decodes a copy of compressed bodies as they pass. The forwarded body is
//! unchanged.
//!
//! A body comes from an untrusted peer, and a few bytes may decode to very many. So
//! the window of the coding bounds the memory, and a limit on the decoded size
//! bounds the time. A body beyond the limit is not read further. Nothing is held
//! back: bytes that the compressor flushed are passed on at once.

use std::ops::ControlFlow;

use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::zstd::params::DParameter;
use compression_codecs::{
    BrotliDecoder, DecodeV2, DeflateDecoder, GzipDecoder, ZlibDecoder, ZstdDecoder,
};

use super::Undecodable;
use super::window::Window;

/// How many bytes one byte of a body may decode to in the long run. A listing of a
/// thousand similar items reaches 10 in gzip and 100 in zstd, a run of zeros 1,000
/// and 30,000.
const RATIO: u64 = 200;

/// How many more bytes a body may decode to, for its repetitive parts. With
/// [`RATIO`] it bounds the cost of a single frame.
const BURST: u64 = 4 * 1024 * 1024;

/// The most that is decoded of a body that is not an event stream, in bytes. An
/// event stream may last for days and has no limit.
const DOCUMENT: u64 = 256 * 1024 * 1024;

/// Largest window of a zstd frame, as a power of two: the 8 MiB of RFC 9659.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The window of deflate.
const DEFLATE_WINDOW: u64 = 32 * 1024;

/// The size of one decoded piece, in bytes.
const PIECE: usize = 16 * 1024;

/// Decodes one body.
pub(in crate::capture) struct Decoder {
    coding: Coding,
    /// `None` before the first byte.
    codec: Option<Codec>,
    /// The codec reached its end. The body may have more bytes.
    ended: bool,
    /// Bytes that may be decoded before more input arrives, at most [`BURST`].
    credit: u64,
    decoded: u64,
    /// Bytes of the whole body that may still be decoded.
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

    /// Returns the decoder of a body that begins with this byte.
    fn codec(self, first: u8) -> Result<Codec, Undecodable> {
        let (codec, window): (Box<dyn DecodeV2 + Send + Sync>, _) = match self {
            Self::Gzip => (Box::new(GzipDecoder::new()), DEFLATE_WINDOW),
            // The standard says zlib format, whose first byte names method 8. Some servers send
            // bare deflate, and no encoder begins that with such a byte.
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

    /// Returns whether a body may consist of several streams of the coding in a row.
    fn is_repeatable(self) -> bool {
        matches!(self, Self::Gzip | Self::Zstd)
    }
}

/// Returns the window that a brotli stream begins with, in bytes (RFC 7932, section
/// 9.1). The codec would also accept windows beyond the standard, up to 1 GiB.
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

    /// Returns whether a body in this coding may begin with a byte that also begins
    /// JSON. A brotli body may, except for these two bytes; in the other codings, no
    /// encoder begins so.
    pub(super) fn may_begin_like_json(&self, first: u8) -> bool {
        matches!(self.coding, Coding::Brotli) && !matches!(first, b'{' | 0xef)
    }

    /// Decodes the next bytes, until `sink` stops it or the body is over.
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
        // If the last piece was full, the codec may hold more.
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
            // The bytes before an error count, because other decoders read them too.
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

    /// Counts the bytes read and decoded. Fails beyond the limits.
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
