//! `mcp-store stats --plot`.

use std::path::PathBuf;

use tempfile::TempDir;
use tower_mcp_store::{Retention, Store, StoreEvent};

use crate::run::{command, json, on_lines_of, stdout};
use crate::support::{LONG, connect, fresh, request};
use crate::terminal::Terminal;

/// 2026-11-19, 00:00 UTC.
const START: i64 = 1_795_046_400_000;

const WINDOW: [&str; 4] = ["--since", "2026-11-19", "--until", "2026-11-19T04:00"];

/// A file with four hours of calls. From the third hour on a tool fails.
fn recorded() -> (TempDir, PathBuf) {
    let (dir, path) = fresh();
    let store = Store::builder(&path).retention(Retention::unlimited());
    let store = store.open().unwrap();
    for minute in 0..240 {
        let mut event = request();
        event.ts = START + minute * 60_000;
        event.tool = Some(["search", "fetch"][minute as usize % 2].into());
        event.latency_us = if minute < 120 { 4_000 } else { 80_000 };
        event.tool_error = minute >= 120 && minute % 3 == 0;
        store.record(StoreEvent::Request(event));
    }
    store.shutdown(LONG).unwrap();
    (dir, path)
}

fn plot<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["stats"], &WINDOW[..], &["--plot"], args].concat()
}

/// Returns the part before the table.
fn above_table(text: &str) -> &str {
    text.split("\n\n").next().unwrap()
}

#[test]
fn plot_fits_lines_of_80_and_of_120_characters() {
    let (_dir, path) = recorded();
    for width in [80, 120] {
        let text = on_lines_of(width, &path, &plot(&[]));
        insta::assert_snapshot!(format!("plot-{width}"), above_table(&text));
    }
}

#[test]
fn plot_fits_lines_of_any_width() {
    let (_dir, path) = recorded();
    for width in [24, 33, 59, 60, 61, 79, 200, 300] {
        let text = on_lines_of(width, &path, &plot(&[]));
        for line in above_table(&text).lines() {
            let length = line.chars().count();
            assert!(length <= usize::from(width), "{width}: {line:?}");
            assert_eq!(line.trim_end(), line);
        }
    }
}

#[test]
fn plot_is_only_shown_if_it_is_asked_for() {
    let (_dir, path) = recorded();
    let without = [&["stats"], &WINDOW[..]].concat();
    assert!(!stdout(&path, &without).contains(['█', '▁']));
    let with = stdout(&path, &plot(&[]));
    assert!(
        with.ends_with(&stdout(&path, &without)),
        "the table follows"
    );
}

#[test]
fn failures_are_red_unless_no_color_is_set() {
    let (_dir, path) = recorded();
    let shown = |variables: &[(&str, &str)]| {
        let mut terminal = Terminal::start_in(&path, &plot(&[]), variables);
        terminal.wait_for("METHOD");
        String::from_utf8_lossy(&terminal.bytes).into_owned()
    };
    assert!(shown(&[]).contains("\x1b[38;5;1m"));
    let plain = shown(&[("NO_COLOR", "1")]);
    assert!(plain.contains('█') && !plain.contains("\x1b[38;5;1m"));
}

#[test]
fn numbers_of_the_plot_are_those_of_the_table() {
    let (_dir, path) = recorded();
    let buckets = json(&path, &plot(&[]));
    let without = [&["stats"], &WINDOW[..]].concat();
    let table = json(&path, &without);
    let total = table.iter().find(|line| line["kind"] == "total").unwrap();
    for name in ["calls", "tool_errors", "caller_errors", "gone"] {
        let counts = buckets.iter().map(|bucket| bucket[name].as_i64().unwrap());
        assert_eq!(counts.sum::<i64>(), total[name].as_i64().unwrap(), "{name}");
    }
    assert!(buckets.iter().all(|bucket| bucket["kind"] == "bucket"));
    assert_eq!(buckets[0]["source"], "requests");
    let csv = stdout(&path, &plot(&["--format", "csv"]));
    assert_eq!(csv.lines().count(), buckets.len() + 1);
}

#[test]
fn changes_starts_and_losses_are_marked() {
    let (_dir, path) = recorded();
    let conn = connect(&path);
    conn.execute_batch(&format!(
        "INSERT INTO schema_changes (upstream_url, method, change_type, item_name, detected_at)
         VALUES ('', 'tools/list', 'tool_modified', 'search', {START} + 7200000);
         INSERT INTO writers (id, started_at, seen_at) VALUES ('a', {START}, {START});
         INSERT INTO losses (from_ts, to_ts, dropped, reason)
         VALUES ({START} + 3600000, {START} + 5400000, 7, 'queue_full')"
    ))
    .unwrap();
    drop(conn);
    let text = on_lines_of(100, &path, &plot(&[]));
    let line = |name: &str| {
        let mut lines = text.lines();
        let line = lines.find(|line| line.starts_with(name)).expect(name);
        line.to_owned()
    };
    assert!(line("changes").contains('▲') && line("changes").ends_with("  1"));
    assert_eq!(line("started").find('▲'), Some(13));
    assert!(line("missing").contains("░░"));
}

#[test]
fn names_in_the_plot_are_harmless() {
    let (_dir, path) = fresh();
    let store = Store::builder(&path).retention(Retention::unlimited());
    let store = store.open().unwrap();
    let mut event = request();
    event.ts = START;
    event.tool = Some("\x1b[2J\u{202e}evil".into());
    store.record(StoreEvent::Request(event));
    store.shutdown(LONG).unwrap();
    let text = stdout(&path, &plot(&[]));
    let harmful = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!text.contains(harmful), "{text:?}");
    assert!(text.contains("\u{fffd}[2J\u{fffd}evil "));
}

#[test]
fn plot_counts_the_calls_that_all_conditions_take() {
    let (_dir, path) = recorded();
    let calls = |args: &[&str]| -> u64 {
        let text = stdout(&path, &plot(&[args, &["--json"]].concat()));
        let bucket = |line| serde_json::from_str::<serde_json::Value>(line).unwrap();
        let calls = text
            .lines()
            .map(bucket)
            .map(|it| it["calls"].as_u64().unwrap());
        calls.sum()
    };
    let of_tool = calls(&["--tool", "search"]);
    assert!(of_tool > 0 && of_tool < calls(&[]));
    assert_eq!(calls(&["--tool", "sea*"]), of_tool);
    assert_eq!(
        calls(&[
            "--tool",
            "search",
            "--status",
            "ok,tool_error,caller_error,error,timeout,gone"
        ]),
        of_tool
    );
    assert_eq!(calls(&["--principal", "nobody"]), 0);
    let error = command(&path, &plot(&["--by", "tool"])).output().unwrap();
    assert_eq!(error.status.code(), Some(2));
}

#[test]
fn time_without_calls_has_an_empty_plot() {
    let (_dir, path) = recorded();
    let args = [
        "stats",
        "--plot",
        "--since",
        "2026-11-18",
        "--until",
        "2026-11-18T01:00",
    ];
    let text = stdout(&path, &args);
    assert!(!text.contains(['█', '▁']), "{text}");
    assert!(text.contains("0 calls"));
}
