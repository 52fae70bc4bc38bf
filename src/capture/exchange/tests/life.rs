//! The life of a request: each path to its row.

use std::sync::atomic::Ordering::Relaxed;

use super::*;

#[test]
fn answered_call_has_its_row_at_the_end_of_the_body() {
    let machine = Machine::in_session();
    assert_eq!(machine.request(CALL), NONE);
    assert_eq!(machine.head(200, JSON), NONE);
    assert_eq!(machine.answer(RESULT).unwrap(), NONE);
    assert!(machine.answer(RESULT).is_none(), "a second answer");
    assert_eq!(machine.end(HttpEnd::Complete), ["row ok", "finished"]);
    assert_eq!(machine.end(HttpEnd::Dropped), NONE);
    assert_eq!(machine.end(HttpEnd::Shutdown), NONE);
    assert_eq!(machine.cx.counters().in_flight.load(Relaxed), 0);
}

#[test]
fn each_call_of_a_batch_has_its_row_with_its_answer() {
    let machine = Machine::in_session();
    let ping = |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    machine.request(&format!("[{},{},{}]", ping(1), ping(2), ping(3)));
    machine.head(200, JSON);
    let failure = r#"{"jsonrpc":"2.0","id":3,"error":{"code":-1,"message":"no"}}"#;
    assert_eq!(
        machine.answer(&format!("[{failure}]")).unwrap(),
        ["row error"]
    );
    assert_eq!(machine.answer(&format!("[{RESULT}]")).unwrap(), ["row ok"]);
    assert_eq!(
        machine.end(HttpEnd::Complete),
        ["row error no_response", "finished"]
    );
}

#[test]
fn error_without_an_id_refuses_every_call_of_a_batch() {
    let machine = Machine::in_session();
    let ping = |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
    machine.request(&format!("[{},{}]", ping(1), ping(2)));
    machine.head(400, JSON);
    let refusal = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"no"}}"#;
    assert_eq!(machine.answer(refusal).unwrap(), ["row error"; 2]);
    assert_eq!(machine.end(HttpEnd::Complete), ["finished"]);
}

#[test]
fn call_without_an_answer_has_the_end_reason_of_the_exchange() {
    for (end, row) in [
        (HttpEnd::Complete, "row error no_response"),
        (HttpEnd::BodyFailed, "row error body_error"),
        (HttpEnd::Panicked, "row error panic"),
        (HttpEnd::Dropped, "row error client_gone"),
        (HttpEnd::Shutdown, "row error shutdown"),
    ] {
        let machine = Machine::in_session();
        machine.request(CALL);
        machine.head(200, JSON);
        assert_eq!(machine.end(end), [row, "finished"]);
    }
}

#[test]
fn broken_request_body_means_that_the_caller_is_gone() {
    let machine = Machine::in_session();
    machine.request(CALL);
    machine.exchange.request_failed();
    machine.head(200, JSON);
    assert_eq!(
        machine.end(HttpEnd::BodyFailed),
        ["row error client_gone", "finished"]
    );
}

#[test]
fn cancelled_call_keeps_the_reason_of_the_client() {
    let machine = Machine::in_session();
    machine.request(CALL);
    assert!(machine.cancelled(2, "no such request").is_none());
    assert_eq!(machine.cancelled(1, "request timed out").unwrap(), NONE);
    assert_eq!(
        machine.end(HttpEnd::Dropped),
        ["row timeout cancelled", "finished"]
    );
}

#[test]
fn cancelled_call_does_not_wait_for_its_answer_elsewhere() {
    let machine = Machine::in_session();
    machine.request(CALL);
    machine.resumable_stream();
    assert_eq!(machine.end(HttpEnd::Dropped), ["detach"]);
    assert_eq!(
        machine.cancelled(1, "").unwrap(),
        ["row error cancelled", "finished"]
    );
}

#[test]
fn detached_call_is_resumed_by_an_answer_elsewhere() {
    let machine = Machine::in_session();
    machine.request(CALL);
    machine.resumable_stream();
    assert_eq!(machine.end(HttpEnd::Dropped), ["detach"]);
    assert_eq!(machine.end(HttpEnd::Complete), NONE);
    assert_eq!(
        machine.elsewhere(RESULT, CopyUse::Answer).unwrap(),
        ["row ok resumed", "finished"]
    );
    assert!(machine.elsewhere(RESULT, CopyUse::Answer).is_none());
}

