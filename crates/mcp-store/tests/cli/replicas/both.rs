//! The command writes the same of a file and of the database that the file was shipped to.

use std::path::Path;

use serde_json::Value;
use tower_mcp_store::event::{Leg, StateDigest, StateKind, TaskId, TaskStatus};
use tower_mcp_store::{EndReason, RequestEvent, RequestStatus, SessionEvent, StoreEvent};

use super::people::without_stores;
use crate::fleet::Fleet;
use crate::run::{command, json, stdout};
use crate::support::{recorded, request};

/// The beginning of an hour, 2026-11-19 00:00 in UTC.
const START: i64 = 1_795_046_400_000;
const MINUTE: i64 = 60_000;

/// A time at which requests of the file were removed, in the middle of an hour.
const PRUNED: &str = "2026-11-19T02:30:00Z";

/// A window that has all requests. Without it, notes would name the time of the question.
const WINDOW: [&str; 4] = ["--since", "2026-11-01", "--until", "2026-12-01"];

/// Questions whose answers name requests.
const OF_REQUESTS: [&str; 21] = [
    "logs --limit 500",
    "logs --limit 7",
    "logs --tool search*",
    "logs --tool serch",
    "logs --method */[gc]*",
    "logs --target file:*",
    "logs --server default --failed",
    "logs --server none",
    "logs --status timeout,gone,working",
    "logs --client claude",
    "logs --client CLAUDE-",
    "logs --principal ann --min-latency 40ms",
    "logs --session s2 --protocol 2025-06-18",
    "logs --error-code -32602",
    "logs --end-reason client_gone",
    "logs --since 2026-11-19T05:30 --until 2026-11-19T14:00",
    "logs --operations --limit 12",
    "logs --operations --tool a.b",
    "slow --limit 12",
    "slow --tool search --context 1 --limit 4",
    "session s1",
];

/// Questions whose answers name none.
const OF_COUNTS: [&str; 22] = [
    "stats",
    "stats --tool search",
    "stats --method ping",
    "stats --by tool --sort max --limit 3",
    "stats --sort errors",
    "stats --tool sear* --sort name",
    "stats --tool serch",
    "stats --client claude",
    "stats --failed",
    "stats --by client,outcome",
    "stats --by principal --sort p95",
    "stats --by protocol,method --sort name",
    "stats --by reason",
    "stats --by server",
    "stats --by hour",
    "stats --by day,tool --limit 5",
    "stats --by day --session s3",
    "sessions",
    "sessions --sort errors --limit 2",
    "clients",
    "clients --by protocol",
    "clients --by principal",
];

/// Returns requests of ten hours: of several clients, failures, values that are missing, two of
/// each moment, a call of two rounds and a task.
fn events() -> Vec<StoreEvent> {
    let mut events = Vec::new();
    for (session, client) in [
        ("s1", Some("Claude")),
        ("s2", Some("a\u{1b}b")),
        ("s3", None),
    ] {
        let mut event = SessionEvent::new(session);
        event.started_at = START;
        event.client_name = client.map(Into::into);
        events.push(StoreEvent::Session(event));
    }
    let mut requests = Vec::new();
    for number in 0..60_u16 {
        let mut event = request();
        event.ts = START + i64::from(number / 2) * 20 * MINUTE;
        event.session_id = match number % 4 {
            0 => None,
            session => Some(format!("s{session}").into()),
        };
        event.tool =
            Some(["search", "search_all", "a.b", "book[1]"][usize::from(number % 4)].into());
        event.latency_us = 900 + 1_700 * u64::from(number / 3);
        event.principal = (number % 3 == 0).then(|| "ann".into());
        event.bytes_in = (number % 2 == 0).then_some(10);
        event.tool_error = number % 7 == 0;
        event.protocol_version = (number % 5 == 0).then(|| "2025-06-18".into());
        if number % 11 == 1 {
            event.status = RequestStatus::Error;
            event.error_code = Some(["-32602", "-32603"][usize::from(number % 2)].into());
            event.error_msg = Some("why\n\u{1b}[31m".into());
        }
        if number % 13 == 1 {
            event.status = RequestStatus::Timeout;
        }
        if number % 17 == 1 {
            event.end_reason = Some(EndReason::ClientGone);
        }
        requests.push(event);
    }
    for (method, target) in [
        ("prompts/get", "summary"),
        ("resources/read", "file:///a"),
        ("ping", ""),
    ] {
        let mut event = RequestEvent::new(method, RequestStatus::Ok);
        event.ts = START + 185 * MINUTE;
        event.target = (!target.is_empty()).then(|| target.into());
        event.latency_us = 70;
        requests.push(event);
    }
    let state = Some(StateDigest::new(StateKind::State, [1; 32]));
    let task = (Some(TaskId::new("task 1")), Some(TaskStatus::Working));
    for (minute, state_in, state_out, (task_id, task_status), end_reason) in [
        (
            250,
            None,
            state,
            (None, None),
            Some(EndReason::InputRequired),
        ),
        (251, state, None, (None, None), None),
        (300, None, None, task, Some(EndReason::Task)),
    ] {
        let mut leg = Leg::default();
        (leg.state_in, leg.state_out) = (state_in, state_out);
        (leg.task_id, leg.task_status) = (task_id, task_status);
        let mut event = request();
        event.ts = START + minute * MINUTE;
        event.session_id = Some("s1".into());
        event.end_reason = end_reason;
        event.leg = Some(Box::new(leg));
        requests.push(event);
    }
    events.extend(requests.into_iter().map(StoreEvent::Request));
    events
}

