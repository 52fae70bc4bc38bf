//! Tasks of both revisions: the extension of 2026-07-28, and 2025-11-25.

use serde_json::{Value, json};

use super::{Client, IN_SESSION, STATELESS, answered, legs, tasks};
use crate::recording::{self, Recording};

fn created(id: &str) -> Value {
    json!({"resultType": "task", "taskId": id, "status": "working", "ttlMs": 60000})
}

fn id(id: &str) -> Value {
    json!({"taskId": id})
}

#[tokio::test]
async fn polled_task_belongs_to_its_call_and_its_polls_to_no_operation() {
    let recording = Recording::start();
    let layer = recording.layer();
    STATELESS.call(&layer, 1, json!({}), created("t-1")).await;
    for (request, result) in [
        (2, json!({"taskId": "t-1", "status": "working"})),
        (
            3,
            json!({"taskId": "t-1", "status": "input_required", "inputRequests": {"k": {}}}),
        ),
        (
            4,
            json!({"taskId": "t-1", "status": "completed", "result": {"isError": true}}),
        ),
    ] {
        STATELESS
            .send(&layer, request, "tasks/get", id("t-1"), result)
            .await;
    }
    assert_eq!(
        legs(&recording),
        [
            "tools/call 1/1 task",
            "tasks/get - ok",
            "tasks/get - ok",
            "tasks/get - ok"
        ]
    );
    assert_eq!(tasks(&recording), ["t-1 completed tool_error 3"]);
    let statuses = "SELECT task_id || ' ' || task_status FROM requests ORDER BY id";
    assert_eq!(
        recording.column::<String>(statuses),
        [
            "t-1 working",
            "t-1 working",
            "t-1 input_required",
            "t-1 completed"
        ]
    );
}

#[tokio::test]
async fn failed_task_has_the_error_of_its_poll() {
    let recording = Recording::start();
    let layer = recording.layer();
    STATELESS.call(&layer, 1, json!({}), created("t-1")).await;
    let error = json!({"code": -32603, "message": "kaput"});
    let failed = json!({"taskId": "t-1", "status": "failed", "error": error});
    STATELESS
        .send(&layer, 2, "tasks/get", id("t-1"), failed)
        .await;
    assert_eq!(tasks(&recording), ["t-1 failed error 1 -32603 kaput"]);
}

#[tokio::test]
async fn task_may_follow_rounds_of_questions() {
    let recording = Recording::start();
    let layer = recording.layer();
    let asks = json!({"resultType": "input_required", "requestState": "a"});
    STATELESS.call(&layer, 1, json!({}), asks).await;
    STATELESS
        .call(&layer, 2, json!({"requestState": "a"}), created("t-1"))
        .await;
    let completed = json!({"taskId": "t-1", "status": "completed", "result": {}});
    STATELESS
        .send(&layer, 3, "tasks/get", id("t-1"), completed)
        .await;
    assert_eq!(
        legs(&recording),
        [
            "tools/call 1/1 input_required",
            "tools/call 1/2 task",
            "tasks/get - ok"
        ]
    );
    assert_eq!(tasks(&recording), ["t-1 completed ok 1"]);
}

#[tokio::test]
async fn task_of_2025_11_25_ends_with_the_answer_to_its_result_request() {
    let recording = Recording::start();
    let layer = recording.layer();
    let created = json!({"task": {"taskId": "t-1", "status": "working", "ttl": null}});
    IN_SESSION
        .call(&layer, 1, json!({"task": {}}), created)
        .await;
    let working = json!({"taskId": "t-1", "status": "working"});
    IN_SESSION
        .send(&layer, 2, "tasks/get", id("t-1"), working)
        .await;
    let failed = json!({"taskId": "t-1", "status": "failed"});
    IN_SESSION
        .send(&layer, 3, "tasks/get", id("t-1"), failed)
        .await;
    let result = json!({"content": [], "isError": true});
    IN_SESSION
        .send(&layer, 4, "tasks/result", id("t-1"), result)
        .await;
    assert_eq!(
        legs(&recording),
        [
            "tools/call 1/1 task",
            "tasks/get - ok",
            "tasks/get - ok",
            "tasks/result - ok"
        ]
    );
    assert_eq!(tasks(&recording), ["t-1 failed tool_error 2"]);
}

