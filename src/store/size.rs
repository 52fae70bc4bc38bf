use std::borrow::Cow;

use crate::event::{
    RequestEvent, RpcId, SchemaVersionEvent, SessionEvent, StoreEvent, TaskOutcome, TaskStatusEvent,
};

/// Returns about how many bytes of memory an event holds, including its texts.
///
/// A text that several events share counts for each of them. So the bound of the
/// queue may be reached too early, but never too late.
pub(super) fn size(event: &StoreEvent) -> usize {
    let texts = match event {
        StoreEvent::Request(event) => request(event),
        StoreEvent::Session(event) => session(event),
        StoreEvent::SessionClosed {
            session_id,
            ended_at: _,
        } => session_id.len(),
        StoreEvent::SchemaVersion(event) => schema_version(event),
        StoreEvent::SchemaStale {
            ts: _,
            proxy,
            upstream_url,
            method,
        } => proxy.len() + upstream_url.len() + method.len(),
        StoreEvent::TaskStatus(event) => task_status(event),
    };
    size_of::<StoreEvent>() + texts
}

fn len<T: AsRef<str>>(text: &Option<T>) -> usize {
    text.as_ref().map_or(0, |text| text.as_ref().len())
}

// The patterns below have no `..`, so that the compiler reports a new field.

fn request(event: &RequestEvent) -> usize {
    let RequestEvent {
        request_id: _,
        ts: _,
        proxy,
        session_id,
        method,
        tool,
        target,
        latency_us: _,
        status: _,
        error_code,
        error_msg,
        bytes_in: _,
        bytes_out: _,
        http_status: _,
        tool_error: _,
        end_reason: _,
        ttfb_us: _,
        protocol_version,
        principal,
        trace_id: _,
        parent_span_id: _,
        rpc_id,
        leg,
    } = event;
    let method = match method {
        Cow::Borrowed(_) => 0,
        Cow::Owned(method) => method.capacity(),
    };
    method
        + proxy.len()
        + len(session_id)
        + len(tool)
        + len(target)
        + len(error_code)
        + len(error_msg)
        + len(protocol_version)
        + len(principal)
        + leg.as_ref().map_or(0, |leg| leg.size())
        + rpc_id.as_ref().map_or(0, RpcId::heap)
}

fn session(event: &SessionEvent) -> usize {
    let SessionEvent {
        session_id,
        proxy,
        started_at: _,
        client_name,
        client_version,
        client_platform,
        source: _,
        protocol_version,
        server_name,
        server_version,
        caller: _,
    } = event;
    session_id.len()
        + proxy.len()
        + len(client_name)
        + len(client_version)
        + len(client_platform)
        + len(protocol_version)
        + len(server_name)
        + len(server_version)
}

fn schema_version(event: &SchemaVersionEvent) -> usize {
    let SchemaVersionEvent {
        ts: _,
        proxy,
        upstream_url,
        method,
        payload,
        content_hash,
    } = event;
    proxy.len() + upstream_url.len() + method.len() + payload.len() + content_hash.len()
}

fn task_status(event: &TaskStatusEvent) -> usize {
    let TaskStatusEvent {
        ts: _,
        proxy,
        session_id,
        caller: _,
        task_id,
        status: _,
        outcome,
    } = event;
    proxy.len() + len(session_id) + task_id.heap() + outcome.as_ref().map_or(0, TaskOutcome::heap)
}
