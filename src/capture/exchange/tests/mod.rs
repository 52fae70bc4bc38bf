//! Tests of the state machine alone: facts go in, and the effects are compared.
//! There is no store and no file.

use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};
use http::{Request, StatusCode};

use super::*;
use crate::capture::config::Config;
use crate::capture::http::Headers;
use crate::capture::listing::Document;
use crate::capture::session::{ClientInfo, Known, Sessions};
use crate::store::CaptureCounters;
use crate::wire::Scanner;

mod legs;
mod life;
mod model;
mod sessions;

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

/// One exchange, and the state that a recorder would keep.
struct Machine {
    cx: Context,
    sessions: Sessions,
    exchange: Exchange,
}

fn header_map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    let headers = headers.iter();
    let headers = headers.map(|(name, value)| {
        let value = HeaderValue::from_static(value);
        (http::HeaderName::from_static(name), value)
    });
    headers.collect()
}

impl Machine {
    /// Makes an exchange of the session `s-1`.
    fn in_session() -> Self {
        Self::new(&[("mcp-session-id", "s-1")])
    }

    /// Makes an exchange of the session `s-1`, which this client began.
    fn in_session_of(client: Option<ClientInfo>) -> Self {
        Self::of(&[("mcp-session-id", "s-1")], client)
    }

    /// Makes an exchange whose request has these headers.
    fn new(headers: &[(&'static str, &'static str)]) -> Self {
        Self::of(headers, None)
    }

    fn of(headers: &[(&'static str, &'static str)], client: Option<ClientInfo>) -> Self {
        let cx = Context::new(Config::default(), Arc::new(CaptureCounters::default()));
        let sessions = Sessions::new(None);
        let (mut head, ()) = Request::post("/mcp").body(()).unwrap().into_parts();
        head.headers = header_map(headers);
        let read = Headers::of(&head.headers);
        let named = read.session_id.map(|id| Known {
            id: id.to_str().unwrap().into(),
            hash: 0,
            protocol_version: None,
            client: client.map(Arc::new),
        });
        let head = RequestContext::of(&cx, &sessions, &head, &read, named);
        cx.exchange_began();
        let exchange = Exchange::new(head);
        Self {
            cx,
            sessions,
            exchange,
        }
    }

    fn request(&self, body: &str) -> Vec<String> {
        let mut calls = Calls::new();
        Scanner::new().feed(body.as_bytes(), &mut |message| {
            let call = Call::new(message, &self.cx, &self.sessions, &self.exchange.head);
            calls.push(CallState::new(call));
        });
        words(|effects| self.exchange.requested(&self.cx, effects, &mut calls, None))
    }

    fn head(&self, status: u16, media: &'static str) -> Vec<String> {
        self.head_naming(status, media, None)
    }

    fn head_naming(&self, status: u16, media: &'static str, session: Option<&str>) -> Vec<String> {
        let headers = header_map(&[("content-type", media)]);
        let headers = Headers::of(&headers);
        let status = StatusCode::from_u16(status).unwrap();
        let named = session.map(Into::into);
        words(|effects| {
            self.exchange
                .answered(effects, status, &headers, false, named);
        })
    }

    /// Begins a stream with event ids.
    fn resumable_stream(&self) {
        assert_eq!(self.head(200, EVENTS), [""; 0]);
        self.exchange.resumable();
    }

    /// Reports a JSON-RPC response in a JSON body.
    fn answer(&self, body: &str) -> Option<Vec<String>> {
        let mut seen = None;
        let mut document = None;
        if self.exchange.awaits_listing() {
            Document::read(&mut document, &self.cx, 0, body.as_bytes());
        }
        Scanner::new().feed(body.as_bytes(), &mut |message| {
            let answer = Answer::of(message, self.exchange.begins_session()).unwrap();
            let mut answer = answer.with_listing(message, document.as_ref());
            let alone = !message.in_batch();
            let size = SizeRule::Json { alone };
            seen = words_if(|effects| {
                self.exchange
                    .answered_by(&self.cx, effects, &mut answer, size)
            });
        });
        seen
    }

