//! A transaction that reads the database as of one moment.

use std::pin::pin;

use futures_util::TryStreamExt as _;
use tokio::runtime::Runtime;
use tokio_postgres::types::Type;
use tokio_postgres::{IsolationLevel, Row, Transaction};
use tower_mcp_store::query::Value;
use tower_mcp_store::query::foreign::Record;

use super::statement::{Parameter, Statement};
use crate::connection::Connection;
use crate::error::{PostgresError, PostgresErrorKind};

/// PostgreSQL would compile the expressions of each partition to machine code, which takes
/// seconds for statements that run for milliseconds.
const WITHOUT_JIT: &str = "SET LOCAL jit = off";

pub(super) struct Snapshot<'c> {
    runtime: &'c Runtime,
    transaction: Transaction<'c>,
    // Dropped after the transaction.
    _end: End<'c>,
}

/// Sends the end of a dropped transaction. A connection sends only while its runtime runs, so
/// without this the transaction would stay open until the next question.
struct End<'c>(&'c Runtime);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.block_on(tokio::task::yield_now());
    }
}

impl<'c> Snapshot<'c> {
    pub(super) fn begin(
        runtime: &'c Runtime,
        connection: &'c mut Connection,
    ) -> Result<Self, PostgresError> {
        let transaction = runtime.block_on(async {
            let begun = connection
                .build_transaction()
                .isolation_level(IsolationLevel::RepeatableRead)
                .read_only(true)
                .start()
                .await?;
            begun.batch_execute(WITHOUT_JIT).await?;
            Ok(begun)
        });
        let transaction = transaction.map_err(PostgresError::of)?;
        Ok(Self {
            runtime,
            transaction,
            _end: End(runtime),
        })
    }

    /// Calls `each` with the values of each row.
    pub(super) fn each(
        &self,
        sql: &str,
        statement: &Statement,
        mut each: impl FnMut(&[Value]),
    ) -> Result<(), PostgresError> {
        self.runtime.block_on(async {
            let values = statement.values().iter().map(Parameter::typed);
            let rows = self.transaction.query_typed_raw(sql, values).await;
            let mut rows = pin!(rows.map_err(PostgresError::of)?);
            while let Some(row) = rows.try_next().await.map_err(PostgresError::of)? {
                each(&values_of(&row)?);
            }
            Ok(())
        })
    }

    /// Returns the records of an answer with their columns.
    pub(super) fn records<T: Record>(
        &self,
        sql: &str,
        statement: &Statement,
    ) -> Result<Vec<T>, PostgresError> {
        let mut found = Vec::new();
        self.each(sql, statement, |values| found.push(T::of(values)))?;
        Ok(found)
    }

    /// Returns the one row of an answer.
    pub(super) fn row(
        &self,
        sql: &str,
        statement: &Statement,
    ) -> Result<Vec<Value>, PostgresError> {
        let mut found = None;
        self.each(sql, statement, |values| found = Some(values.to_vec()))?;
        found.ok_or_else(|| {
            PostgresError::new(
                PostgresErrorKind::Unsuitable,
                "a table of the database lacks its only row",
            )
        })
    }

    /// Returns the texts of the first column.
    pub(super) fn texts(
        &self,
        sql: &str,
        statement: &Statement,
    ) -> Result<Vec<String>, PostgresError> {
        let mut texts = Vec::new();
        self.each(sql, statement, |values| {
            if let Some(Value::Text(text)) = values.first() {
                texts.push(text.clone());
            }
        })?;
        Ok(texts)
    }
}

fn values_of(row: &Row) -> Result<Vec<Value>, PostgresError> {
    let columns = row.columns().iter().enumerate();
    let values = columns.map(|(at, column)| match *column.type_() {
        Type::INT8 => Ok(value(row.try_get(at)?, Value::Integer)),
        Type::INT4 => Ok(value(row.try_get(at)?, |number: i32| {
            Value::Integer(number.into())
        })),
        Type::BOOL => Ok(value(row.try_get(at)?, |is: bool| {
            Value::Integer(is.into())
        })),
        Type::BYTEA => Ok(value(row.try_get(at)?, Value::Blob)),
        _ => Ok(value(row.try_get(at)?, Value::Text)),
    });
    values
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(PostgresError::of)
}

fn value<T>(found: Option<T>, value: impl FnOnce(T) -> Value) -> Value {
    found.map_or(Value::Null, value)
}
