use std::io::Write as _;
use std::process::{Output, Stdio};
use std::{fs, path::Path};

use crate::run::{command, failed, on_lines_of, stdout};
use crate::support::fixture;

const SQL: &str = "SELECT tool, count(*) AS calls FROM requests WHERE tool IS NOT NULL GROUP BY 1";

/// Runs the command with this text on its standard input.
fn with_input(db: &Path, args: &[&str], input: &str) -> Output {
    let mut child = command(db, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

#[test]
fn statement_comes_from_the_line_a_file_or_standard_input() {
    let (dir, path) = fixture(4);
    let file = dir.path().join("calls.sql");
    fs::write(&file, format!("-- calls by tool\n{SQL};\n")).unwrap();
    let file = file.to_str().unwrap();
    let expected = stdout(&path, &["sql", SQL]);
    assert!(expected.starts_with("tool"), "{expected}");
    assert_eq!(stdout(&path, &["sql", "--file", file]), expected);
    for args in [&["sql"][..], &["sql", "-"], &["sql", "--file", "-"]] {
        let output = with_input(&path, args, SQL);
        assert!(output.status.success(), "{args:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
    }
    let error = failed(2, &path, &["sql", "--file", "absent.sql"]);
    assert!(error.contains("cannot read absent.sql"), "{error}");
}

#[cfg(unix)]
#[test]
fn without_a_statement_a_terminal_shows_how_to_give_one() {
    let (_dir, path) = fixture(4);
    let mut terminal = crate::terminal::Terminal::start(&path, &["sql"]);
    assert_eq!(terminal.wait_for_end().code(), Some(2));
    let screen = terminal.screen().contents();
    assert!(screen.contains("--file PATH"), "{screen}");
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_long_statement() {
    use std::os::unix::process::ExitStatusExt as _;

    let (_dir, path) = fixture(4);
    // The first rows show that it runs.
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
               SELECT i FROM n WHERE i <= 5000 OR i < 0";
    let mut terminal = crate::terminal::Terminal::start(&path, &["sql", sql, "--format", "csv"]);
    terminal.wait_until(|screen| !screen.is_empty());
    terminal.press("\x03");
    assert_eq!(terminal.wait_for_end().signal(), Some(2));
}

#[test]
fn row_that_is_wider_than_the_line_has_a_line_for_each_field() {
    let (_dir, path) = fixture(4);
    let sql = "SELECT 'a\u{1b}b' AS \"first\u{9b}\", 12 AS n, NULL AS none, 'x' AS 検索
               UNION ALL SELECT 'second', 34, 'y', 'z'";
    let table = "first\u{fffd}  n   none  検索\n";
    assert!(on_lines_of(24, &path, &["sql", sql]).starts_with(table));
    assert_eq!(
        on_lines_of(20, &path, &["sql", sql]),
        "-[ 1 ]-\n\
         first\u{fffd}  a\u{fffd}b\n\
         n       12\n\
         none    -\n\
         検索    x\n\
         -[ 2 ]-\n\
         first\u{fffd}  second\n\
         n       34\n\
         none    y\n\
         検索    z\n"
    );
    // Lines in a pipe are unbounded.
    assert!(stdout(&path, &["sql", sql]).starts_with(table));
}

#[test]
fn later_rows_that_do_not_fit_change_to_a_line_for_each_field() {
    let (_dir, path) = fixture(4);
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600)
               SELECT i, substr(printf('%.*c', 40, 'x'), 1, i / 20) AS text FROM n";
    let text = on_lines_of(30, &path, &["sql", sql]);
    assert!(text.starts_with("i    text\n1\n"), "{text}");
    assert!(!text.contains('…'));
    assert!(
        text.contains("\n500  xxxxxxxxxxxxxxxxxxxxxxxxx\n-[ 501 ]-\ni     501\n"),
        "{text}"
    );
    assert!(text.contains("\n-[ 600 ]-\n"));
}

#[test]
fn csv_has_a_header_and_quotes() {
    let (_dir, path) = fixture(4);
    let csv = |sql| stdout(&path, &["sql", "--format", "csv", sql]);
    assert_eq!(
        csv("SELECT 1 AS \"a,b\", NULL AS n, 'say \"hi\"' AS t, x'00ff' AS b, 2.5 AS r"),
        "\"a,b\",n,t,b,r\n1,,\"say \"\"hi\"\"\",00ff,2.5\n"
    );
    assert_eq!(csv("SELECT 'a\u{1b}[2J' AS t"), "t\na\u{fffd}[2J\n");
    assert_eq!(
        csv("SELECT id, tool FROM requests WHERE false"),
        "id,tool\n"
    );
}

#[test]
fn answer_without_rows_says_so() {
    let (_dir, path) = fixture(4);
    let output = command(&path, &["sql", "SELECT 1 WHERE false"])
        .output()
        .unwrap();
    assert!(output.status.success() && output.stdout.is_empty());
    assert_eq!(output.stderr, b"no rows found\n");
}

#[test]
fn text_without_a_statement_is_an_error_that_says_so() {
    let (_dir, path) = fixture(4);
    for sql in ["", ";", "-- SELECT 1"] {
        let error = failed(2, &path, &["sql", sql]);
        assert_eq!(error, "error: the statement has no answer\n", "{sql:?}");
    }
}

#[test]
fn text_after_a_nul_is_an_error_at_that_place() {
    let (_dir, path) = fixture(4);
    let output = with_input(&path, &["sql"], "SELECT 1\0; DROP TABLE requests");
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.starts_with("error: the statement has a NUL character, at line 1\n"),
        "{error}"
    );
}

#[test]
fn error_is_shown_once_with_its_place() {
    let (_dir, path) = fixture(4);
    assert_eq!(
        failed(2, &path, &["sql", "SELECT tool,\n  absent\nFROM requests"]),
        "error: no such column: absent, at line 2\n    absent\n    ^\n"
    );
    assert_eq!(
        failed(2, &path, &["sql", "SELEC 1"]),
        "error: near \"SELEC\": syntax error, at line 1\n  SELEC 1\n  ^\n"
    );
    for (sql, error) in [
        ("SELECT (1", "error: incomplete input\n"),
        (
            "SELECT abs('x', 2)",
            "error: wrong number of arguments to function abs()",
        ),
        ("SELECT json('x')", "error: malformed JSON\n"),
        (
            "DELETE FROM meta",
            "error: this statement writes; only those that read are answered\n",
        ),
    ] {
        let said = failed(2, &path, &["sql", sql]);
        assert!(said.starts_with(error), "{said}");
        assert!(!said.contains("because"), "{said}");
    }
}
