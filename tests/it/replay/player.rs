//! Plays exchanges through the layer and shows their rows.
//!
//! All data is ready at once, so the test needs no runtime. It polls bodies by hand, without the
//! budget that a runtime gives each poll.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::sync::mpsc::UnboundedSender;
use tower::{Layer, Service};
use tower_mcp_store::{StoreBody, StoreLayer};

use crate::operations::legs;
use crate::recording::{Recording, Row, Script, answering, live};
use crate::replay::capture::Answer;

/// How many bytes at either end of a body really are sent byte by byte.
const BYTEWISE: usize = 4 << 10;

/// How bodies are cut into frames.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Cut {
    /// As recorded.
    AsSent,
    ByteByByte,
}

impl Cut {
    /// Both kinds. The rows must be the same.
    pub(crate) const ALL: [Self; 2] = [Self::AsSent, Self::ByteByByte];

    fn frames(self, frame: &[u8]) -> Vec<&[u8]> {
        match self {
            Self::AsSent => vec![frame],
            Self::ByteByByte => {
                let (head, rest) = frame.split_at(BYTEWISE.min(frame.len()));
                let (middle, tail) = rest.split_at(rest.len().saturating_sub(BYTEWISE));
                let middle = middle.chunks(16 << 10);
                head.chunks(1).chain(middle).chain(tail.chunks(1)).collect()
            }
        }
    }
}

/// A request that a client sends.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    frames: Vec<Vec<u8>>,
}

impl Call {
    pub(crate) fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// Returns a POST of JSON to `/mcp`.
    pub(crate) fn post(body: impl AsRef<[u8]>) -> Self {
        Self::new("POST", "/mcp")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a frame to the body.
    pub(crate) fn body(mut self, frame: impl AsRef<[u8]>) -> Self {
        self.frames.push(frame.as_ref().to_owned());
        self
    }

    fn request(&self, cut: Cut) -> Request<Script> {
        let mut request = Request::builder().method(&*self.method).uri(&*self.path);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let frames = self.frames.iter().flat_map(|frame| cut.frames(frame));
        request
            .body(Script::chunks(frames))
            .expect("a valid request")
    }
}

/// Returns an answer of this status, headers and body.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Answer {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Answer {
        status,
        headers: headers.iter().map(owned).collect(),
        frames: vec![body.as_ref().to_owned()],
        open: false,
    }
}

pub(crate) fn json(status: u16, body: &str) -> Answer {
    answer(status, &[("content-type", "application/json")], body)
}

pub(crate) fn events(body: impl AsRef<[u8]>) -> Answer {
    answer(200, &[("content-type", "text/event-stream")], body)
}

/// A server behind the layer, and its recording.
pub(crate) struct Player {
    recording: Recording,
    layer: StoreLayer,
    cut: Cut,
    seen: usize,
    table: Vec<Vec<String>>,
}

/// A response whose body has not ended.
pub(crate) struct Held {
    cut: Cut,
    sender: UnboundedSender<Bytes>,
    body: StoreBody<Script>,
}

impl Player {
    pub(crate) fn new(cut: Cut) -> Self {
        let recording = Recording::start();
        let layer = recording.layer();
        Self {
            recording,
            layer,
            cut,
            seen: 0,
            table: Vec::new(),
        }
    }

    /// Plays one exchange to its end and notes its rows under this name.
    pub(crate) fn play(&mut self, name: &str, call: &Call, answer: &Answer) {
        let held = self.open(call, answer);
        if answer.open {
            held.leave();
        } else {
            held.end();
        }
        self.note(name);
    }

    /// Plays an exchange up to the end of the recorded answer.
    pub(crate) fn open(&self, call: &Call, answer: &Answer) -> Held {
        let mut head = Response::builder().status(answer.status);
        for (name, value) in &answer.headers {
            head = head.header(name, value);
        }
        let (sender, body) = live();
        let response = head.body(body).expect("a valid response");
        let mut service = self.layer.layer(answering(response));
        let mut context = Context::from_waker(Waker::noop());
        let response = pin!(service.call(call.request(self.cut))).poll(&mut context);
        let Poll::Ready(Ok(response)) = response else {
            panic!("an answer at once");
        };
        let mut held = Held {
            cut: self.cut,
            sender,
            body: response.into_body(),
        };
        for frame in &answer.frames {
            held.send(frame);
        }
        held
    }

