use proptest::prelude::*;

use super::*;

/// An event as it was reported: its data in one piece, and its end.
#[derive(Debug, Clone, PartialEq)]
struct Reported {
    data: Vec<u8>,
    end: EventEnd,
}

fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Reported> {
    let mut decoder = SseDecoder::default();
    let mut data = Vec::new();
    let mut reported = Vec::new();
    let mut sink = |item: SseItem<'_>| match item {
        SseItem::Data(piece) => data.extend_from_slice(piece),
        SseItem::End(end) => reported.push(Reported {
            data: std::mem::take(&mut data),
            end,
        }),
    };
    for chunk in chunks {
        decoder.feed(chunk, &mut sink);
    }
    decoder.finish(&mut sink);
    reported
}

/// Data, kind and end of each event.
fn events(stream: &str) -> Vec<(String, EventKind, u64)> {
    decode([stream.as_bytes()])
        .into_iter()
        .map(|reported| {
            (
                String::from_utf8(reported.data).expect("text"),
                reported.end.kind,
                reported.end.end,
            )
        })
        .collect()
}

fn message(data: &str, end: usize) -> (String, EventKind, u64) {
    (data.to_owned(), EventKind::Message, end as u64)
}

#[test]
fn event_ends_after_its_blank_line() {
    for stream in [
        "data: x\n\n",
        "data: x\r\r",
        "data: x\r\n\r\n",
        "data:x\r\n\n",
        "data: x\n\r\n",
    ] {
        assert_eq!(events(stream), [message("x", stream.len())], "{stream:?}");
    }
}

#[test]
fn end_is_the_same_for_every_split_of_the_line_end() {
    let stream = b"data: x\r\n\r\ndata: y\r\r";
    let whole = decode([&stream[..]]);
    assert_eq!(
        whole
            .iter()
            .map(|reported| reported.end.end)
            .collect::<Vec<_>>(),
        [11, 20]
    );
    for cut in 0..=stream.len() {
        assert_eq!(
            decode([&stream[..cut], &stream[cut..]]),
            whole,
            "cut at {cut}"
        );
    }
}

#[test]
fn event_that_ends_in_cr_waits_for_the_next_byte_or_the_end() {
    let mut decoder = SseDecoder::default();
    let mut ends = Vec::new();
    let mut sink = |item: SseItem<'_>| {
        if let SseItem::End(event) = item {
            ends.push(event.end);
        }
    };
    decoder.feed(b"data: x\r\r", &mut sink);
    decoder.feed(b"", &mut sink);
    decoder.feed(b"\n", &mut sink);
    decoder.feed(b"data: y\r\r", &mut sink);
    decoder.feed(b"d", &mut sink);
    decoder.finish(&mut sink);
    assert_eq!(ends, [10, 19]);
}

#[test]
fn lines_of_data_are_joined() {
    assert_eq!(
        events("data:a\ndata: b\ndata\ndata:  c\n\n"),
        [message("a\nb\n\n c", 30)]
    );
}

#[test]
fn mixed_line_ends_and_raw_separators_make_one_event() {
    let stream = "event:message\ndata: {\"jsonrpc\":\"2.0\",\ndata:  \"id\":1,\"result\":\rdata:{\"a\":\"line sep \u{2028} raw\"}}\r\n\r\n";
    let json = "{\"jsonrpc\":\"2.0\",\n \"id\":1,\"result\":\n{\"a\":\"line sep \u{2028} raw\"}}";
    assert_eq!(events(stream), [message(json, stream.len())]);
    let (first, second) = stream.as_bytes().split_at(stream.len() - 3);
    assert_eq!(decode([first, second]), decode([stream.as_bytes()]));
    assert!(serde_json::from_str::<serde_json::Value>(json).is_ok());
}

#[test]
fn last_type_determines_the_kind() {
    for (fields, kind) in [
        ("", EventKind::Message),
        ("event\n", EventKind::Message),
        ("event:\n", EventKind::Message),
        ("event: message\n", EventKind::Message),
        ("event: endpoint\n", EventKind::Endpoint),
        ("event: endpoint2\n", EventKind::Other),
        ("event: endpoint2345\n", EventKind::Other),
        ("event:  message\n", EventKind::Other),
        ("event: ping\nevent: message\n", EventKind::Message),
        ("event: message\nevent: ping\n", EventKind::Other),
        ("Event: ping\n", EventKind::Message),
    ] {
        let reported = decode([format!("{fields}data: x\n\n").as_bytes(), b"data: y\n\n"]);
        assert_eq!(reported[0].end.kind, kind, "{fields:?}");
        assert_eq!(
            reported[1].end.kind,
            EventKind::Message,
            "a type is of one event only"
        );
    }
}

#[test]
fn comments_and_unknown_fields_are_not_events() {
    assert_eq!(
        events(": ping\n\n:\n\n\n\nfoo: bar\n\ndatas: x\n\n data: x\n\n"),
        []
    );
    assert_eq!(
        events(":c\ndata: x\n: data: y\nfoo\n\n"),
        [message("x", 26)]
    );
}

#[test]
fn priming_event_has_an_id_and_empty_data() {
    let reported =
        decode([&b"data: \nid: 0/3\nretry: 3000\n\ndata: {}\nid: 1/3\n\nid: 7\n\ndata: x\n\n"[..]]);
    let flags: Vec<_> = reported
        .iter()
        .map(|reported| (reported.end.has_data, reported.end.id.is_some()))
        .collect();
    assert_eq!(
        flags,
        [(true, true), (true, true), (false, true), (true, false)]
    );
    assert_eq!(reported[0].data, b"");
}

