//! A day of traffic, compressed.
//!
//! `MCP_STORE_TEST_DAY` is the time in seconds for which the day stands, 20 by default. The ages of
//! the retention are scaled like the day, so that rows are removed as soon as others are written.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::process::{Proxy, post, send};
use super::upstream::{Received, Upstream, ok, result};
use crate::run::json;

/// How often memory and descriptors are counted within the day.
const SAMPLES: usize = 90;
const CLIENTS: usize = 4;

fn day() -> Duration {
    let seconds = std::env::var("MCP_STORE_TEST_DAY");
    let seconds = seconds.map_or(20, |seconds| seconds.parse().expect("seconds"));
    Duration::from_secs(seconds)
}

/// A server that begins sessions and answers calls in event streams.
fn answer(request: &Received) -> String {
    static SESSIONS: AtomicUsize = AtomicUsize::new(0);
    if request.body.contains("initialize") {
        let session = SESSIONS.fetch_add(1, Relaxed);
        let head = format!("HTTP/1.1 200 OK\r\nmcp-session-id: s-{session}");
        return result().replacen("HTTP/1.1 200 OK", &head, 1);
    }
    if request.body.contains("tools/call") {
        let text = "x".repeat(2000);
        let result = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"text":"{text}"}}}}"#);
        return ok("text/event-stream", &format!("data: {result}\n\n"));
    }
    result()
}

/// Sends the requests of one session to a proxy at an address.
fn session(address: &str) {
    let request = |method: &str, params: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#)
    };
    let client = r#"{"protocolVersion":"2025-11-25","clientInfo":{"name":"c","version":"1"}}"#;
    let begun = post(address, "/mcp", "", &request("initialize", client));
    let id = begun.split("mcp-session-id: ").nth(1).unwrap();
    let id = format!("mcp-session-id: {}\r\n", id.lines().next().unwrap());
    for tool in ["search", "read", "write"] {
        let call = request("tools/call", &format!(r#"{{"name":"{tool}"}}"#));
        post(address, "/mcp", &id, &call);
        post(address, "/mcp", &id, &request("ping", "{}"));
    }
    // A client that leaves within its request.
    let mut leaving = TcpStream::connect(address).unwrap();
    let head = "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n";
    let half = format!("{head}{id}content-length: 99\r\n\r\n{{");
    leaving.write_all(half.as_bytes()).unwrap();
    drop(leaving);
    let delete = "DELETE /mcp HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n";
    send(address, &format!("{delete}{id}\r\n"));
}

/// What a process holds.
struct Held {
    /// Resident memory in KiB.
    memory: u64,
    descriptors: usize,
}

impl Held {
    fn by(id: u32) -> Self {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let memory = memory.unwrap().trim().trim_end_matches(" kB").parse();
        Self {
            memory: memory.unwrap(),
            descriptors: fs::read_dir(format!("/proc/{id}/fd")).unwrap().count(),
        }
    }
}

/// Returns the value in the middle.
fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> T {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}

#[test]
fn memory_and_descriptors_stay_flat_over_a_day_with_retention() {
    let dir = TempDir::new().unwrap();
    let db = dir.path().join("mcp.db");
    let upstream = Upstream::start(answer);
    let day = day();
    // Rows of two hours, and polls of half an hour.
    let age = format!("{}ms", day.as_millis() / 12);
    let polls = format!("{}ms", day.as_millis() / 48);
    let url = upstream.url();
    let mut arguments = vec!["--upstream", &url, "--retention-age", &age];
    // A round of removal begins after events of a sixteenth of the size.
    arguments.extend(["--retention-polls", &polls, "--retention-size", "4MiB"]);
    let mut proxy = Proxy::start(&db, &arguments);
    let (address, id) = (proxy.address.clone(), proxy.id());
    session(&address);
    // From now on the output is read, as a terminal or journal does.
    proxy.output.wait_for("initialize");
    let ended = AtomicBool::new(false);
    let held: Vec<Held> = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !ended.load(Relaxed) {
                    session(&address);
                }
            });
        }
        let begun = Instant::now();
        let sample = |nth: usize| {
            let due = begun + day / SAMPLES as u32 * nth as u32;
            thread::sleep(due.saturating_duration_since(Instant::now()));
            Held::by(id)
        };
        let held = (1..=SAMPLES).map(sample).collect();
        ended.store(true, Relaxed);
        held
    });

    let info = &json(&db, &["info"])[0];
    let written = info["counters"]["written"].as_u64().unwrap();
    let kept = info["requests"].as_u64().unwrap();
    assert!(kept < written / 2, "{kept} of {written} rows are kept");
    proxy.stop();
    let log = proxy.log.rest().join("\n");
    assert!(log.contains(" 0 failed, 0 dropped, "), "{log}");

    let third = SAMPLES / 3;
    let memory = |part: &[Held]| median(part.iter().map(|held| held.memory));
    let descriptors = |part: &[Held]| median(part.iter().map(|held| held.descriptors));
    let (second, last) = (&held[third..2 * third], &held[2 * third..]);
    println!(
        "{written} events in {day:?}: {} KiB and {} descriptors, then {} KiB and {}",
        memory(second),
        descriptors(second),
        memory(last),
        descriptors(last)
    );
    let slack = memory(second) / 20;
    assert!(memory(last) <= memory(second) + slack, "memory grows");
    // Each client has one connection open, or two in the moment between two requests.
    let slack = 4 * CLIENTS;
    assert!(
        descriptors(last) <= descriptors(second) + slack,
        "descriptors grow"
    );
}