#[test]
fn detached_call_is_given_up_after_the_grace_time() {
    for (end, row) in [
        (HttpEnd::Complete, "row timeout detached"),
        (HttpEnd::Dropped, "row error client_gone"),
    ] {
        let machine = Machine::in_session();
        machine.request(CALL);
        machine.resumable_stream();
        assert_eq!(machine.give_up(), NONE, "its HTTP part is open");
        assert_eq!(machine.end(end), ["detach"]);
        assert_eq!(machine.give_up(), [row, "finished"]);
        assert_eq!(machine.give_up(), NONE);
    }
}

#[test]
fn detached_call_ends_with_the_store() {
    let machine = Machine::in_session();
    machine.request(CALL);
    machine.resumable_stream();
    assert_eq!(machine.end(HttpEnd::Complete), ["detach"]);
    let rows = machine.end(HttpEnd::Shutdown);
    assert_eq!(rows, ["row error shutdown", "finished"]);
}

#[test]
fn call_does_not_wait_once_the_store_is_shut_down() {
    let machine = Machine::in_session();
    machine.request(CALL);
    machine.resumable_stream();
    machine.cx.close();
    assert_eq!(
        machine.end(HttpEnd::Dropped),
        ["row error client_gone", "finished"]
    );
}

#[test]
fn copy_of_an_answer_counts_only_without_its_own_answer() {
    for own_answer in [false, true] {
        let machine = Machine::in_session();
        machine.request(CALL);
        assert!(machine.elsewhere(RESULT, CopyUse::Answer).is_none());
        assert_eq!(machine.elsewhere(RESULT, CopyUse::Remember).unwrap(), NONE);
        machine.head(200, JSON);
        if own_answer {
            machine.answer(RESULT).unwrap();
        }
        let row = match own_answer {
            true => "row ok",
            false => "row ok resumed",
        };
        assert_eq!(machine.end(HttpEnd::Dropped), [row, "finished"]);
    }
}

#[test]
fn call_refused_before_it_is_read_has_one_row() {
    let machine = Machine::new(&[("mcp-method", "tools/call"), ("mcp-name", "echo")]);
    assert_eq!(machine.head(401, JSON), NONE);
    assert_eq!(machine.end(HttpEnd::Complete), ["row error", "finished"]);
    assert_eq!(machine.request(CALL), NONE, "its body is read later");
}

#[test]
fn call_read_after_the_answer_has_the_outcome_of_the_exchange() {
    let machine = Machine::in_session();
    machine.head(500, JSON);
    assert_eq!(machine.end(HttpEnd::Complete), ["finished"]);
    assert_eq!(machine.request(CALL), ["row error"]);
}

#[test]
fn unread_request_is_counted_once_when_its_body_is_dropped() {
    for body_first in [false, true] {
        let machine = Machine::in_session();
        let counted = "no row, unidentified: the server did not read its body";
        machine.head(500, JSON);
        if body_first {
            assert_eq!(machine.unread(Unread::Rest), NONE, "the exchange is open");
            assert_eq!(machine.end(HttpEnd::Complete), [counted, "finished"]);
        } else {
            assert_eq!(machine.end(HttpEnd::Complete), ["finished"]);
            assert_eq!(machine.unread(Unread::Rest), [counted]);
        }
        assert_eq!(machine.unread(Unread::Rest), NONE);
    }
}

#[test]
fn listing_precedes_the_row_of_its_call() {
    let machine = Machine::in_session();
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(machine.request(list), ["awaits listing"]);
    machine.head(200, JSON);
    let tools = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#;
    assert_eq!(machine.answer(tools).unwrap(), ["listing"]);
    assert_eq!(machine.end(HttpEnd::Complete), ["row ok", "finished"]);
    assert!(!machine.exchange.awaits_listing());
}

#[test]
fn row_is_pending_until_it_is_handed_over() {
    let machine = Machine::in_session();
    machine.request(CALL);
    assert!(!machine.exchange.has_pending_rows());
    machine.end(HttpEnd::Dropped);
    assert!(machine.exchange.has_pending_rows());
    machine.exchange.row_recorded();
    assert!(!machine.exchange.has_pending_rows());
}
