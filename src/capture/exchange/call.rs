//! One JSON-RPC request while it is open, and the content of a response.

use std::borrow::Cow;

use uuid::Uuid;

use super::leg;
use super::outcome::Outcome;
use crate::capture::context::Context;
use crate::capture::http::{bounded, owned_bytes};
use crate::capture::listing::{Document, ListingCall, ListingResult};
use crate::capture::request_context::RequestContext;
use crate::capture::session::{CallSession, ClientInfo, ServerInfo, Sessions, protocol_version};
use crate::event::{EndReason, Leg, RequestStatus, Traceparent};
use crate::wire::method::{self, MirrorTarget, TargetKind};
use crate::wire::{Field, JsonId, Kind, Message};

/// Longest method, tool and target that are kept from a header, in characters.
const METHOD_CHARS: usize = 128;
const TOOL_CHARS: usize = 256;
const TARGET_CHARS: usize = 2048;

/// A request that has no row yet.
#[derive(Debug)]
pub(in crate::capture) struct Call {
    pub(in crate::capture) request_id: Uuid,
    /// `None` if only a header names the request.
    pub(in crate::capture) id: Option<JsonId>,
    pub(in crate::capture) method: Cow<'static, str>,
    pub(in crate::capture) tool: Option<Box<str>>,
    pub(in crate::capture) target: Option<Box<str>>,
    pub(in crate::capture) session: CallSession,
    pub(in crate::capture) protocol_version: Option<Cow<'static, str>>,
    pub(in crate::capture) modern: bool,
    pub(in crate::capture) traceparent: Option<Traceparent>,
    /// Length of the message itself, in bytes.
    pub(in crate::capture) len: u64,
    pub(in crate::capture) in_batch: bool,
    /// The client of an `initialize`.
    pub(in crate::capture) client: Option<Box<ClientInfo>>,
    /// The listing that it requests.
    pub(in crate::capture) listing: Option<Box<ListingCall>>,
    /// The parts of it that link it with its operation.
    pub(in crate::capture) leg: Option<Box<Leg>>,
    /// A copy of the answer, which passed on another stream while its own stream was
    /// still open. It counts only if its own stream ends without the answer.
    pub(in crate::capture) copy: Option<Box<AnswerCopy>>,
    /// The reason, once the client cancelled it.
    pub(in crate::capture) cancelled: Option<Box<str>>,
}

/// The states of a request: it waits, it is answered, and it is done once its row
/// is handed over. A request stays where it is while it is answered, because it takes
/// some hundred bytes.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all exchanges hold one request, which is not worth an allocation"
)]
pub(in crate::capture) enum CallState {
    /// There is no row yet.
    Open {
        call: Call,
        /// `None` while there is no answer. Once there is one, the row waits for the size
        /// of the body or the HTTP status.
        answer: Option<Outcome>,
    },
    /// The row was handed over.
    Done,
}

impl CallState {
    /// Returns a request that waits for its answer.
    pub(in crate::capture) fn new(call: Call) -> Self {
        Self::Open { call, answer: None }
    }

    /// Returns the request, unless it is done.
    pub(in crate::capture) fn call(&self) -> Option<&Call> {
        match self {
            Self::Open { call, .. } => Some(call),
            Self::Done => None,
        }
    }

    pub(in crate::capture) fn call_mut(&mut self) -> Option<&mut Call> {
        match self {
            Self::Open { call, .. } => Some(call),
            Self::Done => None,
        }
    }

    /// Returns the request if it waits for its answer.
    pub(in crate::capture) fn waiting(&self) -> Option<&Call> {
        match self {
            Self::Open { call, answer: None } => Some(call),
            Self::Open { .. } | Self::Done => None,
        }
    }

    pub(in crate::capture) fn waiting_mut(&mut self) -> Option<&mut Call> {
        match self {
            Self::Open { call, answer: None } => Some(call),
            Self::Open { .. } | Self::Done => None,
        }
    }

