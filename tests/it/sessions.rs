//! Sessions: who opens them, what client and server negotiate, and how they end.

use std::time::Duration;

use http::{Request, Response};
use tower_mcp_store::{StoreBuilder, StoreLayer, StoreState};

use crate::recording::{
    Recording, Script, event_stream, exchange, json, post, post_with, response,
};

const INITIALIZE: &str = r#"{"method":"initialize","params":{"protocolVersion":"2026-07-28","capabilities":{},"clientInfo":{"name":"claude-ai (via mcp-remote 0.1.37)","version":"0.1.0"}},"jsonrpc":"2.0","id":0}"#;
const INITIALIZED: &str = r#"{"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"weather","version":"1.2"}},"jsonrpc":"2.0","id":0}"#;
const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
const LISTED: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#;

fn with_session(mut answer: Response<Script>, id: &str) -> Response<Script> {
    answer
        .headers_mut()
        .insert("mcp-session-id", id.parse().unwrap());
    answer
}

fn verb(method: &str, session: &str) -> Request<Script> {
    let mut request = post_with(&[("mcp-session-id", session)], "");
    *request.method_mut() = method.parse().unwrap();
    request
}

fn modern(client: Option<(&str, &str)>) -> String {
    let client = client.map_or(String::new(), |(name, version)| {
        format!(
            r#","io.modelcontextprotocol/clientInfo":{{"name":"{name}","version":"{version}"}}"#
        )
    });
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28"{client}}}}}}}"#
    )
}

#[tokio::test]
async fn initialize_answered_as_json_or_as_events_opens_a_session() {
    for answer in [
        json(INITIALIZED),
        event_stream(format!(
            "data: \nid: 0\nretry: 3000\n\ndata: {INITIALIZED}\n\n"
        )),
    ] {
        let recording = Recording::start();
        let layer = recording.layer();
        exchange(&layer, post(INITIALIZE), with_session(answer, "s-1"))
            .await
            .unwrap();
        exchange(
            &layer,
            post_with(&[("mcp-session-id", "s-1")], LIST),
            json(LISTED),
        )
        .await
        .unwrap();

        let sessions = recording.sessions();
        assert_eq!(sessions.len(), 1);
        let session = &sessions[0];
        assert_eq!(session.session_id, "s-1");
        assert_eq!(
            session.client_name.as_deref(),
            Some("claude-ai (via mcp-remote 0.1.37)")
        );
        assert_eq!(session.client_version.as_deref(), Some("0.1.0"));
        assert_eq!(session.client_platform.as_deref(), Some("claude"));
        assert_eq!(session.protocol_version.as_deref(), Some("2025-11-25"));
        assert_eq!(session.server_name.as_deref(), Some("weather"));
        assert_eq!(session.server_version.as_deref(), Some("1.2"));
        assert_eq!((session.total_calls, session.total_errors), (2, 0));
        assert_eq!((session.source.as_str(), session.ended), ("header", false));

        for row in recording.rows() {
            assert_eq!(row.session_id.as_deref(), Some("s-1"), "{}", row.method);
            assert_eq!(
                row.protocol_version.as_deref(),
                Some("2025-11-25"),
                "{}",
                row.method
            );
        }
    }
}

#[tokio::test]
async fn header_of_the_revision_overrides_the_negotiated_one() {
    let recording = Recording::start();
    let layer = recording.layer();
    exchange(
        &layer,
        post(INITIALIZE),
        with_session(json(INITIALIZED), "s-1"),
    )
    .await
    .unwrap();
    let headers = [
        ("mcp-session-id", "s-1"),
        ("mcp-protocol-version", "2025-06-18"),
    ];
    exchange(&layer, post_with(&headers, LIST), json(LISTED))
        .await
        .unwrap();
    assert_eq!(
        recording.rows()[1].protocol_version.as_deref(),
        Some("2025-06-18")
    );
}

#[tokio::test]
async fn only_a_successful_initialize_with_a_session_id_opens_one() {
    let error = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"no"}}"#;
    for (answer, on_the_row) in [
        (json(INITIALIZED), None),
        (with_session(json(error), "s-1"), Some("s-1")),
        (
            with_session(response(400, "application/json", error), "s-1"),
            None,
        ),
    ] {
        let recording = Recording::start();
        exchange(&recording.layer(), post(INITIALIZE), answer)
            .await
            .unwrap();
        assert_eq!(recording.row().session_id.as_deref(), on_the_row);
        assert_eq!(recording.sessions(), []);
    }
}

