//! Random documents, read by the scanner and by serde_json.

mod documents;

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use self::documents::{ODD_LITERALS, message, preamble, space, value};
use super::super::super::{Field, JsonId, Kind, Scanner, uri};
use super::{Facts, read};

/// Every member that is kept as text: its path and its bound in characters.
pub(super) const TEXTS: &[(Field, &[&str], usize)] = &[
    (Field::Method, &["method"], 128),
    (Field::Name, &["params", "name"], 256),
    (Field::Uri, &["params", "uri"], 2048),
    (Field::TaskId, &["params", "taskId"], 256),
    (Field::ProtocolVersion, &["params", "protocolVersion"], 256),
    (Field::Reason, &["params", "reason"], 256),
    (Field::RefName, &["params", "ref", "name"], 256),
    (Field::RefUri, &["params", "ref", "uri"], 2048),
    (Field::ClientName, &["params", "clientInfo", "name"], 256),
    (
        Field::ClientVersion,
        &["params", "clientInfo", "version"],
        256,
    ),
    (
        Field::MetaProtocolVersion,
        &["params", "_meta", "io.modelcontextprotocol/protocolVersion"],
        256,
    ),
    (Field::Traceparent, &["params", "_meta", "traceparent"], 256),
    (
        Field::MetaClientName,
        &[
            "params",
            "_meta",
            "io.modelcontextprotocol/clientInfo",
            "name",
        ],
        256,
    ),
    (
        Field::MetaClientVersion,
        &[
            "params",
            "_meta",
            "io.modelcontextprotocol/clientInfo",
            "version",
        ],
        256,
    ),
    (Field::ResultType, &["result", "resultType"], 256),
    (
        Field::ResultProtocolVersion,
        &["result", "protocolVersion"],
        256,
    ),
    (Field::ServerName, &["result", "serverInfo", "name"], 256),
    (
        Field::ServerVersion,
        &["result", "serverInfo", "version"],
        256,
    ),
    (
        Field::MetaServerName,
        &[
            "result",
            "_meta",
            "io.modelcontextprotocol/serverInfo",
            "name",
        ],
        256,
    ),
    (
        Field::MetaServerVersion,
        &[
            "result",
            "_meta",
            "io.modelcontextprotocol/serverInfo",
            "version",
        ],
        256,
    ),
    (Field::NotifiedTaskStatus, &["params", "status"], 64),
    (Field::NotifiedErrorCode, &["params", "error", "code"], 256),
    (
        Field::NotifiedErrorMessage,
        &["params", "error", "message"],
        512,
    ),
    (Field::CreatedTaskId, &["result", "task", "taskId"], 256),
    (Field::CreatedTaskStatus, &["result", "task", "status"], 64),
    (Field::ResultTaskId, &["result", "taskId"], 256),
    (Field::ResultTaskStatus, &["result", "status"], 64),
    (Field::TaskErrorCode, &["result", "error", "code"], 256),
    (
        Field::TaskErrorMessage,
        &["result", "error", "message"],
        512,
    ),
    (Field::ErrorCode, &["error", "code"], 256),
    (Field::ErrorMessage, &["error", "message"], 512),
];

/// Every member that is compared, except the id.
pub(super) const TOKENS: &[(Field, &[&str])] = &[
    (Field::Cursor, &["params", "cursor"]),
    (Field::RequestId, &["params", "requestId"]),
    (Field::NextCursor, &["result", "nextCursor"]),
];

/// Every member that is compared by its digest.
pub(super) const DIGESTS: &[(Field, &[&str])] = &[
    (Field::TaskId, &["params", "taskId"]),
    (Field::RequestState, &["params", "requestState"]),
    (Field::InputResponses, &["params", "inputResponses"]),
    (Field::CreatedTaskId, &["result", "task", "taskId"]),
    (Field::ResultTaskId, &["result", "taskId"]),
    (Field::ResultRequestState, &["result", "requestState"]),
    (Field::InputRequests, &["result", "inputRequests"]),
];

/// The members that mark the result of a task as an error.
pub(super) const TASK_IS_ERROR: [(Field, &[&str]); 2] = [
    (Field::TaskIsError, &["result", "result", "isError"]),
    (Field::NotifiedIsError, &["params", "result", "isError"]),
];

