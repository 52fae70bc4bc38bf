//! A key or value that is still being read. It is bounded from the start, and made
//! valid UTF-8 at its end.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::json_id;
use super::text_buffer::TextBuffer;
use super::text_digest::TextDigest;
use super::uri::Userinfo;

/// The longest number, in bytes, that is compared by its value.
const LONGEST_NUMBER: usize = 256;

/// More bytes than any partial text holds at a time.
pub(super) const LARGEST: usize = bytes_for(2048);

/// A text that grows at the end of a buffer.
#[derive(Default)]
pub(super) struct PartialText {
    start: usize,
    limit: usize,
    kept: Kept,
}

/// How much of the text is kept.
enum Kept {
    /// The bytes up to the limit.
    First { was_cut: bool },
    /// Like `First`, without the userinfo of URIs.
    Stripped(Userinfo),
    /// The bytes up to the limit, and the digest of the whole text once it is longer.
    Hashed(Option<Box<TextDigest>>),
}

impl Default for Kept {
    fn default() -> Self {
        Self::First { was_cut: false }
    }
}

/// Returns a number of bytes that always holds more than `chars` characters.
const fn bytes_for(chars: usize) -> usize {
    4 * (chars + 1)
}

impl PartialText {
    /// Begins a text whose first `chars` characters are kept.
    pub(super) fn text(buf: &[u8], chars: u16) -> Self {
        Self {
            start: buf.len(),
            limit: bytes_for(chars.into()),
            kept: Kept::default(),
        }
    }

    /// Like [`text`](Self::text), for a text that may be a URI; its userinfo is
    /// removed.
    pub(super) fn uri(buf: &[u8], chars: u16) -> Self {
        Self {
            kept: Kept::Stripped(Userinfo::default()),
            ..Self::text(buf, chars)
        }
    }

    /// Like [`text`](Self::text), for a text that may contain URIs; their userinfo is
    /// removed.
    pub(super) fn prose(buf: &[u8], chars: u16) -> Self {
        Self {
            kept: Kept::Stripped(Userinfo::in_prose()),
            ..Self::text(buf, chars)
        }
    }

    /// Begins a text that is discarded if it is longer than `bytes`.
    pub(super) fn short(buf: &[u8], bytes: usize) -> Self {
        Self {
            start: buf.len(),
            limit: bytes,
            kept: Kept::default(),
        }
    }

    /// Begins a text whose first `chars` characters are kept, with the digest of the
    /// whole text.
    pub(super) fn hashed_text(buf: &[u8], chars: u16) -> Self {
        Self {
            kept: Kept::Hashed(None),
            ..Self::text(buf, chars)
        }
    }

    /// Begins a value that is compared in full. A long value is compared by its digest.
    pub(super) fn token(buf: &[u8]) -> Self {
        Self {
            start: buf.len(),
            limit: LONGEST_NUMBER,
            kept: Kept::Hashed(None),
        }
    }

    pub(super) fn push(&mut self, buf: &mut TextBuffer, bytes: &[u8]) {
        if let Kept::Stripped(userinfo) = &mut self.kept {
            return userinfo.feed(bytes, buf, self.start, self.limit);
        }
        let room = (self.start + self.limit).saturating_sub(buf.len());
        let (fits, over) = bytes.split_at(room.min(bytes.len()));
        buf.extend_from_slice(fits);
        if over.is_empty() {
            return;
        }
        match &mut self.kept {
            Kept::Hashed(digest) => digest
                .get_or_insert_with(|| {
                    let mut digest = Box::<TextDigest>::default();
                    digest.update(&buf[self.start..]);
                    digest
                })
                .update(over),
            kept => *kept = Kept::First { was_cut: true },
        }
    }

    /// Returns where the text begins in the buffer.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Returns whether the text is longer than the part that is kept.
    pub(super) fn overflows(&self) -> bool {
        match &self.kept {
            Kept::First { was_cut } => *was_cut,
            Kept::Stripped(userinfo) => userinfo.exceeds(self.limit),
            Kept::Hashed(digest) => digest.is_some(),
        }
    }

    /// Returns whether the text had a userinfo, which is not kept.
    pub(super) fn had_userinfo(&self) -> bool {
        matches!(&self.kept, Kept::Stripped(userinfo) if userinfo.found())
    }

    /// Makes the text valid and at most `chars` characters long. Returns whether it was longer.
    pub(super) fn finish_text(self, buf: &mut TextBuffer, chars: u16) -> bool {
        make_valid(buf, self.start);
        match end_of(chars, &buf[self.start..]) {
            Some(end) => {
                buf.truncate(self.start + end);
                true
            }
            None => self.overflows(),
        }
    }

    /// Like [`finish_text`](Self::finish_text). A text that was longer is followed by
    /// the digest of the whole text.
    pub(super) fn finish_hashed_text(mut self, buf: &mut TextBuffer, chars: u16) -> bool {
        let digest = self.take_digest();
        make_valid(buf, self.start);
        let text = &buf[self.start..];
        // More bytes than the limit are also more characters.
        let Some(end) = end_of(chars, text) else {
            return false;
        };
        let digest = digest.unwrap_or_else(|| TextDigest::of(text));
        buf.truncate(self.start + end);
        buf.extend_from_slice(&digest);
        true
    }

    /// Converts the value for a [`JsonId`](super::JsonId). Returns whether the buffer
    /// now holds a digest.
    pub(super) fn finish_token(mut self, buf: &mut TextBuffer) -> bool {
        let digest = self.take_digest();
        make_valid(buf, self.start);
        json_id::store(buf, self.start, digest)
    }

    /// Removes the value from the buffer and returns its digest.
    pub(super) fn finish_digest(mut self, buf: &mut TextBuffer) -> [u8; 32] {
        let digest = self.take_digest();
        let digest = digest.unwrap_or_else(|| TextDigest::of(&buf[self.start..]));
        buf.truncate(self.start);
        digest
    }

    /// Takes a value that is not a string out of the buffer. Returns the digest of its
    /// digest, which differs from that of a string with the same text.
    pub(super) fn finish_value_digest(self, buf: &mut TextBuffer) -> [u8; 32] {
        Sha256::digest(self.finish_digest(buf)).into()
    }

    /// Returns the digest of a value that is longer than the part that is kept.
    fn take_digest(&mut self) -> Option<[u8; 32]> {
        match &mut self.kept {
            Kept::Hashed(digest) => Some(digest.take()?.finish()),
            Kept::First { .. } | Kept::Stripped(_) => None,
        }
    }
}

/// Returns where the first `chars` characters of a valid text end, if it has more.
fn end_of(chars: u16, text: &[u8]) -> Option<usize> {
    // A text with at most `chars` bytes has at most `chars` characters.
    if text.len() <= chars.into() {
        return None;
    }
    let mut starts = (0..).zip(text).filter(|(_, byte)| is_start(**byte));
    Some(starts.nth(chars.into())?.0)
}

/// Returns whether a UTF-8 character begins with this byte.
fn is_start(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

/// Replaces invalid UTF-8 in the buffer from `start` on.
fn make_valid(buf: &mut TextBuffer, start: usize) {
    if let Cow::Owned(valid) = String::from_utf8_lossy(&buf[start..]) {
        buf.truncate(start);
        buf.extend_from_slice(valid.as_bytes());
    }
}
