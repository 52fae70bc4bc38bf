//! What the scanner promises, by example; `oracle` compares it with serde_json.

mod oracle;

use std::ops::Range;

use super::super::{Field, Kind, Message, ScanState, Scanner, Token, method};

/// All that a message tells, so that two readings can be compared.
#[derive(Debug, Clone, PartialEq)]
struct Facts {
    kind: Kind,
    id: Option<Token>,
    id_is_null_or_absent: bool,
    texts: Vec<(Field, String, bool)>,
    tokens: Vec<(Field, Token)>,
    is_error: bool,
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
        Self {
            kind: message.kind(),
            id: message.id(),
            id_is_null_or_absent: message.id_is_null_or_absent(),
            texts: oracle::TEXTS.iter().filter_map(text).collect(),
            tokens: oracle::TOKENS.iter().filter_map(token).collect(),
            is_error: message.is_error(),
            has_task: message.has_task(),
            span: message.span(),
        }
    }

    fn text(&self, field: Field) -> Option<&str> {
        let found = self.texts.iter().find(|(known, ..)| *known == field);
        found.map(|(_, text, _)| text.as_str())
    }
}

/// A document that was fed in these chunks: its messages and how far it was read.
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

/// The facts of a document that is one message.
fn message(document: impl AsRef<[u8]>) -> Facts {
    let (messages, state) = read([document.as_ref()]);
    assert_eq!(state, ScanState::Closed);
    let [message] = messages.try_into().expect("one message");
    message
}

fn state(document: &str) -> ScanState {
    read([document.as_bytes()]).1
}

fn id(json: &str) -> Token {
    message(format!(
        r#"{{"jsonrpc":"2.0","method":"ping","id":{json}}}"#
    ))
    .id
    .expect(json)
}

