use std::path::PathBuf;

use serde_json::{Value, json as value};
use tempfile::TempDir;
use tower_mcp_store::{RequestEvent, RequestStatus, SchemaVersionEvent, StoreEvent};

use crate::run::{command, failed, json, on_lines_of, stdout};
use crate::support::{connect, fixture, recorded};

/// 2026-04-01T00:00:00Z.
const START: i64 = 1_775_001_600_000;
const HOUR: i64 = 3_600_000;

fn listing(ts: i64, method: &str, payload: &Value) -> StoreEvent {
    let payload = payload.to_string();
    let hash = format!("{ts:08x} of {method}");
    let mut event = SchemaVersionEvent::new(method, payload.as_str(), hash);
    event.ts = ts;
    StoreEvent::SchemaVersion(event)
}

fn call(ts: i64, tool: &str, status: RequestStatus, latency_us: u64) -> StoreEvent {
    let mut event = RequestEvent::new("tools/call", status);
    event.ts = ts;
    event.tool = Some(tool.into());
    event.latency_us = latency_us;
    StoreEvent::Request(event)
}

/// Returns a file of a server whose tool `search` requires another argument from the
/// second hour on. Half of its calls do not give it.
fn changed() -> (TempDir, PathBuf) {
    use RequestStatus::{Error, Ok};
    let search = |description: &str, required: &[&str]| {
        let schema = value!({"type": "object", "required": required});
        value!({"name": "search", "description": description, "inputSchema": schema})
    };
    let old = search("Searches", &["query"]);
    let new = search("Searches the catalogue", &["query", "language"]);
    let unused = value!({"name": "reindex", "inputSchema": {"type": "object"}});
    recorded([
        listing(
            START,
            "initialize",
            &value!({"serverInfo": {"name": "shop", "version": "1"}}),
        ),
        listing(START, "tools/list", &value!({"tools": [old]})),
        call(START + HOUR, "search", Ok, 1_000),
        call(START + HOUR + 1, "search", Ok, 2_000),
        listing(
            START + 2 * HOUR,
            "tools/list",
            &value!({"tools": [new, unused]}),
        ),
        call(START + 3 * HOUR, "search", Error, 40_000),
        call(START + 3 * HOUR + 1, "search", Ok, 9_000),
        StoreEvent::SchemaStale {
            ts: START + 4 * HOUR,
            proxy: "default".into(),
            upstream_url: "".into(),
            method: "tools/list".into(),
        },
    ])
}

const DIFF: &[&str] = &["schema", "--diff", "2026-04-01T01:00", "2026-04-01T03:00"];

const TABLES: &[(&str, &[&str])] = &[
    ("schema", &["schema"]),
    ("schema-changes", &["schema", "--changes"]),
    ("schema-diff", DIFF),
    ("schema-unused", &["schema", "--unused"]),
    ("schema-weight", &["schema", "--weight"]),
];

#[test]
fn listings_fit_lines_of_80_characters() {
    let (_dir, path) = changed();
    for (name, args) in TABLES {
        let table = on_lines_of(80, &path, args);
        for line in table.lines() {
            assert!(line.chars().count() <= 80, "{line:?}");
        }
        insta::assert_snapshot!(format!("{name}-80"), table);
    }
}

#[test]
fn changes_show_the_calls_of_a_tool_before_and_after() {
    let (_dir, path) = changed();
    let lines = json(&path, &["schema", "--changes"]);
    let modified = lines
        .iter()
        .find(|line| line["change_type"] == "tool_modified");
    let modified = modified.unwrap();
    assert_eq!(modified["item_name"], "search");
    assert_eq!(modified["detected_at"], START + 2 * HOUR);
    let (before, after) = (&modified["before"], &modified["after"]);
    assert_eq!(
        (&before["calls"], &before["errors"]),
        (&value!(2), &value!(0))
    );
    assert_eq!(
        (&after["calls"], &after["errors"]),
        (&value!(2), &value!(1))
    );
    assert_eq!(
        (&before["p95_us"], &after["p95_us"]),
        (&value!(2_000), &value!(40_000))
    );
    let count = |args: &[&str]| json(&path, &[&["schema", "--changes"], args].concat()).len();
    let all = lines.len();
    assert_eq!(count(&["--tail", "1"]), 1);
    assert_eq!(count(&["--method", "tools/list"]), all - 1);
    assert_eq!(count(&["--server", "other"]), 0);
    assert_eq!(count(&["--since", "2026-04-01T02:00"]), all - 2);
    assert_eq!(count(&["--until", "2026-04-01T02:00"]), 2);
}

