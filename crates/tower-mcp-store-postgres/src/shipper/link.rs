//! A file and a database that belong together.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use tokio_postgres::Transaction;
use tokio_postgres::types::Type;
use tower_mcp_store::outbox::{Outbox, OutboxBatch, OutboxIdentity, OutboxTable};

use super::{refused, statement};
use crate::connection::Connection;
use crate::error::{PostgresError, PostgresErrorKind};
use crate::schema;
use crate::target::Target;

/// How long one transaction may take.
const TRANSACTION: Duration = Duration::from_secs(120);

/// The difference between the clocks of this machine and of the database from which on it is
/// logged, in milliseconds.
const CLOCK_TOLERANCE_MS: i64 = 60_000;

/// Only one transaction at a time ships files of one id.
const LOCK: &str = "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))";

const SHIPPED: &str = "SELECT shipped_to, shipped_request_id FROM sources
    WHERE store_id = $1::uuid";

const CLAIM: &str = "INSERT INTO sources (store_id, instance, shipper, schema_version,
        writer_version, key_fingerprints, shipped_to, shipped_request_id, clock_ahead_ms,
        first_seen_at, seen_at)
    VALUES ($1::uuid, $2, $3::uuid, $4, $5, $6, $7, $8, $9, $10, $10)
    ON CONFLICT (store_id) DO UPDATE SET
        instance = excluded.instance, shipper = excluded.shipper,
        schema_version = excluded.schema_version, writer_version = excluded.writer_version,
        key_fingerprints = excluded.key_fingerprints, shipped_to = excluded.shipped_to,
        shipped_request_id = excluded.shipped_request_id,
        clock_ahead_ms = excluded.clock_ahead_ms, seen_at = excluded.seen_at";

/// Fails to find the row if another shipper has claimed the id since.
const ADVANCE: &str = "UPDATE sources SET
        shipped_to = $3, shipped_request_id = $4, rolled_up_to = coalesce($5, rolled_up_to),
        requests_pruned_to = $6, polls_pruned_to = $7, hours_pruned_to = $8,
        days_pruned_to = $9, seen_at = $10
    WHERE store_id = $1::uuid AND shipper = $2::uuid";

/// The result of one batch.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shipped {
    pub(super) attempted: u64,
    pub(super) inserted: u64,
    pub(super) refused: u64,
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) outbox: Outbox,
    connection: Connection,
    store_id: String,
    /// A random UUID of this link.
    shipper: String,
    wrote_at: Instant,
}

impl Link {
    /// Opens the file at `path` and the database, and checks that the database has exactly the
    /// rows that were shipped from this file.
    pub(super) async fn open(path: &Path, target: &Target) -> Result<Self, PostgresError> {
        let outbox = Outbox::open(path).map_err(PostgresError::not_opened)?;
        outbox.register()?;
        let identity = outbox.identity()?;
        let mut connection = Connection::open(target).await?;
        schema::check(&connection).await?;
        let shipper = random_uuid()?;
        in_time(claim(&mut connection, &outbox, &identity, &shipper)).await?;
        Ok(Self {
            outbox,
            connection,
            store_id: identity.store_id,
            shipper,
            wrote_at: Instant::now(),
        })
    }

    /// Returns how long ago this link last wrote to the database.
    pub(super) fn silent_for(&self) -> Duration {
        self.wrote_at.elapsed()
    }

    /// Writes a batch in one transaction.
    pub(super) async fn ship(&mut self, batch: &mut OutboxBatch) -> Result<Shipped, PostgresError> {
        batch.rows.iter_mut().for_each(statement::clean);
        let shipped = match in_time(self.write(batch, Rows::All)).await {
            Err(Failure::Row) => in_time(self.write(batch, Rows::WithoutRefused)).await,
            done => done,
        };
        self.wrote_at = Instant::now();
        shipped.map_err(PostgresError::from)
    }

    async fn write(&mut self, batch: &OutboxBatch, which: Rows) -> Result<Shipped, Failure> {
        let store_id = &self.store_id;
        let mut tx = self.connection.transaction().await?;
        lock(&tx, store_id).await?;
        let mut shipped = Shipped::default();
        for rows in &batch.rows {
            let (written, refused) = match which {
                Rows::All => {
                    let all = 0..rows.len();
                    match statement::write(&tx, store_id, rows, all).await {
                        Ok(written) => (written, 0),
                        Err(error) if refused::is_of_row(&error) => return Err(Failure::Row),
                        Err(error) => return Err(error.into()),
                    }
                }
                Rows::WithoutRefused => refused::write_others(&mut tx, store_id, rows).await?,
            };
            shipped.refused += refused;
            if rows.table == OutboxTable::Requests {
                shipped.attempted = rows.len() as u64;
                shipped.inserted = written;
            }
        }
        advance(&tx, store_id, &self.shipper, batch).await?;
        tx.commit().await?;
        Ok(shipped)
    }
}

/// Which rows of a batch to write.
#[derive(Debug, Clone, Copy)]
enum Rows {
    All,
    /// Row by row where needed, which takes longer.
    WithoutRefused,
}

/// Why a batch was not written.
#[derive(Debug)]
enum Failure {
    /// The database refuses a row of it.
    Row,
    Other(PostgresError),
}

impl From<PostgresError> for Failure {
    fn from(error: PostgresError) -> Self {
        Self::Other(error)
    }
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Other(PostgresError::of(error))
    }
}

impl From<Failure> for PostgresError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Row => Self::new(
                PostgresErrorKind::Statement,
                "the database refused a statement because of a value outside of the rows",
            ),
            Failure::Other(error) => error,
        }
    }
}

