use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use tower_mcp_store::{Store, StoreEvent};

use crate::run::failed;
use crate::support::{LONG, connect, fixture, fresh, record_requests, request};
use crate::terminal::Terminal;

fn write(store: &Store, tool: &str) {
    let mut event = request();
    event.tool = Some(tool.into());
    store.record(StoreEvent::Request(event));
    store.flush(LONG).unwrap();
}

#[track_caller]
fn assert_restored(terminal: &Terminal) {
    let screen = terminal.screen();
    assert!(!screen.alternate_screen() && !screen.hide_cursor());
    assert!(terminal.is_cooked());
}

fn record(path: &Path) {
    let store = Store::open(path).unwrap();
    let mut failing = request();
    failing.tool_error = true;
    store.record(StoreEvent::Request(failing));
    store.shutdown(LONG).unwrap();
}

/// Returns `top` on a file without a writer, after its first screen.
fn shown(path: &Path, variables: &[(&str, &str)]) -> Terminal {
    record(path);
    let mut terminal = Terminal::start_in(path, &["top"], variables);
    terminal.wait_for("search");
    terminal
}

#[test]
fn top_shows_new_rows_and_restores_the_terminal() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let mut terminal = Terminal::start(&path, &["top"]);
    terminal.wait_for("active sessions");
    assert!(terminal.screen().alternate_screen() && !terminal.is_cooked());
    assert!(!terminal.screen().contents().contains("find_flights"));
    write(&store, "find_flights");
    terminal.wait_for("find_flights");
    // The writer is not blocked.
    write(&store, "book_flight");
    terminal.wait_for("book_flight");

    terminal.press("/BOOK\r");
    terminal.wait_for("methods by calls: 1");
    assert!(!terminal.screen().contents().contains("find_flights"));
    terminal.press("s");
    terminal.wait_for("methods by failures");
    terminal.press("w");
    terminal.wait_for("last 1 h");
    terminal.press("q");
    assert!(terminal.wait_for_end().success());
    assert_restored(&terminal);
    store.shutdown(LONG).unwrap();
}

#[test]
fn top_ends_on_esc_and_on_ctrl_c() {
    for key in ["\x1b", "\x03"] {
        let (_dir, path) = fresh();
        let mut terminal = shown(&path, &[]);
        terminal.press(key);
        assert!(terminal.wait_for_end().success());
        assert_restored(&terminal);
    }
}

#[test]
fn top_restores_the_terminal_when_a_signal_ends_it() {
    for (signal, code) in [("HUP", 129), ("INT", 130), ("TERM", 143)] {
        let (_dir, path) = fresh();
        let mut terminal = shown(&path, &[]);
        terminal.signal(signal);
        assert_eq!(terminal.wait_for_end().code(), Some(code));
        assert_restored(&terminal);
    }
}

#[test]
fn top_restores_the_terminal_on_ctrl_z_and_resumes() {
    let (_dir, path) = fresh();
    record(&path);
    let mut terminal = Terminal::shell(&path, "mcp-store top; echo stopped; read; fg");
    terminal.wait_for("search");
    terminal.press("w\x1a");
    terminal.wait_for("stopped");
    assert_restored(&terminal);
    terminal.press("\r");
    terminal.wait_for("last 1 h");
    assert!(terminal.screen().alternate_screen() && !terminal.is_cooked());
    terminal.press("q");
    assert!(terminal.wait_for_end().success());
    assert_restored(&terminal);
}

#[test]
fn top_restores_the_terminal_before_it_prints_an_error() {
    let (_dir, path) = fresh();
    let mut terminal = shown(&path, &[]);
    connect(&path).execute_batch("DROP TABLE requests").unwrap();
    let status = terminal.wait_for_end();
    assert_eq!(status.code(), Some(2));
    assert_restored(&terminal);
    let screen = terminal.screen().contents();
    assert!(screen.starts_with("error: "), "{screen}");
}

#[test]
fn top_has_colours_unless_no_color_is_set() {
    let colour = b"\x1b[38;5;";
    for (variables, colours) in [(&[][..], true), (&[("NO_COLOR", "1")], false)] {
        let (_dir, path) = fresh();
        let mut terminal = shown(&path, variables);
        terminal.press("q");
        assert!(terminal.wait_for_end().success());
        let mut parts = terminal.bytes.windows(colour.len());
        let found = parts.any(|part| part == colour);
        assert_eq!(found, colours, "{variables:?}");
    }
}

#[test]
fn top_needs_a_terminal() {
    let (_dir, path) = fresh();
    Store::open(&path).unwrap().shutdown(LONG).unwrap();
    let error = failed(2, &path, &["top"]);
    assert!(error.contains("needs a terminal"), "{error}");
}

#[test]
fn follow_ends_silently_on_ctrl_c() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 1);
    store.flush(LONG).unwrap();
    let mut terminal = Terminal::start(&path, &["logs", "--follow"]);
    terminal.wait_for("search");
    write(&store, "find_flights");
    terminal.wait_for("find_flights");
    terminal.press("\x03");
    // A shell learns in this way that the command was interrupted.
    assert_eq!(terminal.wait_for_end().signal(), Some(2));
    assert_restored(&terminal);
    let screen = terminal.screen().contents();
    let last = screen.lines().last().unwrap();
    assert_eq!(
        (screen.lines().count(), last.trim_end()),
        (4, "^C"),
        "{screen}"
    );
    store.shutdown(LONG).unwrap();
}

#[test]
fn follow_says_that_there_are_no_requests_yet() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let mut terminal = Terminal::start(&path, &["logs", "--follow"]);
    terminal.wait_for("no requests yet");
    write(&store, "find_flights");
    terminal.wait_for("find_flights");
    store.shutdown(LONG).unwrap();
}

#[test]
fn top_shows_a_file_of_version_4() {
    let (_dir, path) = fixture(4);
    let mut terminal = Terminal::start(&path, &["top"]);
    terminal.wait_for("méthode");
    terminal.press("q");
    assert!(terminal.wait_for_end().success());
    assert_restored(&terminal);
}

#[test]
fn paused_top_later_shows_rows_written_in_the_meantime() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    write(&store, "find_flights");
    let mut terminal = Terminal::start(&path, &["top", "-d", "200ms"]);
    terminal.wait_for("find_flights");
    terminal.press("p");
    terminal.wait_for("paused");
    write(&store, "book_flight");
    // A key draws the screen again.
    terminal.press("?");
    terminal.wait_for("any key closes it");
    terminal.press("x");
    terminal.press("s");
    terminal.wait_for("methods by failures");
    assert!(!terminal.screen().contents().contains("book_flight"));
    terminal.press(" ");
    terminal.wait_for("book_flight");
    assert!(!terminal.screen().contents().contains("paused"));
    terminal.press("q");
    assert!(terminal.wait_for_end().success());
    store.shutdown(LONG).unwrap();
}

#[test]
fn top_refuses_an_interval_that_is_none() {
    let (_dir, path) = fresh();
    for interval in ["0", "2h", "soon"] {
        let error = failed(2, &path, &["top", "-d", interval]);
        assert!(error.contains("from 100ms to 1h"), "{error}");
    }
}

#[test]
fn name_of_the_terminal_is_never_written_to_it() {
    for name in ["\x1b]0;evil\x07", "dumb", "unknown-terminal", ""] {
        let (_dir, path) = fresh();
        let mut terminal = shown(&path, &[("TERM", name)]);
        terminal.press("q");
        assert!(terminal.wait_for_end().success());
        assert_restored(&terminal);
        assert!(!String::from_utf8_lossy(&terminal.bytes).contains("evil"));
    }
}
