//! The row for each kind of answer.

use http_body_util::BodyExt as _;
use tower_mcp_store::query::Reader;

use crate::recording::{
    Recording, Row, Script, Step, event_stream, exchange, json, post, post_with, response,
};

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[]}}"#;

/// Records one exchange and returns its rows.
async fn rows(request: http::Request<Script>, answer: http::Response<Script>) -> Vec<Row> {
    let recording = Recording::start();
    let _ = exchange(&recording.layer(), request, answer).await;
    recording.rows()
}

async fn row(request: http::Request<Script>, answer: http::Response<Script>) -> Row {
    let mut rows = rows(request, answer).await;
    assert_eq!(rows.len(), 1, "one row: {rows:#?}");
    rows.remove(0)
}

#[tokio::test]
async fn json_result_is_ok_and_measured() {
    let row = row(post(CALL), json(RESULT)).await;
    assert_eq!(row.method, "tools/call");
    assert_eq!(row.tool.as_deref(), Some("echo"));
    assert_eq!(row.target, None);
    assert_eq!(row.outcome(), "ok");
    assert_eq!(row.error_msg, None);
    assert_eq!(row.bytes_in, Some(CALL.len() as i64));
    assert_eq!(row.bytes_out, Some(RESULT.len() as i64));
    assert_eq!(row.http_status, Some(200));
    assert_eq!(row.proxy, "default");
    assert!(row.latency_us >= row.ttfb_us.unwrap());
    let id: uuid::Uuid = row.request_id.parse().unwrap();
    assert_eq!(id.get_version_num(), 7);
    assert_eq!(id.to_string(), row.request_id);
}

#[tokio::test]
async fn result_in_a_stream_counts_its_bytes_to_the_end_of_its_event() {
    let progress = "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":7}}\n\n";
    let result = format!("data: {RESULT}\nid: 3/1\n\n");
    let after = ": ping\n\n";
    let row = row(
        post(CALL),
        event_stream(format!("{progress}{result}{after}")),
    )
    .await;
    assert_eq!(row.outcome(), "ok");
    assert_eq!(row.bytes_out, Some((progress.len() + result.len()) as i64));
}

#[tokio::test]
async fn end_of_an_event_includes_a_line_feed_that_comes_later() {
    let text = format!("data: {RESULT}\r\n\r\n");
    let cut = text.len() - 1;
    let row = row(
        post(CALL),
        event_stream(Script::chunks([&text[..cut], &text[cut..]])),
    )
    .await;
    assert_eq!(row.bytes_out, Some(text.len() as i64));
}

#[tokio::test]
async fn flags_of_a_result_are_recorded() {
    let cases = [
        (r#"{"content":[],"isError":true}"#, "ok tool_error"),
        (r#"{"isError":false}"#, "ok"),
        (r#"{"structuredContent":{"isError":true}}"#, "ok"),
        (r#"{"resultType":"complete"}"#, "ok"),
        (
            r#"{"inputRequests":{},"resultType":"input_required"}"#,
            "ok input_required",
        ),
        (r#"{"resultType":"task","taskId":"t"}"#, "ok task"),
        (r#"{"task":{"taskId":"t"}}"#, "ok task"),
    ];
    for (result, outcome) in cases {
        let body = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{result}}}"#);
        assert_eq!(
            row(post(CALL), json(&body)).await.outcome(),
            outcome,
            "{body}"
        );
        let event = format!("data: {body}\n\n");
        assert_eq!(
            row(post(CALL), event_stream(&event)).await.outcome(),
            outcome,
            "{event}"
        );
    }
}

#[tokio::test]
async fn json_rpc_error_keeps_its_code_and_message() {
    let error =
        r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"Unknown tool: echo"}}"#;
    for answer in [
        json(error),
        event_stream(format!("data: {error}\n\n")),
        response(400, "application/json", error),
    ] {
        let status = answer.status().as_u16();
        let row = row(post(CALL), answer).await;
        assert_eq!(row.outcome(), "error -32602");
        assert_eq!(row.error_msg.as_deref(), Some("Unknown tool: echo"));
        assert_eq!(row.http_status, Some(status));
    }
}

#[tokio::test]
async fn error_without_an_id_answers_the_only_open_request() {
    for id in [r#""id":null,"#, ""] {
        let error = format!(r#"{{"jsonrpc":"2.0",{id}"error":{{"code":-32600,"message":"no"}}}}"#);
        assert_eq!(
            row(post(CALL), json(&error)).await.outcome(),
            "error -32600"
        );
    }
}

#[tokio::test]
async fn error_as_the_whole_body_answers_every_request_of_a_batch() {
    let batch =
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#;
    let error = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no batches"}}"#;
    let rows = rows(post(batch), response(400, "application/json", error)).await;
    assert_eq!(
        rows.iter().map(Row::outcome).collect::<Vec<_>>(),
        ["error -32600"; 2]
    );
}

#[tokio::test]
async fn http_error_with_a_json_rpc_error_of_no_request_has_its_code() {
    // Python 1.x gives its own errors the id "server-error".
    for id in [r#""server-error""#, "0", "null", r#""""#] {
        for status in [400, 404, 408, 504] {
            let error = format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32600,"message":"no"}}}}"#
            );
            let answer = response(status, "application/json", &error);
            let row = row(post(CALL), answer).await;
            assert_eq!(row.outcome(), "error -32600", "{status} {id}");
            assert_eq!(row.error_msg.as_deref(), Some("no"));
            assert_eq!(row.bytes_out, Some(error.len() as i64));
        }
    }
    let batch =
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"ping"}]"#;
    let error = r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"no"}}"#;
    let answer = response(400, "application/json", format!("{error}\n"));
    for row in rows(post(batch), answer).await {
        assert_eq!(row.outcome(), "error -32600");
        assert_eq!(row.bytes_out, Some(error.len() as i64));
    }
}

