//! Reads values, and keeps the wanted part of them.

use super::super::envelope::Shape;
use super::super::fields::{Capture, Field};
use super::super::json_id::{self, JsonId};
use super::super::key_set::KeySet;
use super::super::partial_text::PartialText;
use super::super::space::is_space;
use super::super::value_skipper::ValueSkipper;
use super::{Scanner, Step, whole};

/// Bytes of a literal that are read if only its type is wanted.
const LITERAL: usize = 64;

impl Scanner {
    /// Reads a value of a member, an element or the document, from its first byte.
    /// Returns the number of bytes read.
    pub(super) fn value(&mut self, bytes: &[u8], position: u64) -> usize {
        let byte = bytes[0];
        match byte {
            b'"' => return 1 + self.text(&bytes[1..]),
            b'{' if self.object.is_none() => {
                self.message.begin(position, self.batch);
                self.object = Some(Field::Message);
                self.step = Step::First;
            }
            b'{' | b'[' => self.nested(byte, position),
            _ => return self.begin_literal(bytes),
        }
        1
    }

    /// Reads a number, `true`, `false` or `null` from its first byte. Returns the number
    /// of bytes read.
    fn begin_literal(&mut self, bytes: &[u8]) -> usize {
        if let Some(len) = literal_len(bytes) {
            let literal = &bytes[..len];
            // The type of a literal that is not watched does not matter.
            let ends = self.member.is_none()
                || shape_of(literal).is_some_and(|shape| self.keep_short(shape, literal));
            if ends {
                self.step = Step::After;
                return len;
            }
        }
        let Some(want) = self.capture() else {
            self.step = Step::SkipLiteral;
            return 1;
        };
        self.draft = match want {
            Capture::TextOrNumber(chars) => PartialText::text(&self.message.text, chars),
            Capture::JsonId | Capture::Digest => PartialText::token(&self.message.text),
            _ => PartialText::short(&self.message.text, LITERAL),
        };
        self.draft.push(&mut self.message.text, &bytes[..1]);
        self.step = Step::Literal;
        1
    }

    /// Begins an object or array with this first byte.
    fn nested(&mut self, byte: u8, position: u64) {
        let is_object = byte == b'{';
        self.set_shape(if is_object {
            Shape::Object
        } else {
            Shape::Array
        });
        self.step = match self.capture() {
            Some(Capture::Object) if is_object => {
                if self.member == Some(Field::Result) {
                    self.message.result.start = position;
                }
                self.object = self.member;
                Step::First
            }
            Some(Capture::Array) if !is_object => {
                self.object = self.member;
                Step::First
            }
            Some(Capture::KeySet) if is_object => {
                self.keys = KeySet::default();
                self.object = self.member;
                Step::First
            }
            Some(Capture::Digest) => {
                self.draft = PartialText::token(&self.message.text);
                self.draft.push(&mut self.message.text, &[byte]);
                self.skip = ValueSkipper::nested();
                Step::Hashed
            }
            _ => {
                self.skip = ValueSkipper::nested();
                Step::Skip
            }
        };
    }

    /// Reads a string after its quote. Returns the number of bytes read.
    fn text(&mut self, text: &[u8]) -> usize {
        let whole = whole(text);
        if let Some(whole) = whole
            && self.keep_short(Shape::String, whole)
        {
            self.step = Step::After;
            return whole.len() + 1;
        }
        self.begin_text(whole)
    }

