//! The requests of a session around one of them.

use rusqlite::params;

use super::Reader;
use super::error::QueryError;
use super::reader::Source;
use super::request::Request;
use super::session_requests::SessionRequests;

impl Reader {
    /// Returns a request between its neighbours, by time: at most `count` requests of the same
    /// session before it and as many after it. It reads all requests of the session.
    pub fn neighbours(&self, of: &Request, count: usize) -> Result<Vec<Request>, QueryError> {
        let Some(session) = &of.session_id else {
            return Ok(vec![of.clone()]);
        };
        self.read(|source| {
            let mut found = beside(source, of, session, ("<", "DESC"), count)?;
            found.reverse();
            found.push(of.clone());
            found.extend(beside(source, of, session, (">", "ASC"), count)?);
            Ok(found)
        })
    }
}

fn beside(
    source: &Source<'_>,
    of: &Request,
    session: &str,
    (side, order): (&str, &str),
    count: usize,
) -> rusqlite::Result<Vec<Request>> {
    let (columns, seek) = (Request::COLUMNS, SessionRequests::seek("?1"));
    source
        .conn
        .prepare_cached(&format!(
            "SELECT {columns} FROM requests WHERE {seek} AND (+ts, +id) {side} (?2, ?3)
             ORDER BY ts {order}, id {order} LIMIT ?4"
        ))?
        .query_map(
            params![
                session,
                of.ts,
                of.id,
                i64::try_from(count).unwrap_or(i64::MAX)
            ],
            Request::from_row,
        )?
        .collect()
}
