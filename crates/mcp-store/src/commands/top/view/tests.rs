use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::super::keys::Change;
use super::super::sample::{NOW, call, error, session, state, state_after, tool_error};
use super::*;

fn drawn(state: &State, (width, height): (u16, u16), colored: bool) -> TestBackend {
    let view = View {
        db: "./mcp-store.db".to_owned(),
        theme: Theme { colored },
    };
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view.draw(frame, state)).unwrap();
    terminal.backend().clone()
}

fn busy() -> State {
    let mut events = vec![
        session("s1", "claude-ai", 90),
        session("01995a3e-7b1c-7000-8000-2a4b6c8d0e1f", "cursor-vscode", 45),
    ];
    for second in 1..60 {
        for i in 0..second % 7 {
            let latency = 800 + 350 * (second * i) as u64;
            events.push(call("search_documents", second, latency));
            events.push(call("create_order", second, 3 * latency));
        }
    }
    events.push(error("create_order", 42, 74_000, "the disk is full"));
    events.push(tool_error("fetch", 12, 1_250_000));
    events.push(error(
        "search_documents",
        3,
        2_400_000,
        "upstream went away",
    ));
    state(events)
}

/// Clears the screen, turns the text around, hides, and breaks the line.
const HOSTILE: &str = "\x1b[2J\u{9b}31m\u{202e}evil\u{200b}\r\n\u{7}検索 🔧";

#[test]
fn screen_fits_80_by_24_and_grows() {
    let state = busy();
    insta::assert_snapshot!("busy-80x24", drawn(&state, (80, 24), true));
    insta::assert_snapshot!("busy-200x50", drawn(&state, (200, 50), true));
}

#[test]
fn file_without_rows_is_shown_as_empty() {
    let state = state(Vec::new());
    insta::assert_snapshot!("empty-80x24", drawn(&state, (80, 24), true));
    insta::assert_snapshot!("empty-200x50", drawn(&state, (200, 50), true));
}

#[test]
fn control_characters_in_names_are_replaced() {
    let state = state(vec![
        session(HOSTILE, HOSTILE, 30),
        call(HOSTILE, 2, 1_000),
        error(HOSTILE, 1, 1_000, HOSTILE),
    ]);
    for (name, size) in [("hostile-80x24", (80, 24)), ("hostile-200x50", (200, 50))] {
        let screen = drawn(&state, size, true);
        for cell in screen.buffer().content() {
            assert_eq!(escape_control(cell.symbol()), cell.symbol());
        }
        insta::assert_snapshot!(name, screen);
    }
}

#[test]
fn nothing_is_coloured_without_colours() {
    let state = busy();
    let colours = |colored| {
        let screen = drawn(&state, (80, 24), colored);
        let cells = screen.buffer().content().iter();
        cells
            .filter(|cell| (cell.fg, cell.bg) != (Color::Reset, Color::Reset))
            .count()
    };
    assert!(colours(true) > 0);
    assert_eq!(colours(false), 0);
}

#[test]
fn no_terminal_is_too_small() {
    let state = busy();
    for size in [(1, 1), (3, 200), (200, 3), (20, 9), (79, 23)] {
        drawn(&state, size, true);
    }
}

#[test]
fn losses_are_shown_first() {
    let loss = |dropped| {
        format!(
            "INSERT INTO losses (from_ts, to_ts, dropped, reason)
             VALUES ({NOW} - 5000, {NOW} - 4000, {dropped}, 'queue_full');"
        )
    };
    for (dropped, told) in [("1200", "missing 1,200"), ("NULL", "missing some")] {
        let state = state_after(Vec::new(), &loss(dropped));
        let screen = drawn(&state, (80, 24), true).to_string();
        let totals = screen.lines().nth(1).unwrap();
        assert!(
            totals.starts_with(&format!("\"{told}  calls 0")),
            "{totals}"
        );
    }
}

#[test]
fn help_line_shows_the_choices() {
    let mut state = busy();
    let last_line = |state: &State| {
        let screen = drawn(state, (80, 24), true).to_string();
        screen.lines().last().unwrap().to_owned()
    };
    state.change(Change::Type);
    state.change(Change::Add('\u{202e}'));
    assert!(last_line(&state).contains("filter: \u{fffd}_"));
    state.change(Change::Keep);
    assert!(last_line(&state).contains("/ filter: \u{fffd}"));
    state.change(Change::Failing);
    assert!(last_line(&state).contains("e all"));
}
