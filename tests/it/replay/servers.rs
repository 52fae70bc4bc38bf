//! `ts.out`, `py.out`, `rs.out`, `tm.out`: the answers of four servers to the same client, first in
//! a session and then with 2026-07-28. The captures hold no requests. This file has the requests
//! that were sent.

use crate::replay::capture::{Answer, answers};
use crate::replay::player::{Call, Cut, Player};

const ANY: &str = "application/json, text/event-stream";

/// Returns a request in the session, with the negotiated revision.
fn call(session: &str, body: &str) -> Call {
    Call::post(body)
        .header("mcp-session-id", session)
        .header("mcp-protocol-version", "2025-11-25")
}

fn verb(method: &str, session: &str) -> Call {
    Call::new(method, "/mcp")
        .header("accept", ANY)
        .header("mcp-session-id", session)
        .header("mcp-protocol-version", "2025-11-25")
}

/// Returns a request of 2026-07-28 with its method and name in headers too.
fn modern(id: u32, method: &str, name: Option<&str>, version: &str, params: &str) -> Call {
    let call = Call::post(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{{{params}"_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientInfo":{{"name":"probe","version":"0"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    ));
    let call = call
        .header("mcp-protocol-version", version)
        .header("mcp-method", method);
    match name {
        Some(name) => call.header("mcp-name", name),
        None => call,
    }
}

/// Returns the request that a section of a capture answers.
fn request(section: &str, session: &str) -> Call {
    let legacy = |body| call(session, body);
    let plain = |id, method| modern(id, method, None, "2026-07-28", "");
    let tool = |id, name: &str, rest: &str| {
        let params = format!(r#""name":"{name}","arguments":{{{rest}}},"#);
        modern(id, "tools/call", Some(name), "2026-07-28", &params)
    };
    match section {
        "initialize" => Call::post(
            r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"elicitation":{}},"clientInfo":{"name":"probe","version":"0"}}}"#,
        ),
        "initialized" => legacy(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
        "tools/list" => legacy(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#),
        "slow" => legacy(
            r#"{"jsonrpc":"2.0","id":"a-2","method":"tools/call","params":{"name":"slow","arguments":{},"_meta":{"progressToken":7}}}"#,
        ),
        "boom" => legacy(
            r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"boom","arguments":{}}}"#,
        ),
        "unknown tool" => legacy(
            r#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"nope","arguments":{}}}"#,
        ),
        "unknown method" => legacy(r#"{"jsonrpc":"2.0","id":5,"method":"no/such"}"#),
        "elicit" => legacy(
            r#"{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"ask","arguments":{}}}"#,
        ),
        "batch" => legacy(
            r#"[{"jsonrpc":"2.0","id":8,"method":"tools/list"},{"jsonrpc":"2.0","method":"notifications/initialized"}]"#,
        ),
        "bad json" => legacy(r#"{"jsonrpc":"#),
        "no session id" => Call::post(r#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#),
        "stale session id" => call("dead", r#"{"jsonrpc":"2.0","id":10,"method":"tools/list"}"#),
        "GET stream" => verb("GET", session),
        "DELETE" => verb("DELETE", session),
        "after DELETE" => legacy(r#"{"jsonrpc":"2.0","id":11,"method":"tools/list"}"#),
        "M discover" => plain(1, "server/discover"),
        "M tools/list" => plain(2, "tools/list"),
        "M echo" => tool(3, "echo", r#""text":"héllo""#),
        "M slow" => tool(4, "slow", ""),
        "M ask (MRTR?)" => tool(5, "ask", ""),
        // The header names another tool than the body.
        "M header mismatch" => modern(
            6,
            "tools/call",
            Some("other"),
            "2026-07-28",
            r#""name":"echo","arguments":{},"#,
        ),
        "M unknown method" => plain(7, "no/such"),
        "M initialize" => modern(
            8,
            "initialize",
            None,
            "2026-07-28",
            r#""protocolVersion":"2026-07-28","capabilities":{},"clientInfo":{"name":"probe","version":"0"},"#,
        ),
        "M listen" => modern(
            9,
            "subscriptions/listen",
            None,
            "2026-07-28",
            r#""notifications":{"toolsListChanged":true},"#,
        ),
        "M unsupported version" => modern(12, "tools/list", None, "2099-01-01", ""),
        "M notification" => Call::post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
            .header("mcp-protocol-version", "2026-07-28"),
        "M GET" => Call::new("GET", "/mcp").header("mcp-protocol-version", "2026-07-28"),
        "M DELETE" => Call::new("DELETE", "/mcp").header("mcp-protocol-version", "2026-07-28"),
        other => panic!("a section that is not known: {other}"),
    }
}

/// Returns the session that the answer to `initialize` names.
fn session(answers: &[(&str, Answer)]) -> String {
    let mut headers = answers.iter().flat_map(|(_, answer)| &answer.headers);
    let (_, id) = headers
        .find(|(name, _)| name == "mcp-session-id")
        .expect("a session");
    id.clone()
}

#[track_caller]
fn assert_recorded(capture: &str, rows: &str, sessions: &[&str]) {
    let answers = answers(capture);
    let session = session(&answers);
    for cut in Cut::ALL {
        let mut player = Player::new(cut);
        for (section, answer) in &answers {
            player.play(section, &request(section, &session), answer);
        }
        player.assert_rows(rows);
        assert_eq!(player.sessions(), sessions);
    }
}

// The client left the streams that stayed open. A request without a JSON-RPC answer before that is
// `client_gone`.

#[test]
fn typescript_sdk_answers_with_events_and_knows_no_2026_07_28() {
    assert_recorded(
        include_str!("captures/ts.out"),
        r#"
exchange              | method               | aim  | http | outcome           | in  | out | session  | revision   | text
initialize            | initialize           | -    | 200  | ok                | 166 | 181 | 20fc45b2 | 2025-11-25 | -
initialized           | no row
tools/list            | tools/list           | -    | 200  | ok                | 46  | 579 | 20fc45b2 | 2025-11-25 | -
slow                  | tools/call           | slow | 200  | ok                | 118 | 400 | 20fc45b2 | 2025-11-25 | -
boom                  | tools/call           | boom | 200  | ok tool_error     | 86  | 116 | 20fc45b2 | 2025-11-25 | -
unknown tool          | tools/call           | nope | 200  | ok tool_error     | 86  | 148 | 20fc45b2 | 2025-11-25 | -
unknown method        | no/such              | -    | 200  | error -32601      | 43  | 100 | 20fc45b2 | 2025-11-25 | Method not found
elicit                | tools/call           | ask  | 200  | error client_gone | 85  | -   | 20fc45b2 | 2025-11-25 | -
batch                 | tools/list           | -    | 200  | ok                | 46  | 579 | 20fc45b2 | 2025-11-25 | -
bad json              | no row
no session id         | tools/list           | -    | 400  | error -32000      | 46  | 99  | -        | -          | Bad Request: Server not initialized
stale session id      | tools/list           | -    | 404  | error -32001      | 47  | 81  | dead     | 2025-11-25 | Session not found
GET stream            | no row
DELETE                | no row
after DELETE          | tools/list           | -    | 404  | error -32001      | 47  | 81  | 20fc45b2 | 2025-11-25 | Session not found
M discover            | server/discover      | -    | 400  | error -32000      | 243 | 99  | derived  | 2026-07-28 | Bad Request: Server not initialized
M tools/list          | tools/list           | -    | 400  | error -32000      | 238 | 99  | derived  | 2026-07-28 | Bad Request: Server not initialized
M echo                | tools/call           | echo | 400  | error -32000      | 282 | 99  | derived  | 2026-07-28 | Bad Request: Server not initialized
M slow                | tools/call           | slow | 400  | error -32000      | 267 | 99  | derived  | 2026-07-28 | Bad Request: Server not initialized
M ask (MRTR?)         | tools/call           | ask  | 400  | error -32000      | 266 | 99  | derived  | 2026-07-28 | Bad Request: Server not initialized
M header mismatch     | tools/call           | echo | 400  | error -32000      | 267 | 99  | derived  | 2026-07-28 | Bad Request: Server not initialized
M unknown method      | no/such              | -    | 400  | error -32000      | 235 | 99  | derived  | 2026-07-28 | Bad Request: Server not initialized
M initialize          | initialize           | -    | 200  | ok                | 331 | 181 | 9049ff5b | 2026-07-28 | -
M listen              | subscriptions/listen | -    | 400  | error -32000      | 290 | 99  | derived  | 2026-07-28 | Bad Request: Server not initialized
M unsupported version | tools/list           | -    | 400  | error -32000      | 239 | 99  | derived  | 2099-01-01 | Bad Request: Server not initialized
M notification        | no row
M GET                 | no row
M DELETE              | no row
"#,
        &[
            "20fc45b2 header 2025-11-25 probe 0 -> tsprobe 1, 9 calls, 3 errors, ended",
            "derived derived 2026-07-28 probe 0 -> - -, 9 calls, 9 errors, open",
            "9049ff5b header 2025-11-25 probe 0 -> tsprobe 1, 1 calls, 0 errors, open",
        ],
    );
}

#[test]
fn python_sdk_answers_sessions_with_events_and_2026_07_28_with_json() {
    assert_recorded(
        include_str!("captures/py.out"),
        r#"
exchange              | method               | aim  | http | outcome           | in  | out  | session  | revision   | text
initialize            | initialize           | -    | 200  | ok                | 166 | 293  | 9f7426fb | 2025-11-25 | -
initialized           | no row
tools/list            | tools/list           | -    | 200  | ok                | 46  | 1091 | 9f7426fb | 2025-11-25 | -
slow                  | tools/call           | slow | 200  | ok                | 118 | 461  | 9f7426fb | 2025-11-25 | -
boom                  | tools/call           | boom | 200  | ok tool_error     | 86  | 139  | 9f7426fb | 2025-11-25 | -
unknown tool          | tools/call           | nope | 200  | ok tool_error     | 86  | 132  | 9f7426fb | 2025-11-25 | -
unknown method        | no/such              | -    | 200  | error -32601      | 43  | 120  | 9f7426fb | 2025-11-25 | Method not found
elicit                | tools/call           | ask  | 200  | error client_gone | 85  | -    | 9f7426fb | 2025-11-25 | -
batch                 | tools/list           | -    | 400  | error -32602      | 46  | 1248 | 9f7426fb | 2025-11-25 | Validation error: 4 validation errors fo
bad json              | no row
no session id         | tools/list           | -    | 400  | error -32600      | 46  | 95   | -        | -          | Bad Request: Missing session ID
stale session id      | tools/list           | -    | 404  | error -32600      | 47  | 81   | dead     | 2025-11-25 | Session not found
GET stream            | no row
DELETE                | no row
after DELETE          | tools/list           | -    | 404  | error -32600      | 47  | 81   | 9f7426fb | 2025-11-25 | Session not found
M discover            | server/discover      | -    | 200  | ok                | 243 | 358  | derived  | 2026-07-28 | -
M tools/list          | tools/list           | -    | 200  | ok                | 238 | 1206 | derived  | 2026-07-28 | -
M echo                | tools/call           | echo | 200  | ok                | 282 | 251  | derived  | 2026-07-28 | -
M slow                | tools/call           | slow | 200  | ok                | 267 | 573  | derived  | 2026-07-28 | -
M ask (MRTR?)         | tools/call           | ask  | 400  | error -32600      | 266 | 168  | derived  | 2026-07-28 | Cannot send 'elicitation/create': this t
M header mismatch     | tools/call           | echo | 400  | error -32020      | 267 | 127  | derived  | 2026-07-28 | mcp-name header does not match the reque
M unknown method      | no/such              | -    | 404  | error -32601      | 235 | 94   | derived  | 2026-07-28 | Method not found
M initialize          | initialize           | -    | 404  | error -32601      | 331 | 97   | derived  | 2026-07-28 | Method not found
M listen              | subscriptions/listen | -    | 200  | ok stream_end     | 290 | -    | derived  | 2026-07-28 | -
M unsupported version | tools/list           | -    | 400  | error -32022      | 239 | 151  | derived  | 2099-01-01 | Unsupported protocol version
M notification        | no row
M GET                 | no row
M DELETE              | no row
"#,
        &[
            "9f7426fb header 2025-11-25 probe 0 -> pyprobe 1.2.3, 9 calls, 4 errors, ended",
            "derived derived 2026-07-28 probe 0 -> pyprobe 1.2.3, 10 calls, 5 errors, open",
        ],
    );
}

#[test]
fn rmcp_primes_its_streams_and_refuses_with_plain_text() {
    assert_recorded(
        include_str!("captures/rs.out"),
        r#"
exchange              | method               | aim  | http | outcome       | in  | out | session  | revision   | text
initialize            | initialize           | -    | 200  | ok            | 166 | 175 | e5140916 | 2025-11-25 | -
initialized           | no row
tools/list            | tools/list           | -    | 200  | ok            | 46  | 287 | e5140916 | 2025-11-25 | -
slow                  | tools/call           | slow | 200  | ok            | 118 | 425 | e5140916 | 2025-11-25 | -
boom                  | tools/call           | boom | 200  | ok tool_error | 86  | 137 | e5140916 | 2025-11-25 | -
unknown tool          | tools/call           | nope | 200  | error -32602  | 86  | 119 | e5140916 | 2025-11-25 | tool not found
unknown method        | no/such              | -    | 200  | error -32601  | 43  | 112 | e5140916 | 2025-11-25 | no/such
elicit                | tools/call           | ask  | 200  | error -32602  | 85  | 119 | e5140916 | 2025-11-25 | tool not found
batch                 | tools/list           | -    | 415  | error         | 46  | 62  | e5140916 | 2025-11-25 | fail to deserialize request body unrecog
bad json              | no row
no session id         | tools/list           | -    | 400  | error         | 46  | 35  | -        | -          | Bad Request: Session ID is required
stale session id      | tools/list           | -    | 404  | error         | 47  | 28  | dead     | 2025-11-25 | Not Found: Session not found
GET stream            | no row
DELETE                | no row
after DELETE          | tools/list           | -    | 404  | error         | 47  | 28  | e5140916 | 2025-11-25 | Not Found: Session not found
M discover            | server/discover      | -    | 200  | ok            | 243 | 296 | derived  | 2026-07-28 | -
M tools/list          | tools/list           | -    | 200  | ok            | 238 | 308 | derived  | 2026-07-28 | -
M echo                | tools/call           | echo | 200  | ok            | 282 | 123 | derived  | 2026-07-28 | -
M slow                | tools/call           | slow | 200  | ok            | 267 | 393 | derived  | 2026-07-28 | -
M ask (MRTR?)         | tools/call           | ask  | 200  | error -32602  | 266 | 83  | derived  | 2026-07-28 | tool not found
M header mismatch     | tools/call           | echo | 400  | error -32020  | 267 | 117 | derived  | 2026-07-28 | Mcp-Name header `other` does not match b
M unknown method      | no/such              | -    | 404  | error -32601  | 235 | 68  | derived  | 2026-07-28 | no/such
M initialize          | initialize           | -    | 200  | ok            | 331 | 175 | 1984f1ae | 2026-07-28 | -
M listen              | subscriptions/listen | -    | 404  | error -32601  | 290 | 81  | derived  | 2026-07-28 | subscriptions/listen
M unsupported version | tools/list           | -    | 400  | error -32022  | 239 | 203 | derived  | 2099-01-01 | Unsupported protocol version
M notification        | no row
M GET                 | no row
M DELETE              | no row
"#,
        &[
            "e5140916 header 2025-11-25 probe 0 -> rmcp 3.9.0, 9 calls, 5 errors, ended",
            "derived derived 2026-07-28 probe 0 -> rmcp 3.9.0, 9 calls, 5 errors, open",
            "1984f1ae header 2025-11-25 probe 0 -> rmcp 3.9.0, 1 calls, 0 errors, open",
        ],
    );
}

#[test]
fn tower_mcp_answers_with_json() {
    assert_recorded(
        include_str!("captures/tm.out"),
        r#"
exchange              | method               | aim  | http | outcome       | in  | out | session  | revision   | text
initialize            | initialize           | -    | 200  | ok            | 166 | 170 | ffca1b94 | 2025-11-25 | -
initialized           | no row
tools/list            | tools/list           | -    | 200  | ok            | 46  | 346 | ffca1b94 | 2025-11-25 | -
slow                  | tools/call           | slow | 200  | error -32602  | 118 | 83  | ffca1b94 | 2025-11-25 | Unknown tool: slow
boom                  | tools/call           | boom | 200  | ok tool_error | 86  | 93  | ffca1b94 | 2025-11-25 | -
unknown tool          | tools/call           | nope | 200  | error -32602  | 86  | 79  | ffca1b94 | 2025-11-25 | Unknown tool: nope
unknown method        | no/such              | -    | 200  | error -32601  | 43  | 86  | ffca1b94 | 2025-11-25 | Method not found: no/such
elicit                | tools/call           | ask  | 200  | error -32602  | 85  | 78  | ffca1b94 | 2025-11-25 | Unknown tool: ask
batch                 | tools/list           | -    | 200  | error -32600  | 46  | 121 | ffca1b94 | 2025-11-25 | MCP 2025-11-25 does not permit top-level
bad json              | no row
no session id         | tools/list           | -    | 200  | ok            | 46  | 346 | -        | -          | -
stale session id      | tools/list           | -    | 404  | error -32005  | 47  | 137 | dead     | 2025-11-25 | Session 'dead' not found or expired. Ple
GET stream            | no row
DELETE                | no row
after DELETE          | tools/list           | -    | 404  | error -32005  | 47  | 169 | ffca1b94 | 2025-11-25 | Session 'ffca1b94-9929-429c-9efe-5886efb
M discover            | server/discover      | -    | 200  | ok            | 243 | 304 | derived  | 2026-07-28 | -
M tools/list          | tools/list           | -    | 200  | ok            | 238 | 482 | derived  | 2026-07-28 | -
M echo                | tools/call           | echo | 200  | ok            | 282 | 182 | derived  | 2026-07-28 | -
M slow                | tools/call           | slow | 200  | error -32602  | 267 | 79  | derived  | 2026-07-28 | Unknown tool: slow
M ask (MRTR?)         | tools/call           | ask  | 200  | error -32602  | 266 | 78  | derived  | 2026-07-28 | Unknown tool: ask
M header mismatch     | tools/call           | echo | 400  | error -32020  | 267 | 127 | derived  | 2026-07-28 | Mcp-Name header value "other" does not m
M unknown method      | no/such              | -    | 404  | error -32601  | 235 | 86  | derived  | 2026-07-28 | Method not found: no/such
M initialize          | initialize           | -    | 404  | error -32601  | 331 | 89  | derived  | 2026-07-28 | Method not found: initialize
M listen              | subscriptions/listen | -    | 200  | ok stream_end | 290 | -   | derived  | 2026-07-28 | -
M unsupported version | tools/list           | -    | 400  | error -32022  | 239 | 262 | derived  | 2099-01-01 | Unsupported protocol version: 2099-01-01
M notification        | no row
M GET                 | no row
M DELETE              | no row
"#,
        &[
            "ffca1b94 header 2025-11-25 probe 0 -> tm 1.0.0, 9 calls, 6 errors, ended",
            "derived derived 2026-07-28 probe 0 -> tm 1.0.0, 10 calls, 6 errors, open",
        ],
    );
}
