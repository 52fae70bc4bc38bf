//! Statements of the user.

use std::ops::ControlFlow;

use rusqlite::types::ValueRef;
use rusqlite::{Row, Statement};

use super::Reader;
use super::error::{QueryError, QueryErrorKind};

/// A value of one of the five types that SQLite has.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Value {
    /// No value.
    Null,
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Real(f64),
    /// A text. Invalid UTF-8 has become U+FFFD.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

#[cfg(feature = "outbox")]
impl Value {
    pub(crate) fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Integer(value) => ValueRef::Integer(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }
    }
}

impl Reader {
    /// Runs one statement that only reads. Calls `each` with the names of the columns and
    /// the values of each row, until it breaks. Returns the names of the columns.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    /// use tower_mcp_store::query::Reader;
    ///
    /// # fn tools(reader: &Reader) -> Result<(), Box<dyn std::error::Error>> {
    /// reader.sql("SELECT DISTINCT tool FROM requests", |_columns, values| {
    ///     println!("{values:?}");
    ///     ControlFlow::Continue(())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The text is not one statement that has an answer, the statement writes, or SQLite
    /// cannot run it. Then [`position`](QueryError::position) says where, if SQLite knows it.
    /// It is also an error if a writer opened a file that no program had open, because the
    /// rows may then be of several moments.
    pub fn sql(
        &self,
        sql: &str,
        mut each: impl FnMut(&[String], Vec<Value>) -> ControlFlow<()>,
    ) -> Result<Vec<String>, QueryError> {
        // SQLite would leave out the rest.
        if sql.contains('\0') {
            return Err(QueryError::new(
                QueryErrorKind::Statement,
                "the statement has a NUL character",
            )
            .with_position(sql.find('\0')));
        }
        let undisturbed = self.read_once(|conn| {
            let mut statement = conn.prepare(sql)?;
            if !statement.readonly() {
                return Ok(Err(QueryError::new(
                    QueryErrorKind::StatementWrites,
                    "this statement writes; only those that read are answered",
                )));
            }
            // A text without a statement, such as a comment, has no columns either.
            if statement.column_count() == 0 {
                return Ok(Err(QueryError::new(
                    QueryErrorKind::Statement,
                    "the statement has no answer",
                )));
            }
            rows(&mut statement, &mut each).map(Ok)
        })?;
        match undisturbed {
            (Ok(columns), true) => Ok(columns),
            (Err(error), _) => Err(error),
            (_, false) => Err(QueryError::new(
                QueryErrorKind::Interrupted,
                "a writer came while this was being answered; ask again",
            )),
        }
    }
}

fn rows(
    statement: &mut Statement<'_>,
    each: &mut impl FnMut(&[String], Vec<Value>) -> ControlFlow<()>,
) -> rusqlite::Result<Vec<String>> {
    let columns = (0..statement.column_count())
        .map(|column| statement.column_name(column).map(str::to_owned))
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if each(&columns, values(row, columns.len())?).is_break() {
            break;
        }
    }
    Ok(columns)
}

fn values(row: &Row<'_>, count: usize) -> rusqlite::Result<Vec<Value>> {
    let value = |column| {
        Ok(match row.get_ref(column)? {
            ValueRef::Null => Value::Null,
            ValueRef::Integer(number) => Value::Integer(number),
            ValueRef::Real(number) => Value::Real(number),
            ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Value::Blob(bytes.to_owned()),
        })
    };
    (0..count).map(value).collect()
}
