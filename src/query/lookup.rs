//! Lookup of one row by the beginning of its id.

use rusqlite::{OptionalExtension as _, Row};

use super::Reader;
use super::error::QueryError;
use super::reader::Source;
use super::request::Request;

/// The most ids that are returned if several rows match.
const NAMED: usize = 5;

/// The result of a look-up by an id or by the beginning of one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup<T> {
    /// No row has such an id.
    Nothing,
    /// One row has this id or an id that begins with it.
    One(T),
    /// Several ids begin with it. The first few of them.
    Several(Vec<String>),
}

impl<T> Lookup<T> {
    /// Returns the row, if there is exactly one.
    pub fn one(self) -> Option<T> {
        match self {
            Self::One(found) => Some(found),
            Self::Nothing | Self::Several(_) => None,
        }
    }

    /// Selects `columns` from a table by the beginning of its `key`.
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
        // The prefix followed by the highest character sorts after all texts that begin
        // with it.
        let sql = format!(
            "SELECT {columns} FROM {table}
             WHERE {key} >= ?1 AND {key} <= ?1 || char(1114111) ORDER BY {key} LIMIT {NAMED}"
        );
        let mut found: Vec<T> = source
            .conn
            .prepare_cached(&sql)?
            .query_map([prefix], from_row)?
            .collect::<rusqlite::Result<_>>()?;
        // A whole id sorts before all longer ones that begin with it.
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
    /// Returns the request of the row with this number.
    pub fn request(&self, id: i64) -> Result<Option<Request>, QueryError> {
        self.read(|source| {
            let columns = Request::COLUMNS;
            source
                .conn
                .prepare_cached(&format!("SELECT {columns} FROM requests WHERE id = ?1"))?
                .query_row([id], Request::from_row)
                .optional()
        })
    }

    /// Returns the request whose id is, or begins with, `id`.
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
        // This crate writes ids in lower case. Another program may not.
        match find(&id.to_ascii_lowercase())? {
            Lookup::Nothing => find(id),
            found => Ok(found),
        }
    }
}
