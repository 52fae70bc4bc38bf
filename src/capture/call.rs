//! One JSON-RPC request while it is open, and what a response says of it.

use std::borrow::Cow;
use std::sync::Arc;

use uuid::Uuid;

use super::head::{NamedSession, RequestHead};
use super::headers::{bounded, owned_bytes};
use super::listing::{Found, ListingCall};
use super::recorder::Recorder;
use super::session::{ClientInfo, Derived, protocol_version};
use crate::event::{EndReason, RequestStatus, TraceId};
use crate::wire::method::{self, Aimed, Mirrored};
use crate::wire::{Field, Kind, Message, Token};

/// Longest method, tool and target that are kept of a header, in characters.
const METHOD_CHARS: usize = 128;
const TOOL_CHARS: usize = 256;
const TARGET_CHARS: usize = 2048;

/// A request that has no row yet.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) request_id: Uuid,
    /// Absent where only a header names the request.
    pub(super) id: Option<Token>,
    pub(super) method: Cow<'static, str>,
    pub(super) tool: Option<Box<str>>,
    pub(super) target: Option<Box<str>>,
    pub(super) session: CallSession,
    pub(super) protocol_version: Option<Cow<'static, str>>,
    pub(super) modern: bool,
    pub(super) trace_id: Option<TraceId>,
    /// Length of the message itself, in bytes.
    pub(super) len: u64,
    pub(super) in_batch: bool,
    /// Who initializes.
    pub(super) client: Option<Box<ClientInfo>>,
    /// What it asks the server about itself.
    pub(super) listing: Option<Box<ListingCall>>,
    pub(super) outcome: Option<Outcome>,
    /// A copy of the answer, which passed on another stream while the own one was
    /// still open. It counts only if that ends without the answer.
    pub(super) copy: Option<Box<AnswerCopy>>,
    /// The client cancelled it, and said why.
    pub(super) cancelled: Option<Box<str>>,
}

/// The session that a request belongs to.
#[derive(Debug, Clone)]
pub(super) enum CallSession {
    None,
    Named(NamedSession),
    Derived(Arc<Derived>),
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) status: RequestStatus,
    pub(super) error_code: Option<Box<str>>,
    pub(super) error_msg: Option<Box<str>>,
    pub(super) tool_error: bool,
    pub(super) end_reason: Option<EndReason>,
    pub(super) latency_us: u64,
    pub(super) bytes_out: BytesOut,
}

/// How the size of a response is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BytesOut {
    /// There is no response, or its size is not known.
    None,
    Exactly(u64),
    /// The whole body, known when it is over.
    Body,
}

impl Outcome {
    /// The bytes that it holds elsewhere.
    pub(super) fn heap(&self) -> usize {
        let texts = [&self.error_code, &self.error_msg].into_iter().flatten();
        texts.map(|text| text.len()).sum()
    }

    pub(super) fn new(status: RequestStatus, end_reason: Option<EndReason>) -> Self {
        Self {
            status,
            error_code: None,
            error_msg: None,
            tool_error: false,
            end_reason,
            latency_us: 0,
            bytes_out: BytesOut::None,
        }
    }
}

impl Call {
    pub(super) fn new(message: &Message, recorder: &Recorder, head: &RequestHead) -> Self {
        let (name, aim) = method::of(message);
        let initialize = name == method::INITIALIZE;
        let version = message.text(Field::MetaProtocolVersion);
        let modern = head.era.is_modern(version.is_some(), initialize);
        let session = if modern {
            recorder
                .sessions
                .derive(head, message)
                .map_or(CallSession::None, CallSession::Derived)
        } else {
            // That of an `initialize` is named by the response, or was on the GET stream.
            let session = head.session.as_ref();
            let session = session.filter(|session| !initialize || session.by_query);
            session
                .cloned()
                .map_or(CallSession::None, CallSession::Named)
        };
        let (mut tool, mut target) = (None, None);
        match aim.map(|(aimed, field)| (aimed, field, message.text(field))) {
            Some((Aimed::Tool, _, name)) => tool = name.map(Into::into),
            Some((Aimed::Target, Field::Uri | Field::RefUri, uri)) => {
                target = uri.map(|uri| recorder.uri(uri));
            }
            Some((Aimed::Target, _, name)) => target = name.map(Into::into),
            None => {}
        }
        let revision = version.and(Some(Field::MetaProtocolVersion));
        let cut = [Some(Field::Method), revision, aim.map(|(_, field)| field)];
        let cut = cut.into_iter().flatten();
        let cut = cut.filter(|field| message.was_cut(*field)).count();
        recorder.count_truncated(cut);
        Self {
            request_id: Uuid::nil(),
            id: message.id(),
            method: name,
            tool,
            target,
            session,
            protocol_version: match version {
                Some(version) => Some(protocol_version(version)),
                None => head.protocol_version.clone(),
            },
            modern,
            trace_id: message
                .text(Field::Traceparent)
                .and_then(|text| TraceId::from_traceparent(text.as_bytes()))
                .or(head.trace_id),
            len: message.span().end - message.span().start,
            in_batch: message.in_batch(),
            client: initialize.then(|| Box::new(ClientInfo::of(message))),
            listing: ListingCall::of(message, recorder),
            outcome: None,
            copy: None,
            cancelled: None,
        }
    }

