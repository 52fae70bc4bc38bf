//! `--db` with the URL of a database. The tests of this file need no database.

#[cfg(unix)]
mod both;
#[cfg(unix)]
mod follow;
#[cfg(unix)]
mod people;

use crate::run::{command, failed};
use crate::support::fresh;

const SECRET: &str = "correct-horse";

/// A database that does not answer, because nothing listens there.
const UNREACHABLE: &str = "postgres://u@127.0.0.1:1/d";

#[test]
fn password_in_the_argument_db_is_refused_and_not_repeated() {
    let (_dir, path) = fresh();
    let url = format!("postgres://u:{SECRET}@127.0.0.1:1/d");
    for args in [
        ["--db", &url, "logs"].as_slice(),
        &[&format!("--db={url}"), "info"],
    ] {
        let output = command(&path, &[])
            .env_remove("MCP_STORE_DB")
            .args(args)
            .output();
        let error = String::from_utf8(output.unwrap().stderr).unwrap();
        assert!(error.contains("PGPASSFILE"), "{error}");
        assert!(!error.contains(SECRET), "{error}");
    }
}

#[test]
fn commands_that_read_files_only_refuse_a_database_before_they_connect() {
    let (_dir, path) = fresh();
    for args in [
        ["top"].as_slice(),
        &["schema"],
        &["sql", "SELECT 1"],
        &["stats", "--plot"],
        &["info", "--compare", "other.db"],
    ] {
        let error = failed(2, &path, &[&["--db", UNREACHABLE], args].concat());
        let command = args.first().unwrap();
        assert!(error.contains(command), "{args:?}: {error}");
        assert!(error.contains("reads a file only"), "{args:?}: {error}");
        assert!(
            error.contains("mcp-store pull --from URL"),
            "{args:?}: {error}"
        );
    }
}

#[test]
fn commands_that_change_a_file_say_what_to_do_instead_with_a_database() {
    let (_dir, path) = fresh();
    for (args, instead) in [
        (
            ["proxy", "--upstream", "http://127.0.0.1:1/mcp"].as_slice(),
            "give --db a path",
        ),
        (
            &["prune", "--before", "1h", "--yes"],
            "mcp-store fleet retain --to URL",
        ),
        (&["vacuum"], "PostgreSQL reuses the space"),
        (
            &["ship", "--to", UNREACHABLE],
            "give --db the path of the file",
        ),
    ] {
        let error = failed(2, &path, &[&["--db", UNREACHABLE], args].concat());
        assert!(error.contains(instead), "{args:?}: {error}");
    }
}

#[test]
fn database_that_does_not_answer_is_an_error() {
    let (_dir, path) = fresh();
    for args in [
        ["logs"].as_slice(),
        &["stats"],
        &["info"],
        &["request", "019a:1"],
        &["slow"],
        &["logs", "--operations"],
        &["session", "s"],
        &["sessions", "--sort", "calls"],
        &["clients", "--by", "principal"],
    ] {
        let error = failed(2, &path, &[&["--db", UNREACHABLE], args].concat());
        assert!(
            error.contains("connection to the database failed"),
            "{error}"
        );
    }
}
