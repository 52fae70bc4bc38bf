//! Prose that may contain URIs.

use std::borrow::Cow;

use super::{TextBuffer, Userinfo};

/// The beginning of a text that may contain URIs, without their userinfo.
pub(crate) struct Prose {
    userinfo: Userinfo,
    kept: TextBuffer,
    /// The most bytes that are kept.
    limit: usize,
}

impl Prose {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            userinfo: Userinfo::in_prose(),
            kept: TextBuffer::new(),
            limit,
        }
    }

    /// Reads on. Returns whether it needs more of the text: a userinfo has to be read
    /// to its end, however long it is.
    pub(crate) fn read(&mut self, text: &[u8]) -> bool {
        self.userinfo.feed(text, &mut self.kept, 0, self.limit);
        let is_full = self.userinfo.exceeds(self.limit);
        !is_full || self.open_authority().is_some()
    }

    /// Returns the kept text. If the text broke off, it may end within a userinfo,
    /// which is then left out.
    pub(crate) fn text(&self, is_whole: bool) -> Cow<'_, str> {
        let end = self.open_authority().filter(|_| !is_whole);
        let kept = &self.kept[..end.unwrap_or(self.kept.len())];
        String::from_utf8_lossy(kept)
    }

    fn open_authority(&self) -> Option<usize> {
        let start = self.userinfo.open_authority();
        start.filter(|start| *start < self.kept.len())
    }
}
