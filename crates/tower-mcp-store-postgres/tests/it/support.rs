//! Private instances of PostgreSQL and PgBouncer, each in a folder of its own and on a free
//! port. They end when their last test drops them.
//!
//! Without the programs, a test prints one line and passes. With `CI` set it fails.

mod pgbouncer;
mod postgres;
mod programs;
mod relay;
mod replica;
mod server;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tower_mcp_store_postgres::fleet::{self, Migrated, Roles};
use tower_mcp_store_postgres::{PostgresError, Target};

pub(crate) use pgbouncer::PgBouncer;
pub(crate) use postgres::{Database, Postgres};
use programs::postgres_programs;
pub(crate) use relay::{Cut, Relay};
pub(crate) use replica::{LONG, Replica, request};
use server::skipped;

/// Returns the PostgreSQL that tests share; `None` if the program is not installed.
///
/// Each test takes a database of its own.
pub(crate) fn postgres() -> Option<Arc<Postgres>> {
    static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return Some(running);
    }
    let started = Arc::new(own_postgres()?);
    *shared = Arc::downgrade(&started);
    Some(started)
}

/// Returns a PostgreSQL for one test; `None` if the program is not installed.
pub(crate) fn own_postgres() -> Option<Postgres> {
    own_postgres_with(&[], &[])
}

/// Returns a PostgreSQL for one test, with these settings, and these files in its data folder;
/// `None` if the program is not installed.
pub(crate) fn own_postgres_with(
    settings: &[(&str, &str)],
    files: &[(&str, &str)],
) -> Option<Postgres> {
    let programs = postgres_programs();
    skipped("PostgreSQL", programs.is_some());
    Some(Postgres::start(&programs?, settings, files))
}

/// Returns a PgBouncer in transaction mode in front of `postgres`, with `size` connections for
/// each database; `None` if the program is not installed.
pub(crate) fn pgbouncer(postgres: &Postgres, size: usize) -> Option<PgBouncer> {
    let program = find(&["/usr/sbin", "/usr/bin", "/usr/local/bin"], "pgbouncer");
    skipped("PgBouncer", program.is_some());
    Some(PgBouncer::start(&program?, postgres, size))
}

/// Makes the tables of a fleet.
pub(crate) async fn init(target: Target) -> Result<Migrated, PostgresError> {
    blocking(move || fleet::init(&target, &Roles::new())).await
}

/// Works away from the runtime of the test.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Waits until something holds. It looks every few milliseconds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < LONG, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn find(folders: &[&str], program: &str) -> Option<PathBuf> {
    let places = folders.iter().map(|folder| Path::new(folder).join(program));
    places.into_iter().find(|path| path.exists())
}
