//! The lists of servers, and the effects of their changes.

use std::time::Duration;

use serde_json::{Value, json};
use tower_mcp_store::maintenance::Maintenance;
use tower_mcp_store::query::{Reader, SchemaFilter, Severity, Usage, Window};
use tower_mcp_store::{RequestEvent, RequestStatus, SchemaVersionEvent, StoreEvent};

use crate::support::recorded;

const TOOLS: &str = "tools/list";

/// Returns a list of tools at a time.
fn tools(ts: i64, tools: Value) -> StoreEvent {
    let payload = json!({ "tools": tools }).to_string();
    let mut event = SchemaVersionEvent::new(TOOLS, payload.as_str(), format!("hash of {payload}"));
    event.ts = ts;
    StoreEvent::SchemaVersion(event)
}

fn stale(ts: i64) -> StoreEvent {
    StoreEvent::SchemaStale {
        ts,
        proxy: "default".into(),
        upstream_url: "".into(),
        method: TOOLS.into(),
    }
}

fn call(ts: i64, tool: &str, status: RequestStatus, latency_us: u64) -> StoreEvent {
    let mut event = RequestEvent::new("tools/call", status);
    event.ts = ts;
    event.tool = Some(tool.into());
    event.latency_us = latency_us;
    StoreEvent::Request(event)
}

/// Returns a reader of a file that holds these events.
fn reader(events: impl IntoIterator<Item = StoreEvent>) -> (tempfile::TempDir, Reader) {
    let (dir, path) = recorded(events);
    (dir, Reader::open(&path).unwrap())
}

#[test]
fn snapshot_is_the_newest_content_and_says_whether_it_is_stale() {
    let (_dir, of) = reader([
        tools(10, json!([{"name": "a"}])),
        tools(20, json!([{"name": "a"}, {"name": "b"}])),
    ]);
    let snapshots = of.snapshots(&SchemaFilter::default()).unwrap();
    assert_eq!(snapshots.len(), 1);
    assert_eq!(
        snapshots[0].payload,
        r#"{"tools":[{"name":"a"},{"name":"b"}]}"#
    );
    assert_eq!(
        (snapshots[0].captured_at, snapshots[0].stale_since),
        (20, None)
    );
    assert_eq!(snapshots[0].items(), Some(2));

    let listed = |ts| {
        let mut event = RequestEvent::new(TOOLS, RequestStatus::Ok);
        event.ts = ts;
        StoreEvent::Request(event)
    };
    let first = || tools(10, json!([]));
    let (_dir, of) = reader([first(), listed(10), stale(30)]);
    assert_eq!(
        of.snapshots(&SchemaFilter::default()).unwrap()[0].stale_since,
        Some(30)
    );
    let (_dir, of) = reader([first(), stale(30), listed(40)]);
    assert_eq!(
        of.snapshots(&SchemaFilter::default()).unwrap()[0].stale_since,
        None,
        "a client has asked since"
    );

    let mut other = SchemaFilter::default();
    other.server_name = Some("other".to_owned());
    assert_eq!(of.snapshots(&other).unwrap(), []);
}

