//! Exchanges that observers often misread, one by one.

use crate::replay::capture::Answer;
use crate::replay::player::{Call, Cut, Player, answer, events, json};

const SESSION: &str = "9f7426fb-dff8";

/// Returns a POST in a session of 2025-11-25.
fn in_session(body: impl AsRef<[u8]>) -> Call {
    Call::post(body)
        .header("mcp-session-id", SESSION)
        .header("mcp-protocol-version", "2025-11-25")
}

/// Plays these exchanges in order, with both kinds of frames.
#[track_caller]
fn assert_recorded(exchanges: &[(&str, Call, Answer)], rows: &str) {
    for cut in Cut::ALL {
        let mut player = Player::new(cut);
        for (name, call, answer) in exchanges {
            player.play(name, call, answer);
        }
        player.assert_rows(rows);
    }
}

/// Returns an answer that the client leaves before it ends.
fn left(answer: Answer) -> Answer {
    Answer {
        open: true,
        ..answer
    }
}

#[test]
fn each_request_of_a_batch_is_a_row_in_any_order_of_answers() {
    let batch = Call::post(
        r#"[{"jsonrpc":"2.0","id":8,"method":"tools/list"},{"jsonrpc":"2.0","method":"notifications/initialized"},{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"echo","arguments":{}}}]"#,
    );
    let batch = batch.header("mcp-session-id", SESSION);
    let first = "event: message\ndata: {\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"x\"}]},\"jsonrpc\":\"2.0\",\"id\":9}\n\n";
    let second =
        "event: message\ndata: {\"result\":{\"tools\":[]},\"jsonrpc\":\"2.0\",\"id\":8}\n\n";
    let array = r#"[{"result":{"tools":[]},"jsonrpc":"2.0","id":8},{"jsonrpc":"2.0","id":9,"error":{"code":-32602,"message":"no"}}]"#;
    assert_recorded(
        &[
            ("events", batch.clone(), events([first, second].concat())),
            ("array", batch, json(200, array)),
        ],
        r#"
exchange | method     | aim  | http | outcome      | in | out | session  | revision | text
events   | tools/call | echo | 200  | ok           | 86 | 97  | 9f7426fb | -        | -
events   | tools/list | -    | 200  | ok           | 46 | 69  | 9f7426fb | -        | -
array    | tools/list | -    | 200  | ok           | 46 | 46  | 9f7426fb | -        | -
array    | tools/call | echo | 200  | error -32602 | 86 | 63  | 9f7426fb | -        | no
"#,
    );
}

#[test]
fn progress_and_comments_before_the_answer_only_add_to_its_bytes() {
    let call = in_session(
        r#"{"jsonrpc":"2.0","id":"a-2","method":"tools/call","params":{"name":"slow","arguments":{},"_meta":{"progressToken":7}}}"#,
    );
    let mut stream = events(
        "event: message\r\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":7,\"progress\":1,\"total\":2,\"message\":\"étape 1\"}}\r\n\r\n",
    );
    stream
        .frames
        .push(": ping - 2026-11-20 21:40:21\r\n\r\n".into());
    stream.frames.push(
        "event: message\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"a-2\",\"result\":{\"content\":[{\"text\":\"done\",\"type\":\"text\"}],\"isError\":false}}\r\n\r\n".into(),
    );
    // Data after the answer does not count for the answer.
    stream.frames.push(": ping\r\n\r\n".into());
    assert_recorded(
        &[("progress", call, stream)],
        r#"
exchange | method     | aim  | http | outcome | in  | out | session  | revision   | text
progress | tools/call | slow | 200  | ok      | 118 | 305 | 9f7426fb | 2025-11-25 | -
"#,
    );
}

#[test]
fn priming_event_is_no_message() {
    let call = in_session(
        r#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"nope","arguments":{}}}"#,
    );
    let stream = events(
        "data: \nid: 0/3\nretry: 3000\n\ndata: {\"jsonrpc\":\"2.0\",\"id\":4,\"error\":{\"code\":-32602,\"message\":\"tool not found\"}}\nid: 1/3\n\n",
    );
    assert_recorded(
        &[("priming event", call, stream)],
        r#"
exchange      | method     | aim  | http | outcome      | in | out | session  | revision   | text
priming event | tools/call | nope | 200  | error -32602 | 86 | 119 | 9f7426fb | 2025-11-25 | tool not found
"#,
    );
}