/// Returns the expected facts of a message, from serde_json. The error code is left
/// out: the scanner keeps it as it was sent, and a `Value` does not.
fn expected(document: &str, span: std::ops::Range<u64>) -> Facts {
    let message = &parse(document);
    let at = |path: &[&str]| {
        path.iter()
            .try_fold(message, |value, key| value.as_object()?.get(*key))
    };
    let is = |path: &[&str]| at(path).is_some_and(|value| !value.is_null());
    let kind = match (at(&["jsonrpc"]), at(&["method"]), at(&["id"])) {
        (None, ..) => Kind::Other,
        (_, Some(Value::String(_)), Some(Value::String(_) | Value::Number(_))) => Kind::Request,
        (_, Some(Value::String(_)), None) => Kind::Notification,
        (_, Some(_), _) => Kind::Other,
        (_, None, _) if is(&["error"]) => Kind::Failure,
        (_, None, _) if at(&["result"]).is_some() => Kind::Success,
        _ => Kind::Other,
    };
    Facts {
        kind,
        id: at(&["id"]).and_then(token),
        id_is_null_or_absent: !is(&["id"]),
        texts: TEXTS
            .iter()
            .filter(|(field, ..)| !is_code(*field))
            .filter_map(|&(field, path, limit)| {
                let text = at(path)?.as_str()?;
                let text = match field {
                    Field::Name | Field::Uri | Field::RefName | Field::RefUri => {
                        uri::without_userinfo(text)
                    }
                    Field::Reason
                    | Field::ErrorMessage
                    | Field::TaskErrorMessage
                    | Field::NotifiedErrorMessage => stripped_prose(text).into(),
                    _ => text.into(),
                };
                Some((
                    field,
                    text.chars().take(limit).collect(),
                    text.chars().count() > limit,
                ))
            })
            .collect(),
        tokens: TOKENS
            .iter()
            .filter_map(|&(field, path)| Some((field, token(at(path)?)?)))
            .collect(),
        digests: DIGESTS
            .iter()
            .filter_map(|&(field, path)| {
                let value = at(path)?;
                let digest = match field {
                    Field::InputResponses | Field::InputRequests => key_set(value)?,
                    Field::RequestState | Field::ResultRequestState => match value {
                        Value::Null => return None,
                        Value::String(text) => Sha256::digest(text).into(),
                        _ => Sha256::digest(Sha256::digest(written(document, path)?)).into(),
                    },
                    _ => Sha256::digest(value.as_str()?).into(),
                };
                Some((field, digest))
            })
            .collect(),
        is_error: at(&["result", "isError"]) == Some(&Value::Bool(true)),
        task_is_error: TASK_IS_ERROR.map(|(_, path)| at(path) == Some(&Value::Bool(true))),
        has_task: at(&["result", "task"]).is_some_and(Value::is_object),
        span,
    }
}

fn is_code(field: Field) -> bool {
    matches!(
        field,
        Field::ErrorCode | Field::TaskErrorCode | Field::NotifiedErrorCode
    )
}

/// Returns the digest of the sorted digests of the keys.
fn key_set(value: &Value) -> Option<[u8; 32]> {
    let keys = value.as_object()?.keys();
    let mut digests: Vec<[u8; 32]> = keys.map(|key| Sha256::digest(key).into()).collect();
    digests.sort_unstable();
    let is_kept = (1..=64).contains(&digests.len());
    is_kept.then(|| Sha256::digest(digests.concat()).into())
}

/// Returns a member as the document spells it; `None` if some parsers do not read
/// that.
fn written(document: &str, path: &[&str]) -> Option<String> {
    let (key, below) = path.split_first()?;
    let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(document).ok()?;
    let member = members.remove(*key)?;
    match below {
        [] => Some(member.get().to_owned()),
        below => written(member.get(), below),
    }
}

fn stripped_prose(text: &str) -> String {
    let mut prose = uri::Prose::new(text.len());
    prose.read(text.as_bytes());
    prose.text(true).into_owned()
}

/// Makes an id from a number's value instead of its text. It is exact for the
/// numbers made here; serde_json rounds larger exponents twice.
fn token(value: &Value) -> Option<JsonId> {
    let (number, text) = match value {
        Value::String(text) => (false, text.clone()),
        Value::Number(number) => {
            let scientific = match (number.as_i128(), number.as_f64()) {
                (Some(integer), _) => format!("{integer}e0"),
                (None, Some(float)) => format!("{float:e}"),
                _ => return None,
            };
            let (digits, exponent) = scientific.split_once('e')?;
            let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
            let digits = format!("{whole}{fraction}");
            let trimmed = digits.trim_end_matches('0');
            let exponent = exponent.parse::<i64>().ok()? - fraction.len() as i64
                + (digits.len() - trimmed.len()) as i64;
            (
                true,
                match (trimmed, exponent) {
                    ("" | "-", _) => "0".into(),
                    (digits, 0) => digits.into(),
                    (digits, exponent) => format!("{digits}e{exponent}"),
                },
            )
        }
        _ => return None,
    };
    if text.len() <= 36 {
        JsonId::new(number, false, text.as_bytes())
    } else {
        JsonId::new(number, true, &Sha256::digest(text))
    }
}