    /// Adds the answer to an open request, whose row has to wait.
    pub(in crate::capture) fn answered(&mut self, outcome: Outcome) {
        if let Self::Open { answer, .. } = self {
            *answer = Some(outcome);
        }
    }

    /// Returns the bytes that it holds on the heap.
    pub(in crate::capture) fn heap(&self) -> usize {
        match self {
            Self::Open { call, answer } => call.heap() + answer.as_ref().map_or(0, Outcome::heap),
            Self::Done => 0,
        }
    }
}

impl Call {
    pub(in crate::capture) fn new(
        message: &Message,
        cx: &Context,
        sessions: &Sessions,
        head: &RequestContext,
    ) -> Self {
        let (name, aim) = method::of(message);
        let initialize = name == method::INITIALIZE;
        let version = message.text(Field::MetaProtocolVersion);
        let modern = head.era.is_modern(version.is_some(), initialize);
        let session = if modern {
            sessions
                .derive(&head.caller, message)
                .map_or(CallSession::None, CallSession::Derived)
        } else {
            // The session comes from the response to an `initialize`, or from the GET stream.
            let session = head.session.as_ref();
            let session = session.filter(|session| !initialize || session.by_query);
            session
                .cloned()
                .map_or(CallSession::None, CallSession::Named)
        };
        let (mut tool, mut target) = (None, None);
        match aim.map(|(aimed, field)| (aimed, field, message.text(field))) {
            Some((TargetKind::Tool, _, name)) => tool = name.map(Into::into),
            Some((TargetKind::Target, Field::Uri | Field::RefUri, uri)) => {
                target = uri.map(|uri| cx.uri(uri));
            }
            Some((TargetKind::Target, _, name)) => target = name.map(Into::into),
            None => {}
        }
        let revision = version.and(Some(Field::MetaProtocolVersion));
        let cut = [Some(Field::Method), revision, aim.map(|(_, field)| field)];
        let cut = cut.into_iter().flatten();
        let cut = cut.filter(|field| message.was_cut(*field)).count();
        cx.count_truncated(cut);
        let listing = ListingCall::of(&name, message, cx);
        Self {
            request_id: Uuid::nil(),
            id: message.id(),
            leg: leg::of_request(&name, message),
            method: name,
            tool,
            target,
            session,
            protocol_version: match version {
                Some(version) => Some(protocol_version(version)),
                None => head.protocol_version.clone(),
            },
            modern,
            traceparent: message
                .text(Field::Traceparent)
                .and_then(|text| Traceparent::parse(text.as_bytes()))
                .or(head.traceparent),
            len: message.span().end - message.span().start,
            in_batch: message.in_batch(),
            client: initialize.then(|| Box::new(ClientInfo::of(message))),
            listing,
            copy: None,
            cancelled: None,
        }
    }

    /// Makes a request that is known only from the mirror headers.
    pub(in crate::capture) fn unread(
        request_id: Uuid,
        name: &str,
        aim: Option<&str>,
        cx: &Context,
        head: &RequestContext,
    ) -> Self {
        let (name, name_cut) = bounded(name, METHOD_CHARS);
        let mirrored = method::mirror_target(name);
        let limit = match mirrored {
            Some(MirrorTarget::Uri) => TARGET_CHARS,
            _ => TOOL_CHARS,
        };
        let aim = aim.filter(|_| mirrored.is_some());
        let aim = aim.map(|aim| bounded(aim, limit));
        let cut = name_cut || aim.is_some_and(|(_, cut)| cut);
        cx.count_truncated(cut.into());
        let (mut tool, mut target) = (None, None);
        match (mirrored, aim) {
            (Some(MirrorTarget::Tool), Some((aim, _))) => tool = Some(aim.into()),
            (Some(MirrorTarget::Uri), Some((aim, _))) => target = Some(cx.uri(aim)),
            (Some(MirrorTarget::Name), Some((aim, _))) => target = Some(aim.into()),
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
            traceparent: head.traceparent,
            len: 0,
            in_batch: false,
            client: None,
            listing: None,
            leg: None,
            copy: None,
            cancelled: None,
        }
    }

