//! Checks what holds for every exchange: the layer does not panic, both sides see the other's bytes
//! unchanged, every exchange ends, every row is written once and bounded, and cuts of the bodies
//! change no row.
//!
//! An input is five bytes of settings (see [`Plan`]) and three bodies separated by bytes `0xff`: of
//! the request, of its response, and of a later GET stream of the same session.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, request, response};
use http_body::{Body, Frame};
use serde_json::Value;
use tower::{Layer, Service, service_fn};
use tower_mcp_store::{RequestEvent, Store, StoreBody, StoreLayer};
use uuid::Uuid;

use crate::chunks::pieces;

/// A store serves this many inputs, because files grow.
const INPUTS_PER_STORE: usize = 20_000;

const LONG: Duration = Duration::from_secs(60);

const STATUS: [u16; 8] = [200, 200, 200, 202, 302, 400, 404, 504];
const MEDIA: [Option<&str>; 4] = [
    Some("application/json"),
    Some("text/event-stream"),
    Some("text/plain"),
    None,
];
const CODING: [Option<&str>; 4] = [None, None, Some("x"), Some("gzip")];
const VERSION: [Option<&str>; 4] = [None, Some("2025-11-25"), Some("2026-07-28"), Some("x")];

/// When the service reads the request body.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reads {
    BeforeTheAnswer,
    AfterTheAnswer,
    Never,
}

/// What the response body does after its last byte.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
enum Last {
    #[default]
    Ends,
    Fails,
    /// The body hangs, and the client leaves.
    Hangs,
}

/// The settings and bodies of an input.
#[derive(Debug)]
struct Plan<'a> {
    status: u16,
    media: Option<&'static str>,
    compressed: bool,
    /// Sends the session in the header, and otherwise in the query.
    session: bool,
    version: Option<&'static str>,
    /// Sends headers that mirror the method and its name.
    mirrors: bool,
    /// The content coding that the request declares, whether or not the body has it.
    coding: Option<&'static str>,
    reads: Reads,
    last: Last,
    /// Announces the session on a GET stream first (2024-11-05).
    announced: bool,
    seed: u8,
    request: &'a [u8],
    response: &'a [u8],
    stream: &'a [u8],
}

impl<'a> Plan<'a> {
    fn of(data: &'a [u8]) -> Option<Self> {
        let (&[answer, client, service, last, seed], bodies) = data.split_first_chunk()?;
        let mut bodies = bodies.splitn(3, |byte| *byte == 0xff);
        Some(Self {
            status: STATUS[usize::from(answer & 7)],
            media: MEDIA[usize::from(answer >> 3 & 3)],
            compressed: answer >> 5 == 7,
            session: client & 1 == 0,
            version: VERSION[usize::from(client >> 1 & 3)],
            mirrors: client >> 3 & 1 == 1,
            coding: CODING[usize::from(client >> 6)],
            announced: client >> 4 & 3 == 3,
            reads: match service & 7 {
                6 => Reads::AfterTheAnswer,
                7 => Reads::Never,
                _ => Reads::BeforeTheAnswer,
            },
            last: match last & 7 {
                6 => Last::Fails,
                7 => Last::Hangs,
                _ => Last::Ends,
            },
            seed,
            request: bodies.next()?,
            response: bodies.next().unwrap_or_default(),
            stream: bodies.next().unwrap_or_default(),
        })
    }

    /// Runs the plan through the layer, for client and server.
    fn run(&self, layer: &StoreLayer, cut: Cut) {
        let frames = |seed, bytes| cut.frames(self.seed.wrapping_add(seed), bytes);
        let answer = |bytes: Script| {
            let answer = Response::builder().header("content-type", "text/event-stream");
            answer.body(bytes).expect("a valid response")
        };
        let get = |bytes: Script| {
            let uri = if self.session { "/mcp" } else { "/sse" };
            let mut head = Request::get(uri);
            if self.session {
                head = head.header("mcp-session-id", "s");
            }
            let request = head.body(Script::default()).expect("a valid request");
            call(layer, request, answer(bytes), |_| {})
        };

        // The stream announces its session, and waits.
        let mut announced = self.announced.then(|| {
            let mut script = Script::default();
            script.data(frames(1, b"event: endpoint\ndata: ?sessionId=s\n\n"));
            script.steps.push_back(Step::Pause);
            script.data(frames(2, self.stream));
            let mut body = get(script);
            read(&mut body);
            body
        });

        let mut request = Script::default();
        request.data(frames(3, self.request));
        let request = self.request_head().body(request).expect("a valid request");
        let mut response = Script::default();
        response.data(frames(4, self.response));
        response.last = self.last;
        let response = self
            .response_head()
            .body(response)
            .expect("a valid response");
        let mut unread = None;
        let mut response = call(layer, request, response, |mut body| match self.reads {
            Reads::BeforeTheAnswer => assert_eq!(read(&mut body).0, self.request),
            Reads::AfterTheAnswer => unread = Some(body),
            Reads::Never => {}
        });
        assert_eq!(read(&mut response), (self.response.to_vec(), self.last));
        drop(response);
        if let Some(mut body) = unread {
            assert_eq!(read(&mut body).0, self.request);
        }

        let mut stream = announced.take().unwrap_or_else(|| {
            let mut script = Script::default();
            script.data(frames(2, self.stream));
            get(script)
        });
        assert_eq!(read(&mut stream), (self.stream.to_vec(), Last::Ends));
        drop(stream);

        // The end of the session ends every wait.
        let request = Request::delete("/mcp").header("mcp-session-id", "s");
        let request = request.body(Script::default()).expect("a valid request");
        call(layer, request, answer(Script::default()), |_| {});
    }

