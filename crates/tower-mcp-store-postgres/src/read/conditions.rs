//! The conditions of a filter in SQL.

use tower_mcp_store::Outcome;
use tower_mcp_store::query::{RequestFilter, Value};

use super::pattern;
use super::snapshot::Snapshot;
use super::statement::Statement;
use crate::error::PostgresError;

/// The outcome of a request.
const OUTCOME: &str = "mcp_store_outcome(status, tool_error, end_reason, error_code, http_status)";

/// The condition of the index of failures, which holds for each outcome but `ok`.
const FAILURE: &str = "(status <> 'ok' OR tool_error <> 0 OR end_reason IS NOT NULL)";

/// The method whose requests have a tool.
const TOOLS_CALL: &str = "tools/call";

/// Returns the conditions on requests that a filter has.
pub(super) fn of(
    filter: &RequestFilter,
    snapshot: &Snapshot<'_>,
) -> Result<Statement, PostgresError> {
    let mut statement = Statement::new();
    let since = statement.bind(filter.window.since);
    let until = statement.bind(filter.window.until);
    statement.add(&format!("ts >= {since} AND ts < {until}"));
    add_outcome(&mut statement, filter);
    add_names(&mut statement, filter);
    add_caller(&mut statement, filter);
    if let Some(client) = &filter.client {
        add_client(&mut statement, client, snapshot)?;
    }
    Ok(statement)
}

/// Adds conditions on how a request ended.
fn add_outcome(statement: &mut Statement, filter: &RequestFilter) {
    if filter.tool_error {
        statement.add("tool_error <> 0");
    }
    if let Some(reason) = filter.end_reason {
        statement.add_equality("end_reason", reason.as_str());
    }
    if let Some(code) = &filter.error_code {
        statement.add_equality("error_code", &**code);
    }
    if let Some(status) = filter.status {
        statement.add_equality("status", status.as_str());
    }
    if let Some(latency) = filter.min_latency {
        let latency = i64::try_from(latency.as_micros()).unwrap_or(i64::MAX);
        let latency = statement.bind(latency);
        statement.add(&format!("latency_us >= {latency}"));
    }
    if !filter.outcomes.is_empty() {
        let words = filter
            .outcomes
            .iter()
            .map(|outcome| outcome.as_str().to_owned());
        let words = statement.bind(Vec::from_iter(words));
        let is_one = outcome_is_one_of(&words);
        statement.add(&is_one);
        if !filter.outcomes.contains(&Outcome::Ok) {
            statement.add(FAILURE);
        }
    }
}

/// Returns the condition that the outcome of a request is one of these words.
pub(super) fn outcome_is_one_of(words: &str) -> String {
    format!("{OUTCOME} = ANY ({words})")
}

/// Adds conditions on what was called.
fn add_names(statement: &mut Statement, filter: &RequestFilter) {
    if let Some(tool) = &filter.tool {
        add_name(statement, "tool", tool);
    }
    if let Some(method) = &filter.method {
        add_name(statement, "method", method);
        let is_tools_call = name_matches(statement, &format!("'{TOOLS_CALL}'"), method);
        statement.add(&format!("(tool IS NULL OR {is_tools_call})"));
    }
    if let Some(target) = &filter.target {
        add_name(statement, "target", target);
    }
    if let Some(server) = &filter.server_name {
        statement.add_equality("proxy", &**server);
    }
    if let Some(protocol) = &filter.protocol {
        statement.add_equality("protocol_version", &**protocol);
    }
}

/// Adds conditions on who called.
fn add_caller(statement: &mut Statement, filter: &RequestFilter) {
    if let Some(principal) = &filter.principal {
        add_name(statement, "principal", principal);
    }
    if let Some(trace) = &filter.trace_id {
        statement.add_equality("trace_id", &*trace.to_ascii_lowercase());
    }
    if let Some(id) = &filter.rpc_id {
        let as_text = serde_json::Value::from(&**id).to_string();
        let ids = statement.bind(vec![id.clone(), as_text]);
        statement.add(&format!("rpc_id = ANY ({ids})"));
    }
    if let Some(session) = &filter.session {
        statement.add_equality("session_id", &**session);
    }
}

/// Adds the condition that the client of the session has a name.
fn add_client(
    statement: &mut Statement,
    client: &str,
    snapshot: &Snapshot<'_>,
) -> Result<(), PostgresError> {
    let is_client = is_client(statement, "s.client_name", client, snapshot)?;
    // Not `EXISTS`, which PostgreSQL would evaluate for each request.
    statement.add(&format!(
        "session_id IN (SELECT s.session_id FROM sessions AS s WHERE {is_client})"
    ));
    Ok(())
}

/// Returns the condition that a column has a client's name, in any case of ASCII letters, or if
/// no client has it, a name that begins with it.
pub(super) fn is_client(
    statement: &mut Statement,
    column: &str,
    client: &str,
    snapshot: &Snapshot<'_>,
) -> Result<String, PostgresError> {
    let mut pattern = pattern::in_any_case(client);
    let mut whole = Statement::new();
    let name = whole.bind(&*pattern);
    let sql =
        format!("SELECT EXISTS (SELECT 1 FROM store_sessions WHERE client_name ILIKE {name})");
    if snapshot.row(&sql, &whole)? != [Value::Integer(1)] {
        pattern.push('%');
    }
    let name = statement.bind(&*pattern);
    Ok(format!("{column} ILIKE {name}"))
}

fn add_name(statement: &mut Statement, column: &str, text: &str) {
    let condition = name_matches(statement, column, text);
    statement.add(&condition);
}

/// Returns the condition that a column has a name or matches a pattern.
fn name_matches(statement: &mut Statement, column: &str, text: &str) -> String {
    let name = statement.bind(text);
    match pattern::of_glob(text) {
        None => format!("{column} = {name}"),
        Some(pattern) => {
            let pattern = statement.bind(&*pattern);
            format!("({column} = {name} OR {column} ~ {pattern})")
        }
    }
}
