//! Helpers of the tests of capture: a scripted body, a store to record into, and its rows as plain
//! values.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use rusqlite::{Connection, OpenFlags, types::FromSql};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tower::{Service, ServiceExt};
use tower_mcp_store::{Store, StoreBody, StoreBuilder, StoreLayer};

/// What a scripted body does when it is polled.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Returns pending once and wakes itself.
    Pending,
    /// Stays pending for ever.
    Hang,
    /// Returns what is sent, until the sender is dropped.
    Live(Arc<Mutex<UnboundedReceiver<Bytes>>>),
    Error,
    Panic,
}

/// A body that follows a script. It reports the length and end that the script says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    steps: VecDeque<Step>,
    /// Reports its exact length, and its end as soon as no data is left.
    pub(crate) sized: bool,
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            sized: false,
        }
    }

    pub(crate) fn chunks<T: AsRef<[u8]>>(chunks: impl IntoIterator<Item = T>) -> Self {
        Self::new(
            chunks
                .into_iter()
                .map(|chunk| Step::Data(Bytes::copy_from_slice(chunk.as_ref()))),
        )
    }

    pub(crate) fn sized(mut self) -> Self {
        self.sized = true;
        self
    }
}

impl<T: AsRef<[u8]>> From<T> for Script {
    fn from(text: T) -> Self {
        Self::chunks([text]).sized()
    }
}

/// Returns a body, and a sender of its data.
pub(crate) fn live() -> (UnboundedSender<Bytes>, Script) {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    (
        sender,
        Script::new([Step::Live(Arc::new(Mutex::new(receiver)))]),
    )
}

/// The error of a scripted body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

impl Body for Script {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(data)))),
            Some(Step::Trailers(trailers)) => Poll::Ready(Some(Ok(Frame::trailers(trailers)))),
            Some(Step::Error) => Poll::Ready(Some(Err(Broken))),
            // A panic that prints nothing.
            Some(Step::Panic) => std::panic::resume_unwind(Box::new("the script says so")),
            Some(Step::Pending) => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Some(Step::Hang) => {
                self.steps.push_front(Step::Hang);
                Poll::Pending
            }
            Some(Step::Live(receiver)) => {
                let data = receiver.lock().unwrap().poll_recv(cx);
                self.steps.push_front(Step::Live(receiver));
                data.map(|data| data.map(|data| Ok(Frame::data(data))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.sized && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if !self.sized {
            return SizeHint::default();
        }
        SizeHint::with_exact(
            self.steps
                .iter()
                .map(|step| {
                    if let Step::Data(data) = step {
                        data.len() as u64
                    } else {
                        0
                    }
                })
                .sum(),
        )
    }
}

/// A row of `requests`, without the columns that time decides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Row {
    pub(crate) request_id: String,
    pub(crate) proxy: String,
    pub(crate) session_id: Option<String>,
    pub(crate) method: String,
    pub(crate) tool: Option<String>,
    pub(crate) target: Option<String>,
    pub(crate) status: String,
    pub(crate) error_code: Option<String>,
    pub(crate) error_msg: Option<String>,
    pub(crate) bytes_in: Option<i64>,
    pub(crate) bytes_out: Option<i64>,
    pub(crate) http_status: Option<u16>,
    pub(crate) tool_error: bool,
    pub(crate) end_reason: Option<String>,
    pub(crate) protocol_version: Option<String>,
    pub(crate) principal: Option<String>,
    pub(crate) trace_id: Option<String>,
    pub(crate) parent_span_id: Option<String>,
    pub(crate) latency_us: i64,
    pub(crate) ttfb_us: Option<i64>,
}

impl Row {
    /// Returns the outcome as one line: `status[:code][:end_reason][!]`.
    pub(crate) fn outcome(&self) -> String {
        let part = |text: &Option<String>| {
            text.as_ref()
                .map(|text| format!(" {text}"))
                .unwrap_or_default()
        };
        let tool_error = if self.tool_error { " tool_error" } else { "" };
        format!(
            "{}{}{}{tool_error}",
            self.status,
            part(&self.error_code),
            part(&self.end_reason)
        )
    }
}

/// A row of `sessions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SessionRow {
    pub(crate) session_id: String,
    pub(crate) ended: bool,
    pub(crate) client_name: Option<String>,
    pub(crate) client_version: Option<String>,
    pub(crate) client_platform: Option<String>,
    pub(crate) total_calls: i64,
    pub(crate) total_errors: i64,
    pub(crate) source: String,
    pub(crate) protocol_version: Option<String>,
    pub(crate) server_name: Option<String>,
    pub(crate) server_version: Option<String>,
}

/// A store in a directory of its own, and queries of what it holds.
pub(crate) struct Recording {
    pub(crate) store: Store,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Recording {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("mcp.db");
        let store = Store::open(&path).expect("a fresh store opens");
        Self {
            store,
            path,
            _dir: dir,
        }
    }

    /// Opens the file of another recording, which has ended, with these settings.
    pub(crate) fn reopen(before: Self, set: impl FnOnce(StoreBuilder) -> StoreBuilder) -> Self {
        let Self { store, path, _dir } = before;
        let shutdown = store.shutdown(Duration::from_secs(20));
        shutdown.expect("everything is written");
        let store = set(Store::builder(&path)).open();
        let store = store.expect("the file opens again");
        Self { store, path, _dir }
    }

