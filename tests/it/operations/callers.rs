//! Who calls, as `sessions.caller` and the links of requests tell it.

use http::Request;
use serde_json::{Value, json};
use tower_mcp_store::{Principal, StoreLayer};

use super::{Client, IN_SESSION, STATELESS, answered, legs, tasks};
use crate::recording::{self, Recording, Script};

fn by(principal: &str, mut request: Request<Script>) -> Request<Script> {
    request.extensions_mut().insert(Principal::new(principal));
    request
}

/// Begins a session of `inspector`, at the wish of this principal.
async fn initialize(layer: &StoreLayer, session: &str, principal: &str) {
    let params = json!({"protocolVersion": "2025-11-25",
        "clientInfo": {"name": "inspector", "version": "1"}});
    let message = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
    let result = json!({"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": "2025-11-25"}});
    let mut answer = recording::json(result.to_string());
    let name = session.parse().unwrap();
    answer.headers_mut().insert("mcp-session-id", name);
    let request = recording::post(message.to_string());
    answered(layer, by(principal, request), answer).await;
}

fn callers(recording: &Recording) -> Vec<Option<String>> {
    recording.column("SELECT caller FROM sessions ORDER BY rowid")
}

#[tokio::test]
async fn caller_of_a_principal_is_the_same_in_each_session_and_after_a_restart() {
    let mut recording = Recording::start();
    let layer = recording.layer();
    initialize(&layer, "s-1", "alice").await;
    let list = STATELESS.post(1, "tools/list", json!({}));
    let answer = json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": []}}).to_string();
    answered(&layer, by("alice", list), recording::json(answer)).await;
    initialize(&layer, "s-2", "bob").await;
    drop(layer);
    recording = Recording::reopen(recording, |builder| builder);
    initialize(&recording.layer(), "s-3", "alice").await;

    let callers = callers(&recording);
    let callers: Vec<&str> = callers
        .iter()
        .map(|caller| caller.as_deref().unwrap())
        .collect();
    let [named, derived, bob, later] = callers[..] else {
        panic!("{callers:?}");
    };
    assert_eq!((named, derived), (later, later));
    assert_ne!(named, bob);
    assert!(named.len() == 16 && named.bytes().all(|byte| byte.is_ascii_hexdigit()));
}

#[tokio::test]
async fn authorization_tells_callers_of_one_client_apart() {
    let recording = Recording::start();
    let (one, other) = (recording.layer(), recording.layer());
    let with = |authorization| Client {
        authorization: Some(authorization),
        ..STATELESS
    };
    let tools = json!({"tools": []});
    for (layer, token) in [(&one, "Bearer a"), (&one, "Bearer b"), (&other, "Bearer a")] {
        let client = with(token);
        client
            .send(layer, 1, "tools/list", json!({}), tools.clone())
            .await;
    }
    let callers = callers(&recording);
    assert_eq!(callers[0], callers[2], "two layers of one process agree");
    assert_ne!(callers[0], callers[1]);
    assert!(callers.iter().all(Option::is_some));
}

#[tokio::test]
async fn authorization_is_one_caller_in_all_files_with_a_shared_key() {
    let client = Client {
        authorization: Some("Bearer a"),
        ..STATELESS
    };
    let mut found = Vec::new();
    for key in [1, 1, 2] {
        let recording =
            Recording::reopen(Recording::start(), |builder| builder.shared_key([key; 32]));
        let tools = json!({"tools": []});
        client
            .send(&recording.layer(), 1, "tools/list", json!({}), tools)
            .await;
        found.extend(callers(&recording));
    }
    assert_eq!(found[0], found[1]);
    assert_ne!(found[0], found[2]);
}

#[tokio::test]
async fn state_of_another_caller_of_the_same_client_links_to_nothing() {
    let recording = Recording::start();
    let layer = recording.layer();
    let with = |authorization| Client {
        authorization: Some(authorization),
        ..STATELESS
    };
    let asks = json!({"resultType": "input_required", "requestState": "a"});
    let retry = json!({"requestState": "a"});
    with("Bearer a").call(&layer, 1, json!({}), asks).await;
    with("Bearer b")
        .call(&layer, 2, retry.clone(), json!({}))
        .await;
    with("Bearer a").call(&layer, 3, retry, json!({})).await;
    assert_eq!(
        legs(&recording),
        [
            "tools/call 1/1 input_required",
            "tools/call - ok",
            "tools/call 1/2 ok"
        ]
    );
}

