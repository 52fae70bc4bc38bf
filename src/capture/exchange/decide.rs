//! Decides the outcome of a request without a JSON-RPC response, and of a stream
//! whose end is the response. It keeps no state.
//!
//! If several reasons apply, the row has the first of: its response, a
//! cancellation, a panic, a failure of the service or the body, the HTTP status, a
//! caller that left.

use http::StatusCode;

use super::call::{Answer, Call};
use super::leg;
use super::outcome::{BytesOut, Outcome};
use crate::capture::http::Failure;
use crate::event::{EndReason, RequestStatus};

/// The code with which the Python SDK answers a cancelled request, in order to end
/// its stream.
const REQUEST_CANCELLED: &str = "-32800";

/// How the HTTP part of an exchange ended. Together with the response head, it
/// decides the [`Outcome`] of each request without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::capture) enum HttpEnd {
    /// The response body came to its end.
    Complete,
    /// The response body failed midway.
    BodyFailed,
    /// The inner service returned an error.
    ServiceFailed(Failure),
    /// The inner service, or its response body, panicked.
    Panicked,
    /// The caller dropped the future or the response body.
    Dropped,
    /// The request body failed, and the response body then failed or was dropped: the
    /// caller's connection broke. A proxy behaves like this if its client disconnects
    /// within a request.
    CallerGone,
    /// The store is shutting down.
    Shutdown,
    /// The answer was expected on another stream, and did not come.
    Detached,
}

/// The relevant parts of a response head.
#[derive(Debug, Clone)]
pub(in crate::capture) struct ResponseHead {
    pub(in crate::capture) status: StatusCode,
    pub(in crate::capture) ttfb_us: u64,
    /// The body is compressed, and the answer may be in a part that was not read.
    pub(in crate::capture) opaque: bool,
    pub(in crate::capture) event_stream: bool,
    /// The stream gave an event an id, so a client can resume it.
    pub(in crate::capture) resumable: bool,
    /// The beginning of an error body that is plain text.
    pub(in crate::capture) text: Option<Box<str>>,
    pub(in crate::capture) refusal: Option<Box<Refusal>>,
}

impl ResponseHead {
    pub(in crate::capture) fn is_error(&self) -> bool {
        // A status of 600 or more has no class, but clients treat it as an error.
        self.status.as_u16() >= 400
    }
}

/// A JSON-RPC error that refuses all requests of the exchange. It is the whole body
/// of an HTTP error and names no request of the exchange, or it is the whole body
/// of any response and names no request at all.
#[derive(Debug, Clone)]
pub(in crate::capture) struct Refusal {
    outcome: Outcome,
    /// Length of the message itself.
    len: u64,
}

impl Refusal {
    pub(in crate::capture) fn of(answer: &Answer) -> Box<Self> {
        Box::new(Self {
            outcome: answer.outcome.clone(),
            len: answer.len,
        })
    }

    /// Returns the outcome of a refused request, except for its latency.
    pub(in crate::capture) fn outcome(&self, call: &Call) -> Outcome {
        let mut outcome = self.outcome.clone();
        outcome.bytes_out = match call.in_batch {
            true => BytesOut::Exactly(self.len),
            false => BytesOut::Body,
        };
        outcome
    }
}

