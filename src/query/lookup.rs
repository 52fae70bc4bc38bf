//! One thing that is asked for by the beginning of its id.

use rusqlite::Row;

use super::Reader;
use super::error::QueryError;
use super::reader::Source;
use super::request::Request;

/// How many ids are named where several things are meant.
const NAMED: usize = 5;

/// What an id, or the beginning of one, leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup<T> {
    /// Nothing has such an id.
    Nothing,
    /// The one thing whose id this is, or begins like this.
    One(T),
    /// Several ids begin like this; the first few of them.
    Several(Vec<String>),
}

impl<T> Lookup<T> {
    /// The one thing, if it is one.
    pub fn one(self) -> Option<T> {
        match self {
            Self::One(found) => Some(found),
            Self::Nothing | Self::Several(_) => None,
        }
    }

    /// Looks `columns` up in a table by the beginning of its `key`.
    pub(super) fn by_prefix(
        source: &Source<'_>,
        (table, key, columns): (&str, &str, &str),
        prefix: &str,
        from_row: fn(&Row<'_>) -> rusqlite::Result<T>,
        id: fn(&T) -> &str,
    ) -> rusqlite::Result<Self> {
        if prefix.is_empty() {
            return Ok(Self::Nothing);
        }
        // No text that begins with it comes after it and the last character of all.
        let sql = format!(
            "SELECT {columns} FROM {table}
             WHERE {key} >= ?1 AND {key} <= ?1 || char(1114111) ORDER BY {key} LIMIT {NAMED}"
        );
        let mut found: Vec<T> = source
            .conn
            .prepare_cached(&sql)?
            .query_map([prefix], from_row)?
            .collect::<rusqlite::Result<_>>()?;
        // A whole id is the first of those that begin with it.
        let whole = found.first().is_some_and(|first| id(first) == prefix);
        if found.len() > 1 && !whole {
            return Ok(Self::Several(
                found.iter().map(|one| id(one).to_owned()).collect(),
            ));
        }
        found.truncate(1);
        Ok(found.pop().map_or(Self::Nothing, Self::One))
    }
}

impl Reader {
    /// The request whose id is, or begins with, this text.
    pub fn find_request(&self, id: &str) -> Result<Lookup<Request>, QueryError> {
        let find = |id: &str| {
            self.read(|source| {
                let columns = Request::COLUMNS;
                let place = ("requests", "request_id", columns);
                Lookup::by_prefix(source, place, id, Request::from_row, |request| {
                    &request.request_id
                })
            })
        };
        // Ids are written in lower case here; another program may do otherwise.
        match find(&id.to_ascii_lowercase())? {
            Lookup::Nothing => find(id),
            found => Ok(found),
        }
    }
}