#[tokio::test]
async fn error_with_another_id_counts_only_in_a_failed_exchange() {
    let error = r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"no"}}"#;
    let row_of = async |answer| row(post(CALL), answer).await.outcome();
    assert_eq!(row_of(json(error)).await, "error no_response");
    let one_of_several = response(400, "application/json", format!("[{error}]"));
    assert_eq!(row_of(one_of_several).await, "error");
}

#[tokio::test]
async fn byte_order_mark_before_a_json_answer_is_skipped() {
    let marked = format!("\u{feff}{RESULT}");
    let row = row(post(CALL), json(&marked)).await;
    assert_eq!(row.outcome(), "ok");
    assert_eq!(row.bytes_out, Some(marked.len() as i64));
}

#[tokio::test]
async fn response_with_another_id_is_no_answer() {
    for id in [r#""7""#, "8", "null", "7.5"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
        assert_eq!(
            row(post(CALL), json(&body)).await.outcome(),
            "error no_response",
            "{id}"
        );
    }
    let same = r#"{"jsonrpc":"2.0","id":7.0,"result":{}}"#;
    assert_eq!(row(post(CALL), json(same)).await.outcome(), "ok");
}

#[tokio::test]
async fn http_error_without_a_json_rpc_message_keeps_its_text() {
    let cases = [
        (401, "", "", "error", Some("Unauthorized"), Some(0)),
        (
            404,
            "",
            "Not Found: Session not found",
            "error",
            Some("Not Found: Session not found"),
            Some(28),
        ),
        (
            415,
            "text/plain; charset=utf-8",
            "fail to deserialize",
            "error",
            Some("fail to deserialize"),
            Some(19),
        ),
        (
            503,
            "text/html",
            "<h1>no</h1>",
            "error",
            Some("Service Unavailable"),
            Some(11),
        ),
        (
            500,
            "application/json",
            r#"{"error":"x"}"#,
            "error",
            Some("Internal Server Error"),
            Some(13),
        ),
        (408, "", "", "timeout", Some("Request Timeout"), Some(0)),
        (504, "text/plain", "late", "timeout", Some("late"), Some(4)),
        (599, "", "", "error", None, Some(0)),
        (999, "text/plain", "busy", "error", Some("busy"), Some(4)),
    ];
    for (status, media, body, outcome, message, bytes_out) in cases {
        let row = row(post(CALL), response(status, media, body)).await;
        assert_eq!(row.outcome(), outcome, "{status}");
        assert_eq!(row.error_msg.as_deref(), message, "{status}");
        assert_eq!(row.bytes_out, bytes_out, "{status}");
        assert_eq!(row.http_status, Some(status));
    }
}

#[tokio::test]
async fn error_text_is_cut_on_a_character() {
    let long = "é".repeat(2000);
    let row = row(post(CALL), response(500, "text/plain", &long)).await;
    assert_eq!(row.error_msg, Some("é".repeat(512)));
    assert_eq!(row.bytes_out, Some(4000));
}

