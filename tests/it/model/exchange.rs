//! Random exchanges.

use http::{Request, Response, request, response};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Map, Value, json};

use crate::model::text::{Style, style};

pub(crate) const SESSION: &str = "s-1";

/// All messages of client and server.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) version: Option<&'static str>,
    pub(crate) session: bool,
    pub(crate) request: Messages,
    pub(crate) status: u16,
    pub(crate) answer: Answer,
}

/// Messages of one body or event, each as text.
#[derive(Debug, Clone)]
pub(crate) struct Messages {
    pub(crate) messages: Vec<String>,
    pub(crate) is_array: bool,
}

impl Messages {
    fn text(&self) -> String {
        match self.is_array {
            true => format!(" [{} ]", self.messages.join(" ,\n")),
            false => self.messages.concat(),
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Json(Messages),
    Events {
        line_end: &'static str,
        blocks: Vec<Block>,
    },
}

/// The lines of a stream up to a blank line.
#[derive(Debug, Clone)]
pub(crate) enum Block {
    Comment,
    /// An id and empty data, so that the client can resume.
    Priming,
    Event {
        kind: Option<&'static str>,
        /// Puts the type after the data.
        kind_last: bool,
        has_id: bool,
        messages: Messages,
    },
}

impl Block {
    fn text(&self, line_end: &str) -> String {
        let lines = match self {
            Self::Comment => vec![": keepalive".to_owned()],
            Self::Priming => vec![
                "id: 0/0".to_owned(),
                "data: ".to_owned(),
                "retry:3".to_owned(),
            ],
            Self::Event {
                kind,
                kind_last,
                has_id,
                messages,
            } => {
                let text = messages.text();
                let mut lines: Vec<_> = text
                    .split('\n')
                    .map(|line| format!("data: {line}"))
                    .collect();
                let kind = kind.map(|kind| format!("event:{kind}"));
                let place = if *kind_last { lines.len() } else { 0 };
                lines.splice(place..place, kind);
                lines.extend(has_id.then(|| "id: 7".to_owned()));
                lines
            }
        };
        lines.join(line_end) + line_end + line_end
    }
}

impl Exchange {
    pub(crate) fn request_head(&self) -> request::Builder {
        let mut head = Request::post("/mcp").header("content-type", "application/json");
        if let Some(version) = self.version {
            head = head.header("mcp-protocol-version", version);
        }
        if self.session {
            head = head.header("mcp-session-id", SESSION);
        }
        head
    }

    pub(crate) fn request_body(&self) -> Vec<u8> {
        self.request.text().into_bytes()
    }

    pub(crate) fn response_head(&self) -> response::Builder {
        let media = match self.answer {
            Answer::Json(_) => "application/json; charset=utf-8",
            Answer::Events { .. } => "text/event-stream",
        };
        Response::builder()
            .status(self.status)
            .header("content-type", media)
    }

    pub(crate) fn response_body(&self) -> Vec<u8> {
        match &self.answer {
            Answer::Json(messages) => messages.text(),
            Answer::Events { .. } => self.blocks().map(|(text, _)| text).collect(),
        }
        .into_bytes()
    }

    /// Returns the blocks of the stream as text, with their messages if they have any.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (String, &Block)> {
        let (line_end, blocks) = match &self.answer {
            Answer::Events { line_end, blocks } => (*line_end, &blocks[..]),
            Answer::Json(_) => ("", &[][..]),
        };
        blocks
            .iter()
            .map(move |block| (block.text(line_end), block))
    }
}

// ===== strategies =====

fn words() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z\"\\\\/é😀\u{2028}]{0,6}",
        1 => Just("é".repeat(300)),
        1 => Just("😀x".repeat(300)),
    ]
}

/// Returns members that the layer does not read, or not at this place.
fn decoy() -> impl Strategy<Value = (String, Value)> {
    let key = select(vec!["arguments", "content", "x", "structuredContent"]);
    let value = prop_oneof![
        Just(json!({"name": "decoy", "method": "decoy", "id": 0, "isError": true})),
        Just(json!([{"jsonrpc": "2.0", "id": 1, "result": {}}, [[]], null, -1.5e3])),
        Just(json!("{\"jsonrpc\":\"2.0\",\"id\":1,\"isError\":true}")),
        words().prop_map(Value::from),
    ];
    (key.prop_map(str::to_owned), value)
}