async fn in_time<T, E: From<PostgresError>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match tokio::time::timeout(TRANSACTION, work).await {
        Ok(done) => done,
        Err(_) => Err(E::from(PostgresError::new(
            PostgresErrorKind::Connection,
            "the database does not answer",
        ))),
    }
}

/// Notes in the database how far the file was shipped.
async fn advance(
    tx: &Transaction<'_>,
    store_id: &str,
    shipper: &str,
    batch: &OutboxBatch,
) -> Result<(), PostgresError> {
    let watermarks = &batch.watermarks;
    let now = unix_ms();
    let values = [
        (&store_id as _, Type::TEXT),
        (&shipper as _, Type::TEXT),
        (&batch.shipped_to as _, Type::INT8),
        (&batch.request_id as _, Type::TEXT),
        (&watermarks.rolled_up_to as _, Type::INT8),
        (&watermarks.requests_pruned_to as _, Type::INT8),
        (&watermarks.polls_pruned_to as _, Type::INT8),
        (&watermarks.hours_pruned_to as _, Type::INT8),
        (&watermarks.days_pruned_to as _, Type::INT8),
        (&now as _, Type::INT8),
    ];
    let advanced = tx.execute_typed(ADVANCE, &values).await;
    match advanced.map_err(PostgresError::of)? {
        1 => Ok(()),
        _ => Err(PostgresError::new(
            PostgresErrorKind::Busy,
            "another shipper writes to the database for a file with the same id; two files \
                 have it, or one file has two shippers",
        )),
    }
}

async fn lock(tx: &Transaction<'_>, store_id: &str) -> Result<(), PostgresError> {
    let locked = tx.query_typed_one(LOCK, &[(&store_id, Type::TEXT)]).await;
    if locked.map_err(PostgresError::of)?.get(0) {
        return Ok(());
    }
    Err(PostgresError::new(
        PostgresErrorKind::Busy,
        "another transaction ships a file with the same id",
    ))
}

/// Compares the file with its rows in the database, and makes this link its shipper.
async fn claim(
    connection: &mut Connection,
    outbox: &Outbox,
    identity: &OutboxIdentity,
    shipper: &str,
) -> Result<(), PostgresError> {
    let tx = connection.transaction().await.map_err(PostgresError::of)?;
    let store_id = &identity.store_id;
    lock(&tx, store_id).await?;
    let found = tx.query_typed_opt(SHIPPED, &[(store_id, Type::TEXT)]).await;
    let found = found.map_err(PostgresError::of)?;
    let there = found.map_or((0, None), |row| (row.get(0), row.get(1)));
    compare(outbox, there)?;
    let cursor = outbox.cursor()?;
    let ahead = clock_ahead_ms(&tx).await?;
    if ahead.abs() > CLOCK_TOLERANCE_MS {
        tracing::warn!(
            "the clock of this machine differs from that of the database by {} s, so times in \
             this file cannot be compared with times in other files",
            ahead / 1000
        );
    }
    let now = unix_ms();
    let values = [
        (store_id as _, Type::TEXT),
        (&identity.instance as _, Type::TEXT),
        (&shipper as _, Type::TEXT),
        (&identity.schema_version as _, Type::INT8),
        (&identity.writer_version as _, Type::TEXT),
        (&identity.key_fingerprints as _, Type::TEXT_ARRAY),
        (&cursor.shipped_to as _, Type::INT8),
        (&cursor.request_id as _, Type::TEXT),
        (&ahead as _, Type::INT8),
        (&now as _, Type::INT8),
    ];
    tx.execute_typed(CLAIM, &values)
        .await
        .map_err(PostgresError::of)?;
    tx.commit().await.map_err(PostgresError::of)
}

/// Fails if the file is not the one that was shipped, or the database not the one that it was
/// shipped to. `there` is the last request that the database has, by its id and its request id.
fn compare(outbox: &Outbox, there: (i64, Option<String>)) -> Result<(), PostgresError> {
    let cursor = outbox.cursor()?;
    let here = (cursor.shipped_to, cursor.request_id);
    // A rewound file writes all of its rows again, so the database may have any rows.
    if cursor.is_rewound || here == there {
        return Ok(());
    }
    let refuse = |found: &str| {
        let detail = format!(
            "{found}; `mcp-store ship --rewind` ships all rows of the file again, and \
             `mcp-store ship --new-store-id` ships it as another file"
        );
        Err(PostgresError::new(PostgresErrorKind::Diverged, detail))
    };
    if here.0 > there.0 {
        return refuse(
            "the database has fewer rows than were shipped from this file; it is another \
             database, or was restored from a copy",
        );
    }
    // If the file has the last row of the database, the shipper was killed before it confirmed
    // its last batch.
    let row = outbox.request_id(there.0)?;
    if here.0 < there.0 && row.is_some() && row == there.1 {
        return Ok(());
    }
    refuse(
        "the database has rows of this file that the file does not have; the file was restored \
         from a copy, or a copy of it was shipped, too",
    )
}

/// Returns how far the clock of this machine is ahead of that of the database.
async fn clock_ahead_ms(tx: &Transaction<'_>) -> Result<i64, PostgresError> {
    let before = unix_ms();
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let row = tx
        .query_typed_one(sql, &[])
        .await
        .map_err(PostgresError::of)?;
    let middle = before + (unix_ms() - before) / 2;
    Ok(middle - row.get::<_, i64>(0))
}

fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// Returns 32 random hexadecimal digits, which PostgreSQL reads as a UUID.
fn random_uuid() -> Result<String, PostgresError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        let detail = "the operating system gives no random numbers";
        PostgresError::new(PostgresErrorKind::File, detail).with_source(error)
    })?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
