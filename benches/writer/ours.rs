//! This crate's store.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tower_mcp_store::event::{Leg, StateDigest, StateKind};
use tower_mcp_store::{EndReason, RequestEvent, Store, StoreEvent};

use crate::case::{self, Case};
use crate::events::Shared;
use crate::process;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(600);

/// Rows that are offered at once to a file that is to be large.
const FILL: usize = 100_000;

/// How long rows come at a given rate.
const SECONDS: u32 = 5;

/// Makes each two requests the legs of one call.
fn in_two_legs(requests: impl Iterator<Item = StoreEvent>) -> impl Iterator<Item = StoreEvent> {
    let mut first: Option<RequestEvent> = None;
    requests.map(move |event| {
        let StoreEvent::Request(mut event) = event else {
            return event;
        };
        let mut leg = Leg::default();
        match first.take() {
            None => {
                event.method = "tools/call".into();
                event.tool.get_or_insert_with(|| "echo".into());
                event.target = None;
                event.end_reason = Some(EndReason::InputRequired);
                leg.state_out = Some(state(&event));
                first = Some(event.clone());
            }
            Some(first) => {
                leg.state_in = Some(state(&first));
                event.session_id = first.session_id;
                event.method = first.method;
                event.tool = first.tool;
                event.target = None;
            }
        }
        event.leg = Some(Box::new(leg));
        StoreEvent::Request(event)
    })
}

/// A state that no other request has.
fn state(event: &RequestEvent) -> StateDigest {
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(event.request_id.as_bytes());
    StateDigest::new(StateKind::State, digest)
}

fn open(path: &Path) -> Store {
    Store::open(path).expect("the store opens")
}

/// All rows as fast as they are taken, from the first one recorded to the
/// return of the flush. The queue takes them all at once, unless `rows` is more
/// than it holds.
pub(crate) fn write(path: &Path, case: &Case) {
    let shared = Shared::new(case.sessions);
    let store = open(path);
    let requests = shared.requests();
    let mut requests: Box<dyn Iterator<Item = StoreEvent>> = match case.legs {
        1 => Box::new(requests),
        _ => Box::new(in_two_legs(requests)),
    };
    shared.sessions().for_each(|event| store.record(event));
    for start in (0..case.fill).step_by(FILL) {
        let count = FILL.min(case.fill - start);
        requests
            .by_ref()
            .take(count)
            .for_each(|event| store.record(event));
        store.flush(LONG).expect("the fill is written");
    }
    let (cpu, start) = (process::cpu(), Instant::now());
    requests
        .take(case.rows)
        .for_each(|event| store.record(event));
    store.flush(LONG).expect("everything is written");
    let (wall, cpu) = (start.elapsed(), process::cpu() - cpu);
    let stats = store.shutdown(LONG).expect("an orderly end");
    case.tell_rows(wall, cpu, path);
    assert_eq!(stats.unlinked, 0);
    case.tell_losses(stats.dropped + stats.failed);
}

/// Nanoseconds for one event, in bursts of this many threads at once.
pub(crate) fn hand_over(path: &Path, case: &Case, threads: usize) {
    const BURST: usize = 2_000;
    let shared = Shared::new(case.sessions);
    let store = open(path);
    let mut requests = shared.requests();
    let rounds = (0..41).map(|_| {
        let mut burst = || requests.by_ref().take(BURST).collect::<Vec<_>>();
        let bursts = (0..threads).map(|_| burst()).collect();
        let nanos = case::at_once(bursts, |event| store.record(event));
        store.flush(LONG).expect("everything is written");
        nanos
    });
    case.tell("ns", case::median(rounds.collect()));
}

/// Nanoseconds for one event when one comes every `pause`.
pub(crate) fn hand_over_seldom(path: &Path, case: &Case, pause: Duration) {
    let shared = Shared::new(case.sessions);
    let store = open(path);
    let nanos = case::seldom(shared.requests(), pause, |event| store.record(event));
    case.tell("ns", nanos);
}

/// What ten seconds without an event cost.
pub(crate) fn idle(path: &Path, case: &Case) {
    let shared = Shared::new(case.sessions);
    let store = open(path);
    shared
        .requests()
        .take(100)
        .for_each(|event| store.record(event));
    store.flush(LONG).expect("everything is written");
    case.tell_idle();
}

/// How long it takes until a reader sees a request, at the given rate of requests per
/// second.
pub(crate) fn visible(path: &Path, case: &Case) {
    let shared = Shared::new(case.sessions);
    let store = open(path);
    shared.sessions().for_each(|event| store.record(event));
    store.flush(LONG).expect("everything is written");
    // The rows come in the order in which they were recorded.
    let recorded: Mutex<VecDeque<Instant>> = Mutex::new(VecDeque::new());
    let is_over = AtomicBool::new(false);
    let mut waits = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let file = Connection::open(path).expect("the file opens");
            let mut newest = file
                .prepare("SELECT coalesce(max(id), 0) FROM requests")
                .expect("valid SQL");
            let (mut seen, mut waits) = (0, Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_millis(1));
                let rows: i64 = newest.query_row([], |row| row.get(0)).expect("a count");
                let now = Instant::now();
                let mut recorded = recorded.lock().expect("no panic");
                let new = recorded.drain(..(rows - seen) as usize);
                waits.extend(new.map(|at| (now - at).as_secs_f64() * 1e3));
                seen = rows;
            }
            waits
        });
        let start = Instant::now();
        for (n, event) in (0..case.rate * SECONDS).zip(shared.requests()) {
            let due = start + Duration::from_secs(1) * n / case.rate;
            let early = due.saturating_duration_since(Instant::now());
            if early > Duration::from_millis(1) {
                thread::sleep(early);
            }
            // Noted before the reader can see it.
            recorded.lock().expect("no panic").push_back(Instant::now());
            store.record(event);
        }
        store.flush(LONG).expect("everything is written");
        thread::sleep(Duration::from_millis(100));
        is_over.store(true, Ordering::Relaxed);
        reader.join().expect("no panic")
    });
    assert_eq!(store.stats().dropped, 0);
    waits.sort_by(f64::total_cmp);
    for (name, share) in [("p50_ms", 50), ("p99_ms", 99), ("max_ms", 100)] {
        case.tell(name, waits[(waits.len() - 1) * share / 100]);
    }
}
