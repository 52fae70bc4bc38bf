//! The conditions of a filter in SQL.

use std::time::Duration;

use rusqlite::types::Value;

use super::filter::RequestFilter;
use super::latency::{CLASS, classes_from};
use super::names::{METHODS, PRINCIPALS, Pattern, Place, TOOLS};
use super::outcomes::{OPERATION_OUTCOME, operation_seeks, outcome_seeks};
use super::reader::Source;
use super::session_requests::{Sessions, seek_in_parts};
use super::window::Window;
use crate::db::outcome::OUTCOME;
use crate::event::{DEFAULT_PROXY, Outcome, RequestStatus};

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
    /// The sessions that have all rows, if the filter names some.
    sessions: Option<Sessions>,
    /// The condition that finds the rows of the trace, if the filter names one.
    trace: Option<String>,
}

#[derive(Debug)]
struct Condition {
    /// Forms that seek in an index, which is ordered by `ts`. A row that meets the
    /// condition meets one of them. `None` if no index has the rows.
    seeks: Option<Vec<String>>,
    /// Whether rows that meet no more than one of the forms have to be checked.
    is_superset: bool,
    /// The form that makes SQLite use no index.
    check: String,
}

/// The most forms of a condition that are compared with entries of another index. If
/// there are more, rows are checked instead.
const COMPARED_FORMS: usize = 5;

/// Returns a duration as a latency.
pub(super) fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
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

/// The rows that a query selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    All,
    /// The first request of each operation. Outcomes are those of the operation.
    OperationHeads,
}

impl Conditions {
    /// Returns the conditions on requests.
    pub(super) fn new(filter: &RequestFilter, source: &Source<'_>) -> rusqlite::Result<Self> {
        Self::on(Rows::All, filter, source)
    }

    /// Returns the conditions on the first requests of operations. Outcomes are those of
    /// the whole operation.
    pub(super) fn on_operations(
        filter: &RequestFilter,
        source: &Source<'_>,
    ) -> rusqlite::Result<Self> {
        let mut this = Self::on(Rows::OperationHeads, filter, source)?;
        this.add("coalesce(leg, 1) = 1");
        Ok(this)
    }

    fn on(rows: Rows, filter: &RequestFilter, source: &Source<'_>) -> rusqlite::Result<Self> {
        let mut this = Self {
            window: filter.window,
            conditions: Vec::new(),
            values: vec![filter.window.since.into(), filter.window.until.into()],
            sessions: None,
            trace: None,
        };
        this.add_outcome(rows, filter, source);
        this.add_names(filter, source)?;
        this.add_caller(filter, source)?;
        Ok(this)
    }

