//! The outcome of a row of `requests`, and its error type, in SQL.
//!
//! Both are expressions over the columns of one row, without a table's name,
//! because no other table has columns of these names.

/// The word of [`Outcome`](crate::event::Outcome). A property test compares both.
pub(crate) const OUTCOME: &str = "CASE
    WHEN end_reason = 'input_required' THEN 'input_required'
    WHEN end_reason = 'task' THEN 'working'
    WHEN status = 'error' AND error_code = '-32042' THEN 'input_required'
    WHEN tool_error <> 0 THEN 'tool_error'
    WHEN status = 'timeout' THEN 'timeout'
    WHEN end_reason IN ('client_gone', 'cancelled') THEN 'gone'
    WHEN status = 'error' AND (
        error_code IN ('-32700', '-32600', '-32601', '-32602',
            '-32002', '-32020', '-32021', '-32022')
        OR (http_status BETWEEN 400 AND 499 AND http_status <> 408
            AND error_code IS NOT '-32603')
    ) THEN 'caller_error'
    WHEN status = 'error' THEN 'error'
    ELSE 'ok'
END";

/// OpenTelemetry's `error.type`; NULL if the server did not fail. It is computed
/// from a column `outcome`, which holds [`OUTCOME`].
pub(crate) const ERROR_TYPE: &str = "CASE
    WHEN outcome IN ('tool_error', 'timeout') THEN outcome
    WHEN outcome IN ('error', 'gone')
        THEN coalesce(error_code, end_reason, CAST(http_status AS TEXT), '_OTHER')
END";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rusqlite::{Connection, params};

    use super::*;
    use crate::event::{EndReason, Outcome, RequestStatus};

    /// The columns of a row that determine its outcome.
    type Row = (
        RequestStatus,
        bool,
        Option<EndReason>,
        Option<&'static str>,
        Option<i64>,
    );

    fn row() -> impl Strategy<Value = Row> {
        let codes = [
            "-32700", "-32600", "-32601", "-32602", "-32603", "-32002", "-32020", "-32021",
            "-32022", "-32042", "-32000", "-32023", "7", "",
        ];
        let statuses = [
            100, 200, 202, 302, 399, 400, 401, 404, 408, 429, 499, 500, 504, 600,
        ];
        (
            prop::sample::select(&RequestStatus::ALL[..]),
            any::<bool>(),
            prop::option::of(prop::sample::select(EndReason::ALL)),
            prop::option::of(prop::sample::select(codes.to_vec())),
            prop::option::of(prop::sample::select(statuses.to_vec())),
        )
    }

    /// Returns the outcomes and error types that SQL computes.
    fn in_sql(rows: &[Row]) -> Vec<(String, Option<String>)> {
        let conn = Connection::open_in_memory().unwrap();
        crate::db::migrate::migrate(&conn, 0, crate::db::SCHEMA_VERSION).unwrap();
        for (id, (status, tool_error, end_reason, code, http)) in rows.iter().enumerate() {
            conn.execute(
                "INSERT INTO requests (request_id, ts, proxy, method, latency_us, status,
                     tool_error, end_reason, error_code, http_status)
                 VALUES (?1, 0, 'default', 'ping', 0, ?2, ?3, ?4, ?5, ?6)",
                params![
                    id.to_string(),
                    status.as_str(),
                    tool_error,
                    end_reason.map(EndReason::as_str),
                    code,
                    http
                ],
            )
            .unwrap();
        }
        let sql = format!(
            "SELECT outcome, {ERROR_TYPE} FROM (SELECT *, {OUTCOME} AS outcome FROM requests)
             ORDER BY id"
        );
        let mut found = conn.prepare(&sql).unwrap();
        let found = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        found.unwrap().map(Result::unwrap).collect()
    }

    fn of((status, tool_error, end_reason, code, http): Row) -> Outcome {
        Outcome::of(status, tool_error, end_reason, code, http)
    }

    fn error_type(row: Row) -> Option<String> {
        let (_, _, end_reason, code, http) = row;
        match of(row) {
            Outcome::ToolError => Some("tool_error".to_owned()),
            Outcome::Timeout => Some("timeout".to_owned()),
            Outcome::Error | Outcome::Gone => {
                let reason = end_reason.map(|reason| reason.as_str().to_owned());
                let http = http.map(|status| status.to_string());
                let code = code.map(str::to_owned);
                Some(code.or(reason).or(http).unwrap_or("_OTHER".to_owned()))
            }
            _ => None,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn outcome_and_error_type_are_the_same_in_rust_and_in_sql(
            rows in prop::collection::vec(row(), 1..64),
        ) {
            let of_row = |row: &Row| (of(*row).as_str().to_owned(), error_type(*row));
            let expected: Vec<_> = rows.iter().map(of_row).collect();
            prop_assert_eq!(in_sql(&rows), expected);
        }
    }

    #[test]
    fn first_rule_that_applies_determines_the_outcome() {
        use EndReason::{Cancelled, ClientGone, Detached, StreamEnd, Task};
        use RequestStatus::{Error, Ok, Timeout};
        let rows: [(Row, Outcome); 17] = [
            ((Ok, false, None, None, Some(200)), Outcome::Ok),
            ((Ok, false, Some(StreamEnd), None, None), Outcome::Ok),
            ((Ok, true, None, None, Some(200)), Outcome::ToolError),
            (
                (Ok, true, Some(EndReason::InputRequired), None, None),
                Outcome::InputRequired,
            ),
            ((Ok, false, Some(Task), None, None), Outcome::Working),
            (
                (Error, false, None, Some("-32042"), Some(200)),
                Outcome::InputRequired,
            ),
            (
                (Timeout, false, Some(Detached), None, None),
                Outcome::Timeout,
            ),
            (
                (Timeout, false, Some(Cancelled), None, None),
                Outcome::Timeout,
            ),
            ((Timeout, false, None, None, Some(408)), Outcome::Timeout),
            ((Error, false, Some(ClientGone), None, None), Outcome::Gone),
            (
                (Error, false, Some(Cancelled), Some("-32602"), None),
                Outcome::Gone,
            ),
            (
                (Error, false, None, Some("-32602"), Some(200)),
                Outcome::CallerError,
            ),
            ((Error, false, None, None, Some(404)), Outcome::CallerError),
            ((Error, false, None, None, Some(408)), Outcome::Error),
            (
                (Error, false, None, Some("-32603"), Some(400)),
                Outcome::Error,
            ),
            (
                (Error, false, None, Some("-32000"), Some(200)),
                Outcome::Error,
            ),
            ((Error, false, None, None, Some(500)), Outcome::Error),
        ];
        for (row, expected) in rows {
            assert_eq!(of(row), expected, "{row:?}");
        }
    }
}
