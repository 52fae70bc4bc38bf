//! A key or value while it comes in: bounded at once, made valid when whole.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::json_id;
use super::uri::Userinfo;

/// Bytes of a token that are held before they go into its digest.
const TOKEN_BLOCK: usize = 256;

/// More bytes than any draft holds at a time.
pub(super) const LARGEST: usize = bytes_for(2048);

/// Takes what comes at the end of a buffer.
#[derive(Default)]
pub(super) struct PartialText {
    start: usize,
    limit: usize,
    kept: Kept,
}

/// What is kept.
enum Kept {
    /// The bytes up to the limit.
    First { was_cut: bool },
    /// The same without the userinfo of URIs.
    Stripped(Userinfo),
    /// All of it, in a digest once the limit is reached.
    Digest(Option<Box<Sha256>>),
}

impl Default for Kept {
    fn default() -> Self {
        Self::First { was_cut: false }
    }
}

/// Bytes that hold more than `chars` characters, if they are full.
const fn bytes_for(chars: usize) -> usize {
    4 * (chars + 1)
}

impl PartialText {
    /// A text whose first `chars` characters are kept.
    pub(super) fn text(buf: &[u8], chars: u16) -> Self {
        Self {
            start: buf.len(),
            limit: bytes_for(chars.into()),
            kept: Kept::default(),
        }
    }

    /// The same of a text that may be a URI, without its userinfo.
    pub(super) fn uri(buf: &[u8], chars: u16) -> Self {
        Self {
            kept: Kept::Stripped(Userinfo::default()),
            ..Self::text(buf, chars)
        }
    }

    /// The same of a text that may hold URIs, without their userinfo.
    pub(super) fn prose(buf: &[u8], chars: u16) -> Self {
        Self {
            kept: Kept::Stripped(Userinfo::in_prose()),
            ..Self::text(buf, chars)
        }
    }

    /// A text that is of no use if it is longer than `bytes`.
    pub(super) fn short(buf: &[u8], bytes: usize) -> Self {
        Self {
            start: buf.len(),
            limit: bytes,
            kept: Kept::default(),
        }
    }

    /// A value that is kept in full, as a digest if it is long.
    pub(super) fn token(buf: &[u8]) -> Self {
        Self {
            start: buf.len(),
            limit: TOKEN_BLOCK,
            kept: Kept::Digest(None),
        }
    }

    pub(super) fn push(&mut self, buf: &mut Vec<u8>, mut bytes: &[u8]) {
        if let Kept::Stripped(userinfo) = &mut self.kept {
            return userinfo.feed(bytes, buf, self.start, self.limit);
        }
        loop {
            let room = (self.start + self.limit).saturating_sub(buf.len());
            let (fits, over) = bytes.split_at(room.min(bytes.len()));
            buf.extend_from_slice(fits);
            if over.is_empty() {
                return;
            }
            let Kept::Digest(digest) = &mut self.kept else {
                self.kept = Kept::First { was_cut: true };
                return;
            };
            // A character that may not be whole yet stays.
            let held = &buf[self.start..];
            let last = held.iter().rev().take(4).position(|byte| is_start(*byte));
            let whole = buf.len() - last.map_or(0, |from_end| from_end + 1);
            let valid = String::from_utf8_lossy(&buf[self.start..whole]);
            digest.get_or_insert_default().update(valid.as_bytes());
            buf.drain(self.start..whole);
            bytes = over;
        }
    }

    /// Where the draft begins in the buffer.
    pub(super) fn start(&self) -> usize {
        self.start
    }

    /// Whether it is longer than what is held.
    pub(super) fn overflows(&self) -> bool {
        match &self.kept {
            Kept::First { was_cut } => *was_cut,
            Kept::Stripped(userinfo) => userinfo.exceeds(self.limit),
            Kept::Digest(digest) => digest.is_some(),
        }
    }

    /// Whether it had a userinfo, which is not kept.
    pub(super) fn had_userinfo(&self) -> bool {
        matches!(&self.kept, Kept::Stripped(userinfo) if userinfo.found())
    }

    /// Makes the text valid and at most `chars` characters long. Returns whether it was longer.
    pub(super) fn finish_text(self, buf: &mut Vec<u8>, chars: u16) -> bool {
        make_valid(buf, self.start);
        // Nothing to count while there are no more bytes than characters allowed.
        if buf.len() - self.start > chars.into() {
            let mut starts = (self.start..)
                .zip(&buf[self.start..])
                .filter(|(_, byte)| is_start(**byte));
            if let Some((end, _)) = starts.nth(chars.into()) {
                buf.truncate(end);
                return true;
            }
        }
        self.overflows()
    }

    /// Makes the value fit for a [`JsonId`](super::JsonId). Returns whether it is a digest now.
    pub(super) fn finish_token(self, buf: &mut Vec<u8>) -> bool {
        make_valid(buf, self.start);
        let digest = match self.kept {
            Kept::Digest(digest) => digest,
            Kept::First { .. } | Kept::Stripped(_) => None,
        };
        json_id::store(buf, self.start, digest)
    }
}

/// Whether a character of UTF-8 begins with this byte.
fn is_start(byte: u8) -> bool {
    byte & 0xc0 != 0x80
}

/// Replaces invalid UTF-8 in what lies from `start` on.
fn make_valid(buf: &mut Vec<u8>, start: usize) {
    if let Cow::Owned(valid) = String::from_utf8_lossy(&buf[start..]) {
        buf.truncate(start);
        buf.extend_from_slice(valid.as_bytes());
    }
}
