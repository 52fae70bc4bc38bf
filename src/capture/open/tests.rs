use http::Request;

use super::super::config::Config;
use super::super::headers::Headers;
use super::super::recorder::Recorder;
use super::*;
use crate::Store;

mod memory;

const SESSION: u64 = 7;

/// Exchanges to put into a table, and what keeps them possible.
struct Exchanges {
    recorder: Arc<Recorder>,
    _dir: tempfile::TempDir,
}

impl Exchanges {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("mcp.db")).unwrap();
        let config = Config {
            skipped_methods: vec!["ping".into()],
            ..Config::default()
        };
        Self {
            recorder: Recorder::new(store, config),
            _dir: dir,
        }
    }

    /// Puts an exchange with this request into the table.
    fn open(&self, table: &OpenExchanges, request: u64) -> (Arc<Exchange>, Slot) {
        let (head, ()) = Request::post("/mcp").body(()).unwrap().into_parts();
        let exchange = Exchange::begin(&self.recorder, &head, &Headers::of(&head.headers));
        let mut slot = table.insert(Some(SESSION), Arc::downgrade(&exchange));
        if slot.needs_index(1) {
            table.index(&mut slot, [request].into_iter());
        }
        (exchange, slot)
    }
}

fn place_of(exchange: &Arc<Exchange>, among: &[Arc<Exchange>]) -> Option<usize> {
    among.iter().position(|other| Arc::ptr_eq(other, exchange))
}

#[test]
fn few_exchanges_are_looked_at_for_a_request_however_many_there_are() {
    let exchanges = Exchanges::new();
    let mut steps = Vec::new();
    for many in [100, 15_000] {
        let table = OpenExchanges::default();
        let open: Vec<_> = (0..many)
            .map(|request| exchanges.open(&table, request))
            .collect();
        let mut most = 0;
        for (request, (exchange, _)) in open.iter().enumerate() {
            let found = table.of_request(SESSION, request as u64);
            assert!(place_of(exchange, &found).is_some(), "{request} of {many}");
            most = most.max(found.len());
        }
        steps.push(most);
        assert_eq!(table.of_session(SESSION).len(), open.len());

        for (_, slot) in open {
            table.remove(slot);
        }
        let table = table.lock();
        assert!(table.sessions.is_empty() && table.by_request.is_empty());
    }
    assert_eq!(steps, [SEARCHED + 1; 2]);
}

#[test]
fn the_newest_exchange_with_an_id_comes_first() {
    let exchanges = Exchanges::new();
    let table = OpenExchanges::default();
    let mut open: Vec<_> = (0..200).map(|_| exchanges.open(&table, 1)).collect();
    while let Some((exchange, slot)) = open.pop() {
        let found = table.of_request(SESSION, 1);
        assert_eq!(place_of(&exchange, &found), Some(0));
        assert!(found.len() <= 2 * SEARCHED, "{} looked at", found.len());
        table.remove(slot);
    }
}

#[test]
fn a_place_that_is_free_again_is_taken_by_an_exchange_that_is_searched() {
    let exchanges = Exchanges::new();
    let table = OpenExchanges::default();
    let mut open: Vec<_> = (0..SEARCHED as u64 + 2)
        .map(|request| exchanges.open(&table, request))
        .collect();
    assert!(open[SEARCHED].1.needs_index(1));
    table.remove(open.remove(3).1);
    open.push(exchanges.open(&table, 99));
    assert!(!open[open.len() - 1].1.needs_index(1));
    for request in [0, SEARCHED as u64, SEARCHED as u64 + 1, 99] {
        assert!(!table.of_request(SESSION, request).is_empty());
    }
    for (exchange, _) in &open {
        assert!(place_of(exchange, &table.of_session(SESSION)).is_some());
    }
}

#[test]
fn a_large_batch_is_found_by_its_requests_alone() {
    let exchanges = Exchanges::new();
    let table = OpenExchanges::default();
    let (batch, mut slot) = exchanges.open(&table, 0);
    assert!(!slot.needs_index(SEARCHED) && slot.needs_index(SEARCHED + 1));
    table.index(&mut slot, 100..200);
    assert!(slot.needs_index(1));
    for request in 100..200 {
        let found = table.of_request(SESSION, request);
        assert_eq!(place_of(&batch, &found), Some(0));
    }
    assert!(table.of_request(SESSION, 200).is_empty());

    // Most of them are answered.
    table.index(&mut slot, 150..151);
    assert!(table.of_request(SESSION, 100).is_empty());
    assert_eq!(table.of_request(SESSION, 150).len(), 1);
    table.remove(slot);
    assert!(table.lock().by_request.is_empty());
}

#[test]
fn a_session_awaits_a_listing_as_long_as_an_exchange_of_it_does() {
    let exchanges = Exchanges::new();
    let table = OpenExchanges::default();
    let open: Vec<_> = (0..40)
        .map(|request| exchanges.open(&table, request))
        .collect();
    assert!(!table.awaits_listing(SESSION));
    table.set_awaits_listing(open[2].1);
    table.set_awaits_listing(open[30].1);
    let mut named = open[2].1;
    table.set_session(&mut named, SESSION + 1);
    for session in [SESSION, SESSION + 1] {
        assert!(table.awaits_listing(session));
    }
    table.remove(open[30].1);
    assert!(!table.awaits_listing(SESSION));
    table.remove(named);
    assert!(!table.awaits_listing(SESSION + 1));
}
