//! Requests as they are written, for all browsers that watch.
//!
//! One task reads the file twice a second, and ends when the last browser has left. Without
//! browsers nothing runs.

mod follow;
mod message;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::unfold;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tower_mcp_store::query::{RequestFilter, Window};

use crate::fault::Fault;
use crate::layout;
use crate::page::Page;
use crate::site::Site;
use crate::view::{Own, View};
pub(crate) use follow::Live;
use message::Message;

/// After how much silence a comment is sent, so that proxies keep the connection open.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The most requests in one message. It has the newest ones, and the number of the others.
const ROWS: usize = 50;

/// How many messages may wait for a slow browser. With more, its stream is closed, and the
/// browser connects again.
const WAITING: usize = 8;

/// The field with which a server switches off the buffers of nginx.
const NO_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// How many browsers may watch at the same time.
const VIEWERS: usize = 256;

/// Answers `GET /events`: new requests that the conditions take, as a stream of events.
///
/// The stream begins after the row of `Last-Event-ID`, else of the parameter `after`, else now.
pub(crate) async fn events(State(site): State<Site>, uri: Uri, headers: HeaderMap) -> Response {
    let query = uri.query().unwrap_or_default();
    match open(&site, query, &headers).await {
        Ok(response) => response,
        Err(fault) => layout::fault(&site, Page::Live, &View::default(), &fault),
    }
}

async fn open(site: &Site, query: &str, headers: &HeaderMap) -> Result<Response, Fault> {
    let view = View::parse(query)?;
    let permit = Arc::clone(&site.live().viewers).try_acquire_owned();
    let permit = permit.map_err(|_| Fault::Busy)?;
    let after = match headers.get("last-event-id") {
        Some(id) => id.to_str().ok().and_then(|id| id.parse().ok()),
        None => view.own_as(Own::After, "the number of a row")?,
    };
    let asked = view.clone();
    let (filter, newest) = site
        .read(move |reader| {
            let filter = asked.filter(reader)?.window(Window::ALL);
            let newest = reader.follow(RequestFilter::new())?;
            Ok((filter, newest))
        })
        .await?;
    let last = newest.last_id();
    // The rows up to `last` are read below, and the task sends those after it. Some may come
    // twice; the script of the page drops the second by its number.
    let messages = site.live().watch(site, &view, filter.clone(), newest);
    let missed = match after {
        Some(after) if after < last => missed(site, &view, filter, after).await?,
        // Another file has taken the place of the one that the browser saw.
        Some(after) if after > last => missed(site, &view, filter, 0).await?,
        _ => None,
    };
    let viewer = Viewer {
        first: Some(Bytes::from_static(b"retry: 2000\n\n")),
        known: missed.as_ref().map_or(last, |message| message.last),
        missed: missed.map(|message| message.text),
        messages,
        closed: site.live().closed.subscribe(),
        _permit: permit,
    };
    let body = Body::from_stream(unfold(viewer, Viewer::next));
    let fields = [
        (CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // nginx would keep events back.
        (NO_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((fields, body).into_response())
}

/// Returns the message about rows that a browser has missed: the newest, as many as its page shows.
async fn missed(
    site: &Site,
    view: &View,
    filter: RequestFilter,
    after: i64,
) -> Result<Option<Message>, Fault> {
    let view = view.clone();
    site.read(move |reader| {
        let mut newer = reader.follow_after(RequestFilter::new(), after);
        let written = newer.poll_newest(&[filter], ROWS)?;
        let written = written.first().filter(|written| !written.rows.is_empty());
        Ok(written.map(|written| Message::of_rows(&view, written, newer.last_id())))
    })
    .await
}

/// The state of one stream.
struct Viewer {
    first: Option<Bytes>,
    missed: Option<Bytes>,
    messages: broadcast::Receiver<Message>,
    /// The number of the last row that the browser knew when it connected.
    known: i64,
    closed: watch::Receiver<bool>,
    _permit: OwnedSemaphorePermit,
}

impl Viewer {
    /// Returns the next part of the stream. It is called only after the browser has received the
    /// previous part.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if let Some(part) = self.first.take().or_else(|| self.missed.take()) {
            return Some((Ok(part), self));
        }
        loop {
            let message = tokio::select! {
                _ = self.closed.wait_for(|closed| *closed) => return None,
                message = tokio::time::timeout(HEARTBEAT, self.messages.recv()) => message,
            };
            match message {
                Ok(Ok(message)) => {
                    if message.is_of_another_file {
                        self.known = 0;
                    }
                    if message.last >= self.known {
                        return Some((Ok(message.text), self));
                    }
                }
                // The browser is slow. It connects again and gets the rows that it has missed.
                Ok(Err(RecvError::Lagged(_) | RecvError::Closed)) => return None,
                Err(_) => return Some((Ok(Bytes::from_static(b":\n\n")), self)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tower_mcp_store::Store;
    use tower_mcp_store::query::Reader;

    use super::{Bytes, HeaderMap, Message, VIEWERS, Viewer, WAITING, broadcast, open};
    use crate::fault::Fault;
    use crate::site::Site;

    const LONG: Duration = Duration::from_secs(30);

    pub(super) fn site() -> (tempfile::TempDir, Site) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mcp.db");
        Store::open(&path).unwrap().shutdown(LONG).unwrap();
        (
            dir,
            Site::new(Reader::open(&path).unwrap(), Vec::new(), None),
        )
    }

    fn viewer(site: &Site, messages: broadcast::Receiver<Message>) -> Viewer {
        Viewer {
            first: None,
            missed: None,
            messages,
            known: 5,
            closed: site.live().closed.subscribe(),
            _permit: site.live().viewers.clone().try_acquire_owned().unwrap(),
        }
    }

    #[tokio::test]
    async fn slow_viewer_is_closed() {
        let (_dir, site) = site();
        let (sender, messages) = broadcast::channel(WAITING);
        let viewer = viewer(&site, messages);
        for last in 0..=WAITING {
            sender
                .send(Message::new("rows", last as i64 + 10, ""))
                .unwrap();
        }
        assert!(viewer.next().await.is_none());
    }

    #[tokio::test]
    async fn viewers_beyond_the_limit_are_refused_until_one_leaves() {
        let (_dir, site) = site();
        let headers = HeaderMap::new();
        let mut viewers = Vec::new();
        for _ in 0..VIEWERS {
            viewers.push(open(&site, "", &headers).await.unwrap());
        }
        assert!(matches!(open(&site, "", &headers).await, Err(Fault::Busy)));
        viewers.pop();
        assert!(open(&site, "", &headers).await.is_ok());
    }

    #[tokio::test]
    async fn rows_that_a_viewer_has_are_not_sent_again() {
        let (_dir, site) = site();
        let (sender, messages) = broadcast::channel(WAITING);
        let viewer = viewer(&site, messages);
        for last in [4, 7] {
            sender.send(Message::new("rows", last, "a\nb")).unwrap();
        }
        let of_another_file = Message {
            is_of_another_file: true,
            ..Message::new("rows", 2, "")
        };
        sender.send(of_another_file).unwrap();
        let (part, viewer) = viewer.next().await.unwrap();
        let expected = "event: rows\nid: 7\ndata: a\ndata: b\n\n";
        assert_eq!(part.unwrap(), Bytes::from_static(expected.as_bytes()));
        let (part, _) = viewer.next().await.unwrap();
        assert!(part.unwrap().starts_with(b"event: rows\nid: 2\n"));
    }
}
