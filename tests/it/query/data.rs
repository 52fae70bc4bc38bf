//! A file with requests and sessions of every kind.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::params;
use tempfile::TempDir;
use tower_mcp_store::query::{Reader, Recorded, Request, RequestFilter};
use tower_mcp_store::{EndReason, Outcome, RequestStatus, Store};

use crate::support::{LONG, connect, fixture, fresh};

/// The number of rows: more than a query counts to choose an index.
const ROWS: i64 = 3_600;
pub(crate) const START: i64 = 1_795_000_000_000;

/// A file of a version, and all of its requests in the order in which they were written.
pub(crate) struct Data {
    pub(crate) reader: Reader,
    pub(crate) rows: Vec<Request>,
    pub(crate) path: PathBuf,
    _dir: TempDir,
}

impl Data {
    pub(crate) fn of_version(version: i64) -> Self {
        let (dir, path) = match version {
            4 => fixture(4),
            _ => fresh(),
        };
        if version == 5 {
            Store::open(&path).unwrap().shutdown(LONG).unwrap();
        }
        let conn = connect(&path);
        conn.execute_batch("BEGIN; DELETE FROM requests; DELETE FROM sessions;")
            .unwrap();
        // Pseudo-random numbers, the same in every run.
        let mut seed = 1_u64;
        let mut below = |limit: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % limit
        };
        for session in 0..40_u64 {
            conn.execute(
                "INSERT INTO sessions (session_id, proxy, started_at, last_seen_at, ended_at,
                     client_name, client_version, client_platform)
                 VALUES (?1, ?2, ?3, ?3, ?4, ?5, '1', 'unknown')",
                params![
                    session_id(session),
                    proxy(session),
                    START + session as i64 * 10,
                    (session % 3 == 0).then_some(START + 100_000),
                    (!session.is_multiple_of(5)).then(|| format!("client-{}", session % 5)),
                ],
            )
            .unwrap();
        }
        for id in 0..ROWS {
            // Several rows share a millisecond, and the order of ids is not the order of time.
            let ts = START + (id / 3) * 2 + below(50) as i64;
            let session = below(40);
            let tool = (below(3) > 0).then(|| format!("tool-{}", below(6) * below(6)));
            let method = match (&tool, below(9)) {
                (Some(_), _) | (None, 0) => "tools/call".to_owned(),
                (None, other) => format!("method-{other}"),
            };
            let status = [RequestStatus::Error, RequestStatus::Timeout]
                .get(below(40) as usize)
                .copied()
                .unwrap_or(RequestStatus::Ok);
            let failed = status != RequestStatus::Ok;
            let latency = 1_i64 << below(30);
            conn.execute(
                "INSERT INTO requests (request_id, ts, proxy, session_id, method, tool, latency_us,
                     status, error_code, bytes_in, bytes_out)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                params![
                    format!("{id:08x}-0000-7000-8000-000000000000"),
                    ts,
                    proxy(below(3)),
                    (below(10) > 0).then(|| session_id(session)),
                    method,
                    tool,
                    latency + below(latency as u64) as i64,
                    status.as_str(),
                    failed.then(|| format!("-{}", below(3))),
                    (below(5) > 0).then_some(100),
                    200,
                ],
            )
            .unwrap();
            if version == 5 {
                let reasons = [EndReason::Panic, EndReason::StreamEnd, EndReason::Cancelled];
                conn.execute(
                    "UPDATE requests SET tool_error = ?1, end_reason = ?2, target = ?3,
                         principal = ?4, trace_id = ?5, protocol_version = ?6, http_status = ?7,
                         rpc_id = ?8
                     WHERE id = last_insert_rowid()",
                    params![
                        !failed && below(50) == 0,
                        reasons
                            .get(below(60) as usize)
                            .map(|reason| reason.as_str()),
                        (below(4) == 0).then(|| format!("file:///{}", below(9))),
                        (below(3) > 0).then(|| format!("user-{}", below(12))),
                        (below(3) > 0).then(|| trace_id(below(9))),
                        (below(3) > 0).then(|| format!("2025-0{}-18", below(3) + 4)),
                        [200, 400, 408, 500][below(4) as usize],
                        ["17", "\"17\"", "\"a\"", "18"].get(below(5) as usize),
                    ],
                )
                .unwrap();
            }
        }
        conn.execute_batch(
            "UPDATE sessions SET (total_calls, total_errors, last_seen_at) =
                 (SELECT count(*), sum(status <> 'ok'), max(max(ts), started_at)
                  FROM requests r WHERE r.session_id = sessions.session_id);",
        )
        .unwrap();
        if version == 5 {
            conn.execute_batch("UPDATE sessions SET operations = total_calls")
                .unwrap();
        }
        conn.execute_batch("COMMIT").unwrap();
        conn.close().unwrap();
        let reader = Reader::open(&path).unwrap();
        assert_eq!(reader.version(), version);
        let mut rows = reader.follow_after(RequestFilter::default(), 0);
        let mut all = Vec::new();
        loop {
            let batch = rows.poll().unwrap();
            if batch.is_empty() {
                break;
            }
            all.extend(batch);
        }
        assert_eq!(all.len(), ROWS as usize);
        Self {
            reader,
            rows: all,
            path,
            _dir: dir,
        }
    }

    /// Returns the client of the row's session.
    pub(crate) fn client(&self, row: &Request) -> Option<String> {
        let id = row.session_id.as_deref()?;
        let number: u64 = id.strip_prefix("session-")?.get(..4)?.parse().ok()?;
        (!number.is_multiple_of(5)).then(|| format!("client-{}", number % 5))
    }

    /// Returns whether a filter accepts a row.
    pub(crate) fn takes(&self, filter: &RequestFilter, row: &Request) -> bool {
        fn is<T: PartialEq>(asked: &Option<T>, found: Option<&T>) -> bool {
            asked.is_none() || asked.as_ref() == found
        }
        let is_like = |asked: &Option<String>, found: Option<&String>| {
            asked.as_ref().is_none_or(|pattern| {
                // Patterns have one character to compare behind what is the same.
                let (start, class) = pattern.split_once(['*', '[']).unwrap_or((pattern, ""));
                found.is_some_and(|found| match found.strip_prefix(start) {
                    Some(rest) if class == "1-4]" => ["1", "2", "3", "4"].contains(&rest),
                    Some(rest) => pattern.ends_with('*') || rest.is_empty(),
                    None => false,
                })
            })
        };
        let reason = filter.end_reason.map(Recorded::Known);
        (filter.window.since..filter.window.until).contains(&row.ts)
            && is(&filter.server_name, Some(&row.proxy))
            && is_like(&filter.method, Some(&row.method))
            && is_like(&filter.tool, row.tool.as_ref())
            && is(&filter.target, row.target.as_ref())
            && is_like(&filter.principal, row.principal.as_ref())
            && is(&filter.trace_id, row.trace_id.as_ref())
            && filter.rpc_id.as_ref().is_none_or(|id| {
                let found = row.rpc_id.as_deref().unwrap_or_default();
                found.trim_matches('"') == id
            })
            && is(&filter.protocol, row.protocol_version.as_ref())
            && filter
                .min_latency
                .is_none_or(|least| row.latency_us >= least.as_micros() as i64)
            && (filter.outcomes.is_empty() || filter.outcomes.contains(&row.outcome()))
            && is(&filter.session, row.session_id.as_ref())
            && filter.client.as_ref().is_none_or(|client| {
                let found = self.client(row).unwrap_or_default();
                // Of these clients, none has a name that others begin with.
                found.starts_with(&client.to_lowercase())
            })
            && is(&filter.status, Some(&row.status))
            && is(&filter.error_code, row.error_code.as_ref())
            && is(&reason, row.end_reason.as_ref())
            && (!filter.tool_error || row.tool_error)
    }
}

