//! Classes of latency, by which an index orders requests.

use rusqlite::types::Value;

use super::names::SOUGHT;
use super::reader::Source;

/// The class of a latency, as in `idx_requests_slow`: its magnitude and first digit.
pub(super) const CLASS: &str = "CASE WHEN latency_us < 1000 THEN latency_us / 100 - 10
         WHEN latency_us < 10000 THEN latency_us / 1000
         WHEN latency_us < 100000 THEN 10 + latency_us / 10000
         WHEN latency_us < 1000000 THEN 20 + latency_us / 100000
         WHEN latency_us < 10000000 THEN 30 + latency_us / 1000000
         ELSE 40 + latency_us / 10000000 END";

/// Returns the class of a latency.
pub(super) fn class(source: &Source<'_>, latency_us: i64) -> rusqlite::Result<f64> {
    source.conn.query_row(
        &format!("SELECT {CLASS} FROM (SELECT ?1 AS latency_us)"),
        [latency_us],
        |row| row.get(0),
    )
}

/// Returns the classes of the requests that may take this long, if they are few enough
/// to seek each. Most files have about forty.
pub(super) fn classes_from(
    source: &Source<'_>,
    latency_us: i64,
) -> rusqlite::Result<Option<Vec<Value>>> {
    let next = |relation: &str| {
        format!("(SELECT {CLASS} FROM requests WHERE {CLASS} {relation} ORDER BY {CLASS} LIMIT 1)")
    };
    let sql = format!(
        "WITH RECURSIVE class (n) AS (
             SELECT {} UNION ALL SELECT {} FROM class WHERE n IS NOT NULL)
         SELECT n FROM class WHERE n IS NOT NULL LIMIT {}",
        next(">= ?1"),
        next("> n"),
        SOUGHT + 1,
    );
    let lowest = class(source, latency_us)?;
    let mut statement = source.conn.prepare_cached(&sql)?;
    let found = statement.query_map([lowest], |row| row.get(0))?;
    let found: Vec<Value> = found.collect::<rusqlite::Result<_>>()?;
    Ok((found.len() <= SOUGHT).then_some(found))
}
