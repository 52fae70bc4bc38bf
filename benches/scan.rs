//! Bytes per second of the scanner beside `serde_json::from_slice::<Value>`,
//! which is what reading a body into memory and parsing it would cost at least.
//!
//! ```text
//! cargo bench --bench scan
//! ```
//!
//! The two take turns in one run, on bodies that come in one chunk. Figures are
//! medians of the rounds. The tests want serde_json with `preserve_order`, so it
//! is on here too: on dense JSON a `Value` without it is some 1.4 times as fast.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wire::{Message, Scanner, SseDecoder, SseItem};

// The scanner is private to the crate; its room depends on nothing outside itself.
#[allow(dead_code, unused_imports)]
#[path = "../src/wire/mod.rs"]
mod wire;

const ROUNDS: usize = 31;
const ROUND: Duration = Duration::from_millis(8);

/// A `tools/call` of about 300 bytes, as an editor sends it.
fn small_request() -> Vec<u8> {
    json!({
        "jsonrpc": "2.0", "id": 17, "method": "tools/call",
        "params": {
            "name": "read_file",
            "arguments": {"path": "src/capture/body.rs", "offset": 120, "limit": 80},
            "_meta": {
                "progressToken": 17,
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "claude-code", "version": "2.1.204"},
                "io.modelcontextprotocol/clientCapabilities": {}
            }
        }
    })
    .to_string()
    .into_bytes()
}

/// A `tools/call` of 1 KiB: a search with filters and a few lines of text.
fn request() -> Vec<u8> {
    json!({
        "jsonrpc": "2.0", "id": 42, "method": "tools/call",
        "params": {
            "_meta": {"progressToken": 42},
            "arguments": {
                "query": "is:open label:\"bug\" sort:updated-desc",
                "filters": [
                    {"field": "author", "op": "in", "values": ["ada", "grace", "edsger"]},
                    {"field": "created", "op": "between", "values": ["2026-01-01", "2026-11-20"]},
                    {"field": "comments", "op": ">=", "values": [3]}
                ],
                "page": {"size": 50, "after": "Y3Vyc29yOnYyOpHOAAEhyQ=="},
                "include": {"body": true, "reactions": false, "timeline": null},
                "note": "Looking for reports like this one:\n\n> The server answers 404 to every request after\n> it was restarted, and the client never sends \"initialize\" again.\n\nOnly those that have a way to reproduce it, please; the rest can wait for the next round of triage. If there are more than twenty, the twenty newest will do. Do not count duplicates, and say for each one which transport it is about: stdio, streamable HTTP or the older pair of endpoints with an event stream."
            },
            "name": "search_issues"
        }
    })
    .to_string()
    .into_bytes()
}

/// A `tools/list` answer of about 64 KiB: short keys, nesting, numbers.
fn listing() -> Vec<u8> {
    let tool = |i: usize| {
        json!({
            "name": format!("records_{}_{i}", ["get", "list", "update", "delete", "search"][i % 5]),
            "title": "Records",
            "description": "Reads records of one table. Returns at most `limit` rows, newest first.",
            "inputSchema": {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "type": "object",
                "properties": {
                    "table": {"type": "string", "pattern": "^[a-z_]+$"},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 500, "default": 50},
                    "order": {"enum": ["asc", "desc"], "default": "desc"},
                    "where": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "column": {"type": "string"},
                                "op": {"enum": ["=", "<", ">", "in"]},
                                "value": {"type": ["string", "number", "null"]}
                            },
                            "required": ["column", "op"]
                        }
                    }
                },
                "required": ["table"]
            },
            "annotations": {"readOnlyHint": i.is_multiple_of(2), "openWorldHint": false}
        })
    };
    let tools: Vec<_> = (0..85).map(tool).collect();
    json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": tools, "nextCursor": "p2"}})
        .to_string()
        .into_bytes()
}

