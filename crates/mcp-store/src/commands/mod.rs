//! One command each: what it asks, and which columns it shows.

pub(crate) mod clients;
pub(crate) mod completions;
pub(crate) mod info;
pub(crate) mod logs;
pub(crate) mod maintain;
pub(crate) mod proxy;
pub(crate) mod request;
pub(crate) mod schema;
pub(crate) mod session;
pub(crate) mod sessions;
pub(crate) mod slow;
pub(crate) mod sql;
pub(crate) mod stats;
pub(crate) mod top;

use tower_mcp_store::query::{Filter, Found, Reader};

use crate::args::Filters;
use crate::error::CliError;

/// The filter that was typed, with the session's beginning made a whole id.
fn filter(reader: &Reader, mut filters: Filters) -> Result<Filter, CliError> {
    let session = filters.session.take();
    let mut filter = filters.filter()?;
    if let Some(id) = session {
        let found = at_most_one("session", &id, reader.find_session_id(&id)?)?;
        filter.session = Some(found.unwrap_or(id));
    }
    Ok(filter)
}

/// What was found, unless it could be one of several.
fn at_most_one<T>(what: &str, id: &str, found: Found<T>) -> Result<Option<T>, CliError> {
    match found {
        Found::One(found) => Ok(Some(found)),
        Found::Nothing => Ok(None),
        Found::Several(ids) => Err(CliError::Message(format!(
            "more than one {what} begins with {id}; give more of its id: {}",
            ids.join(", ")
        ))),
    }
}

/// What was found, if it is one.
fn require_one<T>(what: &str, id: &str, found: Found<T>, hint: &str) -> Result<T, CliError> {
    at_most_one(what, id, found)?
        .ok_or_else(|| CliError::NotFound(format!("no {what} whose id begins with {id}; {hint}")))
}