#[tokio::test]
async fn cancelled_task_is_gone() {
    let recording = Recording::start();
    let layer = recording.layer();
    IN_SESSION.call(&layer, 1, json!({}), created("t-1")).await;
    let cancelled = json!({"taskId": "t-1", "status": "cancelled"});
    IN_SESSION
        .send(&layer, 2, "tasks/cancel", id("t-1"), cancelled)
        .await;
    assert_eq!(tasks(&recording), ["t-1 cancelled gone 0"]);
}

#[tokio::test]
async fn poll_of_another_session_does_not_change_the_task() {
    let recording = Recording::start();
    let layer = recording.layer();
    IN_SESSION.call(&layer, 1, json!({}), created("t-1")).await;
    let other = Client {
        session: Some("s-2"),
        ..Client::default()
    };
    let completed = json!({"taskId": "t-1", "status": "completed", "result": {}});
    other
        .send(&layer, 2, "tasks/get", id("t-1"), completed)
        .await;
    assert_eq!(tasks(&recording), ["t-1 working - 0"]);
}

/// The events of a stream that holds these messages.
fn events(messages: &[Value]) -> String {
    let events = messages.iter();
    events
        .map(|message| format!("data: {message}\n\n"))
        .collect()
}

/// A notification of either revision.
fn notified(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

const STATUS: &str = "notifications/tasks/status";
const TASKS: &str = "notifications/tasks";

#[tokio::test]
async fn task_ends_by_a_notification_on_the_get_stream_of_its_session() {
    let recording = Recording::start();
    let layer = recording.layer();
    let created = json!({"task": {"taskId": "t-1", "status": "working"}});
    IN_SESSION
        .call(&layer, 1, json!({"task": {}}), created)
        .await;
    for (session, task) in [("s-2", "t-1 working - 0"), ("s-1", "t-1 completed ok 0")] {
        let mut get = recording::post_with(&[("mcp-session-id", session)], "");
        *get.method_mut() = http::Method::GET;
        let completed = notified(STATUS, json!({"taskId": "t-1", "status": "completed"}));
        let stream = recording::event_stream(events(&[completed]));
        answered(&layer, get, stream).await;
        assert_eq!(tasks(&recording), [task], "on a stream of {session}");
    }
}

#[tokio::test]
async fn task_ends_by_a_notification_to_a_listener_who_is_its_caller() {
    for (listener, task) in [
        ("inspector", "t-1 failed error 0 -32603 kaput"),
        ("another", "t-1 working - 0"),
    ] {
        let recording = Recording::start();
        let layer = recording.layer();
        STATELESS.call(&layer, 1, json!({}), created("t-1")).await;
        let listener = Client {
            name: Some(listener),
            ..Client::default()
        };
        let filter = json!({"notifications": {"taskIds": ["t-1"]}});
        let listen = listener.post(2, "subscriptions/listen", filter);
        let error = json!({"code": -32603, "message": "kaput"});
        let failed = json!({"taskId": "t-1", "status": "failed", "error": error});
        let stream = events(&[
            notified(TASKS, json!({"taskId": "t-1", "status": "resting"})),
            notified(TASKS, failed),
        ]);
        answered(&layer, listen, recording::event_stream(stream)).await;
        assert_eq!(tasks(&recording), [task]);
    }
}

#[tokio::test]
async fn task_ends_by_a_notification_that_comes_before_its_call_is_answered() {
    let recording = Recording::start();
    let layer = recording.layer();
    let call = STATELESS.post(1, "tools/call", json!({"name": "greet"}));
    let result = json!({"isError": true});
    let completed = json!({"taskId": "t-1", "status": "completed", "result": result});
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": created("t-1")});
    let stream = events(&[notified(TASKS, completed), answer]);
    answered(&layer, call, recording::event_stream(stream)).await;
    assert_eq!(legs(&recording), ["tools/call 1/1 task"]);
    assert_eq!(tasks(&recording), ["t-1 completed tool_error 0"]);
}

#[tokio::test]
async fn event_that_is_no_message_says_nothing_of_a_task() {
    let recording = Recording::start();
    let layer = recording.layer();
    STATELESS.call(&layer, 1, json!({}), created("t-1")).await;
    let listen = STATELESS.post(2, "subscriptions/listen", json!({}));
    let completed = notified(TASKS, json!({"taskId": "t-1", "status": "completed"}));
    let stream = format!("event: other\n{}", events(&[completed]));
    answered(&layer, listen, recording::event_stream(stream)).await;
    assert_eq!(tasks(&recording), ["t-1 working - 0"]);
}
