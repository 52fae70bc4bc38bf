//! Random JSON documents, many of them JSON-RPC messages.

use proptest::prelude::*;

/// Names of members that the scanner looks at, and others.
const KEYS: &[&str] = &[
    "jsonrpc",
    "id",
    "method",
    "params",
    "result",
    "error",
    "name",
    "uri",
    "taskId",
    "cursor",
    "protocolVersion",
    "requestId",
    "reason",
    "ref",
    "clientInfo",
    "_meta",
    "version",
    "io.modelcontextprotocol/protocolVersion",
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/serverInfo",
    "traceparent",
    "isError",
    "resultType",
    "nextCursor",
    "task",
    "requestState",
    "inputResponses",
    "inputRequests",
    "status",
    "serverInfo",
    "code",
    "message",
    "arguments",
    "nam",
    "names",
    "",
];

/// Literals that only some parsers read. None of the texts made here contains one.
pub(super) const ODD_LITERALS: &[&str] = &["-Infinity", "Infinity", "NaN"];

/// Characters that may precede a document.
pub(super) fn preamble() -> impl Strategy<Value = &'static str> + Clone {
    prop_oneof![4 => space(), 1 => Just("\u{feff}"), 1 => Just("\u{feff}\u{a0}\u{c}\u{2029} ")]
}

pub(super) fn space() -> impl Strategy<Value = &'static str> + Clone {
    prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t ")]
}

/// A character in one of its JSON spellings.
fn character() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(&b"abxyz059 /{}[],:@"[..]).prop_map(|byte| char::from(byte).to_string()),
        1 => prop::sample::select(vec!["\\\"", "\\\\", "\\/", "\\n", "\\t", "\\u0041", "\\u00E9", "\\u20ac", "\\ud83d\\uDE00"])
            .prop_map(str::to_owned),
        1 => prop::sample::select(vec!["é", "€", "😀", "\u{2028}", "\u{7f}"]).prop_map(str::to_owned),
    ]
}

fn string() -> impl Strategy<Value = String> {
    let characters = prop_oneof![
        12 => prop::collection::vec(character(), 0..10).prop_map(|all| all.concat()),
        1 => (character(), 100..2100usize).prop_map(|(one, times)| one.repeat(times)),
        1 => "[a-z]{30,80}",
    ];
    characters.prop_map(|characters| format!("\"{characters}\""))
}

/// A URI whose userinfo may be longer than the part that is kept.
fn with_userinfo() -> impl Strategy<Value = String> {
    let secret = prop::collection::vec(character(), 1..5);
    (secret, 1..2000usize, character(), 1..2000usize).prop_map(|(secret, times, path, long)| {
        let secret = secret.concat().repeat(times);
        format!("\"https://u:{secret}@host/{}\"", path.repeat(long))
    })
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => string(),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<u64>().prop_map(|number| number.to_string()),
        2 => "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,5})?([eE][+-]?(1[0-5]|[0-9]))?",
        1 => prop::sample::select(vec!["null", "true", "false", "0", "-0", "{}", "[]"]).prop_map(str::to_owned),
        1 => prop::sample::select(ODD_LITERALS).prop_map(str::to_owned),
    ]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => prop::sample::select(KEYS).prop_map(|key| format!("\"{key}\"")),
        1 => (prop::sample::select(KEYS), any::<prop::sample::Index>()).prop_map(|(key, place)| {
            if key.is_empty() {
                return "\"\"".into();
            }
            let (before, after) = key.split_at(place.index(key.len()));
            format!("\"{before}\\u{:04x}{}\"", after.as_bytes()[0], &after[1..])
        }),
        1 => string(),
    ]
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (space(), key(), space(), space(), value, space())
        .prop_map(|(a, key, b, c, value, d)| format!("{a}{key}{b}:{c}{value}{d}"));
    (prop::collection::vec(member, 0..5), space())
        .prop_map(|(members, space)| format!("{{{space}{}}}", members.join(",")))
}

pub(super) fn value() -> impl Strategy<Value = String> {
    scalar().prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            3 => object(inner.clone()),
            1 => prop::collection::vec((space(), inner, space()), 0..4).prop_map(|elements| {
                let elements: Vec<_> =
                    elements.into_iter().map(|(a, value, b)| format!("{a}{value}{b}")).collect();
                format!("[{}]", elements.join(","))
            }),
        ]
    })
}

/// An object that is often a message: the members of one, mixed with others.
pub(super) fn message() -> impl Strategy<Value = String> {
    let params = "\"params\"|\"result\"|\"error\"";
    let member = prop_oneof![
        3 => prop::sample::select(vec![
            r#""jsonrpc":"2.0""#, r#""id":1"#, r#""id":"a""#, r#""id":null"#, r#""method":"tools/call""#,
            r#""result":{"isError":true,"task":{}}"#,
        ]).prop_map(str::to_owned),
        3 => (params, object(value())).prop_map(|(key, value)| format!("{key}:{value}")),
        1 => (key(), value()).prop_map(|(key, value)| format!("{key}:{value}")),
        2 => operation(),
        1 => with_userinfo().prop_map(|uri| {
            format!(r#""params":{{"name":{uri},"uri":{uri},"taskId":{uri},"reason":{uri},"ref":{{"uri":{uri}}}}}"#)
        }),
    ];
    (prop::collection::vec(member, 0..10), space(), space())
        .prop_map(|(members, a, b)| format!("{{{a}{}{b}}}", members.join(&format!("{b},{a}"))))
}

/// Members that link one request with another.
fn operation() -> impl Strategy<Value = String> {
    let parts = (
        any::<bool>(),
        value(),
        object(value()),
        object(value()),
        string(),
    );
    parts.prop_map(|(is_request, state, keys, error, id)| match is_request {
        true => format!(
            r#""params":{{"requestState":{state},"inputResponses":{keys},"status":{id},"error":{error},"taskId":{id},"result":{{"isError":true}}}}"#
        ),
        false => format!(
            r#""result":{{"status":{id},"requestState":{state},"task":{{"status":{id},"taskId":{id}}},"inputRequests":{keys},"taskId":{id},"error":{error},"result":{{"isError":true}}}}"#
        ),
    })
}