#[tokio::test]
async fn http_success_without_a_response_is_no_response() {
    let other = r#"data: {"jsonrpc":"2.0","method":"notifications/message","params":{}}"#;
    for answer in [
        json(""),
        json("{}"),
        json(r#"{"jsonrpc":"2.0","id":7,"resul"#),
        response(202, "", ""),
        response(200, "text/html", "<html>"),
        event_stream(""),
        event_stream(format!("{other}\n\n")),
        // The blank line that ends an event is missing, so the event was never sent.
        event_stream(format!("data: {RESULT}\n")),
        event_stream(format!("event: other\ndata: {RESULT}\n\n")),
    ] {
        let row = row(post(CALL), answer).await;
        assert_eq!(row.outcome(), "error no_response");
        assert_eq!(row.bytes_out, None);
    }
}

#[tokio::test]
async fn redirect_is_recorded_as_redirected() {
    assert_eq!(
        row(post(CALL), response(307, "", "")).await.outcome(),
        "error redirected"
    );
}

#[tokio::test]
async fn compressed_answer_is_measured_and_not_read() {
    let gzip = |status, media, body: &str| {
        let mut answer = response(status, media, body);
        answer
            .headers_mut()
            .insert("content-encoding", "gzip".parse().unwrap());
        answer
    };
    let row_ = row(post(CALL), gzip(200, "application/json", RESULT)).await;
    assert_eq!(row_.outcome(), "ok opaque");
    assert_eq!(row_.bytes_out, Some(RESULT.len() as i64));
    let row_ = row(post(CALL), gzip(200, "text/event-stream", RESULT)).await;
    assert_eq!(
        (row_.outcome().as_str(), row_.bytes_out),
        ("ok opaque", None)
    );
    let row_ = row(post(CALL), gzip(500, "application/json", RESULT)).await;
    assert_eq!(row_.outcome(), "error opaque");
}

#[tokio::test]
async fn body_that_fails_midway_is_recorded_as_body_error() {
    let broken = Script::new([Step::Data(RESULT[..20].into()), Step::Error]);
    let row = row(post(CALL), json(broken)).await;
    assert_eq!(
        (row.outcome().as_str(), row.bytes_out),
        ("error body_error", None)
    );
}

#[tokio::test]
async fn response_before_a_body_error_counts() {
    let late = Script::new([
        Step::Data(format!("data: {RESULT}\n\n").into()),
        Step::Error,
    ]);
    assert_eq!(row(post(CALL), event_stream(late)).await.outcome(), "ok");
    let late = Script::new([Step::Data(RESULT.into()), Step::Error]);
    assert_eq!(row(post(CALL), json(late)).await.outcome(), "ok");
}

#[tokio::test]
async fn each_request_of_a_batch_is_a_row() {
    let first = r#"{"jsonrpc":"2.0","id":8,"method":"tools/list"}"#;
    let second = r#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"echo"}}"#;
    let batch =
        format!(r#"[{first}, {{"jsonrpc":"2.0","method":"notifications/initialized"}}, {second}]"#);
    let answer_9 = r#"{"result":{"content":[]},"jsonrpc":"2.0","id":9}"#;
    let answer_8 = r#"{"result":{"tools":[]},"jsonrpc":"2.0","id":8}"#;

    let mut as_json = rows(post(&batch), json(format!("[{answer_9},{answer_8}]"))).await;
    as_json.sort_by(|a, b| a.method.cmp(&b.method));
    assert_eq!(
        as_json
            .iter()
            .map(|row| row.method.as_str())
            .collect::<Vec<_>>(),
        ["tools/call", "tools/list"]
    );
    assert_eq!(as_json[0].bytes_in, Some(second.len() as i64));
    assert_eq!(as_json[0].bytes_out, Some(answer_9.len() as i64));
    assert_eq!(as_json[1].bytes_in, Some(first.len() as i64));
    assert_eq!(as_json[1].bytes_out, Some(answer_8.len() as i64));

    let (event_9, event_8) = (
        format!("data: {answer_9}\n\n"),
        format!("data: {answer_8}\n\n"),
    );
    let as_events = rows(post(&batch), event_stream(format!("{event_9}{event_8}"))).await;
    assert_eq!(as_events[0].bytes_out, Some(event_9.len() as i64));
    assert_eq!(as_events[1].bytes_out, Some(event_8.len() as i64));
}

#[tokio::test]
async fn message_that_is_no_request_makes_no_row() {
    for body in [
        "",
        "not json",
        "[]",
        "17",
        r#"{"id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping""#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}"#,
    ] {
        let rows = rows(post(body), response(202, "", "")).await;
        assert!(rows.is_empty(), "{body}: {rows:#?}");
    }
    for method in ["GET", "OPTIONS", "DELETE", "PUT"] {
        let mut request = post(CALL);
        *request.method_mut() = method.parse().unwrap();
        assert!(rows(request, json(RESULT)).await.is_empty(), "{method}");
    }
}

#[tokio::test]
async fn target_of_each_method_is_recorded() {
    let cases = [
        (
            r#""method":"tools/call","params":{"name":"t","uri":"u"}"#,
            Some("t"),
            None,
        ),
        (
            r#""method":"prompts/get","params":{"name":"what?"}"#,
            None,
            Some("what?"),
        ),
        (
            r#""method":"resources/read","params":{"uri":"file:///a?b"}"#,
            None,
            Some("file:///a?b"),
        ),
        (
            r#""method":"resources/subscribe","params":{"uri":"https://me:pw@host/x@y"}"#,
            None,
            Some("https://host/x@y"),
        ),
        (
            r#""method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"}}"#,
            None,
            Some("p"),
        ),
        (
            r#""method":"completion/complete","params":{"ref":{"type":"ref/resource","uri":"r://{x}"}}"#,
            None,
            Some("r://{x}"),
        ),
        (
            r#""method":"tasks/get","params":{"taskId":"42"}"#,
            None,
            Some("42"),
        ),
        (
            r#""method":"tools/list","params":{"name":"decoy"}"#,
            None,
            None,
        ),
        (
            r#""params":{"arguments":{"name":"decoy"},"name":"météo"},"method":"tools/call""#,
            Some("météo"),
            None,
        ),
    ];
    for (members, tool, target) in cases {
        let row = row(
            post(format!(r#"{{"id":0,{members},"jsonrpc":"2.0"}}"#)),
            json(""),
        )
        .await;
        assert_eq!(
            (row.tool.as_deref(), row.target.as_deref()),
            (tool, target),
            "{members}"
        );
    }
}

#[tokio::test]
async fn setting_drops_the_query_of_a_uri() {
    let recording = Recording::start();
    let layer = recording.layer().record_target_query(false);
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"https://h/p?token=1#f"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"what?"}}"#,
    ] {
        exchange(&layer, post(body), json("")).await.unwrap();
    }
    let targets: Vec<_> = recording
        .rows()
        .into_iter()
        .filter_map(|row| row.target)
        .collect();
    assert_eq!(targets, ["https://h/p#f", "what?"]);
}

#[tokio::test]
async fn settings_leave_out_methods_and_error_texts() {
    let recording = Recording::start();
    let layer = recording
        .layer()
        .server_name("api")
        .skip_methods(["ping"])
        .record_error_text(false);
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    exchange(&layer, post(ping), json("")).await.unwrap();
    exchange(&layer, post(CALL), response(500, "text/plain", "secret"))
        .await
        .unwrap();
    let row = recording.row();
    assert_eq!(
        (row.method.as_str(), row.proxy.as_str()),
        ("tools/call", "api")
    );
    assert_eq!(row.error_msg, None);
}

#[tokio::test]
async fn text_of_a_failing_tool_is_recorded_only_on_request() {
    let answer = |is_error: bool| {
        json(format!(
            r#"{{"jsonrpc":"2.0","id":7,"result":{{"content":[{{"type":"text","text":"no flights"}}],"isError":{is_error}}}}}"#
        ))
    };
    for (wanted, is_error, expected) in [
        (true, true, Some("no flights")),
        (true, false, None),
        (false, true, None),
    ] {
        let recording = Recording::start();
        let layer = recording.layer().record_tool_error_text(wanted);
        exchange(&layer, post(CALL), answer(is_error))
            .await
            .unwrap();
        let row = recording.row();
        assert_eq!(row.tool_error, is_error);
        assert_eq!(row.error_msg.as_deref(), expected);
    }
}

#[tokio::test]
async fn trace_and_its_parent_are_taken_from_the_message_before_the_header() {
    let header = (
        "traceparent",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    );
    let row_ = row(post_with(&[header], CALL), json(RESULT)).await;
    assert_eq!(
        row_.trace_id.as_deref(),
        Some("0af7651916cd43dd8448eb211c80319c")
    );
    assert_eq!(row_.parent_span_id.as_deref(), Some("b7ad6b7169203331"));
    let inside = r#"{"jsonrpc":"2.0","id":7,"method":"ping","params":{"_meta":{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"}}}"#;
    let row_ = row(post_with(&[header], inside), json(RESULT)).await;
    assert_eq!(
        row_.trace_id.as_deref(),
        Some("4bf92f3577b34da6a3ce929d0e0e4736")
    );
    assert_eq!(row_.parent_span_id.as_deref(), Some("00f067aa0ba902b7"));
}

#[tokio::test]
async fn json_rpc_id_is_recorded_as_json_if_it_is_short() {
    let uuid = r#""0195e000-0000-7000-8000-0000000000ab""#;
    let longer = format!(r#""{}""#, "x".repeat(37));
    for (sent, recorded) in [
        ("7", Some("7")),
        ("0", Some("0")),
        ("-120", Some("-120")),
        ("1e2", Some("100")),
        ("9223372036854775807", Some("9223372036854775807")),
        (r#""7""#, Some(r#""7""#)),
        (r#""a\"\u00e9""#, Some(r#""a\"é""#)),
        (uuid, Some(uuid)),
        (&longer, None),
        ("1.5", None),
        ("9223372036854775808", None),
    ] {
        let recording = Recording::start();
        let call = format!(r#"{{"jsonrpc":"2.0","id":{sent},"method":"ping"}}"#);
        let answer = format!(r#"{{"jsonrpc":"2.0","id":{sent},"result":{{}}}}"#);
        let request = post(call.as_str());
        let _ = exchange(&recording.layer(), request, json(answer)).await;
        assert_eq!(recording.row().status, "ok", "{sent}");
        let reader = Reader::open(recording.store.path()).unwrap();
        let row = reader.request(1).unwrap().unwrap();
        assert_eq!(row.rpc_id.as_deref(), recorded, "{sent}");
    }
}

#[tokio::test]
async fn principal_comes_only_from_the_extension() {
    let recording = Recording::start();
    let mut request = post_with(&[("authorization", "Bearer secret")], CALL);
    exchange(&recording.layer(), request.clone(), json(RESULT))
        .await
        .unwrap();
    request
        .extensions_mut()
        .insert(tower_mcp_store::Principal::new("alice"));
    exchange(&recording.layer(), request, json(RESULT))
        .await
        .unwrap();
    let principals: Vec<_> = recording
        .rows()
        .into_iter()
        .map(|row| row.principal)
        .collect();
    assert_eq!(principals, [None, Some("alice".to_owned())]);
}

#[tokio::test]
async fn long_text_is_cut_and_counted() {
    let recording = Recording::start();
    let (method, tool) = ("m".repeat(1 << 20), "é".repeat(1000));
    for body in [
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}"}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{tool}"}}}}"#),
    ] {
        exchange(&recording.layer(), post(body), json(RESULT))
            .await
            .unwrap();
    }
    let rows = recording.rows();
    assert_eq!(rows[0].method, "m".repeat(128));
    assert_eq!(rows[1].tool, Some("é".repeat(256)));
    assert_eq!(recording.store.stats().truncated, 2);
}

#[tokio::test]
async fn request_refused_unread_is_recorded_from_its_mirror_headers() {
    use tower::{Layer as _, ServiceExt as _};
    let refuse = |_: http::Request<tower_mcp_store::StoreBody<Script>>| async {
        Ok::<_, std::convert::Infallible>(response(401, "", ""))
    };
    let recording = Recording::start();
    let service = recording.layer().layer(tower::service_fn(refuse));
    let named = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "=?base64?bcOpdMOpbw==?="),
    ];
    for headers in [&named[..], &[]] {
        service
            .clone()
            .oneshot(post_with(headers, CALL))
            .await
            .unwrap();
    }
    let row = recording.row();
    assert_eq!(
        (row.method.as_str(), row.tool.as_deref()),
        ("tools/call", Some("météo"))
    );
    assert_eq!(row.outcome(), "error");
    assert_eq!((row.http_status, row.bytes_in), (Some(401), Some(0)));
    assert_eq!(row.protocol_version.as_deref(), Some("2026-07-28"));
    assert_eq!(recording.store.stats().unidentified, 1);
}