    /// A request that only the mirror headers tell of.
    pub(super) fn unread(
        request_id: Uuid,
        name: &str,
        aim: Option<&str>,
        recorder: &Recorder,
        head: &RequestHead,
    ) -> Self {
        let (name, name_cut) = bounded(name, METHOD_CHARS);
        let mirrored = method::mirrored(name);
        let limit = match mirrored {
            Some(Mirrored::Uri) => TARGET_CHARS,
            _ => TOOL_CHARS,
        };
        let aim = aim.filter(|_| mirrored.is_some());
        let aim = aim.map(|aim| bounded(aim, limit));
        let cut = name_cut || aim.is_some_and(|(_, cut)| cut);
        recorder.count_truncated(cut.into());
        let (mut tool, mut target) = (None, None);
        match (mirrored, aim) {
            (Some(Mirrored::Tool), Some((aim, _))) => tool = Some(aim.into()),
            (Some(Mirrored::Uri), Some((aim, _))) => target = Some(recorder.uri(aim)),
            (Some(Mirrored::Name), Some((aim, _))) => target = Some(aim.into()),
            _ => {}
        }
        Self {
            request_id,
            id: None,
            method: method::intern(name),
            tool,
            target,
            session: match &head.session {
                Some(session) if !head.is_modern() => CallSession::Named(session.clone()),
                _ => CallSession::None,
            },
            protocol_version: head.protocol_version.clone(),
            modern: head.is_modern(),
            trace_id: head.trace_id,
            len: 0,
            in_batch: false,
            client: None,
            listing: None,
            outcome: None,
            copy: None,
            cancelled: None,
        }
    }

    /// The bytes of memory that it takes.
    pub(super) fn size(&self) -> usize {
        size_of::<Self>() + self.heap()
    }

    /// The bytes that it holds elsewhere; its session is not its own.
    pub(super) fn heap(&self) -> usize {
        let outcome = self.outcome.as_ref().map_or(0, Outcome::heap);
        let copy = self.copy.as_ref().map_or(0, |copy| copy.size());
        let texts = [&self.tool, &self.target, &self.cancelled];
        let texts = texts.into_iter().flatten().map(|text| text.len());
        let names = [Some(&self.method), self.protocol_version.as_ref()];
        let names = names.into_iter().map(owned_bytes);
        let client = self.client.as_ref().map_or(0, |client| client.bytes());
        let listing = self
            .listing
            .as_ref()
            .map_or(0, |_| size_of::<ListingCall>());
        texts.chain(names).sum::<usize>() + outcome + copy + client + listing
    }

    /// Whether it is one that an answer on another stream may be for.
    pub(super) fn waits_elsewhere(&self, answer: &Answer) -> bool {
        let has_id = answer.id.is_some() && self.id == answer.id;
        has_id && self.outcome.is_none() && !self.modern
    }

    /// Whether only a header names it: no answer can be matched with it.
    pub(super) fn is_unread(&self) -> bool {
        self.id.is_none()
    }

    pub(super) fn is_listen(&self) -> bool {
        self.method == method::SUBSCRIPTIONS_LISTEN
    }
}

/// What a JSON-RPC response says.
#[derive(Debug)]
pub(super) struct Answer {
    /// Absent for an error that names no request.
    pub(super) id: Option<Token>,
    pub(super) outcome: Outcome,
    /// Length of the message itself.
    pub(super) len: u64,
    pub(super) server: Option<Box<ServerInfo>>,
    /// The result, where it may be a listing.
    pub(super) found: Option<Box<Found>>,
}

/// What is remembered of a copy of an answer. A listing in it is not kept: it can be
/// large, and the case is rare.
#[derive(Debug)]
pub(super) struct AnswerCopy {
    pub(super) outcome: Outcome,
    pub(super) server: Option<Box<ServerInfo>>,
}

