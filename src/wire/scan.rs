//! Reads JSON-RPC bodies as they pass.
//!
//! The objects on the way to a watched member are read strictly; all else is
//! skipped unread. Which watched object is open says everything about the place
//! in the document, so nothing grows with its depth.

use super::envelope::{Message, Shape};
use super::fields::{Capture, Field, LONGEST_KEY};
use super::json_id;
use super::partial_text::PartialText;
use super::space::{Preamble, is_space};
use super::swar::plain_text;
use super::unescape::Unescape;
use super::value_skipper::ValueSkipper;

/// Bytes of a literal that are looked at where only its kind is wanted.
const LITERAL: usize = 64;

/// Finds the messages of one JSON document: a message or a batch of them.
///
/// `new` allocates nothing. What is kept of a message lies in one buffer, a few
/// hundred bytes for most and never more than 64 KiB, which can be handed on to
/// the next scanner.
pub(crate) struct Scanner {
    /// Bytes fed before the current chunk.
    offset: u64,
    step: Step,
    preamble: Preamble,
    batch: bool,
    /// The watched object that is open; none outside the messages.
    object: Option<Field>,
    /// The watched member whose value is read.
    member: Option<Field>,
    draft: PartialText,
    unescape: Unescape,
    skip: ValueSkipper,
    message: Message,
}

/// Where a scanner keeps the texts of a message.
#[derive(Default)]
pub(crate) struct TextBuffer(Vec<u8>);

/// How far a document has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScanState {
    /// Nothing but white space came yet.
    Empty,
    /// The object or array goes on.
    Open,
    /// The object or array is closed, or the value is neither and holds no
    /// message; what follows is ignored.
    Closed,
    /// No JSON, or broken where it is read strictly; what follows is ignored.
    Invalid,
}

