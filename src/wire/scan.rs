//! Reads JSON-RPC bodies as they pass.
//!
//! The objects on the way to a watched member are read strictly; all else is
//! skipped unread. Which watched object is open says everything about the place
//! in the document, so nothing grows with its depth.

use super::draft::Draft;
use super::envelope::{Message, Shape};
use super::skip::Skip;
use super::token;
use super::tree::{Field, LONGEST_KEY, Want};
use super::unescape::Unescape;

/// Bytes of a literal that are looked at where only its kind is wanted.
const LITERAL: usize = 64;

/// Finds the messages of one JSON document: a message or a batch of them.
///
/// `new` allocates nothing; what is kept of a message lies in one buffer that
/// never exceeds 64 KiB.
pub(crate) struct Scanner {
    /// Bytes fed before the current chunk.
    offset: u64,
    step: Step,
    batch: bool,
    /// The watched object that is open; none outside the messages.
    object: Option<Field>,
    /// The watched member whose value is read.
    member: Option<Field>,
    draft: Draft,
    unescape: Unescape,
    skip: Skip,
    message: Message,
}

/// How far a document has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScanState {
    /// Nothing but white space came yet.
    Empty,
    /// The object or array goes on.
    Open,
    /// The object or array is closed; what follows is ignored.
    Closed,
    /// No object or array, or broken where it is read strictly; what follows is ignored.
    Invalid,
}

/// What the next byte is.
#[derive(Clone, Copy)]
enum Step {
    /// The document's first.
    Start,
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
            batch: false,
            object: None,
            member: None,
            draft: Draft::default(),
            unescape: Unescape::default(),
            skip: Skip::default(),
            message: Message::default(),
        }
    }

    /// Ready for another document, with the memory of the last.
    pub(crate) fn reset(&mut self) {
        let mut message = std::mem::take(&mut self.message);
        message.clear();
        *self = Self {
            message,
            ..Self::new()
        };
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
                _ => {
                    if !is_space(rest[0]) {
                        self.step = self.punctuation(rest[0], self.offset + at as u64, sink);
                    }
                    1
                }
            };
        }
        self.offset += chunk.len() as u64;
    }

    /// A byte between keys and values.
    fn punctuation(&mut self, byte: u8, position: u64, sink: &mut impl FnMut(&Message)) -> Step {
        match (self.step, byte, self.object) {
            (Step::Start, b'{', _) => self.value(byte, position),
            (Step::Start, b'[', _) => {
                self.batch = true;
                Step::First
            }

            (Step::First | Step::Next, b'"', Some(_)) => {
                self.message.make_room();
                self.draft = Draft::short(&self.message.text, LONGEST_KEY);
                Step::Key
            }
            (Step::Colon, b':', Some(_)) => Step::Value,
            (Step::First | Step::After, b'}', Some(Field::Message)) => {
                self.object = None;
                self.message.end = position + 1;
                sink(&self.message);
                if self.batch {
                    Step::After
                } else {
                    Step::Closed
                }
            }
            (Step::First | Step::After, b'}', Some(object)) => {
                self.object = Some(object.node().parent);
                Step::After
            }

            (Step::First | Step::After, b']', None) => Step::Closed,
            (Step::After, b',', _) => Step::Next,
            (Step::First | Step::Next, _, None) | (Step::Value, ..) => self.value(byte, position),
            _ => Step::Invalid,
        }
    }

    /// The first byte of a value: of a member, an element or the document.
    fn value(&mut self, byte: u8, position: u64) -> Step {
        let want = self.member.map(|member| member.node().want);
        match byte {
            b'{' if self.object.is_none() => {
                self.message.clear();
                self.message.start = position;
                self.message.in_batch = self.batch;
                self.object = Some(Field::Message);
                Step::First
            }
            b'{' => {
                self.set_shape(Shape::Object);
                if let Some(Want::Object) = want {
                    self.object = self.member;
                    return Step::First;
                }
                self.skip = Skip::nested();
                Step::Skip
            }
            b'[' => {
                self.set_shape(Shape::Array);
                self.skip = Skip::nested();
                Step::Skip
            }
            b'"' => {
                self.set_shape(Shape::String);
                self.draft = match want {
                    Some(Want::Text(chars) | Want::TextOrNumber(chars)) => {
                        Draft::text(&self.message.text, chars)
                    }
                    Some(Want::Token) => Draft::token(&self.message.text),
                    Some(Want::Object | Want::Shape) | None => {
                        self.skip = Skip::string();
                        return Step::Skip;
                    }
                };
                Step::Text
            }
            b',' | b':' | b']' | b'}' => Step::Invalid,
            _ => {
                self.draft = match want {
                    None => return Step::SkipLiteral,
                    Some(Want::TextOrNumber(chars)) => Draft::text(&self.message.text, chars),
                    Some(Want::Token) => Draft::token(&self.message.text),
                    Some(_) => Draft::short(&self.message.text, LITERAL),
                };
                self.draft.push(&mut self.message.text, &[byte]);
                Step::Literal
            }
        }
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
            self.key();
            self.step = Step::Colon;
        } else {
            self.keep(Shape::String);
            self.step = Step::After;
        }
        len
    }

    /// The key is whole.
    fn key(&mut self) {
        let key = &self.message.text[self.draft.start()..];
        self.member = match self.object {
            Some(object) if !self.draft.overflows() => object.member(key),
            _ => None,
        };
        self.message.text.truncate(self.draft.start());
        if let Some(member) = self.member {
            self.message.forget(member);
        }
    }

    /// Within a number, `true`, `false` or `null`. Returns how much of it there is.
    fn literal(&mut self, bytes: &[u8]) -> usize {
        let end = bytes
            .iter()
            .position(|&byte| matches!(byte, b',' | b'}' | b']') || is_space(byte));
        let len = end.unwrap_or(bytes.len());
        let kept = matches!(self.step, Step::Literal);
        if kept {
            self.draft.push(&mut self.message.text, &bytes[..len]);
        }
        if end.is_some() {
            self.step = if kept { self.classify() } else { Step::After };
        }
        len
    }

    /// The literal is whole.
    fn classify(&mut self) -> Step {
        let shape = match &self.message.text[self.draft.start()..] {
            b"null" => Shape::Null,
            b"true" => Shape::True,
            b"false" => Shape::False,
            // Not all of a very long one is there to be checked.
            number if token::is_number(number) || self.draft.overflows() => Shape::Number,
            _ => return Step::Invalid,
        };
        self.keep(shape);
        Step::After
    }

    /// The member's value is whole: keeps what is wanted of it.
    fn keep(&mut self, shape: Shape) {
        let draft = std::mem::take(&mut self.draft);
        let Some(member) = self.member else { return };
        let start = draft.start();
        let text = &mut self.message.text;
        let cut = match (member.node().want, shape) {
            (Want::Text(chars), Shape::String)
            | (Want::TextOrNumber(chars), Shape::String | Shape::Number) => {
                draft.finish_text(text, chars)
            }
            (Want::Token, Shape::String) => draft.finish_token(text),
            (Want::Token, Shape::Number) => {
                if !draft.overflows() {
                    token::normalise(text, start);
                }
                draft.finish_token(text)
            }
            _ => {
                text.truncate(start);
                false
            }
        };
        self.message.keep(member, shape, start, cut);
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

#[cfg(test)]
mod tests;
