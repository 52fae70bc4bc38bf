//! Who called, and how a row leads to its request.

use std::path::PathBuf;

use tempfile::TempDir;
use tower_mcp_store::{RequestStatus, RpcId, SessionEvent, Store, StoreEvent};

use crate::run::{command, failed, json, on_lines_of, stdout};
use crate::support::{LONG, fresh, request};

/// A file with calls of two clients and two principals. The last one fails.
fn recorded() -> (TempDir, PathBuf) {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    for (session, client) in [("s-1", "claude-code"), ("s-2", "Cursor")] {
        let mut event = SessionEvent::new(session);
        event.client_name = Some(client.into());
        store.record(StoreEvent::Session(event));
    }
    let calls = [
        ("s-1", Some("ann"), "search_hotels"),
        ("s-2", Some("bob"), "book"),
        ("s-1", None, "search_flights"),
        ("s-2", Some("bob"), "book"),
    ];
    for (i, (session, principal, tool)) in calls.into_iter().enumerate() {
        let mut event = request();
        event.session_id = Some(session.into());
        event.principal = principal.map(Into::into);
        event.tool = Some(tool.into());
        event.latency_us = 1_000 * i as u64;
        if i == 3 {
            event.status = RequestStatus::Error;
            event.error_code = Some("-32602".into());
        }
        store.record(StoreEvent::Request(event));
    }
    store.shutdown(LONG).unwrap();
    (dir, path)
}

#[test]
fn logs_show_row_numbers_always_and_clients_and_principals_from_100_columns() {
    let (_dir, path) = recorded();
    for (width, has_caller) in [(80, false), (99, false), (120, true), (200, true)] {
        let table = on_lines_of(width, &path, &["logs"]);
        let header = table.lines().next().unwrap();
        assert!(header.starts_with('#'), "{table}");
        for title in ["CLIENT", "PRINCIPAL"] {
            assert_eq!(header.contains(title), has_caller, "{width}: {table}");
        }
        for line in table.lines() {
            assert!(line.chars().count() <= width.into(), "{width}: {line}");
        }
        assert!(table.contains("caller_error"), "{table}");
    }
    let without = on_lines_of(120, &path, &["logs", "--tool", "search_flights"]);
    assert!(!without.contains("PRINCIPAL"), "{without}");
    let row = &json(&path, &["logs", "--client", "cursor", "-n", "1"])[0];
    assert_eq!(row["client_name"], "Cursor");
    assert_eq!(row["principal"], "bob");
    assert_eq!(row["outcome"], "caller_error");
    assert!(row["time"].as_str().unwrap().ends_with('Z'), "{row}");
}

#[test]
fn caller_is_chosen_by_client_and_by_principal() {
    let (_dir, path) = recorded();
    let count = |args: &[&str]| json(&path, &[&["logs"], args].concat()).len();
    assert_eq!(count(&["--client", "CLAUDE"]), 2);
    assert_eq!(count(&["--principal", "bob"]), 2);
    assert_eq!(count(&["--principal", "*n*"]), 1);
    assert_eq!(count(&["--principal", "bob", "--failed"]), 1);
    assert_eq!(count(&["--tool", "search_*"]), 2);
    assert_eq!(json(&path, &["sessions", "--client", "cur"]).len(), 1);
}

#[test]
fn row_number_leads_to_its_request() {
    let (_dir, path) = recorded();
    let rows = json(&path, &["logs"]);
    for row in &rows {
        let found = json(&path, &["request", &row["id"].to_string()]);
        assert_eq!(found, std::slice::from_ref(row));
        let id = row["request_id"].as_str().unwrap();
        assert_eq!(json(&path, &["request", id]), std::slice::from_ref(row));
    }
    let error = failed(1, &path, &["request", "99"]);
    assert!(error.contains("row number 99"), "{error}");
}