#[test]
fn changes_come_latest_first_and_within_their_window() {
    let (_dir, of) = reader([
        tools(10, json!([{"name": "a"}])),
        tools(20, json!([{"name": "b"}])),
        stale(30),
    ]);
    let changes = |window, limit| -> Vec<String> {
        let found = of
            .schema_changes(&SchemaFilter::new().window(window), limit)
            .unwrap();
        let line = |one: &tower_mcp_store::query::SchemaChange| {
            format!(
                "{} {:?}",
                one.change_type,
                one.item_name.as_deref().unwrap_or_default()
            )
        };
        found.iter().map(line).collect()
    };
    assert_eq!(
        changes(Window::ALL, 10),
        [
            r#"stale """#,
            r#"tool_removed "a""#,
            r#"tool_added "b""#,
            r#"initial """#
        ]
    );
    assert_eq!(changes(Window::ALL, 1), [r#"stale """#]);
    let window = Window {
        since: 10,
        until: 20,
    };
    assert_eq!(changes(window, 10), [r#"initial """#]);
}

#[test]
fn two_moments_are_compared_member_by_member() {
    let schema = |required: &[&str]| json!({"type": "object", "required": required});
    let (_dir, of) = reader([
        tools(10, json!([{"name": "a", "inputSchema": schema(&[])}])),
        tools(
            20,
            json!([{"name": "a", "description": "d", "inputSchema": schema(&["x"])}]),
        ),
        tools(30, json!([{"name": "b"}])),
    ]);
    let compare = |from, to| of.compare(&SchemaFilter::default(), from, to).unwrap();
    let first = compare(15, 25).remove(0);
    assert_eq!(first.severity(), Some(Severity::Breaking));
    let lines: Vec<_> = first
        .differences
        .iter()
        .map(|one| {
            (
                one.severity,
                one.path.as_str(),
                one.before.as_deref(),
                one.after.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            (
                Severity::Breaking,
                "/inputSchema/required",
                Some("[]"),
                Some(r#"["x"]"#)
            ),
            (Severity::Cosmetic, "/description", None, Some(r#""d""#)),
        ]
    );
    assert_eq!(
        compare(10, 19).remove(0).severity(),
        None,
        "nothing changed in between"
    );
    let all = compare(0, 100).remove(0);
    assert_eq!(
        (all.old_hash, all.differences.len()),
        (None, 1),
        "no client had seen it before"
    );
    assert_eq!(compare(0, 5), [], "nor then");
    let gone: Vec<_> = compare(20, 30)
        .remove(0)
        .differences
        .into_iter()
        .map(|one| one.item)
        .collect();
    assert_eq!(gone, [Some("a".to_owned()), Some("b".to_owned())]);
}

#[test]
fn tools_have_sizes_and_uncalled_ones_are_found() {
    let long = "d".repeat(100);
    let (_dir, of) = reader([
        tools(
            10,
            json!([{"name": "light"}, {"description": long, "name": "heavy", "_meta": {"x": 1}}]),
        ),
        call(20, "light", RequestStatus::Ok, 1),
    ]);
    let found = |window| -> Vec<_> {
        let tools = of.tools(&SchemaFilter::new().window(window)).unwrap();
        let line = |one: tower_mcp_store::query::Tool| {
            (one.name, one.bytes, one.estimated_tokens, one.usage)
        };
        tools.into_iter().map(line).collect()
    };
    let heavy = 100 + r#"{"description":"","name":"heavy"}"#.len();
    assert_eq!(
        found(Window::ALL),
        [
            (
                "heavy".to_owned(),
                heavy,
                heavy.div_ceil(4),
                Usage::Uncalled
            ),
            ("light".to_owned(), 16, 4, Usage::Called),
        ]
    );
    assert_eq!(
        found(Window::since(21))[1].3,
        Usage::Uncalled,
        "not since then"
    );
}

#[test]
fn tool_that_may_be_among_unnamed_calls_is_not_uncalled() {
    use RequestStatus::{Error, Ok};
    let day = 24 * 60 * 60 * 1000;
    let mut events = vec![tools(
        0,
        json!([{"name": "fails"}, {"name": "works"}, {"name": "never"}]),
    )];
    let made_up = |i| call(1, &format!("made up {i}"), Error, 1);
    events.extend((0..1_200).map(made_up));
    events.extend([call(2, "fails", Error, 1), call(3, "works", Ok, 1)]);
    events.push(call(day, "made up", Error, 1));
    let (dir, of) = reader(events);
    let usage = |window| -> Vec<_> {
        let mut tools = of.tools(&SchemaFilter::new().window(window)).unwrap();
        tools.sort_by(|a, b| a.name.cmp(&b.name));
        tools.iter().map(|one| one.usage).collect()
    };
    let prune = |before| {
        let maintenance = Maintenance::open(dir.path().join("mcp.db")).unwrap();
        let on = |_| std::ops::ControlFlow::Continue(());
        maintenance.prune(before, on).unwrap();
    };
    let (called, unknown, uncalled) = (Usage::Called, Usage::Unknown, Usage::Uncalled);
    prune(0);
    assert_eq!(
        usage(Window::ALL),
        [called, uncalled, called],
        "all are there"
    );
    prune(day);
    assert_eq!(usage(Window::ALL), [unknown, unknown, called]);
    assert_eq!(usage(Window::since(day)), [uncalled; 3]);
}

#[test]
fn change_of_a_tool_has_its_calls_before_and_after() {
    use RequestStatus::{Error, Ok};
    let day = 24 * 60 * 60 * 1000;
    let tool = |version: i32| json!([{"name": "a", "v": version}, {"name": "other"}]);
    let (_dir, of) = reader([
        tools(0, tool(1)),
        call(day, "a", Ok, 100),
        call(day + 1, "a", Ok, 300),
        call(day + 1, "other", Error, 900),
        tools(2 * day, tool(2)),
        call(2 * day, "a", Error, 1000),
        call(3 * day, "a", Ok, 2000),
        tools(4 * day, tool(3)),
        call(5 * day, "a", Ok, 7),
    ]);
    let span = Duration::from_secs(7 * 24 * 60 * 60);
    let effects = of.change_impacts(&SchemaFilter::new(), span, 10).unwrap();
    let lines: Vec<_> = effects
        .iter()
        .map(|one| {
            let figures = |of: &tower_mcp_store::query::CallStats| (of.calls, of.errors, of.p95_us);
            (
                one.change.change_type.as_str(),
                figures(&one.before),
                figures(&one.after),
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            ("tool_modified", (2, 1, Some(2000)), (1, 0, Some(7))),
            ("tool_modified", (2, 0, Some(300)), (2, 1, Some(2000))),
        ]
    );
    assert_eq!(effects[1].failure_rate_delta(), Some(0.5));
    let short = of
        .change_impacts(&SchemaFilter::new(), Duration::from_millis(1), 10)
        .unwrap();
    assert_eq!((short[1].before.calls, short[1].after.calls), (0, 1));
    assert_eq!(short[1].failure_rate_delta(), None);
    let latest = of.change_impacts(&SchemaFilter::new(), span, 1).unwrap();
    assert_eq!(latest, effects[..1]);
}

#[test]
fn change_of_a_tool_is_found_behind_newer_changes_of_others() {
    let day = 24 * 60 * 60 * 1000;
    let tool = |a: i32, b: i32| json!([{"name": "a", "v": a}, {"name": "b", "v": b}]);
    let (_dir, of) = reader([
        tools(0, tool(1, 1)),
        call(day, "a", RequestStatus::Ok, 100),
        tools(2 * day, tool(2, 1)),
        tools(3 * day, tool(2, 2)),
        tools(4 * day, tool(2, 3)),
    ]);
    let span = Duration::from_secs(7 * 24 * 60 * 60);
    let filter = SchemaFilter::new();
    let all = of.change_impacts(&filter, span, 10).unwrap();
    let found = of.tool_change_impacts(&filter, "a", span, 1).unwrap();
    assert_eq!(found, all[2..]);
    assert_eq!(found[0].before.calls, 1);
    let none = of.tool_change_impacts(&filter, "c", span, 1).unwrap();
    assert!(none.is_empty());
}
