//! `pull`, as far as no database is needed.

use std::fs;

use crate::run::{command, failed};
use crate::support::fresh;

const SECRET: &str = "correct-horse";

#[test]
fn password_in_the_argument_from_is_refused_and_one_in_the_environment_is_not_repeated() {
    let (dir, path) = fresh();
    let file = dir.path().join("fleet.db");
    let file = file.to_str().unwrap();
    // Nothing listens there.
    let url = format!("postgres://u:{SECRET}@127.0.0.1:1/d");
    let error = failed(2, &path, &["pull", "--from", &url, file]);
    assert!(error.contains("PGPASSFILE"), "{error}");
    assert!(error.contains("MCP_STORE_FROM"), "{error}");
    assert!(!error.contains(SECRET), "{error}");
    let mut command = command(&path, &["pull", "--since", "7d", file]);
    let output = command.env("MCP_STORE_FROM", url).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("refused"), "{error}");
    assert!(!error.contains(SECRET), "{error}");
    let names = fs::read_dir(dir.path()).unwrap();
    assert_eq!(
        names.count(),
        0,
        "no file is made before the database answers"
    );
}

#[test]
fn database_and_file_have_to_be_named_and_the_time_is_in_the_past() {
    let (_dir, path) = fresh();
    let error = failed(2, &path, &["pull", "fleet.db"]);
    assert!(error.contains("--from URL or MCP_STORE_FROM"), "{error}");
    let from = ["pull", "--from", "postgres://u@127.0.0.1:1/d"];
    let error = failed(2, &path, &from);
    assert!(error.contains("<FILE>"), "{error}");
    let error = failed(
        2,
        &path,
        &[&from[..], &["--since", "2999-01-01", "f.db"]].concat(),
    );
    assert!(error.contains("in the future"), "{error}");
}
