//! Each request has one row, for any facts in any order.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Something that may happen to an exchange.
#[derive(Debug, Clone)]
enum Fact {
    Request,
    Head(u16, &'static str),
    Resumable,
    Answer(u32),
    Elsewhere(u32, CopyUse),
    Cancelled(u32),
    SessionOver,
    GraceOver,
    End(HttpEnd),
}

fn fact() -> impl Strategy<Value = Fact> {
    let ends = [
        HttpEnd::Complete,
        HttpEnd::BodyFailed,
        HttpEnd::Panicked,
        HttpEnd::Dropped,
    ];
    prop_oneof![
        2 => Just(Fact::Request),
        2 => (select(&[200, 202, 404, 500][..]), select(&[JSON, EVENTS][..]))
            .prop_map(|(status, media)| Fact::Head(status, media)),
        2 => Just(Fact::Resumable),
        2 => (1..4u32).prop_map(Fact::Answer),
        2 => (1..4u32, select(vec![CopyUse::Answer, CopyUse::Remember]))
            .prop_map(|(id, copy_use)| Fact::Elsewhere(id, copy_use)),
        1 => (1..4u32).prop_map(Fact::Cancelled),
        1 => Just(Fact::SessionOver),
        1 => Just(Fact::GraceOver),
        1 => select(ends.to_vec()).prop_map(Fact::End),
    ]
}

proptest! {
    #[test]
    fn each_request_has_one_row_for_any_facts(
        facts in prop::collection::vec(fact(), 0..20),
        requests in 1..4usize,
    ) {
        let machine = Machine::in_session();
        let ids = 1..=requests;
        let body = ids.map(|id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#));
        let body = match requests {
            1 => body.collect::<String>(),
            _ => format!("[{}]", body.collect::<Vec<_>>().join(",")),
        };
        let result = |id: u32| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#);
        let (mut requested, mut answered) = (false, false);
        let mut effects = Vec::new();
        for fact in facts {
            effects.extend(match fact {
                // Each of these facts happens once.
                Fact::Request if requested => continue,
                Fact::Head(..) if answered => continue,
                Fact::Request => {
                    requested = true;
                    machine.request(&body)
                }
                Fact::Head(status, media) => {
                    answered = true;
                    machine.head(status, media)
                }
                Fact::Resumable => {
                    machine.exchange.resumable();
                    continue;
                }
                Fact::Answer(id) => machine.answer(&result(id)).unwrap_or_default(),
                Fact::Elsewhere(id, copy_use) => {
                    machine.elsewhere(&result(id), copy_use).unwrap_or_default()
                }
                Fact::Cancelled(id) => machine.cancelled(id, "").unwrap_or_default(),
                Fact::SessionOver => machine.session_over(),
                Fact::GraceOver => machine.give_up(),
                Fact::End(end) => machine.end(end),
            });
        }
        effects.extend(machine.end(HttpEnd::Shutdown));
        let count = |word| effects.iter().filter(|effect| effect.starts_with(word)).count();
        prop_assert_eq!(count("row"), if requested { requests } else { 0 }, "{:?}", effects);
        prop_assert_eq!(count("finished"), 1, "{:?}", effects);
        prop_assert!(machine.end(HttpEnd::Shutdown).is_empty() && machine.give_up().is_empty());
    }
}
