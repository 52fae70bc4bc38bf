//! Every path that counts calls gives the same numbers.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use serde_json::Value;
use tower_mcp_store::maintenance::Maintenance;
use tower_mcp_store::query::{
    CallStats, ClientFilter, Operation, Percentiles, Reader, RequestFilter, SessionFilter,
    StatsFilter,
};
use tower_mcp_store::{Outcome, Retention, Store};

use crate::run::{json, on_lines_of};
use crate::support::{LONG, connect, fresh, rows, value};

/// The start of an hour.
const START: i64 = 1_775_001_600_000;

/// The calls of the tool: all, errors, timeouts, tool errors, caller errors, left by the
/// caller, open.
const ASK: [i64; 7] = [15, 2, 1, 2, 1, 2, 3];

/// Calls of other methods: `initialize`, five polls, `tasks/result`, three pings.
const OTHERS: i64 = 10;

/// One row of `requests`. Each takes 10 ms, and they come a second apart.
#[derive(Default)]
struct Row {
    method: Option<&'static str>,
    operation: Option<i64>,
    leg: Option<i64>,
    operation_us: Option<i64>,
    status: Option<&'static str>,
    code: Option<&'static str>,
    end_reason: Option<&'static str>,
    tool_error: bool,
}

struct File {
    conn: Connection,
    rows: i64,
}

impl File {
    /// Inserts a row. Returns its number, which is its `request_id`.
    fn insert(&mut self, row: &Row) -> i64 {
        let id = self.rows;
        self.rows += 1;
        self.conn
            .execute(
                "INSERT INTO requests (request_id, ts, proxy, session_id, method, tool,
                     latency_us, status, error_code, end_reason, tool_error, operation_id, leg,
                     operation_us, bytes_in)
                 VALUES (?1, ?2, 'default', 's', ?3, ?4, 10000, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 1)",
                params![
                    format!("{id:04}"),
                    START + 1000 * id,
                    row.method.unwrap_or("tools/call"),
                    row.method.is_none().then_some("ask"),
                    row.status.unwrap_or("ok"),
                    row.code,
                    row.end_reason,
                    row.tool_error,
                    row.leg
                        .map(|_| format!("{:04}", row.operation.unwrap_or(id))),
                    row.leg,
                    row.operation_us,
                ],
            )
            .unwrap();
        id
    }

    /// Inserts the legs of an operation. All of them except the last ask for input.
    fn rounds(&mut self, legs: i64, last: Row) {
        let asks = Row {
            leg: Some(1),
            end_reason: Some("input_required"),
            ..Row::default()
        };
        let operation = Some(self.insert(&asks));
        for leg in 2..legs {
            let (leg, end_reason) = (Some(leg), Some("input_required"));
            let row = Row {
                operation,
                leg,
                end_reason,
                ..Row::default()
            };
            self.insert(&row);
        }
        if legs > 1 {
            self.insert(&Row {
                operation,
                leg: Some(legs),
                operation_us: last.end_reason.is_none().then_some(legs * 10_000),
                ..last
            });
        }
    }

    fn task(&mut self, operation: i64, ended: Option<(&str, i64)>, polls: i64) {
        let (outcome, seconds) = ended.unzip();
        self.conn
            .execute(
                "INSERT INTO tasks (operation_id, task_id, updated_ts, ended_ts, outcome, polls)
                 VALUES (?1, ?1, ?2, ?2 + 1000 * ?3, ?4, ?5)",
                params![format!("{operation:04}"), START, seconds, outcome, polls],
            )
            .unwrap();
    }
}

fn recorded() -> (tempfile::TempDir, PathBuf) {
    let (dir, path) = fresh();
    let store = Store::builder(&path).retention(Retention::unlimited());
    store.open().unwrap().shutdown(LONG).unwrap();
    let conn = connect(&path);
    let mut file = File { conn, rows: 0 };
    let of = |method| Row {
        method: Some(method),
        ..Row::default()
    };
    file.insert(&of("initialize"));
    for _ in 0..3 {
        file.insert(&Row::default());
    }
    file.rounds(3, Row::default());
    file.rounds(1, Row::default());
    file.rounds(
        2,
        Row {
            tool_error: true,
            ..Row::default()
        },
    );
    for (status, code, end_reason) in [
        ("error", Some("-32602"), None),
        ("error", Some("-32603"), None),
        ("error", Some("-32042"), None),
        ("error", None, Some("client_gone")),
        ("timeout", None, None),
    ] {
        let status = Some(status);
        file.insert(&Row {
            status,
            code,
            end_reason,
            ..Row::default()
        });
    }
    for (ended, polls) in [
        (Some(("ok", 60)), 3),
        (Some(("tool_error", 90)), 1),
        (None, 0),
    ] {
        let (leg, end_reason) = (Some(1), Some("task"));
        let operation = file.insert(&Row {
            leg,
            end_reason,
            ..Row::default()
        });
        for _ in 0..polls {
            file.insert(&of("tasks/get"));
        }
        file.task(operation, ended, polls);
    }
    file.insert(&of("tasks/result"));
    let operation = file.rows;
    file.rounds(
        2,
        Row {
            end_reason: Some("task"),
            ..Row::default()
        },
    );
    file.task(operation, Some(("gone", 120)), 0);
    file.insert(&of("tasks/list"));
    for _ in 0..3 {
        file.insert(&of("ping"));
    }
    file.conn
        .execute_batch(
            "INSERT INTO sessions (session_id, proxy, started_at, last_seen_at, client_name,
                 total_calls, total_errors, operations)
             SELECT 's', 'default', min(ts), max(ts), 'c', count(*), sum(status <> 'ok'),
                 sum(coalesce(leg, 1) = 1) FROM requests",
        )
        .unwrap();
    (dir, path)
}

