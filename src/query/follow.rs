//! Requests as they are written.

use super::Reader;
use super::filter::{Conditions, Filter};
use super::logs::select;
use super::reader::Source;
use super::request::Request;
use crate::error::QueryError;

/// How many rows one [`poll`](Follow::poll) gives at most.
const BATCH: i64 = 1_000;

/// What is written from now on, by whichever writer; see [`Reader::follow`].
#[derive(Debug)]
pub struct Follow<'r> {
    reader: &'r Reader,
    filter: Filter,
    /// The number of the last row that was looked at. Rows are numbered in the
    /// order in which they become visible, and no number is given out twice, so
    /// none can be missed and none come again.
    last: i64,
    /// Which file that row is in, as each has numbers of its own.
    replaced: u64,
}

impl Reader {
    /// Begins after the row that is the newest now.
    pub fn follow(&self, filter: Filter) -> Result<Follow<'_>, QueryError> {
        let (last, replaced) = self.read(|source| Ok((newest(source)?, source.replaced)))?;
        Ok(Follow {
            reader: self,
            filter,
            last,
            replaced,
        })
    }

    /// Begins after the row of that number, such as the highest of a page of
    /// [`logs`](Self::logs) that was shown before.
    pub fn follow_after(&self, filter: Filter, id: i64) -> Follow<'_> {
        Follow {
            reader: self,
            filter,
            last: id,
            replaced: self.replaced(),
        }
    }
}

impl Follow<'_> {
    /// The number of the last row that was looked at.
    pub fn last_id(&self) -> i64 {
        self.last
    }

    /// What has been written since the last call, in the order in which it was
    /// written. A row is written when its outcome is known, so its `ts` may be
    /// earlier than that of a row before it.
    ///
    /// When another file has taken the place of the one that was followed, all
    /// that is in it is new.
    ///
    /// At most some thousand rows; the next call gives the rest. With nothing
    /// new it costs some ten microseconds, so that it may be called often.
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

/// The next rows, and the number of the last row that was looked at.
fn written_after(
    source: &Source<'_>,
    filter: &Filter,
    last: i64,
) -> rusqlite::Result<(Vec<Request>, i64)> {
    let newest = newest(source)?;
    if newest <= last {
        return Ok((Vec::new(), last));
    }
    let mut conditions = Conditions::new(filter, source);
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
