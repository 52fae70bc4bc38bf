//! Requests that are parts of one operation: rounds that ask for input, and tasks.

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::super::super::{Field, Message, Scanner};

type Digest = Option<[u8; 32]>;

fn sha256(bytes: impl AsRef<[u8]>) -> Digest {
    Some(Sha256::digest(bytes).into())
}

/// Reads a document of one message in chunks of this size, and returns the answer
/// to `question`.
fn ask<T>(document: &str, chunk: usize, question: impl Fn(&Message) -> T) -> T {
    let mut scanner = Scanner::new();
    let mut found = None;
    for bytes in document.as_bytes().chunks(chunk) {
        scanner.feed(bytes, &mut |message| found = Some(question(message)));
    }
    found.expect("one message")
}

/// Returns the digest of the member, which is the same for every chunk size.
fn digest(document: &str, field: Field) -> Digest {
    let whole = ask(document, document.len(), |message| message.digest(field));
    for chunk in [1, 2, 3, 7, 64, 1000] {
        let in_chunks = ask(document, chunk, |message| message.digest(field));
        assert_eq!(in_chunks, whole, "{document} in chunks of {chunk}");
    }
    whole
}

/// Returns the digest of a state with this JSON, which is the same in either
/// direction.
fn state(json: &str) -> Digest {
    let [given, received] = [
        (
            r#"{"result":{"requestState":@}}"#,
            Field::ResultRequestState,
        ),
        (r#"{"params":{"requestState":@}}"#, Field::RequestState),
    ]
    .map(|(document, field)| digest(&document.replace('@', json), field));
    assert_eq!(given, received, "{json}");
    received
}

/// Returns the digest of the keys of this JSON, which is the same in either
/// direction.
fn keys(json: &str) -> Digest {
    let [asked, answered] = [
        (r#"{"result":{"inputRequests":@}}"#, Field::InputRequests),
        (r#"{"params":{"inputResponses":@}}"#, Field::InputResponses),
    ]
    .map(|(document, field)| digest(&document.replace('@', json), field));
    assert_eq!(asked, answered, "{json}");
    answered
}

#[test]
fn state_that_is_a_string_has_the_digest_of_its_text() {
    assert_eq!(state(r#""""#), sha256(""));
    assert_eq!(state(r#""v1.T3oy""#), sha256("v1.T3oy"));
    assert_eq!(state(r#""a\u0061\/\"é""#), sha256("aa/\"é"));
    let long = "y".repeat(5000);
    assert_eq!(state(&format!(r#""{long}\u0061""#)), sha256(long + "a"));
}

/// Returns the digest of a state that is not a string and has this JSON.
fn of_value(json: &str) -> Digest {
    sha256(Sha256::digest(json))
}

#[test]
fn state_of_another_type_has_the_digest_of_the_digest_of_its_bytes() {
    for json in [
        "7",
        "1.0",
        "-0",
        "true",
        "false",
        "NaN",
        "{}",
        "[]",
        r#"{"a": "}\"", "b":[1 ,2]}"#,
        r#"["\u0061", {"requestState":"x"}]"#,
    ] {
        assert_eq!(state(json), of_value(json), "{json}");
    }
    let number = "1".repeat(5000);
    assert_eq!(state(&number), of_value(&number));
    let object = format!(r#"{{"a":"{}"}}"#, "é".repeat(5000));
    assert_eq!(state(&object), of_value(&object));
}

#[test]
fn state_that_is_not_a_string_differs_from_the_string_with_the_same_text() {
    for (json, string) in [
        ("7", r#""7""#),
        ("true", r#""true""#),
        ("[1]", r#""[1]""#),
        (r#"{"a":1}"#, r#""{\"a\":1}""#),
    ] {
        assert_ne!(state(json), state(string), "{json}");
    }
}

#[test]
fn state_of_null_has_no_digest() {
    assert_eq!(state("null"), None);
    assert_eq!(digest(r#"{"params":{}}"#, Field::RequestState), None);
    assert_eq!(
        digest(
            r#"{"params":{"requestState":"a","requestState":null}}"#,
            Field::RequestState
        ),
        None
    );
}

#[test]
fn order_and_repetition_of_keys_do_not_matter() {
    let two = keys(r#"{"a":1,"b":{"c":2,"d":["e"]}}"#);
    assert!(two.is_some());
    assert_eq!(keys(r#"{"b":null,"a":"b"}"#), two, "another order");
    assert_eq!(
        keys(r#" { "\u0061" : 0 , "b" : [ ] } "#),
        two,
        "escapes and space"
    );
    assert_eq!(
        keys(r#"{"a":1,"b":2,"a":3}"#),
        two,
        "a key that comes twice"
    );
    for other in [
        r#"{"a":1}"#,
        r#"{"a":1,"b":1,"c":1}"#,
        r#"{"ab":1}"#,
        r#"{"a":1,"B":1}"#,
        r#"{"a":1,"":1}"#,
    ] {
        assert_ne!(keys(other), two, "{other}");
    }
    let long = "k".repeat(5000);
    assert_eq!(
        keys(&format!(r#"{{"{long}":1}}"#)),
        keys(&format!(r#"{{"{}\u006b":1}}"#, &long[1..])),
    );
}

#[test]
fn empty_and_too_large_sets_of_keys_have_no_digest() {
    let object = |keys: usize| {
        let members: Vec<_> = (0..keys).map(|i| format!(r#""k{i}":{{}}"#)).collect();
        format!("{{{}}}", members.join(","))
    };
    assert!(keys(&object(64)).is_some());
    for json in [
        "{}",
        "null",
        "[]",
        r#""a""#,
        "7",
        r#"["a"]"#,
        &object(65),
        &object(1000),
    ] {
        assert_eq!(keys(json), None, "{json}");
    }
}

#[test]
fn task_is_named_by_its_text_and_the_digest_of_the_whole_text() {
    for (document, field) in [
        (r#"{"params":{"taskId":@}}"#, Field::TaskId),
        (r#"{"result":{"taskId":@}}"#, Field::ResultTaskId),
        (r#"{"result":{"task":{"taskId":@}}}"#, Field::CreatedTaskId),
    ] {
        for len in [0, 1, 36, 256, 257, 260, 1027, 1028, 1029, 10_000] {
            for character in ["x", "é", "😀"] {
                let id = character.repeat(len);
                let document = document.replace('@', &format!(r#""{id}""#));
                let text: String = id.chars().take(256).collect();
                for chunk in [document.len(), 5] {
                    let found = ask(&document, chunk, |message| {
                        let text = message.text(field).map(str::to_owned);
                        (text, message.digest(field), message.was_cut(field))
                    });
                    assert_eq!(
                        found,
                        (Some(text.clone()), sha256(&id), len > 256),
                        "{field:?} {len}"
                    );
                }
            }
        }
        for json in ["7", "null", "{}"] {
            let document = document.replace('@', json);
            assert_eq!(digest(&document, field), None, "{document}");
        }
    }
}

#[test]
fn task_outcome_is_read_from_answers_and_notifications() {
    for (document, status, is_error, code, message) in [
        (
            r#"{"result":{"taskId":"t","status":"completed","result":{"content":[{"isError":false}],"isError":true}}}"#,
            Field::ResultTaskStatus,
            Field::TaskIsError,
            Field::TaskErrorCode,
            Field::TaskErrorMessage,
        ),
        (
            r#"{"result":{"status":"failed","error":{"code":-32603,"message":"no https://u:p@host/","data":{"code":1}}}}"#,
            Field::ResultTaskStatus,
            Field::TaskIsError,
            Field::TaskErrorCode,
            Field::TaskErrorMessage,
        ),
        (
            r#"{"method":"notifications/tasks","params":{"status":"completed","result":{"isError":true}}}"#,
            Field::NotifiedTaskStatus,
            Field::NotifiedIsError,
            Field::NotifiedErrorCode,
            Field::NotifiedErrorMessage,
        ),
        (
            r#"{"method":"notifications/tasks","params":{"status":"failed","error":{"code":-32603,"message":"no https://u:p@host/"}}}"#,
            Field::NotifiedTaskStatus,
            Field::NotifiedIsError,
            Field::NotifiedErrorCode,
            Field::NotifiedErrorMessage,
        ),
    ] {
        let found = ask(document, document.len(), |facts| {
            let texts = [status, code, message].map(|field| facts.text(field).map(str::to_owned));
            (texts, facts.is_true(is_error), facts.is_error())
        });
        let (texts, task_is_error, is_error) = found;
        let texts = texts.each_ref().map(Option::as_deref);
        assert!(!is_error, "{document}");
        match task_is_error {
            true => assert_eq!(texts, [Some("completed"), None, None]),
            false => assert_eq!(
                texts,
                [Some("failed"), Some("-32603"), Some("no https://host/")]
            ),
        }
    }
}

#[test]
fn large_states_keys_and_ids_take_no_memory() {
    let mebibyte = "y".repeat(1 << 20);
    for (document, field) in [
        (
            format!(r#"{{"params":{{"requestState":"{mebibyte}"}}}}"#),
            Field::RequestState,
        ),
        (
            format!(r#"{{"params":{{"requestState":{{"a":["{mebibyte}"]}}}}}}"#),
            Field::RequestState,
        ),
        (
            format!(r#"{{"result":{{"requestState":{}}}}}"#, "9".repeat(1 << 20)),
            Field::ResultRequestState,
        ),
        (
            format!(r#"{{"params":{{"inputResponses":{{"{mebibyte}":"{mebibyte}"}}}}}}"#),
            Field::InputResponses,
        ),
        (
            format!(r#"{{"result":{{"taskId":"{mebibyte}"}}}}"#),
            Field::ResultTaskId,
        ),
    ] {
        let mut scanner = Scanner::new();
        let mut has_digest = false;
        for chunk in document.as_bytes().chunks(8192) {
            scanner.feed(chunk, &mut |message| {
                has_digest = message.digest(field).is_some()
            });
            assert!(scanner.message.text.capacity() <= 4096, "{field:?}");
        }
        assert!(has_digest, "{field:?}");
    }
}

#[test]
fn digests_survive_the_compaction_of_repeated_members() {
    let wide = "😀".repeat(2048);
    let repeated = format!(r#""uri":"{wide}","#).repeat(50);
    let id = "t".repeat(300);
    let document = format!(
        r#"{{"params":{{"requestState":"s","inputResponses":{{"a":1}},"taskId":"{id}",{repeated}"name":"n"}}}}"#
    );
    assert_eq!(digest(&document, Field::RequestState), sha256("s"));
    assert_eq!(digest(&document, Field::InputResponses), keys(r#"{"a":1}"#));
    assert_eq!(digest(&document, Field::TaskId), sha256(id));
}

/// Returns a key or text with each character spelled in one of two ways.
fn written(text: &str, escaped: &[bool]) -> String {
    let mut ways = escaped.iter().cycle();
    let character = |c: char| match ways.next() {
        Some(true) => format!("\\u{:04x}", u32::from(c)),
        _ => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(character).collect::<String>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn set_of_keys_has_one_digest_in_every_spelling(
        keys in prop::collection::btree_set("[a-cé]{0,3}|[a-z]{250,300}", 1..6),
        order in any::<prop::sample::Index>(),
        escaped in prop::collection::vec(any::<bool>(), 1..5),
        value in prop::sample::select(vec!["1", "null", r#""a""#, r#"{"b":{"c":1}}"#, r#"["{\"}"]"#]),
        chunk in 1..40usize,
    ) {
        let member = |key: &String| format!("{}:{value}", written(key, &escaped));
        let plain: Vec<_> = keys.iter().map(|key| format!("\"{key}\":0")).collect();
        let mut other: Vec<_> = keys.iter().map(member).collect();
        other.rotate_left(order.index(keys.len()));
        let of = |members: &[String], chunk: usize| {
            let document = format!(r#"{{"params":{{"inputResponses":{{{}}}}}}}"#, members.join(","));
            ask(&document, chunk, |message| message.digest(Field::InputResponses))
        };
        let digest = of(&plain, usize::MAX);
        prop_assert!(digest.is_some());
        prop_assert_eq!(of(&other, chunk), digest);
        prop_assert_ne!(of(&other[1..], chunk), digest);
    }

    #[test]
    fn state_has_one_digest_in_every_spelling(
        text in "[a-cé]{0,40}|[a-z]{250,300}",
        escaped in prop::collection::vec(any::<bool>(), 1..5),
        chunk in 1..40usize,
    ) {
        let document = format!(r#"{{"result":{{"requestState":{}}}}}"#, written(&text, &escaped));
        let found = ask(&document, chunk, |message| message.digest(Field::ResultRequestState));
        prop_assert_eq!(found, sha256(text));
    }
}
