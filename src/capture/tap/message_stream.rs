//! Assembles the JSON-RPC messages of an event stream, for requests and for GET
//! streams.

use super::held::HeldAnswers;
use crate::capture::context::Context;
use crate::capture::exchange::{Answer, TaskNotice};
use crate::capture::listing::{Document, ListChanged};
use crate::wire::{EventEnd, Scanner, SseDecoder, SseItem};

/// The most notifications about tasks that are held of one event. More are ignored.
const NOTICES: usize = 32;

/// Reads events and holds the content of the current one, because its type may come
/// last.
#[derive(Default)]
pub(in crate::capture) struct MessageStream {
    decoder: SseDecoder,
    answers: HeldAnswers,
    /// The listings that the event reports as changed.
    changed: ListChanged,
    /// The notifications of the event about tasks.
    tasks: Vec<TaskNotice>,
    /// The data of the event, if it may hold a listing.
    document: Option<Document>,
}

/// The content of an event.
pub(in crate::capture) struct EventContent<'a> {
    pub(in crate::capture) answers: Vec<Answer>,
    pub(in crate::capture) document: Option<&'a mut Document>,
    pub(in crate::capture) changed: ListChanged,
    pub(in crate::capture) tasks: Vec<TaskNotice>,
}

/// The consumer of an event stream.
pub(in crate::capture) trait EventReader {
    /// Returns whether no later event matters.
    fn is_done(&self) -> bool {
        false
    }

    /// Takes data of the current event.
    fn data(&mut self, _data: &[u8]) {}

    /// Returns whether an event that begins now may hold a listing to be recorded.
    fn wants_listing(&self) -> bool;

    /// Returns whether to read the server's description of itself from an answer.
    fn wants_server(&self) -> bool;

    /// Returns whether to hold an answer until its event ends.
    fn wants(&self, answer: &Answer) -> bool;

    /// Handles the end of an event.
    fn event(&mut self, end: &EventEnd, content: EventContent<'_>);
}

impl MessageStream {
    /// Reads the next chunk; `None` ends the stream.
    pub(in crate::capture) fn read(
        &mut self,
        cx: &Context,
        scanner: &mut Scanner,
        chunk: Option<&[u8]>,
        reader: &mut impl EventReader,
    ) {
        let Self {
            decoder,
            answers,
            changed,
            tasks,
            document,
        } = self;
        let mut on_item = |item: SseItem<'_>| match item {
            _ if reader.is_done() => {}
            SseItem::Data(data) => {
                reader.data(data);
                let begins = scanner.offset() == 0;
                if document.is_some() || begins && reader.wants_listing() {
                    Document::read(document, cx, scanner.offset(), data);
                }
                scanner.feed(data, &mut |message| {
                    changed.notice(message);
                    if tasks.len() < NOTICES {
                        tasks.extend(TaskNotice::of(message));
                    }
                    if answers.has_room()
                        && let Some(answer) = Answer::of(message, reader.wants_server())
                        && reader.wants(&answer)
                    {
                        answers.push(answer.with_listing(message, document.as_ref()));
                    }
                });
            }
            SseItem::End(end) => {
                let content = EventContent {
                    answers: answers.take(),
                    document: document.as_mut(),
                    changed: std::mem::take(changed),
                    tasks: std::mem::take(tasks),
                };
                reader.event(&end, content);
                *document = None;
                scanner.reset();
            }
        };
        match chunk {
            Some(chunk) => decoder.feed(chunk, &mut on_item),
            None => decoder.finish(&mut on_item),
        }
    }
}
