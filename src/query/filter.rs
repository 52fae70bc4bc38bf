//! Which requests are asked for, and how SQLite finds them.

use rusqlite::types::Value;

use super::reader::Source;
use super::window::Window;
use crate::db::row::number;
use crate::event::{DEFAULT_PROXY, EndReason, RequestStatus};

/// The method whose requests have a tool.
pub(super) const TOOLS_CALL: &str = "tools/call";

/// How many entries of each index are looked at to tell which has the fewest;
/// fewer than these are few.
pub(super) const PROBE: i64 = 250;

/// Which requests are asked for: those that everything that is set applies to.
///
/// ```
/// use tower_mcp_store::RequestStatus;
/// use tower_mcp_store::query::Filter;
///
/// let mut filter = Filter::default();
/// filter.tool = Some("search".into());
/// filter.status = Some(RequestStatus::Timeout);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Filter {
    /// When they came.
    pub window: Window,
    /// The recording point.
    pub proxy: Option<String>,
    /// The JSON-RPC method. Any but `tools/call` excludes requests that have a tool.
    pub method: Option<String>,
    /// The tool that was called.
    pub tool: Option<String>,
    /// What was aimed at.
    pub target: Option<String>,
    /// The whole id of the session; [`Reader::find_session`](super::Reader::find_session)
    /// makes one of its beginning.
    pub session: Option<String>,
    /// The name of the session's client.
    pub client: Option<String>,
    /// How they ended.
    pub status: Option<RequestStatus>,
    /// Only calls that succeeded and whose tool did not.
    pub tool_error: bool,
    /// The JSON-RPC error code.
    pub error_code: Option<String>,
    /// Why there was no ordinary answer.
    pub end_reason: Option<EndReason>,
}

/// A filter as a part of SQL, and what to bind.
///
/// `?1` and `?2` are the window; the values of `conditions` come after them.
#[derive(Debug)]
pub(super) struct Conditions {
    window: Window,
    conditions: Vec<Condition>,
    values: Vec<Value>,
}

#[derive(Debug)]
struct Condition {
    /// In the form that an index can be used by, where there is one. Its rows
    /// then come by time.
    seek: Option<String>,
    /// In a form that leads SQLite to no index.
    check: String,
}

/// How to come to the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    /// By time, through all rows.
    Time,
    /// Through the index of that condition.
    Index(usize),
}

/// How rare something is among the newest requests of a window, rarest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rarity {
    /// There are so many, fewer than were looked for.
    Few(i64),
    /// As many as were looked for reach back to that moment.
    Since(i64),
}

impl Rarity {
    pub(super) fn is_few(self) -> bool {
        matches!(self, Self::Few(_))
    }
}

/// A condition for each column that has to have a value: a sign, the column and
/// the value. The first is bound as `?first`.
pub(super) fn equalities<'a>(
    first: usize,
    columns: impl IntoIterator<Item = (&'a str, &'a str, &'a Option<String>)>,
) -> (String, Vec<Value>) {
    let mut sql = String::new();
    let mut values = Vec::new();
    for (sign, column, value) in columns {
        if let Some(value) = value {
            let parameter = first + values.len();
            sql.push_str(&format!(" AND {sign}{column} = ?{parameter}"));
            values.push(value.clone().into());
        }
    }
    (sql, values)
}

impl Conditions {
    pub(super) fn new(filter: &Filter, source: &Source<'_>) -> Self {
        let mut this = Self {
            window: filter.window,
            conditions: Vec::new(),
            values: vec![filter.window.since.into(), filter.window.until.into()],
        };
        this.add_all(filter, source.has_all_indexes());
        this
    }

