//! Calls whose requests went to several replicas.

use tower_mcp_store::event::{Leg, StateDigest, StateKind};
use tower_mcp_store::query::{GroupBy, RequestFilter, StatsFilter};
use tower_mcp_store::{EndReason, StoreEvent};
use tower_mcp_store_postgres::FleetReader;

use crate::support::{self, Database, LONG, Replica, blocking, init, request};

/// Three replicas with one key, and a time at which their requests begin.
struct Replicas {
    files: [Replica; 3],
    began: i64,
    kind: StateKind,
}

impl Replicas {
    fn of(kind: StateKind) -> Self {
        Self {
            files: [0; 3].map(|_| Replica::with_key([7; 32])),
            began: request().ts,
            kind,
        }
    }

    /// Records a request at a replica, `after` milliseconds after the first one. The request sends
    /// the state `got` back. Its answer gives the state `gave`, or ends the call.
    fn record(&self, replica: usize, after: i64, got: Option<u8>, gave: Option<u8>) {
        let state = |number: u8| StateDigest::new(self.kind, [number; 32]);
        let mut leg = Leg::default();
        (leg.state_in, leg.state_out) = (got.map(state), gave.map(state));
        let mut event = request();
        event.ts = self.began + after;
        event.latency_us = 100;
        event.session_id = Some("s".into());
        event.end_reason = gave.map(|_| EndReason::InputRequired);
        event.leg = Some(Box::new(leg));
        let store = self.files[replica].store();
        store.record(StoreEvent::Request(event));
        store.flush(LONG).unwrap();
    }

    /// Ships all files. Returns the operations, in order.
    async fn operations(&self, database: &Database) -> Vec<String> {
        for replica in &self.files {
            replica.ship(database.target()).await.unwrap();
        }
        let sql = format!(
            "SELECT format('%s at %s: %s %s %s %s', kind, ts - {}, legs, server_us, wall_us, outcome)
             FROM operations ORDER BY ts, operation_id",
            self.began
        );
        database.texts(&sql).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn call_whose_rounds_went_to_three_replicas_is_one_operation() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replicas = Replicas::of(StateKind::State);
    replicas.record(0, 0, None, Some(1));
    replicas.record(1, 1_000, Some(1), Some(2));
    replicas.record(2, 2_000, Some(2), None);
    let expected = ["multi_round at 0: 3 300 2000100 ok"];
    assert_eq!(replicas.operations(&database).await, expected);
    assert_eq!(database.number("SELECT calls FROM tool_stats").await, 1);
    let target = database.target();
    let stats = blocking(move || {
        let mut fleet = FleetReader::open(&target).unwrap();
        fleet.stats(&StatsFilter::new()).unwrap()
    });
    let total = stats.await.total;
    assert_eq!((total.calls, total.open), (1, 0));
    assert_eq!(
        (total.max_us, total.wall_max_us),
        (Some(300), Some(2_000_100))
    );
    let target = database.target();
    let groups = blocking(move || {
        let mut fleet = FleetReader::open(&target).unwrap();
        fleet
            .breakdown(&RequestFilter::new(), &[GroupBy::Tool])
            .unwrap()
    });
    let groups = groups.await;
    assert_eq!((groups[0].calls, groups[0].requests), (1, 3));
    assert_eq!(groups[0].max_us, Some(300));
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_two_replicas_got_is_a_part_of_its_call_at_both() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replicas = Replicas::of(StateKind::State);
    replicas.record(0, 0, None, Some(1));
    // Both answer with the same state.
    replicas.record(1, 1_000, Some(1), Some(2));
    replicas.record(2, 1_001, Some(1), Some(2));
    replicas.record(0, 2_000, Some(2), None);
    let expected = ["multi_round at 0: 4 400 2000100 ok"];
    assert_eq!(replicas.operations(&database).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn state_that_two_calls_had_within_an_hour_links_only_the_first() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replicas = Replicas::of(StateKind::State);
    replicas.record(0, 0, None, Some(1));
    replicas.record(1, 1_000, Some(1), None);
    replicas.record(2, 2_000, None, Some(1));
    // For this file alone it would answer the first call.
    replicas.record(0, 3_000, Some(1), None);
    let after = 2 * 3_600_000;
    replicas.record(1, after, None, Some(1));
    replicas.record(2, after + 1_000, Some(1), None);
    let expected = [
        "multi_round at 0: 2 200 1000100 ok",
        "multi_round at 2000: 1   input_required",
        "single at 3000: 1 100 100 ok",
        "multi_round at 7200000: 2 200 1000100 ok",
    ];
    assert_eq!(replicas.operations(&database).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn same_questions_of_two_calls_link_unless_both_are_open_at_once() {
    let Some(server) = support::postgres() else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    let replicas = Replicas::of(StateKind::Keys);
    replicas.record(0, 0, None, Some(1));
    replicas.record(1, 1_000, Some(1), None);
    replicas.record(2, 2_000, None, Some(1));
    replicas.record(0, 3_000, Some(1), None);
    // Two at once, at two replicas.
    replicas.record(0, 4_000, None, Some(1));
    replicas.record(1, 5_000, None, Some(1));
    replicas.record(2, 6_000, Some(1), None);
    replicas.record(0, 7_000, Some(1), None);
    replicas.record(1, 8_000, None, Some(1));
    replicas.record(2, 9_000, Some(1), None);
    let expected = [
        "multi_round at 0: 2 200 1000100 ok",
        "multi_round at 2000: 2 200 1000100 ok",
        "multi_round at 4000: 1   input_required",
        "multi_round at 5000: 1   input_required",
        "single at 6000: 1 100 100 ok",
        "single at 7000: 1 100 100 ok",
        "multi_round at 8000: 2 200 1000100 ok",
    ];
    assert_eq!(replicas.operations(&database).await, expected);
}
