//! Tables in terminals of several widths.

use std::path::PathBuf;

use tempfile::TempDir;
use tower_mcp_store::{SessionEvent, Store, StoreEvent};

use crate::support::{LONG, fresh, request};
use crate::terminal::Terminal;

const WIDTHS: [u16; 3] = [80, 120, 200];

/// A file with calls of three clients and two principals, and with long names. Some fail.
fn recorded() -> (TempDir, PathBuf) {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let clients = [
        "claude-code",
        "cursor",
        "an-agent-with-a-very-long-name-of-its-own",
    ];
    for (number, client) in clients.into_iter().enumerate() {
        let id = format!("1868a90c-5f4e-4d4b-9a1c-7fe0a3b2c1d{number}");
        let mut session = SessionEvent::new(&*id);
        session.client_name = Some(client.into());
        session.client_version = Some("1.0.23".into());
        session.protocol_version = Some("2025-06-18".into());
        store.record(StoreEvent::Session(session));
        for i in 0..4 {
            let mut event = request();
            event.session_id = Some(id.as_str().into());
            event.tool = Some(["search", "book_the_flight_that_was_found_before"][i % 2].into());
            event.principal = Some(["ann", "bob@example.com"][number % 2].into());
            event.latency_us = 1_000 << (4 * i);
            event.tool_error = i == 3;
            event.error_msg = (i == 3).then(|| "no seats left on this flight, try another".into());
            store.record(StoreEvent::Request(event));
        }
    }
    store.shutdown(LONG).unwrap();
    (dir, path)
}

#[test]
fn tables_fill_a_terminal_of_any_width_without_a_wrapped_line() {
    let (_dir, path) = recorded();
    for (args, always, wide) in [
        (
            &["logs"][..],
            &["#", "STATUS", "LATENCY"][..],
            &["CLIENT", "PRINCIPAL"][..],
        ),
        (&["slow"], &["#", "STATUS", "LATENCY"], &["CLIENT", "IN"]),
        (
            &["slow", "-n", "1", "-C", "3"],
            &["#", "STATUS"],
            &["CLIENT"],
        ),
        (
            &["stats"],
            &["METHOD", "TOOL", "CALLS", "ERRORS", "P95"],
            &["MAX", "TIMEOUTS"],
        ),
        (
            &["stats", "--by", "tool,client"],
            &["TOOL", "CLIENT", "FAILED"],
            &["TOOL ERR"],
        ),
        (
            &["sessions"],
            &["STARTED", "CLIENT", "SESSION"],
            &["SERVER", "LAST SEEN"],
        ),
        (
            &["clients"],
            &["CLIENT", "CALLS", "LAST SEEN"],
            &["VERSIONS", "FIRST SEEN"],
        ),
    ] {
        for width in WIDTHS {
            let mut terminal = Terminal::start_wide(&path, args, width);
            assert!(terminal.wait_for_end().success());
            let written = String::from_utf8(terminal.bytes.clone()).unwrap();
            // What is said about a table comes after it.
            let table = written.split("\r\n\r\n").next().unwrap();
            let rows: Vec<String> = terminal.screen().rows(0, width).collect();
            let lines = table.trim_end().lines().count();
            for title in always.iter().chain(wide.iter().filter(|_| width >= 120)) {
                assert!(rows[0].contains(title), "{args:?} at {width}: {}", rows[0]);
            }
            // A wrapped line would take a second row.
            for (number, row) in (0..).zip(&rows[..lines]) {
                let is_wrapped = terminal.screen().row_wrapped(number);
                assert!(!is_wrapped, "{args:?} at {width}: {row}");
            }
            assert!(
                lines > 2 && !rows[lines - 1].is_empty(),
                "{args:?}: {rows:?}"
            );
        }
    }
}

#[test]
fn screen_of_top_fits_a_terminal_of_any_width() {
    let (_dir, path) = recorded();
    for width in WIDTHS {
        let mut terminal = Terminal::start_wide(&path, &["top"], width);
        let mut parts = vec![
            "active sessions: 3",
            "newest errors: 3",
            "TOOL ERR",
            "P95",
            "MAX",
            "CLIENT",
            "NOTE",
            "q quit",
        ];
        // On narrow lines, these are left out rather than cut.
        parts.extend(["P50"].iter().filter(|_| width >= 100));
        terminal.wait_until(|screen| parts.iter().all(|part| screen.contains(part)));
        terminal.press("q");
        assert!(terminal.wait_for_end().success());
    }
}
