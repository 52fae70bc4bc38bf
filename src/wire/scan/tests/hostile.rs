//! Hostile and incomplete documents.

use super::super::super::{Field, Kind, ScanState, Scanner};
use super::{id, message, messages, read, state};

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
fn kept_text_survives_the_compaction_of_repeated_members() {
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
fn document_cut_at_any_byte_yields_nothing_until_it_is_complete() {
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