fn proxy(number: u64) -> String {
    ["default", "weather", "files"][number as usize % 3].to_owned()
}

fn trace_id(number: u64) -> String {
    format!("{number:032x}")
}

pub(crate) fn session_id(number: u64) -> String {
    format!(
        "session-{number:04}-{:08x}",
        number * 2_654_435_761 % (1 << 32)
    )
}

/// Returns each filter of one and of two conditions, with values that few and many rows
/// have.
pub(crate) fn filters() -> Vec<RequestFilter> {
    type Set = fn(&mut RequestFilter, usize);
    let conditions: [Set; 20] = [
        |filter, i| filter.window.since = START + [100, 3_900][i],
        |filter, i| filter.window.until = START + [4_000, 20][i],
        |filter, i| filter.server_name = Some(["default", "weather"][i].into()),
        |filter, i| filter.method = Some(["tools/call", "method-3"][i].into()),
        |filter, i| filter.tool = Some(["tool-0", "tool-25"][i].into()),
        |filter, i| filter.target = Some(["file:///3", "none"][i].into()),
        |filter, i| filter.session = Some([session_id(7), "unknown".into()][i].clone()),
        |filter, i| filter.client = Some(["client-2", "unknown"][i].into()),
        |filter, i| filter.status = Some([RequestStatus::Ok, RequestStatus::Timeout][i]),
        |filter, i| filter.end_reason = Some([EndReason::Cancelled, EndReason::Task][i]),
        |filter, i| filter.error_code = Some(["-1", "-9"][i].into()),
        |filter, i| filter.tool = Some(["tool-*", "tool-2*"][i].into()),
        |filter, i| filter.method = Some(["method-[1-4]", "tools*"][i].into()),
        |filter, i| filter.client = Some(["client-", "CLIENT-3"][i].into()),
        |filter, i| filter.principal = Some(["user-1", "user-1*"][i].into()),
        |filter, i| filter.trace_id = Some([trace_id(4), trace_id(10)][i].clone()),
        |filter, i| filter.rpc_id = Some(["17", "a"][i].into()),
        |filter, i| filter.protocol = Some(["2025-06-18", "2024-11-05"][i].into()),
        |filter, i| {
            let gone = [Outcome::Ok, Outcome::Gone];
            filter.outcomes = [&gone[..], &Outcome::FAILURES][i].to_vec();
        },
        |filter, i| filter.min_latency = Some(Duration::from_millis([1, 90_000][i])),
    ];
    let mut filters = vec![RequestFilter::default()];
    for (a, first) in conditions.iter().enumerate() {
        for i in 0..2 {
            let mut one = RequestFilter::default();
            first(&mut one, i);
            for second in &conditions[a + 1..] {
                let mut two = one.clone();
                second(&mut two, (a + i) % 2);
                filters.push(two);
            }
            let mut failed = one.clone();
            failed.tool_error = true;
            filters.extend([one, failed]);
        }
    }
    filters
}
