//! Operations that are open when their first request is removed.

use tower_mcp_store::event::{Leg, StateDigest, StateKind, TaskId, TaskStatus};
use tower_mcp_store::query::{Reader, RequestFilter, SessionFilter, StatsFilter};
use tower_mcp_store::{
    EndReason, Outcome, RequestEvent, RequestStatus, Retention, SessionEvent, Store, StoreEvent,
};

use super::{DAY_MS, await_value, end, now};
use crate::support::{LONG, connect, fresh, value};

/// Returns a request of the session `s` that takes 10 ms.
fn request(ts: i64, method: &'static str, leg: impl FnOnce(&mut Leg)) -> RequestEvent {
    let mut event = RequestEvent::new(method, RequestStatus::Ok);
    event.ts = ts;
    event.latency_us = 10_000;
    event.session_id = Some("s".into());
    leg(event.leg.get_or_insert_default());
    event
}

/// Returns a call of `ask` with the state that it brings back, and the state that its
/// answer gives.
fn round(ts: i64, brings: Option<u8>, gives: Option<u8>) -> RequestEvent {
    let state = |number| StateDigest::new(StateKind::State, [number; 32]);
    let mut event = request(ts, "tools/call", |leg| {
        (leg.state_in, leg.state_out) = (brings.map(state), gives.map(state));
    });
    event.tool = Some("ask".into());
    event.end_reason = gives.map(|_| EndReason::InputRequired);
    event
}

/// Returns a call of `render` that is answered with a task.
fn task(ts: i64) -> RequestEvent {
    let mut event = request(ts, "tools/call", |leg| {
        leg.task_id = Some(TaskId::new("t"));
        leg.task_status = Some(TaskStatus::Working);
    });
    event.tool = Some("render".into());
    event.end_reason = Some(EndReason::Task);
    event
}

fn record(store: &Store, events: impl IntoIterator<Item = RequestEvent>) {
    for event in events {
        store.record(StoreEvent::Request(event));
    }
}

#[test]
fn operations_whose_first_request_is_removed_stay_counted_and_are_no_longer_listed() {
    let (_dir, path) = fresh();
    let (old, new) = (now() - 40 * DAY_MS, now() - DAY_MS);
    let store = Store::builder(&path).retention(Retention::unlimited());
    let store = store.open().unwrap();
    let mut session = SessionEvent::new("s");
    session.started_at = old;
    store.record(StoreEvent::Session(session));
    record(
        &store,
        [
            round(old, None, Some(1)),
            round(new, Some(1), Some(2)),
            task(old + 1),
        ],
    );
    end(&store);

    let store = Store::open(&path).unwrap();
    let conn = connect(&path);
    await_value(&conn, "SELECT count(*) FROM requests", 1);
    await_value(&conn, "SELECT count(*) FROM tasks", 0);
    // The client goes on with both calls.
    let last = round(now(), Some(2), None);
    let last_id = last.request_id.to_string();
    let mut poll = request(now(), "tasks/get", |leg| {
        leg.task_id = Some(TaskId::new("t"));
        leg.task_status = Some(TaskStatus::Completed);
    });
    poll.target = Some("t".into());
    record(&store, [last, poll]);
    store.shutdown(LONG).unwrap();

    let reader = Reader::open(&path).unwrap();
    let stats = |tool: &str| {
        let stats = reader.stats(&StatsFilter::new().tool(tool)).unwrap().total;
        (stats.calls, stats.open)
    };
    assert_eq!((stats("ask"), stats("render")), ((1, 0), (1, 1)));
    let hours = "SELECT sum(calls) || ' ' || sum(ended) FROM hourly_stats";
    assert_eq!(value::<String>(&conn, hours), "3 2");
    let sessions = reader.sessions(&SessionFilter::new(), 9).unwrap();
    assert_eq!((sessions[0].operations, sessions[0].total_calls), (3, 5));

    let listed = reader.operations(&RequestFilter::new(), 9, None).unwrap();
    let listed: Vec<&str> = listed
        .iter()
        .map(|operation| &*operation.legs[0].request.method)
        .collect();
    assert_eq!(listed, ["tasks/get"]);
    let view = "SELECT group_concat(mcp_method_name) FROM operations";
    assert_eq!(value::<String>(&conn, view), "tasks/get");

    // The requests that are left are listed, and lead to the rest of their operation.
    let requests = reader.requests(&RequestFilter::new(), 9, None).unwrap();
    assert_eq!(requests.len(), 3);
    let rest = reader.find_operation(&last_id).unwrap().one().unwrap();
    let legs: Vec<Option<i64>> = rest.legs.iter().map(|leg| leg.request.leg).collect();
    assert_eq!(legs, [Some(2), Some(3)]);
    assert_eq!((rest.outcome, rest.server_us), (Outcome::Ok, Some(20_000)));
}
