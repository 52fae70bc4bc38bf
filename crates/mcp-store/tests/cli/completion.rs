//! Completion, requested as a shell does, and in real shells.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;
use tower_mcp_store::{SessionEvent, Store, StoreEvent};

use crate::run::command;
use crate::support::{LONG, connect, contents, fixture, fresh, request};
use crate::terminal::Terminal;

/// Set if each shell has to be installed.
const SWITCH: &str = "MCP_STORE_TEST_SHELLS";

/// Returns whether this shell is installed.
fn has(shell: &str) -> bool {
    let found = Command::new(shell).args(["-c", "exit"]).status().is_ok();
    assert!(
        found || std::env::var_os(SWITCH).is_none(),
        "{shell} is missing, and {SWITCH} is set"
    );
    if !found {
        eprintln!("SKIPPED: {shell} is not installed");
    }
    found
}

const SESSION: &str = "1868a90c-5f4e-4d4b-9a1c-7fe0a3b2c1d0";

/// Returns a file with two tools, one of them hostile, and a session.
fn recorded() -> (TempDir, PathBuf) {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let mut session = SessionEvent::new(SESSION);
    session.client_name = Some("claude-code".into());
    store.record(StoreEvent::Session(session));
    for tool in [
        "find_flights",
        "find_$(touch pwned)",
        "find_\x1b[2J",
        "book",
    ] {
        let mut event = request();
        event.tool = Some(tool.into());
        event.proxy = "weather".into();
        event.principal = Some("ann@example.com".into());
        store.record(StoreEvent::Request(event));
    }
    store.shutdown(LONG).unwrap();
    (dir, path)
}

/// Returns the answer of the command to a shell about the last of these words.
fn asked(db: &Path, words: &[&str]) -> Output {
    let mut command = command(db, &["--", "mcp-store"]);
    command
        .args(words)
        .env("MCP_STORE_COMPLETE", "bash")
        .env("_CLAP_IFS", "\n")
        .env("_CLAP_COMPLETE_INDEX", words.len().to_string());
    command.output().unwrap()
}

#[track_caller]
fn offered(db: &Path, words: &[&str]) -> Vec<String> {
    let output = asked(db, words);
    assert!(output.status.success() && output.stderr.is_empty());
    let offered = String::from_utf8(output.stdout).unwrap();
    offered.lines().map(str::to_owned).collect()
}

#[test]
fn values_come_from_the_file() {
    let (_dir, path) = recorded();
    for (words, expected) in [
        (&["logs", "--tool", ""][..], &["book", "find_flights"][..]),
        (&["logs", "--tool", "find"], &["find_flights"]),
        (&["stats", "--tool", "b"], &["book"]),
        (&["logs", "--client", "cl"], &["claude-code"]),
        (&["sessions", "--client", ""], &["claude-code"]),
        (&["logs", "--principal", "an"], &["ann@example.com"]),
        (&["stats", "--method", "tools"], &["tools/call"]),
        (&["clients", "--server", "w"], &["weather"]),
        (&["sessions", "--protocol", "2025-1"], &["2025-11-25"]),
        (&["logs", "--session", "18"], &[SESSION]),
        (&["session", "1868"], &[SESSION]),
        (&["logs", "--session", "2"], &[]),
    ] {
        assert_eq!(offered(&path, words), expected, "{words:?}");
    }
    // The file in the line is used, and not the one in the environment.
    let db = path.to_str().unwrap();
    let absent = Path::new("absent.db");
    assert_eq!(
        offered(absent, &["--db", db, "logs", "--tool", "b"]),
        ["book"]
    );
}

#[test]
fn options_and_commands_are_offered_without_a_file() {
    let absent = Path::new("absent.db");
    assert!(offered(absent, &["lo"]).contains(&"logs".to_owned()));
    assert!(offered(absent, &["logs", "--fol"]).contains(&"--follow".to_owned()));
    assert!(offered(absent, &["logs", "--tool", ""]).is_empty());
}

/// Returns files that have no values for a completion, or cannot be read at once.
fn awkward() -> Vec<(&'static str, TempDir, PathBuf, Option<Connection>)> {
    let mut files = Vec::new();
    let (dir, path) = fresh();
    files.push(("absent", dir, path, None));
    let (dir, path) = fresh();
    fs::create_dir(&path).unwrap();
    files.push(("a directory", dir, path, None));
    let (dir, path) = fresh();
    fs::write(&path, "no database").unwrap();
    files.push(("no database", dir, path, None));
    let (dir, path) = fresh();
    let made = Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    files.push(("a pipe", dir, path, None));
    let (dir, path) = fixture(1);
    files.push(("of version 1", dir, path, None));
    let (dir, path) = recorded();
    let conn = connect(&path);
    let lock = "PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE meta SET value = value";
    conn.execute_batch(lock).unwrap();
    files.push(("locked", dir, path, Some(conn)));
    let (dir, path) = recorded();
    fs::write(path.with_extension("db-wal"), "").unwrap();
    files.push(("with a WAL only", dir, path, None));
    files
}