    /// Adds conditions on how a request ended. Those that usually leave the fewest rows
    /// come first.
    fn add_outcome(&mut self, rows: Rows, filter: &RequestFilter, source: &Source<'_>) {
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
            match source.has_all_indexes() {
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
        if !filter.outcomes.is_empty() {
            self.add_outcomes(rows, &filter.outcomes, source);
        }
    }

    fn add_outcomes(&mut self, rows: Rows, outcomes: &[Outcome], source: &Source<'_>) {
        let words = outcomes.iter().map(|outcome| outcome.as_str());
        let words: Vec<String> = words.map(|word| self.bind(word.to_owned())).collect();
        let has_all = source.has_all_indexes();
        let (outcome, seeks) = match rows {
            Rows::All => (OUTCOME, outcome_seeks(outcomes, has_all)),
            Rows::OperationHeads => (&**OPERATION_OUTCOME, operation_seeks(outcomes, has_all)),
        };
        self.conditions.push(Condition {
            seeks,
            is_superset: true,
            check: format!("{outcome} IN ({})", words.join(", ")),
        });
    }

    /// Adds conditions on what was called.
    fn add_names(&mut self, filter: &RequestFilter, source: &Source<'_>) -> rusqlite::Result<()> {
        if let Some(tool) = &filter.tool {
            self.add_name(source, tool, "tool", Some((TOOLS, "")))?;
        }
        if let Some(method) = &filter.method {
            let pattern = Pattern::of_name(method);
            // The index has no requests with a tool.
            let is_tools_call = format!("SELECT {}", pattern.matches("?2", "?1"));
            let calls_tools: bool =
                source
                    .conn
                    .query_row(&is_tools_call, [&*pattern.text, TOOLS_CALL], |row| {
                        row.get(0)
                    })?;
            match source.has_all_indexes() && !calls_tools {
                true => self.add_name(
                    source,
                    method,
                    "method",
                    Some((METHODS, " AND tool IS NULL")),
                )?,
                false => self.add_name(source, method, "method", None)?,
            }
            if !calls_tools {
                self.add("+tool IS NULL");
            }
        }
        if let Some(server) = &filter.server_name {
            let value = self.bind(server.as_str().to_owned());
            let check = format!("+proxy = {value}");
            match server == DEFAULT_PROXY {
                true => self.add(&check),
                false => self.add_seek(
                    &format!("proxy = {value} AND proxy <> '{DEFAULT_PROXY}'"),
                    &check,
                ),
            }
        }
        if let Some(target) = &filter.target {
            self.add_name(source, target, "target", None)?;
        }
        if let Some(protocol) = &filter.protocol {
            let value = self.bind(protocol.as_str().to_owned());
            self.add(&format!("+protocol_version = {value}"));
        }
        if let Some(latency) = filter.min_latency {
            let latency = microseconds(latency);
            let value = self.bind(latency);
            let classes = match source.has_all_indexes() {
                true => classes_from(source, latency)?,
                false => None,
            };
            let seeks = classes.map(|classes| {
                let seek = |class| format!("{CLASS} = {}", self.bind(class));
                classes.into_iter().map(seek).collect()
            });
            self.conditions.push(Condition {
                seeks,
                is_superset: true,
                check: format!("+latency_us >= {value}"),
            });
        }
        Ok(())
    }

    /// Adds conditions on who called.
    fn add_caller(&mut self, filter: &RequestFilter, source: &Source<'_>) -> rusqlite::Result<()> {
        if let Some(principal) = &filter.principal {
            self.add_name(source, principal, "principal", Some((PRINCIPALS, "")))?;
        }
        if let Some(trace) = &filter.trace_id {
            let value = self.bind(trace.to_ascii_lowercase());
            self.add(&format!("+trace_id = {value}"));
            // Older files have no traces.
            if source.has_all_indexes() {
                self.trace = Some(seek_in_parts("trace_id", &value));
            }
        }
        if let Some(id) = &filter.rpc_id {
            let as_text = serde_json::Value::from(id.as_str()).to_string();
            let (number, text) = (self.bind(id.as_str().to_owned()), self.bind(as_text));
            self.add(&format!("+rpc_id IN ({number}, {text})"));
        }
        if let Some(session) = &filter.session {
            let value = self.bind(session.as_str().to_owned());
            self.add(&format!("+session_id = {value}"));
            self.sessions = Some(Sessions::One(session.clone()));
        }
        if let Some(client) = &filter.client {
            let (pattern, names) = Pattern::of_client(source, client)?;
            let value = self.bind(pattern.text.clone());
            let is_client = pattern.matches("+s.client_name", &value);
            self.add(&format!(
                "EXISTS (SELECT 1 FROM sessions AS s
                    WHERE s.session_id = requests.session_id AND {is_client})"
            ));
            if let (None, Some(names)) = (&self.sessions, names) {
                let since = filter.window.since;
                self.sessions = Some(Sessions::OfClients { names, since });
            }
        }
        Ok(())
    }

    /// Adds a condition that a column has a name or matches a pattern. The index of
    /// `place`, if there is one, orders the rows of each name by time, under a further
    /// condition.
    fn add_name(
        &mut self,
        source: &Source<'_>,
        text: &str,
        column: &str,
        place: Option<(Place, &str)>,
    ) -> rusqlite::Result<()> {
        let pattern = Pattern::of_name(text);
        let value = self.bind(pattern.text.clone());
        let check = pattern.matches(&format!("+{column}"), &value);
        let seeks = match place {
            None => None,
            Some((_, further)) if pattern.is_equality() => {
                Some(vec![format!("{column} = {value}{further}")])
            }
            Some((place, further)) => place.few(source, &pattern)?.map(|names| {
                let seek = |name| format!("{column} = {}{further}", self.bind(name));
                names.into_iter().map(seek).collect()
            }),
        };
        self.conditions.push(Condition {
            seeks,
            is_superset: false,
            check,
        });
        Ok(())
    }

