//! Requests as they are written, for all browsers that watch.
//!
//! Browsers with the same conditions share one task, which reads the file twice a second and
//! ends when the last of them has left. Without browsers nothing runs.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Uri};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::unfold;
use maud::html;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tower_mcp_store::query::{Follower, Request, RequestFilter, Window};

use crate::fault::Fault;
use crate::layout::{self, harmless};
use crate::page::Page;
use crate::pages;
use crate::site::Site;
use crate::view::{Own, View};

/// How often a task reads the file.
const LOOK: Duration = Duration::from_millis(500);

/// How long a task waits after the file could not be read.
const PAUSE: Duration = Duration::from_secs(2);

/// After how much silence a comment is sent, so that proxies keep the connection open.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The most requests in one message. It has the newest ones, and the number of the others.
const ROWS: usize = 50;

/// How many messages may wait for a slow browser. With more, its stream is closed, and the
/// browser connects again.
const WAITING: usize = 32;

/// How many browsers may watch at the same time.
const VIEWERS: usize = 256;

/// The tasks that follow the file.
#[derive(Debug)]
pub(crate) struct Live {
    /// By the conditions of the browsers.
    tasks: Mutex<HashMap<String, broadcast::Sender<Message>>>,
    viewers: Arc<Semaphore>,
    closed: watch::Sender<bool>,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            tasks: Mutex::default(),
            viewers: Arc::new(Semaphore::new(VIEWERS)),
            closed: watch::Sender::new(false),
        }
    }
}

/// An event of a stream.
#[derive(Debug, Clone)]
struct Message {
    /// The number of the last row that was read.
    last: i64,
    text: Bytes,
}

impl Message {
    /// Returns the message about rows in the order of writing. It has the newest one first.
    fn of_rows(view: &View, rows: &[Request], last: i64) -> Self {
        let omitted = rows.len().saturating_sub(ROWS);
        let rows = html! {
            @for row in rows.iter().skip(omitted).rev() { (pages::live::row(view, row)) }
            @if omitted > 0 {
                tr { td colspan=(pages::requests::COLUMNS.len()) { (omitted) " more requests" } }
            }
        };
        Self::new("rows", last, &harmless(rows.into_string()))
    }

    fn of_problem(problem: &str, last: i64) -> Self {
        Self::new("problem", last, problem)
    }

    fn new(kind: &str, last: i64, data: &str) -> Self {
        let mut text = format!("event: {kind}\nid: {last}\n");
        for line in data.split(['\n', '\r']) {
            text.push_str("data: ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
        Self {
            last,
            text: text.into(),
        }
    }
}

impl Live {
    /// Ends all streams, also those that begin later.
    pub(crate) fn close(&self) {
        self.closed.send_replace(true);
    }

    /// Returns the messages of the task for a view, which is started if there is none.
    fn watch(
        &self,
        site: &Site,
        view: &View,
        filter: RequestFilter,
        follower: Follower,
    ) -> broadcast::Receiver<Message> {
        let key = view.to(Page::Live).href();
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = tasks.get(&key) {
            return task.subscribe();
        }
        let (sender, receiver) = broadcast::channel(WAITING);
        tasks.insert(key.clone(), sender.clone());
        let (site, view) = (site.clone(), view.clone());
        tokio::spawn(follow(site, view, filter, key, sender, follower));
        receiver
    }

    /// Removes the task if no browser watches. Returns whether it is removed.
    fn ends(&self, key: &str, sender: &broadcast::Sender<Message>) -> bool {
        // Nobody can subscribe while the lock is held.
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = sender.receiver_count() == 0;
        if ends {
            tasks.remove(key);
        }
        ends
    }
}

/// Sends new rows until no browser watches.
async fn follow(
    site: Site,
    view: View,
    filter: RequestFilter,
    key: String,
    sender: broadcast::Sender<Message>,
    mut follower: Follower,
) {
    let mut has_problem = false;
    loop {
        tokio::time::sleep(if has_problem { PAUSE } else { LOOK }).await;
        if site.live().ends(&key, &sender) {
            return;
        }
        let last = follower.last_id();
        let polled = site.read(move |_| {
            let polled = follower.poll();
            Ok((follower, polled))
        });
        let polled = match polled.await {
            Ok((same, polled)) => {
                follower = same;
                polled.map_err(Fault::from)
            }
            Err(fault) => {
                follower = site.reader().follow_after(filter.clone(), last);
                Err(fault)
            }
        };
        let message = match polled {
            Ok(rows) if rows.is_empty() && !has_problem => continue,
            Ok(rows) => {
                has_problem = false;
                Message::of_rows(&view, &rows, follower.last_id())
            }
            Err(_) if has_problem => continue,
            Err(fault) => {
                has_problem = true;
                Message::of_problem(&fault.text(), last)
            }
        };
        // It fails if the last browser has just left.
        let _ = sender.send(message);
    }
}

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
            let newest = reader.follow(filter.clone())?;
            Ok((filter, newest))
        })
        .await?;
    let last = newest.last_id();
    // The rows up to `last` are read below, and the task sends those after it. Some may come
    // twice; the script of the page drops the second by its number.
    let messages = site.live().watch(site, &view, filter.clone(), newest);
    let missed = match after.filter(|after| *after < last) {
        Some(after) => missed(site, &view, filter, after, last).await?,
        None => None,
    };
    let viewer = Viewer {
        first: Some(Bytes::from_static(b"retry: 2000\n\n")),
        missed,
        messages,
        last,
        closed: site.live().closed.subscribe(),
        _permit: permit,
    };
    let body = Body::from_stream(unfold(viewer, Viewer::next));
    let kind = HeaderValue::from_static("text/event-stream");
    Ok(([(CONTENT_TYPE, kind)], body).into_response())
}

