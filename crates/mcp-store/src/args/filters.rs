//! Which requests, as the user types it.

use clap::Args as Arguments;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use tower_mcp_store::query::{Filter, Window};
use tower_mcp_store::{EndReason, RequestStatus};

use crate::error::CliError;
use crate::output;
use crate::time;

/// Which requests.
#[derive(Debug, Arguments)]
pub(crate) struct Filters {
    #[command(flatten)]
    pub(crate) window: WindowArgs,
    #[command(flatten)]
    pub(crate) calls: Calls,
    /// That aim at this URI, prompt or task
    #[arg(long)]
    pub(crate) target: Option<String>,
    /// Of the session whose id begins like this
    #[arg(long, value_name = "ID", value_parser = id)]
    pub(crate) session: Option<String>,
    /// Of clients of this name
    #[arg(long, value_name = "NAME")]
    pub(crate) client: Option<String>,
    /// That ended like this
    #[arg(long, value_parser = named(&RequestStatus::ALL, RequestStatus::as_str))]
    pub(crate) status: Option<RequestStatus>,
    /// Whose tool failed although the call succeeded
    #[arg(long)]
    pub(crate) tool_error: bool,
    /// That failed with this JSON-RPC error code
    #[arg(long, value_name = "CODE", allow_hyphen_values = true)]
    pub(crate) error_code: Option<String>,
    /// Without an ordinary answer, for this reason
    #[arg(long, value_name = "REASON", value_parser = named(EndReason::ALL, EndReason::as_str))]
    pub(crate) end_reason: Option<EndReason>,
}

/// Calls of what.
#[derive(Debug, Arguments)]
pub(crate) struct Calls {
    /// Of this recording point
    #[arg(long, value_name = "NAME")]
    pub(crate) proxy: Option<String>,
    /// Of this JSON-RPC method
    #[arg(long)]
    pub(crate) method: Option<String>,
    /// That call this tool
    #[arg(long)]
    pub(crate) tool: Option<String>,
}

/// When.
#[derive(Debug, Clone, Copy, Arguments)]
pub(crate) struct WindowArgs {
    /// From this time on
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub(crate) since: Option<i64>,
    /// Before this time
    #[arg(long, value_name = "TIME", value_parser = time::moment)]
    pub(crate) until: Option<i64>,
}

impl WindowArgs {
    pub(crate) fn window(self) -> Result<Window, CliError> {
        window(self.since.unwrap_or(Window::ALL.since), self.until)
    }
}

/// The time that was asked for, if it is one.
pub(crate) fn window(since: i64, until: Option<i64>) -> Result<Window, CliError> {
    let until = until.unwrap_or(Window::ALL.until);
    if since >= until {
        return Err(CliError::Message(
            "--since has to be earlier than --until".to_owned(),
        ));
    }
    Ok(Window { since, until })
}

impl Filters {
    /// All of it but the session, of which only the beginning is known.
    pub(crate) fn filter(self) -> Result<Filter, CliError> {
        let mut filter = Filter::default();
        filter.window = self.window.window()?;
        filter.proxy = self.calls.proxy;
        filter.method = self.calls.method;
        filter.tool = self.calls.tool;
        filter.target = self.target;
        filter.client = self.client;
        filter.status = self.status;
        filter.tool_error = self.tool_error;
        filter.error_code = self.error_code;
        filter.end_reason = self.end_reason;
        Ok(filter)
    }
}

/// The beginning of an id, which may be copied from a table that has cut it.
pub(super) fn id(text: &str) -> Result<String, &'static str> {
    match text.trim_end_matches(output::CUT) {
        "" => Err("expected the beginning of an id"),
        id => Ok(id.to_owned()),
    }
}

/// One of these, by its name.
fn named<T: Copy + Send + Sync + 'static>(
    all: &'static [T],
    name: fn(T) -> &'static str,
) -> impl TypedValueParser<Value = T> {
    let names = all.iter().map(|one| name(*one));
    PossibleValuesParser::new(names).try_map(move |text| {
        let found = all.iter().find(|one| name(**one) == text);
        found.copied().ok_or("there is no such name")
    })
}