#[test]
fn a_request_tells_its_method_id_and_tool() {
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
fn members_make_the_kind() {
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
fn an_error_without_its_id_is_told_from_one_with_an_odd_id() {
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
fn decoys_deeper_down_and_odd_member_orders_change_nothing() {
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
fn the_last_of_duplicated_members_counts() {
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
fn a_member_of_another_type_is_no_text() {
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
fn escapes_are_undone_and_half_pairs_replaced() {
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
    // In ids too, so that a peer that replaced it already is still understood.
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
fn texts_are_cut_on_a_character_boundary_and_say_so() {
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
fn an_error_code_is_text_whether_number_or_string() {
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
fn a_batch_yields_one_message_per_object() {
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
fn a_scanner_tells_how_far_the_document_is() {
    assert_eq!(state(""), ScanState::Empty);
    assert_eq!(state(" \r\n\t"), ScanState::Empty);
    assert_eq!(state(" {"), ScanState::Open);
    assert_eq!(state("[{}"), ScanState::Open);
    assert_eq!(state("{} trailing"), ScanState::Closed);
    for broken in [
        "x",
        "\"text\"",
        "7",
        "]",
        "\u{feff}{}",
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
        "{\"id\":1x}",
        "{\"id\":01}",
        "{\"id\":nul}",
        "{\"params\":{\"a\":1,}",
        "[,",
        "[1 2",
        "[{}}",
        "[1,]",
        "{\"a\"::1",
        "{}[",
    ] {
        let expected = if broken == "{}[" {
            ScanState::Closed
        } else {
            ScanState::Invalid
        };
        assert_eq!(state(broken), expected, "{broken}");
    }
}

#[test]
fn a_reset_scanner_reads_another_document() {
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
fn a_document_cut_at_any_byte_yields_nothing_until_it_is_whole() {
    let document = r#"{"jsonrpc":"2.0","id":"\ud83d\ude00é","method":"tools/call","params":{"name":"\"a\\","arguments":{"x":["}\\\"",1]}}}"#;
    let whole = messages(document);
    for cut in 0..document.len() {
        let (before, after) = document.as_bytes().split_at(cut);
        assert_eq!(messages(before), []);
        assert_eq!(read([before, after]).0, whole, "cut at {cut}");
    }
    let bytes = document.as_bytes().chunks(1);
    assert_eq!(read(bytes).0, whole);
}

#[test]
fn nesting_of_any_depth_is_skipped() {
    let deep = 10_000;
    let document = format!(
        r#"{{"jsonrpc":"2.0","method":"tools/call","params":{{"arguments":{}{},"name":"n"}},"id":1}}"#,
        "[{\"a\":".repeat(deep),
        "}]".repeat(deep),
    );
    let facts = message(document.replace(":}", ":1}"));
    assert_eq!(facts.text(Field::Name), Some("n"));
    assert_eq!(state(&"[".repeat(1 << 20)), ScanState::Open);
}

#[test]
fn hostile_documents_take_bounded_memory() {
    let mebibyte = "k".repeat(1 << 20);
    let wide = "😀".repeat(2048);
    let documents = [
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{mebibyte}"}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":1,"{mebibyte}":1,"method":"m"}}"#),
        format!(r#"{{"jsonrpc":"2.0","id":"{mebibyte}","method":"m"}}"#),
        format!(
            r#"{{"jsonrpc":"2.0","id":{},"method":"m"}}"#,
            "1".repeat(1 << 20)
        ),
        format!(
            r#"{{"jsonrpc":"2.0","id":1,{}"method":"m"}}"#,
            r#""method":"other","#.repeat(300_000)
        ),
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"m","params":{{{}"x":0}}}}"#,
            format!(r#""uri":"{wide}","#).repeat(50)
        ),
    ];
    for document in &documents {
        let mut scanner = Scanner::new();
        let mut requests = 0;
        for chunk in document.as_bytes().chunks(8192) {
            scanner.feed(chunk, &mut |message| {
                requests += u32::from(message.kind() == Kind::Request)
            });
            assert!(scanner.message.text.capacity() <= 128 << 10);
        }
        assert_eq!(requests, 1);
    }
}

#[test]
fn what_is_kept_survives_the_clearing_out_of_repeated_members() {
    let wide = "😀".repeat(2048);
    let repeated = format!(r#""uri":"{wide}","#).repeat(50);
    let facts = message(format!(
        r#"{{"jsonrpc":"2.0","id":"first","method":"m","params":{{"name":"n",{repeated}"reason":"r"}}}}"#
    ));
    assert_eq!(facts.id, Some(id(r#""first""#)));
    for (field, text) in [
        (Field::Method, "m"),
        (Field::Name, "n"),
        (Field::Reason, "r"),
        (Field::Uri, &wide),
    ] {
        assert_eq!(facts.text(field), Some(text));
    }
}

#[test]
fn a_scanner_is_small() {
    assert!(size_of::<Scanner>() <= 400, "{}", size_of::<Scanner>());
    assert!(size_of::<Token>() <= 40);
}

#[test]
fn a_message_names_its_tool_or_target() {
    let aims = |document: &str| {
        let mut found = None;
        Scanner::new().feed(document.as_bytes(), &mut |message| {
            let target = method::target(message).map(|(_, target)| target.to_owned());
            found = Some((method::tool(message).map(str::to_owned), target));
        });
        found.expect(document)
    };
    for (method, params, tool, target) in [
        ("tools/call", r#""name":"t""#, Some("t"), None),
        ("tools/call", r#""uri":"u""#, None, None),
        ("prompts/get", r#""name":"p""#, None, Some("p")),
        ("resources/read", r#""uri":"u","name":"n""#, None, Some("u")),
        ("resources/subscribe", r#""uri":"u""#, None, Some("u")),
        ("resources/unsubscribe", r#""uri":"u""#, None, Some("u")),
        (
            "completion/complete",
            r#""ref":{"type":"ref/prompt","name":"p"}"#,
            None,
            Some("p"),
        ),
        (
            "completion/complete",
            r#""ref":{"type":"ref/resource","uri":"u"},"name":"n""#,
            None,
            Some("u"),
        ),
        ("tasks/get", r#""taskId":"1""#, None, Some("1")),
        ("tasks/list", r#""taskId":"1""#, None, None),
        ("skills/get", r#""uri":"u""#, None, Some("u")),
        ("tools/list", r#""name":"n""#, None, None),
        ("no/such", r#""name":"n","uri":"u""#, None, None),
    ] {
        let document =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#);
        assert_eq!(
            aims(&document),
            (tool.map(str::to_owned), target.map(str::to_owned)),
            "{document}"
        );
    }
}

#[test]
fn known_methods_are_interned() {
    use std::borrow::Cow;
    assert!(matches!(
        method::intern("tools/call"),
        Cow::Borrowed("tools/call")
    ));
    assert!(matches!(method::intern("tools/Call"), Cow::Owned(name) if name == "tools/Call"));
}

/// Exchanges as real peers sent them.
mod recorded {
    use super::*;

    #[test]
    fn a_failed_tool_is_a_success_with_is_error() {
        let facts = message(
            r#"{"jsonrpc":"2.0","id":3,"result":{"content":[{"type":"text","text":"kaput"}],"isError":true}}"#,
        );
        assert_eq!(
            (facts.kind, facts.is_error, facts.has_task),
            (Kind::Success, true, false)
        );
    }

    #[test]
    fn the_tool_may_come_after_large_arguments_with_decoys() {
        let blob = "b64/".repeat(5 << 18);
        let document = format!(
            r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{{"_meta":{{"progressToken":1}},"arguments":{{"name":"decoy","blob":"{blob}","x":{{"params":{{"name":"decoy2"}}}}}},"name":"upload"}}}}"#
        );
        let (messages, _) = read(document.as_bytes().chunks(16_384));
        assert_eq!(messages[0].text(Field::Name), Some("upload"));
    }

    #[test]
    fn chunks_may_end_within_characters_and_escapes() {
        let chunks = [
            &b"{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"tools/call\",\"params\":{\"name\":\"m\xC3"[..],
            b"\xA9t\\u00",
            b"e9o\",\"arguments\":{\"q\":\"a\\",
            b"\"b\"}}}",
        ];
        let (messages, state) = read(chunks);
        assert_eq!(state, ScanState::Closed);
        assert_eq!(messages[0].text(Field::Name), Some("météo"));
    }

    #[test]
    fn a_round_trip_for_input_is_told_by_its_result_type() {
        let facts = message(
            r#"{"jsonrpc":"2.0","id":1,"result":{"inputRequests":{"__main__:who":{"method":"elicitation/create","params":{"message":"name?","mode":"form","requestedSchema":{"properties":{"name":{"title":"Name","type":"string"}},"required":["name"],"type":"object"}}}},"requestState":"v1.mBEF","resultType":"input_required","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"pyprobe","version":"1.2.3"}}}}"#,
        );
        assert_eq!(facts.kind, Kind::Success);
        assert_eq!(facts.text(Field::ResultType), Some("input_required"));
        assert_eq!(facts.text(Field::MetaServerName), Some("pyprobe"));
        assert_eq!(facts.text(Field::Method), None);

        let facts = message(
            r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"greet","arguments":{"city":"Oslo"},"inputResponses":{"__main__:who":{"action":"accept","content":{"name":"Ada"}}},"requestState":"v1.mBEF","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"mcp","version":"0.1.0"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#,
        );
        assert_eq!(facts.text(Field::Name), Some("greet"));
        assert_eq!(facts.text(Field::MetaClientName), Some("mcp"));
        assert_eq!(facts.text(Field::MetaClientVersion), Some("0.1.0"));
    }

    #[test]
    fn an_initialize_tells_both_sides() {
        let facts = message(
            r#"{"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"tscli","version":"9"}},"jsonrpc":"2.0","id":0}"#,
        );
        assert_eq!(facts.text(Field::ProtocolVersion), Some("2025-11-25"));
        assert_eq!(facts.text(Field::ClientName), Some("tscli"));
        let facts = message(
            r#"{"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"tsprobe","version":"1"}},"jsonrpc":"2.0","id":0}"#,
        );
        assert_eq!(facts.text(Field::ResultProtocolVersion), Some("2025-11-25"));
        assert_eq!(facts.text(Field::ServerName), Some("tsprobe"));
        assert_eq!(facts.text(Field::ServerVersion), Some("1"));
    }

    #[test]
    fn a_cancellation_names_its_request() {
        let facts = message(
            r#"{"method":"notifications/cancelled","params":{"requestId":3,"reason":"McpError: MCP error -32001: Request timed out"},"jsonrpc":"2.0"}"#,
        );
        assert_eq!(facts.tokens, [(Field::RequestId, id("3"))]);
        assert!(
            facts
                .text(Field::Reason)
                .is_some_and(|reason| reason.contains("timed out"))
        );
    }
}
