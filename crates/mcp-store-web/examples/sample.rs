//! Writes a record of one week of invented traffic, for the pictures and the browser tests.
//!
//! ```sh
//! cargo run -p mcp-store-web --example sample -- sample.db
//! ```
//!
//! Each run writes the same calls, which end at the time of the run. Two days before its end, the
//! tool `search_flights` changes. From then on it is slower, and fails for one client.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tower_mcp_store::event::{Leg, StateDigest, StateKind};
use tower_mcp_store::{
    EndReason, RequestEvent, RequestStatus, Retention, SchemaVersionEvent, SessionEvent, Store,
    StoreEvent,
};

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// The clients, each with its version, its revision of MCP and its part of the sessions.
const CLIENTS: [(&str, &str, &str, u64); 4] = [
    ("claude-code", "2.1.3", "2025-11-25", 45),
    ("Cursor", "1.9.0", "2025-06-18", 30),
    ("openai-mcp", "1.0.0", "2025-06-18", 15),
    ("my-agent", "0.4.2", "2025-03-26", 10),
];

/// The tools, each with its usual latency in microseconds and its part of the calls.
const TOOLS: [(&str, u64, u64); 5] = [
    ("search_flights", 180_000, 45),
    ("book_flight", 900_000, 20),
    ("get_weather", 40_000, 25),
    ("cancel_booking", 300_000, 5),
    ("convert_currency", 3_000, 5),
];

/// Pseudo-random numbers, which are the same in each run.
struct Numbers(u64);