#[tokio::test]
async fn keys_link_the_requests_of_one_caller_with_a_credential() {
    let recording = Recording::start();
    let layer = recording.layer();
    let client = Client {
        authorization: Some("Bearer a"),
        ..STATELESS
    };
    let asks = json!({"resultType": "input_required", "inputRequests": {"who": {}}});
    client.call(&layer, 1, json!({}), asks).await;
    client
        .call(&layer, 2, json!({"inputResponses": {"who": {}}}), json!({}))
        .await;
    assert_eq!(
        legs(&recording),
        ["tools/call 1/1 input_required", "tools/call 1/2 ok"]
    );
}

/// Polls the task `t-1`, which is completed, in the session `s-2`.
async fn poll_in_another_session(layer: &StoreLayer, principal: &str) {
    let client = Client {
        session: Some("s-2"),
        ..Client::default()
    };
    let request = client.post(3, "tasks/get", json!({"taskId": "t-1"}));
    let result = json!({"taskId": "t-1", "status": "completed", "result": {}});
    let answer = json!({"jsonrpc": "2.0", "id": 3, "result": result}).to_string();
    answered(layer, by(principal, request), recording::json(answer)).await;
}

/// A call in the session `s-1` that is answered with the task `t-1`.
async fn create_task(layer: &StoreLayer, principal: &str) {
    let request = IN_SESSION.post(2, "tools/call", json!({"name": "greet"}));
    let task = json!({"task": {"taskId": "t-1", "status": "working"}});
    let answer = json!({"jsonrpc": "2.0", "id": 2, "result": task}).to_string();
    answered(layer, by(principal, request), recording::json(answer)).await;
}

#[tokio::test]
async fn task_is_followed_across_the_sessions_of_one_principal_and_of_no_other() {
    for (poller, task) in [("alice", "t-1 completed ok 1"), ("bob", "t-1 working - 0")] {
        let recording = Recording::start();
        let layer = recording.layer();
        initialize(&layer, "s-1", "alice").await;
        create_task(&layer, "alice").await;
        initialize(&layer, "s-2", poller).await;
        poll_in_another_session(&layer, poller).await;
        assert_eq!(tasks(&recording), [task], "{poller}");
    }
}

#[tokio::test]
async fn task_is_followed_in_a_session_that_began_before_a_restart() {
    let mut recording = Recording::start();
    let layer = recording.layer();
    initialize(&layer, "s-1", "alice").await;
    create_task(&layer, "alice").await;
    initialize(&layer, "s-2", "alice").await;
    drop(layer);
    recording = Recording::reopen(recording, |builder| builder);
    poll_in_another_session(&recording.layer(), "alice").await;
    assert_eq!(tasks(&recording), ["t-1 completed ok 1"]);
}

/// A request of revision 2025-11-25 to a server without sessions.
async fn send_without_session(
    layer: &StoreLayer,
    authorization: Option<&str>,
    id: u32,
    method: &str,
    params: Value,
    result: Value,
) {
    let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    let mut headers = vec![("mcp-protocol-version", "2025-11-25")];
    headers.extend(authorization.map(|token| ("authorization", token)));
    let request = recording::post_with(&headers, message.to_string());
    let answer = json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string();
    answered(layer, request, recording::json(answer)).await;
}

#[tokio::test]
async fn task_of_2025_11_25_without_a_session_is_followed_for_its_caller_and_no_other() {
    let (alice, bob) = (Some("Bearer a"), Some("Bearer b"));
    for (creator, poller, task) in [
        (None, None, "t-1 completed ok 1"),
        (alice, alice, "t-1 completed ok 1"),
        (alice, bob, "t-1 working - 0"),
        (alice, None, "t-1 working - 0"),
        (None, alice, "t-1 working - 0"),
    ] {
        let recording = Recording::start();
        let layer = recording.layer();
        let call = json!({"name": "greet", "task": {}});
        let created = json!({"task": {"taskId": "t-1", "status": "working"}});
        send_without_session(&layer, creator, 1, "tools/call", call, created).await;
        let (id, completed) = (
            json!({"taskId": "t-1"}),
            json!({"taskId": "t-1", "status": "completed"}),
        );
        send_without_session(&layer, poller, 2, "tasks/get", id, completed).await;
        assert_eq!(tasks(&recording), [task], "{creator:?} {poller:?}");
    }
}
