//! The facts of one JSON-RPC message.

use std::ops::Range;

use super::fields::{self, Capture, Field};
use super::json_id::JsonId;
use super::partial_text;
use super::text_buffer::TextBuffer;
use super::text_digest::TextDigest;

/// Limit of the text that slots can refer to, in bytes.
const MOST_TEXT: usize = u16::MAX as usize;

/// The kind of a message, by its members alone: the same in either direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Has a method and an id that is a string or number.
    Request,
    /// Has a method and no id.
    Notification,
    /// Has a result, no method, and no error except `null`.
    Success,
    /// Has an error that is not `null`, and no method.
    Failure,
    /// None of these: no `jsonrpc`, a method that is not a string, an id of `null`
    /// beside a method, or no known member.
    Other,
}

/// One message whose object is closed.
///
/// A repeated member has its last value. If an object is repeated, nothing of the
/// earlier object counts.
#[derive(Default)]
pub(crate) struct Message {
    slots: Slots,
    /// The text of all kept members. The slots refer to it.
    pub(super) text: TextBuffer,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) in_batch: bool,
    /// Where the `result` lies, if it is an object.
    pub(super) result: Range<u64>,
}

/// One slot for each watched member.
struct Slots([Slot; fields::COUNT]);

impl Default for Slots {
    fn default() -> Self {
        Self([Slot::default(); fields::COUNT])
    }
}

/// What is known of a member. The kept text is empty unless the scanner was asked
/// to keep it.
#[derive(Clone, Copy, Default)]
struct Slot {
    start: u16,
    len: u16,
    shape: Shape,
    kept: Kept,
}

/// How much of a value is kept.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Kept {
    #[default]
    Whole,
    /// A text that was longer, followed by its digest if the digest is kept; or an id
    /// that is stored as a digest.
    Cut,
    /// A text from which the userinfo was removed.
    Stripped,
    StrippedAndCut,
}

/// The JSON type of a member's value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Shape {
    #[default]
    Absent,
    Null,
    False,
    True,
    Number,
    String,
    Object,
    Array,
    /// A literal that is not valid JSON.
    Unknown,
}

impl Slot {
    fn is_cut(self) -> bool {
        matches!(self.kept, Kept::Cut | Kept::StrippedAndCut)
    }
}

impl Message {
    pub(crate) fn kind(&self) -> Kind {
        if self.shape(Field::JsonRpc) == Shape::Absent {
            return Kind::Other;
        }
        match self.shape(Field::Method) {
            Shape::String => match self.shape(Field::Id) {
                Shape::String | Shape::Number => Kind::Request,
                Shape::Absent => Kind::Notification,
                _ => Kind::Other,
            },
            Shape::Absent => match (self.shape(Field::Error), self.shape(Field::Result)) {
                (Shape::Absent | Shape::Null, Shape::Absent) => Kind::Other,
                (Shape::Absent | Shape::Null, _) => Kind::Success,
                _ => Kind::Failure,
            },
            _ => Kind::Other,
        }
    }

    /// Returns the id, if it is a string or a number.
    pub(crate) fn id(&self) -> Option<JsonId> {
        self.token(Field::Id)
    }

    /// Returns whether the id is missing or `null`. Servers send both for an error that
    /// cannot name its request.
    pub(crate) fn id_is_null_or_absent(&self) -> bool {
        matches!(self.shape(Field::Id), Shape::Absent | Shape::Null)
    }

    /// Returns a member that is kept as text: unescaped, valid UTF-8, bounded in
    /// length. `None` unless the value is a string; an error code may also be a number.
    pub(crate) fn text(&self, field: Field) -> Option<&str> {
        if !self.has_text(field) {
            return None;
        }
        let slot = self.slots.0[field as usize];
        let text = match field.node().capture {
            Capture::HashedText(_) => self.text_and_digest(slot).0,
            _ => self.kept(slot),
        };
        str::from_utf8(text).ok()
    }

    /// Returns whether there is such a text.
    pub(crate) fn has_text(&self, field: Field) -> bool {
        match field.node().capture {
            Capture::Text(_) | Capture::Uri(_) | Capture::Prose(_) | Capture::HashedText(_) => {
                self.shape(field) == Shape::String
            }
            Capture::TextOrNumber(_) => {
                matches!(self.shape(field), Shape::String | Shape::Number)
            }
            _ => false,
        }
    }

    /// Returns the SHA-256 of a member that is compared and may be long:
    ///
    /// - of a task id or a state that is a string: the unescaped text;
    /// - of any other state except `null`: the SHA-256 of the bytes as they were sent;
    /// - of input requests or input responses: the set of keys.
    ///
    /// `None` for any other member or value, for an empty set of keys and for more than
    /// 64 keys.
    pub(crate) fn digest(&self, field: Field) -> Option<[u8; 32]> {
        let slot = self.slots.0[field as usize];
        match (field.node().capture, slot.shape) {
            (Capture::Digest | Capture::KeySet, _) => self.kept(slot).try_into().ok(),
            (Capture::HashedText(_), Shape::String) => {
                let (text, digest) = self.text_and_digest(slot);
                Some(digest.unwrap_or_else(|| TextDigest::of(text)))
            }
            _ => None,
        }
    }