#[test]
fn server_request_with_the_id_of_a_client_request_answers_nothing() {
    for cut in Cut::ALL {
        let mut player = Player::new(cut);
        let list = in_session(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
        let listed = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#;
        player.play("list", &list, &json(200, listed));
        let call = in_session(
            r#"{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"ask","arguments":{}}}"#,
        );
        let mut stream = player.open(
            &call,
            &events(
                "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"elicitation/create\",\"params\":{\"mode\":\"form\",\"message\":\"name?\",\"requestedSchema\":{}}}\n\n",
            ),
        );
        player.note("question");
        let reply = in_session(
            r#"{"jsonrpc":"2.0","id":1,"result":{"action":"accept","content":{"name":"Ada"}}}"#,
        );
        player.play("reply", &reply, &answer(202, &[], ""));
        stream.send("data: {\"jsonrpc\":\"2.0\",\"id\":6,\"result\":{\"content\":[]}}\n\n");
        stream.end();
        player.note("call");
        player.assert_rows(
            r#"
exchange | method     | aim | http | outcome | in | out | session  | revision   | text
list     | tools/list | -   | 200  | ok      | 46 | 46  | 9f7426fb | 2025-11-25 | -
question | no row
reply    | no row
call     | tools/call | ask | 200  | ok      | 85 | 197 | 9f7426fb | 2025-11-25 | -
"#,
        );
    }
}

#[test]
fn failed_tool_is_a_success_and_its_text_is_not_stored() {
    let call = in_session(
        r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"boom","arguments":{}}}"#,
    );
    let failed = r#"{"jsonrpc":"2.0","id":3,"result":{"content":[{"type":"text","text":"kaput"}],"isError":true}}"#;
    let first = r#"{"jsonrpc":"2.0","id":3,"result":{"isError":true,"content":[{"type":"text","text":"kaput"}]}}"#;
    let decoy = r#"{"jsonrpc":"2.0","id":3,"result":{"content":[{"type":"text","text":"\"isError\":true","isError":true}]}}"#;
    let nested = r#"{"jsonrpc":"2.0","id":3,"result":{"resultType":"complete","status":"completed","result":{"isError":true}}}"#;
    assert_recorded(
        &[
            ("after the content", call.clone(), json(200, failed)),
            ("before it", call.clone(), json(200, first)),
            ("only in the content", call.clone(), json(200, decoy)),
            ("of a task", call, json(200, nested)),
        ],
        r#"
exchange            | method     | aim  | http | outcome       | in | out | session  | revision   | text
after the content   | tools/call | boom | 200  | ok tool_error | 86 | 93  | 9f7426fb | 2025-11-25 | -
before it           | tools/call | boom | 200  | ok tool_error | 86 | 93  | 9f7426fb | 2025-11-25 | -
only in the content | tools/call | boom | 200  | ok            | 86 | 104 | 9f7426fb | 2025-11-25 | -
of a task           | tools/call | boom | 200  | ok            | 86 | 106 | 9f7426fb | 2025-11-25 | -
"#,
    );
}

