use tower_mcp_store::{Store, StoreEvent};

use crate::run::{command, failed, json, on_lines_of, stdout};
use crate::support::{LONG, connect, fixture, fresh, record_requests, request, value};

const ALL: &[(&str, &[&str])] = &[
    ("logs", &["logs", "--tail", "12"]),
    ("slow", &["slow", "--limit", "5"]),
    ("stats", &["stats", "--since", "2026-01-01"]),
    ("sessions", &["sessions"]),
    ("session", &["session", "s1"]),
    (
        "request",
        &["request", "0195e000-0000-7000-8000-000000000001"],
    ),
    ("clients", &["clients"]),
];

#[test]
fn tables_fit_lines_of_80_and_of_200_characters() {
    let (_dir, path) = fixture(4);
    for width in [80, 200] {
        for (name, args) in ALL {
            let table = on_lines_of(width, &path, args);
            for line in table.lines() {
                assert!(line.chars().count() <= usize::from(width), "{line:?}");
            }
            insta::assert_snapshot!(format!("{name}-{width}"), table);
        }
    }
}

#[test]
fn tables_fit_lines_of_any_width() {
    let (_dir, path) = fixture(4);
    for (name, args) in [ALL, &[("sql", &["sql", "SELECT 1"])]].concat() {
        // The output of these commands is not a table.
        if ["session", "request"].contains(&name) {
            continue;
        }
        for width in [1, 7, 20, 33, 40, 59, 80, 121] {
            let text = on_lines_of(width, &path, args);
            // Sentences come after the table.
            let (table, _) = text.split_once("\n\n").unwrap_or((&text, ""));
            for line in table.lines() {
                let length = line.chars().count();
                assert!(length <= usize::from(width), "{name} at {width}: {line:?}");
                assert_eq!(line.trim_end(), line);
            }
        }
    }
}

#[test]
fn long_value_is_complete_in_a_pipe_and_costs_little_if_it_is_cut() {
    let (_dir, path) = fixture(4);
    let length = 4 << 20;
    let sql = format!("SELECT printf('%.*c', {length}, 'x') AS long, 'after' AS next");
    let whole = stdout(&path, &["sql", &sql]);
    assert!(whole.contains(&"x".repeat(length)) && whole.contains("  after\n"));
    assert!(!whole.contains('…'));
    connect(&path)
        .execute(
            "UPDATE requests SET tool = printf('%.*c', ?1, 'x') WHERE tool IS NOT NULL",
            [i64::try_from(length).unwrap()],
        )
        .unwrap();
    let start = std::time::Instant::now();
    let cut = on_lines_of(80, &path, &["logs"]);
    assert!(cut.lines().all(|line| line.chars().count() <= 80));
    assert!(cut.contains("xxx…  "), "{cut}");
    // In quadratic time it would take minutes.
    assert!(start.elapsed() < LONG, "{:?}", start.elapsed());
}

#[test]
fn wide_characters_fill_two_places_of_a_line() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let mut event = request();
    event.tool = Some("検索".repeat(40).into());
    store.record(StoreEvent::Request(event));
    store.shutdown(LONG).unwrap();
    let table = on_lines_of(80, &path, &["logs"]);
    let row = table.lines().nth(1).unwrap();
    assert!(row.contains("検…  "), "{row}");
    let wide = row.chars().map(|c| 1 + usize::from("検索".contains(c)));
    assert!(wide.sum::<usize>() <= 80, "{row}");
}

#[test]
fn nothing_is_cut_on_unbounded_lines() {
    let (_dir, path) = fixture(4);
    let table = stdout(&path, &["logs"]);
    assert!(!table.contains('…'), "{table}");
    assert!(table.contains("méthode inconnue ✗"), "{table}");
}

#[test]
fn tables_are_coloured_only_on_a_terminal_by_default() {
    let (_dir, path) = fixture(4);
    assert!(!stdout(&path, &["logs"]).contains('\x1b'));
    assert!(stdout(&path, &["logs", "--color", "always"]).contains("\x1b[38;5;1mcaller_error"));
    let mut command = command(&path, &["logs", "--color", "always", "--json"]);
    let output = command.env("NO_COLOR", "1").output().unwrap();
    assert!(!output.stdout.contains(&0x1b), "JSON has no colours");
}

#[test]
fn date_of_today_is_omitted_on_bounded_lines() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 1);
    store.shutdown(LONG).unwrap();
    let day = &value::<String>(
        &connect(&path),
        "SELECT date(ts / 1000, 'unixepoch') FROM requests",
    );
    assert!(stdout(&path, &["logs"]).contains(day));
    let table = on_lines_of(80, &path, &["logs"]);
    assert!(
        table.contains("tools/call") && !table.contains(day),
        "{table}"
    );
}

#[test]
fn id_is_accepted_as_cut_in_a_table() {
    let (_dir, path) = fixture(4);
    let request = "0195e000-0000-7000-8000-0000000000";
    let found = json(&path, &["request", &format!("{request}01…")]);
    assert_eq!(found.len(), 1);
    assert_eq!(json(&path, &["logs", "--session", "s1…"]).len(), 9);
    failed(2, &path, &["session", "…"]);
}

#[test]
fn times_are_local() {
    let (_dir, path) = fixture(4);
    let mut command = command(&path, &["request", "0195e000-0000-7000-8000-000000000001"]);
    let output = command.env("TZ", "Asia/Tokyo").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("2026-04-01 08:33:20.250"), "{text}");
}
