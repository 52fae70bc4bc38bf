//! One command each: what it asks, and which columns it shows.

pub(crate) mod clients;
pub(crate) mod info;
pub(crate) mod logs;
pub(crate) mod maintain;
pub(crate) mod manual;
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
use crate::failure::Failure;

/// The filter that was typed, with the session's beginning made a whole id.
fn filter(reader: &Reader, mut filters: Filters) -> Result<Filter, Failure> {
    let session = filters.session.take();
    let mut filter = filters.filter();
    if let Some(id) = session {
        filter.session = Some(match reader.find_session_id(&id)? {
            Found::One(id) => id,
            Found::Nothing => id,
            Found::Several(ids) => return Err(several("session", &id, &ids)),
        });
    }
    Ok(filter)
}

fn several(what: &str, id: &str, ids: &[String]) -> Failure {
    Failure::Told(format!(
        "more than one {what} begins with {id}; give more of its id: {}",
        ids.join(", ")
    ))
}
