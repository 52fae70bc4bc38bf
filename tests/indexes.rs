//! What the command line asks takes as many steps in a large file as in a small
//! one: every question has an index, and walks no more of it than it must.
//!
//! `MCP_STORE_TEST_ROWS=1000000` sets the size of the large file.

mod support;

use std::cell::Cell;

use rusqlite::{Connection, StatementStatus, ToSql, params};
use support::{LONG, connect, fresh};
use tempfile::TempDir;
use tower_mcp_store::Store;

/// Rows in the small file; one comes every second.
const SMALL: i64 = 10_000;
const START: i64 = 1_795_000_000_000;

/// What is rare is in the first rows, so that whoever walks from the newest row
/// down passes all others before it.
const RARE: i64 = 5;

/// The class of a latency, as in `idx_requests_slow`.
const CLASS: &str = "CASE WHEN latency_us < 1000 THEN latency_us / 100 - 10
         WHEN latency_us < 10000 THEN latency_us / 1000
         WHEN latency_us < 100000 THEN 10 + latency_us / 10000
         WHEN latency_us < 1000000 THEN 20 + latency_us / 100000
         WHEN latency_us < 10000000 THEN 30 + latency_us / 1000000
         ELSE 40 + latency_us / 10000000 END";

fn large() -> i64 {
    std::env::var("MCP_STORE_TEST_ROWS").map_or(10 * SMALL, |rows| rows.parse().unwrap())
}

/// A file with so many requests, and a session for every fifty of them.
struct File {
    conn: Connection,
    rows: i64,
    steps: Cell<i64>,
    _dir: TempDir,
}

impl File {
    fn with(rows: i64) -> Self {
        let (dir, path) = fresh();
        Store::open(&path).unwrap().shutdown(LONG).unwrap();
        let conn = connect(&path);
        conn.pragma_update(None, "ignore_check_constraints", true)
            .unwrap();
        let fill = conn.unchecked_transaction().unwrap();
        fill.execute(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
             INSERT INTO requests (request_id, ts, proxy, session_id, method, tool, latency_us,
                 status, error_code, end_reason, tool_error, bytes_in, bytes_out)
             SELECT printf('%08x-0000-7000-8000-000000000000', i), ?2 + 1000 * i,
                 iif(i < ?3, 'rare', iif(i % 3 = 0, 'default', 'weather')),
                 printf('%016x-%08x', i / 50, i / 50 * 2654435761 % 4294967296),
                 CASE WHEN i < ?3 THEN 'prompts/get' WHEN i % 10 = 0 THEN 'ping' ELSE 'tools/call' END,
                 CASE WHEN i < ?3 OR i % 10 = 0 THEN NULL
                     WHEN i < 2 * ?3 THEN 'rare' ELSE 'tool-' || (i % 20) END,
                 -- Twice as slow is half as many.
                 (1000 + i % 977) * (i & -i),
                 CASE WHEN i < ?3 THEN 'timeout' WHEN i % 4 = 0 THEN 'error' ELSE 'ok' END,
                 CASE WHEN i < ?3 THEN '-1' WHEN i % 4 = 0 THEN '-32602' END,
                 CASE WHEN i < ?3 THEN 'panic' WHEN i % 8 = 0 THEN 'cancelled' END,
                 i < ?3, 100, 200
             FROM n",
            params![rows, START, RARE],
        )
        .unwrap();
        fill.execute(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
             INSERT INTO sessions (session_id, proxy, started_at, last_seen_at, ended_at,
                 client_name, client_platform, total_calls)
             SELECT printf('%016x-%08x', i, i * 2654435761 % 4294967296),
                 iif(i < ?3, 'rare', 'weather'), ?2 + 50000 * i, ?2 + 50000 * i + 49000,
                 iif(i % 2 = 0, ?2 + 50000 * i + 49000, NULL),
                 iif(i < ?3, 'rare', 'client-' || (i % 2)), 'unknown', 50
             FROM n",
            params![rows / 50, START, RARE],
        )
        .unwrap();
        fill.commit().unwrap();
        Self {
            conn,
            rows,
            steps: Cell::new(0),
            _dir: dir,
        }
    }