    pub(super) fn add(&mut self, check: &str) {
        self.conditions.push(Condition {
            seeks: None,
            is_superset: false,
            check: check.to_owned(),
        });
    }

    fn add_seek(&mut self, seek: &str, check: &str) {
        self.conditions.push(Condition {
            seeks: Some(vec![seek.to_owned()]),
            is_superset: false,
            check: check.to_owned(),
        });
    }

    pub(super) fn sessions(&self) -> Option<&Sessions> {
        self.sessions.as_ref()
    }

    /// Returns the condition that seeks the rows of the trace, if the filter names one.
    pub(super) fn trace(&self) -> Option<&str> {
        self.trace.as_deref()
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

    /// Begins the window at `since` if it begins earlier.
    pub(super) fn begin_at(&mut self, since: i64) {
        self.window.since = self.window.since.max(since);
        self.values[0] = self.window.since.into();
    }

    /// Ends the window at `until` if it ends later.
    pub(super) fn end_at(&mut self, until: i64) {
        self.window.until = self.window.until.min(until);
        self.values[1] = self.window.until.into();
    }

    /// Returns all conditions in the form that uses no index, for a statement that finds its
    /// rows in another way.
    pub(super) fn checks(&self) -> String {
        let mut sql = "+ts >= ?1 AND +ts < ?2".to_owned();
        for condition in &self.conditions {
            sql.push_str(" AND ");
            sql.push_str(&condition.check);
        }
        sql
    }

    /// Returns the conditions that have an index, in the forms that seek in it, each with
    /// its place among all.
    pub(super) fn indexes(&self) -> impl Iterator<Item = (usize, &[String])> {
        let conditions = self.conditions.iter().enumerate();
        conditions.filter_map(|(place, condition)| Some((place, condition.seeks.as_deref()?)))
    }

    /// Returns tables and conditions that find rows by time. `hit_ts` and `hit` are a
    /// row's time and number.
    pub(super) fn by_time(&self) -> String {
        self.seeking("true", None)
    }

    /// Like [`by_time`](Self::by_time), but walks the index of the condition at `place`:
    /// once for each of its forms.
    pub(super) fn by_index(&self, place: usize) -> Vec<String> {
        let condition = self.conditions.get(place);
        let seeks = condition.and_then(|condition| condition.seeks.as_deref());
        let seeks = seeks.unwrap_or_default().iter();
        seeks.map(|seek| self.seeking(seek, Some(place))).collect()
    }

    /// Like [`by_time`](Self::by_time), but seeks through the caller's condition. Its index
    /// must also be ordered by `ts`.
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
            let is_walked = by == Some(place);
            let compared = match &condition.seeks {
                Some(seeks) if !is_walked && seeks.len() <= COMPARED_FORMS => Some(seeks),
                _ => None,
            };
            if let Some(seeks) = compared {
                // The plus keeps SQLite from finding the row first.
                let entries = seeks.iter().map(|seek| {
                    format!(
                        "EXISTS (SELECT 1 FROM requests AS other
                            WHERE {seek} AND ts = requests.ts AND +id = requests.id)"
                    )
                });
                let entries = entries.collect::<Vec<_>>().join(" OR ");
                match entries.is_empty() {
                    true => hits.push_str(" AND false"),
                    false => hits.push_str(&format!(" AND ({entries})")),
                }
            }
            if condition.is_superset || !(is_walked || compared.is_some()) {
                checks.push_str(&format!(" AND {}", condition.check));
            }
        }
        format!("{hits}) CROSS JOIN requests ON id = hit{checks}")
    }
}