/// Returns only the counts.
fn counts(stats: &CallStats) -> [i64; 7] {
    [
        stats.calls,
        stats.errors,
        stats.timeouts,
        stats.tool_errors,
        stats.caller_errors,
        stats.gone,
        stats.open,
    ]
}

fn asked(path: &Path) -> (CallStats, i64, Percentiles) {
    let reader = Reader::open(path).unwrap();
    let all = reader.stats(&StatsFilter::new()).unwrap();
    let tool = reader.stats(&StatsFilter::new().tool("ask")).unwrap();
    let mut groups = all.groups.iter();
    let group = groups.find(|group| group.tool.as_deref() == Some("ask"));
    assert_eq!(group.unwrap().figures, tool.total);
    (tool.total, all.total.calls, tool.percentiles)
}

/// Asserts the counts that outlive the requests: those of the command, of the lists of
/// sessions and clients, and of `hourly_stats`.
fn assert_lasting(path: &Path) {
    let all = ASK[0] + OTHERS;
    let (tool, total, _) = asked(path);
    assert_eq!(counts(&tool), ASK);
    assert_eq!(total, all);

    let lines = json(path, &["stats", "--since", "2026-01-01"]);
    let line = lines.iter().find(|line| line["tool"] == "ask").unwrap();
    let fields = "calls errors timeouts tool_errors caller_errors gone open";
    let found: Vec<i64> = fields
        .split(' ')
        .map(|name| line[name].as_i64().unwrap())
        .collect();
    assert_eq!(found, ASK);
    let total = lines.iter().find(|line| line["kind"] == "total").unwrap();
    assert_eq!(total["calls"], all);

    let conn = connect(path);
    let hours = "SELECT sum(calls) || ' ' || sum(errors) || ' ' || sum(timeouts) || ' '
            || sum(tool_errors) || ' ' || sum(caller_errors) || ' ' || sum(gone) || ' '
            || (sum(calls) - sum(ended))
        FROM hourly_stats WHERE gen_ai_tool_name = 'ask'";
    let expected = ASK.map(|count| count.to_string()).join(" ");
    assert_eq!(value::<String>(&conn, hours), expected);
    assert_eq!(
        value::<i64>(&conn, "SELECT sum(calls) FROM hourly_stats"),
        all
    );

    let reader = Reader::open(path).unwrap();
    let sessions = reader.sessions(&SessionFilter::new(), 9).unwrap();
    let clients = reader.clients(&ClientFilter::new()).unwrap();
    assert_eq!((sessions[0].operations, clients[0].calls), (all, all));
    assert_eq!(sessions[0].total_calls, clients[0].requests);
    let calls = |command: &str| json(path, &[command])[0]["calls"].clone();
    assert_eq!(
        [calls("sessions"), calls("clients")],
        [Value::from(all), Value::from(all)]
    );
    assert_eq!(
        value::<i64>(&conn, "SELECT sum(calls) FROM client_stats"),
        all
    );
}

