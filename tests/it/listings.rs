//! The lists and descriptions of a server are stored with their history, and each change is
//! recorded once.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use serde_json::{Value, json as value};
use sha2::{Digest, Sha256};
use tower_mcp_store::{Principal, Store, StoreLayer};

use crate::recording::{
    self, Recording, Script, Step, event_stream, exchange, json, live, post, post_with, response,
};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","clientInfo":{"name":"c","version":"1"}}}"#;

/// Returns a request for a listing.
fn list(method: &str, cursor: Option<&str>) -> String {
    static ID: AtomicUsize = AtomicUsize::new(1);
    let id = ID.fetch_add(1, Ordering::Relaxed);
    let params = cursor.map_or(value!({}), |cursor| value!({ "cursor": cursor }));
    value!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

/// Returns the answer to a request.
fn answer(request: &str, result: &Value) -> String {
    let request: Value = serde_json::from_str(request).unwrap();
    value!({"jsonrpc": "2.0", "result": result, "id": request["id"]}).to_string()
}

/// Makes a client of this session list the tools, at a cursor if given.
async fn tools_of(layer: &StoreLayer, session: &str, cursor: Option<&str>, result: &Value) {
    let request = list("tools/list", cursor);
    let reply = json(answer(&request, result));
    let request = post_with(&[("mcp-session-id", session)], request);
    exchange(layer, request, reply).await.unwrap();
}

/// Makes a client of this principal list the tools.
async fn tools_for(layer: &StoreLayer, principal: &str, result: &Value) {
    let request = list("tools/list", None);
    let reply = json(answer(&request, result));
    let mut request = post(request);
    request.extensions_mut().insert(Principal::new(principal));
    exchange(layer, request, reply).await.unwrap();
}

async fn tools(layer: &StoreLayer, result: &Value) {
    tools_of(layer, "s", None, result).await;
}

fn named(names: &[&str]) -> Value {
    let tools: Vec<Value> = names.iter().map(|name| value!({ "name": name })).collect();
    value!({ "tools": tools })
}

/// Returns `change_type item_name` of each change, in order.
fn changes(recording: &Recording) -> Vec<String> {
    recording.column(
        "SELECT change_type || coalesce(' ' || item_name, '') FROM schema_changes ORDER BY id",
    )
}

fn payloads(recording: &Recording) -> Vec<String> {
    recording.column("SELECT payload FROM server_schema ORDER BY id")
}

#[tokio::test]
async fn every_discovery_answer_becomes_a_snapshot() {
    let recording = Recording::start();
    let layer = recording.layer().server_name("p").upstream_url("http://u");
    for (method, result, payload) in [
        (
            "server/discover",
            value!({"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}, "ttlMs": 1,
                "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "s"}}}),
            r#"{"capabilities":{"tools":{}},"serverInfo":{"name":"s"}}"#,
        ),
        (
            "tools/list",
            value!({"tools": [{"name": "b", "inputSchema": {}}, {"name": "a", "_meta": {"x": 1}}]}),
            r#"{"tools":[{"name":"a"},{"inputSchema":{},"name":"b"}]}"#,
        ),
        (
            "resources/list",
            value!({"resources": [{"uri": "file:///a", "name": "n"}]}),
            r#"{"resources":[{"name":"n","uri":"file:///a"}]}"#,
        ),
        (
            "resources/templates/list",
            value!({"resourceTemplates": [{"uriTemplate": "x://{id}", "name": "n"}]}),
            r#"{"resourceTemplates":[{"name":"n","uriTemplate":"x://{id}"}]}"#,
        ),
        ("prompts/list", value!({"prompts": []}), r#"{"prompts":[]}"#),
    ] {
        let request = list(method, None);
        let reply = json(answer(&request, &result));
        exchange(&layer, post(request), reply).await.unwrap();
        let sql = format!(
            "SELECT proxy || ' ' || upstream_url || ' ' || schema_hash || ' ' || payload
             FROM server_schema WHERE method = '{method}'"
        );
        let hash: String = Sha256::digest(payload)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(
            recording.column::<String>(&sql),
            [format!("p http://u {hash} {payload}")]
        );
    }
    assert_eq!(changes(&recording), ["initial"; 5]);
}

#[tokio::test]
async fn server_info_is_stored_from_json_and_event_streams() {
    let result = value!({"protocolVersion": "2025-11-25", "capabilities": {}, "instructions": "i",
        "serverInfo": {"name": "s", "version": "1"}});
    let body = answer(INITIALIZE, &result);
    let (head, tail) = body.split_at(17);
    let stream = format!("id: 1\ndata:\n\nevent: message\ndata: {head}\ndata: {tail}\n\n");
    for reply in [json(body.as_str()), event_stream(stream.as_str())] {
        let recording = Recording::start();
        exchange(&recording.layer(), post(INITIALIZE), reply)
            .await
            .unwrap();
        assert_eq!(
            payloads(&recording),
            [r#"{"capabilities":{},"instructions":"i","serverInfo":{"name":"s","version":"1"}}"#]
        );
        assert_eq!(
            recording.column::<String>("SELECT protocol_version FROM listing_views"),
            ["2025-11-25"]
        );
    }
}

#[tokio::test]
async fn listing_is_the_same_for_every_cut_into_frames() {
    let request = list("tools/list", None);
    let body = answer(&request, &named(&["a", "é"]));
    let event = format!(
        ": hello\r\n\r\ndata: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}}\r\n\r\ndata: {body}\r\n\r\n"
    );
    for size in [1, 2, 3, 7, 1000] {
        let recording = Recording::start();
        let chunks = Script::chunks(body.as_bytes().chunks(size));
        exchange(&recording.layer(), post(request.as_str()), json(chunks))
            .await
            .unwrap();
        let chunks = Script::chunks(event.as_bytes().chunks(size));
        let layer = recording.layer().server_name("stream");
        exchange(&layer, post(request.as_str()), event_stream(chunks))
            .await
            .unwrap();
        let payload = r#"{"tools":[{"name":"a"},{"name":"é"}]}"#;
        assert_eq!(payloads(&recording), [payload, payload], "{size}");
    }
}

#[tokio::test]
async fn listing_in_a_batch_is_stored() {
    let recording = Recording::start();
    let (one, two) = (list("tools/list", None), list("prompts/list", None));
    let replies = [
        answer(&two, &value!({"prompts": [{"name": "p"}]})),
        answer(&one, &named(&["a"])),
    ];
    let reply = json(format!("  [{}]", replies.join(" , ")));
    let request = post(format!("[{one},{two}]"));
    exchange(&recording.layer(), request, reply).await.unwrap();
    assert_eq!(
        payloads(&recording),
        [
            r#"{"prompts":[{"name":"p"}]}"#,
            r#"{"tools":[{"name":"a"}]}"#
        ]
    );
}

#[tokio::test]
async fn each_changed_item_is_one_row() {
    let recording = Recording::start();
    let layer = recording.layer();
    tools(&layer, &named(&["a", "b"])).await;
    tools(&layer, &named(&["b", "a"])).await;
    tools(
        &layer,
        &value!({"tools": [{"name": "a", "title": "A"}, {"name": "c"}]}),
    )
    .await;
    assert_eq!(
        changes(&recording),
        [
            "initial",
            "tool_modified a",
            "tool_added c",
            "tool_removed b"
        ]
    );
    let hashes = "SELECT count(DISTINCT old_hash || new_hash) FROM schema_changes WHERE old_hash IS NOT NULL";
    assert_eq!(recording.column::<i64>(hashes), [1]);
    let kept = "SELECT p.payload FROM schema_changes c, listing_payloads p
        WHERE c.change_type = 'tool_added' AND p.content_hash IN (c.old_hash, c.new_hash)
        ORDER BY p.content_hash = c.new_hash";
    assert_eq!(
        recording.column::<String>(kept),
        [
            r#"{"tools":[{"name":"a"},{"name":"b"}]}"#,
            r#"{"tools":[{"name":"a","title":"A"},{"name":"c"}]}"#
        ],
        "both sides of a change can be compared"
    );
}

#[tokio::test]
async fn equal_content_is_written_once_in_any_spelling_and_after_a_restart() {
    let recording = Recording::start();
    for body in [
        r#"{"tools":[{"name":"a","d":"é"},{"name":"b"}],"_meta":{"t":1}}"#,
        r#"{"nextCursor":null,"tools":[{"name":"b","_meta":{}},{"d":"\u00e9","name":"a"}]}"#,
    ] {
        // A new layer remembers nothing, as after a restart.
        let layer = recording.layer();
        let request = list("tools/list", None);
        let id: Value = serde_json::from_str::<Value>(&request).unwrap()["id"].clone();
        let reply = json(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{body}}}"#));
        exchange(&layer, post(request), reply).await.unwrap();
    }
    assert_eq!(changes(&recording), ["initial"]);
    for table in ["server_schema", "listing_payloads", "listing_views"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(recording.column::<i64>(&count), [1], "{table}");
    }
}

#[tokio::test]
async fn bytes_seen_before_do_not_reach_the_store() {
    let recording = Recording::start();
    let layer = recording.layer();
    tools(&layer, &named(&["a"])).await;
    let before = recording.store.stats().submitted;
    for session in ["s", "another", "s"] {
        tools_of(&layer, session, None, &named(&["a"])).await;
    }
    assert_eq!(
        recording.store.stats().submitted - before,
        3,
        "the requests alone"
    );
}

#[tokio::test]
async fn pages_of_two_interleaved_clients_are_joined_per_client() {
    let recording = Recording::start();
    let layer = recording.layer();
    let page = |names: &[&str], next: Option<&str>| {
        let mut page = named(names);
        if let Some(next) = next {
            page["nextCursor"] = next.into();
        }
        page
    };
    for (cursor, next, mine, theirs) in [
        (None, Some(""), "a", "x"),
        (Some(""), Some("3"), "b", "y"),
        (Some("3"), None, "c", "z"),
    ] {
        tools_of(&layer, "mine", cursor, &page(&[mine], next)).await;
        tools_of(&layer, "theirs", cursor, &page(&[theirs], next)).await;
    }
    tools_of(&layer, "other", Some("3"), &page(&["d"], None)).await;
    let payloads: Vec<String> =
        recording.column("SELECT payload FROM listing_payloads ORDER BY rowid");
    assert_eq!(
        payloads,
        [
            r#"{"tools":[{"name":"a"},{"name":"b"},{"name":"c"}]}"#,
            r#"{"tools":[{"name":"x"},{"name":"y"},{"name":"z"}]}"#,
        ],
        "and a page alone is no listing"
    );
}

#[tokio::test]
async fn clients_with_different_lists_record_no_changes_in_turn() {
    let recording = Recording::start();
    for _ in 0..3 {
        // Only the file still knows the listings of the round before.
        let layer = recording.layer();
        for _ in 0..3 {
            tools_for(&layer, "root", &named(&["a", "admin"])).await;
            tools_for(&layer, "guest", &named(&["a"])).await;
        }
    }
    assert_eq!(changes(&recording), ["initial", "initial"]);
    let layer = recording.layer();
    tools_for(&layer, "root", &named(&["a", "admin", "b"])).await;
    tools_for(&layer, "guest", &named(&["a", "b"])).await;
    assert_eq!(
        changes(&recording)[2..],
        ["tool_added b", "tool_added b"],
        "each against what that caller saw last"
    );
}

#[tokio::test]
async fn change_that_many_clients_see_is_recorded_once() {
    let recording = Recording::start();
    for names in [&["a"][..], &["a", "b"], &["b"]] {
        for principal in ["one", "two", "three"] {
            tools_for(&recording.layer(), principal, &named(names)).await;
        }
    }
    assert_eq!(
        changes(&recording),
        ["initial", "tool_added b", "tool_removed a"]
    );
    assert_eq!(
        recording.column::<i64>("SELECT count(*) FROM listing_views"),
        [9],
        "each class has its own history"
    );
}

#[tokio::test]
async fn indistinguishable_clients_do_not_fill_the_history_in_turn() {
    let recording = Recording::start();
    for round in 0..10 {
        let layer = recording.layer();
        tools_of(&layer, &format!("x{round}"), None, &named(&["a"])).await;
        tools_of(&layer, &format!("y{round}"), None, &named(&["b"])).await;
    }
    assert_eq!(
        changes(&recording),
        [
            "initial",
            "tool_added b",
            "tool_removed a",
            "tool_added a",
            "tool_removed b"
        ]
    );
    let newest: Vec<String> = recording.column(
        "SELECT json_extract(payload, '$.tools[0].name') FROM server_schema
         WHERE method = 'tools/list'",
    );
    assert_eq!(
        newest,
        ["b"],
        "what was seen last, also if it was there before"
    );
}

#[tokio::test]
async fn listing_that_always_changes_does_not_fill_the_file() {
    let recording = Recording::start();
    let layer = recording.layer();
    for second in 0..150 {
        let tools = value!({ "tools": [{ "name": "a", "description": format!("at {second}") }] });
        tools_of(&layer, "s", None, &tools).await;
    }
    for table in ["listing_payloads", "listing_views", "schema_changes"] {
        let count = format!("SELECT count(*) FROM {table}");
        assert_eq!(recording.column::<i64>(&count), [100], "{table}");
    }
    tools_for(&layer, "alice", &named(&["a"])).await;
    let views = "SELECT count(*) FROM listing_views WHERE principal = 'alice'";
    assert_eq!(
        recording.column::<i64>(views),
        [1],
        "others are shown as ever"
    );
}

#[tokio::test]
async fn notification_on_any_stream_marks_the_listing_stale_until_the_next_read() {
    let recording = Recording::start();
    let layer = recording.layer();
    let stale = |what: &str| {
        format!(
            "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/{what}/list_changed\"}}\n\n"
        )
    };
    tools(&layer, &named(&["a"])).await;
    // On the stream of another answer, twice.
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#;
    let body = [
        stale("tools"),
        stale("tools"),
        "event: other\n".to_owned() + &stale("prompts"),
        "data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n".to_owned(),
    ];
    exchange(&layer, post(call), event_stream(body.concat()))
        .await
        .unwrap();
    // On the GET stream of the session.
    let mut get = post("");
    *get.method_mut() = http::Method::GET;
    let body = [stale("resources"), stale("tools")].concat();
    exchange(&layer, get, event_stream(body)).await.unwrap();
    let rows =
        "SELECT method || ' ' || change_type || ' ' || (old_hash IS NULL) || (new_hash IS NULL)
        FROM schema_changes ORDER BY id";
    assert_eq!(
        recording.column::<String>(rows),
        [
            "tools/list initial 10",
            "tools/list stale 01",
            "resources/list stale 11"
        ]
    );
    tools(&layer, &named(&["a", "b"])).await;
    exchange(&layer, post(call), event_stream(stale("tools")))
        .await
        .unwrap();
    assert_eq!(
        changes(&recording)[3..],
        ["tool_added b", "stale"],
        "what was read since can be stale again"
    );
}

#[tokio::test]
async fn listing_on_the_stream_of_a_2024_11_05_session_is_stored() {
    let recording = Recording::start();
    let layer = recording.layer();
    let (events, stream) = live();
    let mut get = post("");
    *get.method_mut() = http::Method::GET;
    let mut reading = Box::pin(exchange(&layer, get, event_stream(stream)));
    let mut read = async |event: String| {
        events.send(Bytes::from(event)).unwrap();
        tokio::select! {
            biased;
            _ = &mut reading => panic!("the stream is still open"),
            () = tokio::task::yield_now() => {}
        }
    };
    read("event: endpoint\ndata: /messages?sessionId=q\n\n".to_owned()).await;
    let request = list("tools/list", None);
    let mut posted = post(request.as_str());
    *posted.uri_mut() = "/messages?sessionId=q".parse().unwrap();
    exchange(&layer, posted, response(202, "", "Accepted"))
        .await
        .unwrap();
    read(format!("data: {}\n\n", answer(&request, &named(&["a"])))).await;
    assert_eq!(payloads(&recording), [r#"{"tools":[{"name":"a"}]}"#]);
}

#[tokio::test]
async fn hostile_listing_is_counted_and_does_no_harm() {
    let recording = Recording::start();
    let layer = recording.layer();
    let deep = format!(
        r#"{{"tools":[{{"name":"a","inputSchema":{}{}}}]}}"#,
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    let (mut malformed, mut requests) = (0, 0);
    for result in [
        deep.as_str(),
        r#"{"tools":"none"}"#,
        r#"{"tools":[{"name":7}]}"#,
        r#"{"tools":[null]}"#,
        r#"{"tools":[{"name":"a"},{5}]}"#,
        r#"{"tools":{"length":3}}"#,
        r#"{}"#,
    ] {
        requests += 1;
        let request = list("tools/list", None);
        let id: Value = serde_json::from_str::<Value>(&request).unwrap()["id"].clone();
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        let read = exchange(&layer, post(request), json(body.as_str()))
            .await
            .unwrap();
        assert!(read == body, "it passes as it is");
        recording.rows();
        malformed += 1;
        assert_eq!(
            recording.store.stats().listings_malformed,
            malformed,
            "{result:.60}"
        );
    }
    assert!(payloads(&recording).is_empty());

    let long = "n".repeat(1 << 20);
    tools(
        &layer,
        &value!({"tools": [{"name": "a", "x": 1}, {"name": "a"}, {"name": long}]}),
    )
    .await;
    assert_eq!(payloads(&recording)[0].len(), (1 << 20) + 55);
    assert_eq!(
        recording.store.stats().listings_malformed,
        malformed + 1,
        "two of a name"
    );
    tools(&layer, &named(&["a"])).await;
    assert_eq!(
        changes(&recording),
        [
            "initial".to_owned(),
            "tool_modified a".to_owned(),
            format!("tool_removed {}", &long[..256])
        ]
    );
    assert_eq!(
        recording.rows().len(),
        requests + 2,
        "each request has its row"
    );
    assert_eq!(recording.store.stats().failed, 0);
}

#[tokio::test]
async fn error_or_incomplete_answer_is_no_listing() {
    let recording = Recording::start();
    let layer = recording.layer();
    let request = list("tools/list", None);
    let whole = answer(&request, &named(&["a"]));
    let refused = whole.replace("\"result\"", "\"error\"");
    exchange(&layer, post(request.as_str()), json(refused))
        .await
        .unwrap();
    let half = Script::new([
        Step::Data(Bytes::from(whole[..whole.len() - 9].to_owned())),
        Step::Error,
    ]);
    exchange(&layer, post(request.as_str()), json(half))
        .await
        .unwrap_err();
    let other = whole.replace("\"id\":", "\"id\":9");
    exchange(&layer, post(request.as_str()), json(other))
        .await
        .unwrap();
    assert!(payloads(&recording).is_empty());
    assert_eq!(recording.store.stats().listings_malformed, 0);
}

/// Returns ten thousand tools in 20 MiB.
fn many() -> String {
    let description = "d".repeat(2100);
    let tools: Vec<String> = (0..10_000)
        .map(|i| format!(r#"{{"name":"tool_{i}","description":"{description}","inputSchema":{{"type":"object"}}}}"#))
        .collect();
    format!(r#"{{"tools":[{}]}}"#, tools.join(","))
}

async fn list_many(layer: &StoreLayer, result: &str) -> Bytes {
    let request = list("tools/list", None);
    let id: Value = serde_json::from_str::<Value>(&request).unwrap()["id"].clone();
    let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    let chunks = Script::chunks(body.as_bytes().chunks(64 << 10));
    exchange(layer, post(request), json(chunks)).await.unwrap()
}

#[tokio::test]
async fn listing_of_ten_thousand_tools_is_stored_only_below_the_limit() {
    let recording = Recording::start();
    let result = many();
    let read = list_many(&recording.layer(), &result).await;
    assert!(read.len() > 20 << 20);
    assert!(payloads(&recording).is_empty());
    assert_eq!(recording.store.stats().listings_too_long, 1);

    let layer = recording.layer().max_listing_bytes(24 << 20);
    list_many(&layer, &result).await;
    let stored = "SELECT length(payload) > 20 * 1024 * 1024 FROM server_schema";
    assert_eq!(recording.column::<bool>(stored), [true]);
    assert_eq!(recording.store.stats().listings_too_long, 1);
    assert_eq!(changes(&recording), ["initial"]);
}

#[test]
fn listing_above_the_limit_takes_memory_up_to_the_limit() {
    let recording = Recording::start();
    let layer = recording.layer();
    let request = list("tools/list", None);
    let whole = Bytes::from(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{}}}"#, many()));
    let frames = (0..whole.len()).step_by(64 << 10);
    let frames = frames.map(|start| whole.slice(start..whole.len().min(start + (64 << 10))));
    let reply = json(Script::new(frames.map(Step::Data)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let spent = allocation_counter::measure(|| {
        runtime.block_on(async {
            let service = tower::Layer::layer(&layer, recording::answering(reply));
            let reply = tower::ServiceExt::oneshot(service, post(request));
            let mut reply = Box::pin(reply.await.unwrap().into_body());
            while let Some(frame) = http_body_util::BodyExt::frame(&mut reply).await {
                drop(frame.unwrap());
            }
        });
    });
    // Twice the limit, because a buffer that grows is copied.
    assert!(spent.bytes_max <= 8 << 20, "{} bytes", spent.bytes_max);
    assert!(
        spent.bytes_current < 1 << 20,
        "{} bytes",
        spent.bytes_current
    );
}

#[tokio::test]
async fn listings_in_progress_share_a_limit_of_memory() {
    let recording = Recording::start();
    let layer = recording.layer();
    // Unfinished listings hold what they have sent so far: 12 times 3 MiB.
    let mut open = Vec::new();
    for _ in 0..12 {
        let request = list("tools/list", None);
        let body = Script::new([Step::Data(vec![b' '; 3 << 20].into()), Step::Hang]);
        let service = tower::Layer::layer(&layer, recording::answering(json(body)));
        let reply = tower::ServiceExt::oneshot(service, post(request))
            .await
            .unwrap();
        let mut reply = Box::pin(reply.into_body());
        http_body_util::BodyExt::frame(&mut reply)
            .await
            .unwrap()
            .unwrap();
        open.push(reply);
    }
    tools(&layer, &named(&[&"n".repeat(3 << 20)])).await;
    assert!(payloads(&recording).is_empty());
    assert_eq!(recording.store.stats().listings_too_long, 1);
    drop(open);
    tools(&layer, &named(&[&"n".repeat(3 << 20)])).await;
    assert_eq!(payloads(&recording).len(), 1, "they have given it back");
}

#[tokio::test]
async fn no_listing_is_stored_if_listings_are_switched_off() {
    let recording = Recording::start();
    let layer = recording.layer().max_listing_bytes(0);
    tools(&layer, &named(&["a"])).await;
    assert!(payloads(&recording).is_empty());
    assert_eq!(recording.store.stats().listings_too_long, 0);
}

#[tokio::test]
async fn first_listing_is_compared_with_the_snapshot_of_an_older_file() {
    for (names, expected) in [
        (&["b", "a"][..], vec![]),
        (&["a"][..], vec!["tool_removed b".to_owned()]),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mcp.db");
        Store::open(&path)
            .unwrap()
            .shutdown(std::time::Duration::from_secs(20))
            .unwrap();
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute(
            "INSERT INTO server_schema (upstream_url, method, payload, captured_at, schema_hash)
             VALUES ('', 'tools/list', '{\"tools\": [{\"name\": \"a\"}, {\"name\": \"b\"}]}', 1, 'other')",
            [],
        )
        .unwrap();
        let store = Store::open(&path).unwrap();
        tools(&store.layer(), &named(names)).await;
        store.shutdown(std::time::Duration::from_secs(20)).unwrap();
        let rows: Vec<String> = conn
            .prepare("SELECT change_type || ' ' || item_name FROM schema_changes")
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(rows, expected);
    }
}
