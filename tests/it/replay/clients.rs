//! The `*_cli*.log`: what four clients sent. The captures hold no answers. A small server answers
//! as the recorded servers did: at once, except for the tool `hang`, whose stream stays open until
//! the client leaves.

use crate::replay::capture::{Answer, Sent, sent};
use crate::replay::player::{Call, Cut, Held, Player, answer, events, json};

/// Returns the answer to a request, and whether its stream stays open.
fn reply(method: &str, body: &str, session: &str) -> (Answer, bool) {
    let accepted = || (answer(202, &[], ""), false);
    match method {
        "GET" => return (events(""), true),
        "DELETE" => return (answer(200, &[], ""), false),
        _ if body.contains(r#""name":"hang""#) => return (events(""), true),
        _ => {}
    }
    let message: serde_json::Value = serde_json::from_str(body).expect("a message");
    let Some(id) = message.get("id") else {
        return accepted();
    };
    if message["method"] != "initialize" {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
        return (json(200, &body), false);
    }
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"2025-11-25","capabilities":{{}},"serverInfo":{{"name":"server","version":"1"}}}}}}"#
    );
    let head = [
        ("content-type", "application/json"),
        ("mcp-session-id", session),
    ];
    (answer(200, &head, body), false)
}

#[track_caller]
fn assert_recorded(capture: &str, rows: &str, sessions: &[&str]) {
    let sent = sent(capture);
    let headers = sent.iter().filter_map(|sent| match sent {
        Sent::Request { headers, .. } => Some(headers),
        Sent::Closed => None,
    });
    let session = headers
        .flatten()
        .find(|(name, _)| name == "mcp-session-id")
        .map_or("", |(_, id)| id);
    for cut in Cut::ALL {
        let mut player = Player::new(cut);
        let mut held: Vec<Held> = Vec::new();
        for event in &sent {
            let Sent::Request {
                method,
                path,
                headers,
                body,
            } = event
            else {
                // The capture does not say which connection it was, so all are closed.
                held.drain(..).for_each(Held::leave);
                continue;
            };
            let mut call = Call::new(method, path).body(body);
            for (name, value) in headers {
                call = call.header(name, value);
            }
            let text = str::from_utf8(body).expect("text");
            let (answer, waits) = reply(method, text, session);
            let stream = player.open(&call, &answer);
            if waits {
                held.push(stream);
            } else {
                stream.end();
            }
        }
        drop(held);
        player.note("");
        player.assert_rows(rows);
        assert_eq!(player.sessions(), sessions);
    }
}

#[test]
fn typescript_client_1_cancels_on_time_out_and_for_its_user() {
    assert_recorded(
        include_str!("captures/ts_cli.log"),
        r#"
exchange | method     | aim  | http | outcome           | in  | out | session  | revision   | text
         | initialize | -    | 200  | ok                | 150 | 129 | 6fa22b54 | 2025-11-25 | -
         | tools/list | -    | 200  | ok                | 46  | 36  | 6fa22b54 | 2025-11-25 | -
         | tools/call | echo | 200  | ok                | 104 | 36  | 6fa22b54 | 2025-11-25 | -
         | tools/call | slow | 200  | ok                | 114 | 36  | 6fa22b54 | 2025-11-25 | -
         | tools/call | hang | 200  | timeout cancelled | 86  | -   | 6fa22b54 | 2025-11-25 | McpError: MCP error -32001: Request time
         | tools/call | hang | 200  | error cancelled   | 86  | -   | 6fa22b54 | 2025-11-25 | user stop
"#,
        &["6fa22b54 header 2025-11-25 tscli 9 -> server 1, 6 calls, 2 errors, ended"],
    );
}

#[test]
fn typescript_client_2_cancels_by_leaving() {
    assert_recorded(
        include_str!("captures/ts2_cli.log"),
        r#"
exchange | method          | aim  | http | outcome         | in  | out | session | revision   | text
         | server/discover | -    | 200  | ok              | 268 | 60  | derived | 2026-07-28 | -
         | tools/call      | echo | 200  | ok              | 280 | 36  | derived | 2026-07-28 | -
         | tools/call      | hang | 200  | error cancelled | 268 | -   | derived | 2026-07-28 | -
"#,
        &["derived derived 2026-07-28 ts2cli 9 -> - -, 3 calls, 1 errors, open"],
    );
}

#[test]
fn python_client_in_a_session_sends_cancellations() {
    assert_recorded(
        include_str!("captures/py_cli_legacy.log"),
        r#"
exchange | method     | aim  | http | outcome           | in  | out | session  | revision   | text
         | initialize | -    | 200  | ok                | 152 | 129 | d484bce4 | 2025-11-25 | -
         | tools/list | -    | 200  | ok                | 46  | 36  | d484bce4 | 2025-11-25 | -
         | tools/call | echo | 200  | ok                | 98  | 36  | d484bce4 | 2025-11-25 | -
         | tools/call | slow | 200  | ok                | 114 | 36  | d484bce4 | 2025-11-25 | -
         | tools/call | hang | 200  | timeout cancelled | 86  | -   | d484bce4 | 2025-11-25 | timed out after 0.4s
"#,
        &["d484bce4 header 2025-11-25 mcp 0.1.0 -> server 1, 5 calls, 1 errors, ended"],
    );
}

#[test]
fn python_client_without_sessions_cancels_by_leaving() {
    assert_recorded(
        include_str!("captures/py_cli_auto.log"),
        r#"
exchange | method          | aim  | http | outcome         | in  | out | session | revision   | text
         | server/discover | -    | 200  | ok              | 245 | 36  | derived | 2026-07-28 | -
         | tools/list      | -    | 200  | ok              | 240 | 36  | derived | 2026-07-28 | -
         | tools/call      | echo | 200  | ok              | 281 | 36  | derived | 2026-07-28 | -
         | tools/call      | slow | 200  | ok              | 287 | 36  | derived | 2026-07-28 | -
         | tools/call      | hang | 200  | error cancelled | 269 | -   | derived | 2026-07-28 | -
"#,
        &["derived derived 2026-07-28 mcp 0.1.0 -> - -, 5 calls, 1 errors, open"],
    );
}

#[test]
fn rmcp_client_writes_the_name_of_a_tool_last() {
    assert_recorded(
        include_str!("captures/rs_cli.log"),
        r#"
exchange | method     | aim  | http | outcome           | in  | out | session  | revision   | text
         | initialize | -    | 200  | ok                | 150 | 129 | 928d2b8f | 2025-11-25 | -
         | tools/list | -    | 200  | ok                | 85  | 36  | 928d2b8f | 2025-11-25 | -
         | tools/call | echo | 200  | ok                | 126 | 36  | 928d2b8f | 2025-11-25 | -
         | tools/call | slow | 200  | ok                | 114 | 36  | 928d2b8f | 2025-11-25 | -
         | tools/call | hang | 200  | timeout cancelled | 114 | -   | 928d2b8f | 2025-11-25 | request timeout
"#,
        &["928d2b8f header 2025-11-25 rscli 7 -> server 1, 5 calls, 1 errors, ended"],
    );
}
