//! Counts of requests that another engine than SQLite has.

use std::convert::Infallible;

use rusqlite::types::ValueRef;

use super::super::sql::Value;
use super::{Breakdown, GroupBy, Groups, columns};

/// Expressions over a request of the engine.
#[derive(Debug, Clone, Copy)]
pub struct Columns {
    /// The column `leg`, which is the place of the request in its operation.
    pub leg: &'static str,
    /// The column `operation_us`.
    pub operation_us: &'static str,
    /// The name of the session's client.
    pub client_name: &'static str,
}

/// Counts requests as [`Reader::breakdown`](crate::query::Reader::breakdown) does.
///
/// `select` is given the columns to select, and calls its second argument with the values of each
/// request.
pub fn breakdown<E>(
    by: &[GroupBy],
    of: Columns,
    select: impl FnOnce(&str, &mut dyn FnMut(&[Value])) -> Result<(), E>,
) -> Result<Vec<Breakdown>, E> {
    let mut groups = Groups::new(by);
    let columns = columns(by, of.leg, of.operation_us, of.client_name);
    select(&columns, &mut |values| {
        let value = |at| values.get(at).map_or(ValueRef::Null, Value::as_ref);
        let Ok(()) = groups.add(|at| Ok::<_, Infallible>(value(at)));
    })?;
    Ok(groups.into_breakdowns())
}