#[test]
fn completion_changes_nothing_prints_no_error_and_takes_at_most_100_ms() {
    for (name, dir, path, lock) in awkward() {
        let is_readable = ["no database", "of version 1", "with a WAL only"].contains(&name);
        let before = is_readable.then(|| contents(dir.path()));
        let names = |dir: &TempDir| {
            let entries = fs::read_dir(dir.path()).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let there = names(&dir);
        // The shortest of several runs counts, because other tests run at the same time.
        let mut shortest = Duration::MAX;
        for _ in 0..10 {
            let begun = Instant::now();
            let output = asked(&path, &["logs", "--tool", ""]);
            shortest = shortest.min(begun.elapsed());
            assert!(output.status.success(), "{name}");
            assert_eq!(
                (&*output.stdout, &*output.stderr),
                (&b""[..], &b""[..]),
                "{name}"
            );
        }
        assert!(
            shortest < Duration::from_millis(100),
            "{name}: {shortest:?}"
        );
        assert_eq!(names(&dir), there, "{name}");
        assert!(
            before.is_none_or(|before| before == contents(dir.path())),
            "{name}"
        );
        drop(lock);
    }
}

#[test]
fn unknown_shell_gets_no_message() {
    let (_dir, path) = fresh();
    let mut command = command(&path, &["--", "mcp-store", "lo"]);
    let output = command.env("MCP_STORE_COMPLETE", "nosh").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
}

/// Returns a shell in a terminal, which finds the command by its name.
fn shell(db: &Path, home: &Path, args: &[&str]) -> Command {
    let command = command(db, &[]);
    let directory = Path::new(command.get_program()).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new(args[0]);
    shell
        .args(&args[1..])
        .current_dir(home)
        .env("HOME", home)
        .env("INPUTRC", "/dev/null")
        .env("PS1", "ready> ")
        .env("MCP_STORE_DB", db)
        .env("PATH", format!("{}:{path}", directory.display()));
    shell
}

/// Types like a user, and waits for the text that the shell adds.
fn completes(mut terminal: Terminal, setup: &str) {
    terminal.wait_for("ready> ");
    terminal.press(&format!("{setup}; echo set''up\r"));
    terminal.wait_for("setup\n");
    for (typed, completed) in [
        ("mcp-store lo\t", "mcp-store logs "),
        ("mcp-store logs --foll\t", "mcp-store logs --follow"),
        ("mcp-store logs --tool find_f\t", "--tool find_flights"),
        ("mcp-store logs --client cla\t", "--client claude-code"),
        (
            "mcp-store session 1868\t",
            &format!("mcp-store session {SESSION}"),
        ),
    ] {
        terminal.press(typed);
        terminal.wait_for(completed);
        // These keys clear the line and the screen.
        terminal.press("\x15\x0c");
        terminal.wait_until(|screen| screen.trim_end() == "ready>");
    }
    terminal.press("exit\r");
    terminal.wait_for_end();
}

#[test]
fn bash_completes_commands_options_and_values() {
    if !has("bash") {
        return;
    }
    let (dir, path) = recorded();
    let args = ["bash", "--norc", "--noprofile", "-i"];
    let terminal = Terminal::run(shell(&path, dir.path(), &args));
    completes(terminal, "source <(mcp-store completions bash)");
    assert!(!dir.path().join("pwned").exists());
}

#[test]
fn zsh_completes_commands_options_and_values() {
    if !has("zsh") {
        return;
    }
    let (dir, path) = recorded();
    let terminal = Terminal::run(shell(&path, dir.path(), &["zsh", "-f", "-i"]));
    let setup = "PS1='ready> '; autoload -U compinit; compinit -u -D; \
                 source <(mcp-store completions zsh)";
    completes(terminal, setup);
    assert!(!dir.path().join("pwned").exists());
}

#[test]
fn fish_completes_commands_options_and_values() {
    if !has("fish") {
        return;
    }
    let (dir, path) = recorded();
    for (line, completed) in [
        ("mcp-store lo", "logs\t"),
        ("mcp-store logs --foll", "--follow\t"),
        ("mcp-store logs --tool find", "find_flights\n"),
        ("mcp-store logs --client cla", "claude-code\n"),
        ("mcp-store session 1868", &format!("{SESSION}\tclaude-code")),
    ] {
        let script = format!("mcp-store completions fish | source; complete -C '{line}'");
        let mut shell = shell(&path, dir.path(), &["fish", "--no-config", "-c", &script]);
        let output = shell.output().unwrap();
        let offered = String::from_utf8_lossy(&output.stdout);
        assert!(offered.starts_with(completed), "{line}: {offered}");
        assert!(output.stderr.is_empty(), "{line}");
    }
    assert!(!dir.path().join("pwned").exists());
}
