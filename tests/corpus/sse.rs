//! Checks the decoder with any bytes: it does not panic, cuts change nothing, and no event is
//! returned twice or out of order. The first byte decides how the rest is cut.

use std::ops::Range;

use crate::chunks::pieces;
use crate::wire::{EventId, EventKind, SseDecoder, SseItem};

#[derive(Debug, PartialEq)]
struct Event {
    data: Vec<u8>,
    span: Range<usize>,
    kind: EventKind,
    has_data: bool,
    id: Option<EventId>,
}

/// Returns the events of a stream, and the data outside of events.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Vec<u8>) {
    let mut decoder = SseDecoder::default();
    let mut events = Vec::new();
    let mut data = Vec::new();
    let mut sink = |item: SseItem<'_>| match item {
        SseItem::Data(part) => data.extend_from_slice(part),
        SseItem::End(end) => events.push(Event {
            data: std::mem::take(&mut data),
            span: end.start as usize..end.end as usize,
            kind: end.kind,
            has_data: end.has_data,
            id: end.id,
        }),
    };
    for piece in pieces {
        decoder.feed(piece, &mut sink);
    }
    decoder.finish(&mut sink);
    (events, data)
}

pub(crate) fn check(data: &[u8]) {
    let Some((&seed, stream)) = data.split_first() else {
        return;
    };
    let whole = read([stream]);
    assert_eq!(whole, read(pieces(seed, stream)), "in pieces");
    assert_eq!(whole, read(stream.chunks(1)), "byte by byte");
    check_order(stream, &whole.0);
    let taken = allocation_counter::measure(|| {
        let mut decoder = SseDecoder::default();
        decoder.feed(stream, &mut |_| {});
        decoder.finish(&mut |_| {});
    });
    assert_eq!(taken.count_total, 0, "nothing is kept");
}

/// Asserts that events follow one another, that each ends with a line end, and that each is at
/// least as long as its data.
fn check_order(stream: &[u8], events: &[Event]) {
    let mut position = 0;
    for event in events {
        assert!(position <= event.span.start);
        position = event.span.end;
        let bytes = &stream[event.span.clone()];
        assert!(bytes.ends_with(b"\n") || bytes.ends_with(b"\r"));
        assert!(event.data.len() < bytes.len());
        assert!(event.has_data || event.data.is_empty());
    }
}