/// Parses a document in which an odd literal counts like `false`: it is present,
/// and is not a text, number or object.
fn parse(document: &str) -> Value {
    let replace = |text: String, literal: &&str| text.replace(literal, "false");
    let document = ODD_LITERALS.iter().fold(document.to_owned(), replace);
    serde_json::from_str(&document).expect("the generator makes JSON")
}

fn chunks<'a>(document: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = cuts
        .iter()
        .map(|cut| cut.index(document.len() + 1))
        .collect();
    places.sort_unstable();
    let mut start = 0;
    let mut chunks = Vec::new();
    for place in places.into_iter().chain([document.len()]) {
        chunks.push(&document[start..place]);
        start = place;
    }
    chunks
}

/// Returns the facts that can be compared with [`expected`].
fn comparable(mut facts: Facts, document: &str) -> Facts {
    facts.texts.retain(|(field, ..)| !is_code(*field));
    // Where `written` reads nothing, no digest of a non-string state is expected.
    if ODD_LITERALS
        .iter()
        .any(|literal| document.contains(literal))
    {
        let message = parse(document);
        facts.digests.retain(|(field, _)| {
            let state = match field {
                Field::RequestState => &message["params"]["requestState"],
                Field::ResultRequestState => &message["result"]["requestState"],
                _ => return true,
            };
            state.is_string()
        });
    }
    facts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn message_reads_as_in_serde_json(
        before in preamble(),
        document in message(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let start = before.len() as u64;
        let expected = expected(&document, start..start + document.len() as u64);
        let whole = format!("{before}{document}");
        let (messages, _) = read([whole.as_bytes()]);
        let found: Vec<_> = messages.iter().map(|facts| comparable(facts.clone(), &document)).collect();
        prop_assert_eq!(found, [expected]);
        prop_assert_eq!(read(chunks(whole.as_bytes(), &cuts)).0, messages);
    }

    #[test]
    fn batch_reads_like_its_messages(
        elements in prop::collection::vec((space(), prop_oneof![2 => message(), 1 => value()], space()), 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let mut document = String::from("[");
        let mut all = Vec::new();
        for (i, (before, element, after)) in elements.iter().enumerate() {
            if i > 0 {
                document.push(',');
            }
            document.push_str(before);
            let start = document.len() as u64;
            document.push_str(element);
            if parse(element).is_object() {
                all.push((element, expected(element, start..document.len() as u64)));
            }
            document.push_str(after);
        }
        document.push(']');
        let (messages, _) = read(chunks(document.as_bytes(), &cuts));
        prop_assert_eq!(messages.len(), all.len());
        for (facts, (element, expected)) in messages.into_iter().zip(all) {
            prop_assert_eq!(comparable(facts, element), expected);
        }
    }

    #[test]
    fn chunks_change_nothing_for_any_bytes(
        bytes in prop::collection::vec(
            prop_oneof![4 => prop::sample::select(&b"{}[]\",:\\u0d8 idmetho1-.e"[..]), 1 => any::<u8>()], 0..300),
        start in prop::sample::select(vec!["", "{", "[{\"", "{\"id\":", "{\"method\":\"", "{\"params\":{\"name\":\"", "{\"x\":["]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let document = [start.as_bytes(), &bytes].concat();
        let whole = read([&document[..]]);
        prop_assert_eq!(&read(chunks(&document, &cuts)), &whole);
        prop_assert_eq!(&read(document.chunks(1)), &whole);
    }

    #[test]
    fn reset_scanner_reads_like_a_new_one(first in message(), cut in any::<prop::sample::Index>(), second in message()) {
        let mut scanner = Scanner::new();
        scanner.feed(&first.as_bytes()[..cut.index(first.len())], &mut |_| {});
        scanner.reset();
        let mut messages = Vec::new();
        scanner.feed(second.as_bytes(), &mut |message| messages.push(Facts::of(message)));
        prop_assert_eq!(messages, read([second.as_bytes()]).0);
    }
}