fn object(members: Vec<(&str, Value)>, decoy: Option<(String, Value)>) -> Value {
    let mut object = Map::new();
    object.extend(decoy);
    object.extend(
        members
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value)),
    );
    object.into()
}

/// Returns ids that all differ, although some look alike.
fn ids() -> Vec<Value> {
    vec![
        json!(0),
        json!("0"),
        json!(1),
        json!("1"),
        json!(-1),
        json!(9_007_199_254_740_993_u64),
        json!(""),
        json!("é😀"),
        json!("an id that is longer than what is kept of one as it is, and so on"),
    ]
}

fn request(id: Value) -> impl Strategy<Value = Value> {
    let method = select(vec![
        "tools/call",
        "tools/list",
        "prompts/get",
        "resources/read",
        "subscriptions/listen",
        "tasks/get",
        "x/ö",
    ]);
    let version = prop::option::weighted(0.3, select(vec!["2026-07-28", "2025-06-18"]));
    let params = prop::option::weighted(0.9, (words(), version, prop::option::of(decoy())));
    (method, params, prop::option::of(decoy())).prop_map(move |(method, params, outer)| {
        let params = params.map(|(name, version, decoy)| {
            let mut members: Vec<(&str, Value)> = ["name", "uri", "taskId"]
                .map(|key| (key, Value::from(name.clone())))
                .into();
            if let Some(version) = version {
                let meta = json!({"io.modelcontextprotocol/protocolVersion": version});
                members.push(("_meta", meta));
            }
            object(members, decoy)
        });
        let mut members = vec![("jsonrpc", json!("2.0")), ("method", json!(method))];
        members.extend(params.map(|params| ("params", params)));
        members.push(("id", id.clone()));
        object(members, outer)
    })
}

/// Returns a message of the client that is no request.
fn aside() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 1, "result": {"roots": []}}),
        json!({"jsonrpc": "2.0", "id": "1", "error": {"code": -1, "message": "no"}}),
        json!({"jsonrpc": "2.0", "id": null, "method": "tools/list"}),
        json!({"id": 1, "method": "tools/list"}),
        json!([{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}]),
        json!(1),
    ])
}

/// Returns the answer to a request with this id.
fn reply(id: Value) -> impl Strategy<Value = Value> {
    let result = prop_oneof![
        4 => Just(vec![]),
        1 => Just(vec![("isError", json!(true))]),
        1 => Just(vec![("isError", json!("true")), ("resultType", json!("complete"))]),
        1 => Just(vec![("resultType", json!("input_required"))]),
        1 => Just(vec![("resultType", json!("task"))]),
        1 => Just(vec![("task", json!({"taskId": "t"}))]),
    ];
    let result = (result, prop::option::of(decoy()))
        .prop_map(|(members, decoy)| ("result", object(members, decoy)));
    let code = select(vec![
        json!(-32602),
        json!(-32000.5),
        json!("E1"),
        json!(null),
    ]);
    let error = (code, words(), prop::option::of(decoy())).prop_map(|(code, message, decoy)| {
        let members = vec![("code", code), ("message", json!(message))];
        ("error", object(members, decoy))
    });
    (
        prop_oneof![2 => result, 1 => error],
        prop::option::of(decoy()),
    )
        .prop_map(move |(outcome, decoy)| {
            let members = vec![("jsonrpc", json!("2.0")), outcome, ("id", id.clone())];
            object(members, decoy)
        })
}

/// Returns a message of the server that answers no request.
fn noise() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1}}),
        json!({"jsonrpc": "2.0", "id": 1, "method": "elicitation/create", "params": {}}),
        json!({"jsonrpc": "2.0", "id": "1", "method": "ping"}),
        json!({"jsonrpc": "2.0", "id": "unknown", "result": {}}),
        json!({"id": 1, "result": {}}),
    ])
}

/// Returns an error without the id of a request.
fn refusal() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32700, "message": "Parse error"}}),
        json!({"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid"}}),
    ])
}

fn written(values: impl Strategy<Value = Vec<Value>>) -> impl Strategy<Value = Vec<String>> {
    values.prop_flat_map(|values| {
        let styles = prop::collection::vec(style(), values.len());
        let write = |(value, style): (&Value, Style)| style.write(value);
        styles.prop_map(move |styles| values.iter().zip(styles).map(write).collect())
    })
}

