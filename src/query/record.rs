//! Structs whose fields are columns.

/// Defines a struct with a field for each column, of the same name or with its SQL. It gets
/// `COLUMNS`, the list to select, and `from_row`, which reads what was selected.
macro_rules! record {
    (
        $(#[$about:meta])*
        pub struct $name:ident {
            $(#[$about_first:meta])*
            pub $first:ident: $first_type:ty,
            $(
                $(#[$about_field:meta])*
                pub $field:ident: $type:ty $(= $sql:literal)?,
            )*
        }
    ) => {
        $(#[$about])*
        pub struct $name {
            $(#[$about_first])*
            pub $first: $first_type,
            $(
                $(#[$about_field])*
                pub $field: $type,
            )*
        }

        impl $name {
            /// The columns that `from_row` reads.
            pub(super) const COLUMNS: &'static str =
                concat!(stringify!($first) $(, ", ", record!(@column $field $($sql)?))*);

            /// Reads a row of these columns.
            pub(super) fn from_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
                let mut columns = 0..;
                Self::from_values(|| row.get_ref(columns.next().unwrap_or_default()))
            }

            /// Reads the values of these columns, one after the other.
            pub(super) fn from_values<'v, E>(
                mut next: impl FnMut() -> Result<rusqlite::types::ValueRef<'v>, E>,
            ) -> Result<Self, E> {
                Ok(Self {
                    $first: crate::db::row::Lenient::read(next()?),
                    $($field: crate::db::row::Lenient::read(next()?),)*
                })
            }
        }
    };
    (@column $field:ident) => { stringify!($field) };
    (@column $field:ident $sql:literal) => { $sql };
}

pub(super) use record;