#[test]
fn json_rpc_id_of_a_session_leads_to_its_request() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let text = |id| RpcId::text(id).unwrap();
    for (session, id) in [
        ("s-1", RpcId::integer(7)),
        ("s-1", text("7")),
        ("s-1", text("a-1")),
        ("s-1", RpcId::integer(-1)),
        ("s-2", RpcId::integer(7)),
    ] {
        let mut event = request();
        event.session_id = Some(session.into());
        event.rpc_id = Some(id);
        store.record(StoreEvent::Request(event));
    }
    store.shutdown(LONG).unwrap();
    for (session, id, row) in [("s-2", "7", 5), ("s-1", "a-1", 3), ("s-1", "-1", 4)] {
        let found = json(&path, &["request", "--session", session, "--rpc-id", id]);
        assert_eq!(found[0]["id"], row, "{id}");
    }
    let shown = stdout(&path, &["request", "3"]);
    assert!(shown.contains("JSON-RPC id  \"a-1\""), "{shown}");
    let error = failed(2, &path, &["request", "--session", "s-1", "--rpc-id", "7"]);
    assert!(error.contains("give a row number: 2, 1\n"), "{error}");
    let error = failed(1, &path, &["request", "--session", "s-2", "--rpc-id", "8"]);
    assert!(error.contains("s-2 has the JSON-RPC id 8\n"), "{error}");
    for unrecorded in [&*"a".repeat(37), "1.5", "1e3", "9223372036854775808"] {
        let args = ["request", "--session", "s-2", "--rpc-id", unrecorded];
        let error = failed(1, &path, &args);
        assert!(error.contains("the record has only"), "{error}");
    }
    for (args, missing) in [
        (&["request", "--rpc-id", "7"][..], "--session"),
        (&["request", "--session", "s-1"], "--rpc-id"),
        (&["request"], "--rpc-id"),
    ] {
        assert!(failed(2, &path, args).contains(missing), "{args:?}");
    }
}

#[test]
fn time_of_json_chooses_the_same_rows() {
    let (_dir, path) = recorded();
    let row = &json(&path, &["logs", "-n", "1"])[0];
    let ts = row["ts"].to_string();
    for since in [&*ts, row["time"].as_str().unwrap()] {
        let found = json(&path, &["logs", "--since", since]);
        assert!(found.contains(row), "{since}");
    }
    assert_eq!(json(&path, &["logs", "--since", "now"]).len(), 0);
    assert_eq!(json(&path, &["logs", "--since", "yesterday"]).len(), 4);
}

#[test]
fn unknown_name_gets_a_suggestion() {
    let (_dir, path) = recorded();
    for (args, hint) in [
        (
            ["--tool", "serch_hotels"],
            "did you mean --tool search_hotels?",
        ),
        (["--client", "cluade"], "did you mean --client claude-code?"),
        (["--principal", "bop"], "did you mean --principal bob?"),
        (["--server", "defualt"], "did you mean --server default?"),
        (["--tool", "xyz"], "no tool has the name xyz\n"),
    ] {
        let output = command(&path, &[&["logs"][..], &args].concat())
            .output()
            .unwrap();
        assert!(output.status.success() && output.stdout.is_empty());
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(hint), "{error}");
    }
    let output = command(&path, &["logs", "--tool", "book", "--since", "now"]).output();
    let error = String::from_utf8(output.unwrap().stderr).unwrap();
    assert_eq!(error, "no requests found\n");
}

#[test]
fn csv_has_the_fields_of_json_under_one_header() {
    let (_dir, path) = recorded();
    let csv = stdout(&path, &["logs", "--format", "csv"]);
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 5, "{csv}");
    assert!(
        lines[0].starts_with("id,request_id,ts,time,proxy,session_id,"),
        "{csv}"
    );
    assert!(
        lines[4].contains(",bob,") && lines[4].contains(",caller_error"),
        "{csv}"
    );
    assert_eq!(
        stdout(&path, &["logs", "--format", "json"]),
        stdout(&path, &["logs", "--json"])
    );
}

#[test]
fn csv_of_a_session_has_a_line_for_each_request() {
    let (_dir, path) = recorded();
    let csv = stdout(&path, &["session", "s-1", "--format", "csv"]);
    let logs = stdout(&path, &["logs", "--session", "s-1", "--format", "csv"]);
    assert_eq!((csv.lines().count(), csv), (3, logs));
}