impl AnswerCopy {
    /// The bytes of memory that it takes.
    pub(super) fn size(&self) -> usize {
        let server = self.server.as_ref().map_or(0, |server| server.size());
        size_of::<Self>() + self.outcome.heap() + server
    }
}

/// A JSON-RPC error that is the whole body of an HTTP error and names no request of
/// the exchange, or that is the whole body of any answer and names none at all: it
/// refuses all of them.
#[derive(Debug, Clone)]
pub(super) struct Refusal {
    outcome: Outcome,
    /// Length of the message itself.
    len: u64,
}

impl Refusal {
    pub(super) fn of(answer: &Answer) -> Box<Self> {
        Box::new(Self {
            outcome: answer.outcome.clone(),
            len: answer.len,
        })
    }

    /// What it makes of a request, but for the latency.
    pub(super) fn outcome(&self, call: &Call) -> Outcome {
        let mut outcome = self.outcome.clone();
        outcome.bytes_out = match call.in_batch {
            true => BytesOut::Exactly(self.len),
            false => BytesOut::Body,
        };
        outcome
    }
}

/// What a result says of the server, for the session that it begins.
#[derive(Debug, Clone)]
pub(super) struct ServerInfo {
    pub(super) name: Option<Box<str>>,
    pub(super) version: Option<Box<str>>,
    pub(super) protocol_version: Option<Cow<'static, str>>,
    /// How many of these were cut.
    pub(super) cut: usize,
}

impl ServerInfo {
    /// The bytes of memory that it takes.
    fn size(&self) -> usize {
        let texts = [&self.name, &self.version].into_iter().flatten();
        let texts = texts.map(|text| text.len()).sum::<usize>();
        size_of::<Self>() + texts + owned_bytes(self.protocol_version.as_ref())
    }

    fn of(message: &Message) -> Self {
        let revision = Field::ResultProtocolVersion;
        let mut cut = usize::from(message.was_cut(revision));
        let name = [Field::ServerName, Field::MetaServerName];
        let version = [Field::ServerVersion, Field::MetaServerVersion];
        Self {
            name: text(message, name, &mut cut),
            version: text(message, version, &mut cut),
            protocol_version: message.text(revision).map(protocol_version),
            cut,
        }
    }
}

impl Answer {
    /// The bytes of memory that it takes, but for where a listing lies.
    pub(super) fn size(&self) -> usize {
        let server = self.server.as_ref().map_or(0, |server| server.size());
        size_of::<Self>() + self.outcome.heap() + server
    }

    /// `None` for whatever is no response: a notification, a request of the server's.
    ///
    /// What it says of the server is read only where that is wanted, and a
    /// listing is added by [`with_listing`](Self::with_listing).
    pub(super) fn of(message: &Message, with_server: bool) -> Option<Self> {
        let (id, outcome) = match message.kind() {
            Kind::Success => {
                let end_reason = match message.text(Field::ResultType) {
                    Some("input_required") => Some(EndReason::InputRequired),
                    Some("task") => Some(EndReason::Task),
                    _ if message.has_task() => Some(EndReason::Task),
                    _ => None,
                };
                let mut outcome = Outcome::new(RequestStatus::Ok, end_reason);
                outcome.tool_error = message.is_error();
                (Some(message.id()?), outcome)
            }
            Kind::Failure => {
                let id = message.id();
                if id.is_none() && !message.id_is_null_or_absent() {
                    return None;
                }
                let mut outcome = Outcome::new(RequestStatus::Error, None);
                outcome.error_code = message.text(Field::ErrorCode).map(Into::into);
                outcome.error_msg = message.text(Field::ErrorMessage).map(Into::into);
                (id, outcome)
            }
            Kind::Request | Kind::Notification | Kind::Other => return None,
        };
        let server = (id.is_some() && with_server).then(|| Box::new(ServerInfo::of(message)));
        Some(Self {
            id,
            outcome,
            len: message.span().end - message.span().start,
            server,
            found: None,
        })
    }
}

/// The first of these fields that is there; adds to `cut` if it was.
pub(super) fn text<const N: usize>(
    message: &Message,
    fields: [Field; N],
    cut: &mut usize,
) -> Option<Box<str>> {
    let (field, text) = fields
        .into_iter()
        .find_map(|field| Some((field, message.text(field)?)))?;
    *cut += usize::from(message.was_cut(field));
    Some(text.into())
}
