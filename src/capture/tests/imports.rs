//! The modules of the room import each other in one direction only.

use std::fs;
use std::path::{Path, PathBuf};

/// Each module may import those before it.
const ORDER: [&str; 17] = [
    "http",
    "config",
    "no_row",
    "context",
    "session",
    "request_context",
    "listing",
    "exchange",
    "registry",
    "replays",
    "recorder",
    "exchange_handle",
    "tap",
    "body",
    "future",
    "service",
    "layer",
];

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn modules_import_only_those_before_them() {
    let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/capture");
    let mut found = Vec::new();
    sources(&room, &mut found);
    let mut imports = 0;
    for path in found {
        let inner = path.strip_prefix(&room).unwrap().with_extension("");
        let module = inner.iter().next().unwrap().to_str().unwrap();
        let Some(place) = ORDER.iter().position(|known| *known == module) else {
            assert!(["mod", "tests"].contains(&module), "{module} has no place");
            continue;
        };
        if inner.iter().any(|part| part == "tests") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        for (other, name) in ORDER.iter().enumerate() {
            let mut paths = vec![format!("crate::capture::{name}")];
            if inner.iter().count() == 1 {
                paths.push(format!("use super::{name}"));
            }
            // Documentation may refer to any module.
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let names = |line: &str| {
                paths.iter().any(|path| {
                    line.match_indices(path.as_str()).any(|(at, _)| {
                        let rest = &line[at + path.len()..];
                        rest.starts_with("::") || rest.starts_with(';')
                    })
                })
            };
            if code.into_iter().any(names) {
                imports += 1;
                assert!(other <= place, "{} imports {name}", path.display());
            }
        }
    }
    assert!(imports > 20, "only {imports} imports were found");
}
