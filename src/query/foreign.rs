//! Answers from tables that another engine than SQLite has, in the types of a file.
//!
//! It is for `tower-mcp-store-postgres`, and not part of the API.

use std::convert::Infallible;

use rusqlite::types::ValueRef;

pub use super::breakdown::foreign::{Columns, breakdown};
use super::clients::{Caller, Client, ClientRevision};
use super::filter::SessionFilter;
use super::losses::Loss;
use super::operations::{Operation, OperationKind, OperationLeg, Task};
use super::request::Request;
use super::sessions::{Session, SessionOrder};
use super::sql::Value;
pub use super::stats::foreign::{Engine, Names, PrunedTo, Rows, Selection, stats};

use crate::db::row::Lenient;
use crate::event::Outcome;

/// A type whose fields are columns of a table or view.
pub trait Record: Sized {
    /// The columns that [`of`](Self::of) reads, in SQL that both engines understand.
    const COLUMNS: &'static str;

    /// Returns the record of a row with these columns.
    fn of(values: &[Value]) -> Self;
}

/// A record that counts groups of rows.
pub trait Counted: Record {
    /// The groups that are counted, and their order.
    const GROUPS: &'static str;
}

/// An operation without its requests: one row of the view `operations`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OperationRow {
    /// The `request_id` of its first request.
    pub operation_id: String,
    /// How many rounds it took, or whether it was a task.
    pub kind: OperationKind,
    ts: i64,
    ended_ts: Option<i64>,
    outcome: Option<Outcome>,
    wall_us: Option<i64>,
    server_us: Option<i64>,
    client_us: Option<i64>,
}

impl OperationRow {
    /// Returns its outcome.
    pub fn outcome(&self) -> Outcome {
        self.outcome.unwrap_or(Outcome::Working)
    }
}

impl Record for OperationRow {
    const COLUMNS: &'static str =
        "operation_id, kind, ts, ended_ts, outcome, wall_us, server_us, client_us";

    fn of(values: &[Value]) -> Self {
        let values = &mut values.iter().map(Value::as_ref);
        Self {
            operation_id: next(values),
            kind: next(values),
            ts: next(values),
            ended_ts: next(values),
            outcome: next(values),
            wall_us: next(values),
            server_us: next(values),
            client_us: next(values),
        }
    }
}

fn next<'v, T: Lenient>(values: &mut impl Iterator<Item = ValueRef<'v>>) -> T {
    T::read(values.next().unwrap_or(ValueRef::Null))
}

impl Lenient for OperationKind {
    fn read(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Text(b"task") => Self::Task,
            ValueRef::Text(b"multi_round") => Self::MultiRound,
            _ => Self::Single,
        }
    }
}

macro_rules! records {
    ($($name:ident)*) => {$(
        impl Record for $name {
            const COLUMNS: &'static str = Self::COLUMNS;

            fn of(values: &[Value]) -> Self {
                let Ok(record) = Self::from_values(in_order(values));
                record
            }
        }
    )*};
}

macro_rules! counted {
    ($($name:ident)*) => {
        records! { $($name)* }
        $(
            impl Counted for $name {
                const GROUPS: &'static str = Self::GROUPS;
            }
        )*
    };
}

records! { Request Loss Session Task }
counted! { Client ClientRevision Caller }

fn in_order<'v>(values: &'v [Value]) -> impl FnMut() -> Result<ValueRef<'v>, Infallible> {
    let mut values = values.iter();
    move || Ok(values.next().map_or(ValueRef::Null, Value::as_ref))
}

/// Returns the column of a session that is compared with the window of a filter.
pub fn time_of_sessions(filter: &SessionFilter) -> &'static str {
    filter.time()
}

/// Returns the terms of `ORDER BY` for sessions: the latest first without an order.
pub fn order_of_sessions(filter: &SessionFilter, order: Option<SessionOrder>) -> &'static str {
    order.map_or_else(|| filter.latest(), SessionOrder::sql)
}

/// Returns an operation with its requests, first to last.
pub fn operation<R: AsRef<Request>>(
    row: OperationRow,
    task: Option<Task>,
    requests: Vec<R>,
) -> Operation<R> {
    Operation {
        outcome: row.outcome(),
        operation_id: row.operation_id,
        kind: row.kind,
        ts: row.ts,
        ended_ts: row.ended_ts,
        wall_us: row.wall_us,
        server_us: row.server_us,
        client_us: row.client_us,
        task,
        legs: OperationLeg::all(requests),
    }
}