    pub(crate) fn layer(&self) -> StoreLayer {
        self.store.layer()
    }

    fn read<T>(
        &self,
        sql: &str,
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        self.store
            .flush(Duration::from_secs(20))
            .expect("the writer keeps up");
        self.read_file(sql, row)
    }

    fn read_file<T>(
        &self,
        sql: &str,
        row: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Vec<T> {
        let reader = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .expect("a reader beside the writer");
        let mut statement = reader.prepare(sql).expect("valid SQL");
        let rows = statement.query_map([], row).expect("a query that runs");
        rows.map(|row| row.expect("a readable row")).collect()
    }

    /// Returns all requests, in the order in which they were written.
    pub(crate) fn rows(&self) -> Vec<Row> {
        self.read("SELECT * FROM requests ORDER BY id", |row| {
            Ok(Row {
                request_id: row.get("request_id")?,
                proxy: row.get("proxy")?,
                session_id: row.get("session_id")?,
                method: row.get("method")?,
                tool: row.get("tool")?,
                target: row.get("target")?,
                status: row.get("status")?,
                error_code: row.get("error_code")?,
                error_msg: row.get("error_msg")?,
                bytes_in: row.get("bytes_in")?,
                bytes_out: row.get("bytes_out")?,
                http_status: row.get("http_status")?,
                tool_error: row.get("tool_error")?,
                end_reason: row.get("end_reason")?,
                protocol_version: row.get("protocol_version")?,
                principal: row.get("principal")?,
                trace_id: row.get("trace_id")?,
                parent_span_id: row.get("parent_span_id")?,
                latency_us: row.get("latency_us")?,
                ttfb_us: row.get("ttfb_us")?,
            })
        })
    }

    /// Waits for the first row and returns it.
    pub(crate) async fn first_row(&self) -> Row {
        let come = async {
            while self.rows().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), come)
            .await
            .expect("a row comes");
        self.row()
    }

    /// Returns the only row.
    pub(crate) fn row(&self) -> Row {
        let mut rows = self.rows();
        assert_eq!(rows.len(), 1, "one row: {rows:#?}");
        rows.remove(0)
    }

    /// Returns all sessions, in the order in which they were written.
    pub(crate) fn sessions(&self) -> Vec<SessionRow> {
        self.read("SELECT * FROM sessions ORDER BY rowid", |row| {
            Ok(SessionRow {
                session_id: row.get("session_id")?,
                ended: row.get::<_, Option<i64>>("ended_at")?.is_some(),
                client_name: row.get("client_name")?,
                client_version: row.get("client_version")?,
                client_platform: row.get("client_platform")?,
                total_calls: row.get("total_calls")?,
                total_errors: row.get("total_errors")?,
                source: row.get("source")?,
                protocol_version: row.get("protocol_version")?,
                server_name: row.get("server_name")?,
                server_version: row.get("server_version")?,
            })
        })
    }

    /// Returns the first column of a query, after the store's shutdown.
    pub(crate) fn column_after_shutdown<T: FromSql>(&self, sql: &str) -> Vec<T> {
        self.read_file(sql, |row| row.get(0))
    }

    /// Returns the first column of a query.
    pub(crate) fn column<T: FromSql>(&self, sql: &str) -> Vec<T> {
        self.read(sql, |row| row.get(0))
    }
}

/// Returns a POST of this body.
pub(crate) fn post(body: impl Into<Script>) -> Request<Script> {
    post_with(&[], body)
}

/// Returns a POST of this body with these headers beside the usual ones.
pub(crate) fn post_with(headers: &[(&str, &str)], body: impl Into<Script>) -> Request<Script> {
    let mut request = Request::post("/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body.into()).expect("a valid request")
}

/// Returns a response with this status, media type and body.
pub(crate) fn response(status: u16, media: &str, body: impl Into<Script>) -> Response<Script> {
    let mut response = Response::builder().status(status);
    if !media.is_empty() {
        response = response.header("content-type", media);
    }
    response.body(body.into()).expect("a valid response")
}

pub(crate) fn json(body: impl Into<Script>) -> Response<Script> {
    response(200, "application/json", body)
}

pub(crate) fn event_stream(body: impl Into<Script>) -> Response<Script> {
    response(200, "text/event-stream", body)
}

/// Returns a service that reads the whole request and then answers with `answer`.
pub(crate) fn answering(
    answer: Response<Script>,
) -> impl Service<
    Request<StoreBody<Script>>,
    Response = Response<Script>,
    Error = Infallible,
    Future: Send,
> + Clone {
    tower::service_fn(move |request: Request<StoreBody<Script>>| {
        let answer = answer.clone();
        async move {
            // A broken request body ends the reading, not the service.
            let _ = request.into_body().collect().await;
            Ok(answer)
        }
    })
}

/// Sends one request through the layer, reads the answer to its end, and returns what the client
/// saw.
pub(crate) async fn exchange(
    layer: &StoreLayer,
    request: Request<Script>,
    answer: Response<Script>,
) -> Result<Bytes, Broken> {
    let service = tower::Layer::layer(layer, answering(answer));
    let response = service
        .oneshot(request)
        .await
        .unwrap_or_else(|never| match never {});
    response
        .into_body()
        .collect()
        .await
        .map(|body| body.to_bytes())
}
