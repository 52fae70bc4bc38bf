//! Answers from tables that another engine than SQLite has, in the types of a file.
//!
//! It is for `tower-mcp-store-postgres`, and not part of the API.

use std::convert::Infallible;

use rusqlite::types::ValueRef;

use super::losses::Loss;
use super::request::Request;
use super::sql::Value;
pub use super::stats::foreign::{Engine, Names, PrunedTo, Rows, Selection, stats};

/// The columns that [`request`] reads, of a table `requests` beside a view `sessions`.
pub const REQUEST_COLUMNS: &str = Request::COLUMNS;

/// The columns that [`loss`] reads, of a table `losses`.
pub const LOSS_COLUMNS: &str = Loss::COLUMNS;

/// Returns the request of a row.
pub fn request(values: &[Value]) -> Request {
    let Ok(request) = Request::from_values(in_order(values));
    request
}

/// Returns the loss of a row.
pub fn loss(values: &[Value]) -> Loss {
    let Ok(loss) = Loss::from_values(in_order(values));
    loss
}

fn in_order<'v>(values: &'v [Value]) -> impl FnMut() -> Result<ValueRef<'v>, Infallible> {
    let mut values = values.iter();
    move || Ok(values.next().map_or(ValueRef::Null, Value::as_ref))
}
