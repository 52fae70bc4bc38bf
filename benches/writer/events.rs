//! The events of the traffic.

use std::sync::Arc;

use tower_mcp_store::{EndReason, RequestEvent, RequestStatus, SessionEvent, StoreEvent};
use uuid::Uuid;

use crate::load::{self, Call};

/// What the layer holds once and shares with every event.
#[derive(Clone)]
pub(crate) struct Shared {
    proxy: Arc<str>,
    sessions: Arc<[Arc<str>]>,
}

impl Shared {
    pub(crate) fn new(sessions: usize) -> Self {
        Self {
            proxy: load::PROXY.into(),
            sessions: (0..sessions).map(|n| load::session_id(n).into()).collect(),
        }
    }

    pub(crate) fn sessions(&self) -> impl Iterator<Item = StoreEvent> {
        self.sessions.iter().enumerate().map(|(n, id)| {
            let (name, version) = load::CLIENTS[n % load::CLIENTS.len()];
            let mut event = SessionEvent::new(Arc::clone(id));
            event.proxy = Arc::clone(&self.proxy);
            event.started_at = *load::START;
            event.client_name = Some(name.into());
            event.client_version = Some(version.into());
            event.protocol_version = Some(load::PROTOCOL.into());
            StoreEvent::Session(event)
        })
    }

    pub(crate) fn request(&self, call: Call) -> RequestEvent {
        let status = match call.error {
            Some(_) => RequestStatus::Error,
            None if call.cancelled => RequestStatus::Timeout,
            None => RequestStatus::Ok,
        };
        let mut event = RequestEvent::new(call.method, status);
        event.request_id = Uuid::from_u128(call.id);
        event.ts = call.ts;
        event.proxy = Arc::clone(&self.proxy);
        event.session_id = Some(Arc::clone(&self.sessions[call.session]));
        event.tool = call.tool.map(Into::into);
        event.target = call.target.map(Into::into);
        event.latency_us = call.latency_us;
        event.ttfb_us = Some(call.ttfb_us);
        event.error_code = call.error.map(|(code, _)| code.into());
        event.error_msg = call.error.map(|(_, text)| text.into());
        event.bytes_in = Some(call.bytes_in);
        event.bytes_out = Some(call.bytes_out);
        event.http_status = Some(200);
        event.tool_error = call.tool_error;
        event.end_reason = call.cancelled.then_some(EndReason::Cancelled);
        event.protocol_version = Some(load::PROTOCOL.into());
        event
    }

    pub(crate) fn requests(&self) -> impl Iterator<Item = StoreEvent> + '_ {
        load::calls(self.sessions.len()).map(|call| StoreEvent::Request(self.request(call)))
    }
}
