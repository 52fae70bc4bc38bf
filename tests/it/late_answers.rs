//! Requests whose answer arrives in another exchange or never: resumed streams, HTTP+SSE of
//! 2024-11-05, and cancellation.

use std::convert::Infallible;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt, service_fn};
use tower_mcp_store::{StoreBody, StoreLayer};

use crate::recording::{
    self, Recording, Row, Script, Step, event_stream, exchange, json, live, post_with, response,
};

const SESSION: [(&str, &str); 2] = [
    ("mcp-session-id", "s-1"),
    ("mcp-protocol-version", "2025-11-25"),
];
const CALL: &str = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"slow"}}"#;
const RESULT: &str = "event: message\nid: 1/3\ndata: {\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"isError\":true}}\n\n";
const PRIMING: &str = "data: \nid: 0/3\nretry: 3000\n\n";

fn get(uri: &str, headers: &[(&str, &str)]) -> Request<Script> {
    let mut request = post_with(headers, "");
    *request.method_mut() = http::Method::GET;
    *request.uri_mut() = uri.parse().unwrap();
    request
}

fn cancel(id: &str, reason: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}{reason}}}}}"#
    )
}

/// Calls through the layer and drops the answer after `frames` frames.
async fn leave(
    layer: &StoreLayer,
    request: Request<Script>,
    answer: Response<Script>,
    frames: usize,
) {
    let service = layer.layer(recording::answering(answer));
    let mut body = service.oneshot(request).await.unwrap().into_body();
    for _ in 0..frames {
        body.frame().await.unwrap().unwrap();
    }
}

fn without_times(mut row: Row) -> Row {
    (row.latency_us, row.ttfb_us) = (0, None);
    row.request_id.clear();
    row
}

#[tokio::test]
async fn answer_on_a_later_stream_of_the_session_is_resumed() {
    // The server closed the stream (2025-11-25 polling), or the client lost it.
    for frames in [1, 2] {
        let recording = Recording::start();
        let layer = recording.layer();
        let mut steps = vec![Step::Data(PRIMING.into())];
        if frames == 1 {
            steps.push(Step::Hang);
        }
        let answer = event_stream(Script::new(steps));
        let request = post_with(&SESSION, CALL);
        if frames == 1 {
            leave(&layer, request, answer, 1).await;
        } else {
            exchange(&layer, request, answer).await.unwrap();
        }
        assert!(recording.rows().is_empty(), "nothing is known yet");
        assert_eq!(recording.store.stats().in_flight, 0);

        exchange(&layer, get("/mcp", &SESSION), event_stream(RESULT))
            .await
            .unwrap();
        let row = recording.row();
        assert_eq!(row.outcome(), "ok resumed tool_error");
        assert_eq!((row.bytes_out, row.http_status), (None, Some(200)));
        assert_eq!(row.bytes_in, Some(CALL.len() as i64));
        assert_eq!(row.tool.as_deref(), Some("slow"));
    }
}

#[tokio::test]
async fn answer_on_a_later_stream_counts_while_the_old_stream_is_open() {
    let recording = Recording::start();
    let layer = recording.layer();
    let answer = event_stream(Script::new([Step::Data(PRIMING.into()), Step::Hang]));
    let service = layer.layer(recording::answering(answer));
    let mut body = service
        .oneshot(post_with(&SESSION, CALL))
        .await
        .unwrap()
        .into_body();
    body.frame().await.unwrap().unwrap();

    exchange(&layer, get("/mcp", &SESSION), event_stream(RESULT))
        .await
        .unwrap();
    drop(body);
    assert_eq!(recording.row().outcome(), "ok resumed tool_error");
}

/// Returns the open body of a call, and the sender of its events.
async fn open_call(
    layer: &StoreLayer,
    body: &str,
) -> (
    tokio::sync::mpsc::UnboundedSender<bytes::Bytes>,
    StoreBody<Script>,
) {
    let (events, stream) = live();
    let service = layer.layer(recording::answering(event_stream(stream)));
    let answer = service.oneshot(post_with(&SESSION, body)).await.unwrap();
    let mut answer = answer.into_body();
    events.send(PRIMING.into()).unwrap();
    answer.frame().await.unwrap().unwrap();
    (events, answer)
}

/// Returns an event with the answer to the call.
fn answer_event(answer: &str) -> String {
    format!("id: 2/3\ndata: {{\"jsonrpc\":\"2.0\",\"id\":3,{answer}}}\n\n")
}

