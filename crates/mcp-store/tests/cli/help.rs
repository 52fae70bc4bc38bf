//! The examples of each help.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use tower_mcp_store::{RpcId, SessionEvent, Store, StoreEvent};

use crate::run::{command, stdout};
use crate::support::{LONG, fresh, request};

/// Commands that need a terminal or a server.
const LIVE: [&str; 6] = ["top", "proxy", "serve", "ship", "pull", "fleet"];

fn recorded() -> (TempDir, PathBuf) {
    let (dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    let mut session = SessionEvent::new("9f3a5c");
    session.client_name = Some("claude".into());
    store.record(StoreEvent::Session(session));
    for i in 0..50 {
        let mut event = request();
        event.session_id = Some("9f3a5c".into());
        event.principal = Some("ann".into());
        event.tool_error = i % 7 == 0;
        event.rpc_id = Some(RpcId::integer(i));
        store.record(StoreEvent::Request(event));
    }
    store.shutdown(LONG).unwrap();
    std::fs::copy(&path, dir.path().join("other.db")).unwrap();
    (dir, path)
}

fn examples(db: &Path, of: &str) -> Vec<String> {
    let help = stdout(db, &[of, "--help"]);
    let (_, examples) = help.split_once("\nExamples:\n").expect(of);
    examples
        .lines()
        .map(|line| line.trim().to_owned())
        .collect()
}

#[test]
fn each_example_of_each_help_works() {
    let (dir, path) = recorded();
    let help = stdout(&path, &["--help"]);
    let commands = help.split("Commands:\n").nth(1).unwrap();
    let commands = commands.lines().take_while(|line| line.starts_with("  "));
    let names = commands.filter_map(|line| line.split_whitespace().next());
    let names: Vec<&str> = names.filter(|name| *name != "help").collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let examples = examples(&path, name);
        assert_eq!(examples.len(), 3, "{name}: {examples:?}");
        for example in examples.iter().filter(|_| !LIVE.contains(&name)) {
            run(example, &path, dir.path());
        }
    }
}

#[test]
fn each_command_of_the_first_questions_works() {
    let (dir, path) = recorded();
    let page = include_str!("../../../../docs/queries.md");
    let (_, questions) = page.split_once("## The questions that come first").unwrap();
    let rows = questions
        .lines()
        .skip(4)
        .take_while(|line| line.starts_with('|'));
    let commands: Vec<&str> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    assert_eq!(commands.len(), 7, "{commands:?}");
    for command in commands {
        run(command, &path, dir.path());
    }
}

/// Runs a line in a shell. A command that follows is ended after its first output.
#[track_caller]
fn run(example: &str, db: &Path, dir: &Path) {
    let this = command(db, &[]);
    let bin = Path::new(this.get_program()).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &example.replacen("mcp-store", "exec mcp-store", 1)])
        .env("PATH", path)
        .env("MCP_STORE_DB", db)
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    if example.contains(" -f") {
        let mut first = [0];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        return;
    }
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{example}: {error}");
    assert!(!error.contains("did you mean"), "{example}: {error}");
}