/// Returns the message about rows that a browser has missed: the newest, as many as its page shows.
async fn missed(
    site: &Site,
    view: &View,
    filter: RequestFilter,
    after: i64,
    last: i64,
) -> Result<Option<Bytes>, Fault> {
    let view = view.clone();
    site.read(move |reader| {
        let mut rows = reader.requests(&filter, ROWS, None)?;
        rows.retain(|row| row.id > after);
        rows.sort_unstable_by_key(|row| row.id);
        let message = Message::of_rows(&view, &rows, last);
        Ok((!rows.is_empty()).then_some(message.text))
    })
    .await
}

/// The state of one stream.
struct Viewer {
    first: Option<Bytes>,
    missed: Option<Bytes>,
    messages: broadcast::Receiver<Message>,
    /// The number of the last row that the browser has.
    last: i64,
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
                Ok(Ok(message)) if message.last < self.last => {}
                Ok(Ok(message)) => return Some((Ok(message.text), self)),
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
    use tower_mcp_store::query::{Reader, RequestFilter};

    use super::{Bytes, Message, Viewer, WAITING, broadcast};
    use crate::site::Site;
    use crate::view::View;

    const LONG: Duration = Duration::from_secs(30);

    fn site() -> (tempfile::TempDir, Site) {
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
            last: 5,
            closed: site.live().closed.subscribe(),
            _permit: site.live().viewers.clone().try_acquire_owned().unwrap(),
        }
    }

    #[tokio::test]
    async fn task_is_shared_and_ends_with_its_last_viewer() {
        let (_dir, site) = site();
        let view = View::default();
        let watch = || {
            let follower = site.reader().follow(RequestFilter::new()).unwrap();
            site.live()
                .watch(&site, &view, RequestFilter::new(), follower)
        };
        let (first, mut second) = (watch(), watch());
        assert_eq!(site.live().tasks.lock().unwrap().len(), 1);
        drop(first);
        let sender = site
            .live()
            .tasks
            .lock()
            .unwrap()
            .values()
            .next()
            .unwrap()
            .downgrade();
        assert!(second.try_recv().is_err());
        drop(second);
        // The task drops the last sender when it ends.
        let ended = tokio::time::timeout(LONG, sender_is_gone(&sender)).await;
        ended.expect("the task ends");
        assert!(site.live().tasks.lock().unwrap().is_empty());
    }

    async fn sender_is_gone(sender: &broadcast::WeakSender<Message>) {
        while let Some(strong) = sender.upgrade() {
            drop(strong);
            tokio::time::sleep(Duration::from_millis(10)).await;
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
    async fn rows_that_a_viewer_has_are_not_sent_again() {
        let (_dir, site) = site();
        let (sender, messages) = broadcast::channel(WAITING);
        let viewer = viewer(&site, messages);
        for last in [4, 7] {
            sender.send(Message::new("rows", last, "a\nb")).unwrap();
        }
        let (part, _) = viewer.next().await.unwrap();
        let expected = "event: rows\nid: 7\ndata: a\ndata: b\n\n";
        assert_eq!(part.unwrap(), Bytes::from_static(expected.as_bytes()));
    }
}
