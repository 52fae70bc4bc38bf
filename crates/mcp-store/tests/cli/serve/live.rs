//! The page Live under load.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use tower_mcp_store::{SessionEvent, Store, StoreEvent};

use super::Serve;
use crate::support::{LONG, fresh, request};

/// A browser that watches.
struct Viewer(BufReader<TcpStream>);

impl Viewer {
    fn open(serve: &Serve, conditions: &str) -> Self {
        let mut stream = TcpStream::connect(&serve.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        let host = &serve.address;
        let head = format!("GET /events?{conditions} HTTP/1.1\r\nhost: {host}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut this = Self(BufReader::new(stream));
        this.until("retry:");
        this
    }

    /// Reads up to the line with this text, and returns the number of bytes.
    fn until(&mut self, text: &str) -> usize {
        let mut read = 0;
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            read += self.0.read_line(&mut line).unwrap();
            assert!(!line.is_empty(), "the stream ended");
        }
        read
    }
}

/// Returns a line of `/proc/PID/status`, in KiB.
fn memory(serve: &Serve, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", serve.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Returns the processor time that the server has used.
fn processor_time(serve: &Serve) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", serve.child.id())).unwrap();
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    // The first of them is the third field of the line.
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks: u64 = [11, 12]
        .map(|place| fields[place].parse::<u64>().unwrap())
        .iter()
        .sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn fifty_viewers_with_different_conditions_see_the_newest_of_5000_requests_a_second() {
    const EVENTS: u32 = 15_000;
    let (_dir, db) = fresh();
    let store = Store::open(&db).unwrap();
    let mut session = SessionEvent::new("s");
    session.client_name = Some("claude".into());
    store.record(StoreEvent::Session(session));
    store.flush(LONG).unwrap();
    let serve = Serve::start(&db, &["--no-token"]);
    let viewers: Vec<_> = (0..50)
        .map(|place| {
            let conditions = match place % 5 {
                0 => "tool=*",
                1 => "client=c*&tool=l*",
                2 => "tool=[sl]*&method=tools*",
                3 => "status=ok,timeout",
                _ => "session=s&principal=a*",
            };
            let conditions = format!("{conditions}&min-latency={place}us");
            let mut viewer = Viewer::open(&serve, &conditions);
            thread::spawn(move || viewer.until("<bdi>last</bdi>"))
        })
        .collect();
    let mut event = request();
    event.session_id = Some("s".into());
    event.principal = Some("ann".into());
    event.latency_us = 1_000;
    let (began, used) = (Instant::now(), processor_time(&serve));
    for place in 0..EVENTS {
        // 50 at once, every 10 ms.
        let due = Duration::from_millis(10) * (place / 50);
        thread::sleep(due.saturating_sub(began.elapsed()));
        let mut event = event.clone();
        event.request_id = request().request_id;
        event.tool = Some("search".into());
        store.record(StoreEvent::Request(event));
    }
    let took = began.elapsed();
    event.request_id = request().request_id;
    event.tool = Some("last".into());
    store.record(StoreEvent::Request(event));
    for viewer in viewers {
        // Each message has at most 50 requests.
        assert!(viewer.join().unwrap() < 1_000_000);
    }
    let seen = began.elapsed() - took;
    let stats = store.shutdown(LONG).unwrap();
    assert_eq!((stats.dropped, stats.failed), (0, 0));
    let highest = memory(&serve, "VmHWM");
    println!(
        "wrote for {took:?}, seen {seen:?} later, {highest} KiB, {:?} of processor time",
        processor_time(&serve) - used
    );
    assert!(highest < 100 * 1024, "{highest} KiB");
}
