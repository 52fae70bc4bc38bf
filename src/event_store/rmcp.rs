//! The event stores as rmcp event stores.
//!
//! rmcp requests ids for its events, and resumes by such an id alone: it does not
//! compare the stream of the id with the session of the client that presents it. So
//! an id has to be a key that a client cannot make up unless it has received one of
//! the same stream. The id is the stream's token, 128 random bits that the writer
//! thread stores with the stream's first event, and the event's place in that
//! stream.
//!
//! [`CachingEventStore`](super::CachingEventStore) does not implement rmcp's trait:
//! the trait leaves the choice of an id to the store, so two stores cannot hold one
//! event under the same id.

mod memory;

pub(super) use memory::Streams;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rmcp::model::ServerJsonRpcMessage;
use rmcp::transport::common::server_side_http::ServerSseMessage;
use rmcp::transport::streamable_http_server::session as theirs;
use uuid::Uuid;

use super::{EventStoreError, SqliteEventStore};
use crate::clock;
use crate::db::{Answer, Command, EventRow, StreamToken};

/// For `LocalSessionManager::with_event_store`, with [`SqliteSessionStore`] as the
/// `session_store` of `StreamableHttpServerConfig`: another process can resume a
/// session only with both.
///
/// A replay returns the events that are kept. If earlier events were evicted, it
/// logs a warning. A message is replayed as rmcp's types hold it: a result that
/// rmcp parses as one of its own types loses the members that the type does not
/// have.
///
/// After a power loss with [`Synchronous::Normal`](super::Synchronous::Normal),
/// another event of the same stream may get an id that was used before;
/// [`Synchronous::Full`](super::Synchronous::Full) prevents that. rmcp never
/// purges: the events of a session are removed by their age and size.
///
/// [`SqliteSessionStore`]: crate::session_store::SqliteSessionStore
/// [`Synchronous::Normal`]: super::Synchronous::Normal
/// [`Synchronous::Full`]: super::Synchronous::Full
#[cfg_attr(docsrs, doc(cfg(feature = "rmcp")))]
#[async_trait]
impl theirs::EventStore for SqliteEventStore {
    async fn store_event(
        &self,
        stream_id: &str,
        event: &ServerSseMessage,
    ) -> Result<theirs::EventId, theirs::EventStoreError> {
        let append = Command::AppendToStream {
            stream_id: stream_id.into(),
            token: new_token()?,
            event: EventRow {
                ts: clock::unix_ms(),
                retry_ms: event.retry.map(clock::to_ms),
                data: encode(event)?,
            },
            bounds: self.bounds,
        };
        let appended = self.store.submit(append, self.synchronous, self.timeout);
        match appended.await.map_err(EventStoreError::from)? {
            Answer::Appended { stream, id: place } => Ok(EventId { stream, place }.to_string()),
            _ => Err(unknown().into()),
        }
    }

    async fn replay_events_after(
        &self,
        last_event_id: &str,
    ) -> Result<theirs::EventStream, theirs::EventStoreError> {
        let EventId { stream, place } = EventId::parse(last_event_id).ok_or_else(unknown)?;
        let read = move |reader: &crate::db::Reader| reader.stream(stream, place);
        let found = self.store.read(self.timeout, read).await;
        let replay = found.map_err(EventStoreError::from)?.ok_or_else(unknown)?;
        if !replay.is_complete {
            warn_of_evicted();
        }
        let events = replay.events.into_iter().map(|(place, row)| {
            let id = EventId { stream, place };
            decode(&id, row)
        });
        let events: Vec<_> = events.collect::<Result<_, EventStoreError>>()?;
        Ok(Box::pin(tokio_stream::iter(events)))
    }
}

fn unknown() -> EventStoreError {
    EventStoreError::Backend(String::from("there is no such event"))
}

/// Logs that a replay is not complete.
fn warn_of_evicted() {
    tracing::warn!("a stream is resumed without events that were evicted");
}

/// The id of an event: the token of its stream and its place there.
struct EventId {
    stream: StreamToken,
    place: i64,
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let stream = Uuid::from_bytes(self.stream);
        write!(f, "{}-{}", stream.simple(), self.place)
    }
}

impl EventId {
    /// Parses the output of `Display`, and nothing else.
    fn parse(text: &str) -> Option<Self> {
        let (stream, place) = text.split_once('-')?;
        let id = Self {
            stream: Uuid::try_parse(stream).ok()?.into_bytes(),
            place: place.parse().ok()?,
        };
        (id.place > 0 && id.to_string() == text).then_some(id)
    }
}

fn new_token() -> Result<StreamToken, EventStoreError> {
    let mut token = StreamToken::default();
    getrandom::fill(&mut token).map_err(|error| EventStoreError::Backend(error.to_string()))?;
    Ok(token)
}

fn encode(event: &ServerSseMessage) -> Result<String, EventStoreError> {
    let message = event.message.as_deref().map(serde_json::to_string);
    let message = message.transpose();
    let data = message.map_err(|error| EventStoreError::Encode(error.to_string()))?;
    Ok(data.unwrap_or_default())
}

fn decode(id: &EventId, row: EventRow) -> Result<ServerSseMessage, EventStoreError> {
    let retry = row.retry_ms.and_then(|ms| u64::try_from(ms).ok());
    let retry = retry.map(Duration::from_millis);
    let mut event = ServerSseMessage::priming(id.to_string(), retry.unwrap_or_default());
    event.retry = retry;
    if !row.data.is_empty() {
        let message: Result<ServerJsonRpcMessage, _> = serde_json::from_str(&row.data);
        // The error's own text is not used, because it may quote the message.
        let message = message.map_err(|_| {
            EventStoreError::Decode(String::from("the data of an event is no message"))
        })?;
        event.message = Some(Arc::new(message));
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_id_is_read_only_in_its_written_form() {
        let id = EventId {
            stream: [0xAB; 16],
            place: 42,
        };
        let text = id.to_string();
        assert_eq!(text, format!("{}-42", "ab".repeat(16)));
        let read = EventId::parse(&text).unwrap();
        assert_eq!((read.stream, read.place), (id.stream, id.place));
        let stream = "ab".repeat(16);
        for other in [
            String::new(),
            "-".to_owned(),
            "42".to_owned(),
            stream.clone(),
            format!("{stream}-"),
            format!("{stream}-0"),
            format!("{stream}--1"),
            format!("{stream}-+42"),
            format!("{stream}-042"),
            format!("{stream}-42 "),
            format!("{stream}-9223372036854775808"),
            format!("{}-42", stream.to_uppercase()),
            format!("{}-42", &stream[1..]),
            format!("{}-42", Uuid::from_bytes([0xAB; 16])),
        ] {
            assert!(EventId::parse(&other).is_none(), "{other}");
        }
    }
}