#[test]
fn slow_request_is_shown_between_its_neighbours() {
    let (_dir, path) = recorded();
    let slowest = ["slow", "-n", "1", "--context", "5"];
    let rows = json(&path, &slowest);
    let kinds = rows
        .iter()
        .map(|row| format!("{} {}", row["id"], row["kind"]));
    assert_eq!(Vec::from_iter(kinds), [r#"2 "context""#, r#"4 "match""#]);
    let table = on_lines_of(120, &path, &slowest);
    let marks: Vec<&str> = table.lines().map(|line| &line[..1]).collect();
    assert_eq!(marks, [" ", " ", ">"], "{table}");
    let alone = json(&path, &["slow", "-n", "2", "-C", "0"]);
    assert!(alone.iter().all(|row| row["kind"] == "match"), "{alone:?}");
    assert_eq!(alone.len(), 2);
}

#[test]
fn groups_with_the_same_first_name_stay_together_in_the_order_of_their_sum() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    // Most calls that fail are of `book`, which two principals share; `find` has the
    // principal with most.
    for (tool, principal, failures) in [
        ("find", "ann", 3),
        ("find", "bob", 0),
        ("book", "ann", 2),
        ("book", "bob", 2),
    ] {
        for failed in [vec![true; failures], vec![false; 10 - failures]].concat() {
            let mut event = request();
            event.tool = Some(tool.into());
            event.principal = Some(principal.into());
            event.tool_error = failed;
            store.record(StoreEvent::Request(event));
        }
    }
    let mut other = request();
    other.method = "initialize".into();
    store.record(StoreEvent::Request(other));
    store.shutdown(LONG).unwrap();
    let args = ["--by", "tool,principal", "--sort", "errors"];
    let groups = json(
        &path,
        &[&["stats", "--since", "yesterday"][..], &args].concat(),
    );
    let names: Vec<String> = groups
        .iter()
        .map(|row| format!("{} {}", row["tool"], row["principal"]).replace('"', ""))
        .collect();
    assert_eq!(names, ["book ann", "book bob", "find ann", "find bob"]);
}

#[test]
fn statistics_are_counted_by_any_names_and_by_any_condition() {
    let (_dir, path) = recorded();
    let by = |args: &[&str]| json(&path, &[&["stats", "--since", "yesterday"], args].concat());
    let clients = by(&["--by", "client"]);
    assert_eq!(clients.len(), 2);
    assert!(
        clients.iter().all(|group| group["calls"] == 2),
        "{clients:?}"
    );
    let failing = by(&["--by", "client,principal", "--failed"]);
    assert_eq!(failing.len(), 1);
    assert_eq!(failing[0]["client_name"], "Cursor");
    assert_eq!(
        (&failing[0]["principal"], &failing[0]["caller_errors"]),
        (&"bob".into(), &1.into())
    );
    let reasons = by(&["--by", "outcome,reason", "--failed"]);
    assert_eq!(reasons[0]["outcome"], "caller_error");
    assert!(reasons[0]["reason"].is_string(), "{reasons:?}");
    let days = by(&["--by", "day,tool"]);
    assert_eq!(days.len(), 3, "{days:?}");
    assert!(days[0]["day_time"].is_string(), "{days:?}");
    let twice = by(&["--by", "tool,client,tool"]);
    assert_eq!(twice, by(&["--by", "tool,client"]));
    let of_tool = by(&["--by", "tool", "--sort", "name"]);
    assert_eq!(of_tool[0]["tool"], "book");
    // All names of statistics can be conditions.
    assert_eq!(by(&["--principal", "bob"])[0]["calls"], 2);
    assert_eq!(by(&["--tool", "search*"]).len(), 2);
    let table = on_lines_of(80, &path, &["stats", "--by", "hour", "--since", "today"]);
    assert!(table.starts_with("HOUR"), "{table}");
    assert!(!table.contains("counted from"), "it is on standard error");
}

#[test]
fn clients_are_listed_by_revision_and_by_principal() {
    let (_dir, path) = recorded();
    let revisions = json(&path, &["clients", "--by", "protocol"]);
    assert_eq!(revisions.len(), 2);
    assert!(revisions[0].get("protocol_version").is_some());
    let principals = json(&path, &["clients", "--by", "principal"]);
    assert_eq!(
        (&principals[0]["principal"], &principals[0]["calls"]),
        (&"bob".into(), &2.into())
    );
    assert_eq!(json(&path, &["clients", "-n", "1"]).len(), 1);
    let table = on_lines_of(80, &path, &["clients", "--by", "protocol"]);
    assert!(table.starts_with("PROTOCOL"), "{table}");
}

#[test]
fn sessions_and_clients_are_sorted_by_the_chosen_figure() {
    let (_dir, path) = recorded();
    for (args, first) in [
        (&["clients", "--sort", "errors"][..], "Cursor"),
        (&["clients", "--sort", "name"], "Cursor"),
        (
            &["clients", "--by", "protocol", "--sort", "errors"],
            "Cursor",
        ),
        (&["sessions", "--sort", "errors"], "Cursor"),
        (
            &["sessions", "--sort", "errors", "--client", "claude*"],
            "claude-code",
        ),
    ] {
        assert_eq!(json(&path, args)[0]["client_name"], first, "{args:?}");
    }
    let one = json(&path, &["sessions", "--sort", "lasted", "-n", "1"]);
    assert_eq!(one.len(), 1);
}

#[test]
fn watch_shows_the_answer_again() {
    use std::io::{BufRead as _, BufReader};
    let (_dir, path) = recorded();
    let mut command = command(&path, &["info", "--json", "--watch", "100ms"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    assert!(first.contains("\"requests\":4"), "{first}");
    assert!(lines.next().unwrap().is_ok());
    child.kill().unwrap();
    child.wait().unwrap();
    for refused in [
        &["logs", "-f", "--watch", "1s"][..],
        &["vacuum", "--watch", "1s"],
    ] {
        assert!(failed(2, &path, refused).contains("--watch"));
    }
    assert!(failed(2, &path, &["man", "--format", "csv"]).contains("CSV"));
}