#[tokio::test]
async fn request_refused_unread_has_the_code_and_text_of_its_json_rpc_error() {
    use tower::{Layer as _, ServiceExt as _};
    const REFUSED: &str =
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"too large"}}"#;
    let named = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "echo"),
    ];
    for read_late in [false, true] {
        let (keep, kept) = std::sync::mpsc::channel();
        let refuse = move |request: http::Request<tower_mcp_store::StoreBody<Script>>| {
            keep.send(request.into_body()).unwrap();
            async { Ok::<_, std::convert::Infallible>(response(413, "application/json", REFUSED)) }
        };
        let recording = Recording::start();
        let service = recording.layer().layer(tower::service_fn(refuse));
        let headers = if read_late { &[][..] } else { &named };
        let answer = service.oneshot(post_with(headers, CALL)).await.unwrap();
        answer.into_body().collect().await.unwrap();
        if read_late {
            kept.recv().unwrap().collect().await.unwrap();
        }
        let row = recording.row();
        assert_eq!(row.outcome(), "error -32600");
        assert_eq!(row.error_msg.as_deref(), Some("too large"));
        assert_eq!(row.http_status, Some(413));
        assert_eq!(row.bytes_out, Some(REFUSED.len() as i64));
        assert_eq!(recording.store.stats().unidentified, 0);
    }
}

