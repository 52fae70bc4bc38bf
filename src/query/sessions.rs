//! Sessions.

use rusqlite::params_from_iter;
use rusqlite::types::Value;

use super::Reader;
use super::error::{QueryError, QueryErrorKind};
use super::filter::{RequestFilter, SessionFilter};
use super::lookup::Lookup;
use super::names::Pattern;
use super::reader::Source;
use super::record::record;
use super::recorded::Recorded;
use super::window::Window;
use crate::db::newest_open;
use crate::db::session_ids::HASHED;
use crate::event::{SessionSource, bounded_id};

record! {
    /// One session: one row of `sessions`.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
    #[non_exhaustive]
    pub struct Session {
        /// Its id; it begins with `derived:` if the client sends none.
        pub session_id: String,
        /// The server that saw it begin.
        pub proxy: String,
        /// When it began, in unix milliseconds.
        pub started_at: i64,
        /// When its last request was received, in unix milliseconds.
        pub last_seen_at: i64,
        /// When it ended, in unix milliseconds; `None` while it is open. It stays open if
        /// the client leaves without ending it.
        pub ended_at: Option<i64>,
        /// The name that the client gives.
        pub client_name: Option<String>,
        /// The client's version.
        pub client_version: Option<String>,
        /// The product behind the client's name.
        pub client_platform: Option<String>,
        /// The number of its requests.
        pub total_calls: i64,
        /// The number of its requests that ended in an error or a timeout.
        pub total_errors: i64,
        /// Where the id comes from.
        pub source: Option<Recorded<SessionSource>>,
        /// The negotiated MCP revision.
        pub protocol_version: Option<String>,
        /// The name that the server gives.
        pub server_name: Option<String>,
        /// The server's version.
        pub server_version: Option<String>,
        /// Who calls: a keyed hash of client name, client version and principal or
        /// authorization.
        pub caller: Option<String>,
        /// The number of its calls. A call counts once, however many requests it takes. As
        /// JSON it is called `calls`.
        #[serde(rename = "calls")]
        pub operations: i64,
    }
}

/// Which sessions come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SessionOrder {
    /// Those whose last request was received last.
    LastSeen,
    /// Those with the most calls.
    Calls,
    /// Those with the most requests that ended in an error or a timeout.
    Errors,
    /// Those that took longest, from their beginning to their end or last request.
    Longest,
}

impl SessionOrder {
    /// Returns the terms of `ORDER BY`. They give each session a place.
    pub(super) const fn sql(self) -> &'static str {
        match self {
            Self::LastSeen => "last_seen_at DESC, started_at DESC, session_id DESC",
            Self::Calls => "operations DESC, started_at DESC, session_id DESC",
            Self::Errors => "total_errors DESC, started_at DESC, session_id DESC",
            Self::Longest => {
                "coalesce(ended_at, last_seen_at) - started_at DESC, started_at DESC,
                 session_id DESC"
            }
        }
    }
}

impl Reader {
    /// Returns the first `limit` sessions that the filter takes, in this order. It reads all
    /// sessions of the window.
    pub fn sessions_by(
        &self,
        filter: &SessionFilter,
        order: SessionOrder,
        limit: usize,
    ) -> Result<Vec<Session>, QueryError> {
        self.read(|source| {
            let client = match &filter.client {
                Some(client) => Some(Pattern::of_client(source, client)?.0),
                None => None,
            };
            let is_client = client.map(|of| (of.matches("+client_name", "?4"), of.text));
            select(source, filter, is_client, order.sql(), limit)
        })
    }

    /// Returns the latest `limit` sessions that the filter takes, latest first: by their
    /// beginning, or by their last request if only active ones are asked for.
    pub fn sessions(
        &self,
        filter: &SessionFilter,
        limit: usize,
    ) -> Result<Vec<Session>, QueryError> {
        self.read(|source| sessions(source, filter, limit))
    }

    /// Returns the session whose stored id is, or begins with, `id`.
    ///
    /// If ids are stored [hashed](crate::StoreBuilder::hash_session_ids), the whole id
    /// that the client sends finds the session too. The same holds for an id of more than
    /// the 256 characters that are stored.
    ///
    /// # Errors
    ///
    /// Also if no session is found, and ids are hashed with a
    /// [key](Self::with_shared_key) that the reader does not have.
    pub fn find_session(&self, id: &str) -> Result<Lookup<Session>, QueryError> {
        let found = self.look_up_session(&bounded_id(id))?;
        self.with_all_keys(id, found)
    }

    fn look_up_session(&self, id: &str) -> Result<Lookup<Session>, QueryError> {
        self.read(|source| {
            let place = ("sessions", "session_id", Session::COLUMNS);
            let find = |id: &str| {
                Lookup::by_prefix(source, place, id, Session::from_row, |session| {
                    &session.session_id
                })
            };
            let begins = match find(id)? {
                Lookup::One(session) if session.session_id == id => {
                    return Ok(Lookup::One(session));
                }
                begins => begins,
            };
            for hashed in source.hashed(id)? {
                match find(&hashed)? {
                    Lookup::Nothing => {}
                    found => return Ok(found),
                }
            }
            Ok(begins)
        })
    }