#[test]
fn id_counts_if_it_is_not_empty_and_has_no_nul() {
    for (lines, id) in [
        ("id: abc", Some("abc")),
        ("id", None),
        ("id:", None),
        ("id: ", None),
        ("id: a\0b", None),
        ("id: a\nid", None),
        ("id: a\nid: bc", Some("bc")),
        ("id: a\nid: \0", Some("a")),
    ] {
        let id = id.map(|id| EventId::EMPTY.followed_by(id.as_bytes()));
        let stream = format!("{lines}\ndata: x\n\n");
        for chunks in [1, stream.len()] {
            assert_eq!(
                decode(stream.as_bytes().chunks(chunks))[0].end.id,
                id,
                "{lines:?}"
            );
        }
    }
}

#[test]
fn byte_order_mark_is_skipped_only_at_the_start() {
    assert_eq!(
        events("\u{feff}data: x\n\n\u{feff}data: y\n\n"),
        [message("x", 12)]
    );
    assert_eq!(events("\u{feff}\u{feff}data: x\n\n"), []);
    assert_eq!(decode([&b"\xef"[..], b"\xbb", b"\xbfdata: x\n\n"]).len(), 1);
    assert_eq!(decode([&b"\xef\xbbdata: x\n\n"[..]]), []);
    assert_eq!(decode([&b"\xef\ndata: x\n\n"[..]]).len(), 1);
}

#[test]
fn event_without_its_blank_line_is_discarded() {
    for stream in [
        "data: x",
        "data: x\n",
        "data: x\r",
        "data: x\r\n",
        "data: x\n\ndata: y\n",
    ] {
        assert_eq!(
            events(stream).len(),
            stream.matches("\n\n").count(),
            "{stream:?}"
        );
    }
}

#[test]
fn data_passes_as_slices_of_the_chunk() {
    let chunk = [b"data: ", "x".repeat(1 << 20).as_bytes()].concat();
    let mut pieces = Vec::new();
    SseDecoder::default().feed(&chunk, &mut |item| {
        if let SseItem::Data(piece) = item {
            pieces.push(piece.as_ptr_range());
        }
    });
    assert_eq!(pieces, [chunk[6..].as_ptr_range()]);
}

#[test]
fn long_names_and_types_take_no_memory() {
    let long = "n".repeat(1 << 20);
    assert_eq!(events(&format!("{long}: x\n\n{long}\n\n")), []);
    let stream = format!("event: {long}\ndata: x\n\n");
    assert_eq!(events(&stream)[0].1, EventKind::Other);
    assert!(
        size_of::<SseDecoder>() <= 160,
        "{}",
        size_of::<SseDecoder>()
    );
}

/// The standard's algorithm, line by line on a whole stream.
fn reference(stream: &[u8]) -> Vec<Reported> {
    let mut at = if stream.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    let mut reported = Vec::new();
    // The name, the value, and where the line began. A byte order mark belongs to the
    // first line.
    let mut lines: Vec<(&[u8], &[u8], u64)> = Vec::new();
    let mut start = 0;
    while let Some(len) = stream[at..].iter().position(|byte| b"\r\n".contains(byte)) {
        let line = &stream[at..at + len];
        at += len
            + if stream[at + len..].starts_with(b"\r\n") {
                2
            } else {
                1
            };
        if !line.is_empty() {
            let colon = line.iter().position(|&byte| byte == b':');
            let (name, value) = line.split_at(colon.unwrap_or(line.len()));
            let value = value.strip_prefix(b":").unwrap_or(value);
            lines.push((name, value.strip_prefix(b" ").unwrap_or(value), start));
            start = at as u64;
            continue;
        }
        start = at as u64;
        let values = |name: &'static [u8]| {
            lines
                .iter()
                .filter(move |line| line.0 == name)
                .map(|line| line.1)
        };
        let data: Vec<_> = values(b"data").collect();
        let known = [&b"data"[..], b"event", b"id", b"retry"];
        if let Some((.., start)) = lines.iter().find(|(name, ..)| known.contains(name)) {
            reported.push(Reported {
                data: data.join(&b'\n'),
                end: EventEnd {
                    start: *start,
                    end: at as u64,
                    kind: match values(b"event").next_back() {
                        None | Some(b"" | b"message") => EventKind::Message,
                        Some(b"endpoint") => EventKind::Endpoint,
                        Some(_) => EventKind::Other,
                    },
                    has_data: !data.is_empty(),
                    id: values(b"id")
                        .rfind(|id| !id.contains(&0))
                        .filter(|id| !id.is_empty())
                        .map(|id| EventId::EMPTY.followed_by(id)),
                },
            });
        }
        lines.clear();
    }
    reported
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_stream_in_any_chunks_reads_as_in_the_standard(
        mark in prop::sample::select(vec!["", "", "\u{feff}"]),
        pieces in prop::collection::vec(prop::sample::select(vec![
            "data", "event", "id", "retry", ":", ":", ": ", " ", "\n", "\n", "\n\n", "\r", "\r\n", "\r\n\r\n",
            "message", "endpoint", "x", "\0", "\u{feff}", "\u{2028}", "{\"id\":1}",
        ]), 0..60),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let stream = format!("{mark}{}", pieces.concat());
        let stream = stream.as_bytes();
        let expected = reference(stream);
        let mut places: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        prop_assert_eq!(&decode(places.windows(2).map(|pair| &stream[pair[0]..pair[1]])), &expected);
        prop_assert_eq!(&decode(stream.chunks(1)), &expected);
    }
}