    fn request_head(&self) -> request::Builder {
        let uri = if self.session {
            "/mcp"
        } else {
            "/messages?sessionId=s"
        };
        let mut head = Request::post(uri);
        if self.session {
            head = head.header("mcp-session-id", "s");
        }
        if let Some(version) = self.version {
            head = head.header("mcp-protocol-version", version);
        }
        if let Some(coding) = self.coding {
            head = head.header("content-encoding", coding);
        }
        if self.mirrors {
            head = head.header("mcp-method", "tools/call");
            head = head.header("mcp-name", "=?base64?w6k=?=");
        }
        head
    }

    fn response_head(&self) -> response::Builder {
        let mut head = Response::builder().status(self.status);
        if let Some(media) = self.media {
            head = head.header("content-type", media);
        }
        if self.compressed {
            head = head.header("content-encoding", "gzip");
        }
        head.header("mcp-session-id", "s")
    }

    /// Returns how many requests the body holds if a parser accepts it.
    fn requests(&self) -> Option<usize> {
        // A body in a coding may begin like a text or number.
        if self.coding.is_some() && !self.request.trim_ascii().starts_with(b"{") {
            return None;
        }
        let is_request = |message: &&Value| {
            let id = &message["id"];
            message.is_object()
                && message.get("jsonrpc").is_some()
                && message["method"].is_string()
                && (id.is_string() || id.is_number())
        };
        Some(match serde_json::from_slice(self.request).ok()? {
            Value::Array(messages) => messages.iter().filter(is_request).count(),
            message => [&message].into_iter().filter(is_request).count(),
        })
    }
}

/// Sends one request through the layer to a service that answers with `answer`, and passes its body
/// to `reader`.
fn call(
    layer: &StoreLayer,
    request: Request<Script>,
    response: Response<Script>,
    reader: impl FnOnce(StoreBody<Script>),
) -> StoreBody<Script> {
    let mut once = Some((response, reader));
    let mut service = layer.layer(service_fn(|request: Request<StoreBody<Script>>| {
        let (response, reader) = once.take().expect("one call");
        reader(request.into_body());
        std::future::ready(Ok::<_, Infallible>(response))
    }));
    let mut context = Context::from_waker(Waker::noop());
    match pin!(service.call(request)).poll(&mut context) {
        Poll::Ready(Ok(response)) => response.into_body(),
        Poll::Pending => panic!("the service is ready at once"),
    }
}

/// Reads until no more data comes. Returns the data and how it ended.
fn read(body: &mut StoreBody<Script>) -> (Vec<u8>, Last) {
    let mut bytes = Vec::new();
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match Pin::new(&mut *body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => bytes.extend(frame.into_data().into_iter().flatten()),
            Poll::Ready(Some(Err(Broken))) => return (bytes, Last::Fails),
            Poll::Ready(None) => return (bytes, Last::Ends),
            Poll::Pending => return (bytes, Last::Hangs),
        }
    }
}

/// How bodies are cut into frames.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Whole,
    Pieces,
    Bytes,
}

impl Cut {
    /// An empty body has no frames: an empty frame would say that the body may hold data.
    fn frames(self, seed: u8, bytes: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::Whole if bytes.is_empty() => Vec::new(),
            Self::Whole => vec![bytes],
            Self::Pieces => pieces(seed, bytes),
            Self::Bytes => bytes.chunks(1).collect(),
        }
    }
}

