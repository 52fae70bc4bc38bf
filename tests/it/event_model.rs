//! Compares the event stores with a plain map that does the same, across restarts. `PROPTEST_CASES`
//! sets the number of cases.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use tower_mcp_store::Store;
use tower_mcp_store::event_store::{CachingEventStore, EventRecord, EventStore, MemoryEventStore};

use crate::support::{LONG, fresh};

/// How many events of a session are kept.
const CAPACITY: usize = 6;

#[derive(Debug, Clone)]
enum Step {
    Append {
        session: u8,
        id: u64,
        data: u8,
    },
    Replay {
        session: u8,
        after: u64,
    },
    Purge {
        session: u8,
    },
    /// Shuts the store down and opens it again. The cache is lost.
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let session = 0..3_u8;
    let id = || prop_oneof![4 => 0..12_u64, 1 => 0..1_000_000_u64];
    prop_oneof![
        8 => (session.clone(), id(), any::<u8>())
            .prop_map(|(session, id, data)| Step::Append { session, id, data }),
        4 => (session.clone(), id()).prop_map(|(session, after)| Step::Replay { session, after }),
        1 => session.prop_map(|session| Step::Purge { session }),
        1 => Just(Step::Restart),
    ]
}

/// The expected events of each session.
#[derive(Default)]
struct Model {
    sessions: HashMap<u8, (BTreeMap<u64, String>, u64)>,
}

impl Model {
    fn append(&mut self, session: u8, id: u64, data: String) {
        let fresh = || (BTreeMap::new(), id.saturating_sub(1));
        let (events, evicted) = self.sessions.entry(session).or_insert_with(fresh);
        events.insert(id, data);
        if events.len() > CAPACITY {
            let (id, _) = events.pop_first().unwrap();
            *evicted = id.max(*evicted);
        }
    }

    fn behind(&self, session: u8, after: u64) -> Vec<(u64, String)> {
        let events = self.sessions.get(&session).into_iter();
        let events = events.flat_map(|(events, _)| events);
        let events = events.filter(|(id, _)| **id > after);
        events.map(|(id, data)| (*id, data.clone())).collect()
    }
}

async fn check(store: &impl EventStore, model: &Model, session: u8, after: u64) {
    let name = session.to_string();
    let events = store.replay_after(&name, after).await.unwrap();
    let events: Vec<_> = events
        .into_iter()
        .map(|event| (event.id, event.data))
        .collect();
    assert_eq!(events, model.behind(session, after));
    let complete = model.sessions.get(&session).map(|(_, evicted)| *evicted);
    assert_eq!(store.complete_after(&name).await.unwrap(), complete);
}

async fn run(steps: Vec<Step>) {
    let (_dir, path) = fresh();
    let open = || {
        let store = Store::open(&path).unwrap();
        let events = store.event_store().max_events_per_session(CAPACITY);
        let cache = MemoryEventStore::with_capacity(CAPACITY / 2);
        (store, CachingEventStore::new(cache, events.clone()), events)
    };
    let (mut store, mut caching, mut events) = open();
    let memory = MemoryEventStore::with_capacity(CAPACITY);
    let mut model = Model::default();
    for (place, step) in steps.into_iter().enumerate() {
        match step {
            Step::Append { session, id, data } => {
                let event = EventRecord::new(id, data.to_string());
                let name = session.to_string();
                memory.append(&name, event.clone()).await.unwrap();
                caching.append(&name, event).await.unwrap();
                model.append(session, id, data.to_string());
            }
            Step::Replay { session, after } => {
                check(&memory, &model, session, after).await;
                check(&events, &model, session, after).await;
                check(&caching, &model, session, after).await;
            }
            Step::Purge { session } => {
                let name = session.to_string();
                memory.purge_session(&name).await.unwrap();
                // Without the cache's knowledge, or through the cache.
                match place % 2 {
                    0 => caching.purge_session(&name).await.unwrap(),
                    _ => events.purge_session(&name).await.unwrap(),
                }
                model.sessions.remove(&session);
            }
            Step::Restart => {
                store.shutdown(LONG).unwrap();
                (store, caching, events) = open();
            }
        }
    }
    for session in 0..3 {
        check(&events, &model, session, 0).await;
        check(&caching, &model, session, 0).await;
    }
}

/// Few cases, because every restart syncs files.
fn config() -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 8;
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_store_answers_like_a_plain_map(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(run(steps));
    }
}
