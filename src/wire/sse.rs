//! Finds the events of a `text/event-stream`, by the rules of the WHATWG HTML
//! standard ("Server-sent events").
//!
//! Nothing is buffered: data passes as slices of the chunks.

use memchr::memchr2;

/// Decodes one stream.
#[derive(Default)]
pub(crate) struct SseDecoder {
    /// Offset in the stream of the byte that is read next.
    offset: u64,
    /// Offset in the stream of the current line.
    line: u64,
    place: Place,
    /// The last byte was a CR that ended a line. An LF after it belongs to that line
    /// end.
    after_cr: bool,
    event: Event,
    /// An event whose blank line ended with that CR.
    ended: Option<EventEnd>,
}

/// A part of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SseItem<'a> {
    /// More of the current event's data. Lines are joined by `\n`. The decoder discards
    /// data that no [`End`](Self::End) follows.
    Data(&'a [u8]),
    /// The event is complete.
    End(EventEnd),
}

/// The end of an event, at its blank line.
///
/// A block of comments or unknown fields is not an event. By the standard, a block
/// without data is not an event either, but its `id` counts, so the decoder reports
/// it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventEnd {
    /// Offset in the stream of the event's first field.
    pub(crate) start: u64,
    /// Offset in the stream just after the blank line, including the LF of a CR LF.
    pub(crate) end: u64,
    pub(crate) kind: EventKind,
    /// The event has a line of data, which may be empty.
    pub(crate) has_data: bool,
    /// The last non-empty id. A client can resume from here.
    pub(crate) id: Option<EventId>,
}

/// An event's id, as a 64-bit hash, because ids are only compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct EventId(u64);

impl EventId {
    /// The hash of an empty id. FNV-1a takes a text in pieces of any size.
    const EMPTY: Self = Self(0xcbf2_9ce4_8422_2325);

    fn followed_by(self, bytes: &[u8]) -> Self {
        let hash = bytes.iter().fold(self.0, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(hash)
    }
}

/// The meaning of an event's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// JSON-RPC: the type is `message`, empty or missing.
    Message,
    /// The URI to which a client of the 2024-11-05 transport sends its requests.
    Endpoint,
    /// Any other type.
    Other,
}

/// The position of the next byte in a line.
#[derive(Clone, Copy)]
enum Place {
    /// At the start of the stream, after this many bytes of a byte order mark.
    Start {
        mark: usize,
    },
    Name(Word<5>),
    /// After the colon: one space is skipped.
    Colon(Field),
    Value(Field),
}

#[derive(Clone, Copy)]
enum Field {
    Data,
    Event,
    Id,
    Retry,
    /// A comment or an unknown field.
    Ignored,
}

/// The fields of the current event so far.
#[derive(Default)]
struct Event {
    /// A known field was read.
    begun: bool,
    /// Offset of the first known field.
    start: u64,
    has_data: bool,
    kind: Word<8>,
    id: Option<EventId>,
    /// The id as far as it was read; `None` if it contains a NUL, which makes it
    /// invalid.
    id_read: Option<EventId>,
}