#[tokio::test]
async fn request_of_an_unknown_session_keeps_its_id_and_makes_no_session() {
    let recording = Recording::start();
    let request = post_with(&[("mcp-session-id", "elsewhere")], LIST);
    exchange(&recording.layer(), request, json(LISTED))
        .await
        .unwrap();
    assert_eq!(recording.row().session_id.as_deref(), Some("elsewhere"));
    assert_eq!(recording.sessions(), []);
}

#[tokio::test]
async fn successful_delete_closes_the_session() {
    for (status, ended) in [
        (200, true),
        (202, true),
        (204, true),
        (405, false),
        (500, false),
    ] {
        let recording = Recording::start();
        let layer = recording.layer();
        exchange(
            &layer,
            post(INITIALIZE),
            with_session(json(INITIALIZED), "s-1"),
        )
        .await
        .unwrap();
        exchange(&layer, verb("DELETE", "s-1"), response(status, "", ""))
            .await
            .unwrap();
        assert_eq!(recording.sessions()[0].ended, ended, "{status}");
    }
}

#[tokio::test]
async fn http_404_closes_only_a_session_that_was_opened_on_this_path() {
    for (path, session, known) in [
        ("/mcp", "s-1", true),
        ("/other", "s-1", false),
        ("/mcp", "s-2", false),
    ] {
        // Frameworks answer 404 if a server has no GET route, so a 404 to a GET does not end the
        // session.
        for (method, closes) in [
            ("POST", true),
            ("DELETE", true),
            ("GET", false),
            ("OPTIONS", false),
        ] {
            let recording = Recording::start();
            let layer = recording.layer();
            exchange(
                &layer,
                post(INITIALIZE),
                with_session(json(INITIALIZED), "s-1"),
            )
            .await
            .unwrap();
            let mut request = post_with(&[("mcp-session-id", session)], LIST);
            *request.uri_mut() = path.parse().unwrap();
            *request.method_mut() = method.parse().unwrap();
            exchange(&layer, request, response(404, "", "gone"))
                .await
                .unwrap();
            assert_eq!(
                recording.sessions()[0].ended,
                known && closes,
                "{method} {path} {session}"
            );
        }
    }
}

#[tokio::test]
async fn http_404_to_a_stateless_request_closes_nothing() {
    let recording = Recording::start();
    let layer = recording.layer();
    exchange(
        &layer,
        post(INITIALIZE),
        with_session(json(INITIALIZED), "s-1"),
    )
    .await
    .unwrap();
    let request = post_with(&[("mcp-session-id", "s-1")], modern(None));
    exchange(&layer, request, response(404, "", ""))
        .await
        .unwrap();
    assert!(!recording.sessions()[0].ended);
    assert_eq!(
        recording.rows()[1].session_id,
        None,
        "stateless requests have no session id"
    );
}

#[tokio::test]
async fn stateless_requests_of_one_client_share_a_derived_session() {
    let recording = Recording::start();
    let layer = recording.layer();
    let served = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[],"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"py","version":"3"}}}}"#;
    for client in [
        ("codex-mcp-client", "1"),
        ("codex-mcp-client", "1"),
        ("Zed", "1"),
        ("codex-mcp-client", "2"),
    ] {
        exchange(&layer, post(modern(Some(client))), json(served))
            .await
            .unwrap();
    }
    let rows = recording.rows();
    assert!(rows[0].session_id.as_ref().unwrap().starts_with("derived:"));
    assert_eq!(rows[0].session_id, rows[1].session_id);
    let mut ids: Vec<_> = rows.iter().map(|row| row.session_id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3);

    let sessions = recording.sessions();
    let first = sessions
        .iter()
        .find(|session| Some(&session.session_id) == rows[0].session_id.as_ref());
    let first = first.unwrap();
    assert_eq!((first.source.as_str(), first.total_calls), ("derived", 2));
    assert_eq!(first.client_platform.as_deref(), Some("codex"));
    assert_eq!(first.server_name.as_deref(), Some("py"));
    assert_eq!(first.protocol_version.as_deref(), Some("2026-07-28"));
}

#[tokio::test]
async fn callers_with_different_credentials_do_not_share_a_derived_session() {
    let recording = Recording::start();
    let layer = recording.layer();
    let body = modern(Some(("Zed", "1")));
    for token in ["Bearer a", "Bearer b", "Bearer a"] {
        let request = post_with(&[("authorization", token)], &body);
        exchange(&layer, request, json(LISTED)).await.unwrap();
    }
    let rows = recording.rows();
    assert_ne!(rows[0].session_id, rows[1].session_id);
    assert_eq!(rows[0].session_id, rows[2].session_id);
}

