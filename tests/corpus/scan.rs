//! Checks the scanner with any bytes: it does not panic, cuts change nothing, memory is bounded,
//! and it agrees with a parser on valid JSON. The first byte decides how the rest is cut.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::chunks::pieces;
use crate::wire::{Field, Kind, Message, ScanState, Scanner};

/// More than the scanner may hold at a time.
const MEMORY: u64 = 256 << 10;

const FIELDS: [Field; 44] = [
    Field::Id,
    Field::Method,
    Field::Name,
    Field::Uri,
    Field::TaskId,
    Field::Cursor,
    Field::ProtocolVersion,
    Field::RequestId,
    Field::Reason,
    Field::RefName,
    Field::RefUri,
    Field::ClientName,
    Field::ClientVersion,
    Field::MetaProtocolVersion,
    Field::Traceparent,
    Field::MetaClientName,
    Field::MetaClientVersion,
    Field::RequestState,
    Field::InputResponses,
    Field::NotifiedTaskStatus,
    Field::NotifiedIsError,
    Field::NotifiedErrorCode,
    Field::NotifiedErrorMessage,
    Field::IsError,
    Field::ResultType,
    Field::ResultProtocolVersion,
    Field::NextCursor,
    Field::Task,
    Field::CreatedTaskId,
    Field::CreatedTaskStatus,
    Field::ServerName,
    Field::ServerVersion,
    Field::MetaServerName,
    Field::MetaServerVersion,
    Field::ResultRequestState,
    Field::InputRequests,
    Field::ResultTaskId,
    Field::ResultTaskStatus,
    Field::TaskIsError,
    Field::TaskErrorCode,
    Field::TaskErrorMessage,
    Field::Error,
    Field::ErrorCode,
    Field::ErrorMessage,
];

/// The fields that are compared by their digest, and their place.
const DIGESTS: [(Field, &str, &str); 6] = [
    (Field::RequestState, "params", "requestState"),
    (Field::InputResponses, "params", "inputResponses"),
    (Field::TaskId, "params", "taskId"),
    (Field::ResultRequestState, "result", "requestState"),
    (Field::InputRequests, "result", "inputRequests"),
    (Field::ResultTaskId, "result", "taskId"),
];

/// Returns all that a message says, as one text.
fn facts(message: &Message) -> String {
    let members = FIELDS.map(|field| {
        let text = message.text(field).map(str::to_owned);
        let compared = (message.token(field), message.digest(field));
        let is_true = message.is_true(field);
        (text, compared, message.was_cut(field), is_true)
    });
    format!(
        "{:?} {} {} {} {:?} {} {members:?}",
        message.kind(),
        message.id_is_null_or_absent(),
        message.is_error(),
        message.is_object(Field::Task),
        message.span(),
        message.in_batch(),
    )
}

fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, ScanState) {
    let mut scanner = Scanner::new();
    let mut messages = Vec::new();
    for piece in pieces {
        scanner.feed(piece, &mut |message| messages.push(facts(message)));
    }
    (messages, scanner.state())
}

pub(crate) fn check(data: &[u8]) {
    let Some((&seed, document)) = data.split_first() else {
        return;
    };
    let whole = read([document]);
    assert_eq!(whole, read(pieces(seed, document)), "in pieces");
    assert_eq!(whole, read(document.chunks(1)), "byte by byte");
    check_memory(document);
    if let Ok(value) = serde_json::from_slice(document) {
        check_valid(document, &value);
    }
}

/// Checks the memory for many repetitions, as one document and as several.
fn check_memory(document: &[u8]) {
    let taken = allocation_counter::measure(|| {
        let mut scanner = Scanner::new();
        for _ in 0..16 {
            scanner.feed(document, &mut |_| {});
        }
        for _ in 0..4 {
            scanner.reset();
            scanner.feed(document, &mut |_| {});
        }
    });
    assert!(taken.bytes_max <= MEMORY, "{} bytes held", taken.bytes_max);
}

/// Checks a document that a parser accepts.
fn check_valid(document: &[u8], value: &Value) {
    let mut scanner = Scanner::new();
    let mut found = Vec::new();
    scanner.feed(document, &mut |message| {
        let span = message.span();
        let text = &document[span.start as usize..span.end as usize];
        let method = message.text(Field::Method).map(str::to_owned);
        let digests = DIGESTS.map(|(field, ..)| message.digest(field));
        found.push((text.to_vec(), message.kind(), method, digests));
    });
    let (state, expected): (_, Vec<&Value>) = match value {
        Value::Object(_) => (ScanState::Closed, vec![value]),
        Value::Array(elements) => (
            ScanState::Closed,
            elements.iter().filter(|value| value.is_object()).collect(),
        ),
        _ => (ScanState::Closed, Vec::new()),
    };
    assert_eq!(scanner.state(), state);
    assert_eq!(found.len(), expected.len(), "messages");
    for ((text, kind, method, digests), expected) in found.iter().zip(expected) {
        let message: Value = serde_json::from_slice(text).expect("a message is valid JSON");
        assert_eq!(&message, expected);
        assert_eq!(*kind, kind_of(expected));
        let name = expected.get("method").and_then(Value::as_str);
        let name = name.map(|name| name.chars().take(128).collect::<String>());
        assert_eq!(*method, name);
        for (digest, (field, object, key)) in digests.iter().zip(DIGESTS) {
            let value = expected.get(object).and_then(|object| object.get(key));
            match value.unwrap_or(&Value::Null) {
                Value::Null => assert_eq!(*digest, None, "{field:?}"),
                Value::String(text) => {
                    let text = match field {
                        Field::InputResponses | Field::InputRequests => None,
                        _ => Some(Sha256::digest(text).into()),
                    };
                    assert_eq!(*digest, text, "{field:?}");
                }
                // The digest is of the text as written, which a `Value` does not have.
                _ => {}
            }
        }
    }
}

/// Returns the kind of a message, from the parsed value.
fn kind_of(message: &Value) -> Kind {
    let is_id = |id: &Value| id.is_string() || id.is_number();
    let is_there = |key| message.get(key).is_some();
    if !is_there("jsonrpc") {
        return Kind::Other;
    }
    match (message.get("method"), message.get("id")) {
        (Some(Value::String(_)), None) => Kind::Notification,
        (Some(Value::String(_)), Some(id)) if is_id(id) => Kind::Request,
        (Some(_), _) => Kind::Other,
        (None, _) if message.get("error").is_some_and(|error| !error.is_null()) => Kind::Failure,
        (None, _) if is_there("result") => Kind::Success,
        (None, _) => Kind::Other,
    }
}
