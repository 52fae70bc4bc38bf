//! Predicts the rows of an exchange from its whole bodies.

use serde_json::Value;

use crate::model::exchange::{Answer, Block, Exchange, SESSION};
use crate::recording::Row;

/// A request that may have an answer.
struct Call {
    id: Value,
    method: String,
    aim: Option<String>,
    version: Option<String>,
    session: Option<&'static str>,
    bytes_in: usize,
    in_batch: bool,
    outcome: Option<Outcome>,
}

#[derive(Clone)]
struct Outcome {
    /// In the form of [`Row::outcome`].
    words: String,
    text: Option<String>,
    bytes_out: Option<usize>,
}

/// A JSON-RPC response.
struct Reply {
    id: Option<Value>,
    words: String,
    text: Option<String>,
    len: usize,
}

/// Returns the predicted columns as one text.
pub(crate) fn facts(row: &Row) -> String {
    format!(
        "{} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        row.method,
        row.tool.as_ref().or(row.target.as_ref()),
        row.outcome(),
        row.error_msg,
        row.bytes_in,
        row.bytes_out,
        row.http_status,
        row.session_id,
        row.protocol_version,
    )
}

pub(crate) fn rows(exchange: &Exchange) -> Vec<String> {
    let mut calls = calls(exchange);
    match &exchange.answer {
        Answer::Json(body) => {
            let len = exchange.response_body().len();
            for reply in body.messages.iter().filter_map(|text| reply(text)) {
                let bytes_out = |call: &Call| match call.in_batch {
                    true => reply.len,
                    false => len,
                };
                answer(&mut calls, &reply, !body.is_array, bytes_out);
            }
        }
        Answer::Events { .. } => {
            let (mut end, mut answered_to) = (0, 0);
            for (text, block) in exchange.blocks() {
                end += text.len();
                let Block::Event { kind, messages, .. } = block else {
                    continue;
                };
                if !matches!(kind, None | Some("message")) {
                    continue;
                }
                let replies = messages.messages.iter().filter_map(|text| reply(text));
                let replies: Vec<_> = replies.filter(|reply| is_awaited(&calls, reply)).collect();
                let from = answered_to;
                for reply in &replies {
                    let several = replies.len() > 1;
                    let bytes_out = |_: &Call| if several { reply.len } else { end - from };
                    if answer(&mut calls, reply, false, bytes_out) {
                        answered_to = end;
                    }
                }
            }
        }
    }
    let mut rows: Vec<_> = calls
        .into_iter()
        .map(|call| {
            let outcome = call.outcome.clone();
            let outcome = outcome.unwrap_or_else(|| unanswered(exchange, &call));
            format!(
                "{} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
                call.method,
                call.aim,
                outcome.words,
                outcome.text,
                Some(call.bytes_in),
                outcome.bytes_out,
                Some(exchange.status),
                call.session,
                call.version,
            )
        })
        .collect();
    rows.sort();
    rows
}

fn calls(exchange: &Exchange) -> Vec<Call> {
    let body = &exchange.request;
    let whole = exchange.request_body().len();
    let call = |text: &String| {
        let message: Value = serde_json::from_str(text).unwrap();
        let is_request = message.is_object()
            && message.get("jsonrpc").is_some()
            && message["method"].is_string()
            && (message["id"].is_string() || message["id"].is_number());
        if !is_request {
            return None;
        }
        let params = &message["params"];
        let meta = &params["_meta"]["io.modelcontextprotocol/protocolVersion"];
        let modern = meta.is_string() || exchange.version == Some("2026-07-28");
        let method = message["method"].as_str().unwrap().to_owned();
        let (member, limit) = match &*method {
            "tools/call" | "prompts/get" => ("name", 256),
            "resources/read" => ("uri", 2048),
            "tasks/get" => ("taskId", 256),
            _ => ("", 0),
        };
        Some(Call {
            id: message["id"].clone(),
            aim: params[member].as_str().map(|text| cut(text, limit)),
            version: meta.as_str().or(exchange.version).map(str::to_owned),
            session: (exchange.session && !modern).then_some(SESSION),
            bytes_in: if body.is_array { text.len() } else { whole },
            in_batch: body.is_array,
            outcome: None,
            method,
        })
    };
    body.messages.iter().filter_map(call).collect()
}

