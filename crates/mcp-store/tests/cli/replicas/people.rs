//! Sessions, clients, slow requests and whole calls of a fleet.

use std::path::PathBuf;

use serde_json::Value;
use tower_mcp_store::event::{Leg, StateDigest, StateKind};
use tower_mcp_store::{EndReason, RequestStatus, SessionEvent, Store, StoreEvent};

use crate::fleet::Fleet;
use crate::run::{both, failed, json, stdout};
use crate::support::{LONG, fresh, request};

const START: i64 = 1_795_046_400_000;

/// Records sessions with requests and a call of two rounds, and ships the file.
fn shipped(fleet: &Fleet, key: [u8; 32]) -> (tempfile::TempDir, PathBuf) {
    let (dir, path) = fresh();
    let store = Store::builder(&path).shared_key(key).open().unwrap();
    for number in 0..6_u8 {
        let id = format!("session {number}");
        let mut session = SessionEvent::new(&*id);
        session.started_at = START + i64::from(number / 2) * 60_000;
        session.client_name =
            (number > 0).then(|| ["Claude", "a\u{1b}b"][usize::from(number % 2)].into());
        session.protocol_version = (number % 3 == 1).then(|| "2025-06-18".into());
        store.record(StoreEvent::Session(session));
        for place in 0..number {
            let mut event = request();
            event.ts = START + i64::from(number / 2) * 60_000 + i64::from(place);
            event.session_id = Some(id.clone().into());
            event.tool = Some("search_flights".into());
            event.latency_us = u64::from(number) * 1_000;
            event.principal = (number % 2 == 0).then(|| "ann".into());
            if place == 3 {
                event.status = RequestStatus::Timeout;
            }
            store.record(StoreEvent::Request(event));
        }
    }
    let ended = StoreEvent::SessionClosed {
        session_id: "session 3".into(),
        ended_at: START + 90_000,
    };
    store.record(ended);
    let state = Some(StateDigest::new(StateKind::State, [1; 32]));
    for (state_in, state_out, end_reason) in [
        (None, state, Some(EndReason::InputRequired)),
        (state, None, None),
    ] {
        let mut leg = Leg::default();
        (leg.state_in, leg.state_out) = (state_in, state_out);
        let mut event = request();
        event.ts = START + if state_in.is_some() { 9_000 } else { 8_000 };
        event.session_id = Some("session 5".into());
        event.end_reason = end_reason;
        event.leg = Some(Box::new(leg));
        store.record(StoreEvent::Request(event));
    }
    store.shutdown(LONG).unwrap();
    fleet.ship(&path);
    (dir, path)
}

/// Removes the ids of files, wherever they are.
pub(super) fn without_stores(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(without_stores).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(name, _)| name != "store_id");
            fields
                .map(|(name, value)| (name, without_stores(value)))
                .collect()
        }
        value => value,
    }
}

#[test]
fn lists_of_a_fleet_are_those_of_its_only_file_in_each_format() {
    let Some(fleet) = Fleet::start() else {
        return;
    };
    let (_dir, path) = shipped(&fleet, [1; 32]);
    for question in [
        ["sessions"].as_slice(),
        &["sessions", "--sort", "errors", "--limit", "3"],
        &["sessions", "--active", "--client", "claude"],
        &["sessions", "--protocol", "2025-06-18"],
        &["sessions", "--server", "default", "--since", "2026-11-19"],
        &["clients"],
        &["clients", "--by", "protocol", "--sort", "sessions"],
        &["clients", "--by", "principal"],
    ] {
        for format in ["table", "json", "csv"] {
            let args = [question, &["--format", format]].concat();
            let expected = stdout(&path, &args);
            assert!(expected.lines().count() > 1 || format == "json", "{args:?}");
            assert_eq!(stdout(fleet.db(), &args), expected, "{args:?}");
        }
    }
}

#[test]
fn requests_of_a_fleet_are_those_of_its_only_file_and_have_the_id_of_the_file() {
    let Some(fleet) = Fleet::start() else {
        return;
    };
    let (_dir, path) = shipped(&fleet, [1; 32]);
    let store_id = json(&path, &["info"])[0]["store_id"].clone();
    let store = store_id.as_str().unwrap();
    for question in [
        ["slow", "--limit", "4"].as_slice(),
        &["slow", "--tool", "search_*", "--context", "1", "-n", "2"],
        &["session", "session 5"],
        &["logs", "--operations", "--limit", "7"],
        &["logs", "--operations", "--status", "timeout"],
    ] {
        let answer = json(fleet.db(), question);
        let text = Value::from(answer.clone()).to_string();
        assert!(text.contains(store), "{question:?}");
        let answer: Vec<Value> = answer.into_iter().map(without_stores).collect();
        assert_eq!(answer, json(&path, question), "{question:?}");
        let table = stdout(fleet.db(), question);
        assert!(table.contains(&format!("{}:", &store[..4])), "{table}");
    }
    let csv = stdout(fleet.db(), &["session", "session 5", "--format", "csv"]);
    assert!(csv.starts_with("store_id,id,request_id,"), "{csv}");
}

#[test]
fn session_of_two_files_shows_the_requests_of_both_by_time() {
    let Some(fleet) = Fleet::start() else {
        return;
    };
    let _files = [shipped(&fleet, [1; 32]), shipped(&fleet, [1; 32])];
    let found = json(fleet.db(), &["session", "session 4"]);
    let requests = found[0]["requests"].as_array().unwrap();
    assert_eq!((&found[0]["total_calls"], requests.len()), (&8.into(), 8));
    assert!(requests.is_sorted_by_key(|request| request["ts"].as_i64()));
    assert_ne!(requests[0]["store_id"], requests[1]["store_id"]);
}

#[test]
fn files_with_different_keys_are_named_on_standard_error() {
    let Some(fleet) = Fleet::start() else {
        return;
    };
    let files = [1, 1, 2].map(|key| shipped(&fleet, [key; 32]));
    let other = json(&files[2].1, &["info"])[0]["key_fingerprints"][0].clone();
    for question in [
        ["sessions"].as_slice(),
        &["session", "session 1", "--json"],
        &["clients", "--format", "csv"],
        &["logs", "--operations"],
        &["info"],
    ] {
        let text = both(fleet.db(), question);
        let note = text.lines().last().unwrap();
        assert!(note.contains("different keys"), "{question:?}: {note}");
        let named = format!("key {})", other.as_str().unwrap());
        assert_eq!(note.matches("key ").count(), 1, "{note}");
        assert!(note.ends_with(&named), "{note}");
    }
    assert!(!both(fleet.db(), &["slow"]).contains("different keys"));
}

#[test]
fn name_that_no_file_has_gets_a_suggestion() {
    let Some(fleet) = Fleet::start() else {
        return;
    };
    let _file = shipped(&fleet, [1; 32]);
    for command in ["slow", "logs"] {
        let text = both(fleet.db(), &[command, "--tool", "serch_flights"]);
        let expected = "no tool has the name serch_flights; did you mean --tool search_flights?";
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn request_without_a_file_or_a_row_in_its_name_is_an_error_with_the_right_form() {
    let Some(fleet) = Fleet::start() else {
        return;
    };
    let _file = shipped(&fleet, [1; 32]);
    for id in [":5", "01:", "01:x", ":", "01:0"] {
        let error = failed(2, fleet.db(), &["request", id]);
        assert!(
            error.contains(&format!("{id} is not the beginning of a file's id")),
            "{error}"
        );
    }
}
