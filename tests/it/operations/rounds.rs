//! Multi round-trip requests (2026-07-28).

use serde_json::{Value, json};

use super::{Client, IN_SESSION, STATELESS, legs};
use crate::recording::Recording;

/// The server asks for a name, and gives this state.
fn asks(state: impl Into<Value>) -> Value {
    json!({
        "inputRequests": {"who": {"method": "elicitation/create", "params": {"message": "name?"}}},
        "requestState": state.into(),
        "resultType": "input_required",
    })
}

/// The client answers, and brings this state back.
fn answers(state: impl Into<Value>) -> Value {
    json!({
        "inputResponses": {"who": {"action": "accept", "content": {"name": "Ada"}}},
        "requestState": state.into(),
    })
}

fn done() -> Value {
    json!({"content": [], "resultType": "complete"})
}

#[tokio::test]
async fn rounds_of_one_call_are_one_operation_whether_in_a_session_or_not() {
    let nameless = Client::default();
    for client in [IN_SESSION, STATELESS, nameless] {
        let recording = Recording::start();
        let layer = recording.layer();
        client.call(&layer, 1, json!({}), asks("v1.a")).await;
        client.call(&layer, 2, answers("v1.a"), asks("v1.b")).await;
        client.call(&layer, 3, answers("v1.b"), done()).await;
        assert_eq!(
            legs(&recording),
            [
                "tools/call 1/1 input_required",
                "tools/call 1/2 input_required",
                "tools/call 1/3 ok",
            ]
        );
        let sums = "SELECT (operation_us = (SELECT sum(latency_us) FROM requests)) || ''
            FROM requests WHERE operation_us IS NOT NULL";
        assert_eq!(recording.column::<String>(sums), ["1"]);
        assert_eq!(recording.store.stats().unlinked, 0);
    }
}

#[tokio::test]
async fn declined_call_ends_its_operation() {
    let recording = Recording::start();
    let layer = recording.layer();
    STATELESS.call(&layer, 1, json!({}), asks("s")).await;
    let declined = json!({"inputResponses": {"who": {"action": "decline"}}, "requestState": "s"});
    let failed = json!({"isError": true, "content": []});
    STATELESS.call(&layer, 2, declined, failed).await;
    assert_eq!(
        legs(&recording),
        ["tools/call 1/1 input_required", "tools/call 1/2 ok"]
    );
}

#[tokio::test]
async fn call_that_is_never_retried_stays_open() {
    let recording = Recording::start();
    let layer = recording.layer();
    STATELESS.call(&layer, 1, json!({}), asks("s")).await;
    STATELESS.call(&layer, 2, json!({}), done()).await;
    assert_eq!(
        legs(&recording),
        ["tools/call 1/1 input_required", "tools/call - ok"]
    );
}

#[tokio::test]
async fn interleaved_calls_of_one_tool_are_told_apart_by_their_states() {
    let recording = Recording::start();
    let layer = recording.layer();
    STATELESS.call(&layer, 1, json!({}), asks("a")).await;
    STATELESS.call(&layer, 2, json!({}), asks("b")).await;
    STATELESS.call(&layer, 3, answers("b"), done()).await;
    STATELESS.call(&layer, 4, answers("a"), done()).await;
    assert_eq!(
        legs(&recording),
        [
            "tools/call 1/1 input_required",
            "tools/call 2/1 input_required",
            "tools/call 2/2 ok",
            "tools/call 1/2 ok",
        ]
    );
}

#[tokio::test]
async fn state_may_be_any_json_value_of_any_length() {
    let long = "s".repeat(1 << 20);
    for state in [
        json!(17),
        json!({"step": [1, "x"]}),
        json!(false),
        json!(long),
    ] {
        let recording = Recording::start();
        let layer = recording.layer();
        STATELESS
            .call(&layer, 1, json!({}), asks(state.clone()))
            .await;
        STATELESS.call(&layer, 2, answers(state), done()).await;
        assert_eq!(
            legs(&recording),
            ["tools/call 1/1 input_required", "tools/call 1/2 ok"]
        );
    }
}

#[tokio::test]
async fn keys_link_a_retry_without_a_state_within_a_session() {
    let recording = Recording::start();
    let layer = recording.layer();
    let asks = json!({"inputRequests": {"who": {}, "when": {}}, "resultType": "input_required"});
    let answers = json!({"inputResponses": {"when": {}, "who": {}}});
    IN_SESSION.call(&layer, 1, json!({}), asks.clone()).await;
    IN_SESSION.call(&layer, 2, answers.clone(), done()).await;
    // Without a session the layer cannot tell the users of a client apart.
    STATELESS.call(&layer, 3, json!({}), asks).await;
    STATELESS.call(&layer, 4, answers, done()).await;
    assert_eq!(
        legs(&recording),
        [
            "tools/call 1/1 input_required",
            "tools/call 1/2 ok",
            "tools/call 3/1 input_required",
            "tools/call - ok",
        ]
    );
    assert_eq!(recording.store.stats().unlinked, 1);
}

#[tokio::test]
async fn invented_state_links_to_nothing_and_is_counted() {
    let recording = Recording::start();
    let layer = recording.layer();
    STATELESS.call(&layer, 1, json!({}), asks("a")).await;
    STATELESS.call(&layer, 2, answers("invented"), done()).await;
    let other = Client {
        session: Some("s-2"),
        ..Client::default()
    };
    other.call(&layer, 3, answers("a"), done()).await;
    assert_eq!(
        legs(&recording),
        [
            "tools/call 1/1 input_required",
            "tools/call - ok",
            "tools/call - ok"
        ]
    );
    assert_eq!(recording.store.stats().unlinked, 2);
}

#[tokio::test]
async fn retry_on_another_layer_of_the_file_belongs_to_the_operation() {
    let recording = Recording::start();
    let (one, other) = (recording.layer(), recording.layer());
    let client = Client {
        authorization: Some("Bearer a"),
        ..STATELESS
    };
    client.call(&one, 1, json!({}), asks("a")).await;
    client.call(&other, 2, answers("a"), done()).await;
    assert_eq!(
        legs(&recording),
        ["tools/call 1/1 input_required", "tools/call 1/2 ok"]
    );
}

#[tokio::test]
async fn prompts_and_resources_may_ask_too_and_no_other_method() {
    for (method, aim, leg) in [
        ("prompts/get", json!({"name": "p"}), "1/2"),
        ("resources/read", json!({"uri": "file:///a"}), "1/2"),
        ("completion/complete", json!({}), "-"),
    ] {
        let recording = Recording::start();
        let layer = recording.layer();
        let mut retry = answers("a");
        retry
            .as_object_mut()
            .unwrap()
            .extend(aim.as_object().unwrap().clone());
        STATELESS.send(&layer, 1, method, aim, asks("a")).await;
        STATELESS.send(&layer, 2, method, retry, done()).await;
        assert_eq!(legs(&recording)[1], format!("{method} {leg} ok"));
    }
}
