//! Requests whose bodies the layer cannot read, or the server does not read.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use http::{Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, ServiceExt};
use tower_mcp_store::StoreBody;
use tower_mcp_store::query::Reader;

use crate::recording::{
    self, Recording, Row, Script, Step, event_stream, exchange, json, post, post_with, response,
};
use crate::support::LONG;

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
const BATCH: &str = r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}]"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
const MIRRORED: [(&str, &str); 2] = [("mcp-method", "tools/call"), ("mcp-name", "echo")];

fn utf_16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Returns the rows of one exchange in which the server reads the request, and the count of
/// unidentified requests.
async fn recorded(request: Request<Script>, answer: Response<Script>) -> (Vec<Row>, u64) {
    let recording = Recording::start();
    let _ = exchange(&recording.layer(), request, answer).await;
    (recording.rows(), recording.store.stats().unidentified)
}

async fn unidentified(request: Request<Script>, answer: Response<Script>) -> u64 {
    let (rows, unidentified) = recorded(request, answer).await;
    assert!(rows.is_empty(), "{rows:#?}");
    unidentified
}

/// Returns the row of one exchange, and asserts that nothing else is recorded.
async fn row(request: Request<Script>, answer: Response<Script>) -> Row {
    let (mut rows, unidentified) = recorded(request, answer).await;
    assert_eq!((rows.len(), unidentified), (1, 0), "{rows:#?}");
    rows.remove(0)
}

/// Sends the request to a server that drops it after `frames` frames of its body.
async fn dropped_after(
    frames: usize,
    request: Request<Script>,
    answer: Response<Script>,
) -> (Vec<Row>, u64) {
    let recording = Recording::start();
    let read = |request: Request<StoreBody<Script>>| {
        let answer = answer.clone();
        async move {
            let mut body = request.into_body();
            for _ in 0..frames {
                body.frame().await.unwrap().unwrap();
            }
            Ok::<_, Infallible>(answer)
        }
    };
    let service = recording.layer().layer(tower::service_fn(read));
    let response = service.oneshot(request).await.unwrap();
    response.into_body().collect().await.unwrap();
    (recording.rows(), recording.store.stats().unidentified)
}

#[tokio::test]
async fn json_without_a_closed_value_is_counted_unless_it_was_refused() {
    for body in [
        utf_16(CALL),
        utf_16(BATCH),
        CALL[..CALL.len() - 1].into(),
        b"x".to_vec(),
    ] {
        for (status, count) in [(200, 1), (202, 1), (204, 1), (307, 0), (400, 0), (415, 0)] {
            let answer = response(status, "", "");
            let found = unidentified(post(body.clone()), answer).await;
            assert_eq!(
                found,
                count,
                "{status}: {:?}",
                String::from_utf8_lossy(&body)
            );
        }
    }
}

#[tokio::test]
async fn posts_skipped_methods_and_other_media_are_counted_in_the_file() {
    let recording = Recording::start();
    let layer = recording.layer().skip_methods(["tools/call"]);
    let of_media = |media, headers: &[(&str, &str)]| {
        let request = Request::post("/mcp").header("content-type", media);
        let request = headers.iter().fold(request, |request, (name, value)| {
            request.header(*name, *value)
        });
        request.body(Script::from("<call/>")).unwrap()
    };
    // A row of no kind, and no request either.
    let get = Request::get("/mcp").body(Script::from("")).unwrap();
    for request in [
        post(CALL),
        post(BATCH),
        of_media("text/xml", &[]),
        of_media("text/xml", &[("mcp-session-id", "s1")]),
        post(""),
        get,
    ] {
        let _ = exchange(&layer, request, json("{}")).await;
    }
    assert!(recording.rows().is_empty());
    let stats = recording.store.stats();
    let counted = [
        stats.posts,
        stats.skipped,
        stats.other_media,
        stats.unidentified,
    ];
    assert_eq!(counted, [5, 2, 1, 1]);
    recording.store.shutdown(LONG).unwrap();
    let info = Reader::open(recording.store.path())
        .unwrap()
        .info()
        .unwrap();
    assert_eq!(info.counters, Some(stats));
}

