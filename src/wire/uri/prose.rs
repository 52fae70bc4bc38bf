//! Words that may hold URIs.

use std::borrow::Cow;

use super::{TextBuffer, Userinfo};

/// The beginning of a text that may hold URIs, without the userinfo of these.
pub(crate) struct Prose {
    userinfo: Userinfo,
    kept: TextBuffer,
    /// Bytes that are kept at most.
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

    /// Reads on. Returns whether more is wanted: a userinfo has to be read to its
    /// end, however long it is.
    pub(crate) fn read(&mut self, text: &[u8]) -> bool {
        self.userinfo.feed(text, &mut self.kept, 0, self.limit);
        let is_full = self.userinfo.exceeds(self.limit);
        !is_full || self.open_authority().is_some()
    }

    /// What is kept. If the text broke off, it may be within a userinfo, which is
    /// left out then.
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
