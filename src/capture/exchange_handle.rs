//! The handle with which the observers of bodies report to an exchange.

use std::sync::Arc;

use http::{StatusCode, request};

use super::context::Context;
use super::exchange::{Calls, Effects, Exchange, HttpEnd};
use super::http::Headers;
use super::recorder::Recorder;
use super::registry::Registered;
use crate::wire::Scanner;

/// An open exchange, and the recorder that carries out its effects. The exchange
/// does not hold its recorder, because the recorder may hold the exchange.
#[derive(Clone)]
pub(super) struct ExchangeHandle {
    pub(super) recorder: Arc<Recorder>,
    pub(super) registered: Registered<Exchange>,
}

impl ExchangeHandle {
    /// Opens an exchange, which stays registered until its effects say that it is over.
    pub(super) fn begin(
        recorder: Arc<Recorder>,
        head: &request::Parts,
        headers: &Headers<'_>,
    ) -> Self {
        let registered = recorder.begin(head, headers);
        Self {
            recorder,
            registered,
        }
    }

    pub(super) fn exchange(&self) -> &Exchange {
        &self.registered.exchange
    }

    pub(super) fn cx(&self) -> &Context {
        &self.recorder.cx
    }

    /// Reports a fact to the exchange, and carries out its effects.
    pub(super) fn report<T>(&self, fact: impl FnOnce(&Exchange, &Context, &mut Effects) -> T) -> T {
        self.recorder.report(&self.registered, None, fact)
    }

    pub(super) fn end(&self, end: HttpEnd) {
        self.report(|exchange, cx, effects| exchange.end(cx, effects, end));
    }

    /// Reports the requests of the request body, once it was read. Takes `calls`.
    pub(super) fn requested(&self, calls: &mut Calls, scanner: Option<Box<Scanner>>) {
        let Self {
            recorder,
            registered,
        } = self;
        let needs_index = registered.slot.needs_index(calls.len());
        self.report(|exchange, cx, effects| exchange.requested(cx, effects, calls, scanner));
        if needs_index {
            recorder.index(registered);
        }
    }

    /// Reports the response head. Returns the scanner of the request, which then reads
    /// the response body.
    pub(super) fn answered(
        &self,
        status: StatusCode,
        headers: &Headers<'_>,
        opaque: bool,
    ) -> Option<Box<Scanner>> {
        let exchange = self.exchange();
        let initializes =
            status.is_success() && exchange.begins_session() && exchange.initializes();
        let named = initializes.then(|| self.recorder.session_in_header(headers));
        let named = named.flatten().map(|known| known.id);
        self.report(|exchange, _, effects| {
            exchange.answered(effects, status, headers, opaque, named)
        })
    }
}