    /// The conditions that usually leave the fewest rows come first.
    fn add_all(&mut self, filter: &Filter, has_all_indexes: bool) {
        if filter.tool_error {
            self.add_seek("tool_error <> 0", "+tool_error <> 0");
        }
        if let Some(reason) = filter.end_reason {
            let value = self.bind(reason.as_str().to_owned());
            self.add_seek(
                &format!("end_reason = {value}"),
                &format!("+end_reason = {value}"),
            );
        }
        if let Some(code) = &filter.error_code {
            let value = self.bind(code.as_str().to_owned());
            let check = format!("+error_code = {value}");
            match has_all_indexes {
                true => self.add_seek(&format!("error_code = {value}"), &check),
                false => self.add(&check),
            }
        }
        if let Some(status) = filter.status {
            let value = self.bind(status.as_str().to_owned());
            let check = format!("+status = {value}");
            // A partial index is used where its condition is in the statement.
            match status {
                RequestStatus::Ok => self.add(&check),
                _ => self.add_seek(&format!("status = {value} AND status <> 'ok'"), &check),
            }
        }
        if let Some(tool) = &filter.tool {
            let value = self.bind(tool.as_str().to_owned());
            self.add_seek(&format!("tool = {value}"), &format!("+tool = {value}"));
        }
        if let Some(method) = &filter.method {
            let value = self.bind(method.as_str().to_owned());
            let mut check = format!("+method = {value}");
            if method != TOOLS_CALL {
                check.push_str(" AND +tool IS NULL");
            }
            match has_all_indexes && method != TOOLS_CALL {
                true => self.add_seek(&format!("method = {value} AND tool IS NULL"), &check),
                false => self.add(&check),
            }
        }
        if let Some(proxy) = &filter.proxy {
            let value = self.bind(proxy.as_str().to_owned());
            let check = format!("+proxy = {value}");
            match proxy == DEFAULT_PROXY {
                true => self.add(&check),
                false => self.add_seek(
                    &format!("proxy = {value} AND proxy <> '{DEFAULT_PROXY}'"),
                    &check,
                ),
            }
        }
        if let Some(target) = &filter.target {
            let value = self.bind(target.as_str().to_owned());
            self.add(&format!("+target = {value}"));
        }
        if let Some(session) = &filter.session {
            let value = self.bind(session.as_str().to_owned());
            self.add(&format!("+session_id = {value}"));
        }
        if let Some(client) = &filter.client {
            let value = self.bind(client.as_str().to_owned());
            self.add(&format!(
                "EXISTS (SELECT 1 FROM sessions AS s
                    WHERE s.session_id = requests.session_id AND +s.client_name = {value})"
            ));
        }
    }

    fn add(&mut self, check: &str) {
        self.conditions.push(Condition {
            seek: None,
            check: check.to_owned(),
        });
    }

    fn add_seek(&mut self, seek: &str, check: &str) {
        self.conditions.push(Condition {
            seek: Some(seek.to_owned()),
            check: check.to_owned(),
        });
    }

    /// Binds a value; gives the parameter that stands for it.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    /// Gives the parameter that was bound last another value.
    pub(super) fn set_last(&mut self, value: impl Into<Value>) {
        if let Some(last) = self.values.last_mut() {
            *last = value.into();
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    /// Asks for nothing that comes at `until` or later.
    pub(super) fn end_at(&mut self, until: i64) {
        self.window.until = self.window.until.min(until);
        self.values[1] = self.window.until.into();
    }

    /// The conditions on a row that is found by what is said beside them.
    pub(super) fn checks(&self) -> String {
        let mut sql = "+ts >= ?1 AND +ts < ?2".to_owned();
        for condition in &self.conditions {
            sql.push_str(" AND ");
            sql.push_str(&condition.check);
        }
        sql
    }

    /// Tables and conditions, whose `hit_ts` and `hit` are the row's time and number.
    pub(super) fn by(&self, path: Path) -> String {
        match path {
            Path::Time => self.hits("true", None),
            Path::Index(by) => {
                let seek = self
                    .conditions
                    .get(by)
                    .and_then(|found| found.seek.as_deref());
                self.hits(seek.unwrap_or("true"), Some(by))
            }
        }
    }

    /// The same by a condition on the index of something else that rows come by time of.
    ///
    /// Where several conditions have an index, one after the other is asked
    /// whether the row is in it, which is a fraction of what it takes to look at
    /// the row itself.
    pub(super) fn hits(&self, seek: &str, by: Option<usize>) -> String {
        let mut hits = format!(
            "(SELECT ts AS hit_ts, id AS hit FROM requests WHERE {seek} AND ts >= ?1 AND ts < ?2"
        );
        let mut checks = String::new();
        for (i, condition) in self.conditions.iter().enumerate() {
            match &condition.seek {
                Some(_) if by == Some(i) => {}
                // The plus keeps SQLite from finding the row first.
                Some(seek) => hits.push_str(&format!(
                    " AND EXISTS (SELECT 1 FROM requests AS other
                          WHERE {seek} AND ts = requests.ts AND +id = requests.id)"
                )),
                None => checks.push_str(&format!(" AND {}", condition.check)),
            }
        }
        format!("{hits}) CROSS JOIN requests ON id = hit{checks}")
    }

    /// The only index that leads to the rows, which needs no comparison.
    pub(super) fn only_index(&self) -> Option<Path> {
        let mut indexes = self.conditions.iter().enumerate();
        let mut next = || indexes.find(|(_, found)| found.seek.is_some());
        match (next(), next()) {
            (Some((by, _)), None) => Some(Path::Index(by)),
            _ => None,
        }
    }

    /// Whether several indexes lead to the rows.
    pub(super) fn has_several(&self) -> bool {
        let indexes = self.conditions.iter();
        indexes.filter(|found| found.seek.is_some()).count() > 1
    }

    /// The way that passes the fewest rows, as far as a look at the newest
    /// `entries` of each index tells, and how rare they are.
    pub(super) fn rarest(
        &self,
        source: &Source<'_>,
        entries: i64,
    ) -> rusqlite::Result<(Rarity, Path)> {
        let mut rarest = (Rarity::Since(i64::MAX), Path::Time);
        for (by, condition) in self.conditions.iter().enumerate() {
            let Some(seek) = &condition.seek else {
                continue;
            };
            let rarity = self.rarity(source, seek, entries)?;
            if rarity < rarest.0 {
                rarest = (rarity, Path::Index(by));
            }
        }
        Ok(rarest)
    }

    fn rarity(&self, source: &Source<'_>, seek: &str, entries: i64) -> rusqlite::Result<Rarity> {
        // All values are bound, so each has to be named.
        let last = self.values.len();
        let sql = format!(
            "SELECT count(*), min(ts) FROM (SELECT ts FROM requests
                WHERE {seek} AND ts >= ?1 AND ts < ?2 AND ?{last} IS ?{last}
                ORDER BY ts DESC LIMIT {entries})"
        );
        source.conn.prepare_cached(&sql)?.query_row(
            rusqlite::params_from_iter(self.values()),
            |row| {
                let count = number(row, 0)?;
                Ok(match count < entries {
                    true => Rarity::Few(count),
                    false => Rarity::Since(number(row, 1)?),
                })
            },
        )
    }
}