#[tokio::test]
async fn count_reaches_the_file_while_no_request_has_a_row() {
    let recording = Recording::start();
    let form = Request::post("/mcp").header("content-type", "text/xml");
    let form = form.body(Script::from("<call/>")).unwrap();
    let _ = exchange(&recording.layer(), form, json("{}")).await;
    let reader = Reader::open(recording.store.path()).unwrap();
    let end = Instant::now() + LONG;
    loop {
        let counters = reader.info().unwrap().counters.unwrap();
        if (counters.posts, counters.other_media) == (1, 1) {
            break;
        }
        assert!(Instant::now() < end, "{counters:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn post_without_a_request_is_not_counted() {
    for body in [
        "",
        " \n",
        "\u{feff}",
        "{}",
        "[]",
        "null",
        "7",
        "\"text\"",
        r#"{"id":1}"#,
    ] {
        assert_eq!(unidentified(post(body), json("{}")).await, 0, "{body:?}");
    }
    let form = |media| {
        let request = Request::post("/token").header("content-type", media);
        request.body(Script::from("grant_type=x")).unwrap()
    };
    let media = "application/x-www-form-urlencoded";
    assert_eq!(unidentified(form(media), json("{}")).await, 0);
}

#[tokio::test]
async fn post_with_an_mcp_header_counts_with_any_media_type() {
    for media in [
        "text/plain",
        "application/jsonx",
        "application/json, text/plain",
    ] {
        let mut request = post_with(&[("mcp-session-id", "s")], utf_16(CALL));
        let headers = request.headers_mut();
        headers.insert("content-type", media.parse().unwrap());
        assert_eq!(unidentified(request, json(RESULT)).await, 1, "{media}");
    }
}

#[tokio::test]
async fn body_that_breaks_off_is_not_counted_as_executed() {
    let broken = Script::new([Step::Data(CALL[..30].into()), Step::Error]);
    assert_eq!(unidentified(post(broken), json("")).await, 0);
}

#[tokio::test]
async fn request_known_by_headers_alone_is_opaque_below_400() {
    let session = [("mcp-session-id", "s"), MIRRORED[0], MIRRORED[1]];
    let modern = [
        ("mcp-protocol-version", "2026-07-28"),
        MIRRORED[0],
        MIRRORED[1],
    ];
    for headers in [&MIRRORED[..], &session, &modern] {
        for (answer, bytes_out) in [
            (json(RESULT), Some(RESULT.len() as i64)),
            (response(202, "", ""), Some(0)),
            (event_stream(format!("data: {RESULT}\n\n")), None),
            // A stream that a client could resume, without the answer.
            (event_stream("id: 1\ndata:\n\n"), None),
        ] {
            let row = row(post_with(headers, utf_16(CALL)), answer).await;
            assert_eq!(row.outcome(), "ok opaque", "{headers:?}");
            assert_eq!(
                (row.method.as_str(), row.tool.as_deref()),
                ("tools/call", Some("echo"))
            );
            assert_eq!(row.bytes_out, bytes_out);
        }
        let refused = recorded(post_with(headers, utf_16(CALL)), response(400, "", "")).await;
        assert_eq!(refused, (vec![], 0), "it was read, and no request");
    }
}

#[tokio::test]
async fn body_that_the_server_does_not_read_is_counted() {
    let halves = || Script::chunks([&CALL[..30], &CALL[30..]]);
    for frames in [0, 1] {
        for status in [200, 202, 307, 401, 500] {
            let answer = || response(status, "", "");
            let (rows, count) = dropped_after(frames, post(halves()), answer()).await;
            assert_eq!((rows.len(), count), (0, 1), "{status} after {frames}");

            let named = post_with(&MIRRORED, halves());
            let (rows, count) = dropped_after(frames, named, answer()).await;
            assert_eq!((rows.len(), count), (1, 0), "{status} after {frames}");
            let outcome = match status {
                200 | 202 => "ok opaque",
                307 => "error redirected",
                _ => "error",
            };
            assert_eq!(rows[0].outcome(), outcome);
            assert_eq!(rows[0].bytes_in, Some(30 * frames as i64));
        }
    }
    // The whole message passed, but the server did not read the body to its end.
    let longer = || Script::chunks([CALL, "\n"]);
    let (rows, count) = dropped_after(1, post(longer()), json(RESULT)).await;
    assert_eq!((rows.len(), count), (1, 0));
    let (rows, count) = dropped_after(0, post(Script::default().sized()), json("{}")).await;
    assert_eq!((rows.len(), count), (0, 0), "there was nothing to read");
}

#[tokio::test]
async fn unread_call_of_a_get_stream_ends_at_once() {
    let recording = Recording::start();
    let layer = recording.layer();
    let endpoint = "event: endpoint\ndata: /messages?sessionId=s\n\n";
    let opening = Request::get("/sse").body(Script::default()).unwrap();
    let stream = layer.layer(recording::answering(event_stream(Script::new([
        Step::Data(endpoint.into()),
        Step::Hang,
    ]))));
    let mut stream = stream.oneshot(opening).await.unwrap().into_body();
    stream.frame().await.unwrap().unwrap();

    for headers in [&MIRRORED[..], &[]] {
        let mut request = post_with(headers, utf_16(CALL));
        *request.uri_mut() = "/messages?sessionId=s".parse().unwrap();
        // The session shows that the request is MCP.
        let text = "text/plain".parse().unwrap();
        request.headers_mut().insert("content-type", text);
        exchange(&layer, request, response(202, "", ""))
            .await
            .unwrap();
    }
    assert_eq!(recording.row().outcome(), "ok opaque");
    assert_eq!(recording.store.stats().unidentified, 1);
}

#[tokio::test]
async fn plain_json_is_read_under_any_declared_coding() {
    let codings = [
        "x", "identity", "", "gzip", "x-gzip", "deflate", "br", "zstd", "gzip, br", "utf-8",
    ];
    for coding in codings {
        for body in [CALL, BATCH] {
            for cut in [
                Script::chunks([body]),
                Script::chunks(body.as_bytes().chunks(1)),
            ] {
                let headers = [("content-encoding", coding), ("mcp-method", "ping")];
                let (rows, count) =
                    recorded(post_with(&headers[..1], cut.clone()), json(RESULT)).await;
                if (coding, body) == ("br", BATCH) && cfg!(feature = "decompression") {
                    // Compressed bodies may begin with these bytes too.
                    assert_eq!((rows.len(), count), (0, 1));
                    continue;
                }
                let told_by_body = recorded(post_with(&headers, cut), json(RESULT)).await.0;
                for rows in [rows, told_by_body] {
                    assert_eq!(rows.len(), 1, "{coding}: {body}");
                    assert_eq!(rows[0].method, "tools/call");
                    assert_eq!(rows[0].outcome(), "ok");
                    assert_eq!(
                        rows[0].bytes_in,
                        Some(body.trim_matches(['[', ']']).len() as i64)
                    );
                }
                assert_eq!(count, 0);
            }
        }
    }
}

#[tokio::test]
async fn body_in_an_unknown_coding_is_counted_or_opaque() {
    for status in [200, 400] {
        let coded = |headers: &[_]| {
            let headers = [&[("content-encoding", "x")], headers].concat();
            post_with(&headers, "\x01\x02")
        };
        let answer = || response(status, "", "");
        assert_eq!(unidentified(coded(&[]), answer()).await, 1);
        let outcome = if status == 200 { "ok opaque" } else { "error" };
        assert_eq!(row(coded(&MIRRORED), answer()).await.outcome(), outcome);
    }
}

#[tokio::test]
async fn utf_7_is_not_taken_for_what_its_bytes_say() {
    let utf_7 = CALL.replace("method", "+AG0-ethod");
    for charset in [
        "utf-7",
        "UTF7",
        "\"utf-7\"",
        "utf-_7",
        "unicode; charset = utf-7",
    ] {
        let media = format!("application/json; charset={charset}");
        let mut request = post(utf_7.as_str());
        let headers = request.headers_mut();
        headers.insert("content-type", media.parse().unwrap());
        assert_eq!(unidentified(request, json(RESULT)).await, 1, "{media}");
    }
    for charset in ["utf-8", "iso-8859-1", "utf-16", "utf", "utf-8; x=utf-7"] {
        let media = format!("application/json; charset={charset}");
        let mut request = post(CALL);
        let headers = request.headers_mut();
        headers.insert("content-type", media.parse().unwrap());
        assert_eq!(row(request, json(RESULT)).await.outcome(), "ok", "{media}");
    }
}

#[tokio::test]
async fn byte_order_mark_before_an_answer_is_skipped() {
    let marked = format!("\u{feff}{RESULT}");
    assert_eq!(row(post(CALL), json(marked)).await.outcome(), "ok");
}

#[tokio::test]
async fn error_without_an_id_refuses_the_request_at_any_status() {
    const REFUSAL: &str =
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"no JSON"}}"#;
    assert_eq!(unidentified(post(utf_16(CALL)), json(REFUSAL)).await, 1);
    let read = row(post_with(&MIRRORED, utf_16(CALL)), json(REFUSAL)).await;
    let (mut rows, _) = dropped_after(0, post_with(&MIRRORED, CALL), json(REFUSAL)).await;
    for row in [read, rows.remove(0)] {
        assert_eq!(row.outcome(), "error -32700");
        assert_eq!(row.error_msg.as_deref(), Some("no JSON"));
    }
    let other = REFUSAL.replace("null", "7");
    let named = post_with(&MIRRORED, utf_16(CALL));
    assert_eq!(row(named, json(other)).await.outcome(), "ok opaque");
}
