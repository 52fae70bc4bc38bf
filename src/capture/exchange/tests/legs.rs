//! The columns of a row that link it with its operation.

use sha2::{Digest as _, Sha256};

use super::*;
use crate::event::{
    EndReason, Leg, RequestEvent, RequestStatus, StateDigest, StateKind, TaskId, TaskOutcome,
    TaskStatus,
};

/// Returns the row of a request of this method with these `params`, answered with
/// `member`.
fn row(method: &str, params: &str, member: &str) -> RequestEvent {
    row_of(&Machine::in_session(), method, params, member)
}

fn row_of(machine: &Machine, method: &str, params: &str, member: &str) -> RequestEvent {
    machine.request(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{{{params}}}}}"#
    ));
    machine.head(200, JSON);
    machine.answer(&format!(r#"{{"jsonrpc":"2.0","id":1,{member}}}"#));
    let mut effects = Effects::default();
    let end = HttpEnd::Complete;
    machine.exchange.end(&machine.cx, &mut effects, end);
    effects.rows.pop().expect("a row").event
}

fn sha256(text: impl AsRef<[u8]>) -> [u8; 32] {
    Sha256::digest(text).into()
}

fn state(text: &str) -> Option<StateDigest> {
    Some(StateDigest::new(StateKind::State, sha256(text)))
}

/// Returns the digest of a state that is not a string and has this JSON.
fn state_of_value(json: &str) -> Option<StateDigest> {
    Some(StateDigest::new(StateKind::State, sha256(sha256(json))))
}

/// Returns the digest of the set of these keys, which are given in the order of
/// their hashes.
fn keys<const N: usize>(keys: [&str; N]) -> Option<StateDigest> {
    let mut hashes = keys.map(sha256);
    hashes.sort_unstable();
    let kind = StateKind::Keys;
    Some(StateDigest::new(kind, sha256(hashes.concat())))
}

/// Returns the leg of a row that has one.
#[track_caller]
fn leg(row: RequestEvent) -> Leg {
    *row.leg.expect("a leg")
}

const DONE: &str = r#""result":{"content":[]}"#;
const MAY_ASK: [&str; 3] = ["tools/call", "prompts/get", "resources/read"];

#[test]
fn single_call_has_no_leg() {
    let looks_alike = r#""result":{"status":"completed","taskId":"t","requestState":"s","inputRequests":{"k":1},"result":{"isError":true}}"#;
    for method in MAY_ASK {
        for answer in [DONE, looks_alike] {
            let row = row(method, r#""name":"n","taskId":"t""#, answer);
            assert_eq!((row.end_reason, row.leg), (None, None), "{method}");
        }
    }
}

#[test]
fn state_sent_back_is_hashed_without_its_escapes() {
    for method in MAY_ASK {
        let params = r#""requestState":"a\u00e9\"b","inputResponses":{"k":{}}"#;
        let leg = leg(row(method, params, DONE));
        assert_eq!(leg.state_in, state("a\u{e9}\"b"), "{method}");
        assert_eq!(leg.state_out, None, "{method}");
    }
}

#[test]
fn state_that_is_not_a_string_is_hashed_as_it_was_sent_and_differs_from_the_string() {
    for written in ["17", "17.0", r#"{"a" : [1, "x"]}"#, "[ ]", "true"] {
        let params = format!(r#""requestState":{written}"#);
        let leg = leg(row("tools/call", &params, DONE));
        assert_eq!(leg.state_in, state_of_value(written), "{written}");
        let asks =
            format!(r#""result":{{"resultType":"input_required","requestState":{written}}}"#);
        let leg = self::leg(row("tools/call", "", &asks));
        assert_eq!(leg.state_out, state_of_value(written), "{written}");
    }
}

#[test]
fn keys_identify_an_operation_without_a_state() {
    for no_state in ["", r#""requestState":null,"#] {
        let params = format!(r#"{no_state}"inputResponses":{{"b":{{"x":1}},"a":2}}"#);
        let leg = leg(row("tools/call", &params, DONE));
        assert_eq!(leg.state_in, keys(["a", "b"]));
        let asks = format!(
            r#""result":{{{no_state}"inputRequests":{{"a":{{}},"b":{{}}}},"resultType":"input_required"}}"#
        );
        let leg = self::leg(row("tools/call", "", &asks));
        assert_eq!(leg.state_out, keys(["a", "b"]));
    }
    let empty = row("tools/call", r#""inputResponses":{}"#, DONE);
    assert_eq!(empty.leg, None);
}

#[test]
fn only_methods_that_may_ask_for_input_send_a_state_back() {
    for method in ["tools/list", "completion/complete", "custom/method", "ping"] {
        let row = row(
            method,
            r#""requestState":"s","inputResponses":{"k":1}"#,
            DONE,
        );
        assert_eq!(row.leg, None, "{method}");
    }
}

#[test]
fn call_that_asks_for_input_is_ok_and_not_final() {
    let asks =
        r#""result":{"requestState":"s-1","inputRequests":{"k":{}},"resultType":"input_required"}"#;
    for method in MAY_ASK {
        let row = row(method, r#""requestState":"s-0""#, asks);
        assert_eq!(row.status, RequestStatus::Ok, "{method}");
        assert_eq!(row.end_reason, Some(EndReason::InputRequired), "{method}");
        let leg = leg(row);
        assert_eq!((leg.state_in, leg.state_out), (state("s-0"), state("s-1")));
        assert_eq!((leg.task_id, leg.task_status), (None, None));
    }
}

#[test]
fn call_that_asks_without_a_state_is_the_first_leg_of_its_operation() {
    for asks in [
        r#""result":{"resultType":"input_required"}"#,
        r#""result":{"resultType":"input_required","inputRequests":{},"status":"working"}"#,
    ] {
        let row = row("tools/call", "", asks);
        assert_eq!(row.end_reason, Some(EndReason::InputRequired));
        assert_eq!(leg(row), Leg::default());
    }
}

#[test]
fn retry_that_fails_is_the_last_leg() {
    let row = row(
        "tools/call",
        r#""requestState":"s""#,
        r#""error":{"code":-32603,"message":"no"}"#,
    );
    assert_eq!((row.status, row.end_reason), (RequestStatus::Error, None));
    assert_eq!(leg(row).state_in, state("s"));
}

#[test]
fn call_whose_user_has_to_open_a_url_has_no_leg() {
    let row = row(
        "tools/call",
        r#""requestState":"s""#,
        r#""error":{"code":-32042,"message":"open a page"}"#,
    );
    assert_eq!((row.status, row.end_reason), (RequestStatus::Error, None));
    assert_eq!(row.leg, None);
}

#[test]
fn leg_has_the_caller_of_its_session() {
    let client = ClientInfo {
        name: Some("c".into()),
        version: Some("1".into()),
        cut: 0,
    };
    let machine = Machine::in_session_of(Some(client.clone()));
    let caller = machine.exchange.head.caller.digest(Some(&client));
    assert!(caller.is_some());
    let in_session = row_of(&machine, "tools/call", r#""requestState":"s""#, DONE);
    assert_eq!(leg(in_session).caller, caller);

    // The same client without a session; each of its requests names the client.
    let machine = Machine::new(&[("mcp-protocol-version", "2026-07-28")]);
    let params = r#""requestState":"s","_meta":{"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}"#;
    assert_eq!(
        leg(row_of(&machine, "tools/call", params, DONE)).caller,
        caller
    );

    let machine = Machine::new(&[("mcp-protocol-version", "2026-07-28")]);
    let nameless = row_of(&machine, "tools/call", r#""requestState":"s""#, DONE);
    assert_eq!(leg(nameless).caller, None);
}

#[test]
fn task_of_either_revision_has_its_id_and_status() {
    let created = Some(TaskId::new("t-é"));
    for result in [
        r#"{"resultType":"task","taskId":"t-\u00e9","status":"working","ttlMs":9}"#,
        r#"{"task":{"taskId":"t-é","status":"working","ttl":9}}"#,
        r#"{"resultType":"task","task":{"taskId":"t-é","status":"working"}}"#,
    ] {
        let row = row("tools/call", "", &format!(r#""result":{result}"#));
        assert_eq!(row.end_reason, Some(EndReason::Task), "{result}");
        let leg = leg(row);
        assert_eq!(leg.task_id, created, "{result}");
        assert_eq!(leg.task_status, Some(TaskStatus::Working), "{result}");
        assert_eq!(leg.task_outcome, None, "{result}");
    }
}

#[test]
fn task_id_is_bounded_and_hashed_in_full() {
    let long = "t".repeat(3000);
    let result = format!(r#""result":{{"resultType":"task","taskId":"{long}"}}"#);
    let machine = Machine::in_session();
    let created = leg(row_of(&machine, "tools/call", "", &result)).task_id;
    assert_eq!(created, Some(TaskId::new(&long)));
    assert_eq!(machine.cx.counters().truncated.load(Relaxed), 1);
    let polled = row("tasks/get", &format!(r#""taskId":"{long}""#), DONE);
    assert_eq!(leg(polled).task_id, created);
}

#[test]
fn poll_has_the_task_of_its_request() {
    for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
        // These members belong to the task; a poll itself does not continue.
        for kind in ["complete", "task", "input_required"] {
            let result = format!(
                r#""result":{{"resultType":"{kind}","taskId":"other","status":"input_required","requestState":"s","inputRequests":{{"k":1}}}}"#
            );
            let row = row(method, r#""taskId":"t-1","requestState":"s""#, &result);
            assert_eq!(row.end_reason, None, "{method} {kind}");
            let leg = leg(row);
            assert_eq!(leg.task_id, Some(TaskId::new("t-1")), "{method} {kind}");
            assert_eq!(leg.task_status, Some(TaskStatus::InputRequired));
            assert_eq!(
                (leg.state_in, leg.state_out, leg.task_outcome),
                (None, None, None)
            );
        }
    }
}

#[test]
fn poll_has_the_outcome_of_its_task_beside_its_own() {
    let outcome = |tool_error, code: Option<&str>, message: Option<&str>| TaskOutcome {
        tool_error,
        error_code: code.map(Into::into),
        error_msg: message.map(Into::into),
    };
    for (result, status, expected) in [
        (
            r#"{"status":"completed","result":{"content":[]}}"#,
            TaskStatus::Completed,
            Some(outcome(false, None, None)),
        ),
        (
            r#"{"status":"completed","result":{"isError":true}}"#,
            TaskStatus::Completed,
            Some(outcome(true, None, None)),
        ),
        (
            r#"{"status":"failed","error":{"code":-32603,"message":"kaput"}}"#,
            TaskStatus::Failed,
            Some(outcome(false, Some("-32603"), Some("kaput"))),
        ),
        // 2025-11-25: the client requests the result later.
        (r#"{"status":"completed"}"#, TaskStatus::Completed, None),
        (r#"{"status":"cancelled"}"#, TaskStatus::Cancelled, None),
        // Only a task that ended has an outcome.
        (
            r#"{"status":"working","result":{"isError":true}}"#,
            TaskStatus::Working,
            None,
        ),
    ] {
        let row = row(
            "tasks/get",
            r#""taskId":"t""#,
            &format!(r#""result":{result}"#),
        );
        assert_eq!(row.status, RequestStatus::Ok, "{result}");
        assert!(!row.tool_error && row.error_code.is_none(), "{result}");
        let leg = leg(row);
        assert_eq!(leg.task_status, Some(status), "{result}");
        assert_eq!(leg.task_outcome, expected, "{result}");
    }
}

#[test]
fn unknown_status_is_left_out() {
    let unknown = r#""result":{"taskId":"t","status":"paused"}"#;
    let leg = leg(row("tasks/get", r#""taskId":"t""#, unknown));
    assert_eq!((leg.task_status, leg.task_outcome), (None, None));
}

#[test]
fn members_of_a_task_result_belong_to_the_tool() {
    let result =
        r#""result":{"isError":true,"status":"cancelled","taskId":"x","error":{"code":1}}"#;
    let row = row("tasks/result", r#""taskId":"t""#, result);
    assert_eq!((row.tool_error, row.end_reason), (true, None));
    let leg = leg(row);
    assert_eq!(leg.task_id, Some(TaskId::new("t")));
    assert_eq!((leg.task_status, leg.task_outcome), (None, None));
}

#[test]
fn error_that_answers_a_poll_has_no_task_outcome() {
    let error = r#""error":{"code":-32602,"message":"no such task"}"#;
    let row = row("tasks/get", r#""taskId":"t""#, error);
    assert_eq!(row.status, RequestStatus::Error);
    let leg = leg(row);
    assert_eq!(leg.task_id, Some(TaskId::new("t")));
    assert_eq!((leg.task_status, leg.task_outcome), (None, None));
}

#[test]
fn text_of_a_task_error_is_left_out_if_error_texts_are() {
    let machine = Machine::in_session();
    let mut machine = machine;
    machine.cx = Context::new(
        Config {
            error_text: false,
            ..Config::default()
        },
        Arc::new(CaptureCounters::default()),
    );
    let failed = r#""result":{"status":"failed","error":{"code":-1,"message":"secret"}}"#;
    let leg = leg(row_of(&machine, "tasks/get", r#""taskId":"t""#, failed));
    let outcome = leg.task_outcome.expect("an outcome");
    assert_eq!(outcome.error_code.as_deref(), Some("-1"));
    assert_eq!(outcome.error_msg, None);
}

#[test]
fn call_that_becomes_a_task_on_a_later_stream_continues_as_a_task() {
    let machine = Machine::in_session();
    machine.request(CALL);
    machine.resumable_stream();
    machine.end(HttpEnd::Complete);
    let created = r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"t","status":"working"}}}"#;
    let effects = machine.elsewhere(created, CopyUse::Answer);
    assert_eq!(effects.unwrap(), ["row ok task", "finished"]);
}

#[test]
fn notification_of_either_revision_has_the_status_of_its_task() {
    for method in ["notifications/tasks", "notifications/tasks/status"] {
        let machine = Machine::in_session();
        machine.request(CALL);
        machine.head(200, EVENTS);
        let message =
            |params| format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        let working = message(r#"{"taskId":"t","status":"working"}"#);
        assert_eq!(machine.notified(&working), ["task t working s-1"]);
        for nothing in [
            r#"{"taskId":"t","status":"paused"}"#,
            r#"{"taskId":"t"}"#,
            r#"{"taskId":7,"status":"working"}"#,
            r#"{"status":"working"}"#,
        ] {
            assert_eq!(machine.notified(&message(nothing)), NONE, "{nothing}");
        }
    }
    let machine = Machine::in_session();
    for other in [
        r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"taskId":"t","status":"working"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"notifications/tasks","params":{"taskId":"t","status":"working"}}"#,
    ] {
        assert_eq!(machine.notified(other), NONE, "{other}");
    }
}

#[test]
fn notification_on_a_stream_without_a_session_has_its_caller() {
    let machine = Machine::new(&[("mcp-protocol-version", "2026-07-28")]);
    machine.request(
        r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"}}}}"#,
    );
    machine.head(200, EVENTS);
    let failed = r#"{"jsonrpc":"2.0","method":"notifications/tasks","params":{"taskId":"t","status":"failed","error":{"code":-32603,"message":"kaput"}}}"#;
    let mut notice = None;
    Scanner::new().feed(failed.as_bytes(), &mut |message| {
        notice = TaskNotice::of(message);
    });
    let mut effects = Effects::default();
    let notices = vec![notice.expect("a notification about a task")];
    machine
        .exchange
        .tasks_notified(&machine.cx, &mut effects, notices);
    let [Effect::TaskStatus(event)] = &effects.list[..] else {
        panic!("{effects:?}");
    };
    let client = ClientInfo {
        name: Some("c".into()),
        version: Some("1".into()),
        cut: 0,
    };
    let caller = machine.exchange.head.caller.digest(Some(&client));
    assert_eq!((&event.session_id, event.caller), (&None, caller));
    let outcome = event.outcome.as_ref().expect("an outcome");
    assert_eq!(outcome.error_code.as_deref(), Some("-32603"));
    assert_eq!(outcome.error_msg.as_deref(), Some("kaput"));
}