/// A body that follows a script.
#[derive(Debug, Default)]
struct Script {
    steps: VecDeque<Step>,
    last: Last,
}

#[derive(Debug)]
enum Step {
    Data(Bytes),
    /// Returns no data until the next poll.
    Pause,
}

/// The error of a scripted body.
#[derive(Debug)]
struct Broken;

impl Script {
    fn data(&mut self, frames: Vec<&[u8]>) {
        let frames = frames.into_iter().map(Bytes::copy_from_slice);
        self.steps.extend(frames.map(Step::Data));
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match (self.steps.pop_front(), self.last) {
            (Some(Step::Data(data)), _) => Poll::Ready(Some(Ok(Frame::data(data)))),
            (Some(Step::Pause), _) | (None, Last::Hangs) => Poll::Pending,
            (None, Last::Fails) => Poll::Ready(Some(Err(Broken))),
            (None, Last::Ends) => Poll::Ready(None),
        }
    }

    /// Like a body of known length.
    fn is_end_stream(&self) -> bool {
        self.steps.is_empty() && self.last == Last::Ends
    }
}

/// A store and the rows that it has written.
struct Recording {
    store: Store,
    rows: Arc<Mutex<Vec<RequestEvent>>>,
    inputs: usize,
    _dir: tempfile::TempDir,
}

impl Recording {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let rows = Arc::<Mutex<Vec<_>>>::default();
        let written = Arc::clone(&rows);
        let store = Store::builder(dir.path().join("mcp.db"))
            .flush_interval(Duration::ZERO)
            .on_recorded(move |row| lock(&written).push(row.clone()));
        Self {
            store: store.open().expect("a fresh store opens"),
            rows,
            inputs: 0,
            _dir: dir,
        }
    }

    /// Returns the rows of one run of the plan, and how many requests it counts as unidentified.
    fn run(&mut self, plan: &Plan<'_>, cut: Cut) -> (Vec<RequestEvent>, u64) {
        self.inputs += 1;
        let before = self.store.stats().unidentified;
        plan.run(&self.store.layer(), cut);
        self.store.flush(LONG).expect("the writer keeps up");
        let stats = self.store.stats();
        assert_eq!((stats.failed, stats.dropped, stats.queued), (0, 0, 0));
        assert_eq!(stats.in_flight, 0, "no exchange is forgotten");
        let rows = std::mem::take(&mut *lock(&self.rows));
        (rows, stats.unidentified - before)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns a row without the columns that time and chance decide.
fn settled(mut row: RequestEvent) -> RequestEvent {
    row.request_id = Uuid::nil();
    (row.ts, row.latency_us) = (0, 0);
    row.ttfb_us = row.ttfb_us.map(|_| 0);
    let derived = |id: &Arc<str>| id.starts_with("derived:");
    if row.session_id.as_ref().is_some_and(derived) {
        row.session_id = Some("derived".into());
    }
    row
}

fn assert_bounded(row: &RequestEvent) {
    let chars = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.chars().count());
    assert!(row.method.chars().count() <= 128);
    assert!(chars(&row.tool) <= 256);
    assert!(chars(&row.target) <= 2048);
    assert!(chars(&row.error_code) <= 256);
    assert!(chars(&row.error_msg) <= 512);
}

thread_local! {
    static RECORDING: RefCell<Option<Recording>> = const { RefCell::new(None) };
}

pub(crate) fn check(data: &[u8]) {
    let Some(plan) = Plan::of(data) else {
        return;
    };
    RECORDING.with_borrow_mut(|recording| {
        let worn = |recording: &Recording| recording.inputs >= INPUTS_PER_STORE;
        if recording.as_ref().is_some_and(worn) {
            *recording = None;
        }
        let recording = recording.get_or_insert_with(Recording::start);
        let mut run = |cut| recording.run(&plan, cut);

        let (whole, unidentified) = run(Cut::Whole);
        whole.iter().for_each(assert_bounded);
        if plan.reads == Reads::BeforeTheAnswer
            && let Some(requests) = plan.requests()
        {
            assert_eq!(whole.len(), requests, "each request once: {whole:#?}");
            assert_eq!(unidentified, 0, "and none is counted");
        }
        let facts = |(rows, unidentified): (Vec<RequestEvent>, u64)| {
            let rows = rows.into_iter().map(settled).collect::<Vec<_>>();
            (rows, unidentified)
        };
        let whole = facts((whole, unidentified));
        assert_eq!(whole, facts(run(Cut::Pieces)), "in pieces");
        assert_eq!(whole, facts(run(Cut::Bytes)), "byte by byte");
    });
}
