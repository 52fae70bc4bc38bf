//! Rooms import each other in one direction only; see ARCHITECTURE.md.

use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import. Every room may import files that belong to no room, such as
/// `clock.rs`.
const ROOMS: [(&str, &[&str]); 8] = [
    ("wire", &[]),
    ("event", &["wire"]),
    ("db", &["wire", "event"]),
    ("query", &["wire", "event", "db"]),
    ("store", &["wire", "event", "db"]),
    ("capture", &["wire", "event", "db", "store"]),
    ("event_store", &["event", "db", "store"]),
    ("session_store", &["event", "db", "store"]),
];

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// Returns the rooms that a line names by a path from the crate's root.
fn named(line: &str) -> Vec<&'static str> {
    let code = line.split("//").next().unwrap_or_default();
    let paths = code.split("crate::").skip(1);
    let rooms = paths.flat_map(|path| {
        ROOMS.iter().map(|(room, _)| *room).filter(move |room| {
            let rest = path.strip_prefix(room);
            rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_'))
        })
    });
    rooms.collect()
}

#[test]
fn rooms_import_in_one_direction() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (room, allowed) in ROOMS {
        let mut sources = Vec::new();
        files(&src.join(room), &mut sources);
        assert!(!sources.is_empty(), "no files in {room}");
        for source in sources {
            let is_test = source.components().any(|part| {
                ["tests", "tests.rs"]
                    .iter()
                    .any(|name| part.as_os_str() == *name)
            });
            let text = fs::read_to_string(&source).unwrap();
            // Unit tests may import anything. They are at the end of a file.
            let code = text
                .split("#[cfg(test)]\nmod tests {")
                .next()
                .unwrap_or_default();
            if is_test {
                continue;
            }
            for line in code.lines() {
                for other in named(line) {
                    if other != room && !allowed.contains(&other) {
                        wrong.push(format!("{}: {}", source.display(), line.trim()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn path_names_its_room() {
    assert_eq!(named("use crate::event::StoreEvent;"), ["event"]);
    assert_eq!(
        named("use crate::event_store::EventRecord;"),
        ["event_store"]
    );
    assert_eq!(
        named("fn f(a: crate::db::Db, b: crate::store::Store)"),
        ["db", "store"]
    );
    assert!(named("// crate::db is not meant").is_empty());
    assert!(named("use crate::clock;").is_empty());
}
