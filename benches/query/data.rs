//! Requests over 30 days: 3 servers, 20 tools, 5,000 sessions for each
//! million.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, params};
use tower_mcp_store::{Retention, Store};

const DAY: i64 = 24 * 3_600_000;

/// The moment after the last request.
const END: i64 = 1_795_046_400_000;

/// The sessions of a file: those whose number has this remainder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    pub(crate) number: i64,
    pub(crate) of: i64,
}

/// All sessions.
const ALL: Share = Share { number: 0, of: 1 };

/// The same requests in a file of version 4 and in one of ours.
pub(crate) struct Files {
    pub(crate) peers: PathBuf,
    pub(crate) ours: PathBuf,
    /// The moment after the last request.
    pub(crate) end: i64,
}

impl Files {
    /// Makes what is missing of them.
    pub(crate) fn of(dir: &Path, rows: i64) -> Self {
        let files = Self {
            peers: dir.join(format!("query-{rows}-v4.db")),
            ours: dir.join(format!("query-{rows}-v5.db")),
            end: END,
        };
        if !files.peers.exists() {
            let making = begin(&files.peers, rows, ALL);
            fs::rename(&making, &files.peers).expect("a new name");
        }
        if !files.ours.exists() {
            eprintln!("making {}", files.ours.display());
            let making = files.ours.with_extension("making");
            // A run that was interrupted has begun to migrate it.
            if !making.exists() {
                fs::copy(&files.peers, &making).expect("a copy");
            }
            complete(&making, &files.ours);
        }
        files
    }
}

/// Makes a file of version 4 with these requests, for a file that is to be at `path`.
pub(crate) fn begin(path: &Path, rows: i64, share: Share) -> PathBuf {
    eprintln!("making {}", path.display());
    let making = path.with_extension("making");
    fs::copy("tests/fixtures/store-v4.db", &making).expect("a copy");
    fill(&making, rows, share);
    making
}

/// Brings the file to our version, and gives it its name.
pub(crate) fn complete(making: &Path, path: &Path) {
    migrate(making);
    fs::rename(making, path).expect("a new name");
}

pub(crate) fn session_id(number: u64) -> String {
    let mut random = Random(number + 1);
    format!("{:016x}{:016x}", random.next(), random.next())
}

fn fill(path: &Path, rows: i64, share: Share) {
    let conn = Connection::open(path).expect("the file opens");
    conn.execute_batch(
        "PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN;
        DELETE FROM requests; DELETE FROM sessions; DELETE FROM server_schema;
        DELETE FROM sqlite_sequence;",
    )
    .expect("an empty file");
    let mut insert = conn
        .prepare(
            "INSERT INTO requests (request_id, ts, proxy, session_id, method, tool, latency_us,
                 status, error_code, error_msg, bytes_in, bytes_out)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )
        .expect("the tables of version 4");
    let sessions = (rows / 200).max(1);
    let mut random = Random(1);
    for row in 0..rows {
        let ts = END - 30 * DAY + row * (30 * DAY / rows.max(1)) + random.below(1_000);
        // A session lasts for some hours: those of a day are its neighbours.
        let session = (row / 200 + random.below(40)).min(sessions - 1);
        let (method, tool) = match random.below(100) {
            0..=89 => {
                // The first tools are called far more often than the last.
                let tool = random.below(20) * random.below(20) / 20;
                ("tools/call", Some(format!("tool-{tool:02}")))
            }
            90..=93 => ("tools/list", None),
            94..=95 => ("initialize", None),
            96..=98 => ("resources/read", None),
            _ => ("prompts/get", None),
        };
        let (status, code) = match random.below(1_000) {
            0..=19 => ("error", Some("-32602")),
            20..=24 => ("timeout", None),
            25 if random.below(20) == 0 => ("error", Some("-32001")),
            _ => ("ok", None),
        };
        // From some hundred microseconds to minutes, mostly milliseconds.
        let latency = (300.0 * 1.8_f64.powf(random.bell() * 4.0 + 5.0)) as i64;
        let request_id = format!(
            "{:08x}-{:04x}-7{:03x}-8000-{:012x}",
            ts >> 16,
            ts & 0xffff,
            row & 0xfff,
            random.next() >> 16
        );
        let bytes = (200 + random.below(800), 500 + random.below(8_000));
        if session % share.of != share.number {
            continue;
        }
        insert
            .execute(params![
                request_id,
                ts,
                ["default", "weather", "files"][(session % 3) as usize],
                session_id(session as u64),
                method,
                tool,
                latency,
                status,
                code,
                code.map(|_| "the tool was given something else"),
                bytes.0,
                bytes.1,
            ])
            .expect("a row");
    }
    drop(insert);
    conn.execute_batch(
        "INSERT INTO sessions (session_id, proxy, started_at, last_seen_at, ended_at, client_name,
             client_version, client_platform, total_calls, total_errors)
         SELECT session_id, min(proxy), min(ts), max(ts), iif(min(id) % 2, max(ts), NULL),
             'client-' || (min(id) % 12), '1.' || (min(id) % 5), 'unknown', count(*),
             sum(status <> 'ok')
         FROM requests GROUP BY session_id;
         COMMIT; PRAGMA journal_mode = WAL;",
    )
    .expect("the sessions");
    let tools = (0..20).map(|tool| format!(r#"{{"name":"tool-{tool:02}"}}"#));
    let tools = format!(r#"{{"tools":[{}]}}"#, Vec::from_iter(tools).join(","));
    conn.execute(
        "INSERT INTO server_schema (proxy, upstream_url, method, payload, captured_at, schema_hash)
         SELECT DISTINCT proxy, '', 'tools/list', ?1, ?2, 'a' FROM sessions",
        params![tools, END],
    )
    .expect("what is listed");
}

/// Brings the file to our version, and waits until the writer has counted its
/// requests by hours and days.
fn migrate(path: &Path) {
    let store = Store::builder(path)
        .retention(Retention::unlimited())
        .open()
        .expect("the file opens");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let conn = Connection::open_with_flags(path, flags).expect("the file opens");
    let behind = "SELECT max(id) > coalesce((SELECT CAST(value AS INTEGER) FROM meta
        WHERE key = 'requests_rolled_up_to'), 0) FROM requests";
    let start = Instant::now();
    while conn
        .query_row(behind, [], |row| row.get(0))
        .expect("a number")
    {
        assert!(
            start.elapsed() < Duration::from_secs(3_600),
            "the writer rolls up"
        );
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(conn);
    store
        .shutdown(Duration::from_secs(60))
        .expect("all is written");
}

/// Numbers without a pattern, the same each time (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    fn below(&mut self, limit: i64) -> i64 {
        (self.next() % limit as u64) as i64
    }

    /// Around 0, most often near it.
    fn bell(&mut self) -> f64 {
        (0..6)
            .map(|_| self.below(1_000) as f64 / 1_000.0 - 0.5)
            .sum()
    }
}
