//! Counts of requests that another engine than SQLite has.

use std::convert::Infallible;

use rusqlite::types::ValueRef;

use super::super::sql::Value;
use super::{Breakdown, GroupBy, Groups, columns};

/// Counts requests as [`Reader::breakdown`](crate::query::Reader::breakdown) does.
///
/// `select` is given the columns to select, of a table `requests` beside a view `sessions`, and
/// calls its second argument with the values of each request.
pub fn breakdown<E>(
    by: &[GroupBy],
    select: impl FnOnce(&str, &mut dyn FnMut(&[Value])) -> Result<(), E>,
) -> Result<Vec<Breakdown>, E> {
    let mut groups = Groups::new(by);
    select(&columns(by), &mut |values| {
        let value = |at| values.get(at).map_or(ValueRef::Null, Value::as_ref);
        let Ok(()) = groups.add(|at| Ok::<_, Infallible>(value(at)));
    })?;
    Ok(groups.into_breakdowns())
}
