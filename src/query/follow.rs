//! Requests as they are written.

use rusqlite::params_from_iter;

use super::Reader;
use super::conditions::Conditions;
use super::error::QueryError;
use super::filter::RequestFilter;
use super::reader::Source;
use super::request::Request;
use super::requests::select;

/// The most rows that one [`poll`](Follower::poll) returns.
const BATCH: i64 = 1_000;

/// The most rows that [`poll_newest`](Follower::poll_newest) examines.
const EXAMINED: i64 = 100_000;

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

/// The requests of [`Follower::poll_newest`] that one filter takes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The newest ones, in the order of writing.
    pub rows: Vec<Request>,
    /// The number of the others.
    pub omitted: i64,
    /// Whether there may be more, because more than 100,000 rows were written since the last
    /// call.
    pub is_partial: bool,
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

    /// Returns the requests that were written since the last call, for several displays that show
    /// `limit` rows each. Each of `filters` takes the place of the follower's own filter.
    ///
    /// Takes about as long as [`poll`](Self::poll) without new rows. Else each filter takes up to
    /// a microsecond for each new row. At most the newest 100,000 rows are examined.
    pub fn poll_newest(
        &mut self,
        filters: &[RequestFilter],
        limit: usize,
    ) -> Result<Vec<Written>, QueryError> {
        let ((written, last), replaced) = self.reader.read(|source| {
            let last = match source.replaced == self.replaced {
                true => self.last,
                false => 0,
            };
            let newest = newest(source)?;
            if newest <= last {
                return Ok((
                    (vec![Written::default(); filters.len()], last),
                    source.replaced,
                ));
            }
            let after = last.max(newest.saturating_sub(EXAMINED));
            let written = filters.iter().map(|filter| {
                let mut written = newest_written(source, filter, (after, newest), limit)?;
                written.is_partial = after > last;
                Ok(written)
            });
            let written = written.collect::<rusqlite::Result<_>>()?;
            Ok(((written, newest), source.replaced))
        })?;
        self.last = last;
        self.replaced = replaced;
        Ok(written)
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

/// Returns the newest of the rows with a number above `after` and up to `to`.
fn newest_written(
    source: &Source<'_>,
    filter: &RequestFilter,
    (after, to): (i64, i64),
    limit: usize,
) -> rusqlite::Result<Written> {
    let mut conditions = Conditions::new(filter, source)?;
    let checks = conditions.checks();
    let (to, after) = (conditions.bind(to), conditions.bind(after));
    let found = format!("FROM requests WHERE id > {after} AND id <= {to} AND {checks}");
    let sql = format!("SELECT id {found} ORDER BY id DESC");
    let mut statement = source.conn.prepare_cached(&sql)?;
    let mut ids = statement.query(params_from_iter(conditions.values()))?;
    let (mut count, mut oldest) = (0_usize, None);
    while let Some(row) = ids.next()? {
        count += 1;
        if count <= limit {
            oldest = Some(row.get::<_, i64>(0)?);
        }
    }
    let mut written = Written {
        omitted: i64::try_from(count.saturating_sub(limit)).unwrap_or(i64::MAX),
        ..Written::default()
    };
    if let Some(oldest) = oldest {
        conditions.set_last(oldest.saturating_sub(1));
        let columns = Request::COLUMNS;
        let sql = format!("SELECT {columns} {found} ORDER BY id");
        written.rows = select(source, &conditions, &sql)?;
    }
    Ok(written)
}
