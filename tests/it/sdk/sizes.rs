//! The sizes in the file equal the bytes that a plain HTTP client counts.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;

use crate::recording::{Recording, Row};
use crate::sdk::server::{Answers, ECHO, STEPS, Server};

/// Sends one message, and reads the answer to its end.
async fn post(url: &str, headers: &[(&str, &str)], body: String) -> (HeaderMap, Bytes) {
    let mut request = reqwest::Client::new()
        .post(url)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.body(body).send().await.expect("an answer");
    let headers = response.headers().clone();
    (headers, response.bytes().await.expect("a whole body"))
}

fn is_stream(headers: &HeaderMap) -> bool {
    headers["content-type"] == "text/event-stream"
}

/// Returns how many bytes the answer takes: the body, or the stream up to the end of the event with
/// the answer.
fn answer_len(headers: &HeaderMap, body: &Bytes) -> i64 {
    let body = std::str::from_utf8(body).expect("text");
    let len = if is_stream(headers) {
        let events = body.split_inclusive("\n\n");
        let mut answered = false;
        events
            .take_while(|event| !std::mem::replace(&mut answered, event.contains("\"result\"")))
            .map(str::len)
            .sum()
    } else {
        body.len()
    };
    len as i64
}

/// Returns the row of this method, whose answer was read to its end.
async fn row(recording: &Recording, method: &str) -> Row {
    let wait = async {
        loop {
            let mut rows = recording.rows();
            rows.retain(|row| row.method == method);
            match rows.pop() {
                Some(row) => return row,
                None => tokio::task::yield_now().await,
            }
        }
    };
    let row = tokio::time::timeout(Duration::from_secs(20), wait).await;
    row.expect("a row of this method")
}

async fn sizes_in_a_session_are_those_on_the_wire(server: Server, answers: Answers) {
    let recording = Recording::start();
    let running = server.start(answers, recording.layer()).await;

    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"h\u00e9","version":"1"}}}"#;
    let (headers, body) = post(&running.url, &[], initialize.to_owned()).await;
    let recorded = row(&recording, "initialize").await;
    assert_eq!(recorded.bytes_in, Some(initialize.len() as i64));
    assert_eq!(recorded.bytes_out, Some(answer_len(&headers, &body)));

    let session = headers["mcp-session-id"].to_str().expect("visible ASCII");
    let session = [
        ("mcp-session-id", session),
        ("mcp-protocol-version", "2025-11-25"),
    ];
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    post(&running.url, &session, initialized.to_owned()).await;

    let call = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{STEPS}","arguments":{{"padding":"{}"}},"_meta":{{"progressToken":"p"}}}}}}"#,
        "h\u{e9}".repeat(40_000)
    );
    let sent = call.len() as i64;
    let (headers, body) = post(&running.url, &session, call).await;
    assert_eq!(is_stream(&headers), answers == Answers::Events);
    let recorded = row(&recording, "tools/call").await;
    assert_eq!(recorded.outcome(), "ok");
    assert_eq!(recorded.bytes_in, Some(sent));
    assert_eq!(recorded.bytes_out, Some(answer_len(&headers, &body)));
}

cases! {
    sizes_in_a_session_are_those_on_the_wire:
    sizes_in_a_session_of_tower_mcp_in_json_are_those_on_the_wire(Server::TowerMcp, Answers::Json);
    sizes_in_a_session_of_tower_mcp_in_events_are_those_on_the_wire(Server::TowerMcp, Answers::Events);
    sizes_in_a_session_of_rmcp_in_events_are_those_on_the_wire(Server::Rmcp, Answers::Events);
}

async fn sizes_of_a_refusal_are_those_on_the_wire(server: Server, outcome: &str) {
    let recording = Recording::start();
    let running = server.start(Answers::Json, recording.layer()).await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let gone = [("mcp-session-id", "gone")];
    let (_, body) = post(&running.url, &gone, list.to_owned()).await;
    let recorded = row(&recording, "tools/list").await;
    assert_eq!(recorded.http_status, Some(404));
    assert_eq!(recorded.outcome(), outcome);
    assert_eq!(recorded.bytes_in, Some(list.len() as i64));
    assert_eq!(recorded.bytes_out, Some(body.len() as i64));
}

cases! {
    sizes_of_a_refusal_are_those_on_the_wire:
    sizes_of_a_refusal_of_tower_mcp_in_json_are_those_on_the_wire(Server::TowerMcp, "error -32005");
    sizes_of_a_refusal_of_rmcp_in_plain_text_are_those_on_the_wire(Server::Rmcp, "error");
}

async fn sizes_without_a_session_are_those_on_the_wire(server: Server, answers: Answers) {
    let recording = Recording::start();
    let running = server.start(answers, recording.layer()).await;
    // Progress turns a JSON answer into a stream.
    let tool = match answers {
        Answers::Json => ECHO,
        Answers::Events => STEPS,
    };
    let call = format!(
        r#"{{"jsonrpc":"2.0","id":"a","method":"tools/call","params":{{"name":"{tool}","arguments":{{}},"_meta":{{"progressToken":"p","io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    );
    let sent = call.len() as i64;
    let headers = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", tool),
    ];
    let (headers, body) = post(&running.url, &headers, call).await;
    assert_eq!(is_stream(&headers), answers == Answers::Events);
    let recorded = row(&recording, "tools/call").await;
    assert_eq!(recorded.outcome(), "ok");
    assert_eq!(recorded.bytes_in, Some(sent));
    assert_eq!(recorded.bytes_out, Some(answer_len(&headers, &body)));
}

cases! {
    sizes_without_a_session_are_those_on_the_wire:
    sizes_without_a_session_at_tower_mcp_in_json_are_those_on_the_wire(Server::TowerMcp, Answers::Json);
    sizes_without_a_session_at_tower_mcp_in_events_are_those_on_the_wire(Server::TowerMcp, Answers::Events);
    sizes_without_a_session_at_rmcp_in_json_are_those_on_the_wire(Server::Rmcp, Answers::Json);
    sizes_without_a_session_at_rmcp_in_events_are_those_on_the_wire(Server::Rmcp, Answers::Events);
}