#[test]
fn every_path_that_counts_calls_gives_the_same_counts() {
    let (_dir, path) = recorded();
    assert_lasting(&path);
    let (exact, _, percentiles) = asked(&path);
    assert_eq!(percentiles, Percentiles::Exact);
    let conn = connect(&path);
    for view in ["operations", "calls WHERE coalesce(leg, 1) = 1"] {
        let count = format!("SELECT count(*) FROM {view}");
        assert_eq!(value::<i64>(&conn, &count), ASK[0] + OTHERS);
    }
    let tool = "SELECT calls || ' ' || errors || ' ' || timeouts || ' ' || tool_errors || ' '
            || caller_errors || ' ' || gone || ' ' || open
        FROM tool_stats WHERE gen_ai_tool_name = 'ask'";
    let expected = ASK.map(|count| count.to_string()).join(" ");
    assert_eq!(value::<String>(&conn, tool), expected);
    for (column, us) in [
        ("p50_duration", exact.p50_us),
        ("p95_duration", exact.p95_us),
        ("max_duration", exact.max_us),
        ("wall_p50_duration", exact.wall_p50_us),
        ("wall_p95_duration", exact.wall_p95_us),
        ("wall_p99_duration", exact.wall_p99_us),
        ("wall_max_duration", exact.wall_max_us),
    ] {
        let sql = format!("SELECT CAST(round({column} * 1e6) AS INTEGER) FROM tool_stats");
        assert_eq!(value::<Option<i64>>(&conn, &sql), us, "{column}");
    }
    assert_eq!((exact.p50_us, exact.max_us), (Some(10_000), Some(30_000)));
    // The task that was cancelled after two minutes began with the 24th row.
    assert_eq!(exact.wall_max_us, Some(97_000_000));

    // The requests are counted in cells, and then they are removed.
    let maintenance = Maintenance::open(&path).unwrap();
    for (before, left) in [(START, 29), (i64::MAX, 0)] {
        let outcome = maintenance.prune(before, |_| ControlFlow::Continue(()));
        assert!(outcome.unwrap().is_complete);
        assert_eq!(value::<i64>(&conn, "SELECT count(*) FROM requests"), left);
        if left == 0 {
            let session = "INSERT INTO sessions (session_id, proxy, started_at, last_seen_at,
                    client_name, total_calls, total_errors, operations)
                VALUES ('s', 'default', 1, 1, 'c', 29, 5, 25)";
            conn.execute_batch(session).unwrap();
        }
        assert_lasting(&path);
    }
    let (estimated, _, percentiles) = asked(&path);
    assert!(matches!(percentiles, Percentiles::Estimated { .. }));
    for (found, exact) in [
        (estimated.p95_us, exact.p95_us),
        (estimated.wall_p95_us, exact.wall_p95_us),
        (estimated.wall_max_us, exact.wall_max_us),
    ] {
        let (found, exact) = (found.unwrap() as f64, exact.unwrap() as f64);
        assert!((found / exact - 1.0).abs() < 0.005, "{found} for {exact}");
    }
}

/// One line for each operation of the view.
const IN_THE_VIEW: &str = "SELECT operation_id, kind, ts, ended_ts, wall_us, server_us, client_us,
        legs, polls, outcome, task_id, mcp_session_id, error_type
    FROM operations ORDER BY ts DESC";

#[test]
fn operations_of_the_reader_are_those_of_the_view() {
    let (_dir, path) = recorded();
    let reader = Reader::open(&path).unwrap();
    let found = reader.operations(&RequestFilter::new(), 100, None).unwrap();
    let text = |value: Option<i64>| value.map_or("-".to_owned(), |value| value.to_string());
    let line = |of: &Operation| {
        let first = &of.legs[0].request;
        let json = serde_json::to_value(of).unwrap();
        [
            of.operation_id.clone(),
            json["kind"].as_str().unwrap().to_owned(),
            of.ts.to_string(),
            text(of.ended_ts),
            text(of.wall_us),
            text(of.server_us),
            text(of.client_us),
            of.legs.len().to_string(),
            of.task.as_ref().map_or(0, |task| task.polls).to_string(),
            of.outcome.as_str().to_owned(),
            of.task
                .as_ref()
                .map_or("-".to_owned(), |task| task.task_id.clone()),
            first.session_id.clone().unwrap(),
        ]
        .join(" ")
    };
    let lines: Vec<String> = found.iter().map(line).collect();
    let expected = rows(&connect(&path), IN_THE_VIEW).into_iter().map(|row| {
        let text = row.into_iter().take(12).map(|value| match value {
            rusqlite::types::Value::Null => "-".to_owned(),
            rusqlite::types::Value::Integer(number) => number.to_string(),
            rusqlite::types::Value::Text(text) => text,
            other => panic!("{other:?}"),
        });
        Vec::from_iter(text).join(" ")
    });
    assert_eq!(lines, Vec::from_iter(expected));

    // Any of its requests finds the operation, and pages continue where the last one ended.
    let whole = reader.find_operation("0006").unwrap().one().unwrap();
    assert_eq!(whole.operation_id, "0004");
    let client_us: Vec<Option<i64>> = whole.legs.iter().map(|leg| leg.client_us).collect();
    assert_eq!(client_us, [None, Some(990_000), Some(990_000)]);
    let mut pages = Vec::new();
    let mut before = None;
    loop {
        let page = reader.operations(&RequestFilter::new(), 7, before).unwrap();
        let Some(last) = page.last() else { break };
        before = last.position();
        pages.extend(page);
    }
    assert_eq!(pages, found);
}

