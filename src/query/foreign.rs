//! Answers from tables that another engine than SQLite has, in the types of a file.
//!
//! It is for `tower-mcp-store-postgres`, and not part of the API.

use std::convert::Infallible;

use rusqlite::types::ValueRef;

use super::clients::{Caller, Client, ClientRevision};
use super::filter::SessionFilter;
use super::losses::Loss;
use super::request::Request;
use super::sessions::{Session, SessionOrder};
use super::sql::Value;
pub use super::stats::foreign::{Engine, Names, PrunedTo, Rows, Selection, stats};

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

records! { Request Loss Session }
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
