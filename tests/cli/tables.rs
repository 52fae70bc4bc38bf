use crate::run::{command, on_lines_of, stdout};
use crate::support::fixture;

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
fn times_are_local() {
    let (_dir, path) = fixture(4);
    let mut command = command(&path, &["request", "0195e000-0000-7000-8000-000000000001"]);
    let output = command.env("TZ", "Asia/Tokyo").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("2026-04-01 08:33:20.250"), "{text}");
}
