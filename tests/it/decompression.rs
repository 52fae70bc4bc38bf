//! Compressed bodies pass unchanged, and their rows equal those of plain bodies.

#![cfg(feature = "decompression")]

use bytes::Bytes;
use compression_codecs::brotli::params::EncoderParams as BrotliParams;
use compression_codecs::core::Level;
use compression_codecs::core::util::{PartialBuffer, WriteBuffer};
use compression_codecs::{BrotliEncoder, EncodeV2, GzipEncoder, ZlibEncoder, ZstdEncoder};
use http::header::CONTENT_ENCODING;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use tower::{Layer, ServiceBuilder, ServiceExt};
use tower_http::compression::CompressionLayer;

use crate::recording::{
    Recording, Row, Script, Step, answering, event_stream, exchange, json, live, post, post_with,
    response,
};

const CODINGS: [&str; 5] = ["gzip", "x-gzip", "deflate", "br", "zstd"];
const CALL: &str =
    r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{}}}"#;
const RESULT: &str = r#"{"jsonrpc":"2.0","id":7,"result":{"content":[],"isError":true}}"#;
const PROGRESS: &str = "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n";
const EVENT: &str = "event: message\nid: 1/3\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"isError\":true}}\n\n";

/// Encodes the parts and flushes after each. The last one includes the end of the stream.
fn encoded(coding: &str, parts: &[&str]) -> Vec<Bytes> {
    let level = Level::Default;
    let mut encoder: Box<dyn EncodeV2> = match coding {
        "gzip" | "x-gzip" => Box::new(GzipEncoder::new(level.into())),
        "deflate" => Box::new(ZlibEncoder::new(level.into())),
        // The default level is the slowest.
        "br" => Box::new(BrotliEncoder::new(
            BrotliParams::default().quality(Level::Fastest),
        )),
        "zstd" => Box::new(ZstdEncoder::new(1)),
        _ => unreachable!("no such coding: {coding}"),
    };
    let mut chunks = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let mut chunk = vec![0; 2 * part.len() + 1024];
        let mut output = WriteBuffer::new_initialized(&mut chunk);
        let mut input = PartialBuffer::new(part.as_bytes());
        while !input.unwritten().is_empty() {
            encoder.encode(&mut input, &mut output).unwrap();
        }
        let last = index + 1 == parts.len();
        while !match last {
            true => encoder.finish(&mut output).unwrap(),
            false => encoder.flush(&mut output).unwrap(),
        } {}
        let len = output.written_len();
        chunk.truncate(len);
        chunks.push(chunk.into());
    }
    chunks
}

fn whole(coding: &str, text: &str) -> Bytes {
    encoded(coding, &[text]).remove(0)
}

fn script(chunks: impl IntoIterator<Item = Bytes>) -> Script {
    Script::new(chunks.into_iter().map(Step::Data))
}

/// Returns the body in two chunks, for each place where it can be cut.
fn cuts(body: &Bytes) -> impl Iterator<Item = Script> {
    (0..=body.len()).map(|at| script([body.slice(..at), body.slice(at..)]))
}

fn coded(mut answer: Response<Script>, coding: &str) -> Response<Script> {
    let coding = coding.parse().unwrap();
    answer.headers_mut().insert(CONTENT_ENCODING, coding);
    answer
}

/// Returns all rows, without the columns that differ between exchanges.
fn comparable_rows(recording: &Recording) -> Vec<Row> {
    let mut rows = recording.rows();
    for row in &mut rows {
        (row.latency_us, row.ttfb_us) = (0, None);
        row.request_id.clear();
    }
    rows
}

/// Returns the row of one exchange.
async fn row(request: Request<Script>, answer: Response<Script>) -> Row {
    let recording = Recording::start();
    let _ = exchange(&recording.layer(), request, answer).await;
    comparable_rows(&recording).remove(0)
}

#[tokio::test]
async fn compressed_request_is_recorded_for_every_cut() {
    let plain = row(post(CALL), json(RESULT)).await;
    for coding in CODINGS {
        let recording = Recording::start();
        let layer = recording.layer();
        let body = whole(coding, CALL);
        for request in cuts(&body) {
            let request = post_with(&[("content-encoding", coding)], request);
            exchange(&layer, request, json(RESULT)).await.unwrap();
        }
        let rows = comparable_rows(&recording);
        assert_eq!(rows.len(), body.len() + 1);
        for row in rows {
            let bytes_in = Some(body.len() as i64);
            assert_eq!(
                row,
                Row {
                    bytes_in,
                    ..plain.clone()
                },
                "{coding}"
            );
        }
    }
}

#[tokio::test]
async fn compressed_json_answer_is_recorded_for_every_cut() {
    let plain = row(post(CALL), json(RESULT)).await;
    assert_eq!(plain.outcome(), "ok tool_error");
    for coding in CODINGS {
        let recording = Recording::start();
        let layer = recording.layer();
        let body = whole(coding, RESULT);
        for answer in cuts(&body) {
            let seen = exchange(&layer, post(CALL), coded(json(answer), coding)).await;
            assert_eq!(seen.unwrap(), body);
        }
        let rows = comparable_rows(&recording);
        assert_eq!(rows.len(), body.len() + 1);
        for row in rows {
            let bytes_out = Some(body.len() as i64);
            assert_eq!(
                row,
                Row {
                    bytes_out,
                    ..plain.clone()
                },
                "{coding}"
            );
        }
    }
}

