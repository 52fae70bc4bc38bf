//! The plans of the statements that read a fleet: which partitions they read, and how.
//!
//! PostgreSQL logs the plan of each statement (`auto_explain`).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use tower_mcp_store::query::{Lookup, RequestFilter, SessionFilter, StatsFilter, Window};
use tower_mcp_store::{Outcome, RequestStatus};
use tower_mcp_store_postgres::FleetReader;
use tower_mcp_store_postgres::fleet::{self, Roles};

use crate::support::{self, Postgres, blocking, init};

const DAY: i64 = 86_400_000;
const DAYS: i64 = 20;

/// Requests of four stores and 200 sessions, 3,000 each day, of which a few fail.
fn rows(begin: i64) -> String {
    format!(
        "INSERT INTO requests (store_id, id, request_id, ts, proxy, session_id, method, tool,
             latency_us, status, error_code, end_reason)
         SELECT ('00000000-0000-7000-8000-00000000000' || n % 4)::uuid, n,
             left(lpad(to_hex(ts), 12, '0'), 8) || '-' || right(to_hex(ts), 4) || '-7000-8000-'
                 || lpad(to_hex(n), 12, '0'),
             ts, 'default', 'session ' || n % 200, 'tools/call', 'tool ' || n % 20,
             CASE WHEN n % 50 = 7 THEN 200000 ELSE n % 9000 END,
             CASE WHEN n % 100 = 0 THEN 'timeout' ELSE 'ok' END,
             CASE WHEN n % 1000 = 1 THEN '-32001' END,
             CASE WHEN n % 1000 = 2 THEN 'client_gone' END
         FROM (
             SELECT n, {begin} + n * ({DAY} / 3000) AS ts
             FROM generate_series(0, 3000 * {DAYS} - 1) AS n
         ) AS numbered"
    )
}

const OTHERS: &str = "INSERT INTO store_sessions (session_id, store_id, proxy, started_at,
        last_seen_at, client_name)
    SELECT session_id, store_id, 'default', min(ts), max(ts),
        CASE WHEN session_id = 'session 7' THEN 'rare' ELSE 'usual' END
    FROM requests GROUP BY session_id, store_id";

/// The partitions that the statements of a question read.
#[derive(Debug, Default)]
struct Scans {
    read: BTreeSet<String>,
    /// Those that were read from the first row to the last.
    whole: BTreeSet<String>,
}

impl Scans {
    fn add(&mut self, node: &Value) {
        let text = |name: &str| node[name].as_str().unwrap_or_default().to_owned();
        let relation = text("Relation Name");
        let is_read = node["Actual Loops"].as_f64() > Some(0.0);
        if relation.starts_with("requests_2") && is_read {
            let rows = ["Actual Rows", "Rows Removed by Filter"].map(|name| node[name].as_f64());
            let rows: f64 = rows.into_iter().flatten().sum();
            // Partitions of the next days are empty.
            if text("Node Type") == "Seq Scan" && rows > 0.0 {
                self.whole.insert(relation.clone());
            }
            self.read.insert(relation);
        }
        for node in node["Plans"].as_array().into_iter().flatten() {
            self.add(node);
        }
    }

    /// Reads the plans of a part of the log.
    fn of(log: &str) -> Self {
        let mut scans = Self::default();
        for entry in log.split("plan:\n").skip(1) {
            // A plan is indented, and the next entry of the log is not.
            let plan = entry.lines().take_while(|line| line.starts_with('\t'));
            let plan: String = plan.collect();
            let plan: Value = serde_json::from_str(&plan).unwrap();
            scans.add(&plan["Plan"]);
        }
        scans
    }
}

/// Asks a question and returns what its statements read.
async fn scans(
    server: &Postgres,
    reader: FleetReader,
    ask: fn(&mut FleetReader, i64),
    begin: i64,
) -> (FleetReader, Scans) {
    let before = server.log().len();
    let reader = blocking(move || {
        let mut reader = reader;
        ask(&mut reader, begin);
        // The server logs a plan at the end of its transaction, which precedes the next one.
        reader.handles().unwrap();
        reader
    })
    .await;
    let log = server.log();
    (reader, Scans::of(&log[before..]))
}

fn logs(reader: &mut FleetReader, set: impl FnOnce(&mut RequestFilter)) -> usize {
    let mut filter = RequestFilter::default();
    set(&mut filter);
    reader.requests(&filter, 20).unwrap().len()
}

/// The partitions that `fleet::init` makes: of today and of seven more days.
const AHEAD: usize = 8;