#[test]
fn logs_show_the_requests_of_an_operation_together_or_as_one_line() {
    let (_dir, path) = recorded();
    // A call of another client comes between two rounds.
    connect(&path)
        .execute_batch(
            "UPDATE requests SET ts = (SELECT ts + 1500 FROM requests WHERE request_id = '0004')
             WHERE request_id = '0000'",
        )
        .unwrap();
    let logs = on_lines_of(200, &path, &["logs"]);
    let ids = |text: &str| {
        let ids = text
            .lines()
            .filter_map(|line| line.split_whitespace().next_back());
        Vec::from_iter(ids.skip(1).take(8).map(str::to_owned))
    };
    let expected = [
        "0001", "0002", "0003", "0004", "0005", "0006", "0000", "0007",
    ];
    assert_eq!(ids(&logs), expected);
    assert_eq!(logs.matches("↳ tools/call").count(), 4);

    let operations = on_lines_of(200, &path, &["logs", "--operations"]);
    assert_eq!(operations.lines().count() as i64, 1 + ASK[0] + OTHERS);
    let of_three = operations
        .lines()
        .find(|line| line.ends_with("0004"))
        .unwrap();
    // The number of the first row, which `request` takes at every width.
    let narrow = on_lines_of(80, &path, &["logs", "--operations"]);
    for lines in [&operations, &narrow] {
        let header = lines.lines().next().unwrap();
        assert!(header.trim_start().starts_with("#  TIME"), "{header}");
    }
    assert!(of_three.trim_start().starts_with("5  "), "{of_three}");
    let of_three = Vec::from_iter(of_three.split_whitespace()).join(" ");
    assert!(
        of_three.contains("ask ok 3 2.01 s 30.0 ms 1.98 s"),
        "{of_three}"
    );
    let task = operations
        .lines()
        .find(|line| line.ends_with("0015"))
        .unwrap();
    assert!(task.contains("1 + 3 polls"), "{task}");
    let objects = json(&path, &["logs", "--operations"]);
    let legs = |object: &Value| object["legs"].as_array().unwrap().len();
    assert_eq!(objects.iter().map(legs).sum::<usize>(), 29);

    let request = on_lines_of(200, &path, &["request", "0005"]);
    for line in [
        "operation    0004",
        "client time  1.98 s",
        "  3  2026-04-01",
    ] {
        assert!(request.contains(line), "{line} in\n{request}");
    }
}

#[test]
fn session_shows_its_operations_with_the_time_that_the_client_took_between_their_requests() {
    let (_dir, path) = recorded();
    let session = &json(&path, &["session", "s"])[0];
    let operations = session["operations"].as_array().unwrap();
    let ids: Vec<&str> = operations
        .iter()
        .map(|operation| operation["operation_id"].as_str().unwrap())
        .collect();
    let expected = ["0004", "0007", "0008", "0015", "0019", "0021", "0023"];
    assert_eq!(ids, expected);
    let took = |leg: &Value| leg["client_us"].as_i64();
    let legs = operations[0]["legs"].as_array().unwrap();
    let took: Vec<_> = legs.iter().map(took).collect();
    assert_eq!(took, [None, Some(990_000), Some(990_000)]);

    // It is the same text as that of any of the requests of the operation.
    let table = on_lines_of(200, &path, &["session", "s"]);
    let request = on_lines_of(200, &path, &["request", "0005"]);
    let (_, operation) = request.split_once("\n\n").unwrap();
    assert!(operation.starts_with("operation    0004"), "{operation}");
    assert!(table.contains(operation), "{operation} in\n{table}");
    assert_eq!(table.matches("CLIENT TOOK").count(), expected.len());
}

#[test]
fn operations_are_chosen_by_how_they_ended() {
    let (_dir, path) = recorded();
    let reader = Reader::open(&path).unwrap();
    let all = reader.operations(&RequestFilter::new(), 100, None).unwrap();
    let chosen = |outcomes: &[Outcome]| {
        let filter = RequestFilter::new().outcomes(outcomes.iter().copied());
        reader.operations(&filter, 100, None).unwrap()
    };
    for outcomes in Outcome::ALL
        .iter()
        .map(std::slice::from_ref)
        .chain([&Outcome::FAILURES[..]])
    {
        let mut expected = all.clone();
        expected.retain(|operation| outcomes.contains(&operation.outcome));
        assert!(!expected.is_empty(), "{outcomes:?}");
        assert_eq!(chosen(outcomes), expected, "{outcomes:?}");
    }

    let failed = on_lines_of(200, &path, &["logs", "--operations", "--failed"]);
    let ids = failed
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next_back());
    // Their first requests were answered `input_required` or with a task.
    assert!(ids.clone().any(|id| id == "0008"), "{failed}");
    assert!(ids.clone().any(|id| id == "0023"), "{failed}");
    assert_eq!(ids.count(), chosen(&Outcome::FAILURES).len());
}
