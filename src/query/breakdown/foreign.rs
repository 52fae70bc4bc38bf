//! Counts of requests that another engine than SQLite has.

use std::convert::Infallible;

use rusqlite::types::ValueRef;

use super::super::sql::Value;
use super::{Breakdown, GroupBy, Groups, columns};

/// Counts requests as [`Reader::breakdown`](crate::query::Reader::breakdown) does.
///
/// `select` is given the columns to select, of a table `requests` beside a view `sessions`, and
/// calls its second argument with the values of each request. `leg` and `operation_us` are
/// expressions for the columns of these names.
pub fn breakdown<E>(
    by: &[GroupBy],
    leg: &str,
    operation_us: &str,
    select: impl FnOnce(&str, &mut dyn FnMut(&[Value])) -> Result<(), E>,
) -> Result<Vec<Breakdown>, E> {
    let mut groups = Groups::new(by);
    select(&columns(by, leg, operation_us), &mut |values| {
        let value = |at| values.get(at).map_or(ValueRef::Null, Value::as_ref);
        let Ok(()) = groups.add(|at| Ok::<_, Infallible>(value(at)));
    })?;
    Ok(groups.into_breakdowns())
}