    /// Returns an error if nothing was found, and a key is missing that would be needed.
    fn with_all_keys<T>(&self, id: &str, found: Lookup<T>) -> Result<Lookup<T>, QueryError> {
        let is_hash = id.starts_with(HASHED);
        if matches!(found, Lookup::Nothing) && !is_hash && self.read(|source| source.lacks_key())? {
            return Err(QueryError::new(
                QueryErrorKind::KeyMissing,
                "session ids are stored hashed, and the key of the hashes is not in the file; \
                 give the shared key of the server that recorded it, or the stored id",
            ));
        }
        Ok(found)
    }

    /// Returns the whole stored id of the session that
    /// [`find_session`](Self::find_session) finds. If only requests have this id, and no
    /// row of `sessions` does, it returns the id.
    ///
    /// # Errors
    ///
    /// As for `find_session`.
    pub fn find_session_id(&self, id: &str) -> Result<Lookup<String>, QueryError> {
        let id = &*bounded_id(id);
        let found = match self.look_up_session(id)? {
            Lookup::One(session) if session.session_id == id => {
                return Ok(Lookup::One(id.to_owned()));
            }
            Lookup::One(session) => Lookup::One(session.session_id),
            Lookup::Several(ids) => Lookup::Several(ids),
            Lookup::Nothing => Lookup::Nothing,
        };
        // A whole id has precedence over the beginning of another one.
        let hashed = self.read(|source| source.hashed(id))?;
        for id in std::iter::once(id.to_owned()).chain(hashed) {
            let filter = RequestFilter {
                session: Some(id.clone()),
                ..RequestFilter::default()
            };
            if !self.requests(&filter, 1, None)?.is_empty() {
                return Ok(Lookup::One(id));
            }
        }
        self.with_all_keys(id, found)
    }
}

fn sessions(
    source: &Source<'_>,
    filter: &SessionFilter,
    limit: usize,
) -> rusqlite::Result<Vec<Session>> {
    if filter.active
        && filter.client.is_none()
        && filter.protocol.is_none()
        && source.has_all_indexes()
    {
        let Window { since, until } = filter.window;
        let (columns, proxy) = (Session::COLUMNS, filter.server_name.as_deref());
        return newest_open(
            source.conn,
            columns,
            since..until,
            proxy,
            limit,
            Session::from_row,
        );
    }
    let Some(client) = &filter.client else {
        return one_index(source, filter, None, limit);
    };
    let (pattern, names) = Pattern::of_client(source, client)?;
    let Some(names) = names else {
        let is_client = (pattern.matches("+client_name", "?4"), pattern.text);
        return one_index(source, filter, Some(is_client), limit);
    };
    let mut found = Vec::new();
    for name in names {
        let is_client = ("client_name = ?4".to_owned(), name);
        found.extend(one_index(source, filter, Some(is_client), limit)?);
    }
    found.sort_by(|one, other| filter.place(other).cmp(&filter.place(one)));
    found.truncate(limit);
    Ok(found)
}

impl SessionFilter {
    /// Returns the column of the time that is compared with the window.
    pub(super) fn time(&self) -> &'static str {
        match self.active {
            true => "last_seen_at",
            false => "started_at",
        }
    }

    /// Returns the terms of `ORDER BY` that give the latest sessions.
    pub(super) fn latest(&self) -> &'static str {
        match self.active {
            true => "last_seen_at DESC, session_id DESC",
            false => "started_at DESC, session_id DESC",
        }
    }

    /// Returns the place of a session in the reverse of this order.
    fn place<'s>(&self, session: &'s Session) -> (i64, &'s str) {
        let time = match self.active {
            true => session.last_seen_at,
            false => session.started_at,
        };
        (time, &session.session_id)
    }
}

/// Reads the latest sessions, of clients that meet a condition on the value that is bound
/// as `?4`, or of all.
fn one_index(
    source: &Source<'_>,
    filter: &SessionFilter,
    client: Option<(String, String)>,
    limit: usize,
) -> rusqlite::Result<Vec<Session>> {
    select(source, filter, client, filter.latest(), limit)
}

/// Like [`one_index`], in an order of SQL.
fn select(
    source: &Source<'_>,
    filter: &SessionFilter,
    client: Option<(String, String)>,
    order: &str,
    limit: usize,
) -> rusqlite::Result<Vec<Session>> {
    let time = filter.time();
    let mut sql = format!(
        "SELECT {} FROM sessions WHERE {time} >= ?1 AND {time} < ?2",
        Session::COLUMNS
    );
    let Window { since, until } = filter.window;
    let mut values: Vec<Value> = vec![since.into(), until.into(), (limit as i64).into()];
    if filter.active {
        sql.push_str(" AND ended_at IS NULL");
    }
    // One index is enough, and the first of these is the best. A leading `+` keeps
    // SQLite from using the others.
    let mut sign = "";
    if let Some((is_client, value)) = client {
        values.push(value.into());
        sql.push_str(&format!(" AND {is_client}"));
        sign = "+";
    }
    for (column, value) in [
        ("proxy", &filter.server_name),
        ("+protocol_version", &filter.protocol),
    ] {
        if let Some(value) = value {
            values.push(value.clone().into());
            sql.push_str(&format!(" AND {sign}{column} = ?{}", values.len()));
            sign = "+";
        }
    }
    sql.push_str(&format!(" ORDER BY {order} LIMIT ?3"));
    source
        .conn
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), Session::from_row)?
        .collect()
}
