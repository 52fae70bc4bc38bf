use super::*;

const SESSION: u64 = 7;

/// Inserts an exchange with this request into the table.
fn open(table: &OpenExchanges<u64>, request: u64) -> Registered<u64> {
    let registered = table.insert(Some(SESSION), Arc::new(request));
    if registered.slot.needs_index(1) {
        table.index(registered.slot, [request].into_iter());
    }
    registered
}

fn place_of(exchange: &Registered<u64>, among: &[Registered<u64>]) -> Option<usize> {
    let is_it = |other: &Registered<u64>| Arc::ptr_eq(&other.exchange, &exchange.exchange);
    among.iter().position(is_it)
}

#[test]
fn slot_of_a_removed_exchange_does_not_reach_its_successor() {
    let table = OpenExchanges::default();
    let first = open(&table, 1);
    table.remove(first.slot);
    let second = open(&table, 2);
    assert_eq!(first.slot.index, second.slot.index);

    table.set_session(first.slot, SESSION + 1);
    table.set_awaits_listing(first.slot);
    table.index(first.slot, (0..100).collect::<Vec<_>>().into_iter());
    let given_up = table.detach(&first, Instant::now(), DETACHED_BYTES);
    table.remove(first.slot);
    assert!(given_up.is_empty() && !table.any_awaits_listing());
    assert_eq!(place_of(&second, &table.of_session(SESSION)), Some(0));
    assert!(table.lock().by_request.is_empty() && table.lock().detached.is_empty());
}

#[test]
fn look_up_of_a_request_returns_few_of_many_exchanges() {
    let mut steps = Vec::new();
    for many in [100, 15_000] {
        let table = OpenExchanges::default();
        let all: Vec<_> = (0..many).map(|request| open(&table, request)).collect();
        let mut most = 0;
        for (request, exchange) in all.iter().enumerate() {
            let found = table.of_request(SESSION, request as u64);
            assert!(place_of(exchange, &found).is_some(), "{request} of {many}");
            most = most.max(found.len());
        }
        steps.push(most);
        assert_eq!(table.of_session(SESSION).len(), all.len());

        for exchange in all {
            table.remove(exchange.slot);
        }
        let table = table.lock();
        assert!(table.sessions.is_empty() && table.by_request.is_empty());
    }
    assert_eq!(steps, [SEARCHED + 1; 2]);
}

#[test]
fn newest_exchange_with_an_id_comes_first() {
    let table = OpenExchanges::default();
    let mut all: Vec<_> = (0..200).map(|_| open(&table, 1)).collect();
    while let Some(exchange) = all.pop() {
        let found = table.of_request(SESSION, 1);
        assert_eq!(place_of(&exchange, &found), Some(0));
        assert!(found.len() <= 2 * SEARCHED, "{} looked at", found.len());
        table.remove(exchange.slot);
    }
}

#[test]
fn searched_exchange_takes_a_free_place() {
    let table = OpenExchanges::default();
    let mut all: Vec<_> = (0..SEARCHED as u64 + 2)
        .map(|request| open(&table, request))
        .collect();
    assert!(all[SEARCHED].slot.needs_index(1));
    table.remove(all.remove(3).slot);
    all.push(open(&table, 99));
    assert!(!all[all.len() - 1].slot.needs_index(1));
    for request in [0, SEARCHED as u64, SEARCHED as u64 + 1, 99] {
        assert!(!table.of_request(SESSION, request).is_empty());
    }
    for exchange in &all {
        assert!(place_of(exchange, &table.of_session(SESSION)).is_some());
    }
}

#[test]
fn large_batch_is_found_by_its_requests_alone() {
    let table = OpenExchanges::default();
    let batch = open(&table, 0);
    let slot = batch.slot;
    assert!(!slot.needs_index(SEARCHED) && slot.needs_index(SEARCHED + 1));
    table.index(slot, (100..200).collect::<Vec<_>>().into_iter());
    for request in 100..200 {
        let found = table.of_request(SESSION, request);
        assert_eq!(place_of(&batch, &found), Some(0));
        assert!(found[0].slot.needs_index(1));
    }
    assert!(table.of_request(SESSION, 200).is_empty());

    // Most of them are answered.
    table.index(slot, [150].into_iter());
    assert!(table.of_request(SESSION, 100).is_empty());
    assert_eq!(table.of_request(SESSION, 150).len(), 1);
    table.remove(slot);
    assert!(table.lock().by_request.is_empty());
}

#[test]
fn session_awaits_a_listing_while_one_of_its_exchanges_does() {
    let table = OpenExchanges::default();
    let all: Vec<_> = (0..40).map(|request| open(&table, request)).collect();
    assert!(!table.any_awaits_listing() && !table.awaits_listing(SESSION));
    table.set_awaits_listing(all[2].slot);
    table.set_awaits_listing(all[30].slot);
    table.set_awaits_listing(all[30].slot);
    table.set_session(all[2].slot, SESSION + 1);
    for session in [SESSION, SESSION + 1] {
        assert!(table.awaits_listing(session));
    }
    table.remove(all[30].slot);
    assert!(!table.awaits_listing(SESSION) && table.any_awaits_listing());
    table.remove(all[2].slot);
    assert!(!table.awaits_listing(SESSION + 1) && !table.any_awaits_listing());
}
