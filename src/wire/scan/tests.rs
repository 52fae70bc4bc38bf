//! Examples of what the scanner promises; `oracle` compares it with serde_json.

mod content;
mod hostile;
mod operations;
mod oracle;
mod recorded;

use std::ops::Range;

use super::super::{Field, JsonId, Kind, Message, ScanState, Scanner};

/// All facts of a message, so that two readings can be compared.
#[derive(Debug, Clone, PartialEq)]
struct Facts {
    kind: Kind,
    id: Option<JsonId>,
    id_is_null_or_absent: bool,
    texts: Vec<(Field, String, bool)>,
    tokens: Vec<(Field, JsonId)>,
    digests: Vec<(Field, [u8; 32])>,
    is_error: bool,
    /// The result of a task is an error, in an answer and in a notification.
    task_is_error: [bool; 2],
    has_task: bool,
    span: Range<u64>,
}

impl Facts {
    fn of(message: &Message) -> Self {
        let text = |&(field, ..): &(Field, &[&str], usize)| {
            Some((
                field,
                message.text(field)?.to_owned(),
                message.was_cut(field),
            ))
        };
        let token = |&(field, _): &(Field, &[&str])| Some((field, message.token(field)?));
        let digest = |&(field, _): &(Field, &[&str])| Some((field, message.digest(field)?));
        Self {
            kind: message.kind(),
            id: message.id(),
            id_is_null_or_absent: message.id_is_null_or_absent(),
            texts: oracle::TEXTS.iter().filter_map(text).collect(),
            tokens: oracle::TOKENS.iter().filter_map(token).collect(),
            digests: oracle::DIGESTS.iter().filter_map(digest).collect(),
            is_error: message.is_error(),
            task_is_error: oracle::TASK_IS_ERROR.map(|(field, _)| message.is_true(field)),
            has_task: message.is_object(Field::Task),
            span: message.span(),
        }
    }

    fn text(&self, field: Field) -> Option<&str> {
        let found = self.texts.iter().find(|(known, ..)| *known == field);
        found.map(|(_, text, _)| text.as_str())
    }
}

/// Reads a document in these chunks. Returns its messages and the final state.
fn read<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Facts>, ScanState) {
    let mut scanner = Scanner::new();
    let mut messages = Vec::new();
    for chunk in chunks {
        scanner.feed(chunk, &mut |message| messages.push(Facts::of(message)));
    }
    (messages, scanner.state())
}

fn messages(document: impl AsRef<[u8]>) -> Vec<Facts> {
    read([document.as_ref()]).0
}

/// Returns the facts of a document that is one message.
fn message(document: impl AsRef<[u8]>) -> Facts {
    let (messages, state) = read([document.as_ref()]);
    assert_eq!(state, ScanState::Closed);
    let [message] = messages.try_into().expect("one message");
    message
}

fn state(document: &str) -> ScanState {
    read([document.as_bytes()]).1
}

fn id(json: &str) -> JsonId {
    message(format!(
        r#"{{"jsonrpc":"2.0","method":"ping","id":{json}}}"#
    ))
    .id
    .expect(json)
}

#[test]
fn request_has_its_method_id_and_tool() {
    let facts = message(
        r#" {"jsonrpc": "2.0", "id": 0, "method": "tools/call", "params": {"name": "echo", "arguments": {}}} "#,
    );
    assert_eq!(facts.kind, Kind::Request);
    assert_eq!(facts.id, Some(id("0")));
    assert_eq!(facts.text(Field::Method), Some("tools/call"));
    assert_eq!(facts.text(Field::Name), Some("echo"));
    assert_eq!(facts.span, 1..97);
}