const FAILURE: &str = r#""error":{"code":-32603,"message":"boom"}"#;

#[tokio::test]
async fn copy_of_an_answer_leaves_the_call_to_its_own_exchange() {
    let recording = Recording::start();
    let layer = recording.layer();
    let (events, answer) = open_call(&layer, CALL).await;
    for _ in 0..2 {
        exchange(&layer, get("/mcp", &SESSION), event_stream(RESULT))
            .await
            .unwrap();
    }
    assert!(recording.rows().is_empty(), "its own exchange is open");
    let own = answer_event(FAILURE);
    events.send(own.clone().into()).unwrap();
    drop(events);
    answer.collect().await.unwrap();
    let row = recording.row();
    assert_eq!(row.outcome(), "error -32603");
    assert_eq!(row.bytes_out, Some((PRIMING.len() + own.len()) as i64));
}

#[tokio::test]
async fn copy_counts_if_the_own_exchange_ends_without_the_answer() {
    for end in [
        Step::Error,
        Step::Data(": that was all\n\n".into()),
        Step::Panic,
    ] {
        let recording = Recording::start();
        let layer = recording.layer();
        let steps = [Step::Data(PRIMING.into()), end.clone()];
        let service = layer.layer(recording::answering(event_stream(Script::new(steps))));
        let answer = service.oneshot(post_with(&SESSION, CALL)).await.unwrap();
        let mut answer = answer.into_body();
        answer.frame().await.unwrap().unwrap();
        exchange(&layer, get("/mcp", &SESSION), event_stream(RESULT))
            .await
            .unwrap();
        let _ = tokio::spawn(answer.collect()).await;
        let row = recording.row();
        assert_eq!(row.outcome(), "ok resumed tool_error", "{end:?}");
        assert_eq!((row.bytes_out, row.http_status), (None, Some(200)));
    }
}

#[tokio::test]
async fn copy_before_the_head_gives_no_latency_before_the_head() {
    let recording = Recording::start();
    let layer = recording.layer();
    let (go_on, may_go_on) = tokio::sync::watch::channel(false);
    let service = layer.layer(service_fn(move |request: Request<StoreBody<Script>>| {
        let mut may_go_on = may_go_on.clone();
        async move {
            let _ = request.into_body().collect().await;
            may_go_on.wait_for(|go_on| *go_on).await.unwrap();
            Ok::<_, Infallible>(event_stream(PRIMING))
        }
    }));
    let mut call = std::pin::pin!(service.oneshot(post_with(&SESSION, CALL)));
    let waits = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await;
    assert!(waits, "there is no head yet");
    exchange(&layer, get("/mcp", &SESSION), event_stream(RESULT))
        .await
        .unwrap();
    go_on.send(true).unwrap();
    call.await.unwrap().into_body().collect().await.unwrap();
    let row = recording.row();
    assert_eq!(row.outcome(), "ok resumed tool_error");
    assert_eq!(row.http_status, Some(200));
    assert!(row.ttfb_us.unwrap() <= row.latency_us, "{row:?}");
}

#[tokio::test]
async fn initialize_that_only_a_copy_answers_begins_its_session() {
    const HELLO: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"clientInfo":{"name":"c","version":"1"}}}"#;
    const WELCOME: &str = "data: {\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocolVersion\":\"2025-11-25\",\"serverInfo\":{\"name\":\"s\",\"version\":\"2\"}}}\n\n";
    let recording = Recording::start();
    let layer = recording.layer();
    let mut answer = event_stream(Script::new([Step::Data(PRIMING.into()), Step::Hang]));
    let session = SESSION[0];
    answer
        .headers_mut()
        .insert(session.0, session.1.parse().unwrap());
    let service = layer.layer(recording::answering(answer));
    let answer = service.oneshot(post_with(&[], HELLO)).await.unwrap();
    let mut answer = answer.into_body();
    answer.frame().await.unwrap().unwrap();
    exchange(&layer, get("/mcp", &SESSION), event_stream(WELCOME))
        .await
        .unwrap();
    drop(answer);
    assert_eq!(recording.row().outcome(), "ok resumed");
    let sessions = recording.sessions();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].server_name.as_deref(), Some("s"));
    assert_eq!(sessions[0].client_name.as_deref(), Some("c"));
    assert_eq!(sessions[0].total_calls, 1);
}

