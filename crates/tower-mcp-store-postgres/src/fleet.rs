//! Functions for the owner of the database: create the tables, migrate them, and remove old rows.
//!
//! Each function connects, works in one transaction, and blocks the thread until that ends. It
//! takes a lock in the database, so that only one of them runs at a time. Shippers keep working.

mod grants;
mod partitions;
mod retention;

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;

use crate::connection::{Connection, runtime};
use crate::error::{PostgresError, PostgresErrorKind};
use crate::schema::{NAMES, SCHEMA_VERSION, STEPS, check, newer, version};
use crate::target::Target;
pub use retention::{FleetRetention, Removed};

/// The key of the lock. It is taken for a transaction, so that it works behind a pooler.
const LOCK: i64 = 0x6d63_7073_746f_7265;

/// How long a change of the tables waits for transactions that use them. Later statements
/// wait behind it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '5s'";

/// The roles that get rights to the tables.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    shippers: Vec<String>,
    readers: Vec<String>,
}

impl Roles {
    /// Returns no roles.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a role that ships: it may add rows and change the columns that shippers change. It
    /// may neither remove rows nor change tables.
    #[must_use]
    pub fn shipper(mut self, role: impl Into<String>) -> Self {
        self.shippers.push(role.into());
        self
    }

    /// Adds a role that reads.
    #[must_use]
    pub fn reader(mut self, role: impl Into<String>) -> Self {
        self.readers.push(role.into());
        self
    }
}

/// The versions before and after a change of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Migrated {
    /// The version before; 0 if there was no schema.
    pub from: i32,
    /// The version now.
    pub to: i32,
}

/// Creates the tables in the first schema of the search path, or migrates older ones, and
/// creates the partitions of the next seven days.
///
/// # Errors
///
/// If the schema has other tables of these names, the database does not store UTF-8, or its tables
/// are newer. Then nothing is changed.
pub fn init(target: &Target, roles: &Roles) -> Result<Migrated, PostgresError> {
    change(target, roles, Absent::Make)
}

/// Migrates the tables to this release, and creates the partitions of the next seven days.
///
/// # Errors
///
/// As for [`init`], and if there are no tables.
pub fn migrate(target: &Target, roles: &Roles) -> Result<Migrated, PostgresError> {
    change(target, roles, Absent::Refuse)
}

/// Removes rows that are too old, as whole partitions if possible, and creates the partitions of
/// the next seven days. Run it once a day.
///
/// # Errors
///
/// If there are no tables, or those of a newer release.
pub fn retain(target: &Target, retention: &FleetRetention) -> Result<Removed, PostgresError> {
    runtime()?.block_on(async {
        let mut connection = Connection::open(target).await?;
        let tx = connection.transaction().await.map_err(PostgresError::of)?;
        lock(&tx).await?;
        check(tx.client()).await?;
        let removed = retention::apply(&tx, retention).await?;
        partitions::make(&tx).await?;
        tx.commit().await.map_err(PostgresError::of)?;
        Ok(removed)
    })
}

/// What to do if there are no tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Absent {
    Make,
    Refuse,
}

fn change(target: &Target, roles: &Roles, absent: Absent) -> Result<Migrated, PostgresError> {
    runtime()?.block_on(async {
        let mut connection = Connection::open(target).await?;
        let tx = connection.transaction().await.map_err(PostgresError::of)?;
        lock(&tx).await?;
        let from = match version(tx.client()).await? {
            Some(version) if version > SCHEMA_VERSION => return Err(newer(version)),
            Some(version) => version,
            None if absent == Absent::Refuse => return Err(no_tables()),
            None => {
                check_is_free(&tx).await?;
                0
            }
        };
        for (to, step) in (1..).zip(STEPS) {
            if to > from {
                tx.batch_execute(step).await.map_err(PostgresError::of)?;
                let set = "UPDATE mcp_store_meta SET version = $1";
                let set = tx.execute_typed(set, &[(&to, Type::INT4)]).await;
                set.map_err(PostgresError::of)?;
            }
        }
        partitions::make(&tx).await?;
        for role in &roles.shippers {
            grants::to_shipper(&tx, role).await?;
        }
        for role in &roles.readers {
            grants::to_reader(&tx, role).await?;
        }
        tx.commit().await.map_err(PostgresError::of)?;
        let to = SCHEMA_VERSION;
        Ok(Migrated { from, to })
    })
}

async fn lock(tx: &Transaction<'_>) -> Result<(), PostgresError> {
    let sql = "SELECT pg_advisory_xact_lock($1)";
    let locked = tx.execute_typed(sql, &[(&LOCK, Type::INT8)]).await;
    locked.map_err(PostgresError::of)?;
    tx.batch_execute(LOCK_TIMEOUT)
        .await
        .map_err(PostgresError::of)
}

/// Fails unless the database can take the tables.
async fn check_is_free(tx: &Transaction<'_>) -> Result<(), PostgresError> {
    let refuse = |detail| Err(PostgresError::new(PostgresErrorKind::Unsuitable, detail));
    let sql = "SELECT current_setting('server_encoding'),
        (SELECT string_agg(name, ', ') FROM unnest($1) AS name
            WHERE to_regclass(name) IS NOT NULL)";
    let row = tx
        .query_typed_one(sql, &[(&NAMES.as_slice(), Type::TEXT_ARRAY)])
        .await;
    let row = row.map_err(PostgresError::of)?;
    let encoding: String = row.get(0);
    if encoding != "UTF8" {
        return refuse(format!(
            "the database stores text as {encoding}, not as UTF8; create another one with \
             createdb --encoding=UTF8 --template=template0"
        ));
    }
    if let Some(names) = row.get::<_, Option<String>>(1) {
        return refuse(format!(
            "the database has other tables or views with these names: {names}; use another \
             database or schema"
        ));
    }
    Ok(())
}

fn no_tables() -> PostgresError {
    PostgresError::new(
        PostgresErrorKind::NoSchema,
        "the database has no tables of mcp-store; create them with `mcp-store fleet init`",
    )
}
