use std::io::Read as _;
use std::process::Stdio;

use crate::run::{command, failed};
use crate::support::{connect, fixture, fresh};

#[test]
fn error_of_a_missing_file_says_what_to_do() {
    let (dir, path) = fresh();
    let error = failed(2, &path, &["logs"]);
    assert!(
        error.contains("no database at") && error.contains("pass --db"),
        "{error}"
    );
    let mut command = command(&path, &["logs"]);
    let output = command
        .env_remove("MCP_STORE_DB")
        .current_dir(dir.path())
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("no database at ./mcp-store.db"), "{error}");
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing was made"
    );
}

#[test]
fn missing_record_has_exit_code_1() {
    let (_dir, path) = fixture(4);
    for args in [["session", "nobody"], ["request", "nothing"]] {
        let error = failed(1, &path, &args);
        assert!(error.contains("begins with"), "{error}");
    }
}

#[test]
fn wrong_usage_has_exit_code_2() {
    let (_dir, path) = fixture(4);
    for args in [
        &["session", "s"][..],
        &["logs", "--since", "whenever"],
        &["logs", "--status", "fine"],
        &["slow", "--threshold", "5"],
        &["logs", "--since", "1m", "--until", "1h"],
        &["stats", "--since", "1d", "--until", "2d"],
        &["man", "nothing"],
        &["nothing"],
        &[],
    ] {
        assert!(!failed(2, &path, args).is_empty());
    }
    for id in [
        "xyz",
        "4bf92f3577b34da6a3ce929d0e0e473",
        "4bf92f3577b34da6a3ce929d0e0e473g",
    ] {
        let error = failed(2, &path, &["logs", "--trace-id", id]);
        assert!(error.contains("expected 32 hexadecimal digits"), "{error}");
    }
    let error = failed(2, &path, &["session", "s"]);
    assert!(error.contains("s0, s1"), "{error}");
    let error = failed(2, &path, &["logs", "--since", "whenever"]);
    assert!(error.contains("30m, 2h or 7d"), "{error}");
}

#[test]
fn too_many_hours_ask_for_a_later_start() {
    let (_dir, path) = fixture(4);
    let args = ["stats", "--by", "hour", "--since", "1970-01-01"];
    let error = failed(2, &path, &args);
    assert!(error.contains("use a later --since"), "{error}");
}

#[test]
fn closed_pipe_ends_the_command_without_an_error() {
    let (_dir, path) = fixture(4);
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    for (format, begins) in [
        ("json", "{\"i\":1}\n"),
        ("csv", "i\n1\n"),
        ("table", "i\n1\n2\n"),
    ] {
        let mut child = command(&path, &["sql", sql, "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = vec![0; begins.len()];
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut first).unwrap();
        assert_eq!(String::from_utf8(first).unwrap(), begins);
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{format}: {}", output.status);
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
    }
}

#[test]
fn error_of_an_internal_query_shows_no_sql() {
    let without_column = "ALTER TABLE requests DROP COLUMN bytes_in";
    for (change, args, reason) in [
        (without_column, &["logs"][..], "no such column: bytes_in"),
        (without_column, &["vacuum"], "column `bytes_in`"),
        (
            "CREATE TABLE losses (mine)",
            &["prune", "--before", "1d"],
            "`ALTER TABLE losses RENAME TO losses_2`",
        ),
    ] {
        let (_dir, path) = fixture(4);
        connect(&path).execute_batch(change).unwrap();
        let error = failed(2, &path, args);
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("SELECT"), "{error}");
        assert!(error.lines().count() <= 3, "{error}");
        assert!(error.lines().all(|line| line.len() < 400), "{error}");
    }
}