    /// Reports a JSON-RPC response on a GET stream of the session.
    fn elsewhere(&self, body: &str, copy_use: CopyUse) -> Option<Vec<String>> {
        let mut seen = None;
        Scanner::new().feed(body.as_bytes(), &mut |message| {
            let mut answer = Answer::of(message, true).unwrap();
            let exchange = &self.exchange;
            seen = words_if(|effects| {
                exchange.answered_elsewhere(&self.cx, effects, &mut answer, copy_use, 99)
            });
        });
        seen
    }

    /// Reports this message of the server in its event stream.
    fn notified(&self, message: &str) -> Vec<String> {
        let mut notices = Vec::new();
        Scanner::new().feed(message.as_bytes(), &mut |message| {
            notices.extend(TaskNotice::of(message));
        });
        words(|effects| {
            self.exchange.tasks_notified(&self.cx, effects, notices);
        })
    }

    fn id(&self, id: u32) -> JsonId {
        let mut token = None;
        let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
        Scanner::new().feed(message.as_bytes(), &mut |message| token = message.id());
        token.unwrap()
    }

    fn cancelled(&self, id: u32, reason: &str) -> Option<Vec<String>> {
        let id = self.id(id);
        words_if(|effects| self.exchange.cancelled(&self.cx, effects, id, Some(reason)))
    }

    fn unread(&self, why: Unread) -> Vec<String> {
        words(|effects| self.exchange.unread(effects, why))
    }

    fn end(&self, end: HttpEnd) -> Vec<String> {
        words(|effects| self.exchange.end(&self.cx, effects, end))
    }

    fn give_up(&self) -> Vec<String> {
        words(|effects| self.exchange.give_up(&self.cx, effects))
    }

    fn session_over(&self) -> Vec<String> {
        words(|effects| self.exchange.session_over(&self.cx, effects))
    }
}

/// Returns the effects of a fact as words; for a row, its status and end reason.
fn words(fact: impl FnOnce(&mut Effects)) -> Vec<String> {
    let mut effects = Effects::default();
    fact(&mut effects);
    let finished = effects.finished.then(|| "finished".to_owned());
    let rows = effects.rows.iter().map(word_of_row);
    let words = effects.list.iter().map(word).chain(rows);
    words.chain(finished).collect()
}

/// Like [`words`], for a fact that the exchange may refuse. A refused fact has no
/// effect.
fn words_if(fact: impl FnOnce(&mut Effects) -> bool) -> Option<Vec<String>> {
    let mut taken = false;
    let words = words(|effects| taken = fact(effects));
    assert!(taken || words.is_empty(), "{words:?}");
    taken.then_some(words)
}

fn word_of_row(row: &Row) -> String {
    let reason = row.event.end_reason.map_or("", |reason| reason.as_str());
    let row = format!("row {} {reason}", row.event.status.as_str());
    row.trim_end().to_owned()
}

fn word(effect: &Effect) -> String {
    match effect {
        Effect::NoRow(why) => format!("no row, {why}"),
        Effect::Announce { server, .. } => match server {
            Some(server) => format!("announce {}", server.name.as_deref().unwrap_or("")),
            None => "announce".to_owned(),
        },
        Effect::Session { session, .. } => format!("session {}", session.id),
        Effect::SessionNamed(id) => format!("named {id}"),
        Effect::SessionNotFound(id) => format!("not found {id}"),
        Effect::Listing(_) => "listing".to_owned(),
        Effect::TaskStatus(event) => {
            let session = event.session_id.as_deref().unwrap_or("-");
            let (id, status) = (&event.task_id.text, event.status.as_str());
            format!("task {id} {status} {session}")
        }
        Effect::AwaitsListing => "awaits listing".to_owned(),
        Effect::Detach { .. } => "detach".to_owned(),
        Effect::Cancel { reason, .. } => {
            format!("cancel {}", reason.as_deref().unwrap_or(""))
        }
    }
}

/// No effect.
const NONE: [&str; 0] = [];
