//! Runs the command.

use std::path::Path;
use std::process::{Command, Output};

use assert_cmd::cargo::cargo_bin;

/// Returns the command for the file `db`, with times in UTC and unbounded lines.
pub(crate) fn command(db: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(cargo_bin!("mcp-store"));
    command
        .env_clear()
        .env("TZ", "UTC")
        .env("MCP_STORE_DB", db)
        .args(args);
    command
}

/// Returns its standard output, after it has succeeded.
#[track_caller]
pub(crate) fn stdout(db: &Path, args: &[&str]) -> String {
    succeeded(&command(db, args).output().unwrap())
}

/// Returns its standard output followed by its standard error, after it has succeeded.
#[track_caller]
pub(crate) fn both(db: &Path, args: &[&str]) -> String {
    let output = command(db, args).output().unwrap();
    succeeded(&output) + &String::from_utf8_lossy(&output.stderr)
}

/// Like [`stdout`], on lines of `width` characters.
#[track_caller]
pub(crate) fn on_lines_of(width: u16, db: &Path, args: &[&str]) -> String {
    let mut command = command(db, args);
    command.env("COLUMNS", width.to_string());
    succeeded(&command.output().unwrap())
}

#[track_caller]
fn succeeded(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {error}", output.status);
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Returns its standard error, after it has ended with this code and without standard
/// output.
#[track_caller]
pub(crate) fn failed(code: i32, db: &Path, args: &[&str]) -> String {
    let output = command(db, args).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(output.stdout.is_empty(), "{error}");
    error
}

/// Returns the objects of all lines.
#[track_caller]
pub(crate) fn json(db: &Path, args: &[&str]) -> Vec<serde_json::Value> {
    let args = [args, &["--json"]].concat();
    let output = stdout(db, &args);
    let parse = |line| serde_json::from_str(line).unwrap();
    output.lines().map(parse).collect()
}
