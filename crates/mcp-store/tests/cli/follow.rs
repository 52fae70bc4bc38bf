use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tower_mcp_store::query::{Reader, RequestFilter};
use tower_mcp_store::{Store, StoreEvent};

use crate::run::command;
use crate::support::{LONG, fresh, record_requests, request};

/// A command that is ended on drop.
pub(crate) struct Following {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Following {
    fn start(path: &std::path::Path, args: &[&str]) -> Self {
        let args = [&["logs", "--follow", "--json"], args].concat();
        Self::of(command(path, &args).stdout(Stdio::piped()))
    }

    /// Starts a command whose standard output is a pipe.
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Returns the lines of its standard error, which has to be a pipe.
    pub(crate) fn stderr(&mut self) -> std::io::Lines<BufReader<ChildStderr>> {
        BufReader::new(self.child.stderr.take().unwrap()).lines()
    }

    pub(crate) fn next_line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    pub(crate) fn next_id(&mut self) -> String {
        let row: serde_json::Value = serde_json::from_str(&self.next_line()).unwrap();
        row["request_id"].as_str().unwrap().to_owned()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn follow_misses_no_row_of_two_writers_at_10_000_rows_a_second() {
    const EACH: u64 = 10_000;
    let (_dir, path) = fresh();
    let stores = [Store::open(&path).unwrap(), Store::open(&path).unwrap()];
    record_requests(&stores[0], 1);
    stores[0].flush(LONG).unwrap();
    let mut following = Following::start(&path, &["--tail", "1"]);
    let mut found = BTreeSet::from([following.next_id()]);

    let writers = stores.map(|store| {
        thread::spawn(move || {
            let start = Instant::now();
            let mut sent = BTreeSet::new();
            for tick in 1..=EACH / 50 {
                for _ in 0..50 {
                    let event = request();
                    sent.insert(event.request_id.to_string());
                    store.record(StoreEvent::Request(event));
                }
                // 5,000 rows a second each.
                let due = start + Duration::from_millis(10) * u32::try_from(tick).unwrap();
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            let stats = store.shutdown(LONG).unwrap();
            assert_eq!(stats.dropped + stats.failed, 0, "{stats}");
            sent
        })
    });
    let expected = 1 + 2 * EACH as usize;
    while found.len() < expected {
        assert!(found.insert(following.next_id()), "a row was shown twice");
    }
    for writer in writers {
        assert!(writer.join().unwrap().is_subset(&found));
    }
}

#[test]
fn follow_starts_with_the_newest_rows_and_applies_its_filter() {
    let (_dir, path) = fresh();
    let store = Store::open(&path).unwrap();
    record_requests(&store, 5);
    store.flush(LONG).unwrap();
    let newest = Reader::open(&path)
        .unwrap()
        .requests(&RequestFilter::default(), 2, None)
        .unwrap();
    let mut following = Following::start(&path, &["--tail", "2", "--tool", "search"]);
    assert_eq!(following.next_id(), newest[1].request_id);
    assert_eq!(following.next_id(), newest[0].request_id);
    let mut other = request();
    other.tool = Some("other".into());
    store.record(StoreEvent::Request(other));
    let wanted = request();
    let id = wanted.request_id.to_string();
    store.record(StoreEvent::Request(wanted));
    assert_eq!(following.next_id(), id);
    store.shutdown(LONG).unwrap();
}

#[test]
fn follow_waits_for_a_file_that_does_not_exist_yet() {
    let (_dir, path) = fresh();
    let mut command = command(&path, &["logs", "-f", "--json"]);
    let mut following = Following::of(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut told = following.stderr();
    assert!(told.next().unwrap().unwrap().starts_with("waiting for "));
    assert!(!path.exists());
    let store = Store::open(&path).unwrap();
    let event = request();
    let id = event.request_id.to_string();
    store.record(StoreEvent::Request(event));
    assert_eq!(following.next_id(), id);
    store.shutdown(LONG).unwrap();
}