    /// Reads a string after its quote that is not kept unchanged: it is long, has an
    /// escape or does not end in the chunk. `whole` is the string if it ends in the chunk
    /// and has no escape. Returns the number of bytes read.
    fn begin_text(&mut self, whole: Option<&[u8]>) -> usize {
        self.set_shape(Shape::String);
        let draft = match self.capture() {
            Some(Capture::Text(chars) | Capture::TextOrNumber(chars)) => {
                Some(PartialText::text(&self.message.text, chars))
            }
            Some(Capture::Uri(chars)) => Some(PartialText::uri(&self.message.text, chars)),
            Some(Capture::Prose(chars)) => Some(PartialText::prose(&self.message.text, chars)),
            Some(Capture::HashedText(chars)) => {
                Some(PartialText::hashed_text(&self.message.text, chars))
            }
            Some(Capture::JsonId | Capture::Digest) => Some(PartialText::token(&self.message.text)),
            Some(Capture::Object | Capture::Array | Capture::Shape | Capture::KeySet) | None => {
                None
            }
        };
        let wanted = draft.is_some();
        self.draft = draft.unwrap_or_default();
        let Some(text) = whole else {
            self.skip = ValueSkipper::string();
            self.step = if wanted { Step::Text } else { Step::Skip };
            return 0;
        };
        if wanted {
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

    /// Reads on within an object or array that is hashed. Returns the number of bytes
    /// read.
    pub(super) fn hashed(&mut self, bytes: &[u8]) -> usize {
        let end = self.skip.feed(bytes);
        let len = end.unwrap_or(bytes.len());
        self.draft.push(&mut self.message.text, &bytes[..len]);
        if end.is_some() {
            let draft = std::mem::take(&mut self.draft);
            let digest = draft.finish_value_digest(&mut self.message.text);
            if let Some(member) = self.member {
                self.message.keep_digest(member, Some(digest));
            }
            self.step = Step::After;
        }
        len
    }

    /// Reads on within a number, `true`, `false` or `null`. Returns the number of bytes
    /// read.
    pub(super) fn literal(&mut self, bytes: &[u8]) -> usize {
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

    /// Ends a literal.
    fn classify(&mut self) {
        let literal = &self.message.text[self.draft.start()..];
        let shape = match shape_of(literal) {
            Some(shape) => shape,
            // Only part of a very long number is kept, so it is not validated.
            None if self.draft.overflows() => Shape::Number,
            // Python reads `NaN` and `Infinity`, so the message is still valid to it.
            None => Shape::Unknown,
        };
        self.keep(shape);
    }

    /// Keeps a value that lies whole in the chunk. Most values are so short and plain
    /// that they are kept unchanged. Returns whether the value is finished.
    fn keep_short(&mut self, shape: Shape, value: &[u8]) -> bool {
        let Some(member) = self.member else {
            return true;
        };
        let most = match (member.node().capture, shape) {
            (Capture::Text(chars) | Capture::HashedText(chars), Shape::String)
            | (Capture::TextOrNumber(chars), Shape::String | Shape::Number) => usize::from(chars),
            (Capture::Uri(_) | Capture::Prose(_), Shape::String) if value.contains(&b'@') => {
                return false;
            }
            (Capture::Uri(chars) | Capture::Prose(chars), Shape::String) => usize::from(chars),
            (Capture::JsonId, Shape::String) => JsonId::INLINE,
            (Capture::JsonId, Shape::Number) if json_id::is_normal(value) => JsonId::INLINE,
            (Capture::JsonId, Shape::Number) => return false,
            (Capture::Digest, shape) if shape != Shape::Null => return false,
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

    /// Ends the member's value, and keeps the wanted part of it.
    pub(super) fn keep(&mut self, shape: Shape) {
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
            (Capture::HashedText(chars), Shape::String) => draft.finish_hashed_text(text, chars),
            (Capture::Digest, shape) if shape != Shape::Null => {
                let digest = match shape {
                    Shape::String => draft.finish_digest(text),
                    _ => draft.finish_value_digest(text),
                };
                text.extend_from_slice(&digest);
                false
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

/// Returns the length of a number, `true`, `false` or `null`, if it ends in the
/// chunk.
#[inline]
fn literal_len(bytes: &[u8]) -> Option<usize> {
    bytes
        .iter()
        .position(|&byte| matches!(byte, b',' | b'}' | b']') || is_space(byte))
}

/// Returns the type of a literal; `None` if it is invalid.
#[inline]
fn shape_of(literal: &[u8]) -> Option<Shape> {
    match literal {
        b"null" => Some(Shape::Null),
        b"true" => Some(Shape::True),
        b"false" => Some(Shape::False),
        number => json_id::is_number(number).then_some(Shape::Number),
    }
}