/// What the command writes, for lines of this width and times of this zone.
fn answer(db: &Path, args: &[&str], width: usize, zone: &str) -> (String, String) {
    let mut command = command(db, args);
    let command = command.env("COLUMNS", width.to_string()).env("TZ", zone);
    let output = command.output().unwrap();
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{args:?}: {stderr}");
    (stdout, stderr)
}

/// Returns a table without the prefix of the names of rows.
fn without_prefix(table: &str, prefix: &str) -> String {
    let lines = table
        .lines()
        .map(|line| match line.trim_start().starts_with("# ") {
            true => line[prefix.len()..].to_owned(),
            false => line.replace(prefix, ""),
        });
    lines.map(|line| line + "\n").collect()
}

/// Returns the records without the ids of files.
fn records(lines: &str) -> Vec<Value> {
    let records = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    records.map(without_stores).collect()
}

#[test]
fn answers_of_a_database_are_those_of_its_only_file_in_two_time_zones() {
    let Some(fleet) = Fleet::start() else {
        return;
    };
    let (_dir, path) = recorded(events());
    stdout(&path, &["prune", "--before", PRUNED, "--yes"]);
    fleet.ship(&path);
    let store = json(&path, &["info"])[0]["store_id"].clone();
    let prefix = format!("{}:", &store.as_str().unwrap()[..4]);
    let of_requests = OF_REQUESTS.map(|question| (question, prefix.len()));
    let of_counts = OF_COUNTS.map(|question| (question, 0));
    let mut lines = 0;
    for (question, more) in of_requests.into_iter().chain(of_counts) {
        let mut args: Vec<&str> = question.split(' ').collect();
        if !question.contains("--since") && !["session", "clients"].contains(&args[0]) {
            args.extend(WINDOW);
        }
        for zone in ["UTC", "Asia/Kolkata"] {
            let what = format!("{question} in {zone}");
            let (expected, notes) = answer(&path, &args, 120, zone);
            // Names of rows are longer, and the other columns are to have the same room.
            let (table, notes_of_fleet) = answer(fleet.db(), &args, 120 + more, zone);
            assert_eq!(without_prefix(&table, &prefix), expected, "{what}");
            assert_eq!(notes_of_fleet, notes, "{what}");
            lines += expected.lines().count();
            let args = [&args[..], &["--json"]].concat();
            let (expected, notes) = answer(&path, &args, 120, zone);
            let (answer, notes_of_fleet) = answer(fleet.db(), &args, 120, zone);
            assert_eq!(records(&answer), records(&expected), "{what}");
            assert_eq!(notes_of_fleet, notes, "{what}");
        }
    }
    assert!(lines > 600, "{lines} lines");
}

#[test]
fn request_of_a_database_has_the_fields_of_the_file() {
    let Some(fleet) = Fleet::start() else {
        return;
    };
    let (_dir, path) = recorded(events());
    fleet.ship(&path);
    let store = json(&path, &["info"])[0]["store_id"].clone();
    let prefix = format!("{}:", &store.as_str().unwrap()[..4]);
    for row in 1..=66_usize {
        if row % 5 != 1 {
            continue;
        }
        let row = row.to_string();
        let of_fleet = prefix.clone() + &row;
        for zone in ["UTC", "Asia/Kolkata"] {
            let (expected, _) = answer(&path, &["request", &row], 120, zone);
            let (fields, _) = answer(fleet.db(), &["request", &of_fleet], 120, zone);
            assert_eq!(fields.replace(&prefix, ""), expected);
        }
        let (expected, _) = answer(&path, &["request", &row, "--json"], 120, "UTC");
        let (record, _) = answer(fleet.db(), &["request", &of_fleet, "--json"], 120, "UTC");
        assert_eq!(records(&record), records(&expected));
    }
}
