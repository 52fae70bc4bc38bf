//! Rooms import each other in one direction only, and so do the files of a room; see
//! ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What each room may import. Every room may import files that belong to no room, such as
/// `clock.rs`.
const ROOMS: [(&str, &[&str]); 9] = [
    ("wire", &[]),
    ("event", &["wire"]),
    ("db", &["wire", "event"]),
    ("query", &["wire", "event", "db"]),
    ("store", &["wire", "event", "db"]),
    ("outbox", &["db"]),
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

/// Returns the code of a room by file, without unit tests, which may import anything.
fn sources(room: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(room);
    let mut found = Vec::new();
    files(&folder, &mut found);
    assert!(!found.is_empty(), "no files in {room}");
    let is_test = |part: &std::ffi::OsStr| part == "tests" || part == "tests.rs";
    found.retain(|file| !file.iter().any(is_test));
    let code = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        // Unit tests are at the end of a file.
        let code = text.split("#[cfg(test)]\nmod tests {").next();
        let lines = code.unwrap_or_default().lines();
        let code = lines.map(|line| line.split("//").next().unwrap_or_default());
        let code = code.collect::<Vec<_>>().join("\n");
        let file = file.strip_prefix(&folder).unwrap().to_owned();
        (file, code)
    };
    found.into_iter().map(code).collect()
}

/// Returns the paths in `code` that begin at the crate or at a parent module. Those of a
/// `use` with braces are written out.
fn paths(code: &str) -> Vec<String> {
    let code: String = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let starts = code
        .match_indices("super::")
        .chain(code.match_indices("crate::"));
    let is_first = |at: usize| {
        let before = code[..at].chars().next_back();
        before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':')
    };
    let mut found = Vec::new();
    for (at, _) in starts.filter(|(at, _)| is_first(*at)) {
        write_out("", &mut code[at..].chars().peekable(), &mut found);
    }
    found
}

/// Reads one path, and the list in braces at its end. Adds each of its paths to `found`.
fn write_out(
    prefix: &str,
    code: &mut std::iter::Peekable<std::str::Chars<'_>>,
    found: &mut Vec<String>,
) {
    let mut path = prefix.to_owned();
    while let Some(c) = code.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | ':')) {
        path.push(c);
    }
    if !path.ends_with("::") || code.next_if_eq(&'{').is_none() {
        found.push(path);
        return;
    }
    while code.peek().is_some_and(|c| *c != '}') {
        let is_separator = |c: &char| matches!(c, ' ' | ',');
        while code.next_if(is_separator).is_some() {}
        let rest = code.clone().count();
        write_out(&path, code, found);
        // ` as name` follows a path.
        while code.next_if(|c| !matches!(c, ',' | '}')).is_some() {}
        assert!(code.clone().count() < rest || rest == 0, "endless list");
        while code.next_if(is_separator).is_some() {}
    }
    code.next();
}

/// Returns which parts of a room import which. A part is a file of the room's folder, with
/// the files of its own folder. `mod.rs` is no part: what it exports again counts as the
/// part that has it.
fn imports(room: &str) -> BTreeMap<String, BTreeSet<String>> {
    let part = |file: &Path| {
        let first = file.iter().next().unwrap().to_str().unwrap();
        first.trim_end_matches(".rs").to_owned()
    };
    let sources = sources(room);
    let mut imports: BTreeMap<String, BTreeSet<String>> = sources
        .iter()
        .map(|(file, _)| (part(file), BTreeSet::new()))
        .collect();
    imports.remove("mod");
    let mut exported = BTreeMap::new();
    for (_, code) in sources.iter().filter(|(file, _)| file == "mod.rs") {
        for statement in code.split(';').filter(|code| code.contains("use ")) {
            let path = statement.rsplit("use ").next().unwrap().trim();
            let path = path.trim_start_matches("self::");
            let mut found = Vec::new();
            write_out("", &mut path.chars().peekable(), &mut found);
            for path in found {
                // A comma at the end of a list leaves an empty name.
                if let (Some((part, _)), Some((_, name))) =
                    (path.split_once("::"), path.rsplit_once("::"))
                    && !name.is_empty()
                {
                    exported.insert(name.to_owned(), part.to_owned());
                }
            }
        }
    }
    for (file, code) in &sources {
        // The number of `super` that lead from this file to the room.
        let depth = file.iter().count() - usize::from(file.ends_with("mod.rs"));
        for path in paths(code) {
            let names: Vec<&str> = path.split("::").collect();
            let supers = names.iter().take_while(|name| **name == "super").count();
            let name = match names[0] {
                "crate" if names.get(1) == Some(&room) => names.get(2),
                "super" if supers == depth => names.get(supers),
                _ => None,
            };
            let Some(name) = name else { continue };
            let target = exported.get(*name).map_or(*name, String::as_str);
            let from = part(file);
            if target != from
                && imports.contains_key(target)
                && let Some(of) = imports.get_mut(&from)
            {
                of.insert(target.to_owned());
            }
        }
    }
    imports
}

/// Removes the parts that are in no circle and import none.
fn circles(mut imports: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    loop {
        let free = imports.iter().find(|(_, of)| of.is_empty());
        let Some(free) = free.map(|(part, _)| part.clone()) else {
            return imports;
        };
        imports.remove(&free);
        for of in imports.values_mut() {
            of.remove(&free);
        }
    }
}

#[test]
fn rooms_import_in_one_direction() {
    let mut wrong = Vec::new();
    for (room, allowed) in ROOMS {
        for (file, code) in sources(room) {
            for line in code.lines() {
                for other in named(line) {
                    if other != room && !allowed.contains(&other) {
                        wrong.push(format!("{room}/{}: {}", file.display(), line.trim()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn files_of_a_room_import_in_one_direction() {
    for (room, _) in ROOMS {
        // `MemoryEventStore` holds the streams that rmcp's trait needs.
        if room != "event_store" {
            let found = circles(imports(room));
            assert!(found.is_empty(), "{room}: {found:#?}");
        }
    }
}

#[test]
fn imports_of_a_room_are_found_by_all_of_their_forms() {
    assert_eq!(
        paths(
            "use super::{\n    a::B, c::{D as E, f},\n};\nfn g(h: crate::db::Db) { super::super::i() }"
        ),
        [
            "super::a::B",
            "super::c::D",
            "super::c::f",
            "super::super::i",
            "crate::db::Db"
        ]
    );
    let imports = imports("db");
    for (part, target) in [
        ("command", "event_rows"),
        // `Db` is exported by `mod.rs`.
        ("upkeep", "connection"),
        ("retention", "losses"),
    ] {
        assert!(
            imports[part].contains(target),
            "{part}: {:?}",
            imports[part]
        );
    }
}

#[test]
fn circle_is_found_and_a_chain_is_none() {
    let of = |list: &[(&str, &str)]| {
        let mut imports = BTreeMap::<String, BTreeSet<String>>::new();
        for (from, to) in list {
            imports.entry((*to).to_owned()).or_default();
            imports
                .entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        circles(imports).into_keys().collect::<Vec<_>>()
    };
    assert!(of(&[("a", "b"), ("b", "c"), ("a", "c")]).is_empty());
    assert_eq!(
        of(&[("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]),
        ["a", "b", "c"]
    );
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