    /// The moment so many rows before the last one.
    fn back(&self, rows: i64) -> i64 {
        START + 1000 * (self.rows - rows)
    }

    /// The first column of all rows, a number or NULL.
    fn ask(&self, sql: &str, params: &[&dyn ToSql]) -> Vec<Option<i64>> {
        let mut statement = self.conn.prepare(sql).unwrap();
        let rows = statement.query_map(params, |row| row.get(0)).unwrap();
        let rows = rows.collect::<Result<_, _>>().unwrap();
        let steps = statement.get_status(StatementStatus::VmStep);
        self.steps.set(self.steps.get() + i64::from(steps));
        rows
    }

    fn plan(&self, sql: &str, params: &[&dyn ToSql]) -> String {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let mut statement = self.conn.prepare(&sql).unwrap();
        let lines = statement.query_map(params, |row| row.get::<_, String>(3));
        Vec::from_iter(lines.unwrap().map(Result::unwrap)).join("\n")
    }

    /// The slowest requests since a moment: class by class, from the slowest.
    fn slowest(&self, since: i64, count: usize) -> Vec<Option<i64>> {
        let below = format!(
            "SELECT {CLASS} FROM requests WHERE {CLASS} < ?1 ORDER BY {CLASS} DESC LIMIT 1"
        );
        let of_class = format!(
            "SELECT id FROM requests WHERE {CLASS} = ?1 AND ts >= ?2
             ORDER BY latency_us DESC, id DESC LIMIT ?3"
        );
        let (mut class, mut found) = (i64::MAX, Vec::new());
        while found.len() < count {
            let Some(Some(next)) = self.ask(&below, &[&class]).pop() else {
                break;
            };
            class = next;
            let left = (count - found.len()) as i64;
            found.extend(self.ask(&of_class, &[&class, &since, &left]));
        }
        found
    }
}

/// Asks a small and a large file the same, and asserts that the answer has
/// `count` rows, that the plan names `index`, and that the steps do not grow.
#[track_caller]
fn assert_indexed(cases: &[(&str, usize, &str, Params)]) {
    let files = [File::with(SMALL), File::with(large())];
    for (index, count, sql, params) in cases {
        let steps = files.each_ref().map(|file| {
            let params = params(file);
            let params: Vec<&dyn ToSql> = params.iter().map(|param| &**param).collect();
            let plan = file.plan(sql, &params);
            assert!(plan.contains(index), "{sql}\n{plan}");
            file.steps.set(0);
            assert_eq!(file.ask(sql, &params).len(), *count, "{sql}\n{plan}");
            file.steps.get()
        });
        // A seek more for each part of the index of sessions.
        let seeks = large() / 65_536 * 20;
        assert!(
            steps[1] < steps[0] * 11 / 10 + 50 + seeks,
            "{sql}\n{steps:?}"
        );
    }
}

type Params = fn(&File) -> Vec<Box<dyn ToSql>>;

/// The values of a statement's parameters.
macro_rules! values {
    ($($value:expr),*) => { |_| vec![$(Box::new($value)),*] };
}

/// The newest fifty of the requests that a filter takes.
fn logs(filter: &str) -> String {
    format!(
        "SELECT id FROM requests WHERE {filter} AND ts >= ?2 ORDER BY ts DESC, id DESC LIMIT 50"
    )
}

