//! Sends the Rust servers requests in all the forms of `tests/interop/forms.json`. Compares what
//! the servers executed with what the layer recorded. `tests/interop/forms.py` does the same with
//! servers in other languages.

mod servers;
mod table;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::BodyExt;
use servers::Server;
use table::{Form, Numbers};
use tower::ServiceExt;

use crate::recording::{Recording, Row};

/// The protocol that a client speaks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Session,
    Sessionless,
    Modern,
}

/// A client that sends the given bytes unchanged.
struct Client {
    server: axum::Router,
    headers: HeaderMap,
    way: Way,
}

impl Client {
    async fn connect(server: axum::Router, way: Way) -> Self {
        let mut headers = HeaderMap::new();
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        set("host", "localhost");
        set("content-type", "application/json");
        set("accept", "application/json, text/event-stream");
        if way == Way::Modern {
            set("mcp-protocol-version", "2026-07-28");
            set("mcp-method", "tools/call");
            set("mcp-name", "count");
        }
        let mut client = Self {
            server,
            headers,
            way,
        };
        if way == Way::Session {
            let initialize = r#"{"jsonrpc":"2.0","id":"initialize","method":"initialize","params":
                {"protocolVersion":"2025-03-26","capabilities":{},"clientInfo":{"name":"forms","version":"1"}}}"#;
            let answer = client.post(&client.headers, initialize.into()).await;
            let session = answer.headers()["mcp-session-id"].clone();
            client.headers.insert("mcp-session-id", session);
            let version = HeaderValue::from_static("2025-03-26");
            client.headers.insert("mcp-protocol-version", version);
            let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
            client.post(&client.headers, initialized.into()).await;
        }
        client
    }

    /// Sends a request and reads its answer to the end.
    async fn post(&self, headers: &HeaderMap, body: Vec<u8>) -> Response<()> {
        let mut request = Request::post("/mcp");
        *request.headers_mut().unwrap() = headers.clone();
        let request = request.body(Body::from(body)).unwrap();
        let (head, body) = self
            .server
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .into_parts();
        body.collect().await.unwrap();
        Response::from_parts(head, ())
    }

    async fn send(&self, form: &Form, numbers: &mut Numbers) {
        let mut headers = self.headers.clone();
        form.set_headers(&mut headers);
        let body = form.body(self.way == Way::Modern, numbers);
        self.post(&headers, body).await;
    }
}

/// Returns what is wrong with the rows of a form, if anything.
fn fault(form: &Form, executed: u64, rows: &[Row], unidentified: u64) -> Option<String> {
    let is_call = |row: &&Row| row.method == "tools/call" && row.tool.as_deref() == Some("count");
    let answered: Vec<_> = rows
        .iter()
        .filter(is_call)
        .filter(|row| row.status == "ok")
        .collect();
    let ends = |row: &&Row| match row.end_reason.as_deref() {
        None => true,
        Some(reason) => form.unreadable && reason == "opaque",
    };
    let is_told = match executed {
        0 => answered.is_empty() && unidentified <= 1,
        _ if form.unreadable && rows.is_empty() => unidentified == 1,
        _ => {
            let expected = executed - form.unanswered.min(executed)..=executed;
            expected.contains(&(answered.len() as u64))
                && answered.iter().all(ends)
                && unidentified == 0
        }
    };
    (!is_told).then(|| {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| format!("{} {}", row.method, row.outcome()))
            .collect();
        format!(
            "{}: executed {executed}, unidentified {unidentified}, rows {rows:?}",
            form.name
        )
    })
}

async fn executed_requests_are_recorded(server: Server, ways: &[Way]) {
    let forms = table::read();
    let mut faults = Vec::new();
    for way in ways {
        let recording = Recording::start();
        let counted = Arc::<AtomicU64>::default();
        let router = server.router(counted.clone()).layer(recording.layer());
        let client = Client::connect(router, *way).await;
        let mut numbers = Numbers::default();
        for form in &forms {
            let rows_before = recording.rows().len();
            let unidentified_before = recording.store.stats().unidentified;
            let executed_before = counted.load(Relaxed);
            client.send(form, &mut numbers).await;
            faults.extend(fault(
                form,
                counted.load(Relaxed) - executed_before,
                &recording.rows()[rows_before..],
                recording.store.stats().unidentified - unidentified_before,
            ));
        }
        let all = counted.load(Relaxed);
        assert!(all > 50, "the forms that every server knows were executed");
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[tokio::test]
async fn requests_that_rmcp_executes_are_recorded() {
    executed_requests_are_recorded(Server::Rmcp, &[Way::Session, Way::Modern]).await;
}

#[tokio::test]
async fn requests_that_tower_mcp_executes_are_recorded() {
    let ways = [Way::Session, Way::Sessionless, Way::Modern];
    executed_requests_are_recorded(Server::TowerMcp, &ways).await;
}
