//! Options that choose requests.

use std::time::Duration;

use clap::Args as Arguments;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tower_mcp_store::query::{NameKind, RequestFilter, Window};
use tower_mcp_store::{EndReason, Outcome};

use super::shared_key::SharedKey;
use crate::complete;
use crate::error::CliError;
use crate::output;
use crate::time;

/// The conditions that requests meet.
#[derive(Debug, Arguments)]
pub(crate) struct Filters {
    #[command(flatten)]
    pub(crate) window: WindowArgs,
    #[command(flatten)]
    pub(crate) calls: Calls,
    /// Only requests for this resource URI, prompt or task
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// Only requests of the session with this id, or with these first characters
    #[arg(long, value_name = "ID", value_parser = id, add = complete::sessions())]
    pub(crate) session: Option<String>,
    #[command(flatten)]
    pub(crate) shared_key: SharedKey,
    /// Only requests of clients with this name, or of those whose name begins with it
    #[arg(long, value_name = "NAME", add = complete::names(NameKind::Client))]
    pub(crate) client: Option<String>,
    /// Only requests of this authenticated caller
    #[arg(long, value_name = "NAME", add = complete::names(NameKind::Principal))]
    pub(crate) principal: Option<String>,
    /// Only requests of the trace with this id, 32 hexadecimal digits
    #[arg(long, value_name = "ID", value_parser = trace_id)]
    pub(crate) trace_id: Option<String>,
    /// Only requests under this MCP revision, such as 2025-11-25
    #[arg(long, value_name = "REVISION", add = complete::revisions())]
    pub(crate) protocol: Option<String>,
    /// Only requests with one of these outcomes, which the column STATUS shows
    #[arg(long, visible_alias = "outcome", value_delimiter = ',')]
    #[arg(value_parser = named(&Outcome::ALL, Outcome::as_str))]
    pub(crate) status: Vec<Outcome>,
    /// Only requests that took at least this long: 500ms, 2s
    #[arg(long, alias = "threshold", value_name = "DURATION", value_parser = time::duration)]
    pub(crate) min_latency: Option<Duration>,
    /// Only requests that failed, with any status but ok, input_required and working
    #[arg(long, conflicts_with = "status")]
    pub(crate) failed: bool,
    /// Only requests with this JSON-RPC error code
    #[arg(long, value_name = "CODE", allow_hyphen_values = true)]
    pub(crate) error_code: Option<String>,
    /// Only requests without an ordinary answer, for this reason
    #[arg(long, value_name = "REASON", value_parser = named(EndReason::ALL, EndReason::as_str))]
    pub(crate) end_reason: Option<EndReason>,
}

/// The server, method and tool that were called.
#[derive(Debug, Arguments)]
pub(crate) struct Calls {
    /// Only the server with this name, as given to `mcp-store proxy --server`
    #[arg(long, value_name = "NAME", alias = "proxy", add = complete::names(NameKind::Server))]
    pub(crate) server: Option<String>,
    /// Only this JSON-RPC method, or those that match a pattern such as 'resources/*'
    #[arg(long, add = complete::names(NameKind::Method))]
    pub(crate) method: Option<String>,
    /// Only calls of this tool, or of those that match a pattern such as 'search*'
    #[arg(long, add = complete::names(NameKind::Tool))]
    pub(crate) tool: Option<String>,
}

/// A range of time.
#[derive(Debug, Clone, Copy, Arguments)]
pub(crate) struct WindowArgs {
    /// Only from this time on
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub(crate) since: Option<i64>,
    /// Only before this time
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub(crate) until: Option<i64>,
}

impl WindowArgs {
    pub(crate) fn window(self) -> Result<Window, CliError> {
        window(self.since.unwrap_or(Window::ALL.since), self.until)
    }
}

/// Returns the window, or an error if it is empty.
pub(crate) fn window(since: i64, until: Option<i64>) -> Result<Window, CliError> {
    let until = until.unwrap_or(Window::ALL.until);
    if since >= until {
        return Err(CliError::Message(
            "--since must be earlier than --until".to_owned(),
        ));
    }
    Ok(Window { since, until })
}

impl Filters {
    /// Returns the filter without the session, whose whole id is looked up in the file.
    pub(crate) fn filter(self) -> Result<RequestFilter, CliError> {
        let mut filter = RequestFilter::default();
        filter.window = self.window.window()?;
        filter.server_name = self.calls.server;
        filter.method = self.calls.method;
        filter.tool = self.calls.tool;
        filter.target = self.target;
        filter.client = self.client;
        filter.principal = self.principal;
        filter.trace_id = self.trace_id;
        filter.protocol = self.protocol;
        filter.min_latency = self.min_latency;
        filter.outcomes = match self.failed {
            true => Outcome::FAILURES.to_vec(),
            false => self.status,
        };
        filter.error_code = self.error_code;
        filter.end_reason = self.end_reason;
        Ok(filter)
    }
}

/// Parses an id or its first characters. Removes the mark of a table that has cut the id.
pub(super) fn id(text: &str) -> Result<String, &'static str> {
    match text.trim_end_matches(output::CUT) {
        "" => Err("expected an id or its first characters"),
        id => Ok(id.to_owned()),
    }
}

/// Parses the id of a W3C trace (Trace Context, section 3.2.2.3), in any case.
fn trace_id(text: &str) -> Result<String, &'static str> {
    match text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected 32 hexadecimal digits"),
    }
}

/// Parses the name of one of the values.
fn named<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let names = all.iter().map(|one| name(*one));
    PossibleValuesParser::new(names).try_map(move |text| {
        let found = all.iter().find(|one| name(**one) == text);
        found.copied().ok_or("unknown name")
    })
}
