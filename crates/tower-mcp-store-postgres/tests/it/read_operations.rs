//! Whole operations of a fleet are those of a file, also if their requests are in several files.

use tower_mcp_store::event::{Leg, StateDigest, StateKind, TaskId, TaskStatus};
use tower_mcp_store::query::{OperationKind, Reader, RequestFilter};
use tower_mcp_store::{EndReason, Outcome, RequestEvent, RequestStatus, StoreEvent};

use crate::read::{HOUR, START, filters, json_of, open, shipped};
use crate::support::{self, Database, LONG, Replica, blocking, init, request};

/// Takes the ids of files from the requests of operations.
fn without_stores(mut operations: serde_json::Value) -> serde_json::Value {
    for operation in operations.as_array_mut().unwrap() {
        for leg in operation["legs"].as_array_mut().unwrap() {
            let store = leg.as_object_mut().unwrap().remove("store_id");
            assert!(store.is_some());
        }
    }
    operations
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_of_each_filter_are_those_of_the_file() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replica) = shipped(&server).await;
    let (target, path) = (database.target(), replica.path().to_owned());
    blocking(move || {
        let (file, mut fleet) = (Reader::open(path).unwrap(), open(&target));
        let mut kinds = Vec::new();
        for filter in filters() {
            for limit in [5, 1_000] {
                let expected = file.operations(&filter, limit, None).unwrap();
                let answer = json_of(&fleet.operations(&filter, limit).unwrap());
                assert_eq!(without_stores(answer), json_of(&expected), "{filter:?}");
                kinds.extend(expected.iter().map(|found| found.kind));
            }
        }
        for kind in [OperationKind::MultiRound, OperationKind::Task] {
            assert!(kinds.contains(&kind), "{kind:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_request_finds_the_operation_that_it_finds_in_the_file() {
    let Some(server) = support::postgres() else {
        return;
    };
    let (database, replica) = shipped(&server).await;
    let (target, path) = (database.target(), replica.path().to_owned());
    blocking(move || {
        let (file, mut fleet) = (Reader::open(path).unwrap(), open(&target));
        for request in file.requests(&RequestFilter::new(), 1_000, None).unwrap() {
            let id = &request.request_id;
            let expected = file.find_operation(id).unwrap().one();
            let answer = json_of(&[fleet.find_operation(id).unwrap()]);
            assert_eq!(without_stores(answer), json_of(&[expected]));
        }
        assert_eq!(fleet.find_operation("none").unwrap(), None);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_with_an_outcome_are_found_behind_many_with_another_one() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replica = Replica::new();
    for number in 0..1_203_u16 {
        let mut event = request();
        event.ts = START - i64::from(number / 700);
        if number < 1_200 {
            let mut state = [0; 32];
            state[..2].copy_from_slice(&number.to_be_bytes());
            let mut leg = Leg::default();
            leg.state_out = Some(StateDigest::new(StateKind::State, state));
            event.end_reason = Some(EndReason::InputRequired);
            event.leg = Some(Box::new(leg));
        } else {
            event.status = RequestStatus::Timeout;
        }
        replica.store().record(StoreEvent::Request(event));
    }
    replica.store().flush(LONG).unwrap();
    replica.ship(database.target()).await.unwrap();
    let (target, path) = (database.target(), replica.path().to_owned());
    blocking(move || {
        let (file, mut fleet) = (Reader::open(path).unwrap(), open(&target));
        for (outcome, limit, count) in [
            (Outcome::Timeout, 2, 2),
            (Outcome::Timeout, 9, 3),
            (Outcome::Ok, 9, 0),
            (Outcome::InputRequired, 4, 4),
        ] {
            let filter = RequestFilter::new().outcomes([outcome]);
            let expected = file.operations(&filter, limit, None).unwrap();
            assert_eq!(expected.len(), count);
            let answer = json_of(&fleet.operations(&filter, limit).unwrap());
            assert_eq!(without_stores(answer), json_of(&expected), "{outcome:?}");
        }
    })
    .await;
}

fn record(replica: &Replica, event: RequestEvent) {
    replica.store().record(StoreEvent::Request(event));
    replica.store().flush(LONG).unwrap();
}

/// Ships the three requests of a call, each from a file of its own.
async fn three_rounds(database: &Database) {
    let state = |number| Some(StateDigest::new(StateKind::State, [number; 32]));
    for (round, (state_in, state_out, end_reason)) in (0..).zip([
        (None, state(1), Some(EndReason::InputRequired)),
        (state(1), state(2), Some(EndReason::InputRequired)),
        (state(2), None, None),
    ]) {
        let replica = Replica::with_key([7; 32]);
        let mut leg = Leg::default();
        (leg.state_in, leg.state_out) = (state_in, state_out);
        let mut event = request();
        event.ts = START + 1_000 * round;
        event.latency_us = 100;
        event.session_id = Some("s".into());
        event.principal = Some("ann".into());
        event.end_reason = end_reason;
        event.leg = Some(Box::new(leg));
        record(&replica, event);
        replica.ship(database.target()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_in_any_of_three_files_finds_the_whole_call() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    three_rounds(&database).await;
    let target = database.target();
    blocking(move || {
        let mut fleet = open(&target);
        let all = fleet.operations(&RequestFilter::new(), 9).unwrap();
        let [call] = &all[..] else {
            panic!("{all:?}");
        };
        let found = (
            call.kind,
            call.outcome,
            call.server_us,
            call.wall_us,
            call.client_us,
        );
        let expected = (
            OperationKind::MultiRound,
            Outcome::Ok,
            Some(300),
            Some(2_000_100),
            Some(1_999_800),
        );
        assert_eq!(found, expected);
        let pauses: Vec<_> = call.legs.iter().map(|leg| leg.client_us).collect();
        assert_eq!(pauses, [None, Some(999_900), Some(999_900)]);
        let mut stores: Vec<_> = call.legs.iter().map(|leg| &leg.request.store_id).collect();
        stores.sort_unstable();
        stores.dedup();
        assert_eq!(stores.len(), 3);
        let requests = fleet.requests(&RequestFilter::new(), 9).unwrap();
        assert_eq!(requests.len(), 3);
        for request in requests {
            let found = fleet.find_operation(&request.request.request_id).unwrap();
            assert_eq!(found.as_ref(), Some(call));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn call_over_three_files_is_one_call_of_its_principal() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    three_rounds(&database).await;
    let target = database.target();
    let callers = blocking(move || open(&target).callers(&Default::default()).unwrap());
    let callers = callers.await;
    assert_eq!((callers[0].calls, callers[0].requests), (1, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn task_that_is_polled_at_another_file_has_ended() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    for (method, after, status) in [
        ("tools/call", 0, TaskStatus::Working),
        ("tasks/get", 30, TaskStatus::Completed),
    ] {
        let replica = Replica::new();
        let mut leg = Leg::default();
        leg.task_id = Some(TaskId::new("task 1"));
        leg.task_status = Some(status);
        let mut event = RequestEvent::new(method, RequestStatus::Ok);
        event.ts = START + HOUR + after;
        event.latency_us = 1_000;
        event.session_id = Some("s".into());
        event.end_reason = (method == "tools/call").then_some(EndReason::Task);
        event.leg = Some(Box::new(leg));
        record(&replica, event);
        replica.ship(database.target()).await.unwrap();
    }
    let target = database.target();
    let filter = RequestFilter::new()
        .outcomes([Outcome::Ok])
        .method("tools/call");
    let found = blocking(move || open(&target).operations(&filter, 9).unwrap());
    let found = found.await;
    let task = found[0].task.as_ref().unwrap();
    assert_eq!(found[0].ended_ts, Some(START + HOUR + 31));
    assert_eq!(task.ended_ts, found[0].ended_ts);
    assert_eq!(task.updated_ts, START + HOUR + 31);
    assert!(
        task.status
            .as_ref()
            .is_some_and(|status| *status == TaskStatus::Completed)
    );
    assert_eq!((task.outcome, task.polls), (Some(Outcome::Ok), 1));
}