#[test]
fn diff_names_each_member_and_sorts_breaking_changes_first() {
    let (_dir, path) = changed();
    let lines = json(&path, DIFF);
    let (first, rest) = lines.split_first().unwrap();
    assert_eq!(first["severity"], "breaking");
    assert_eq!(first["item"], "search");
    assert_eq!(first["path"], "/inputSchema/required");
    assert_eq!(first["after"], r#"["query","language"]"#);
    assert_eq!(first["method"], "tools/list");
    assert!(rest.iter().all(|line| line["severity"] != "breaking"));
}

#[test]
fn csv_of_weights_has_one_header_and_no_total() {
    let (_dir, path) = changed();
    let csv = stdout(&path, &["schema", "--weight", "--format", "csv"]);
    let tools = json(&path, &["schema", "--weight"]).len() - 1;
    let (header, rows) = csv.split_once('\n').unwrap();
    assert!(header.starts_with("kind,"), "{header}");
    assert_eq!(rows.lines().count(), tools);
    assert!(rows.lines().all(|row| row.starts_with("tool,")), "{rows}");
}

#[test]
fn weight_has_a_total_of_all_tools() {
    let (_dir, path) = changed();
    let lines = json(&path, &["schema", "--weight"]);
    let (total, tools) = lines.split_last().unwrap();
    assert_eq!(total["kind"], "total");
    let sum = |field: &str| {
        tools
            .iter()
            .map(|tool| tool[field].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(total["bytes"], sum("bytes"));
    assert_eq!(total["estimated_tokens"], sum("estimated_tokens"));
    assert_eq!(total["tools"], 2);
    // Neither tool was called in that hour.
    let window = ["--since", "2026-04-01T04:00"];
    assert_eq!(
        json(&path, &[&["schema", "--unused"], &window[..]].concat()).len(),
        3
    );
    let unused = json(&path, &["schema", "--unused"]);
    assert_eq!((unused.len(), &unused[0]["name"]), (2, &value!("reindex")));
}

#[test]
fn file_without_listings_is_reported_with_exit_code_0() {
    let (_dir, path) = recorded([]);
    for (_, args) in TABLES {
        let output = command(&path, args).output().unwrap();
        assert!(output.status.success(), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(
            error.starts_with("no ") && error.ends_with(" found\n"),
            "{error}"
        );
    }
}

#[test]
fn file_of_version_4_shows_listings_and_refuses_diff() {
    let (_dir, path) = fixture(4);
    let listings = json(&path, &["schema"]);
    assert_eq!(listings.len(), 5);
    let api = listings.iter().find(|line| line["proxy"] == "api").unwrap();
    assert_eq!(
        (&api["items"], &api["payload"]),
        (&value!(0), &value!(r#"{"tools":[]}"#))
    );
    assert_eq!(json(&path, &["schema", "--changes"]).len(), 7);
    assert_eq!(json(&path, &["schema", "--weight"]).len(), 3);
    let error = failed(2, &path, DIFF);
    assert!(error.contains("version 4"), "{error}");
}

#[test]
fn contradicting_options_are_refused() {
    let (_dir, path) = changed();
    for args in [
        &["--changes", "--weight"][..],
        &["--diff", "2h"],
        &["--diff", "0s", "2h"],
        &["--diff", "2h", "0s", "--since", "1h"],
        &["--since", "1h"],
        &["search", "--weight"],
        &["search", "--diff", "2h", "0s"],
        &["search", "--method", "tools/list"],
    ] {
        assert!(!failed(2, &path, &[&["schema"], args].concat()).is_empty());
    }
}

#[test]
fn control_characters_in_item_names_reach_no_terminal() {
    let hostile = "\x1b[2J\u{9b}31m\u{202e}evil\u{200b}\r\n\u{7}";
    let tools = |description: &str| {
        let mut tool = value!({"name": hostile, "description": description});
        tool[hostile] = value!(description);
        value!({ "tools": [tool] })
    };
    let (_dir, path) = recorded([
        listing(START, "tools/list", &tools("old")),
        listing(START + 2 * HOUR, "tools/list", &tools(hostile)),
    ]);
    for (_, args) in TABLES {
        for text in [stdout(&path, args), on_lines_of(80, &path, args)] {
            let harmful =
                |c: &char| (c.is_control() && *c != '\n') || matches!(c, '\u{202e}' | '\u{200b}');
            assert_eq!(text.chars().find(harmful), None, "{args:?}: {text:?}");
        }
    }
}

#[test]
fn unused_lists_tools_that_may_have_been_called_separately() {
    let (_dir, path) = changed();
    stdout(&path, &["prune", "--before", "2026-06-01"]);
    connect(&path)
        .execute_batch("UPDATE request_rollups SET tool = '(other)' WHERE tool <> ''")
        .unwrap();
    let unused = command(&path, &["schema", "--unused"]).output().unwrap();
    let told = String::from_utf8(unused.stderr).unwrap();
    assert!(
        unused.status.success() && told.contains("(other): 2"),
        "{told}"
    );
    let weights = json(&path, &["schema", "--weight"]);
    assert_eq!(weights[0]["usage"], "unknown");
}

/// Returns a file of a server that describes one tool in full.
fn described() -> (TempDir, PathBuf) {
    let tool = value!({
        "name": "search",
        "title": "Search the catalogue",
        "description": "Searches all items.\n\nSorted by\u{1b}[2J price.",
        "annotations": {"readOnlyHint": true, "openWorldHint": false},
        "inputSchema": {
            "type": "object",
            "required": ["query"],
            "properties": {
                "query": {"type": "string", "description": "What to search for"},
                "limit": {"type": "integer", "default": 20},
                "filter": {"type": "object", "properties": {
                    "colours": {"type": "array", "items": {"enum": ["red", "green"]}},
                }},
            },
        },
        "outputSchema": {"type": "object"},
    });
    recorded([listing(START, "tools/list", &value!({"tools": [tool]}))])
}

#[test]
fn definition_of_a_tool_is_readable() {
    let (_dir, path) = described();
    let text = stdout(&path, &["schema", "search"]);
    insta::assert_snapshot!("schema-tool", text);
    for line in on_lines_of(80, &path, &["schema", "search"]).lines() {
        assert!(line.chars().count() <= 80, "{line:?}");
    }
    let lines = json(&path, &["schema", "search"]);
    assert_eq!(lines[0]["definition"]["title"], "Search the catalogue");
    let error = failed(1, &path, &["schema", "absent"]);
    assert!(
        error.contains("no listing has a tool of the name absent"),
        "{error}"
    );
}

#[test]
fn unused_says_that_all_listed_tools_were_called() {
    let (_dir, path) = changed();
    for (uncalled, said) in [
        ("", "\ntokens are estimated: one for four bytes of JSON\n"),
        (
            "UPDATE requests SET tool = 'reindex' WHERE latency_us = 1000",
            "all 2 listed tools were called\n",
        ),
    ] {
        connect(&path).execute_batch(uncalled).unwrap();
        let unused = command(&path, &["schema", "--unused"]).output().unwrap();
        assert_eq!(String::from_utf8(unused.stderr).unwrap(), said);
        assert_eq!(unused.stdout.is_empty(), !uncalled.is_empty());
    }
}