/// An answer whose one text is the given one.
fn answer(text: &str) -> Vec<u8> {
    json!({
        "jsonrpc": "2.0", "id": 7,
        "result": {"content": [{"type": "text", "text": text}], "isError": false}
    })
    .to_string()
    .into_bytes()
}

/// 1 MiB of words without a line end or quote.
fn prose() -> Vec<u8> {
    let words = [
        "the", "scanner", "reads", "what", "passes", "and", "keeps", "little", "of", "it",
    ];
    let mut text = String::new();
    for i in 0.. {
        if text.len() >= 1 << 20 {
            break;
        }
        let _ = write!(text, "{} ", words[(i * 7 + i / 11) % words.len()]);
    }
    answer(&text)
}

/// 1 MiB of source text: lines of some forty characters, quotes now and then.
fn source() -> Vec<u8> {
    let file = include_str!("scan.rs");
    answer(&file.repeat((1 << 20) / file.len()))
}

/// 1 MiB of JSON in a string, as servers wrap the answers of other services.
fn json_in_text() -> Vec<u8> {
    let mut rows = String::from("[");
    for i in 0.. {
        if rows.len() >= 800_000 {
            break;
        }
        let _ = write!(
            rows,
            r#"{{"id":{i},"name":"row {i}","tags":["a","b"],"ok":true}},"#
        );
    }
    answer(&rows)
}

/// Median duration of one call, for each of the functions in turn.
fn medians<const N: usize>(mut runs: [&mut dyn FnMut(); N]) -> [Duration; N] {
    let start = Instant::now();
    runs.iter_mut().for_each(|run| run());
    let slowest = start.elapsed().max(Duration::from_nanos(100));
    let calls = (ROUND.as_nanos() / slowest.as_nanos()).clamp(1, 100_000) as u32;
    let mut times = [(); N].map(|()| Vec::new());
    for _ in 0..ROUNDS {
        for (run, times) in runs.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..calls {
                run();
            }
            times.push(start.elapsed() / calls);
        }
    }
    times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    })
}

/// What capture asks of a message.
fn look(message: &Message) {
    black_box((message.kind(), message.id(), wire::method::of(message)));
    black_box((message.is_error(), message.span()));
}

fn rate(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / time.as_nanos() as f64
}

fn main() {
    println!(
        "{:<28} {:>9} {:>11} {:>10} {:>12} {:>7}",
        "body", "bytes", "scan", "scan GB/s", "Value GB/s", "ratio"
    );
    for (name, body) in [
        ("small request", small_request()),
        ("1 KiB request", request()),
        ("dense JSON (tools/list)", listing()),
        ("one long text", prose()),
        ("source text", source()),
        ("JSON inside a string", json_in_text()),
    ] {
        let mut messages = 0;
        let mut scan = || {
            Scanner::new().feed(black_box(&body), &mut |message| {
                messages += 1;
                look(message);
            });
        };
        let mut parse = || {
            black_box(serde_json::from_slice::<Value>(black_box(&body)).is_ok());
        };
        let [scan, parse] = medians([&mut scan, &mut parse]);
        assert!(messages > 0);
        println!(
            "{name:<28} {:>9} {:>11} {:>10.2} {:>12.2} {:>6.1}x",
            body.len(),
            format!("{scan:.2?}"),
            rate(body.len(), scan),
            rate(body.len(), parse),
            parse.as_secs_f64() / scan.as_secs_f64(),
        );
    }

    let listing = listing();
    let stream = [b"event: message\ndata: ", &listing[..], b"\n\n"].concat();
    let mut decode = || {
        let mut scanner = Scanner::new();
        SseDecoder::default().feed(black_box(&stream), &mut |item| {
            if let SseItem::Data(data) = item {
                scanner.feed(data, &mut look);
            }
        });
    };
    let [decode] = medians([&mut decode]);
    println!(
        "the same listing as an event: {:.2} GB/s",
        rate(stream.len(), decode)
    );
}
