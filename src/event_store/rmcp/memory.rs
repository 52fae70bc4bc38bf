//! The memory store as an rmcp event store.

use std::collections::VecDeque;
use std::num::NonZeroUsize;

use async_trait::async_trait;
use hashlink::LinkedHashMap;
use rmcp::transport::common::server_side_http::ServerSseMessage;
use rmcp::transport::streamable_http_server::session as theirs;

use super::{EventId, new_token, unknown, warn_of_evicted};
use crate::db::StreamToken;
use crate::event_store::MemoryEventStore;

/// rmcp purges no stream, and each request has its own stream.
const MAX_STREAMS: usize = 10_000;

/// For `LocalSessionManager::with_event_store`, for clients that lose their
/// connection while the server keeps running.
///
/// Keeps the 10,000 streams with the latest appends.
#[cfg_attr(docsrs, doc(cfg(feature = "rmcp")))]
#[async_trait]
impl theirs::EventStore for MemoryEventStore {
    async fn store_event(
        &self,
        stream_id: &str,
        event: &ServerSseMessage,
    ) -> Result<theirs::EventId, theirs::EventStoreError> {
        let token = new_token()?;
        let id = self
            .streams()
            .append(stream_id, token, event, self.capacity());
        Ok(id.to_string())
    }

    async fn replay_events_after(
        &self,
        last_event_id: &str,
    ) -> Result<theirs::EventStream, theirs::EventStoreError> {
        let id = EventId::parse(last_event_id).ok_or_else(unknown)?;
        let replay = self.streams().replay_after(&id).ok_or_else(unknown)?;
        if !replay.is_complete {
            warn_of_evicted();
        }
        Ok(Box::pin(tokio_stream::iter(replay.events)))
    }
}

/// The streams of a store, in the order of their last appends.
#[derive(Default)]
pub(in crate::event_store) struct Streams {
    by_token: LinkedHashMap<StreamToken, Stream>,
    tokens: std::collections::HashMap<Box<str>, StreamToken>,
}

struct Stream {
    stream_id: Box<str>,
    /// The place of the first event that is kept; places begin with 1.
    first: i64,
    events: VecDeque<ServerSseMessage>,
}

struct Replay {
    events: Vec<ServerSseMessage>,
    /// No event after the given one was evicted.
    is_complete: bool,
}

impl Streams {
    /// Adds an event to a stream; the stream gets `token` if it is new.
    fn append(
        &mut self,
        stream_id: &str,
        token: StreamToken,
        event: &ServerSseMessage,
        capacity: NonZeroUsize,
    ) -> EventId {
        let token = *self.tokens.entry(stream_id.into()).or_insert(token);
        let mut stream = self.by_token.remove(&token).unwrap_or_else(|| Stream {
            stream_id: stream_id.into(),
            first: 1,
            events: VecDeque::new(),
        });
        let id = EventId {
            stream: token,
            place: stream.first + stream.events.len() as i64,
        };
        let mut event = event.clone();
        event.event_id = Some(id.to_string());
        stream.events.push_back(event);
        if stream.events.len() > capacity.get() {
            stream.events.pop_front();
            stream.first += 1;
        }
        self.by_token.insert(token, stream);
        if self.by_token.len() > MAX_STREAMS
            && let Some((_, oldest)) = self.by_token.pop_front()
        {
            self.tokens.remove(&oldest.stream_id);
        }
        id
    }

    /// Returns `None` if the id belongs to no stored event.
    fn replay_after(&self, id: &EventId) -> Option<Replay> {
        let stream = self.by_token.get(&id.stream)?;
        let next = stream.first + stream.events.len() as i64;
        if id.place >= next {
            return None;
        }
        let skipped = (id.place + 1 - stream.first).max(0);
        Some(Replay {
            events: stream.events.range(skipped as usize..).cloned().collect(),
            is_complete: id.place + 1 >= stream.first,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_with_the_oldest_append_is_evicted() {
        let capacity = NonZeroUsize::MIN;
        let mut streams = Streams::default();
        let mut append = |number: usize| {
            let mut token = StreamToken::default();
            token[..8].copy_from_slice(&number.to_be_bytes());
            let event = ServerSseMessage::default();
            streams.append(&number.to_string(), token, &event, capacity)
        };
        let first = append(0);
        let second = append(1);
        for number in 2..MAX_STREAMS {
            append(number);
        }
        append(0);
        append(MAX_STREAMS);
        assert!(streams.replay_after(&first).is_some());
        assert!(streams.replay_after(&second).is_none());
        assert_eq!(streams.by_token.len(), MAX_STREAMS);
        assert_eq!(streams.tokens.len(), MAX_STREAMS);
    }
}