#[tokio::test]
async fn mirror_header_that_contradicts_the_body_is_counted_and_the_body_wins() {
    const NAMED: &str =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"météo"}}"#;
    const NAMELESS: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}"#;
    const READ: &str =
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file://u:p@h/a"}}"#;
    const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let cases = [
        (NAMED, "tools/call", "=?base64?bcOpdMOpbw==?=", false),
        (NAMED, "tools/call", "=?base64?bWV0ZW8=?=", true),
        (NAMED, "tools/call", "meteo", true),
        (NAMED, "Tools/Call", "=?base64?bcOpdMOpbw==?=", true),
        (NAMED, "ping", "=?base64?bcOpdMOpbw==?=", true),
        (NAMELESS, "tools/call", "meteo", true),
        (READ, "resources/read", "file://u:p@h/a", false),
        (READ, "resources/read", "file://h/a", true),
        // No header can name a target for this method.
        (LIST, "tools/list", "meteo", false),
    ];
    for (body, method, name, mismatched) in cases {
        let recording = Recording::start();
        let headers = [("mcp-method", method), ("mcp-name", name)];
        let _ = exchange(&recording.layer(), post_with(&headers, body), json(RESULT)).await;
        let count = recording.store.stats().mismatched;
        assert_eq!(count, u64::from(mismatched), "{method} {name}: {body}");
        let sent: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(recording.row().method, sent["method"]);
    }
}