#[test]
fn logs_are_found_by_time_and_by_every_filter() {
    let all = "SELECT id FROM requests WHERE ts >= ?1 ORDER BY ts DESC, id DESC LIMIT 50";
    // SQLite uses a partial index where its condition is in the question.
    let proxy = logs("proxy = ?1 AND proxy <> 'default'");
    let unnamed = logs("proxy = ?1");
    let tool = logs("tool = ?1");
    let method = logs("method = ?1 AND tool IS NULL");
    let status = logs("status = ?1 AND status <> 'ok'");
    let code = logs("error_code = ?1");
    let reason = logs("end_reason = ?1");
    let tool_error = logs("tool_error <> 0 AND ?1");
    let rare = RARE as usize;
    assert_indexed(&[
        ("idx_requests_ts", 50, all, values![START]),
        ("idx_requests_ts", 20, all, |file| {
            vec![Box::new(file.back(20))]
        }),
        ("idx_requests_ts", 50, &unnamed, values!["default", START]),
        ("idx_requests_proxy", 50, &proxy, values!["weather", START]),
        ("idx_requests_proxy", rare, &proxy, values!["rare", START]),
        ("idx_requests_tool", 50, &tool, values!["tool-7", START]),
        ("idx_requests_tool", rare, &tool, values!["rare", START]),
        ("idx_requests_method", 50, &method, values!["ping", START]),
        (
            "idx_requests_method",
            rare,
            &method,
            values!["prompts/get", START],
        ),
        ("idx_requests_status", 50, &status, values!["error", START]),
        (
            "idx_requests_status",
            rare,
            &status,
            values!["timeout", START],
        ),
        (
            "idx_requests_error_code",
            50,
            &code,
            values!["-32602", START],
        ),
        ("idx_requests_error_code", rare, &code, values!["-1", START]),
        (
            "idx_requests_end_reason",
            50,
            &reason,
            values!["cancelled", START],
        ),
        (
            "idx_requests_end_reason",
            rare,
            &reason,
            values!["panic", START],
        ),
        (
            "idx_requests_tool_error",
            rare,
            &tool_error,
            values![1, START],
        ),
    ]);
}

#[test]
fn a_log_is_followed_and_paged_from_any_row() {
    let follow = "SELECT id FROM requests WHERE id > ?1 ORDER BY id LIMIT 1000";
    let page = "SELECT id FROM requests WHERE ts <= ?1 AND (ts, id) < (?1, ?2)
         ORDER BY ts DESC, id DESC LIMIT 50";
    let oldest = "SELECT min(ts) FROM requests";
    let newest = "SELECT max(ts) FROM requests";
    assert_indexed(&[
        ("INTEGER PRIMARY KEY", 7, follow, |file| {
            vec![Box::new(file.rows - 7)]
        }),
        ("idx_requests_ts", 50, page, |file| {
            vec![Box::new(file.back(5_000)), Box::new(file.rows - 5_000)]
        }),
        ("idx_requests_ts", 1, oldest, values![]),
        ("idx_requests_ts", 1, newest, values![]),
    ]);
}

#[test]
fn calls_of_any_tool_are_found_through_the_names_of_the_tools() {
    // The newest fifty of each tool, and of those the newest fifty. Names in
    // the index are skipped through, not walked.
    let calls = "WITH RECURSIVE tools (name) AS (
             SELECT min(tool) FROM requests WHERE tool IS NOT NULL
             UNION ALL
             SELECT (SELECT min(tool) FROM requests WHERE tool > name) FROM tools
             WHERE name IS NOT NULL)
         SELECT id FROM tools CROSS JOIN requests WHERE id IN (
             SELECT id FROM requests WHERE tool = name AND ts >= ?1
             ORDER BY ts DESC, id DESC LIMIT 50)
         ORDER BY ts DESC, id DESC LIMIT 50";
    let last_call = "SELECT max(ts) FROM requests WHERE tool = ?1";
    assert_indexed(&[
        ("idx_requests_tool", 50, calls, values![START]),
        ("idx_requests_tool", 1, last_call, values!["rare"]),
        ("idx_requests_tool", 1, last_call, values!["never called"]),
    ]);
}