#[test]
fn members_determine_the_kind() {
    for (document, kind) in [
        (r#"{"jsonrpc":"2.0","method":"m","id":1}"#, Kind::Request),
        (r#"{"jsonrpc":"2.0","method":"m","id":""}"#, Kind::Request),
        (
            r#"{"jsonrpc":null,"method":"m","id":-1.5e3}"#,
            Kind::Request,
        ),
        (
            r#"{"jsonrpc":"2.0","method":"m","id":1,"result":{}}"#,
            Kind::Request,
        ),
        (r#"{"jsonrpc":"2.0","method":"m"}"#, Kind::Notification),
        (r#"{"jsonrpc":"2.0","result":{},"id":1}"#, Kind::Success),
        (r#"{"jsonrpc":"2.0","result":null,"id":1}"#, Kind::Success),
        (
            r#"{"jsonrpc":"2.0","result":[],"error":null}"#,
            Kind::Success,
        ),
        (r#"{"jsonrpc":"2.0","error":{}}"#, Kind::Failure),
        (
            r#"{"jsonrpc":"2.0","result":null,"error":{}}"#,
            Kind::Failure,
        ),
        (r#"{"jsonrpc":"2.0","error":"text"}"#, Kind::Failure),
        (r#"{"method":"m","id":1}"#, Kind::Other),
        (r#"{"jsonrpc":"2.0","method":"m","id":null}"#, Kind::Other),
        (r#"{"jsonrpc":"2.0","method":"m","id":true}"#, Kind::Other),
        (r#"{"jsonrpc":"2.0","method":"m","id":{}}"#, Kind::Other),
        (r#"{"jsonrpc":"2.0","method":"m","id":[1]}"#, Kind::Other),
        (r#"{"jsonrpc":"2.0","method":1,"id":1}"#, Kind::Other),
        (
            r#"{"jsonrpc":"2.0","method":null,"result":{},"id":1}"#,
            Kind::Other,
        ),
        (r#"{"jsonrpc":"2.0","error":null,"id":1}"#, Kind::Other),
        (r#"{"jsonrpc":"2.0"}"#, Kind::Other),
        (r#"{}"#, Kind::Other),
    ] {
        assert_eq!(message(document).kind, kind, "{document}");
    }
}

#[test]
fn missing_error_id_differs_from_an_odd_error_id() {
    for (id, absent) in [
        ("", true),
        (r#","id":null"#, true),
        (r#","id":7"#, false),
        (r#","id":{}"#, false),
    ] {
        let facts = message(format!(r#"{{"jsonrpc":"2.0","error":{{}}{id}}}"#));
        assert_eq!(facts.id_is_null_or_absent, absent, "{id}");
    }
}

#[test]
fn ids_are_compared_by_value_and_type() {
    assert_eq!(id("1"), id("1.0"));
    assert_eq!(id("1"), id("10e-1"));
    assert_eq!(id("-0"), id("0"));
    assert_eq!(id(r#""a""#), id(r#""\u0061""#));
    assert_ne!(id("1"), id(r#""1""#));
    assert_ne!(id("1"), id("-1"));
    assert_ne!(id("9007199254740993"), id("9007199254740992"));
    let long = "x".repeat(100_000);
    assert_eq!(id(&format!(r#""{long}""#)), id(&format!(r#""{long}""#)));
    assert_ne!(id(&format!(r#""{long}""#)), id(&format!(r#""{long}y""#)));
}

#[test]
fn nested_decoys_and_odd_member_orders_change_nothing() {
    let facts = message(
        r#"{"result":{"content":[{"isError":true,"text":"\"isError\":true"}],"isError":false,
            "result":{"isError":true},"x":{"_meta":{}}},"jsonrpc":"2.0","id":4}"#,
    );
    assert_eq!((facts.kind, facts.is_error), (Kind::Success, false));
    let facts = message(
        r#"{"x":{"method":"decoy","id":9},"method":"tools/call","params":{"_meta":{"progressToken":1},
            "arguments":{"name":"decoy","uri":"decoy"},"name":"real"},"jsonrpc":"2.0","id":2}"#,
    );
    assert_eq!(facts.text(Field::Name), Some("real"));
    assert_eq!(facts.text(Field::Uri), None);
    assert_eq!(facts.id, Some(id("2")));
}

#[test]
fn last_of_repeated_members_counts() {
    let facts = message(
        r#"{"jsonrpc":"2.0","id":1,"id":null,"id":2,"method":"a","method":"b",
            "params":{"name":"one","uri":"u","ref":{"name":"r"}},"params":{"name":"two","name":"three"}}"#,
    );
    assert_eq!(facts.id, Some(id("2")));
    assert_eq!(facts.text(Field::Method), Some("b"));
    assert_eq!(facts.text(Field::Name), Some("three"));
    assert_eq!(facts.text(Field::Uri), None);
    assert_eq!(facts.text(Field::RefName), None);
    let facts = message(r#"{"jsonrpc":"2.0","method":"a","params":{"name":"one"},"params":7}"#);
    assert_eq!(facts.text(Field::Name), None);
}

#[test]
fn member_of_another_type_has_no_text() {
    let facts = message(
        r#"{"jsonrpc":"2.0","method":"m","params":{"name":5,"uri":null,"taskId":["t"],"cursor":{},"reason":true}}"#,
    );
    assert_eq!(facts.texts.len(), 1);
    assert_eq!(facts.tokens, []);
}

#[test]
fn keys_may_be_escaped_and_look_like_paths() {
    let facts = message(
        r#"{"jsonrpc":"2.0","m\u0065thod":"m","params":{"n\u0061me":"n","_meta":{"io":{"modelcontextprotocol/clientInfo":{"name":"no"}},
            "io.modelcontextprotocol\/clientInfo":{"name":"yes","version":"1"},"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
    );
    assert_eq!(facts.text(Field::Method), Some("m"));
    assert_eq!(facts.text(Field::Name), Some("n"));
    assert_eq!(facts.text(Field::MetaClientName), Some("yes"));
    assert_eq!(facts.text(Field::MetaProtocolVersion), Some("2026-07-28"));
}

#[test]
fn escapes_are_decoded_and_half_pairs_replaced() {
    for (json, text) in [
        (r#"\"\\\/\b\f\n\r\t"#, "\"\\/\u{8}\u{c}\n\r\t"),
        (r"\u00e9\u20AC", "é€"),
        (r"\ud83d\ude00", "😀"),
        (r"a\ud83d", "a\u{fffd}"),
        (r"\ud83d\n", "\u{fffd}\n"),
        (r"\ud83dx\ude00", "\u{fffd}x\u{fffd}"),
        (r"\ud83d\ud83d\ude00", "\u{fffd}😀"),
        (r"\ude00\ud83d", "\u{fffd}\u{fffd}"),
        (r"\ud83d\u0041", "\u{fffd}A"),
        (r"\x", "\u{fffd}"),
        (r"\u12z", "\u{fffd}z"),
        (r"\ud83d\u", "\u{fffd}\u{fffd}"),
    ] {
        let facts = message(format!(r#"{{"method":"{json}","id":1}}"#));
        assert_eq!(facts.text(Field::Method), Some(text), "{json}");
    }
}

#[test]
fn invalid_utf8_is_replaced_as_the_standard_library_does() {
    for bytes in [
        &b"a\xffb"[..],
        b"\xc3",
        b"\xe2\x82",
        b"\xe2\x82x",
        b"\xf0\x9f\x98",
        b"\xed\xa0\x80",
        b"\xc3\\u00e9",
    ] {
        let document = [br#"{"method":""#, bytes, br#"","id":1}"#].concat();
        let expected = String::from_utf8_lossy(bytes).replace("\\u00e9", "é");
        assert_eq!(
            message(&document).text(Field::Method),
            Some(&*expected),
            "{bytes:?}"
        );
    }
    // Ids too, so that an id from a peer that already replaced it still matches.
    for padding in ["", &"p".repeat(1000)] {
        let raw = [
            br#"{"id":""#,
            padding.as_bytes(),
            b"\xe2\x82",
            padding.as_bytes(),
            br#""}"#,
        ]
        .concat();
        let replaced = format!(r#"{{"id":"{padding}{}{padding}"}}"#, '\u{fffd}');
        assert_eq!(message(raw).id, message(replaced).id);
    }
}

#[test]
fn texts_are_cut_on_a_character_boundary_and_marked() {
    for (field, json, limit) in [
        (Field::Method, r#"{"method":"@"}"#, 128),
        (Field::Name, r#"{"params":{"name":"@"}}"#, 256),
        (Field::Uri, r#"{"params":{"uri":"@"}}"#, 2048),
        (Field::ErrorMessage, r#"{"error":{"message":"@"}}"#, 512),
    ] {
        for char in ["x", "é", "€", "😀", r"\ud83d\ude00"] {
            for (len, cut) in [(limit, false), (limit + 1, true), (10 * limit, true)] {
                let facts = message(json.replace('@', &char.repeat(len)));
                let (_, text, was_cut) = &facts.texts[0];
                assert_eq!((facts.texts[0].0, *was_cut), (field, cut));
                assert_eq!(*text, char.replace(r"\ud83d\ude00", "😀").repeat(limit));
            }
        }
    }
}

#[test]
fn error_code_is_text_for_strings_and_numbers() {
    for (json, code) in [
        ("-32601", "-32601"),
        (r#""E\u0031""#, "E1"),
        ("1.50e1", "1.50e1"),
    ] {
        let facts = message(format!(r#"{{"jsonrpc":"2.0","error":{{"code":{json}}}}}"#));
        assert_eq!(facts.text(Field::ErrorCode), Some(code));
    }
    let facts = message(r#"{"jsonrpc":"2.0","error":{"code":null}}"#);
    assert_eq!(facts.text(Field::ErrorCode), None);
}

#[test]
fn batch_yields_one_message_per_object() {
    let document = r#" [ {"jsonrpc":"2.0","id":8,"method":"tools/list"} , 7, "x", [{"id":1}], null,{"jsonrpc":"2.0","method":"n"}] "#;
    let (messages, state) = read([document.as_bytes()]);
    assert_eq!(state, ScanState::Closed);
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0].kind, Kind::Request);
    assert_eq!(messages[1].kind, Kind::Notification);
    assert_eq!(messages[1].text(Field::Method), Some("n"));
    for message in &messages {
        let span = message.span.start as usize..message.span.end as usize;
        assert!(document[span.clone()].starts_with("{\"jsonrpc") && document[span].ends_with('}'));
    }
    assert_eq!(read([&b"[]"[..]]), (vec![], ScanState::Closed));
}

#[test]
fn scanner_reports_the_state_of_the_document() {
    assert_eq!(state(""), ScanState::Empty);
    assert_eq!(state(" \r\n\t"), ScanState::Empty);
    assert_eq!(state(" {"), ScanState::Open);
    assert_eq!(state("[{}"), ScanState::Open);
    assert_eq!(state("{} trailing"), ScanState::Closed);
    for value in ["\"text\"", " 7", "-7", "true", "false", "null"] {
        assert_eq!(state(value), ScanState::Closed, "{value} holds no message");
    }
    for broken in [
        "x",
        "]",
        "NaN",
        "{x",
        "{]",
        "{,",
        "{\"a\"}",
        "{\"a\" 1",
        "{\"a\":}",
        "{\"a\":,",
        "{\"a\":1 2",
        "{\"a\":1]",
        "{\"a\":1,}",
        "{\"a\":[] \"b\"",
        "{\"params\":{\"a\":1,}",
        "[,",
        "[1 2",
        "[{}}",
        "[1,]",
        "{\"a\"::1",
    ] {
        assert_eq!(state(broken), ScanState::Invalid, "{broken}");
    }
    assert_eq!(state("{}["), ScanState::Closed);
}

#[test]
fn characters_that_servers_skip_before_a_document_are_skipped() {
    const REQUEST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#;
    for before in [
        "\u{feff}",
        "\u{feff} \n",
        " \u{feff}",
        "\u{feff}\u{a0}\u{3000}",
        "\u{b}\u{c}\u{85}\u{1680}\u{200a}\u{2028}\u{2029}\u{202f}\u{205f}",
    ] {
        for document in [REQUEST.to_owned(), format!("[{REQUEST}]")] {
            let document = format!("{before}{document}");
            let (whole, state) = read([document.as_bytes()]);
            assert_eq!((whole.len(), state), (1, ScanState::Closed), "{document:?}");
            let start = document.find("{\"").expect("a message") as u64;
            assert_eq!(whole[0].span.start, start, "{document:?}");
            assert_eq!(read(document.as_bytes().chunks(1)), (whole, state));
        }
    }
    for before in [
        &b"\0"[..],
        b"\x1c",
        "\u{200b}".as_bytes(),
        "é".as_bytes(),
        b"\xef\xbb",
        b"\xff\xfe",
        b"\xef\xbb\xbf\xef\xbb",
        b"\xf0\x90\x80\x80",
    ] {
        let document = [before, REQUEST.as_bytes()].concat();
        let invalid = (vec![], ScanState::Invalid);
        assert_eq!(read([&document[..]]), invalid, "{before:?}");
        assert_eq!(read(document.chunks(1)), invalid, "{before:?}");
    }
}

#[test]
fn other_encodings_hold_no_message() {
    let request = r#"[{"jsonrpc":"2.0","id":1,"method":"m"}]"#;
    for request in [request, &request[1..request.len() - 1]] {
        let little = request.encode_utf16().flat_map(u16::to_le_bytes);
        let big = request.encode_utf16().flat_map(u16::to_be_bytes);
        let wide = request
            .chars()
            .flat_map(|char| u32::from(char).to_le_bytes());
        for bytes in [little.collect::<Vec<_>>(), big.collect(), wide.collect()] {
            assert_eq!(read([&bytes[..]]), (vec![], ScanState::Invalid));
        }
    }
}

#[test]
fn invalid_literal_leaves_the_message_readable() {
    for literal in [
        "NaN",
        "Infinity",
        "-Infinity",
        "nul",
        "01",
        "1x",
        "undefined",
    ] {
        let facts = message(format!(
            r#"{{"jsonrpc":{literal},"id":1,"method":"m","params":{{"name":"n","cursor":{literal},"uri":{literal}}}}}"#
        ));
        assert_eq!(facts.kind, Kind::Request, "{literal}");
        assert_eq!(facts.text(Field::Name), Some("n"));
        assert_eq!(facts.text(Field::Uri), None);
        assert_eq!(facts.tokens, []);
        let facts = message(format!(
            r#"{{"jsonrpc":"2.0","id":{literal},"method":"m"}}"#
        ));
        assert_eq!(facts.kind, Kind::Other, "an id of {literal}");
    }
}

#[test]
fn reset_scanner_reads_another_document() {
    let mut scanner = Scanner::new();
    let mut count = 0;
    for document in [
        r#"[{"id":"#,
        r#"{"id":1,"x":"\"#,
        r#"x"#,
        r#" {"jsonrpc":1,"method":"m"}"#,
    ] {
        scanner.reset();
        scanner.feed(document.as_bytes(), &mut |message| {
            count += 1;
            assert_eq!(
                (message.kind(), message.span(), message.in_batch()),
                (Kind::Notification, 1..27, false)
            );
        });
    }
    assert_eq!((count, scanner.state()), (1, ScanState::Closed));
}

#[test]
fn scanner_is_small() {
    // 256 of these bytes hold the kept text of most messages.
    assert!(size_of::<Scanner>() <= 816, "{}", size_of::<Scanner>());
    assert!(size_of::<JsonId>() <= 40);
}
