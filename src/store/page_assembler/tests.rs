use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::event::{ListingKey, MemoryReservation};
use crate::wire::{Field, Scanner};

/// Returns a cursor as the scanner finds it in a request.
fn cursor(text: &str) -> Option<JsonId> {
    let message = format!(r#"{{"jsonrpc":"2.0","id":1,"params":{{"cursor":"{text}"}}}}"#);
    let mut found = None;
    Scanner::new().feed(message.as_bytes(), &mut |message| {
        found = message.token(Field::Cursor);
    });
    found
}

fn page(caller: u64, at: Option<&str>, next: Option<&str>, tools: &str) -> ListingPage {
    ListingPage {
        origin: ListingKey {
            ts: 1,
            proxy: "default".into(),
            upstream_url: "".into(),
            of: Discovery::Tools,
            revision: "2025-11-25",
            principal: None,
        },
        caller: Some(caller),
        cursor: at.and_then(cursor),
        next: next.and_then(cursor),
        result: format!(r#"{{"tools":[{tools}]}}"#).into_bytes(),
        limit: 1 << 20,
        reservation: MemoryReservation::new(&Arc::default()),
    }
}

fn tool(name: &str) -> String {
    format!(r#"{{"name":"{name}"}}"#)
}

#[track_caller]
fn payload(joined: Joined) -> String {
    match joined {
        Joined::Complete(seen) => seen.listing.payload,
        other => panic!("a complete listing is expected, not {other:?}"),
    }
}

fn is_partial(joined: &Joined) -> bool {
    matches!(joined, Joined::Partial)
}

#[test]
fn pages_of_interleaved_callers_are_joined_and_never_mixed() {
    let (mut chains, now) = (PageAssembler::default(), Instant::now());
    for (at, next) in [(None, Some("")), (Some(""), Some("2"))] {
        for caller in [1, 2] {
            let name = format!("{caller}{}", next.unwrap_or_default());
            let page = page(caller, at, next, &tool(&name));
            assert!(is_partial(&chains.join(page, now)));
        }
    }
    let last = |caller| page(caller, Some("2"), None, &tool("z"));
    assert_eq!(
        payload(chains.join(last(2), now)),
        r#"{"tools":[{"name":"2"},{"name":"22"},{"name":"z"}]}"#
    );
    assert_eq!(
        payload(chains.join(last(1), now)),
        r#"{"tools":[{"name":"1"},{"name":"12"},{"name":"z"}]}"#
    );
    assert!(chains.chains.is_empty() && chains.bytes == 0);
}

#[test]
fn page_without_its_first_page_or_a_caller_is_not_a_listing() {
    let (mut chains, now) = (PageAssembler::default(), Instant::now());
    assert!(is_partial(&chains.join(page(1, Some("2"), None, ""), now)));
    for (at, next) in [(None, Some("2")), (Some("2"), None)] {
        let mut page = page(1, at, next, "");
        page.caller = None;
        assert!(is_partial(&chains.join(page, now)));
    }
    let mut alone = page(1, None, None, "");
    alone.caller = None;
    assert_eq!(payload(chains.join(alone, now)), r#"{"tools":[]}"#);
}

#[test]
fn abandoned_listings_are_dropped_by_age_number_and_bytes() {
    let (mut chains, now) = (PageAssembler::default(), Instant::now());
    chains.join(page(1, None, Some("2"), &tool("a")), now);
    let late = now + PATIENCE + Duration::from_millis(1);
    assert!(is_partial(&chains.join(page(1, Some("2"), None, ""), late)));
    assert!(chains.chains.is_empty() && chains.bytes == 0);

    for caller in 0..2 * CHAINS as u64 {
        chains.join(page(caller, None, Some("2"), &tool("a")), now);
    }
    assert_eq!(chains.chains.len(), CHAINS);
    assert!(is_partial(&chains.join(page(0, Some("2"), None, ""), now)));

    let large = tool(&"x".repeat(1 << 19));
    for caller in 0..200 {
        chains.join(page(caller, None, Some("2"), &large), now);
        assert!(chains.bytes <= CHAINS_BYTES);
    }
    assert!(chains.chains.len() < CHAINS);
}

#[test]
fn all_pages_together_keep_the_limit_of_one_listing() {
    let (mut chains, now) = (PageAssembler::default(), Instant::now());
    let half = tool(&"x".repeat(600 << 10));
    assert!(is_partial(
        &chains.join(page(1, None, Some("2"), &half), now)
    ));
    let second = chains.join(page(1, Some("2"), None, &half), now);
    assert!(matches!(second, Joined::TooLong));
    assert_eq!(chains.bytes, 0);
}

#[test]
fn endless_listing_is_given_up() {
    let (mut chains, now) = (PageAssembler::default(), Instant::now());
    assert!(is_partial(&chains.join(page(1, None, Some("x"), ""), now)));
    let again = (1..=PAGES).find(|_| {
        let joined = chains.join(page(1, Some("x"), Some("x"), ""), now);
        matches!(joined, Joined::TooLong)
    });
    assert_eq!(again, Some(PAGES));
    assert!(chains.chains.is_empty());
}

#[test]
fn malformed_page_ends_its_listing_and_frees_its_memory() {
    let (mut chains, now) = (PageAssembler::default(), Instant::now());
    let account = Arc::new(AtomicUsize::new(0));
    chains.join(page(1, None, Some("2"), &tool("a")), now);
    let mut broken = page(1, Some("2"), None, "1");
    broken.reservation = MemoryReservation::new(&account);
    assert!(broken.reservation.take(100, 100));
    assert!(matches!(chains.join(broken, now), Joined::Malformed));
    assert_eq!(account.load(Ordering::Relaxed), 0);
    assert!(chains.chains.is_empty() && chains.bytes == 0);
}
