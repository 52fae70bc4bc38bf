//! Requests as they are written.

use super::Reader;
use super::conditions::Conditions;
use super::error::QueryError;
use super::filter::RequestFilter;
use super::reader::Source;
use super::request::Request;
use super::requests::select;

/// The most rows that one [`poll`](Follower::poll) returns.
const BATCH: i64 = 1_000;

/// Reads requests as they are written, by any writer; see [`Reader::follow`].
#[derive(Debug)]
pub struct Follower {
    reader: Reader,
    filter: RequestFilter,
    /// The number of the last row that was examined. Rows are numbered in the order in
    /// which they become visible, and no number is used twice, so no row is missed and
    /// none comes twice.
    last: i64,
    /// The file of that row: each file has numbers of its own.
    replaced: u64,
}

impl Reader {
    /// Follows requests that are written after the newest one.
    ///
    /// The follower can move to another thread: it has a clone of this reader.
    pub fn follow(&self, filter: RequestFilter) -> Result<Follower, QueryError> {
        let (last, replaced) = self.read(|source| Ok((newest(source)?, source.replaced)))?;
        Ok(Follower {
            reader: self.clone(),
            filter,
            last,
            replaced,
        })
    }

    /// Follows requests after the row with the number `id`, such as the highest of a page
    /// of [`requests`](Self::requests) that was shown before.
    pub fn follow_after(&self, filter: RequestFilter, id: i64) -> Follower {
        Follower {
            reader: self.clone(),
            filter,
            last: id,
            replaced: self.replaced(),
        }
    }
}

impl Follower {
    /// Returns the number of the last row that was examined.
    pub fn last_id(&self) -> i64 {
        self.last
    }

    /// Returns the requests that were written since the last call, in the order of writing. A
    /// row is written when its outcome is known, so its `ts` may be earlier than that of the
    /// row before it.
    ///
    /// If another file has taken the place of the followed one, all its rows are new.
    ///
    /// Returns at most 1,000 rows; the next call returns the rest. A call without new
    /// rows takes about ten microseconds, so it may be frequent. It blocks like the
    /// methods of [`Reader`].
    pub fn poll(&mut self) -> Result<Vec<Request>, QueryError> {
        let ((rows, last), replaced) = self.reader.read(|source| {
            let last = match source.replaced == self.replaced {
                true => self.last,
                false => 0,
            };
            Ok((written_after(source, &self.filter, last)?, source.replaced))
        })?;
        self.last = last;
        self.replaced = replaced;
        Ok(rows)
    }
}

fn newest(source: &Source<'_>) -> rusqlite::Result<i64> {
    source
        .conn
        .prepare_cached("SELECT coalesce(max(id), 0) FROM requests")?
        .query_row([], |row| row.get(0))
}

/// Returns the next rows, and the number of the last row that was examined.
fn written_after(
    source: &Source<'_>,
    filter: &RequestFilter,
    last: i64,
) -> rusqlite::Result<(Vec<Request>, i64)> {
    let newest = newest(source)?;
    if newest <= last {
        return Ok((Vec::new(), last));
    }
    let mut conditions = Conditions::new(filter, source)?;
    let checks = conditions.checks();
    let (after, to) = (conditions.bind(last), conditions.bind(newest));
    let columns = Request::COLUMNS;
    let rows = select(
        source,
        &conditions,
        &format!(
            "SELECT {columns} FROM requests WHERE id > {after} AND id <= {to} AND {checks}
             ORDER BY id LIMIT {BATCH}"
        ),
    )?;
    let last = match rows.last() {
        Some(row) if rows.len() as i64 == BATCH => row.id,
        _ => newest,
    };
    Ok((rows, last))
}