    /// Returns the bytes of memory that it takes.
    pub(in crate::capture) fn size(&self) -> usize {
        size_of::<Self>() + self.heap()
    }

    /// Returns the bytes that it holds on the heap, without the shared session.
    pub(in crate::capture) fn heap(&self) -> usize {
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
        let leg = self.leg.as_ref().map_or(0, |leg| leg.size());
        texts.chain(names).sum::<usize>() + copy + client + listing + leg
    }

    /// Returns whether an answer on another stream may be for this request.
    pub(in crate::capture) fn waits_elsewhere(&self, answer: &Answer) -> bool {
        let has_id = answer.id.is_some() && self.id == answer.id;
        has_id && !self.modern
    }

    /// Returns whether only a header names the request. No answer can be matched with
    /// such a request.
    pub(in crate::capture) fn is_unread(&self) -> bool {
        self.id.is_none()
    }

    pub(in crate::capture) fn is_listen(&self) -> bool {
        self.method == method::SUBSCRIPTIONS_LISTEN
    }
}

/// The content of a JSON-RPC response.
#[derive(Debug)]
pub(in crate::capture) struct Answer {
    /// `None` for an error that names no request.
    pub(in crate::capture) id: Option<JsonId>,
    pub(in crate::capture) outcome: Outcome,
    /// Length of the message itself.
    pub(in crate::capture) len: u64,
    pub(in crate::capture) server: Option<Box<ServerInfo>>,
    /// The result, if it may be a listing.
    pub(in crate::capture) found: Option<Box<ListingResult>>,
}

/// The remembered part of a copy of an answer. It does not keep a listing, which
/// can be large, because the case is rare.
#[derive(Debug)]
pub(in crate::capture) struct AnswerCopy {
    pub(in crate::capture) outcome: Outcome,
    pub(in crate::capture) server: Option<Box<ServerInfo>>,
}

impl AnswerCopy {
    /// Returns the bytes of memory that it takes.
    pub(in crate::capture) fn size(&self) -> usize {
        let server = self.server.as_ref().map_or(0, |server| server.size());
        size_of::<Self>() + self.outcome.heap() + server
    }
}

impl Answer {
    /// Returns the bytes of memory that it takes, without `found`.
    pub(in crate::capture) fn size(&self) -> usize {
        let server = self.server.as_ref().map_or(0, |server| server.size());
        size_of::<Self>() + self.outcome.heap() + server
    }

    /// Returns the content of a response; `None` for any other message: a notification
    /// or a request of the server.
    ///
    /// It reads the server's description of itself only if `with_server` is set.
    /// [`with_listing`](Self::with_listing) adds a listing.
    pub(in crate::capture) fn of(message: &Message, with_server: bool) -> Option<Self> {
        let (id, outcome) = match message.kind() {
            Kind::Success => {
                let end_reason = match message.text(Field::ResultType) {
                    Some("input_required") => Some(EndReason::InputRequired),
                    Some("task") => Some(EndReason::Task),
                    _ if message.is_object(Field::Task) => Some(EndReason::Task),
                    _ => None,
                };
                let mut outcome = Outcome::new(RequestStatus::Ok, end_reason);
                outcome.tool_error = message.is_error();
                if outcome.tool_error {
                    outcome.error_msg = message.text(Field::ContentText).map(Into::into);
                }
                outcome.leg = leg::of_result(message, end_reason);
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

    /// Adds the position of its result in the document, if the document is copied.
    pub(in crate::capture) fn with_listing(
        mut self,
        message: &Message,
        document: Option<&Document>,
    ) -> Self {
        self.found = ListingResult::of(message, document);
        self
    }
}
