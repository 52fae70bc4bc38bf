//! The first text of a result's content, which is kept only on request.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::*;

/// Returns the text that is kept of a document, which is fed in pieces of this
/// length.
fn text_of(document: &str, piece: usize, keep: bool) -> Option<String> {
    let mut scanner = Scanner::new();
    scanner.keep_content(keep);
    let mut text = None;
    for piece in document.as_bytes().chunks(piece) {
        scanner.feed(piece, &mut |message| {
            assert!(message.is_error());
            text = message.text(Field::ContentText).map(str::to_owned);
        });
    }
    assert_eq!(scanner.state(), ScanState::Closed, "{document}");
    text
}

fn result(content: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":{content},"isError":true}}}}"#)
}

#[test]
fn first_text_of_content_is_kept_on_request() {
    for (content, expected) in [
        (
            r#"[{"type":"text","text":"no such file"}]"#,
            Some("no such file"),
        ),
        (r#"[{"text":"first"},{"text":"second"}]"#, Some("first")),
        (
            r#"[{"type":"image","data":"x"}, {"text":"second"}]"#,
            Some("second"),
        ),
        (
            r#"[1,"text",null,[{"text":"inner"}],{"text":"outer"}]"#,
            Some("outer"),
        ),
        (r#"["a","b",{"text":"c"}]"#, Some("c")),
        (r#"[{"text":7},{"text":"\u00e9\n"}]"#, Some("é\n")),
        (
            r#"[ { "annotations" : { "text" : "x" } } , { "text" : "y" } ]"#,
            Some("y"),
        ),
        ("[]", None),
        ("{\"text\":\"x\"}", None),
        ("\"text\"", None),
        ("null", None),
    ] {
        let document = result(content);
        for piece in 1..document.len() {
            let text = text_of(&document, piece, true);
            assert_eq!(text.as_deref(), expected, "{content} in pieces of {piece}");
        }
        assert_eq!(text_of(&document, document.len(), false), None);
    }
    let long = result(&format!(r#"[{{"text":"{}"}}]"#, "é".repeat(2_000)));
    assert_eq!(text_of(&long, 100, true), Some("é".repeat(512)));
}

#[test]
fn content_with_a_wrong_closing_bracket_is_invalid() {
    for content in ["[}", "[{\"text\":\"x\"]", "[{\"a\":1}}", "[,1]", "[{} {}]"] {
        let document = result(content);
        let mut scanner = Scanner::new();
        scanner.keep_content(true);
        scanner.feed(document.as_bytes(), &mut |_| panic!("{content}"));
        assert_eq!(scanner.state(), ScanState::Invalid, "{content}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z\"\\\\\u{e9}\u{1f600}]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let key = prop::sample::select(vec!["text", "type", "content", "isError", "x"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..4).prop_map(|members| members
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect()),
        ]
    })
}

proptest! {
    #[test]
    fn first_text_is_the_one_that_serde_json_finds(
        content in prop::collection::vec(value(), 0..5),
        piece in 1_usize..40,
    ) {
        let expected = content.iter().find_map(|item| Some(item.get("text")?.as_str()?.to_owned()));
        let document = result(&Value::from(content).to_string());
        prop_assert_eq!(text_of(&document, piece, true), expected);
    }
}
