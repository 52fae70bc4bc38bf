//! Another process that has the file open.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tower_mcp_store::Store;

use crate::support::{LONG, connect, record_requests};

const PATH: &str = "MCP_STORE_TEST_OTHER_PATH";
const SQL: &str = "MCP_STORE_TEST_OTHER_SQL";

/// A process that has run some SQL on the file, and holds what locks that gave
/// it until it is dropped.
pub(crate) struct Holder(Child);

impl Holder {
    pub(crate) fn of(path: &Path, sql: &str) -> Self {
        let mut child = test("other::the_holder")
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
    let conn = connect(Path::new(&std::env::var_os(PATH).unwrap()));
    conn.execute_batch(&std::env::var(SQL).unwrap()).unwrap();
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