    /// Returns whether the member's text is only the beginning of what was sent.
    pub(crate) fn was_cut(&self, field: Field) -> bool {
        self.slots.0[field as usize].is_cut() && self.has_text(field)
    }

    /// Returns whether a userinfo was removed from the member's text.
    pub(crate) fn had_userinfo(&self, field: Field) -> bool {
        let kept = self.slots.0[field as usize].kept;
        matches!(kept, Kept::Stripped | Kept::StrippedAndCut)
    }

    /// Returns a member that is compared, an id or a cursor. `None` unless it is a
    /// string or number.
    pub(crate) fn token(&self, field: Field) -> Option<JsonId> {
        let slot = self.slots.0[field as usize];
        match (field.node().capture, slot.shape) {
            (Capture::JsonId, Shape::String) => JsonId::new(false, slot.is_cut(), self.kept(slot)),
            (Capture::JsonId, Shape::Number) => JsonId::new(true, slot.is_cut(), self.kept(slot)),
            _ => None,
        }
    }

    /// Returns whether `result.isError` is true: the call succeeded, the tool failed.
    pub(crate) fn is_error(&self) -> bool {
        self.is_true(Field::IsError)
    }

    /// Returns whether the member is `true`.
    pub(crate) fn is_true(&self, field: Field) -> bool {
        self.shape(field) == Shape::True
    }

    /// Returns whether the member is an object.
    pub(crate) fn is_object(&self, field: Field) -> bool {
        self.shape(field) == Shape::Object
    }

    /// Returns where the message's object lies in the document, in bytes.
    pub(crate) fn span(&self) -> Range<u64> {
        self.start..self.end
    }

    /// Returns where the `result` object of the message lies in the document.
    pub(crate) fn result_span(&self) -> Option<Range<u64>> {
        (self.shape(Field::Result) == Shape::Object).then(|| self.result.clone())
    }

    /// Returns whether the message is an element of an array.
    pub(crate) fn in_batch(&self) -> bool {
        self.in_batch
    }

    fn shape(&self, field: Field) -> Shape {
        self.slots.0[field as usize].shape
    }

    /// Returns a kept text, and the digest of the whole text if it was longer.
    fn text_and_digest(&self, slot: Slot) -> (&[u8], Option<[u8; 32]>) {
        let kept = self.kept(slot);
        match kept.split_last_chunk() {
            Some((text, digest)) if slot.is_cut() => (text, Some(*digest)),
            _ => (kept, None),
        }
    }

    fn kept(&self, slot: Slot) -> &[u8] {
        let start = usize::from(slot.start);
        self.text
            .get(start..start + usize::from(slot.len))
            .unwrap_or_default()
    }

    /// Begins another message and reuses the memory of the last one.
    pub(super) fn begin(&mut self, start: u64, in_batch: bool) {
        self.clear();
        self.start = start;
        self.in_batch = in_batch;
    }

    /// Forgets the message and keeps its memory.
    fn clear(&mut self) {
        self.slots = Slots::default();
        self.text.clear();
    }

    /// Forgets the value of a member and of all members below it. On the first
    /// occurrence there is nothing to forget.
    pub(super) fn forget(&mut self, field: Field) {
        if self.shape(field) != Shape::Absent {
            self.slots.0[field.subtree()].fill(Slot::default());
        }
    }

    /// Sets the type of the member's value. None of its text is kept yet.
    pub(super) fn set_shape(&mut self, field: Field, shape: Shape) {
        self.slots.0[field as usize].shape = shape;
    }

    /// Keeps the text from `start` to the end of the buffer as the member's value.
    pub(super) fn keep(&mut self, field: Field, shape: Shape, start: usize, cut: bool) {
        self.slots.0[field as usize] = Slot {
            start: start as u16,
            len: (self.text.len() - start) as u16,
            shape,
            kept: match cut {
                true => Kept::Cut,
                false => Kept::Whole,
            },
        };
    }

    /// Keeps the digest of an object or array whose shape is set.
    pub(super) fn keep_digest(&mut self, field: Field, digest: Option<[u8; 32]>) {
        if let Some(digest) = digest {
            let start = self.text.len();
            self.text.extend_from_slice(&digest);
            self.keep(field, self.shape(field), start, false);
        }
    }

    /// Notes that the member's text was stored without its userinfo.
    pub(super) fn set_stripped(&mut self, field: Field) {
        let slot = &mut self.slots.0[field as usize];
        slot.kept = match slot.is_cut() {
            true => Kept::StrippedAndCut,
            false => Kept::Stripped,
        };
    }

    /// Makes room for one more text.
    #[inline]
    pub(super) fn make_room(&mut self) {
        const { assert!(fields::MOST_KEPT + 2 * partial_text::LARGEST < MOST_TEXT) };
        if self.text.len() + partial_text::LARGEST > MOST_TEXT {
            self.compact();
        }
    }

    /// Drops text that no slot refers to any more, which repeated members leave behind.
    /// It runs once for tens of kilobytes read.
    #[cold]
    fn compact(&mut self) {
        let old = std::mem::take(&mut self.text);
        for slot in &mut self.slots.0 {
            let start = usize::from(slot.start);
            let kept = old
                .get(start..start + usize::from(slot.len))
                .unwrap_or_default();
            slot.start = self.text.len() as u16;
            self.text.extend_from_slice(kept);
        }
    }
}
