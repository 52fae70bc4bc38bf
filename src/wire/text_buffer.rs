use smallvec::SmallVec;

/// Kept text of a message. For most messages it fits into the inline buffer.
pub(super) type TextBuffer = SmallVec<[u8; 256]>;