/// A question, how many partitions it may read, and whether it may read a partition as a whole.
type Question = (&'static str, usize, bool, fn(&mut FleetReader, i64));

const ALL: usize = DAYS as usize + AHEAD;

const QUESTIONS: [Question; 14] = [
    ("newest requests", AHEAD + 1, false, |reader, _| {
        assert_eq!(logs(reader, |_| ()), 20);
    }),
    ("requests of a day", 1, true, |reader, begin| {
        let window = Window {
            since: begin + 5 * DAY,
            until: begin + 6 * DAY,
        };
        assert_eq!(logs(reader, |it| it.window = window), 20);
    }),
    ("requests of a tool", AHEAD + 8, false, |reader, _| {
        assert_eq!(logs(reader, |it| it.tool = Some("tool 3".into())), 20);
    }),
    ("requests of a session", ALL, false, |reader, _| {
        assert_eq!(logs(reader, |it| it.session = Some("session 3".into())), 20);
    }),
    ("requests with a status", ALL, false, |reader, _| {
        let timeout = Some(RequestStatus::Timeout);
        assert_eq!(logs(reader, |it| it.status = timeout), 20);
    }),
    ("requests with a code", ALL, false, |reader, _| {
        assert_eq!(logs(reader, |it| it.error_code = Some("-32001".into())), 20);
    }),
    ("requests with an outcome", ALL, false, |reader, _| {
        assert_eq!(logs(reader, |it| it.outcomes = vec![Outcome::Gone]), 20);
    }),
    (
        "requests of a method that none has",
        ALL,
        false,
        |reader, _| {
            assert_eq!(logs(reader, |it| it.method = Some("ping".into())), 0);
        },
    ),
    ("slowest requests", ALL, false, |reader, _| {
        let found = reader.slow(&RequestFilter::default(), 20).unwrap();
        assert_eq!(found[19].request.latency_us, 200_000);
    }),
    ("request by its id", 1, false, |reader, begin| {
        // The hour around this one is of the same day.
        let ts = begin + 7 * DAY + DAY / 2;
        let near = Window {
            since: ts,
            until: ts + DAY / 2,
        };
        let mut filter = RequestFilter::default();
        filter.window = near;
        // This question reads the same partition.
        let found = reader.requests(&filter, 1_500).unwrap();
        let id = &found[1_499].request.request_id;
        assert!(matches!(reader.find_request(id).unwrap(), Lookup::One(_)));
    }),
    ("request by its row", ALL, false, |reader, _| {
        let store = "00000000-0000-7000-8000-000000000003";
        assert!(reader.request(store, 7).unwrap().is_some());
    }),
    ("statistics of a day", 2, true, |reader, begin| {
        let mut filter = StatsFilter::default();
        filter.window = Window {
            since: begin + 3 * DAY + DAY / 2,
            until: begin + 4 * DAY + DAY / 2,
        };
        assert_eq!(reader.stats(&filter).unwrap().total.calls, 3_000);
    }),
    ("sessions", 0, false, |reader, _| {
        assert_eq!(
            reader
                .sessions(&SessionFilter::default(), 20)
                .unwrap()
                .len(),
            20
        );
    }),
    ("slow requests of a day", 1, true, |reader, begin| {
        let mut filter = RequestFilter::default();
        filter.window = Window {
            since: begin + 5 * DAY,
            until: begin + 6 * DAY,
        };
        filter.min_latency = Some(Duration::from_millis(100));
        assert_eq!(reader.requests(&filter, 20).unwrap().len(), 20);
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn questions_read_by_indexes_and_only_the_partitions_of_their_time() {
    let settings = [
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_analyze", "on"),
        ("auto_explain.log_timing", "off"),
        ("auto_explain.log_nested_statements", "on"),
        ("auto_explain.log_format", "json"),
    ];
    let Some(server) = support::own_postgres_with(&settings, &[]) else {
        return;
    };
    let database = server.database().await;
    init(database.target()).await.unwrap();
    // The last of the days is yesterday.
    let sql = "SELECT (extract(epoch FROM now())::bigint / 86400 - 20) * 86400000";
    let begin = database.number(sql).await;
    database.run(&rows(begin)).await;
    // The migration creates the partitions of rows in the default one.
    let target = database.target();
    blocking(move || fleet::migrate(&target, &Roles::new()))
        .await
        .unwrap();
    database.run(OTHERS).await;
    database.run("VACUUM ANALYZE").await;
    let target = database.target();
    let mut reader = blocking(move || FleetReader::open(&target)).await.unwrap();
    for (question, most, may_be_whole, ask) in QUESTIONS {
        let (again, scans) = scans(&server, reader, ask, begin).await;
        reader = again;
        assert!(
            scans.read.len() <= most,
            "{question} reads {:?}",
            scans.read
        );
        assert!(
            may_be_whole || scans.whole.is_empty(),
            "{question} reads {:?}",
            scans.whole
        );
    }
    blocking(move || drop(reader)).await;
}
