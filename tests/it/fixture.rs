//! The fixture of the newest version: a file with the tables and rows of this build.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{env, fs};

use tower_mcp_store::event::{Leg, StateDigest, StateKind, TaskId, TaskStatus};
use tower_mcp_store::query::{Reader, RequestFilter};
use tower_mcp_store::{
    EndReason, RequestEvent, RequestStatus, Retention, SCHEMA_VERSION, SessionEvent, Store,
    StoreEvent,
};

use crate::support::{LONG, connect, fixture, fixtures, fresh, value};

/// Writes the fixture.
const COMMAND: &str = "MCP_STORE_TEST_FIXTURE=write cargo test --all-features --test it fixture::";

/// When the first request of the fixture was received.
const START: i64 = 1_775_000_000_000;

/// The requests of the fixture.
const REQUESTS: i64 = 40;

/// Returns the path of the fixture. Writes the fixture first if the environment asks for it.
fn newest() -> &'static Path {
    static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
        let path = fixtures().join(format!("store-v{SCHEMA_VERSION}.db"));
        if env::var_os("MCP_STORE_TEST_FIXTURE").is_some_and(|wish| wish == "write") {
            let (_dir, made) = fresh();
            record(&made);
            fs::copy(made, &path).unwrap();
        }
        path
    });
    &PATH
}

fn open(path: &Path) -> Store {
    // The rows are old.
    let builder = Store::builder(path).retention(Retention::unlimited());
    builder.instance("fixture").open().unwrap()
}

/// Records single calls, a call of two requests, and a task that ended.
fn record(path: &Path) {
    let store = open(path);
    let mut session = SessionEvent::new("session");
    session.started_at = START;
    session.client_name = Some("inspector".into());
    store.record(StoreEvent::Session(session));
    for number in 0..REQUESTS {
        store.record(StoreEvent::Request(request(number)));
    }
    store.shutdown(LONG).unwrap();
}

/// Returns the request with this number.
fn request(number: i64) -> RequestEvent {
    let mut event = RequestEvent::new("tools/call", RequestStatus::Ok);
    event.ts = START + 1_000 * number;
    event.latency_us = 1_500;
    event.session_id = Some("session".into());
    event.tool = Some("search".into());
    let state = StateDigest::new(StateKind::State, [7; 32]);
    let mut leg = Leg::default();
    match number {
        0 => {
            leg.state_out = Some(state);
            event.end_reason = Some(EndReason::InputRequired);
        }
        1 => leg.state_in = Some(state),
        2 => {
            leg.task_id = Some(TaskId::new("task"));
            leg.task_status = Some(TaskStatus::Working);
            event.end_reason = Some(EndReason::Task);
        }
        3 => {
            event.method = "tasks/get".into();
            event.tool = None;
            event.target = Some("task".into());
            leg.task_id = Some(TaskId::new("task"));
            leg.task_status = Some(TaskStatus::Completed);
        }
        4 => {
            event.status = RequestStatus::Error;
            event.error_code = Some("-32603".into());
            event.error_msg = Some("no index".into());
            return event;
        }
        _ => return event,
    }
    event.leg = Some(Box::new(leg));
    event
}

#[test]
fn fixture_of_the_newest_version_has_the_tables_of_this_build() {
    newest();
    let (_fixture, path) = fixture(SCHEMA_VERSION);
    let (_dir, current) = fresh();
    open(&current).shutdown(LONG).unwrap();
    let [found, expected] = [&path, &current].map(|path| {
        let fingerprint = "SELECT value FROM meta WHERE key = 'schema_fingerprint'";
        value::<String>(&connect(path), fingerprint)
    });
    assert_eq!(
        found, expected,
        "the tables of version {SCHEMA_VERSION} changed; write its fixture: {COMMAND}"
    );
}

#[test]
fn fixture_of_the_newest_version_is_read_and_recorded_into() {
    newest();
    let (_dir, path) = fixture(SCHEMA_VERSION);
    let read = || {
        let reader = Reader::open(&path).unwrap();
        let filter = RequestFilter::new();
        let requests = reader.requests(&filter, 100, None).unwrap();
        (requests, reader.operations(&filter, 100, None).unwrap())
    };
    let (requests, operations) = read();
    assert_eq!(requests.len() as i64, REQUESTS);
    assert_eq!(operations.len() as i64, REQUESTS - 1);
    assert!(
        operations
            .iter()
            .all(|operation| operation.ended_ts.is_some())
    );

    let store = open(&path);
    store.record(StoreEvent::Request(request(REQUESTS)));
    store.shutdown(LONG).unwrap();
    let (after, _) = read();
    assert_eq!(after.len() as i64, REQUESTS + 1);
    assert_eq!(after[1..], requests);
}
