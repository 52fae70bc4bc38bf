use tower_mcp_store::Store;

use crate::run::{command, failed, json, on_lines_of, stdout};
use crate::support::{LONG, connect, fixture, fresh, record_requests, value};

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
fn nothing_is_cut_where_lines_have_no_end() {
    let (_dir, path) = fixture(4);
    let table = stdout(&path, &["logs"]);
    assert!(!table.contains('…'), "{table}");
    assert!(table.contains("méthode inconnue ✗"), "{table}");
}

#[test]
fn tables_are_coloured_on_a_terminal_alone_unless_it_is_asked_for() {
    let (_dir, path) = fixture(4);
    assert!(!stdout(&path, &["logs"]).contains('\x1b'));
    assert!(stdout(&path, &["logs", "--color", "always"]).contains("\x1b[38;5;1merror"));
    let mut command = command(&path, &["logs", "--color", "always", "--json"]);
    let output = command.env("NO_COLOR", "1").output().unwrap();
    assert!(!output.stdout.contains(&0x1b), "JSON has no colours");
}

#[test]
fn the_day_is_left_out_where_it_is_today_and_lines_have_an_end() {
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
fn an_id_is_understood_as_a_table_has_cut_it() {
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
