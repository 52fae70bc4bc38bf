//! Private instances of PostgreSQL and PgBouncer, each in a folder of its own and on a free
//! port. They end when their last test drops them.
//!
//! Without the programs, a test prints one line and passes. With `CI` set it fails.

mod pgbouncer;
mod postgres;
mod relay;
mod replica;

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use tower_mcp_store_postgres::fleet::{self, Migrated, Roles};
use tower_mcp_store_postgres::{PostgresError, Target};

pub(crate) use pgbouncer::PgBouncer;
pub(crate) use postgres::{Database, Postgres};
pub(crate) use relay::{Cut, Relay};
pub(crate) use replica::{LONG, Replica, request};

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

/// Says that a test is skipped, or fails in continuous integration.
fn skipped(program: &str, is_there: bool) {
    if is_there {
        return;
    }
    let test = thread::current().name().unwrap_or_default().to_owned();
    assert!(env::var_os("CI").is_none(), "{test} needs {program}");
    eprintln!("skipped: {test} needs {program}, which is not installed");
}

/// Returns the folder of PostgreSQL's programs. Debian keeps it out of the path.
fn postgres_programs() -> Option<PathBuf> {
    let asked = Command::new("pg_config").arg("--bindir").output();
    let named = asked.ok().filter(|asked| asked.status.success());
    let named = named.map(|asked| PathBuf::from(String::from_utf8_lossy(&asked.stdout).trim()));
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let versions = versions.flatten().map(|version| version.path().join("bin"));
    let has_server = |folder: &PathBuf| folder.join("initdb").exists();
    named.into_iter().chain(versions).filter(has_server).max()
}

fn find(folders: &[&str], program: &str) -> Option<PathBuf> {
    let places = folders.iter().map(|folder| Path::new(folder).join(program));
    places.into_iter().find(|path| path.exists())
}

/// The user that runs the programs, which refuse to run as root.
#[derive(Debug, Clone, Copy)]
struct User {
    id: u32,
    group: u32,
}

impl User {
    /// Returns the user `postgres` if this is root; `None` if this user can run the programs.
    fn other() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let id = |flag: &str| -> u32 {
            let asked = Command::new("id")
                .args([flag, "postgres"])
                .output()
                .unwrap();
            let number = String::from_utf8(asked.stdout).unwrap();
            number.trim().parse().expect("a user postgres")
        };
        Some(Self {
            id: id("-u"),
            group: id("-g"),
        })
    }
}

/// A folder that belongs to the user of the programs.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    own(folder.path());
    folder
}

/// Gives a file or folder to the user of the programs.
pub(crate) fn own(path: &Path) {
    if let Some(user) = User::other() {
        std::os::unix::fs::chown(path, Some(user.id), Some(user.group)).unwrap();
    }
}

/// Returns a command that runs as the user of the programs.
fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    // The user may not enter the working directory of this process.
    command.current_dir("/");
    if let Some(user) = User::other() {
        command.gid(user.group).uid(user.id);
    }
    command
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
