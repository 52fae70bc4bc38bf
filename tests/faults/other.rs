//! Another process that has the file open.

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rusqlite::Connection;
use tower_mcp_store::Store;

use crate::support::{LONG, record_requests};

const PATH: &str = "MCP_STORE_TEST_OTHER_PATH";
const SQL: &str = "MCP_STORE_TEST_OTHER_SQL";
const IN_VAIN: &str = "MCP_STORE_TEST_OTHER_IN_VAIN";

/// A process that has run some SQL on the file, and holds what locks that gave
/// it until it is dropped.
pub(crate) struct Holder(Child);

impl Holder {
    pub(crate) fn of(path: &Path, sql: &str) -> Self {
        Self::start(&mut test("other::the_holder"), path, sql)
    }

    /// The same, whether or not the SQL can be run.
    pub(crate) fn in_vain(path: &Path, sql: &str) -> Self {
        let mut command = test("other::the_holder");
        Self::start(command.env(IN_VAIN, "1"), path, sql)
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
fn the_holder() {
    // As sqlite3 does, it creates what is missing.
    let conn = Connection::open(std::env::var_os(PATH).unwrap()).unwrap();
    conn.pragma_update(None, "busy_timeout", 30_000).unwrap();
    let done = conn.execute_batch(&std::env::var(SQL).unwrap());
    if std::env::var_os(IN_VAIN).is_none() {
        done.unwrap();
    }
    println!("ready");
    // Until the other end is closed.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// A process that records so many requests into the file.
pub(crate) fn writer(path: &Path) -> Child {
    test("other::the_writer").env(PATH, path).spawn().unwrap()
}

/// How many requests [`writer`] records.
pub(crate) const WRITES: u64 = 5_000;

#[test]
#[ignore = "run in a process of its own by other tests"]
fn the_writer() {
    let store = Store::open(std::env::var_os(PATH).unwrap()).unwrap();
    for _ in 0..WRITES / 100 {
        record_requests(&store, 100);
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!((stats.written, stats.dropped), (WRITES, 0));
}

fn test(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--ignored", "--exact", "--nocapture", name]);
    command
}

/// A process that has a store open and records when it is asked to.
pub(crate) struct Recorder {
    child: Child,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Recorder {
    pub(crate) fn of(path: &Path) -> Self {
        let mut child = test("other::the_recorder")
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

    /// Has it record so many requests and wait until they are written.
    pub(crate) fn record(&mut self, count: u64) {
        assert_eq!(self.ask(&format!("record {count}")), "done");
    }

    /// Has it record so many requests.
    pub(crate) fn queue(&mut self, count: u64) {
        assert_eq!(self.ask(&format!("queue {count}")), "done");
    }

    /// Shuts it down; how many requests were written and dropped.
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
        self.tell(line);
        self.answer()
    }

    /// Asks without waiting for the answer.
    pub(crate) fn tell(&mut self, line: &str) {
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
fn the_recorder() {
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