#[test]
fn error_without_an_id_answers_the_request_of_its_exchange() {
    let call = in_session(r#"{"jsonrpc":"2.0","id":10,"method":"tools/list"}"#);
    let parse_error = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error: EOF while parsing a value at line 1 column 11"}}"#;
    let text = "fail to deserialize request body EOF while parsing a value at line 1 column 11";
    assert_recorded(
        &[
            ("null", call.clone(), json(400, parse_error)),
            ("plain text", call.clone(), answer(415, &[], text)),
            (
                "broken request",
                in_session(r#"{"jsonrpc":"#),
                json(400, parse_error),
            ),
        ],
        r#"
exchange   | method     | aim | http | outcome      | in | out | session  | revision   | text
null       | tools/list | -   | 400  | error -32700 | 47 | 122 | 9f7426fb | 2025-11-25 | Parse error: EOF while parsing a value a
plain text | tools/list | -   | 415  | error        | 47 | 78  | 9f7426fb | 2025-11-25 | fail to deserialize request body EOF whi
broken request | no row
"#,
    );
}

#[test]
fn tool_is_found_behind_five_mebibytes_of_arguments_and_decoys() {
    let mut call = in_session("").body(
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"_meta":{"progressToken":1},"arguments":{"name":"decoy","blob":""#,
    );
    for _ in 0..320 {
        call = call.body("b64/".repeat(4 << 10));
    }
    let call = call.body(r#"","x":{"params":{"name":"decoy2"}}},"name":"upload"}}"#);
    let result = r#"{"jsonrpc":"2.0","id":2,"result":{}}"#;
    assert_recorded(
        &[("large", call, json(200, result))],
        r#"
exchange | method     | aim    | http | outcome | in      | out | session  | revision   | text
large    | tools/call | upload | 200  | ok      | 5243053 | 36  | 9f7426fb | 2025-11-25 | -
"#,
    );
}

#[test]
fn name_split_within_characters_and_escapes_is_whole() {
    let call = in_session(
        b"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"m\xc3",
    )
    .body(b"\xa9t\\u00")
    .body(b"e9o \\ud83d")
    .body(b"\\ude00\",\"arguments\":{\"q\":\"a\\")
    .body(b"\"b\"}}}");
    let invalid = in_session(
        b"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"m\xc3 \\ud83d!\"}}",
    );
    let result = json(200, r#"{"jsonrpc":"2.0","id":5,"result":{}}"#);
    assert_recorded(
        &[("cut", call, result.clone()), ("invalid", invalid, result)],
        r#"
exchange | method     | aim     | http | outcome | in  | out | session  | revision   | text
cut      | tools/call | météo 😀 | 200  | ok      | 116 | 36  | 9f7426fb | 2025-11-25 | -
invalid  | tools/call | m� �!   | 200  | ok      | 77  | 36  | 9f7426fb | 2025-11-25 | -
"#,
    );
}

#[test]
fn answer_in_an_unknown_coding_is_counted() {
    let call = in_session(r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#)
        .header("accept-encoding", "gzip, compress");
    // No feature decodes this coding.
    let compressed = |status, media| {
        let headers = [("content-type", media), ("content-encoding", "compress")];
        answer(status, &headers, b"\x1f\x9d\x90\x00\x00\x00\x00\x00")
    };
    assert_recorded(
        &[
            ("json", call.clone(), compressed(200, "application/json")),
            ("events", call.clone(), compressed(200, "text/event-stream")),
            ("error", call, compressed(500, "application/json")),
        ],
        r#"
exchange | method     | aim | http | outcome      | in | out | session  | revision   | text
json     | tools/list | -   | 200  | ok opaque    | 46 | 8   | 9f7426fb | 2025-11-25 | -
events   | tools/list | -   | 200  | ok opaque    | 46 | -   | 9f7426fb | 2025-11-25 | -
error    | tools/list | -   | 500  | error opaque | 46 | 8   | 9f7426fb | 2025-11-25 | -
"#,
    );
}

#[test]
fn message_over_several_lines_with_different_line_ends_is_read() {
    let call = in_session(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    let mut stream = events(
        "event:message\ndata: {\"jsonrpc\":\"2.0\",\ndata:  \"id\":1,\"result\":\rdata:{\"a\":\"line sep \u{2028} raw\"}}\r",
    );
    stream.frames.push("\n\r\n".into());
    assert_recorded(
        &[("lines", call, stream)],
        r#"
exchange | method     | aim | http | outcome | in | out | session  | revision   | text
lines    | tools/list | -   | 200  | ok      | 46 | 96  | 9f7426fb | 2025-11-25 | -
"#,
    );
}

#[test]
fn session_ends_by_delete_and_is_not_found_afterwards() {
    for cut in Cut::ALL {
        let mut player = Player::new(cut);
        let initialize = Call::post(
            r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#,
        );
        let head = [
            ("content-type", "application/json"),
            ("mcp-session-id", SESSION),
        ];
        let result = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"2"}}}"#;
        player.play("initialize", &initialize, &answer(200, &head, result));
        let delete = Call::new("DELETE", "/mcp").header("mcp-session-id", SESSION);
        player.play("DELETE", &delete, &answer(202, &[], ""));
        let list = in_session(r#"{"jsonrpc":"2.0","id":11,"method":"tools/list"}"#);
        let not_found = answer(404, &[], "Not Found: Session not found");
        player.play("after DELETE", &list, &not_found);
        player.assert_rows(r#"
exchange     | method     | aim | http | outcome | in  | out | session  | revision   | text
initialize   | initialize | -   | 200  | ok      | 146 | 124 | 9f7426fb | 2025-11-25 | -
DELETE       | no row
after DELETE | tools/list | -   | 404  | error   | 47  | 28  | 9f7426fb | 2025-11-25 | Not Found: Session not found
"#);
        assert_eq!(
            player.sessions(),
            ["9f7426fb header 2025-11-25 c 1 -> s 2, 2 calls, 1 errors, ended"]
        );
    }
}

/// Returns a `tools/call` of 2026-07-28.
fn stateless(name: &str, mirrored: &str) -> Call {
    Call::post(format!(
        r#"{{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{{"name":"{name}","arguments":{{"text":"hé"}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"mcp","version":"0.1.0"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    ))
    .header("mcp-protocol-version", "2026-07-28")
    .header("mcp-method", "tools/call")
    .header("mcp-name", mirrored)
}

#[test]
fn stateless_call_carries_its_client() {
    let result = json(
        200,
        r#"{"jsonrpc":"2.0","id":3,"result":{"content":[{"text":"h\u00e9","type":"text"}],"isError":false,"resultType":"complete","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"pyprobe","version":"1.2.3"}}}}"#,
    );
    for cut in Cut::ALL {
        let mut player = Player::new(cut);
        player.play("echo", &stateless("echo", "echo"), &result);
        let encoded = stateless("météo", "=?base64?bcOpdMOpbw==?=");
        player.play("encoded name", &encoded, &result);
        player.assert_rows(
            r#"
exchange     | method     | aim   | http | outcome | in  | out | session | revision   | text
echo         | tools/call | echo  | 200  | ok      | 281 | 204 | derived | 2026-07-28 | -
encoded name | tools/call | météo | 200  | ok      | 284 | 204 | derived | 2026-07-28 | -
"#,
        );
        assert_eq!(
            player.sessions(),
            ["derived derived 2026-07-28 mcp 0.1.0 -> pyprobe 1.2.3, 2 calls, 0 errors, open"]
        );
    }
}

#[test]
fn input_request_instead_of_a_result_is_recorded_as_input_required() {
    let asked = r#"{"jsonrpc":"2.0","id":3,"result":{"inputRequests":{"who":{"jsonrpc":"2.0","id":3,"method":"elicitation/create","params":{"message":"name?","mode":"form"}}},"requestState":"v1.T3oy","resultType":"input_required"}}"#;
    let call = stateless("greet", "greet");
    assert_recorded(
        &[("round 1", call, json(200, asked))],
        r#"
exchange | method     | aim   | http | outcome           | in  | out | session | revision   | text
round 1  | tools/call | greet | 200  | ok input_required | 282 | 212 | derived | 2026-07-28 | -
"#,
    );
}

#[test]
fn http_404_to_a_stateless_call_is_a_protocol_error_and_a_listen_stream_has_no_failure() {
    let unknown = Call::post(
        r#"{"jsonrpc":"2.0","id":7,"method":"no/such","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
    );
    let refused = r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"Method not found","data":"no/such"}}"#;
    let listen = Call::post(
        r#"{"jsonrpc":"2.0","id":9,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
    );
    let acknowledged = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":9},\"notifications\":{\"toolsListChanged\":true}}}\n\n";
    let result = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"resultType\":\"complete\"}}\n\n";
    let modern = |call: Call| call.header("mcp-protocol-version", "2026-07-28");
    assert_recorded(
        &[
            ("unknown method", modern(unknown), json(404, refused)),
            ("left", modern(listen.clone()), left(events(acknowledged))),
            (
                "ended",
                modern(listen),
                events([acknowledged, result].concat()),
            ),
        ],
        r#"
exchange       | method               | aim | http | outcome       | in  | out | session | revision   | text
unknown method | no/such              | -   | 404  | error -32601  | 119 | 94  | -       | 2026-07-28 | Method not found
left           | subscriptions/listen | -   | 200  | ok stream_end | 174 | -   | -       | 2026-07-28 | -
ended          | subscriptions/listen | -   | 200  | ok stream_end | 174 | 280 | -       | 2026-07-28 | -
"#,
    );
}

#[test]
fn http_and_sse_of_2024_11_05_names_the_session_in_the_endpoint() {
    let session = "dc47cd65-d00f-43f8-add7-3c409842a0c0";
    for cut in Cut::ALL {
        let mut player = Player::new(cut);
        let endpoint = format!("event: endpoint\ndata: /messages?sessionId={session}\n\n");
        let mut stream = player.open(&Call::new("GET", "/sse"), &events(endpoint));
        let post = Call::new("POST", &format!("/messages?sessionId={session}"))
            .header("content-type", "application/json")
            .body(r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}"#);
        player.play("POST", &post, &answer(202, &[], "Accepted"));
        stream.send("event: message\ndata: {\"result\":{\"protocolVersion\":\"2024-11-05\",\"serverInfo\":{\"name\":\"s\",\"version\":\"2\"}},\"jsonrpc\":\"2.0\",\"id\":0}\n\n");
        player.note("answer");
        stream.end();
        player.assert_rows(
            r#"
exchange | method     | aim | http | outcome | in  | out | session  | revision   | text
POST     | no row
answer   | initialize | -   | 202  | ok      | 146 | 129 | dc47cd65 | 2024-11-05 | -
"#,
        );
        assert_eq!(
            player.sessions(),
            ["dc47cd65 query 2024-11-05 c 1 -> s 2, 1 calls, 0 errors, ended"]
        );
    }
}