/// Sends a request to a service that reads it only after its answer has ended.
async fn read_late(recording: &Recording, request: http::Request<Script>, status: u16) {
    use tower::{Layer as _, ServiceExt as _};
    let (keep, kept) = std::sync::mpsc::channel();
    let answer = move |request: http::Request<tower_mcp_store::StoreBody<Script>>| {
        keep.send(request.into_body()).unwrap();
        async move { Ok::<_, std::convert::Infallible>(response(status, "", "")) }
    };
    let service = recording.layer().layer(tower::service_fn(answer));
    service.oneshot(request).await.unwrap();
    kept.recv().unwrap().collect().await.unwrap();
}

#[tokio::test]
async fn request_read_after_its_refusal_counts_once() {
    let recording = Recording::start();
    let named = [("mcp-method", "tools/call"), ("mcp-name", "mirrored")];
    for headers in [&named[..], &[]] {
        read_late(&recording, post_with(headers, CALL), 413).await;
    }
    let tools: Vec<_> = recording.rows().into_iter().map(|row| row.tool).collect();
    assert_eq!(
        tools,
        [Some("mirrored".to_owned()), Some("echo".to_owned())]
    );
    let stats = recording.store.stats();
    assert_eq!((stats.failed, stats.unidentified), (0, 0));
}

#[tokio::test]
async fn request_read_after_its_answer_has_the_size_of_its_message() {
    let recording = Recording::start();
    let (whole, pieces) = (format!("{CALL}\n"), [CALL, "\n"]);
    for body in [Script::chunks([whole]), Script::chunks(pieces)] {
        read_late(&recording, post(body), 202).await;
    }
    let sizes: Vec<_> = recording
        .rows()
        .into_iter()
        .map(|row| row.bytes_in)
        .collect();
    assert_eq!(sizes, [Some(CALL.len() as i64); 2]);
}
