//! The commands: the query and the columns of each.

pub(crate) mod clients;
pub(crate) mod completions;
#[cfg(feature = "postgres")]
pub(crate) mod fleet;
pub(crate) mod info;
mod legs;
pub(crate) mod logs;
pub(crate) mod maintain;
mod operations;
pub(crate) mod proxy;
#[cfg(feature = "postgres")]
pub(crate) mod pull;
#[cfg(feature = "postgres")]
pub(crate) mod replicas;
pub(crate) mod request;
pub(crate) mod schema;
#[cfg(feature = "serve")]
pub(crate) mod serve;
pub(crate) mod session;
pub(crate) mod sessions;
pub(crate) mod slow;
pub(crate) mod sql;
pub(crate) mod stats;
mod suggest;
pub(crate) mod top;

use tower_mcp_store::query::{Lookup, Reader, RequestFilter};

use crate::args::Filters;
use crate::error::CliError;

/// Returns the filter from the command line, with the whole id of its session.
fn filter(reader: &Reader, mut filters: Filters) -> Result<RequestFilter, CliError> {
    let session = match filters.session.take() {
        Some(id) => {
            let reader = filters.shared_key.give(reader)?;
            let found = at_most_one("session", &id, reader.find_session_id(&id)?)?;
            Some(found.unwrap_or(id))
        }
        None => None,
    };
    let mut filter = filters.filter()?;
    filter.session = session;
    Ok(filter)
}

/// Returns the record that was found, or an error if several ids begin like this.
fn at_most_one<T>(what: &str, id: &str, found: Lookup<T>) -> Result<Option<T>, CliError> {
    match found {
        Lookup::Several(ids) => Err(CliError::Message(format!(
            "the id of more than one {what} begins with {id}; type more of it: {}",
            ids.join(", ")
        ))),
        found => Ok(found.one()),
    }
}

/// Returns the record that was found, or an error if there is none.
fn require_one<T>(what: &str, id: &str, found: Lookup<T>, hint: &str) -> Result<T, CliError> {
    at_most_one(what, id, found)?
        .ok_or_else(|| CliError::NotFound(format!("no {what} whose id begins with {id}; {hint}")))
}