/// What the next byte is.
#[derive(Clone, Copy)]
enum Step {
    /// The document's first.
    Start,
    /// In a character before the document that is no white space of JSON.
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
    /// In a number, `true`, `false` or `null` that is looked at.
    Literal,
    /// In one that is not.
    SkipLiteral,
    /// In a string, object or array that is not looked at.
    Skip,
    /// After a value.
    After,
    Closed,
    Invalid,
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
            message: Message::default(),
        }
    }

    /// One that keeps its texts where another one did.
    pub(crate) fn reusing(memory: TextBuffer) -> Self {
        let mut scanner = Self::new();
        scanner.message.text = memory.0;
        scanner
    }

    /// The memory of a document that is done with.
    pub(crate) fn take_memory(&mut self) -> TextBuffer {
        self.message.clear();
        TextBuffer(std::mem::take(&mut self.message.text))
    }

    /// Ready for another document, with the memory of the last: the message
    /// is forgotten when the next one begins.
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

    /// How many bytes of the document were read.
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

    /// Reads on. `sink` gets each message when its object closes.
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

    /// A byte between keys and values, and what after it lies whole in the
    /// chunk. Returns how much that is.
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
            (Step::Start, b'[', _) => {
                self.batch = true;
                Step::First
            }
            // A string, number or literal holds no message.
            (Step::Start, b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n', _) => Step::Closed,
            (Step::Start, ..) => self.preamble(byte),
            (Step::First | Step::Next, b'"', Some(object)) => {
                return self.key(object, &bytes[1..]);
            }
            (Step::Colon, b':', _) => Step::Value,
            // As nearly everybody writes objects.
            (Step::After, b',', Some(object)) if bytes.get(1) == Some(&b'"') => {
                return 1 + self.key(object, &bytes[2..]);
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
                if object == Field::Result {
                    self.message.result.end = position + 1;
                }
                self.object = Some(object.node().parent);
                Step::After
            }
            _ => Step::Invalid,
        };
        1
    }

    /// Reads a byte before the document that is no white space of JSON.
    #[cold]
    fn preamble(&mut self, byte: u8) -> Step {
        match self.preamble.skip(byte) {
            Some(true) => Step::Start,
            Some(false) => Step::Preamble,
            None => Step::Invalid,
        }
    }

    /// A key of `object`, after its quote. Returns how much was read, quote included.
    fn key(&mut self, object: Field, text: &[u8]) -> usize {
        let Some(key) = whole(text) else {
            self.draft = PartialText::short(&self.message.text, LONGEST_KEY);
            self.step = Step::Key;
            return 1;
        };
        self.enter(object.member(text, key.len()));
        let colon = text.get(key.len() + 1) == Some(&b':');
        self.step = if colon { Step::Value } else { Step::Colon };
        key.len() + 2 + usize::from(colon)
    }

    /// A member's value comes next, watched or not.
    fn enter(&mut self, member: Option<Field>) {
        self.member = member;
        if let Some(member) = member {
            self.message.forget(member);
            self.message.make_room();
        }
    }

    /// A value of a member, an element or the document, from its first byte.
    /// Returns how much was read.
    fn value(&mut self, bytes: &[u8], position: u64) -> usize {
        let byte = bytes[0];
        match byte {
            b'"' => return 1 + self.text(&bytes[1..]),
            b'{' if self.object.is_none() => {
                self.message.begin(position, self.batch);
                self.object = Some(Field::Message);
                self.step = Step::First;
            }
            b'{' | b'[' => {
                self.set_shape(if byte == b'{' {
                    Shape::Object
                } else {
                    Shape::Array
                });
                if byte == b'{' && matches!(self.capture(), Some(Capture::Object)) {
                    if self.member == Some(Field::Result) {
                        self.message.result.start = position;
                    }
                    self.object = self.member;
                    self.step = Step::First;
                } else {
                    self.skip = ValueSkipper::nested();
                    self.step = Step::Skip;
                }
            }
            _ => {
                let Some(want) = self.capture() else {
                    self.step = Step::SkipLiteral;
                    return 1;
                };
                if let Some(len) = literal_len(bytes)
                    && let Some(shape) = shape_of(&bytes[..len])
                    && self.keep_short(shape, &bytes[..len])
                {
                    self.step = Step::After;
                    return len;
                }
                self.draft = match want {
                    Capture::TextOrNumber(chars) => PartialText::text(&self.message.text, chars),
                    Capture::JsonId => PartialText::token(&self.message.text),
                    _ => PartialText::short(&self.message.text, LITERAL),
                };
                self.draft.push(&mut self.message.text, &[byte]);
                self.step = Step::Literal;
            }
        }
        1
    }

    /// A string, after its quote. Returns how much was read.
    fn text(&mut self, text: &[u8]) -> usize {
        self.set_shape(Shape::String);
        let draft = match self.capture() {
            Some(Capture::Text(chars) | Capture::TextOrNumber(chars)) => {
                Some(PartialText::text(&self.message.text, chars))
            }
            Some(Capture::Uri(chars)) => Some(PartialText::uri(&self.message.text, chars)),
            Some(Capture::Prose(chars)) => Some(PartialText::prose(&self.message.text, chars)),
            Some(Capture::JsonId) => Some(PartialText::token(&self.message.text)),
            Some(Capture::Object | Capture::Shape) | None => None,
        };
        let wanted = draft.is_some();
        self.draft = draft.unwrap_or_default();
        let Some(text) = whole(text) else {
            self.skip = ValueSkipper::string();
            self.step = if wanted { Step::Text } else { Step::Skip };
            return 0;
        };
        if wanted && !self.keep_short(Shape::String, text) {
            self.draft.push(&mut self.message.text, text);
            self.keep(Shape::String);
        }
        self.step = Step::After;
        text.len() + 1
    }

    fn capture(&self) -> Option<Capture> {
        self.member.map(|member| member.node().capture)
    }

    fn set_shape(&mut self, shape: Shape) {
        if let Some(member) = self.member {
            self.message.set_shape(member, shape);
        }
    }

    /// Within a key or a string that is kept. Returns how much of it there is.
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
            let start = self.draft.start();
            let member = match self.object {
                Some(object) if !self.draft.overflows() => {
                    let key = &self.message.text[start..];
                    object.member(key, key.len())
                }
                _ => None,
            };
            self.message.text.truncate(start);
            self.enter(member);
            self.step = Step::Colon;
        } else {
            self.keep(Shape::String);
            self.step = Step::After;
        }
        len
    }

    /// Within a number, `true`, `false` or `null`. Returns how much of it there is.
    fn literal(&mut self, bytes: &[u8]) -> usize {
        let end = literal_len(bytes);
        let len = end.unwrap_or(bytes.len());
        let kept = matches!(self.step, Step::Literal);
        if kept {
            self.draft.push(&mut self.message.text, &bytes[..len]);
        }
        if end.is_some() {
            if kept {
                self.classify();
            }
            self.step = Step::After;
        }
        len
    }

    /// The literal is whole.
    fn classify(&mut self) {
        let literal = &self.message.text[self.draft.start()..];
        let shape = match shape_of(literal) {
            Some(shape) => shape,
            // Not all of a very long number is there to be checked.
            None if self.draft.overflows() => Shape::Number,
            // Python reads `NaN` and `Infinity`, and the message around them.
            None => Shape::Unknown,
        };
        self.keep(shape);
    }

    /// A value that lies whole in the chunk: most are so short and plain that
    /// they are kept as they are. Returns whether this one is.
    fn keep_short(&mut self, shape: Shape, value: &[u8]) -> bool {
        let Some(member) = self.member else {
            return false;
        };
        let most = match (member.node().capture, shape) {
            (Capture::Text(chars), Shape::String)
            | (Capture::TextOrNumber(chars), Shape::String | Shape::Number) => usize::from(chars),
            (Capture::Uri(_) | Capture::Prose(_), Shape::String) if value.contains(&b'@') => {
                return false;
            }
            (Capture::Uri(chars) | Capture::Prose(chars), Shape::String) => usize::from(chars),
            (Capture::JsonId, Shape::String) => json_id::INLINE,
            (Capture::JsonId, Shape::Number) if json_id::is_normal(value) => json_id::INLINE,
            (Capture::JsonId, Shape::Number) => return false,
            _ => {
                self.message.set_shape(member, shape);
                return true;
            }
        };
        if value.len() > most || !value.is_ascii() {
            return false;
        }
        let start = self.message.text.len();
        self.message.text.extend_from_slice(value);
        self.message.keep(member, shape, start, false);
        true
    }

    /// The member's value is whole: keeps what is wanted of it.
    fn keep(&mut self, shape: Shape) {
        let draft = std::mem::take(&mut self.draft);
        let Some(member) = self.member else { return };
        let (start, stripped) = (draft.start(), draft.had_userinfo());
        let text = &mut self.message.text;
        let cut = match (member.node().capture, shape) {
            (Capture::Text(chars) | Capture::Uri(chars) | Capture::Prose(chars), Shape::String)
            | (Capture::TextOrNumber(chars), Shape::String | Shape::Number) => {
                draft.finish_text(text, chars)
            }
            (Capture::JsonId, Shape::String) => draft.finish_token(text),
            (Capture::JsonId, Shape::Number) => {
                if !draft.overflows() {
                    json_id::normalise(text, start);
                }
                draft.finish_token(text)
            }
            _ => {
                text.truncate(start);
                false
            }
        };
        self.message.keep(member, shape, start, cut);
        if stripped {
            self.message.set_stripped(member);
        }
    }
}

/// A string after its opening quote, if it lies whole in the chunk and has no escape.
fn whole(text: &[u8]) -> Option<&[u8]> {
    let len = plain_text(text);
    (text.get(len) == Some(&b'"')).then(|| &text[..len])
}

/// Length of a number, `true`, `false` or `null`, if it ends in the chunk.
fn literal_len(bytes: &[u8]) -> Option<usize> {
    bytes
        .iter()
        .position(|&byte| matches!(byte, b',' | b'}' | b']') || is_space(byte))
}

/// What a literal is; `None` if it is none.
fn shape_of(literal: &[u8]) -> Option<Shape> {
    match literal {
        b"null" => Some(Shape::Null),
        b"true" => Some(Shape::True),
        b"false" => Some(Shape::False),
        number => json_id::is_number(number).then_some(Shape::Number),
    }
}

#[cfg(test)]
mod tests;
