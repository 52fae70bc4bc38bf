//! Assembles the JSON-RPC messages of an event stream, whatever the stream is for.

use super::held::HeldAnswers;
use crate::capture::context::Context;
use crate::capture::exchange::{Answer, TaskNotice};
use crate::capture::listing::{Document, ListChanged};
use crate::wire::{EventEnd, Scanner, SseDecoder, SseItem};

/// Notifications about tasks that one event may hold; more are not looked at.
const NOTICES: usize = 32;

/// Reads events and holds what is in the current one: its type may come last.
#[derive(Default)]
pub(in crate::capture) struct MessageStream {
    decoder: SseDecoder,
    answers: HeldAnswers,
    /// The listings that the event says have changed.
    changed: ListChanged,
    /// What the event says of tasks.
    tasks: Vec<TaskNotice>,
    /// The data of the event, if it may hold a listing.
    document: Option<Document>,
}

/// What an event held.
pub(in crate::capture) struct EventContent<'a> {
    pub(in crate::capture) answers: Vec<Answer>,
    pub(in crate::capture) document: Option<&'a mut Document>,
    pub(in crate::capture) changed: ListChanged,
    pub(in crate::capture) tasks: Vec<TaskNotice>,
}

/// What an event stream is read for.
pub(in crate::capture) trait EventReader {
    /// Returns whether no later event matters.
    fn is_done(&self) -> bool {
        false
    }

    /// Data of the current event passed.
    fn data(&mut self, _data: &[u8]) {}

    /// Returns whether an event that begins now may hold a listing to be recorded.
    fn wants_listing(&self) -> bool;

    /// Returns whether an answer is read for what it says of the server.
    fn wants_server(&self) -> bool;

    /// Returns whether an answer is held until its event ends.
    fn wants(&self, answer: &Answer) -> bool;

    /// The event ended.
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
