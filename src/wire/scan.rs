//! Reads JSON-RPC bodies as they pass.
//!
//! The objects on the path to a watched member are parsed strictly; all other
//! values are skipped. The open watched object determines the position in the
//! document, so memory does not grow with the depth.

mod value;

use super::envelope::{Message, Shape};
use super::fields::{Capture, Field, LONGEST_KEY};
use super::key_set::KeySet;
use super::partial_text::PartialText;
use super::space::{Preamble, is_space};
use super::swar::plain_text;
use super::text_digest::TextDigest;
use super::unescape::Unescape;
use super::value_skipper::ValueSkipper;

/// Finds the messages of one JSON document: one message or a batch.
///
/// It takes several hundred bytes, which hold the kept text of most messages. It
/// keeps at most 64 KiB of a message.
pub(crate) struct Scanner {
    /// Number of bytes fed before the current chunk.
    offset: u64,
    step: Step,
    preamble: Preamble,
    batch: bool,
    /// The watched object that is open; `None` outside of messages.
    object: Option<Field>,
    /// The watched member whose value is being read.
    member: Option<Field>,
    draft: PartialText,
    unescape: Unescape,
    skip: ValueSkipper,
    /// Whether the first text of `result.content` is kept.
    keeps_content: bool,
    /// The keys of the open object, if their set is kept.
    keys: KeySet,
    message: Message,
}

/// How far a document has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScanState {
    /// Only white space has been read.
    Empty,
    /// The object or array is not closed yet.
    Open,
    /// The object or array is closed, or the value is neither and so holds no message.
    /// The rest is ignored.
    Closed,
    /// The document is not JSON, or is invalid in a part that is parsed strictly. The
    /// rest is ignored.
    Invalid,
}

/// What the scanner expects of the next byte.
#[derive(Clone, Copy)]
enum Step {
    /// The first byte of the document.
    Start,
    /// Within a character before the document that is not JSON white space.
    Preamble,
    /// After `{` or `[`: a member or the end.
    First,
    /// After `,`: a member.
    Next,
    /// In a key.
    Key,
    /// After a key.
    Colon,
    /// Before a value.
    Value,
    /// In a string that is kept.
    Text,
    /// In a number, `true`, `false` or `null` whose type is wanted.
    Literal,
    /// In a number, `true`, `false` or `null` that is skipped.
    SkipLiteral,
    /// In a string, object or array that is skipped.
    Skip,
    /// In an object or array whose bytes are hashed.
    Hashed,
    /// After a value.
    After,
    Closed,
    Invalid,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    pub(crate) fn new() -> Self {
        Self {
            offset: 0,
            step: Step::Start,
            preamble: Preamble::default(),
            batch: false,
            object: None,
            member: None,
            draft: PartialText::default(),
            unescape: Unescape::default(),
            skip: ValueSkipper::default(),
            keeps_content: false,
            keys: KeySet::default(),
            message: Message::default(),
        }
    }

    /// Prepares for another document and reuses the memory of the last one. The last
    /// message is forgotten when the next one begins.
    pub(crate) fn reset(&mut self) {
        self.offset = 0;
        self.step = Step::Start;
        self.preamble = Preamble::default();
        self.batch = false;
        self.object = None;
        self.member = None;
        self.draft = PartialText::default();
        self.unescape = Unescape::default();
    }

    /// Sets whether the first text of `result.content` is kept from now on.
    pub(crate) fn keep_content(&mut self, keep: bool) {
        self.keeps_content = keep;
    }

