use super::super::sample::{NOW, call, error, session, state, state_after, tool_error};
use super::*;
use tower_mcp_store::StoreEvent;

fn names(state: &State) -> Vec<String> {
    let tools = state.tools().into_iter();
    tools.map(|group| name(group).to_owned()).collect()
}

fn typed(state: &mut State, text: &str) {
    state.change(Change::Type);
    text.chars().for_each(|c| state.change(Change::Add(c)));
    state.change(Change::Keep);
}

/// `busy` is called most, `broken` fails most, `slow` is the slowest.
fn three_tools() -> State {
    state(vec![
        session("s1", "Claude", 60),
        session("s2", "cursor", 50),
        call("busy", 1, 1_000),
        call("busy", 1, 1_000),
        call("busy", 2, 1_000),
        call("busy", 8, 1_000),
        error("broken", 3, 2_000, "no disk"),
        tool_error("broken", 2, 2_000),
        call("slow", 4, 900_000),
        error("slow", 20, 1_900_000, "no luck"),
        call("slow", 30, 900_000),
    ])
}

#[test]
fn tools_are_sorted_by_the_chosen_column() {
    let mut state = three_tools();
    let mut orders = Vec::new();
    for _ in 0..5 {
        orders.push((state.sort(), names(&state).join(" ")));
        state.change(Change::Sort);
    }
    let expected = [
        (Sort::Calls, "busy slow broken"),
        (Sort::Failures, "broken slow busy"),
        (Sort::P95, "slow broken busy"),
        (Sort::Name, "broken busy slow"),
        (Sort::Calls, "busy slow broken"),
    ];
    assert_eq!(orders, expected.map(|(sort, names)| (sort, names.into())));
}

#[test]
fn successes_can_be_hidden() {
    let mut state = three_tools();
    state.change(Change::Failing);
    assert_eq!(names(&state), ["slow", "broken"]);
    let sessions = state.sessions().into_iter();
    assert_eq!(
        sessions.map(|row| &*row.session_id).collect::<Vec<_>>(),
        ["s1"]
    );
    state.change(Change::Failing);
    assert_eq!(names(&state).len(), 3);
}

#[test]
fn filter_narrows_every_list_and_ignores_case() {
    let mut state = three_tools();
    typed(&mut state, "bro");
    assert_eq!(names(&state), ["broken"]);
    assert_eq!(state.failures().len(), 2);
    assert!(state.sessions().is_empty());
    state.change(Change::Drop);
    assert_eq!((names(&state).len(), state.sessions().len()), (3, 2));
    typed(&mut state, "cLAUDe");
    assert_eq!(state.sessions().len(), 1);
    state.change(Change::Drop);
    typed(&mut state, "no luck");
    assert_eq!(state.failures().len(), 1);
}

#[test]
fn filter_can_be_corrected_and_has_a_maximal_length() {
    let mut state = State::default();
    typed(&mut state, "sé");
    state.change(Change::Erase);
    assert_eq!((state.filter(), state.mode()), ("s", Mode::Commands));
    typed(&mut state, &"x".repeat(1_000));
    assert_eq!(state.filter().len(), LONGEST_FILTER);
}

#[test]
fn errors_are_newest_first_and_bounded() {
    let many = (0..feed::FAILURES + 20).map(|i| error("broken", 400, 1_000, &i.to_string()));
    let state = state(many.collect());
    let failures = state.failures();
    assert_eq!(failures.len(), feed::FAILURES);
    let notes = (20..feed::FAILURES + 20)
        .map(|i| format!("-32603 {i}"))
        .rev();
    assert!(
        failures
            .iter()
            .map(|one| &one.note)
            .eq(&Vec::from_iter(notes))
    );
}

#[test]
fn request_for_input_is_no_failure_even_as_an_error() {
    for (code, count) in [("-32603", 1), ("-32042", 0)] {
        let mut event = error("book", 2, 1_000, "open the page");
        if let StoreEvent::Request(event) = &mut event {
            event.error_code = Some(code.into());
        }
        let state = state(vec![event]);
        assert_eq!(state.failures().len(), count, "{code}");
        let second = state.timeline().last(3, NOW).flatten().next().unwrap();
        assert_eq!(second.failed, count as u64, "{code}");
    }
}

#[test]
fn task_that_failed_is_shown_by_its_call_and_its_end() {
    let task = |outcome: &str| {
        format!(
            "UPDATE requests SET operation_id = request_id, leg = 1, end_reason = 'task'
                 WHERE tool = 'plan';
             INSERT INTO tasks (operation_id, task_id, updated_ts, ended_ts, outcome, error_code,
                 error_msg, polls)
             SELECT request_id, 't', ts, ts + 5000, '{outcome}', '-1', 'no hotel', 2
                 FROM requests WHERE tool = 'plan'"
        )
    };
    let events = || vec![call("plan", 10, 0), error("book", 8, 1_000, "no seat")];
    let state = state_after(events(), &task("error"));
    let shown = state.failures().into_iter();
    let shown = shown.map(|one| format!("{} {} {}", one.name(), one.took(), one.note));
    let expected = ["plan 5.00 s -1 no hotel", "book 1.00 ms -32603 no seat"];
    assert_eq!(Vec::from_iter(shown), expected);
    assert_eq!(state_after(events(), &task("ok")).failures().len(), 1);
}

#[test]
fn old_and_recent_errors_are_shown_once_each() {
    let state = state(vec![
        error("old", 86_400, 1_000, "error"),
        tool_error("old", 86_000, 1_000),
        call("fine", 200, 1_000),
        error("new", 100, 1_000, "error"),
        tool_error("new", 2, 1_000),
    ]);
    let tools = state.failures().into_iter();
    let tools: Vec<&str> = tools.map(|one| one.name()).collect();
    assert_eq!(tools, ["new", "new", "old", "old"]);
}

#[test]
fn rate_counts_complete_seconds_by_the_end_of_calls() {
    let state = three_tools();
    let calls: Vec<u64> = state
        .timeline()
        .last(8, NOW)
        .map(|second| second.map_or(0, |second| second.calls))
        .collect();
    assert_eq!(calls, [1, 0, 0, 0, 1, 1, 2, 2]);
    assert_eq!(state.timeline().rate(NOW), 6.0 / 5.0);
    let slow = state.timeline().last(4, NOW).next().flatten().unwrap();
    assert!(slow.p95_us().unwrap().abs_diff(900_000) < 9_000);
    assert_eq!(state.timeline().rate(NOW + 3_600_000), 0.0);
}

#[test]
fn call_of_the_current_second_is_counted_later_and_removed_at_the_end() {
    let mut state = state(vec![call("now", 0, 1_000), call("ahead", -3_600, 1_000)]);
    let count = |state: &State, now| state.timeline().last(300, now).flatten().count();
    assert_eq!(count(&state, NOW), 0);
    assert_eq!(
        state
            .timeline()
            .last(1, NOW + 1_000)
            .flatten()
            .next()
            .unwrap()
            .calls,
        2
    );
    state.timeline.forget(NOW + 302_000);
    assert_eq!(count(&state, NOW + 1_000), 0);
}