#[tokio::test]
async fn compressed_event_stream_is_measured_decoded() {
    let text = [PROGRESS, EVENT, PROGRESS].concat();
    let plain = row(post(CALL), event_stream(&text)).await;
    assert_eq!(plain.bytes_out, Some((PROGRESS.len() + EVENT.len()) as i64));
    for coding in CODINGS {
        let recording = Recording::start();
        let layer = recording.layer();
        let body = whole(coding, &text);
        for answer in cuts(&body) {
            let seen = exchange(&layer, post(CALL), coded(event_stream(answer), coding)).await;
            assert_eq!(seen.unwrap(), body);
        }
        let rows = comparable_rows(&recording);
        assert_eq!(rows.len(), body.len() + 1);
        for row in rows {
            assert_eq!(row, plain, "{coding}");
        }
    }
}

#[tokio::test]
async fn compressed_frames_pass_unchanged() {
    for coding in CODINGS {
        let good = encoded(coding, &[PROGRESS, EVENT, PROGRESS]);
        let broken = good.iter().map(|chunk| chunk.slice(1..)).collect();
        let foreign = vec![Bytes::from_static(b"no such thing"), Bytes::new()];
        for chunks in [good, broken, foreign] {
            let recording = Recording::start();
            let answer = coded(event_stream(script(chunks.clone())), coding);
            let service = recording.layer().layer(answering(answer));
            let response = service.oneshot(post(CALL)).await.unwrap();
            assert_eq!(response.headers()[CONTENT_ENCODING], coding);
            let mut body = response.into_body();
            for chunk in chunks {
                let frame = body.frame().await.unwrap().unwrap();
                assert_eq!(frame.into_data().unwrap(), chunk);
            }
            assert!(body.frame().await.is_none());
        }
    }
}

#[tokio::test]
async fn answer_is_recorded_as_soon_as_its_event_was_flushed() {
    for coding in CODINGS {
        let recording = Recording::start();
        let (sender, body) = live();
        let answer = coded(event_stream(body), coding);
        let service = recording.layer().layer(answering(answer));
        let mut body = service.oneshot(post(CALL)).await.unwrap().into_body();
        let chunks = encoded(coding, &[PROGRESS, EVENT, PROGRESS]);
        for chunk in &chunks[..2] {
            assert!(recording.rows().is_empty(), "{coding}");
            sender.send(chunk.clone()).unwrap();
            body.frame().await.unwrap().unwrap();
        }
        assert_eq!(recording.row().outcome(), "ok tool_error", "{coding}");
    }
}

#[tokio::test]
async fn answer_on_a_compressed_get_stream_is_found() {
    for coding in CODINGS {
        let recording = Recording::start();
        let layer = recording.layer();
        let session = [("mcp-session-id", "s-1")];
        let priming = coded(
            event_stream(script([whole(coding, "id: 0/3\ndata: \n\n")])),
            coding,
        );
        exchange(&layer, post_with(&session, CALL), priming)
            .await
            .unwrap();
        assert!(recording.rows().is_empty(), "{coding}");
        let mut get = post_with(&session, "");
        *get.method_mut() = Method::GET;
        let later = coded(
            event_stream(script(encoded(coding, &[PROGRESS, EVENT]))),
            coding,
        );
        exchange(&layer, get, later).await.unwrap();
        assert_eq!(
            recording.row().outcome(),
            "ok resumed tool_error",
            "{coding}"
        );
    }
}

#[tokio::test]
async fn session_of_a_compressed_initialize_is_recorded() {
    let recording = Recording::start();
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","clientInfo":{"name":"c","version":"1"}}}"#;
    let result = r#"{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","serverInfo":{"name":"s","version":"2"}}}"#;
    let body = script([whole("zstd", initialize)]);
    let mut answer = coded(json(script([whole("br", result)])), "br");
    answer
        .headers_mut()
        .insert("mcp-session-id", "s-1".parse().unwrap());
    let request = post_with(&[("content-encoding", "zstd")], body);
    exchange(&recording.layer(), request, answer).await.unwrap();
    let session = recording.sessions().remove(0);
    assert_eq!(
        [session.client_name, session.server_name].map(Option::unwrap),
        ["c", "s"]
    );
}

#[tokio::test]
async fn text_of_a_compressed_error_is_recorded() {
    let body = script([whole("gzip", "no such tool\n")]);
    let row = row(post(CALL), coded(response(400, "text/plain", body), "gzip")).await;
    assert_eq!(row.outcome(), "error");
    assert_eq!(row.error_msg.as_deref(), Some("no such tool"));
}