#[tokio::test]
async fn principal_overrides_the_credentials() {
    let recording = Recording::start();
    let layer = recording.layer();
    for token in ["Bearer a", "Bearer b"] {
        let mut request = post_with(&[("authorization", token)], modern(Some(("Zed", "1"))));
        request
            .extensions_mut()
            .insert(tower_mcp_store::Principal::new("alice"));
        exchange(&layer, request, json(LISTED)).await.unwrap();
    }
    assert_eq!(recording.sessions().len(), 1);
}

#[tokio::test]
async fn stateless_request_without_client_info_has_no_session() {
    let recording = Recording::start();
    exchange(&recording.layer(), post(modern(None)), json(LISTED))
        .await
        .unwrap();
    assert_eq!(recording.row().session_id, None);
    assert_eq!(recording.sessions(), []);
}

#[tokio::test]
async fn initialize_that_names_the_stateless_revision_is_still_a_handshake() {
    let recording = Recording::start();
    exchange(
        &recording.layer(),
        post(INITIALIZE),
        with_session(json(INITIALIZED), "s-1"),
    )
    .await
    .unwrap();
    assert_eq!(recording.sessions()[0].source, "header");
}

#[tokio::test]
async fn session_that_negotiated_the_stateless_revision_keeps_its_requests() {
    let version = ("mcp-protocol-version", "2026-07-28");
    let session = ("mcp-session-id", "s-1");
    let recording = Recording::start();
    let layer = recording.layer();
    let answer = INITIALIZED.replace("2025-11-25", "2026-07-28");
    exchange(&layer, post(INITIALIZE), with_session(json(answer), "s-1"))
        .await
        .unwrap();
    for request in [
        post_with(&[session], LIST),
        post_with(&[session, version], LIST),
        post_with(&[session, version], modern(Some(("Zed", "1")))),
    ] {
        exchange(&layer, request, json(LISTED)).await.unwrap();
    }
    let rows = recording.rows();
    assert_eq!(rows.len(), 4);
    for row in rows {
        assert_eq!(row.session_id.as_deref(), Some("s-1"), "{row:?}");
        assert_eq!(row.protocol_version.as_deref(), Some("2026-07-28"));
    }
    // A 404 of 2026-07-28 may mean an unknown method.
    exchange(&layer, post_with(&[session], LIST), response(404, "", ""))
        .await
        .unwrap();
    assert!(!recording.sessions()[0].ended);
    let mut delete = verb("DELETE", "s-1");
    let headers = delete.headers_mut();
    headers.insert(version.0, version.1.parse().unwrap());
    exchange(&layer, delete, response(200, "", ""))
        .await
        .unwrap();
    let sessions = recording.sessions();
    assert_eq!(sessions.len(), 1);
    assert_eq!((sessions[0].total_calls, sessions[0].ended), (5, true));
}

#[tokio::test]
async fn empty_session_header_names_no_session() {
    for empty in ["", " "] {
        let recording = Recording::start();
        let layer = recording.layer();
        exchange(
            &layer,
            post(INITIALIZE),
            with_session(json(INITIALIZED), empty),
        )
        .await
        .unwrap();
        let request = post_with(&[("mcp-session-id", empty)], LIST);
        exchange(&layer, request, json(LISTED)).await.unwrap();
        assert_eq!(recording.sessions(), []);
        let ids = recording.rows().into_iter().map(|row| row.session_id);
        assert_eq!(Vec::from_iter(ids), [None, None]);
    }
}

#[tokio::test]
async fn long_session_ids_are_compared_in_full() {
    let [ours, theirs] = ["a", "b"].map(|last| "x".repeat(300) + last);
    let recording = Recording::start();
    let layer = recording.layer();
    for id in [&ours, &theirs] {
        let answer = with_session(json(INITIALIZED), id);
        exchange(&layer, post(INITIALIZE), answer).await.unwrap();
        let request = post_with(&[("mcp-session-id", id)], LIST);
        exchange(&layer, request, json(LISTED)).await.unwrap();
    }
    exchange(&layer, verb("DELETE", &ours), response(200, "", ""))
        .await
        .unwrap();

    let sessions = recording.sessions();
    assert_eq!(sessions.len(), 2);
    for session in &sessions {
        assert_eq!(session.total_calls, 2);
        assert_eq!(session.session_id.len(), 256);
        assert!(session.session_id.starts_with(&("x".repeat(223) + "~")));
    }
    let ended = sessions.iter().filter(|session| session.ended);
    assert_eq!(ended.count(), 1);
    // Twice on an answer, twice on a request, once on the DELETE.
    assert_eq!(recording.store.stats().truncated, 5);

    let reader = tower_mcp_store::query::Reader::open(recording.store.path()).unwrap();
    let found = reader.find_session(&ours).unwrap().one().unwrap();
    assert!(found.ended_at.is_some());
    let found = reader.find_session_id(&theirs).unwrap().one();
    assert!(
        sessions
            .iter()
            .any(|row| Some(&row.session_id) == found.as_ref() && !row.ended)
    );
}

