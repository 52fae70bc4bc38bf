//! Properties of links under any interleaving of operations.

use proptest::prelude::*;

use super::{File, call, keys, state};
use crate::event::{RequestEvent, SessionEvent, SessionSource, StoreEvent};

/// The state in the answer to one leg.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Gives {
    Unique,
    Constant,
    /// No state, and one of two sets of keys.
    Keys(bool),
}

/// An operation: its caller, its tool, the states in the answers to its legs except
/// the last, and whether the last leg is ever sent.
pub(super) type Operation = (u8, u8, Vec<Gives>, bool);

pub(super) fn operation(
    gives: impl Strategy<Value = Gives> + Clone,
) -> impl Strategy<Value = Operation> {
    let rounds = prop::collection::vec(gives, 0..4);
    (0..2_u8, 0..2_u8, rounds, any::<bool>())
}

/// Returns the legs of all operations, each with the number of its operation. They
/// are interleaved by `order`, and each is received after the previous answer of
/// its operation.
pub(super) fn interleave(
    operations: &[Operation],
    order: &[prop::sample::Index],
) -> Vec<(usize, RequestEvent)> {
    let mut next = vec![0; operations.len()];
    let mut events = Vec::new();
    let mut ts = 0;
    for index in order {
        let open: Vec<usize> = (0..operations.len())
            .filter(|at| next[*at] < operations[*at].2.len() + usize::from(operations[*at].3))
            .collect();
        if open.is_empty() {
            break;
        }
        let at = *index.get(&open);
        let (caller, tool, gives, _) = &operations[at];
        let given = |leg: usize| match gives.get(leg)? {
            Gives::Unique => state(&format!("{at} {leg}")),
            Gives::Constant => state("constant"),
            Gives::Keys(first) => keys(&first.to_string()),
        };
        let brings = next[at].checked_sub(1).and_then(given);
        let mut event = call(ts, brings, given(next[at]));
        event.tool = Some(format!("tool {tool}").into());
        event.session_id = Some(format!("session {caller}").into());
        events.push((at, event));
        next[at] += 1;
        ts += 20;
    }
    events
}

/// Returns a file that holds the sessions of both callers.
pub(super) fn with_sessions() -> File {
    let mut file = File::new();
    let begun = (0..2).map(|caller| {
        let mut session = SessionEvent::new(format!("session {caller}"));
        session.source = SessionSource::Header;
        StoreEvent::Session(session)
    });
    file.write(&Vec::from_iter(begun));
    file
}

/// Returns the order in which events are written, each of them this much later than its
/// turn.
pub(super) fn turns(events: usize, delays: &[u8]) -> Vec<usize> {
    let mut turns: Vec<usize> = (0..events).collect();
    turns.sort_by_key(|at| *at + usize::from(delays[*at % delays.len()]));
    turns
}

/// Writes the events, some later than their time, and compares the links with the
/// truth.
fn check(
    operations: &[Operation],
    order: &[prop::sample::Index],
    delays: &[u8],
) -> Result<(), TestCaseError> {
    let mut file = with_sessions();
    let events = interleave(operations, order);
    for at in turns(events.len(), delays) {
        file.request(events[at].1.clone());
    }
    let rows = file.rows();
    let id = |at: usize| events[at].1.request_id.to_string();
    let mut last = vec![None; operations.len()];
    for (at, (operation, event)) in events.iter().enumerate() {
        let row = rows.iter().find(|row| row.0 == id(at)).unwrap();
        let head = events.iter().position(|(of, _)| of == operation).unwrap();
        // A link to another operation is wrong.
        if let Some(linked) = row.1.as_ref().filter(|linked| **linked != row.0) {
            let linked = events
                .iter()
                .find(|(_, event)| event.request_id.to_string() == *linked);
            prop_assert_eq!(linked.map(|(of, _)| of), Some(operation));
        }
        let unique = operations[*operation]
            .2
            .iter()
            .all(|gives| *gives == Gives::Unique);
        if unique && operations[*operation].2.len() + usize::from(operations[*operation].3) > 1 {
            prop_assert_eq!(row.1.as_ref(), Some(&id(head)));
            let leg = last[*operation].map_or(1, |leg: i64| leg + 1);
            prop_assert_eq!(row.2, Some(leg));
            last[*operation] = Some(leg);
            if event.end_reason.is_none() {
                prop_assert_eq!(row.3, Some(10_000 * leg));
            }
        }
    }
    for caller in 0..2 {
        let session = format!("session {caller}");
        let of = |id: &str| {
            let (_, event) = events
                .iter()
                .find(|(_, event)| event.request_id.to_string() == id)?;
            event.session_id.clone()
        };
        let begun = rows.iter().filter(|row| row.2.is_none_or(|leg| leg == 1));
        let begun = begun.filter(|row| of(&row.0).as_deref() == Some(&session));
        prop_assert_eq!(file.operations(&session), begun.count() as i64);
    }
    Ok(())
}

pub(super) fn gives() -> impl Strategy<Value = Gives> + Clone {
    prop_oneof![
        3 => Just(Gives::Unique),
        1 => Just(Gives::Constant),
        1 => any::<bool>().prop_map(Gives::Keys),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn links_are_true_and_complete_if_states_are_unique(
        operations in prop::collection::vec(operation(gives()), 1..7),
        order in prop::collection::vec(any::<prop::sample::Index>(), 30),
    ) {
        check(&operations, &order, &[0])?;
    }

    #[test]
    fn links_are_the_same_if_rows_are_committed_out_of_order(
        operations in prop::collection::vec(operation(gives()), 1..7),
        order in prop::collection::vec(any::<prop::sample::Index>(), 30),
        delays in prop::collection::vec(0..6_u8, 30),
    ) {
        check(&operations, &order, &delays)?;
    }
}