/// A word that is only compared with words of at most `N` bytes.
#[derive(Clone, Copy)]
struct Word<const N: usize> {
    bytes: [u8; N],
    /// More than `N` if the word is longer.
    len: usize,
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl SseDecoder {
    /// Reads the next chunk. Reports an event when its blank line is complete.
    pub(crate) fn feed(&mut self, chunk: &[u8], sink: &mut impl FnMut(SseItem<'_>)) {
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            if self.after_cr {
                self.after_cr = false;
                let pair = byte == b'\n';
                at += usize::from(pair);
                self.line += u64::from(pair);
                if let Some(mut event) = self.ended.take() {
                    event.end += u64::from(pair);
                    sink(SseItem::End(event));
                }
                continue;
            }
            let rest = &chunk[at..];
            let len = memchr2(b'\r', b'\n', rest).unwrap_or(rest.len());
            self.text(&rest[..len], sink);
            at += len;
            if let Some(&end) = rest.get(len) {
                at += 1;
                self.after_cr = end == b'\r';
                self.line_end(self.offset + at as u64, sink);
            }
        }
        self.offset += chunk.len() as u64;
    }

    /// Ends the stream. Reports the last event if it lacked only the LF of its blank
    /// line. An event without a blank line is discarded.
    pub(crate) fn finish(&mut self, sink: &mut impl FnMut(SseItem<'_>)) {
        if let Some(event) = self.ended.take() {
            sink(SseItem::End(event));
        }
    }

    /// Reads part of a line.
    fn text(&mut self, mut text: &[u8], sink: &mut impl FnMut(SseItem<'_>)) {
        while let Some(&byte) = text.first() {
            match &mut self.place {
                Place::Start { mark } => {
                    if BYTE_ORDER_MARK.get(*mark) == Some(&byte) {
                        *mark += 1;
                        text = &text[1..];
                    } else {
                        self.place = Place::Name(after_mark(*mark));
                    }
                }
                Place::Name(name) => {
                    let len = text.iter().position(|&byte| byte == b':');
                    name.push(&text[..len.unwrap_or(text.len())]);
                    let Some(len) = len else { return };
                    let field = name.field();
                    self.begin(field, sink);
                    self.place = Place::Colon(field);
                    text = &text[len + 1..];
                }
                Place::Colon(field) => {
                    self.place = Place::Value(*field);
                    text = text.strip_prefix(b" ").unwrap_or(text);
                }
                Place::Value(field) => {
                    match field {
                        Field::Data => sink(SseItem::Data(text)),
                        Field::Event => self.event.kind.push(text),
                        Field::Id if text.contains(&0) => self.event.id_read = None,
                        Field::Id => {
                            let id = self.event.id_read;
                            self.event.id_read = id.map(|id| id.followed_by(text));
                        }
                        Field::Retry | Field::Ignored => {}
                    }
                    return;
                }
            }
        }
    }

    /// Ends a line. `position` is just after it.
    fn line_end(&mut self, position: u64, sink: &mut impl FnMut(SseItem<'_>)) {
        let next = Place::Name(Word::default());
        match std::mem::replace(&mut self.place, next) {
            Place::Start { mark } => self.name_end(after_mark(mark), position, sink),
            Place::Name(name) => self.name_end(name, position, sink),
            Place::Colon(field) | Place::Value(field) => self.end(field),
        }
        self.line = position;
    }

    /// Ends a line without a colon: a field without a value, or a blank line.
    fn name_end(&mut self, name: Word<5>, position: u64, sink: &mut impl FnMut(SseItem<'_>)) {
        if name.len > 0 {
            let field = name.field();
            self.begin(field, sink);
            return self.end(field);
        }
        let event = std::mem::take(&mut self.event);
        if !event.begun {
            return;
        }
        let end = EventEnd {
            start: event.start,
            end: position,
            kind: event.kind.kind(),
            has_data: event.has_data,
            id: event.id,
        };
        if self.after_cr {
            self.ended = Some(end);
        } else {
            sink(SseItem::End(end));
        }
    }

    /// Prepares for a field's value.
    fn begin(&mut self, field: Field, sink: &mut impl FnMut(SseItem<'_>)) {
        match field {
            Field::Data => {
                if self.event.has_data {
                    sink(SseItem::Data(b"\n"));
                }
                self.event.has_data = true;
            }
            Field::Event => self.event.kind = Word::default(),
            Field::Id => self.event.id_read = Some(EventId::EMPTY),
            Field::Retry => {}
            Field::Ignored => return,
        }
        if !self.event.begun {
            self.event.begun = true;
            self.event.start = self.line;
        }
    }

    /// Ends a field's value.
    fn end(&mut self, field: Field) {
        if let (Field::Id, Some(id)) = (field, self.event.id_read) {
            self.event.id = (id != EventId::EMPTY).then_some(id);
        }
    }
}

/// Returns what a line holds that began like a byte order mark.
fn after_mark(mark: usize) -> Word<5> {
    let mut name = Word::default();
    if mark < BYTE_ORDER_MARK.len() {
        name.push(&BYTE_ORDER_MARK[..mark]);
    }
    name
}

impl Default for Place {
    fn default() -> Self {
        Self::Start { mark: 0 }
    }
}

impl<const N: usize> Default for Word<N> {
    fn default() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }
}

impl<const N: usize> Word<N> {
    fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(self.len..self.len + bytes.len()) {
            room.copy_from_slice(bytes);
            self.len += bytes.len();
        } else if !bytes.is_empty() {
            self.len = N + 1;
        }
    }

    /// Returns the word, or `None` if it is too long.
    fn get(&self) -> Option<&[u8]> {
        self.bytes.get(..self.len)
    }
}

impl Word<5> {
    fn field(&self) -> Field {
        match self.get() {
            Some(b"data") => Field::Data,
            Some(b"event") => Field::Event,
            Some(b"id") => Field::Id,
            Some(b"retry") => Field::Retry,
            _ => Field::Ignored,
        }
    }
}

impl Word<8> {
    fn kind(&self) -> EventKind {
        match self.get() {
            Some(b"" | b"message") => EventKind::Message,
            Some(b"endpoint") => EventKind::Endpoint,
            _ => EventKind::Other,
        }
    }
}

#[cfg(test)]
mod tests;
