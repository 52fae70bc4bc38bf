//! A small and a large file of the same kind of requests.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};
use tempfile::TempDir;

use crate::db::{SCHEMA_VERSION, rollup};
use crate::query::Reader;
use crate::{Retention, Store};

/// Requests in the small file; one comes every second.
const SMALL: i64 = 10_000;
pub(super) const START: i64 = 1_795_046_400_000;

/// Rare values are in the first rows, so that a walk from the newest row passes all others
/// before it.
const RARE: i64 = 5;

const VERSION_4: [&str; 5] = [
    include_str!("../../db/migrations/0001_requests_sessions.sql"),
    include_str!("../../db/migrations/0002_schema_listings.sql"),
    include_str!("../../db/migrations/0003_schema_proxy.sql"),
    include_str!("../../db/migrations/0004_latency_us.sql"),
    "INSERT INTO meta VALUES ('schema_version', '4')",
];

/// A file with `rows` requests, and a session and a change for every fifty of them.
struct Made {
    dir: TempDir,
    rows: i64,
}

impl Made {
    fn path(&self) -> PathBuf {
        self.dir.path().join("mcp.db")
    }

    /// Creates a file of version 4 or of the current one.
    fn with(rows: i64, version: i64) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let made = Self { dir, rows };
        if version == SCHEMA_VERSION {
            let store = Store::builder(made.path()).retention(Retention::unlimited());
            let store = store.open().unwrap();
            store.shutdown(Duration::from_secs(30)).unwrap();
        }
        let conn = Connection::open(made.path()).unwrap();
        if version == 4 {
            VERSION_4
                .iter()
                .for_each(|step| conn.execute_batch(step).unwrap());
        }
        conn.execute_batch(
            "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000",
        )
        .unwrap();
        let fill = conn.unchecked_transaction().unwrap();
        let (outcomes, values) = match version {
            4 => ("", ""),
            _ => (
                ", end_reason, tool_error, target, principal, trace_id, protocol_version",
                ", CASE WHEN i < ?3 THEN 'panic' WHEN i % 8 = 0 THEN 'cancelled' END,
                 i < ?3, iif(i < ?3, 'review', NULL),
                 CASE WHEN i < ?3 THEN 'rare' WHEN i % 3 = 0 THEN 'user-' || (i % 7) END,
                 CASE WHEN i % 2 = 0 THEN printf('%032x', i / 4) END, '2025-11-25'",
            ),
        };
        fill.execute(
            &format!("WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
             INSERT INTO requests (request_id, ts, proxy, session_id, method, tool, latency_us,
                 status, error_code, bytes_in, bytes_out{outcomes})
             SELECT printf('%08x-0000-7000-8000-000000000000', i), ?2 + 1000 * i,
                 iif(i < ?3, 'rare', iif(i % 3 = 0, 'default', 'weather')),
                 printf('%016x-%08x', i / 50, i / 50 * 2654435761 % 4294967296),
                 CASE WHEN i < ?3 THEN 'prompts/get' WHEN i % 10 = 0 THEN 'ping' ELSE 'tools/call' END,
                 CASE WHEN i < ?3 OR i % 10 = 0 THEN NULL
                     WHEN i < 2 * ?3 THEN 'rare' ELSE 'tool-' || (i % 20) END,
                 (1000 + i % 977) * (i & -i),
                 CASE WHEN i < ?3 THEN 'timeout' WHEN i % 4 = 0 THEN 'error' ELSE 'ok' END,
                 CASE WHEN i < ?3 THEN '-1' WHEN i % 4 = 0 THEN '-32602' END,
                 100, 200{values}
             FROM n"),
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
        fill.execute(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
             INSERT INTO schema_changes (upstream_url, method, change_type, item_name, detected_at,
                 proxy)
             SELECT '', iif(i < ?3, 'prompts/list', 'tools/list'),
                 iif(i < ?3, 'prompt_added', 'tool_modified'), 'tool-' || (i % 20),
                 ?2 + 50000 * i, iif(i < ?3, 'rare', 'weather')
             FROM n",
            params![rows / 50, START, RARE],
        )
        .unwrap();
        let names = (0..20).map(|i| format!(r#"{{"name":"tool-{i}"}}"#));
        let tools = format!(r#"{{"tools":[{}]}}"#, Vec::from_iter(names).join(","));
        fill.execute(
            "INSERT INTO server_schema (proxy, upstream_url, method, payload, captured_at, schema_hash)
             VALUES ('rare', '', 'prompts/list', '{\"prompts\":[]}', ?1, 'a'),
                 ('weather', '', 'tools/list', ?2, ?1, 'b')",
            params![START, tools],
        )
        .unwrap();
        if version == 4 {
            fill.commit().unwrap();
            return made;
        }
        fill.execute(
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?1)
             INSERT INTO listing_views (proxy, upstream_url, method, protocol_version, principal,
                 content_hash, seen_at)
             SELECT 'weather', '', 'tools/list', '2025-11-25', iif(i % 2 = 0, NULL, 'alice'),
                 iif(i % 4 < 2, 'b', 'c'), ?2 + 50000 * i
             FROM n",
            params![rows / 50, START],
        )
        .unwrap();
        while !rollup::roll_up(
            &fill,
            &mut Default::default(),
            rollup::LonelyLegs::Wait,
            Instant::now() + Duration::from_secs(60),
        )
        .unwrap()
        .is_last
        {}
        fill.commit().unwrap();
        made
    }
}

/// A reader of a file.
pub(super) struct File {
    pub(super) reader: Reader,
    pub(super) rows: i64,
    _made: Arc<[Made; 2]>,
}

impl File {
    /// Returns the time `seconds` before the last request.
    pub(super) fn back(&self, seconds: i64) -> i64 {
        START + 1000 * (self.rows - seconds)
    }
}

/// Returns a small and a large file. Tests that run at the same time share them.
pub(super) fn files() -> [File; 2] {
    static SHARED: Mutex<Weak<[Made; 2]>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let made = shared.upgrade().unwrap_or_else(|| made(SCHEMA_VERSION));
    *shared = Arc::downgrade(&made);
    opened(&made)
}

/// Returns a small and a large file of version 4.
pub(super) fn files_of_version_4() -> [File; 2] {
    opened(&made(4))
}

fn made(version: i64) -> Arc<[Made; 2]> {
    let large = std::env::var("MCP_STORE_TEST_ROWS");
    let large = large.map_or(10 * SMALL, |rows| rows.parse().unwrap());
    Arc::new([SMALL, large].map(|rows| Made::with(rows, version)))
}

fn opened(made: &Arc<[Made; 2]>) -> [File; 2] {
    made.each_ref().map(|file| File {
        reader: Reader::open(file.path()).unwrap(),
        rows: file.rows,
        _made: Arc::clone(made),
    })
}
