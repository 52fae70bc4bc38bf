//! Another process that has the file open.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rusqlite::Connection;
use tower_mcp_store::Store;

use crate::support::{LONG, child, record_requests};

const PATH: &str = "MCP_STORE_TEST_OTHER_PATH";
const SQL: &str = "MCP_STORE_TEST_OTHER_SQL";
const MAY_FAIL: &str = "MCP_STORE_TEST_OTHER_MAY_FAIL";

/// A process that has run some SQL on the file. It holds the locks of that SQL until it is dropped.
pub(crate) struct Holder(Child);

impl Holder {
    pub(crate) fn of(path: &Path, sql: &str) -> Self {
        Self::start(&mut child::test("other_process::holder_process"), path, sql)
    }

    /// Does the same, and accepts that the SQL fails.
    pub(crate) fn that_may_fail(path: &Path, sql: &str) -> Self {
        let mut command = child::test("other_process::holder_process");
        Self::start(command.env(MAY_FAIL, "1"), path, sql)
    }

    fn start(command: &mut Command, path: &Path, sql: &str) -> Self {
        let mut child = command
            .env(PATH, path)
            .env(SQL, sql)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.as_mut().unwrap());
        let is_ready = |line: String| line.contains("ready");
        assert!(output.lines().map_while(Result::ok).any(is_ready));
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[test]
#[ignore = "run in a process of its own by other tests"]
fn holder_process() {
    // Creates a missing file, as sqlite3 does.
    let conn = Connection::open(std::env::var_os(PATH).unwrap()).unwrap();
    conn.pragma_update(None, "busy_timeout", 30_000).unwrap();
    let done = conn.execute_batch(&std::env::var(SQL).unwrap());
    if std::env::var_os(MAY_FAIL).is_none() {
        done.unwrap();
    }
    println!("ready");
    // Until the parent closes its end.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Starts a process that records [`WRITES`] requests into the file.
pub(crate) fn writer(path: &Path) -> Child {
    child::test("other_process::writer_process")
        .env(PATH, path)
        .spawn()
        .unwrap()
}

/// How many requests [`writer`] records.
pub(crate) const WRITES: u64 = 5_000;

#[test]
#[ignore = "run in a process of its own by other tests"]
fn writer_process() {
    let store = Store::open(std::env::var_os(PATH).unwrap()).unwrap();
    for _ in 0..WRITES / 100 {
        record_requests(&store, 100);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!((stats.written, stats.dropped), (WRITES, 0));
}

/// A process that has a store open and records on request.
pub(crate) struct Recorder {
    child: Child,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Recorder {
    pub(crate) fn of(path: &Path) -> Self {
        let mut child = child::test("other_process::recorder_process")
            .env(PATH, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut recorder = Self { child, answers };
        assert_eq!(recorder.answer(), "open");
        recorder
    }

    /// Makes it record `count` requests and waits until they are written.
    pub(crate) fn record(&mut self, count: u64) {
        assert_eq!(self.ask(&format!("record {count}")), "done");
    }

    /// Makes it record `count` requests.
    pub(crate) fn queue(&mut self, count: u64) {
        assert_eq!(self.ask(&format!("queue {count}")), "done");
    }

    /// Shuts it down. Returns how many requests it wrote and dropped.
    pub(crate) fn end(mut self) -> (u64, u64) {
        let answer = self.ask("end");
        let (written, dropped) = answer.split_once(' ').unwrap();
        assert!(self.child.wait().unwrap().success());
        (written.parse().unwrap(), dropped.parse().unwrap())
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn ask(&mut self, line: &str) -> String {
        self.send(line);
        self.answer()
    }

    /// Sends a command without waiting for the answer.
    pub(crate) fn send(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        writeln!(input, "{line}").unwrap();
    }

    fn answer(&mut self) -> String {
        let lines = self.answers.by_ref().map_while(Result::ok);
        let mut answers = lines.filter_map(|line| Some(line.split_once('!')?.1.to_owned()));
        answers.next().expect("the recorder is alive")
    }
}

#[test]
#[ignore = "run in a process of its own by other tests"]
fn recorder_process() {
    let store = Store::open(std::env::var_os(PATH).unwrap()).unwrap();
    println!("!open");
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (what, count) = line.split_once(' ').unwrap_or((&line, "0"));
        record_requests(&store, count.parse().unwrap());
        match what {
            "record" => store.flush(LONG).unwrap(),
            "queue" => {}
            _ => break,
        }
        println!("!done");
    }
    let stats = store.shutdown(LONG).unwrap();
    println!("!{} {}", stats.written, stats.dropped);
}