#[tokio::test]
async fn names_that_are_cut_are_counted_once_for_each_session() {
    let long = "n".repeat(300);
    let recording = Recording::start();
    let layer = recording.layer();
    let hello = INITIALIZE
        .replace("claude-ai (via mcp-remote 0.1.37)", &long)
        .replace("0.1.0", &long);
    let answer = INITIALIZED.replace("weather", &long).replace("1.2", &long);
    exchange(&layer, post(hello), with_session(json(answer), "s-1"))
        .await
        .unwrap();
    assert_eq!(recording.store.stats().truncated, 4);

    for _ in 0..2 {
        let request = post(modern(Some((&long, "1"))));
        exchange(&layer, request, json(LISTED)).await.unwrap();
    }
    assert_eq!(recording.store.stats().truncated, 5);
    let sessions = recording.sessions();
    assert_eq!(sessions.len(), 2);
    assert!(
        sessions
            .iter()
            .all(|row| row.client_name.as_ref().unwrap().len() == 256)
    );

    let headers = [("mcp-protocol-version", &*long)];
    exchange(&layer, post_with(&headers, LIST), json(LISTED))
        .await
        .unwrap();
    assert_eq!(recording.store.stats().truncated, 6);
}

/// Opens a session with each of these ids.
async fn initialize(layer: &StoreLayer, ids: &[&str]) {
    for id in ids {
        let answer = with_session(json(INITIALIZED), id);
        exchange(layer, post(INITIALIZE), answer).await.unwrap();
    }
}

#[tokio::test]
async fn session_open_in_the_file_is_known_after_a_restart() {
    for hashed in [false, true] {
        let set = |builder: StoreBuilder| builder.hash_session_ids(hashed);
        let recording = Recording::reopen(Recording::start(), set);
        let layer = recording.layer();
        initialize(&layer, &["s-1", "s-2"]).await;
        exchange(&layer, verb("DELETE", "s-2"), response(200, "", ""))
            .await
            .unwrap();
        drop(layer);

        let recording = Recording::reopen(recording, set);
        let list = async |layer: &StoreLayer, session: &str, answer| {
            let mut request = post_with(&[("mcp-session-id", session)], LIST);
            // The file does not store the path on which the session began.
            *request.uri_mut() = "/other".parse().unwrap();
            exchange(layer, request, answer).await.unwrap();
        };
        // Listings are events too.
        let ours = recording.layer().max_listing_bytes(0);
        let theirs = ours.clone().server_name("theirs");
        list(&ours, "s-1", json(LISTED)).await;
        list(&ours, "s-2", json(LISTED)).await;
        list(&theirs, "s-1", response(404, "", "")).await;
        let open = "SELECT count(*) FROM sessions WHERE ended_at IS NULL";
        assert_eq!(recording.column::<i64>(open), [1], "it is not theirs");
        list(&ours, "s-1", response(404, "", "")).await;
        assert_eq!(recording.column::<i64>(open), [0]);
        list(&ours, "s-1", response(404, "", "")).await;

        let versions = recording.rows().into_iter().map(|row| row.protocol_version);
        let known = Some("2025-11-25".to_owned());
        let expected = [known.clone(), None, None, known, None];
        assert_eq!(Vec::from_iter(versions.skip(2)), expected, "{hashed}");
        // Each session ends once.
        assert_eq!(recording.store.stats().submitted, 6);
    }
}

#[tokio::test]
async fn layers_learn_when_a_store_has_opened_in_the_background() {
    let recording = Recording::start();
    initialize(&recording.layer(), &["s-1"]).await;
    recording.store.shutdown(Duration::from_secs(20)).unwrap();

    let layer = StoreLayer::new(recording.store.path());
    while layer.store().state() != StoreState::Ready {
        tokio::task::yield_now().await;
    }
    exchange(&layer, verb("DELETE", "s-1"), response(404, "", ""))
        .await
        .unwrap();
    layer.store().flush(Duration::from_secs(20)).unwrap();
    let ended: Vec<bool> =
        recording.column_after_shutdown("SELECT ended_at IS NOT NULL FROM sessions");
    assert_eq!(ended, [true]);
}