fn reply(text: &str) -> Option<Reply> {
    let message: Value = serde_json::from_str(text).unwrap();
    if message.get("jsonrpc").is_none() || message.get("method").is_some() {
        return None;
    }
    let id = message.get("id").filter(|id| !id.is_null()).cloned();
    let (mut words, text_of) = match (message.get("error"), message.get("result")) {
        (Some(error), _) => {
            let code = match &error["code"] {
                Value::Null => String::new(),
                Value::String(code) => format!(" {code}"),
                number => format!(" {number}"),
            };
            (format!("error{code}"), error["message"].as_str())
        }
        (None, Some(result)) => {
            let reason = match result["resultType"].as_str() {
                Some("input_required") => " input_required",
                Some("task") => " task",
                _ if result["task"].is_object() => " task",
                _ => "",
            };
            (format!("ok{reason}"), None)
        }
        (None, None) => return None,
    };
    if message["result"]["isError"] == true {
        words.push_str(" tool_error");
    }
    Some(Reply {
        id,
        words,
        text: text_of.map(|text| cut(text, 512)),
        len: text.len(),
    })
}

/// Returns whether a request waits for this reply, or may wait for it.
fn is_awaited(calls: &[Call], reply: &Reply) -> bool {
    let mut waiting = calls.iter().filter(|call| call.outcome.is_none());
    waiting.any(|call| reply.id.as_ref().is_none_or(|id| *id == call.id))
}

/// Gives the reply to its request. Returns whether there is one. A reply without an id answers all
/// requests if it is the `whole` body, and otherwise the only one left.
fn answer(
    calls: &mut [Call],
    reply: &Reply,
    whole: bool,
    bytes_out: impl Fn(&Call) -> usize,
) -> bool {
    let waiting = |call: &&mut Call| call.outcome.is_none();
    let for_all = whole || calls.iter_mut().filter(waiting).count() == 1;
    let mut matched = false;
    for call in calls.iter_mut().filter(waiting) {
        if !reply.id.as_ref().map_or(for_all, |id| *id == call.id) {
            continue;
        }
        matched = true;
        let words = match &*call.method {
            "subscriptions/listen" if reply.words.starts_with("ok") => {
                match reply.words.ends_with("tool_error") {
                    true => "ok stream_end tool_error".to_owned(),
                    false => "ok stream_end".to_owned(),
                }
            }
            // What goes on is the task.
            "tasks/get" => reply
                .words
                .replace(" input_required", "")
                .replace(" task", ""),
            _ => reply.words.clone(),
        };
        call.outcome = Some(Outcome {
            words,
            text: reply.text.clone(),
            bytes_out: Some(bytes_out(call)),
        });
    }
    matched
}

/// Returns the outcome of a request without an answer.
fn unanswered(exchange: &Exchange, call: &Call) -> Outcome {
    let has_id = |(_, block): (String, &Block)| match block {
        Block::Comment => false,
        Block::Priming => true,
        Block::Event { has_id, .. } => *has_id,
    };
    let can_resume = call.session.is_some() && exchange.blocks().any(has_id);
    let outcome = |words: &str| Outcome {
        words: words.to_owned(),
        text: None,
        bytes_out: None,
    };
    match exchange.status {
        400 => Outcome {
            text: Some("Bad Request".to_owned()),
            bytes_out: Some(exchange.response_body().len()),
            ..outcome("error")
        },
        307 => outcome("error redirected"),
        _ if can_resume => outcome("timeout detached"),
        _ if call.method == "subscriptions/listen" => outcome("ok stream_end"),
        _ => outcome("error no_response"),
    }
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}
