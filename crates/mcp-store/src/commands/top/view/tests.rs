use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;

use super::super::keys::{Change, Step};
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

/// Clears the screen, reverses the text direction, hides text, and breaks the line.
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
    for mut state in [busy(), state(Vec::new())] {
        for change in [None, Some(Change::Type), Some(Change::Help)] {
            if let Some(change) = change {
                state.change(change);
            }
            for height in 1..=12 {
                for width in [1, 3, 79, 200] {
                    drawn(&state, (width, height), true);
                }
            }
        }
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

#[test]
fn nothing_is_cut_at_80_by_24() {
    let screen = drawn(&busy(), (80, 24), true).to_string();
    assert!(!screen.contains('…'), "{screen}");
    assert!(
        screen.contains("01995a3e-7b1c-7000-8000-2a4b6c8d0e1f"),
        "{screen}"
    );
    let lines: Vec<&str> = screen.lines().collect();
    assert!(lines[1].contains("p95 147 ms  max 2.40 s"), "{screen}");
    assert!(lines[23].ends_with("/ filter       \""), "{screen}");
}

#[test]
fn long_path_is_cut_at_its_start() {
    let view = View {
        db: format!("/{}/mcp-store.db", "long/".repeat(30)),
        theme: Theme { colored: true },
    };
    let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
    let state = state(Vec::new());
    terminal.draw(|frame| view.draw(frame, &state)).unwrap();
    let screen = terminal.backend().to_string();
    let head = screen.lines().next().unwrap();
    assert!(
        head.contains("  …") && head.contains("/mcp-store.db  last 15 min"),
        "{head}"
    );
}

#[test]
fn lists_scroll_and_say_which_rows_they_show() {
    let calls = (0..40).map(|i| call(&format!("tool_{i:02}"), 2, 1_000));
    let mut state = state(calls.collect());
    state.change(Change::Sort);
    state.change(Change::Sort);
    state.change(Change::Sort);
    let view = View {
        db: "./mcp-store.db".to_owned(),
        theme: Theme { colored: true },
    };
    let mut shown = |change| {
        state.change(change);
        state.fit(view.heights(Rect::new(0, 0, 80, 24)));
        let screen = drawn(&state, (80, 24), true).to_string();
        let mut lines = screen.lines().map(|line| line.trim_matches('"').to_owned());
        let title = lines
            .by_ref()
            .find(|line| line.contains("tools and methods"));
        let title = title.unwrap().trim_end_matches('─').to_owned();
        let first = lines.nth(1).unwrap();
        let first = first.split_whitespace().next().unwrap().to_owned();
        (title, first)
    };
    let by_name = |rows: &str, first: &str| {
        let title = format!("tools and methods by name: {rows} of 40 ");
        (title, first.to_owned())
    };
    for (step, rows, first) in [
        (Step::Up, "1 to 5", "tool_00"),
        (Step::Down, "2 to 6", "tool_01"),
        (Step::PageDown, "7 to 11", "tool_06"),
        (Step::PageUp, "2 to 6", "tool_01"),
        (Step::Last, "36 to 40", "tool_35"),
        (Step::Down, "36 to 40", "tool_35"),
        (Step::Up, "35 to 39", "tool_34"),
        (Step::First, "1 to 5", "tool_00"),
    ] {
        assert_eq!(
            shown(Change::Scroll(step)),
            by_name(rows, first),
            "{step:?}"
        );
    }
    // The keys scroll another list.
    shown(Change::List);
    assert_eq!(
        shown(Change::Scroll(Step::Down)),
        by_name("1 to 5", "tool_00")
    );
}

#[test]
fn seconds_are_coloured_by_the_share_of_their_failures() {
    let mut events: Vec<_> = (0..19).map(|_| call("search", 1, 1_000)).collect();
    events.push(tool_error("search", 1, 1_000));
    events.extend((0..4).map(|_| call("search", 2, 1_000)));
    events.push(error("search", 2, 1_000, "no disk"));
    events.push(call("search", 3, 1_000));
    let screen = drawn(&state(events), (80, 24), true);
    let lowest = |column| screen.buffer()[(column, 5)].fg;
    assert_eq!(lowest(38), Color::Yellow, "one of twenty");
    assert_eq!(lowest(37), Color::Red, "one of five");
    assert_eq!(lowest(36), Color::Green, "none");
}

#[test]
fn help_fits_80_by_24_and_hides_at_a_key() {
    let mut state = busy();
    state.change(Change::Help);
    insta::assert_snapshot!("help-80x24", drawn(&state, (80, 24), true));
    for size in [(1, 1), (20, 5), (200, 3)] {
        drawn(&state, size, true);
    }
    state.change(Change::Help);
    assert!(!drawn(&state, (80, 24), true).to_string().contains("Ctrl-C"));
}

#[test]
fn long_filter_leaves_the_keys_whole() {
    let mut state = busy();
    state.change(Change::Type);
    "0123456789"
        .chars()
        .for_each(|c| state.change(Change::Add(c)));
    state.change(Change::Keep);
    let screen = drawn(&state, (80, 24), true).to_string();
    let last = screen.lines().last().unwrap();
    assert!(last.contains("/ filter: 0123…"), "{last}");
}