#[test]
fn sessions_and_requests_are_found_by_id_and_client() {
    // The index has a part for every 65,536 rows.
    const PARTS: &str = "id / 65536 IN (
        WITH RECURSIVE part (n) AS (
            SELECT min(id) / 65536 FROM requests UNION ALL
            SELECT n + 1 FROM part WHERE n < (SELECT max(id) / 65536 FROM requests))
        SELECT n FROM part)";
    let requests = &format!(
        "SELECT id FROM requests WHERE {PARTS}
         AND substr(session_id, -6) = substr(?1, -6) AND session_id = ?1 ORDER BY id"
    );
    let request = "SELECT id FROM requests WHERE request_id >= ?1 AND request_id < ?2 LIMIT 2";
    let client = &format!(
        "SELECT requests.id FROM sessions CROSS JOIN requests
             ON {PARTS} AND substr(requests.session_id, -6) = substr(sessions.session_id, -6)
             AND requests.session_id = sessions.session_id
         WHERE client_name = ?1 AND started_at >= ?2"
    );
    let session = "SELECT started_at FROM sessions
         WHERE session_id >= ?1 AND session_id < ?2 LIMIT 2";
    assert_indexed(&[
        (
            "idx_requests_session",
            50,
            requests,
            values!["0000000000000007-538453d7"],
        ),
        ("idx_requests_session", 0, requests, values!["nobody's"]),
        (
            "idx_requests_session",
            50 * RARE as usize,
            client,
            values!["rare", START],
        ),
        (
            "sqlite_autoindex_requests_1",
            1,
            request,
            values!["0000002a-", "0000002a."],
        ),
        (
            "sqlite_autoindex_requests_1",
            2,
            request,
            values!["0000", "0001"],
        ),
        (
            "sqlite_autoindex_sessions_1",
            1,
            session,
            values!["0000000000000007-", "0000000000000007."],
        ),
    ]);
}

#[test]
fn the_slowest_requests_of_a_window_are_found_class_by_class() {
    let small = File::with(SMALL);
    let large = File::with(large());
    for file in [&small, &large] {
        let next = format!("SELECT id FROM requests WHERE {CLASS} = 5 AND ts >= 0");
        assert!(file.plan(&next, &[]).contains("idx_requests_slow"));
        for back in [file.rows, 3_600] {
            let since = file.back(back);
            let slowest = "SELECT id FROM requests WHERE +ts >= ?1
                 ORDER BY latency_us DESC, id DESC LIMIT 20";
            let expected = file.ask(slowest, &[&since]);
            file.steps.set(0);
            assert_eq!(file.slowest(since, 20), expected);
            // Some hundred rows share the class of the twentieth at most.
            let steps = file.steps.get();
            assert!(steps < 15_000, "{steps} steps, {} rows", file.rows);
        }
    }
}

#[test]
fn statistics_cost_what_their_window_holds() {
    let statistics = "SELECT count(*), tool, method, avg(latency_us), sum(status <> 'ok'),
             sum(tool_error), sum(bytes_in), sum(bytes_out)
         FROM requests WHERE ts >= ?1 AND ts < ?2 GROUP BY tool, method";
    let since = |file: &File| -> Vec<Box<dyn ToSql>> {
        vec![Box::new(file.back(3_600)), Box::new(i64::MAX)]
    };
    assert_indexed(&[("idx_requests_ts", 19, statistics, since)]);
}

#[test]
fn sessions_and_clients_are_found_by_time_client_and_recording_point() {
    let started = "SELECT started_at FROM sessions WHERE started_at >= ?1
         ORDER BY started_at DESC LIMIT 50";
    let proxy = "SELECT started_at FROM sessions WHERE proxy = ?1 AND started_at >= ?2
         ORDER BY started_at DESC LIMIT 50";
    let client = "SELECT started_at FROM sessions WHERE client_name = ?1 AND started_at >= ?2
         ORDER BY started_at DESC LIMIT 50";
    let active = "SELECT last_seen_at FROM sessions WHERE ended_at IS NULL AND last_seen_at >= ?1
         ORDER BY last_seen_at DESC LIMIT 50";
    // The plus sign keeps SQLite from walking the index that has their order.
    let clients = "SELECT count(*), client_name, client_platform, sum(total_calls)
         FROM sessions WHERE started_at >= ?1 GROUP BY +client_name, client_platform";
    let rare = RARE as usize;
    let recent = |file: &File| -> Vec<Box<dyn ToSql>> { vec![Box::new(file.back(1_000))] };
    assert_indexed(&[
        ("idx_sessions_started", 50, started, values![START]),
        ("idx_sessions_proxy", 50, proxy, values!["weather", START]),
        ("idx_sessions_proxy", rare, proxy, values!["rare", START]),
        (
            "idx_sessions_client",
            50,
            client,
            values!["client-1", START],
        ),
        ("idx_sessions_client", rare, client, values!["rare", START]),
        ("idx_sessions_active", 50, active, values![START]),
        ("idx_sessions_active", 10, active, recent),
        ("idx_sessions_started", 2, clients, recent),
    ]);
}