impl Numbers {
    /// Returns a number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// Returns the place of one of some parts, which add up to 100.
    fn one_of(&mut self, parts: impl IntoIterator<Item = u64>) -> usize {
        let mut left = self.below(100);
        let mut place = 0;
        for part in parts {
            if left < part {
                break;
            }
            left -= part;
            place += 1;
        }
        place
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: sample FILE")?;
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let store = Store::builder(&path)
        .retention(Retention::unlimited())
        .open()?;
    let changed = now - 2 * DAY;
    listing(&store, now - 7 * DAY, "Finds flights.", "{}", "a");
    listing(
        &store,
        changed,
        "Finds flights of all airlines.",
        r#"{"type":"object","required":["from","to","airline"],"properties":{"from":{"type":"string"},"to":{"type":"string"},"airline":{"type":"string"}}}"#,
        "b",
    );
    let mut numbers = Numbers(1);
    let mut start = now - 7 * DAY;
    let mut session = 0;
    while start < now {
        session += 1;
        let day = (start % DAY) / (DAY / 24);
        // Fewer sessions at night.
        let pause = if (7..20).contains(&day) { 12 } else { 50 };
        one_session(&store, &mut numbers, session, start, now, changed);
        start += MINUTE * i64::try_from(1 + numbers.below(2 * pause))?;
    }
    store.shutdown(Duration::from_secs(30))?;
    losses(&path)
}

fn listing(store: &Store, ts: i64, description: &str, schema: &str, hash: &str) {
    let tools: Vec<String> = TOOLS
        .iter()
        .map(|(name, ..)| {
            let (text, schema) = match *name {
                "search_flights" => (description, schema),
                _ => ("Does what its name says.", "{}"),
            };
            format!(r#"{{"name":"{name}","description":"{text}","inputSchema":{schema}}}"#)
        })
        .chain([r#"{"name":"list_airports","inputSchema":{}}"#.to_owned()])
        .collect();
    let payload = format!(r#"{{"tools":[{}]}}"#, tools.join(","));
    let mut event = SchemaVersionEvent::new("tools/list", payload, hash.repeat(64));
    event.ts = ts;
    store.record(StoreEvent::SchemaVersion(event));
}

fn one_session(
    store: &Store,
    numbers: &mut Numbers,
    number: u64,
    start: i64,
    now: i64,
    changed: i64,
) {
    let id: Arc<str> = format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into();
    let (client, version, protocol, _) = CLIENTS[numbers.one_of(CLIENTS.map(|(.., part)| part))];
    let mut session = SessionEvent::new(Arc::clone(&id));
    session.started_at = start;
    session.client_name = Some(client.into());
    session.client_version = Some(version.into());
    session.protocol_version = Some(protocol.into());
    session.server_name = Some("travel".into());
    session.server_version = Some("3.2.0".into());
    store.record(StoreEvent::Session(session));
    let mut ts = start;
    let request = |method: &'static str, ts| {
        let mut event = RequestEvent::new(method, RequestStatus::Ok);
        event.ts = ts;
        event.session_id = Some(Arc::clone(&id));
        event.protocol_version = Some(protocol.into());
        event.http_status = Some(200);
        event
    };
    for method in ["initialize", "tools/list"] {
        let mut event = request(method, ts);
        event.latency_us = 1_000 + numbers.below(2_000);
        store.record(StoreEvent::Request(event));
        ts += 40;
    }
    for _ in 0..2 + numbers.below(9) {
        ts += i64::try_from(200 + numbers.below(8_000)).unwrap_or(0);
        if ts >= now {
            break;
        }
        let (tool, usual, _) = TOOLS[numbers.one_of(TOOLS.map(|(.., part)| part))];
        let mut event = request("tools/call", ts);
        event.tool = Some(tool.into());
        event.bytes_in = Some(120 + numbers.below(100));
        event.bytes_out = Some(400 + numbers.below(9_000));
        let slow = if numbers.below(50) == 0 { 12 } else { 1 };
        event.latency_us = (usual / 2 + numbers.below(usual)) * slow;
        let is_changed = tool == "search_flights" && ts >= changed;
        if is_changed {
            event.latency_us *= 4;
        }
        if tool == "book_flight" && numbers.below(4) == 0 {
            ts = asked_for_input(store, numbers, event, number, ts);
            continue;
        }
        fail(&mut event, numbers, client, is_changed);
        store.record(StoreEvent::Request(event));
    }
    if numbers.below(3) > 0 && ts < now {
        store.record(StoreEvent::SessionClosed {
            session_id: id,
            ended_at: ts + 5_000,
        });
    }
}

/// Lets some calls fail.
fn fail(event: &mut RequestEvent, numbers: &mut Numbers, client: &str, is_changed: bool) {
    let lot = numbers.below(1_000);
    if is_changed && client == "Cursor" && lot < 600 {
        event.status = RequestStatus::Error;
        event.error_code = Some("-32602".into());
        event.error_msg = Some("missing argument: airline".into());
    } else if lot < 15 {
        event.status = RequestStatus::Timeout;
        event.error_msg = Some("Gateway Timeout".into());
        event.http_status = Some(504);
        event.latency_us = 30_000_000;
    } else if lot < 40 {
        event.tool_error = true;
    } else if lot < 50 {
        event.status = RequestStatus::Error;
        event.error_code = Some("-32603".into());
        event.error_msg = Some("database is not reachable".into());
    } else if lot < 60 {
        event.status = RequestStatus::Error;
        event.end_reason = Some(EndReason::ClientGone);
    }
}

/// Records a call that asks the client for input and then ends. Returns when.
fn asked_for_input(
    store: &Store,
    numbers: &mut Numbers,
    mut first: RequestEvent,
    number: u64,
    ts: i64,
) -> i64 {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_le_bytes());
    digest[8..16].copy_from_slice(&ts.to_le_bytes());
    let state = StateDigest::new(StateKind::State, digest);
    let mut second = first.clone();
    second.request_id = RequestEvent::new("x", RequestStatus::Ok).request_id;
    first.end_reason = Some(EndReason::InputRequired);
    let latency = i64::try_from(first.latency_us / 1_000).unwrap_or(0);
    let end = ts + latency + i64::try_from(2_000 + numbers.below(20_000)).unwrap_or(0);
    second.ts = end;
    let leg = |state_in, state_out| {
        let mut leg = Leg::default();
        (leg.state_in, leg.state_out) = (state_in, state_out);
        Some(Box::new(leg))
    };
    first.leg = leg(None, Some(state));
    second.leg = leg(Some(state), None);
    store.record(StoreEvent::Request(first));
    store.record(StoreEvent::Request(second));
    end
}

/// Records more than a short queue holds, so that some requests are lost.
fn losses(path: &str) -> Result<(), Box<dyn Error>> {
    let store = Store::builder(path)
        .retention(Retention::unlimited())
        .queue_events(16)
        .open()?;
    for _ in 0..400 {
        let mut event = RequestEvent::new("tools/call", RequestStatus::Ok);
        event.tool = Some("get_weather".into());
        event.latency_us = 30_000;
        store.record(StoreEvent::Request(event));
    }
    store.shutdown(Duration::from_secs(30))?;
    Ok(())
}
