//! The conditions of a filter in SQL.

use rusqlite::types::Value;

use super::filter::RequestFilter;
use super::reader::Source;
use super::window::Window;
use crate::event::{DEFAULT_PROXY, RequestStatus};

/// The method whose requests have a tool.
pub(super) const TOOLS_CALL: &str = "tools/call";

/// A filter in SQL, and the values to bind.
///
/// `?1` and `?2` are the window. The values of `conditions` follow.
#[derive(Debug)]
pub(super) struct Conditions {
    window: Window,
    conditions: Vec<Condition>,
    values: Vec<Value>,
}

#[derive(Debug)]
struct Condition {
    /// The form that seeks in an index, if there is one. The index is ordered by `ts`.
    seek: Option<String>,
    /// The form that makes SQLite use no index.
    check: String,
}

/// Returns a condition for each column that must have a value, and the values to bind.
///
/// Each column comes with a sign, which stands before it, and its value. The first
/// value is bound as `?first`.
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
    pub(super) fn new(filter: &RequestFilter, source: &Source<'_>) -> Self {
        let mut this = Self {
            window: filter.window,
            conditions: Vec::new(),
            values: vec![filter.window.since.into(), filter.window.until.into()],
        };
        this.add_all(filter, source.has_all_indexes());
        this
    }

    /// Adds the conditions of a filter, those that usually leave the fewest rows first.
    fn add_all(&mut self, filter: &RequestFilter, has_all_indexes: bool) {
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
            // SQLite uses a partial index only if the statement has its condition.
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
        if let Some(proxy) = &filter.server_name {
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

    /// Binds a value and returns its parameter.
    pub(super) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    /// Replaces the value that was bound last.
    pub(super) fn set_last(&mut self, value: impl Into<Value>) {
        if let Some(last) = self.values.last_mut() {
            *last = value.into();
        }
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &Value> {
        self.values.iter()
    }

    /// Ends the window at `until` if it ends later.
    pub(super) fn end_at(&mut self, until: i64) {
        self.window.until = self.window.until.min(until);
        self.values[1] = self.window.until.into();
    }

    /// Returns all conditions in the form that uses no index, for a statement that finds
    /// its rows otherwise.
    pub(super) fn checks(&self) -> String {
        let mut sql = "+ts >= ?1 AND +ts < ?2".to_owned();
        for condition in &self.conditions {
            sql.push_str(" AND ");
            sql.push_str(&condition.check);
        }
        sql
    }

    /// Returns the conditions that have an index, in the form that seeks in it, each with
    /// its place among all.
    pub(super) fn indexes(&self) -> impl Iterator<Item = (usize, &str)> {
        let conditions = self.conditions.iter().enumerate();
        conditions.filter_map(|(place, condition)| Some((place, condition.seek.as_deref()?)))
    }

    /// Returns tables and conditions that find rows by time. `hit_ts` and `hit` are a
    /// row's time and number.
    pub(super) fn by_time(&self) -> String {
        self.seeking("true", None)
    }

    /// Like [`by_time`](Self::by_time), but walks the index of the condition at `place`.
    pub(super) fn by_index(&self, place: usize) -> String {
        let condition = self.conditions.get(place);
        let seek = condition.and_then(|condition| condition.seek.as_deref());
        self.seeking(seek.unwrap_or("true"), Some(place))
    }

    /// Like [`by_time`](Self::by_time), but seeks through a condition of the caller's.
    /// Its index must also be ordered by `ts`.
    pub(super) fn by_seek(&self, seek: &str) -> String {
        self.seeking(seek, None)
    }

    /// Each entry that is found is looked up in the indexes of the other conditions
    /// before its row is read, which costs a fraction of reading the row.
    fn seeking(&self, seek: &str, by: Option<usize>) -> String {
        let mut hits = format!(
            "(SELECT ts AS hit_ts, id AS hit FROM requests WHERE {seek} AND ts >= ?1 AND ts < ?2"
        );
        let mut checks = String::new();
        for (place, condition) in self.conditions.iter().enumerate() {
            match &condition.seek {
                Some(_) if by == Some(place) => {}
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
}