#[tokio::test]
async fn cancelled_call_that_only_a_copy_answers_is_cancelled() {
    let recording = Recording::start();
    let layer = recording.layer();
    let (_events, answer) = open_call(&layer, CALL).await;
    let request = post_with(&SESSION, cancel("3", ""));
    exchange(&layer, request, response(202, "", ""))
        .await
        .unwrap();
    let copy = answer_event(r#""error":{"code":-32800,"message":"Request cancelled"}"#);
    exchange(&layer, get("/mcp", &SESSION), event_stream(copy))
        .await
        .unwrap();
    drop(answer);
    assert_eq!(recording.row().outcome(), "error cancelled");
}

#[tokio::test]
async fn two_calls_with_one_id_have_an_answer_each() {
    // The older call waits for its answer in another exchange. The newer call is open.
    let recording = Recording::start();
    let layer = recording.layer();
    let older = CALL.replace("slow", "older");
    exchange(&layer, post_with(&SESSION, older), event_stream(PRIMING))
        .await
        .unwrap();
    let (events, answer) = open_call(&layer, CALL).await;
    let failure = answer_event(FAILURE);
    exchange(&layer, get("/mcp", &SESSION), event_stream(failure))
        .await
        .unwrap();
    events.send(answer_event(r#""result":{}"#).into()).unwrap();
    drop(events);
    answer.collect().await.unwrap();
    let rows = recording.rows();
    let outcomes: Vec<_> = rows
        .iter()
        .map(|row| (row.tool.as_deref().unwrap(), row.outcome()))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("older", "error -32603 resumed".to_owned()),
            ("slow", "ok".to_owned())
        ]
    );
}

#[tokio::test]
async fn replayed_answer_does_not_answer_a_later_call_with_its_id() {
    let own = format!("id: 1/1\ndata: {{\"jsonrpc\":\"2.0\",\"id\":3,{FAILURE}}}\n\n");
    // The later call waits for its answer in another exchange, or is open when the replay arrives.
    for is_open in [false, true] {
        let recording = Recording::start();
        let layer = recording.layer();
        exchange(&layer, post_with(&SESSION, CALL), event_stream(&own))
            .await
            .unwrap();
        let later = CALL.replace("slow", "later");
        let (events, answer) = open_call(&layer, &later).await;
        let mut answer = Some(answer);
        drop(events);
        if !is_open {
            answer.take().unwrap().collect().await.unwrap();
        }
        exchange(&layer, get("/mcp", &SESSION), event_stream(&own))
            .await
            .unwrap();
        drop(answer);
        assert_eq!(recording.rows().len(), 1, "the later call still waits");
        exchange(
            &layer,
            get("/mcp", &SESSION),
            event_stream(own.clone() + RESULT),
        )
        .await
        .unwrap();
        let outcomes = recording.rows();
        let outcomes: Vec<_> = outcomes.iter().map(Row::outcome).collect();
        assert_eq!(outcomes, ["error -32603", "ok resumed tool_error"]);
    }
}

#[tokio::test]
async fn number_of_remembered_copies_is_bounded() {
    const CALLS: usize = 400;
    let recording = Recording::start();
    let layer = recording.layer();
    let calls = (0..CALLS).map(|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
    let batch = format!("[{}]", Vec::from_iter(calls).join(","));
    let (_events, answer) = open_call(&layer, &batch).await;
    let copies = (0..CALLS).map(|id| {
        let text = "x".repeat(400);
        format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":1,\"message\":\"{text}\"}}}}\n\n")
    });
    exchange(
        &layer,
        get("/mcp", &SESSION),
        event_stream(Script::chunks(copies)),
    )
    .await
    .unwrap();
    recording.store.shutdown(Duration::from_secs(20)).unwrap();
    drop(answer);
    let ends: Vec<String> = recording.column_after_shutdown("SELECT end_reason FROM requests");
    let resumed = ends.iter().filter(|end| *end == "resumed").count();
    assert_eq!(ends.len(), CALLS);
    assert!((50..CALLS / 2).contains(&resumed), "{resumed}");
    assert!(ends.iter().all(|end| end == "resumed" || end == "shutdown"));
}

#[tokio::test]
async fn replay_is_not_counted_twice() {
    let recording = Recording::start();
    let layer = recording.layer();
    let whole = format!("{PRIMING}{RESULT}");
    exchange(&layer, post_with(&SESSION, CALL), event_stream(&whole))
        .await
        .unwrap();
    for _ in 0..3 {
        exchange(&layer, get("/mcp", &SESSION), event_stream(&whole))
            .await
            .unwrap();
    }
    assert_eq!(recording.row().outcome(), "ok tool_error");
}

#[tokio::test]
async fn answer_of_another_session_is_ignored() {
    let recording = Recording::start();
    let layer = recording.layer();
    exchange(&layer, post_with(&SESSION, CALL), event_stream(PRIMING))
        .await
        .unwrap();
    let other = [("mcp-session-id", "s-2")];
    exchange(&layer, get("/mcp", &other), event_stream(RESULT))
        .await
        .unwrap();
    assert!(recording.rows().is_empty());
}

#[tokio::test]
async fn missing_answer_is_detached_and_a_client_that_left_is_gone() {
    let recording = Recording::start();
    let layer = recording.layer().resume_grace(Duration::from_millis(1));
    exchange(&layer, post_with(&SESSION, CALL), event_stream(PRIMING))
        .await
        .unwrap();
    assert_eq!(recording.first_row().await.outcome(), "timeout detached");

    let recording = Recording::start();
    let layer = recording.layer().resume_grace(Duration::from_millis(1));
    let hanging = event_stream(Script::new([Step::Data(PRIMING.into()), Step::Hang]));
    leave(&layer, post_with(&SESSION, CALL), hanging, 1).await;
    assert_eq!(recording.first_row().await.outcome(), "error client_gone");

    let recording = Recording::start();
    let layer = recording.layer().resume_grace(Duration::from_millis(1));
    let broken = event_stream(Script::new([Step::Data(PRIMING.into()), Step::Error]));
    exchange(&layer, post_with(&SESSION, CALL), broken)
        .await
        .unwrap_err();
    assert_eq!(recording.first_row().await.outcome(), "error body_error");
}

#[tokio::test]
async fn end_of_the_session_ends_the_wait_for_answers() {
    let recording = Recording::start();
    let layer = recording.layer();
    exchange(&layer, post_with(&SESSION, CALL), event_stream(PRIMING))
        .await
        .unwrap();
    let mut delete = post_with(&SESSION, "");
    *delete.method_mut() = http::Method::DELETE;
    exchange(&layer, delete, response(200, "", ""))
        .await
        .unwrap();
    assert_eq!(recording.row().outcome(), "timeout detached");
}

#[tokio::test]
async fn shutdown_of_the_store_ends_the_wait_for_answers() {
    let recording = Recording::start();
    exchange(
        &recording.layer(),
        post_with(&SESSION, CALL),
        event_stream(PRIMING),
    )
    .await
    .unwrap();
    let stats = recording.store.shutdown(Duration::from_secs(20)).unwrap();
    assert_eq!(stats.written, 1);
    let ends: Vec<String> = recording.column_after_shutdown("SELECT end_reason FROM requests");
    assert_eq!(ends, ["shutdown"]);
}

#[tokio::test]
async fn only_a_resumable_stream_keeps_its_call_open() {
    let no_id =
        "event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";
    let stateless = [("mcp-protocol-version", "2026-07-28")];
    for (headers, stream) in [(&SESSION[..], no_id), (&[], PRIMING), (&stateless, PRIMING)] {
        let recording = Recording::start();
        let request = post_with(headers, CALL);
        exchange(&recording.layer(), request, event_stream(stream))
            .await
            .unwrap();
        assert_eq!(
            recording.row().outcome(),
            "error no_response",
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn http_and_sse_of_2024_joins_post_and_stream() {
    let recording = Recording::start();
    let layer = recording.layer();
    let (events, stream) = live();
    let service = layer.layer(service_fn(move |request: Request<StoreBody<Script>>| {
        let stream = stream.clone();
        async move {
            let is_get = request.method() == http::Method::GET;
            let _ = request.into_body().collect().await;
            Ok::<_, Infallible>(match is_get {
                true => event_stream(stream),
                false => response(202, "", "Accepted"),
            })
        }
    }));
    let client = service.clone().oneshot(get("/sse", &[])).await.unwrap();
    let mut client = client.into_body();
    let post = async |body: &str| {
        let mut request = post_with(&[], body);
        *request.uri_mut() = "/messages?sessionId=dc47".parse().unwrap();
        service
            .clone()
            .oneshot(request)
            .await
            .unwrap()
            .into_body()
            .collect()
            .await
            .unwrap();
    };

    events
        .send("event: endpoint\r\ndata: /messages?sessionId=dc47\r\n\r\n".into())
        .unwrap();
    client.frame().await.unwrap().unwrap();

    post(r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"clientInfo":{"name":"old","version":"1"}}}"#).await;
    let initialized = ": ping\n\nevent: message\ndata: {\"result\":{\"protocolVersion\":\"2024-11-05\",\"serverInfo\":{\"name\":\"s\",\"version\":\"2\"}},\"jsonrpc\":\"2.0\",\"id\":0}\n\n";
    events.send(initialized.into()).unwrap();
    client.frame().await.unwrap().unwrap();

    post(CALL).await;
    events.send(RESULT.into()).unwrap();
    client.frame().await.unwrap().unwrap();

    // This call gets no answer: the stream ends first.
    post(r#"{"jsonrpc":"2.0","id":4,"method":"ping"}"#).await;
    drop(events);
    assert!(client.frame().await.is_none());
    drop(client);

    let rows: Vec<_> = recording.rows().into_iter().map(without_times).collect();
    let outcomes: Vec<_> = rows
        .iter()
        .map(|row| (row.method.as_str(), row.outcome()))
        .collect();
    assert_eq!(
        outcomes,
        [
            ("initialize", "ok".to_owned()),
            ("tools/call", "ok tool_error".to_owned()),
            ("ping", "timeout detached".to_owned()),
        ]
    );
    assert!(
        rows.iter()
            .all(|row| row.session_id.as_deref() == Some("dc47"))
    );
    assert!(rows.iter().all(|row| row.http_status == Some(202)));
    assert!(
        rows.iter().all(
            |row| row.protocol_version.as_deref() == Some("2024-11-05") || row.method == "ping"
        )
    );
    assert_eq!(rows[0].bytes_out, Some(initialized.len() as i64 - 8));
    assert_eq!(rows[1].bytes_out, Some(RESULT.len() as i64));

    let sessions = recording.sessions();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].source, "query");
    assert_eq!(sessions[0].client_name.as_deref(), Some("old"));
    assert_eq!(sessions[0].server_version.as_deref(), Some("2"));
    assert_eq!((sessions[0].total_calls, sessions[0].total_errors), (3, 1));
    assert!(
        sessions[0].ended,
        "the end of the GET stream ends the session"
    );
}

#[tokio::test]
async fn answer_before_the_202_makes_the_same_row() {
    let recording = Recording::start();
    let layer = recording.layer();
    let (events, stream) = live();
    let (accept, accepted) = tokio::sync::watch::channel(false);
    let service = layer.layer(service_fn(move |request: Request<StoreBody<Script>>| {
        let (stream, mut accepted) = (stream.clone(), accepted.clone());
        async move {
            let is_get = request.method() == http::Method::GET;
            let _ = request.into_body().collect().await;
            if is_get {
                return Ok::<_, Infallible>(event_stream(stream));
            }
            accepted.wait_for(|accepted| *accepted).await.unwrap();
            Ok(response(202, "", "Accepted"))
        }
    }));
    let client = service.clone().oneshot(get("/sse", &[])).await.unwrap();
    let mut client = client.into_body();
    events
        .send("event: endpoint\ndata: /messages?sessionId=dc47\n\n".into())
        .unwrap();
    client.frame().await.unwrap().unwrap();

    let mut request = post_with(&[], CALL);
    *request.uri_mut() = "/messages?sessionId=dc47".parse().unwrap();
    let mut post = std::pin::pin!(service.oneshot(request));
    let sent = poll_fn(|cx| Poll::Ready(post.as_mut().poll(cx).is_pending())).await;
    assert!(sent, "the server has the request and says nothing");
    events.send(RESULT.into()).unwrap();
    client.frame().await.unwrap().unwrap();
    accept.send(true).unwrap();
    post.await.unwrap().into_body().collect().await.unwrap();

    let row = recording.row();
    assert_eq!(row.outcome(), "ok tool_error");
    assert_eq!(row.http_status, Some(202));
    assert_eq!(row.bytes_out, Some(RESULT.len() as i64));
}

#[tokio::test]
async fn accepted_request_of_an_unannounced_session_is_no_response() {
    let recording = Recording::start();
    let mut request = post_with(&[], CALL);
    *request.uri_mut() = "/messages?sessionId=dc47".parse().unwrap();
    exchange(&recording.layer(), request, response(202, "", "Accepted"))
        .await
        .unwrap();
    let row = recording.row();
    assert_eq!(
        (row.outcome().as_str(), row.session_id),
        ("error no_response", None)
    );
}

#[tokio::test]
async fn cancelled_request_is_recorded_and_a_time_out_is_told_apart() {
    let cases = [
        (
            r#","reason":"user stop""#,
            "error cancelled",
            Some("user stop"),
        ),
        (
            r#","reason":"McpError: MCP error -32001: Request timed out""#,
            "timeout cancelled",
            Some("McpError: MCP error -32001: Request timed out"),
        ),
        (
            r#","reason":"request timeout""#,
            "timeout cancelled",
            Some("request timeout"),
        ),
        ("", "error cancelled", None),
    ];
    for (reason, outcome, message) in cases {
        let recording = Recording::start();
        let layer = recording.layer();
        let hanging = event_stream(Script::new([Step::Data(PRIMING.into()), Step::Hang]));
        let service = layer.layer(recording::answering(hanging));
        let mut body = service
            .oneshot(post_with(&SESSION, CALL))
            .await
            .unwrap()
            .into_body();
        body.frame().await.unwrap().unwrap();
        let request = post_with(&SESSION, cancel("3", reason));
        exchange(&layer, request, response(202, "", ""))
            .await
            .unwrap();
        drop(body);
        let row = recording.row();
        assert_eq!(row.outcome(), outcome, "{reason}");
        assert_eq!(row.error_msg.as_deref(), message);
    }
}

#[tokio::test]
async fn cancelled_request_whose_stream_is_lost_ends_at_once() {
    let recording = Recording::start();
    let layer = recording.layer();
    exchange(&layer, post_with(&SESSION, CALL), event_stream(PRIMING))
        .await
        .unwrap();
    let request = post_with(&SESSION, cancel("3", ""));
    exchange(&layer, request, response(202, "", ""))
        .await
        .unwrap();
    assert_eq!(recording.row().outcome(), "error cancelled");
}

#[tokio::test]
async fn response_counts_before_the_cancellation() {
    for (answer, outcome) in [
        (r#""result":{}"#, "ok"),
        (
            r#""error":{"code":-32603,"message":"boom"}"#,
            "error -32603",
        ),
        // The Python SDK sends this error so that the stream can end.
        (
            r#""error":{"code":-32800,"message":"Request cancelled"}"#,
            "error cancelled",
        ),
    ] {
        let recording = Recording::start();
        let layer = recording.layer();
        let (events, stream) = live();
        let service = layer.layer(recording::answering(event_stream(stream)));
        // A server that answers from another task has read the request by then.
        let body = service
            .oneshot(post_with(&SESSION, CALL))
            .await
            .unwrap()
            .into_body();
        let request = post_with(&SESSION, cancel("3", r#","reason":"stop""#));
        exchange(&layer, request, response(202, "", ""))
            .await
            .unwrap();
        events
            .send(format!("data: {{\"jsonrpc\":\"2.0\",\"id\":3,{answer}}}\n\n").into())
            .unwrap();
        drop(events);
        body.collect().await.unwrap();
        assert_eq!(recording.row().outcome(), outcome);
    }
}

#[tokio::test]
async fn call_is_found_among_many_that_wait() {
    const CALLS: usize = 200;
    let recording = Recording::start();
    let layer = recording.layer();
    for id in 0..CALLS {
        let call = CALL.replace("\"id\":3", &format!("\"id\":{id}"));
        exchange(&layer, post_with(&SESSION, call), event_stream(PRIMING))
            .await
            .unwrap();
    }
    let cancelled = [0, 1, 15, 16, 17, 100, CALLS - 1];
    let batch: Vec<_> = cancelled
        .iter()
        .map(|id| cancel(&id.to_string(), ""))
        .collect();
    let batch = format!("[{}]", batch.join(","));
    exchange(&layer, post_with(&SESSION, batch), response(202, "", ""))
        .await
        .unwrap();
    let rows = recording.rows();
    assert_eq!(rows.len(), cancelled.len());
    assert!(rows.iter().all(|row| row.outcome() == "error cancelled"));

    let answered = [2, 14, 50, 150, CALLS - 2];
    let results: Vec<_> = answered
        .iter()
        .map(|id| RESULT.replace("\"id\":3", &format!("\"id\":{id}")))
        .collect();
    exchange(
        &layer,
        get("/mcp", &SESSION),
        event_stream(results.concat()),
    )
    .await
    .unwrap();
    let rows = &recording.rows()[cancelled.len()..];
    assert_eq!(rows.len(), answered.len());
    assert!(
        rows.iter()
            .all(|row| row.outcome() == "ok resumed tool_error")
    );
}

#[tokio::test]
async fn cancellation_hits_only_the_request_it_names() {
    let cancels = [
        (cancel("4", ""), &SESSION[..]),
        (cancel("\"3\"", ""), &SESSION),
        (cancel("3", ""), &[("mcp-session-id", "s-2")]),
        (cancel("3", ""), &[]),
    ];
    for (body, headers) in cancels {
        let recording = Recording::start();
        let layer = recording.layer();
        let answer = json(Script::new([Step::Hang]));
        let service = layer.layer(recording::answering(answer));
        let call = service.oneshot(post_with(&SESSION, CALL)).await.unwrap();
        let request = post_with(headers, &body);
        exchange(&layer, request, response(202, "", ""))
            .await
            .unwrap();
        drop(call);
        assert_eq!(
            recording.row().outcome(),
            "error client_gone",
            "{body} {headers:?}"
        );
    }
}

#[tokio::test]
async fn cancellation_of_a_session_whose_id_begins_alike_hits_nothing() {
    let [ours, theirs] = ["a", "b"].map(|last| "x".repeat(256) + last);
    let recording = Recording::start();
    let layer = recording.layer();
    let answer = json(Script::new([Step::Hang]));
    let service = layer.layer(recording::answering(answer));
    let request = post_with(&[("mcp-session-id", &ours)], CALL);
    let call = service.oneshot(request).await.unwrap();
    let request = post_with(&[("mcp-session-id", &theirs)], cancel("3", ""));
    exchange(&layer, request, response(202, "", ""))
        .await
        .unwrap();
    drop(call);
    assert_eq!(recording.row().outcome(), "error client_gone");
}

#[tokio::test]
async fn request_of_the_server_changes_no_row() {
    let recording = Recording::start();
    let layer = recording.layer();
    // The server's request has the same id as the client's.
    let asks = r#"data: {"jsonrpc":"2.0","id":3,"method":"elicitation/create","params":{"message":"name?"}}"#;
    let (events, stream) = live();
    let service = layer.layer(recording::answering(event_stream(stream)));
    let mut body = service
        .oneshot(post_with(&SESSION, CALL))
        .await
        .unwrap()
        .into_body();
    events.send(format!("{asks}\n\n").into()).unwrap();
    body.frame().await.unwrap().unwrap();
    let answer =
        r#"{"jsonrpc":"2.0","id":3,"result":{"action":"accept","content":{"name":"Ada"}}}"#;
    exchange(&layer, post_with(&SESSION, answer), response(202, "", ""))
        .await
        .unwrap();
    assert!(recording.rows().is_empty());
    events.send(RESULT.into()).unwrap();
    body.frame().await.unwrap().unwrap();
    assert_eq!(recording.row().outcome(), "ok tool_error");
}

/// Returns a session of 2024-11-05 with one request that waits for its answer.
async fn one_that_waits(layer: &StoreLayer) -> impl Sized {
    let (events, stream) = live();
    let endpoint = "event: endpoint\ndata: /messages?sessionId=x\n\n";
    let service = layer.layer(recording::answering(event_stream(stream)));
    let get = service.oneshot(get("/sse", &[])).await.unwrap();
    let mut get = get.into_body();
    events.send(endpoint.into()).unwrap();
    get.frame().await.unwrap().unwrap();
    let mut request = post_with(&[], CALL);
    *request.uri_mut() = "/messages?sessionId=x".parse().unwrap();
    exchange(layer, request, response(202, "", ""))
        .await
        .unwrap();
    (events, get)
}

#[tokio::test]
async fn drop_of_the_last_handle_writes_waiting_calls() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp.db");
    let layer = StoreLayer::try_new(&path).unwrap();
    let streams = one_that_waits(&layer).await;
    drop(streams);
    exchange(&layer, post_with(&SESSION, CALL), event_stream(PRIMING))
        .await
        .unwrap();
    drop(layer);
    let file = rusqlite::Connection::open(&path).unwrap();
    let ends: Vec<String> = file
        .prepare("SELECT end_reason FROM requests ORDER BY end_reason")
        .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
        .unwrap();
    assert_eq!(ends, ["detached", "shutdown"]);
    let living: i64 = file
        .query_row(
            "SELECT count(*) FROM writers WHERE ended_at IS NULL",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(living, 0, "the file is closed in order");
}

#[tokio::test]
async fn no_call_waits_after_the_shutdown() {
    let recording = Recording::start();
    let layer = recording.layer();
    recording.store.shutdown(Duration::from_secs(20)).unwrap();
    exchange(&layer, post_with(&SESSION, CALL), event_stream(PRIMING))
        .await
        .unwrap();
    let stats = recording.store.stats();
    assert_eq!((stats.submitted, stats.dropped), (1, 1));
}

#[tokio::test]
async fn end_of_the_session_reaches_open_exchanges() {
    // The GET stream of 2024-11-05 ends before the client reads the 202.
    let recording = Recording::start();
    let layer = recording.layer();
    let streams = one_that_waits(&layer).await;
    let mut request = post_with(&[], CALL.replace("3", "4"));
    *request.uri_mut() = "/messages?sessionId=x".parse().unwrap();
    let late = response(
        202,
        "",
        Script::new([Step::Pending, Step::Data("Accepted".into())]),
    );
    let service = layer.layer(recording::answering(late));
    let late = service.oneshot(request).await.unwrap();
    drop(streams);
    late.into_body().collect().await.unwrap();
    let outcomes: Vec<_> = recording.rows().iter().map(Row::outcome).collect();
    assert_eq!(outcomes, ["timeout detached"; 2]);
}

#[tokio::test]
async fn post_after_the_end_of_its_stream_has_the_session_and_does_not_wait() {
    let recording = Recording::start();
    let layer = recording.layer();
    drop(one_that_waits(&layer).await);
    let late = |id: &str| {
        let mut request = post_with(&[], CALL.replace('3', id));
        *request.uri_mut() = "/messages?sessionId=x".parse().unwrap();
        request
    };
    exchange(&layer, late("4"), response(202, "", "Accepted"))
        .await
        .unwrap();
    exchange(&layer, late("5"), response(404, "", ""))
        .await
        .unwrap();
    let rows = recording.rows();
    let outcomes: Vec<_> = rows.iter().map(Row::outcome).collect();
    assert_eq!(outcomes, ["timeout detached", "timeout detached", "error"]);
    for row in rows {
        assert_eq!(row.session_id.as_deref(), Some("x"), "{row:?}");
    }
}

#[tokio::test]
async fn answered_calls_do_not_displace_waiting_calls() {
    let recording = Recording::start();
    let layer = recording.layer();
    let (events, stream) = live();
    let service = layer.layer(recording::answering(event_stream(stream)));
    let mut client = service.oneshot(get("/sse", &[])).await.unwrap().into_body();
    events
        .send("event: endpoint\ndata: /messages?sessionId=x\n\n".into())
        .unwrap();
    client.frame().await.unwrap().unwrap();
    let call = |id: usize| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let mut request = post_with(&[], body);
        *request.uri_mut() = "/messages?sessionId=x".parse().unwrap();
        request
    };
    let result =
        |id: usize| format!("data: {{\"jsonrpc\":\"2.0\",\"id\":{id},\"result\":{{}}}}\n\n");
    exchange(&layer, call(0), response(202, "", ""))
        .await
        .unwrap();
    for id in 1..3000 {
        exchange(&layer, call(id), response(202, "", ""))
            .await
            .unwrap();
        events.send(result(id).into()).unwrap();
        client.frame().await.unwrap().unwrap();
    }
    events.send(result(0).into()).unwrap();
    client.frame().await.unwrap().unwrap();
    let rows = recording.rows();
    assert_eq!(rows.len(), 3000);
    assert!(rows.iter().all(|row| row.outcome() == "ok"));
}

#[tokio::test]
async fn unlimited_grace_time_is_accepted() {
    let recording = Recording::start();
    let layer = recording.layer().resume_grace(Duration::MAX);
    exchange(&layer, post_with(&SESSION, CALL), event_stream(PRIMING))
        .await
        .unwrap();
    assert!(recording.rows().is_empty());
}