/// Returns the client's messages, and the ids of the requests among them.
fn asked() -> impl Strategy<Value = (Messages, Vec<Value>)> {
    let single = subsequence(ids(), 1).prop_map(|ids| (ids, 0, false));
    let several =
        (subsequence(ids(), 0..5), 0..3_usize).prop_map(|(ids, asides)| (ids, asides, true));
    prop_oneof![single, several].prop_flat_map(|(ids, asides, is_array)| {
        let requests: Vec<_> = ids.iter().map(|id| request(id.clone()).boxed()).collect();
        let messages = (requests, prop::collection::vec(aside(), asides))
            .prop_map(|(requests, asides)| [requests, asides].concat())
            .prop_shuffle();
        written(messages).prop_map(move |messages| {
            let messages = Messages { messages, is_array };
            (messages, ids.clone())
        })
    })
}

/// Returns the server's messages: some of the answers and other messages, in any order.
fn server_messages(ids: Vec<Value>) -> impl Strategy<Value = Vec<String>> {
    let count = 0..=ids.len();
    let answers = prop_oneof![
        3 => Just(ids.clone()),
        1 => subsequence(ids, count),
    ];
    let replies = answers.prop_flat_map(|ids| {
        ids.into_iter()
            .map(|id| reply(id).boxed())
            .collect::<Vec<_>>()
    });
    let noise = prop::collection::vec(noise(), 0..3);
    let refusals = prop::collection::vec(refusal(), 0..2);
    let messages = (
        replies,
        noise,
        prop_oneof![3 => Just(Vec::new()), 1 => refusals],
    )
        .prop_map(|(replies, noise, refusals)| [replies, noise, refusals].concat())
        .prop_shuffle();
    written(messages)
}

fn events(messages: Vec<String>) -> impl Strategy<Value = Answer> {
    let block = |messages: Vec<String>| {
        let kind = prop_oneof![
            4 => Just(None),
            4 => Just(Some("message")),
            1 => Just(Some(" other")),
            1 => Just(Some("endpoint")),
        ];
        (kind, any::<bool>(), prop::bool::weighted(0.2)).prop_map(
            move |(kind, kind_last, has_id)| Block::Event {
                kind,
                kind_last,
                has_id,
                messages: Messages {
                    is_array: messages.len() != 1,
                    messages: messages.clone(),
                },
            },
        )
    };
    // Some events hold several messages as an array.
    let sizes = prop::collection::vec(
        prop_oneof![4 => Just(1_usize), 1 => 2..4_usize],
        messages.len(),
    );
    let blocks = sizes.prop_flat_map(move |sizes| {
        let mut rest = &messages[..];
        let mut blocks = Vec::new();
        for size in sizes {
            let (part, after) = rest.split_at(size.min(rest.len()));
            if !part.is_empty() {
                blocks.push(block(part.to_vec()).boxed());
            }
            rest = after;
        }
        let others = prop_oneof![Just(Block::Comment), Just(Block::Priming)];
        (blocks, prop::collection::vec(others, 0..3))
            .prop_map(|(blocks, others)| [blocks, others].concat())
            .prop_shuffle()
    });
    (select(vec!["\n", "\r\n", "\r"]), blocks)
        .prop_map(|(line_end, blocks)| Answer::Events { line_end, blocks })
}

pub(crate) fn exchange() -> impl Strategy<Value = Exchange> {
    let version = select(vec![None, Some("2025-11-25"), Some("2026-07-28")]);
    let status = prop_oneof![4 => Just(200_u16), 1 => Just(202), 1 => Just(307), 1 => Just(400)];
    asked().prop_flat_map(move |(request, ids)| {
        let answer = server_messages(ids).prop_flat_map(|messages| {
            let single = messages.len() == 1;
            let json = any::<bool>().prop_map({
                let messages = messages.clone();
                move |array| {
                    Answer::Json(Messages {
                        messages: messages.clone(),
                        is_array: array || !single,
                    })
                }
            });
            prop_oneof![json, events(messages)]
        });
        let request = Just(request);
        (
            version.clone(),
            any::<bool>(),
            request,
            status.clone(),
            answer,
        )
            .prop_map(|(version, session, request, status, answer)| Exchange {
                version,
                session,
                request,
                status,
                answer,
            })
    })
}