    /// Notes the rows since the last call under this name.
    pub(crate) fn note(&mut self, name: &str) {
        let rows = self.recording.rows();
        let new = &rows[self.seen..];
        if new.is_empty() {
            self.table.push(vec![name.to_owned(), "no row".to_owned()]);
        }
        self.table.extend(new.iter().map(|row| cells(name, row)));
        self.seen = rows.len();
    }

    /// Returns the recorded sessions: id, client, server, number of calls.
    pub(crate) fn sessions(&self) -> Vec<String> {
        let sessions = self.recording.sessions();
        let lines = sessions.iter().map(|session| {
            let text = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
            let ended = if session.ended { "ended" } else { "open" };
            format!(
                "{} {} {} {} {} -> {} {}, {} calls, {} errors, {ended}",
                shown(Some(&session.session_id)),
                session.source,
                text(&session.protocol_version),
                text(&session.client_name),
                text(&session.client_version),
                text(&session.server_name),
                text(&session.server_version),
                session.total_calls,
                session.total_errors,
            )
        });
        lines.collect()
    }

    /// The rows, each with its place in its operation.
    pub(crate) fn legs(&self) -> Vec<String> {
        legs(&self.recording)
    }

    /// Compares all rows with a table written by hand.
    #[track_caller]
    pub(crate) fn assert_rows(&self, expected: &str) {
        let lines = expected.trim().lines();
        let expected: Vec<Vec<&str>> = lines
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        let headings = [&HEADINGS.map(str::to_owned)[..]];
        let actual = headings
            .into_iter()
            .chain(self.table.iter().map(Vec::as_slice));
        assert!(
            actual.eq(expected),
            "{:?}: these are the rows:\n{}",
            self.cut,
            aligned(&self.table)
        );
    }
}

const HEADINGS: [&str; 10] = [
    "exchange", "method", "aim", "http", "outcome", "in", "out", "session", "revision", "text",
];

/// Returns a row as the tables show it; `-` is NULL.
fn cells(name: &str, row: &Row) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or("-".to_owned());
    let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
    vec![
        name.to_owned(),
        row.method.clone(),
        text(&row.tool.clone().or(row.target.clone())),
        number(row.http_status.map(i64::from)),
        row.outcome(),
        number(row.bytes_in),
        number(row.bytes_out),
        shown(row.session_id.as_deref()),
        text(&row.protocol_version),
        beginning(&text(&row.error_msg)),
    ]
}

/// Returns as much of a text as fits into a table.
fn beginning(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    line.chars()
        .take(40)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// Returns the beginning of a session's id.
fn shown(session: Option<&str>) -> String {
    match session {
        None => "-".to_owned(),
        Some(id) if id.starts_with("derived:") => "derived".to_owned(),
        Some(id) => id.chars().take(8).collect(),
    }
}

fn aligned(table: &[Vec<String>]) -> String {
    let headings = HEADINGS.map(str::to_owned).to_vec();
    let lines: Vec<_> = [&headings].into_iter().chain(table).collect();
    let width = |column: usize| {
        let cells = lines.iter().filter(|line| line.len() > 2);
        let widths = cells.filter_map(|line| Some(line.get(column)?.chars().count()));
        widths.max().unwrap_or_default()
    };
    let mut text = String::new();
    for line in &lines {
        let cells = line.iter().enumerate();
        let cells: Vec<_> = cells
            .map(|(column, cell)| format!("{cell:<width$}", width = width(column)))
            .collect();
        text += cells.join(" | ").trim_end();
        text.push('\n');
    }
    text
}

impl Held {
    /// Sends more data of the server, which the client reads.
    pub(crate) fn send(&mut self, data: impl AsRef<[u8]>) {
        for frame in self.cut.frames(data.as_ref()) {
            let sent = self.sender.send(Bytes::copy_from_slice(frame));
            sent.expect("a client that reads");
        }
        assert!(!read_on(&mut self.body), "the body is not over");
    }

    /// Ends the body.
    pub(crate) fn end(mut self) {
        drop(self.sender);
        assert!(read_on(&mut self.body), "the body is over");
    }

    /// Makes the client leave.
    pub(crate) fn leave(self) {}
}

/// Reads all data. Returns whether the body has ended.
fn read_on(body: &mut StoreBody<Script>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match Pin::new(&mut *body).poll_frame(&mut context) {
            Poll::Ready(Some(frame)) => drop(frame.expect("a body that does not fail")),
            Poll::Ready(None) => return true,
            Poll::Pending => return false,
        }
    }
}