    /// Returns how many bytes of the document were read.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn state(&self) -> ScanState {
        match self.step {
            Step::Start => ScanState::Empty,
            Step::Closed => ScanState::Closed,
            Step::Invalid => ScanState::Invalid,
            _ => ScanState::Open,
        }
    }

    /// Reads the next chunk. Calls `sink` with each message when its object closes.
    pub(crate) fn feed(&mut self, chunk: &[u8], sink: &mut impl FnMut(&Message)) {
        let mut at = 0;
        while at < chunk.len() {
            let rest = &chunk[at..];
            at += match self.step {
                Step::Key | Step::Text => self.string(rest),
                Step::Literal | Step::SkipLiteral => self.literal(rest),
                Step::Skip => match self.skip.feed(rest) {
                    Some(len) => {
                        self.step = Step::After;
                        len
                    }
                    None => rest.len(),
                },
                Step::Hashed => self.hashed(rest),
                Step::Closed | Step::Invalid => rest.len(),
                Step::Preamble => {
                    self.step = self.preamble(rest[0]);
                    1
                }
                _ if is_space(rest[0]) => 1,
                _ => self.punctuation(rest, self.offset + at as u64, sink),
            };
        }
        self.offset += chunk.len() as u64;
    }

    /// Reads a byte between keys and values, and the token after it if that lies whole
    /// in the chunk. Returns the number of bytes read.
    fn punctuation(
        &mut self,
        bytes: &[u8],
        position: u64,
        sink: &mut impl FnMut(&Message),
    ) -> usize {
        let byte = bytes[0];
        self.step = match (self.step, byte, self.object) {
            (Step::Start, b'{', _) | (Step::First | Step::Next, _, None) | (Step::Value, ..)
                if !matches!(byte, b']' | b'}' | b',' | b':') =>
            {
                return self.value(bytes, position);
            }
            (Step::First | Step::Next, _, Some(Field::Content))
                if !matches!(byte, b']' | b'}' | b',' | b':') =>
            {
                self.member = Some(Field::ContentItem);
                return self.value(bytes, position);
            }
            (Step::First | Step::After, b']', Some(Field::Content)) => {
                self.object = Some(Field::Result);
                Step::After
            }
            (Step::After, b',', Some(Field::Content)) => Step::Next,
            (_, _, Some(Field::Content)) => Step::Invalid,
            (Step::Start, b'[', _) => {
                self.batch = true;
                Step::First
            }
            // A string, number or literal holds no message.
            (Step::Start, b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n', _) => Step::Closed,
            (Step::Start, ..) => self.preamble(byte),
            (Step::First | Step::Next, b'"', Some(object)) => {
                return 1 + self.key(object, &bytes[1..], position + 1);
            }
            (Step::Colon, b':', _) => Step::Value,
            // The usual spelling: a key follows the comma directly.
            (Step::After, b',', Some(object)) if bytes.get(1) == Some(&b'"') => {
                return 2 + self.key(object, &bytes[2..], position + 2);
            }
            (Step::After, b',', _) => Step::Next,
            (Step::First | Step::After, b']', None) => Step::Closed,
            (Step::First | Step::After, b'}', Some(Field::Message)) => {
                self.object = None;
                self.member = None;
                self.message.end = position + 1;
                sink(&self.message);
                if self.batch {
                    Step::After
                } else {
                    Step::Closed
                }
            }
            (Step::First | Step::After, b'}', Some(object)) => {
                match object.node().capture {
                    Capture::KeySet => self.message.keep_digest(object, self.keys.digest()),
                    _ if object == Field::Result => self.message.result.end = position + 1,
                    _ => {}
                }
                self.object = Some(object.node().parent);
                Step::After
            }
            _ => Step::Invalid,
        };
        1
    }

    /// Reads a byte before the document that is not JSON white space.
    #[cold]
    fn preamble(&mut self, byte: u8) -> Step {
        match self.preamble.skip(byte) {
            Some(true) => Step::Start,
            Some(false) => Step::Preamble,
            None => Step::Invalid,
        }
    }

    /// Reads a key of `object` after its quote, and the value after it in the usual
    /// spelling. Returns the number of bytes read.
    fn key(&mut self, object: Field, text: &[u8], position: u64) -> usize {
        let Some(key) = whole(text) else {
            self.draft = match object.node().capture {
                Capture::KeySet => PartialText::token(&self.message.text),
                _ => PartialText::short(&self.message.text, LONGEST_KEY),
            };
            self.step = Step::Key;
            return 0;
        };
        let member = object.member(text, key.len());
        if member.is_none() && matches!(object.node().capture, Capture::KeySet) {
            self.keys.insert(|| TextDigest::of(key));
        }
        self.enter(member);
        let read = key.len() + 1;
        let [b':', value @ ..] = &text[read..] else {
            self.step = Step::Colon;
            return read;
        };
        let read = read + 1;
        match value.first() {
            Some(&byte) if !is_space(byte) && !matches!(byte, b']' | b'}' | b',' | b':') => {
                read + self.value(value, position + read as u64)
            }
            _ => {
                self.step = Step::Value;
                read
            }
        }
    }

    /// Enters the value of a member, watched or not.
    fn enter(&mut self, member: Option<Field>) {
        let member = match member {
            Some(Field::Content) if !self.keeps_content => None,
            Some(Field::ContentText) if self.message.has_text(Field::ContentText) => None,
            member => member,
        };
        self.member = member;
        if let Some(member) = member {
            self.message.forget(member);
            self.message.make_room();
        }
    }

    /// Reads on within a key or a string that is kept. Returns the number of bytes
    /// read.
    fn string(&mut self, bytes: &[u8]) -> usize {
        let Self {
            draft,
            unescape,
            message,
            ..
        } = self;
        let Some(len) = unescape.feed(bytes, &mut |text| draft.push(&mut message.text, text))
        else {
            return bytes.len();
        };
        if let Step::Key = self.step {
            let member = self.escaped_key();
            self.enter(member);
            self.step = Step::Colon;
        } else {
            self.keep(Shape::String);
            self.step = Step::After;
        }
        len
    }

    /// Ends an escaped key of the open object. Returns the watched member that it
    /// names.
    fn escaped_key(&mut self) -> Option<Field> {
        let object = self.object?;
        let draft = std::mem::take(&mut self.draft);
        let text = &mut self.message.text;
        if matches!(object.node().capture, Capture::KeySet) {
            let digest = draft.finish_digest(text);
            self.keys.insert(|| digest);
            return None;
        }
        let key = &text[draft.start()..];
        let member = object.member(key, key.len());
        text.truncate(draft.start());
        member.filter(|_| !draft.overflows())
    }
}

/// Returns a string after its opening quote, if it lies whole in the chunk and has
/// no escape.
fn whole(text: &[u8]) -> Option<&[u8]> {
    let len = plain_text(text);
    (text.get(len) == Some(&b'"')).then(|| &text[..len])
}

#[cfg(test)]
mod tests;