#[tokio::test]
async fn answer_cut_off_is_no_response_as_in_a_plain_body() {
    for coding in CODINGS {
        let (head, _) = RESULT.split_at(RESULT.len() - 10);
        let mut chunks = encoded(coding, &[head, ""]);
        chunks.truncate(1);
        let row = row(post(CALL), coded(json(script(chunks)), coding)).await;
        assert_eq!(row.outcome(), "error no_response", "{coding}");
    }
}

#[tokio::test]
async fn damaged_body_is_opaque_after_the_damage() {
    for coding in CODINGS {
        // The events flushed before the damage are read.
        let mut chunks = encoded(coding, &[PROGRESS, EVENT]);
        chunks[1] = Bytes::from_static(&[0xff; 64]);
        let broken = |answer| coded(answer, coding);
        let row_ = row(post(CALL), broken(event_stream(script(chunks.clone())))).await;
        assert_eq!(row_.outcome(), "ok opaque", "{coding}");
        assert_eq!(row_.bytes_out, None);
        let chunks = [encoded(coding, &[EVENT, ""]).remove(0), chunks.remove(1)];
        let row_ = row(post(CALL), broken(event_stream(script(chunks)))).await;
        assert_eq!(row_.outcome(), "ok tool_error", "{coding}");
        assert_eq!(row_.bytes_out, Some(EVENT.len() as i64));
    }
}

#[tokio::test]
async fn damaged_stream_is_not_kept_open_for_its_answer() {
    // The unreadable part may contain the answer.
    let mut chunks = encoded("gzip", &["id: 0/3\ndata: \n\n", EVENT]);
    chunks[1] = Bytes::from_static(&[0xff; 64]);
    let request = post_with(&[("mcp-session-id", "s-1")], CALL);
    let row = row(request, coded(event_stream(script(chunks)), "gzip")).await;
    assert_eq!(row.outcome(), "ok opaque");
}

/// Returns ten gigabytes of white space in the shortest form of the coding.
fn bomb(coding: &str) -> Bytes {
    const SIZE: usize = 10 << 30;
    const BLOCK: usize = 128 << 10;
    if coding == "zstd" {
        // A magic number, a window of 8 MiB, and blocks that repeat one byte.
        let mut body = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3];
        let header = (BLOCK as u32) << 3 | 1 << 1;
        let block = [&header.to_le_bytes()[..3], b" "].concat();
        body.extend(block.repeat(SIZE / BLOCK));
        return body.into();
    }
    let space = " ".repeat(1 << 20);
    let chunks = encoded(coding, &[&space, &space, ""]);
    // Once the window is full, the encoded bytes repeat.
    [chunks[0].to_vec(), chunks[1].repeat(SIZE >> 20)]
        .concat()
        .into()
}

#[tokio::test]
async fn decompression_bomb_is_opaque() {
    for coding in CODINGS {
        let bomb = bomb(coding);
        let answer = coded(json(script([bomb.clone()])), coding);
        let row_ = row(post(CALL), answer).await;
        assert_eq!(row_.outcome(), "ok opaque", "{coding}");
        assert_eq!(row_.bytes_out, Some(bomb.len() as i64));

        let request = post_with(&[("content-encoding", coding)], script([bomb.clone()]));
        let recording = Recording::start();
        let refused = response(413, "", "");
        exchange(&recording.layer(), request, refused)
            .await
            .unwrap();
        assert!(recording.rows().is_empty());
        assert_eq!(recording.store.stats().unidentified, 1, "{coding}");
    }
}

#[tokio::test]
async fn unknown_and_combined_codings_are_opaque() {
    for coding in ["compress", "gzip, br"] {
        let row_ = row(post(CALL), coded(json(RESULT), coding)).await;
        assert_eq!(row_.outcome(), "ok opaque", "{coding}");
    }
    let twice = coded(json(script([whole("gzip", RESULT)])), "identity, gzip");
    assert_eq!(row(post(CALL), twice).await.outcome(), "ok tool_error");
}

#[tokio::test]
async fn compression_layer_may_be_inside_or_outside() {
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let request = || post_with(&[("accept-encoding", coding)], CALL);
        let service = || answering(json(RESULT));
        let plain = row(request(), json(RESULT)).await;

        let recording = Recording::start();
        let outside = ServiceBuilder::new()
            .layer(CompressionLayer::new())
            .layer(recording.layer())
            .service(service());
        let inside = ServiceBuilder::new()
            .layer(recording.layer())
            .layer(CompressionLayer::new())
            .service(service());
        let response = outside.oneshot(request()).await.unwrap();
        assert_eq!(response.headers()[CONTENT_ENCODING], coding);
        response.into_body().collect().await.unwrap();
        let response = inside.oneshot(request()).await.unwrap();
        assert_eq!(response.headers()[CONTENT_ENCODING], coding);
        let sent = response.into_body().collect().await.unwrap().to_bytes();

        let rows = comparable_rows(&recording);
        let bytes_out = Some(sent.len() as i64);
        assert_eq!(
            rows,
            [plain.clone(), Row { bytes_out, ..plain }],
            "{coding}"
        );
    }
}