/// Returns the outcome of a request without a response, except for its latency.
pub(in crate::capture) fn unanswered(
    end: &HttpEnd,
    response: Option<&ResponseHead>,
    call: &Call,
) -> Outcome {
    use EndReason as End;
    use RequestStatus::{Error, Ok, Timeout};

    if let Some(refusal) = response.and_then(|response| response.refusal.as_ref()) {
        return answered(call, refusal.outcome(call));
    }
    if let Some(reason) = &call.cancelled {
        return cancelled(reason);
    }
    let broken = matches!(
        end,
        HttpEnd::Panicked | HttpEnd::BodyFailed | HttpEnd::CallerGone
    );
    if let Some(response) = response.filter(|_| !broken) {
        if response.is_error() {
            return http_error(response);
        }
        if response.status.is_redirection() {
            return Outcome::new(Error, Some(End::Redirected));
        }
    }
    match end {
        HttpEnd::Panicked => Outcome::new(Error, Some(End::Panic)),
        HttpEnd::ServiceFailed(failure) => {
            let status = if failure.timed_out { Timeout } else { Error };
            let mut outcome = Outcome::new(status, Some(End::ServiceError));
            outcome.error_msg = failure.text.clone();
            outcome
        }
        HttpEnd::BodyFailed => Outcome::new(Error, Some(End::BodyError)),
        HttpEnd::Shutdown => Outcome::new(Error, Some(End::Shutdown)),
        HttpEnd::Detached => Outcome::new(Timeout, Some(End::Detached)),
        // A listen stream ends only when one side closes it.
        HttpEnd::Complete | HttpEnd::Dropped if call.is_listen() && response.is_some() => {
            Outcome::new(Ok, Some(End::StreamEnd))
        }
        HttpEnd::Dropped | HttpEnd::CallerGone if call.modern => {
            Outcome::new(Error, Some(End::Cancelled))
        }
        HttpEnd::Dropped | HttpEnd::CallerGone => Outcome::new(Error, Some(End::ClientGone)),
        HttpEnd::Complete => match response {
            Some(response) if response.opaque || call.is_unread() => {
                let mut outcome = Outcome::new(Ok, Some(End::Opaque));
                outcome.bytes_out = opaque_bytes(response);
                outcome
            }
            _ => Outcome::new(Error, Some(End::NoResponse)),
        },
    }
}

/// Returns the outcome of a cancelled request. Clients report a time-out only in
/// the reason text, because there is no code for it.
fn cancelled(reason: &str) -> Outcome {
    let words = reason.to_ascii_lowercase();
    let time_out = ["timeout", "time-out", "time out", "timed out", "deadline"];
    let status = match time_out.iter().any(|word| words.contains(word)) {
        true => RequestStatus::Timeout,
        false => RequestStatus::Error,
    };
    let mut outcome = Outcome::new(status, Some(EndReason::Cancelled));
    outcome.error_msg = (!reason.is_empty()).then(|| reason.into());
    outcome
}

fn http_error(response: &ResponseHead) -> Outcome {
    let status = match response.status {
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => RequestStatus::Timeout,
        _ => RequestStatus::Error,
    };
    if response.opaque {
        let mut outcome = Outcome::new(status, Some(EndReason::Opaque));
        outcome.bytes_out = opaque_bytes(response);
        return outcome;
    }
    let mut outcome = Outcome::new(status, None);
    outcome.error_msg = match &response.text {
        Some(text) => Some(text.clone()),
        None => response.status.canonical_reason().map(Into::into),
    };
    outcome.bytes_out = BytesOut::Body;
    outcome
}

/// Returns the size of a body that was not decoded. The body of a stream may hold
/// more than the response.
fn opaque_bytes(response: &ResponseHead) -> BytesOut {
    if response.event_stream {
        BytesOut::None
    } else {
        BytesOut::Body
    }
}

/// Returns the outcome of an answered request. The result of `subscriptions/listen`
/// is the end of its stream, and an error that says "cancelled" is not a failure.
pub(in crate::capture) fn answered(call: &Call, mut outcome: Outcome) -> Outcome {
    if call.is_listen() && outcome.status == RequestStatus::Ok {
        outcome.end_reason = Some(EndReason::StreamEnd);
    }
    leg::fit(&call.method, &mut outcome);
    match &call.cancelled {
        Some(reason) if outcome.error_code.as_deref() == Some(REQUEST_CANCELLED) => {
            let bytes_out = outcome.bytes_out;
            Outcome {
                bytes_out,
                latency_us: outcome.latency_us,
                ..cancelled(reason)
            }
        }
        _ => outcome,
    }
}

/// Returns the outcome of a request whose answer came on another stream than its
/// own. A cancellation, or an operation that continues, takes precedence.
pub(in crate::capture) fn resumed(mut outcome: Outcome) -> Outcome {
    use EndReason as End;

    match outcome.end_reason {
        Some(End::Cancelled | End::InputRequired | End::Task) => {}
        _ => outcome.end_reason = Some(End::Resumed),
    }
    outcome
}
