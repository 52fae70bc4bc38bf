//! A part of a column, as an array of PostgreSQL.

use std::error::Error;
use std::ops::Range;

use bytes::{BufMut as _, BytesMut};
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tower_mcp_store::outbox::{OutboxColumn, OutboxTexts, OutboxValues};

/// The values of some rows.
#[derive(Debug)]
pub(super) enum Array<'r> {
    Integers(&'r [Option<i64>]),
    Texts(&'r OutboxTexts, Range<usize>),
    Bytes(&'r [Option<Vec<u8>>]),
}

impl<'r> Array<'r> {
    pub(super) fn of(column: &'r OutboxColumn, rows: &Range<usize>) -> Option<Self> {
        let rows = rows.clone();
        match &column.values {
            OutboxValues::Integers(values) => values.get(rows).map(Self::Integers),
            OutboxValues::Texts(values) => Some(Self::Texts(values, rows)),
            OutboxValues::Bytes(values) => values.get(rows).map(Self::Bytes),
            _ => None,
        }
    }

    /// Returns whether no row has a value.
    pub(super) fn is_null(&self) -> bool {
        match self {
            Self::Integers(values) => values.iter().all(Option::is_none),
            Self::Texts(values, rows) => rows.clone().all(|at| values.get(at).is_none()),
            Self::Bytes(values) => values.iter().all(Option::is_none),
        }
    }

    pub(super) fn parameter(&self) -> (&(dyn ToSql + Sync), Type) {
        match self {
            Self::Integers(_) => (self, Type::INT8_ARRAY),
            Self::Texts(..) => (self, Type::TEXT_ARRAY),
            Self::Bytes(_) => (self, Type::BYTEA_ARRAY),
        }
    }

    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::Integers(_) => "bigint[]",
            Self::Texts(..) => "text[]",
            Self::Bytes(_) => "bytea[]",
        }
    }
}

impl ToSql for Array<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Integers(values) => {
                let values = values.iter().map(|value| value.map(i64::to_be_bytes));
                put(&Type::INT8, values, out)
            }
            Self::Texts(values, rows) => {
                put(&Type::TEXT, rows.clone().map(|at| values.get(at)), out)
            }
            Self::Bytes(values) => put(&Type::BYTEA, values.iter().map(Option::as_ref), out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        matches!(*ty, Type::INT8_ARRAY | Type::TEXT_ARRAY | Type::BYTEA_ARRAY)
    }

    to_sql_checked!();
}

/// Writes an array of one dimension in the binary format: the number of dimensions, whether
/// there may be NULL, the type, the length, the number of the first element, and the elements.
/// Each begins with its length, which is -1 for NULL.
fn put(
    of: &Type,
    values: impl ExactSizeIterator<Item = Option<impl AsRef<[u8]>>>,
    out: &mut BytesMut,
) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
    out.put_i32(1);
    out.put_i32(1);
    out.put_u32(of.oid());
    out.put_i32(values.len().try_into()?);
    out.put_i32(1);
    for value in values {
        match value.as_ref().map(AsRef::as_ref) {
            Some(bytes) => {
                out.put_i32(bytes.len().try_into()?);
                out.put_slice(bytes);
            }
            None => out.put_i32(-1),
        }
    }
    Ok(IsNull::No)
}
