//! The runs of writers: the rows of `writers`.
//!
//! A run holds its counters as of its last commit, so that a reader of the file
//! does not have to ask the process. They include events that it wrote to a file
//! that was removed or moved away. A run has no end while its writer lives. A run
//! with neither an end nor a living writer was killed. Each opening searches for
//! such runs, and so does every writer while it writes.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rusqlite::{
    Connection, Result, ToSql, Transaction, TransactionBehavior, params, params_from_iter,
};
use uuid::Uuid;

use super::bind::count;
use super::counters::{Stats, WriterStats};
use super::files::OpenFiles;
use super::side_files;
use super::writer_identity::WriterIdentity;
use super::writer_lock::{self, WriterLock};
use crate::clock;

/// How often a writer looks for runs that were killed.
const LOOK: Duration = Duration::from_secs(10);

/// The pause after which a writer retries to enter its run.
const RETRY: Duration = Duration::from_secs(1);

/// The run of one writer, from opening a file until closing it.
#[derive(Debug)]
pub(super) struct Run {
    id: Uuid,
    /// The id as stored in `writers`.
    name: String,
    instance: Option<Box<str>>,
    files: OpenFiles,
    /// Held from before the run has a row in `writers` until after its end.
    lock: Option<WriterLock>,
    /// Whether it has a row without an end.
    is_entered: bool,
    due: Instant,
}

impl Run {
    /// Makes a run that is not in `writers` yet. Its lock may be held already.
    pub(super) fn new(writer: &WriterIdentity, files: OpenFiles, lock: Option<WriterLock>) -> Self {
        Self {
            id: writer.id,
            name: writer.id.to_string(),
            instance: writer.instance.clone(),
            files,
            lock,
            is_entered: false,
            due: Instant::now(),
        }
    }

    /// Returns the run's key in `writers`, while it is there.
    pub(super) fn name(&self) -> Option<&str> {
        self.is_entered.then_some(self.name.as_str())
    }

    /// Enters the run into `writers` and ends the runs whose writers were killed.
    ///
    /// Waits up to `patience` for the run's own lock. Without that lock the run is not
    /// entered, because other writers would treat it as killed; [`tend`](Self::tend)
    /// then retries.
    pub(super) fn enter(&mut self, conn: &Connection, patience: Duration) -> Result<()> {
        self.acquire(patience);
        let is_written = self.write(conn)?;
        self.is_entered |= is_written && self.lock.is_some();
        self.rest();
        Ok(())
    }

    fn rest(&mut self) {
        self.due = Instant::now() + if self.is_entered { LOOK } else { RETRY };
    }

    fn acquire(&mut self, patience: Duration) {
        if self.lock.is_none() {
            self.lock = WriterLock::acquire(self.files.real(), self.id, patience)
                .inspect_err(|error| tracing::debug!(%error, "the run is not entered yet"))
                .ok();
        }
    }

    /// Enters this run, if its lock is held, and the ends of killed ones. Returns
    /// whether it did: nothing is written to files that were replaced.
    fn write(&self, conn: &Connection) -> Result<bool> {
        let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        if !self.files.are_here() {
            return Ok(false);
        }
        if let Some(lock) = self.lock.as_ref().filter(|_| !self.is_entered) {
            self.note(lock);
            begin(&tx, &self.name, self.instance.as_deref())?;
        }
        for id in &self.killed(&tx)? {
            end_killed(&tx, id)?;
        }
        // A killed run without a row here had another file open, which was moved away. Its
        // later events are missing from this file.
        for (run, entered) in writer_lock::sweep(self.files.real()) {
            lose_unknown(&tx, &run.to_string(), entered)?;
        }
        tx.commit()?;
        Ok(true)
    }

    /// Notes which files belong together.
    fn note(&self, lock: &WriterLock) {
        let note = side_files::note(self.files.real(), self.files.files());
        if let Some(Err(error)) = note.map(|note| lock.note(&note)) {
            tracing::debug!(%error, "the files that belong together are not noted");
        }
    }

    /// Does what [`enter`](Self::enter) does if that is due: the run has no row yet, or
    /// another writer was killed in the meantime. A failure does not prevent recording,
    /// so the next call retries.
    pub(super) fn tend(&mut self, conn: &Connection) {
        if Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + RETRY;
        self.acquire(Duration::ZERO);
        let is_missing = self.lock.is_some() && !self.is_entered;
        if !is_missing && self.killed(conn).is_ok_and(|ids| ids.is_empty()) {
            self.rest();
        } else if let Err(error) = self.enter(conn, Duration::ZERO) {
            tracing::debug!(%error, "the runs of killed writers are not ended yet");
        }
    }

    /// Like [`tend`](Self::tend), regardless of when it was last called.
    pub(super) fn tend_now(&mut self, conn: &Connection) {
        self.due = Instant::now();
        self.tend(conn);
    }

    /// Enters the regular end of the run, with its last counters. The lock is still
    /// held: [`leave`](Self::leave) releases it once this is committed.
    pub(super) fn end(&self, conn: &Connection, accounts: &WriterStats) -> Result<()> {
        write(conn, &self.name, accounts, true)
    }

    /// Notes that the end is committed.
    pub(super) fn has_ended(&mut self) {
        self.is_entered = false;
    }

    /// Returns the lock, so that the writer can continue in another file.
    pub(super) fn into_lock(self) -> Option<WriterLock> {
        // Other files may get the numbers of its files now.
        if let Some(Err(error)) = self.lock.as_ref().map(|lock| lock.note("")) {
            tracing::debug!(%error, "the files that belonged together stay noted");
        }
        self.lock
    }

    /// Removes the proof that the run is alive.
    pub(super) fn leave(self) {
        if let Some(lock) = self.lock {
            lock.remove();
        }
    }

    /// Returns the other runs without an end whose writers are dead.
    fn killed(&self, conn: &Connection) -> Result<Vec<String>> {
        let mut open = conn
            .prepare_cached("SELECT id FROM writers WHERE ended_at IS NULL AND id <> ?1")?
            .query_map([&self.name], |row| row.get(0))?
            .collect::<Result<Vec<String>>>()?;
        open.retain(|id| {
            let id = id.parse();
            id.map_or(true, |id| writer_lock::is_free(self.files.real(), id))
        });
        Ok(open)
    }
}

/// Enters a run, or resumes the run of a writer that opens its file again. While
/// the file was closed, another writer may have treated the run as killed.
fn begin(conn: &Connection, id: &str, instance: Option<&str>) -> Result<()> {
    conn.execute(
        "DELETE FROM losses WHERE reason = 'unclean_shutdown' AND from_ts =
            (SELECT seen_at FROM writers WHERE id = ?1 AND ended_at IS NOT NULL)",
        [id],
    )?;
    conn.execute(
        "INSERT INTO writers (id, started_at, seen_at, instance) VALUES (?1, ?2, ?2, ?3)
         ON CONFLICT (id) DO UPDATE SET ended_at = NULL",
        params![id, clock::unix_ms(), instance],
    )
    .map(drop)
}

/// Updates the counters of a run to those of this commit.
pub(super) fn update_counters(conn: &Connection, id: &str, accounts: &WriterStats) -> Result<()> {
    write(conn, id, accounts, false)
}

fn write(conn: &Connection, id: &str, accounts: &WriterStats, ends: bool) -> Result<()> {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let counters = Stats::COLUMNS.iter().map(|name| format!(", {name} = ?"));
        let counters = counters.collect::<String>();
        format!(
            "UPDATE writers SET seen_at = ?2, ended_at = iif(?3, ?2, NULL){counters} WHERE id = ?1"
        )
    });
    let counters = accounts.stats.values().map(count);
    let own: [&dyn ToSql; 3] = [&id, &accounts.as_of, &ends];
    let values = own
        .into_iter()
        .chain(counters.iter().map(|value| value as &dyn ToSql));
    conn.prepare_cached(&SQL)?
        .execute(params_from_iter(values))
        .map(drop)
}

/// Returns the counters of all runs, added up.
pub(crate) fn total(conn: &Connection) -> Result<Stats> {
    let sums = Stats::COLUMNS.iter().map(|name| format!("total({name})"));
    let sql = format!("SELECT {} FROM writers", Vec::from_iter(sums).join(", "));
    conn.query_row(&sql, [], |row| {
        let mut values = [0; Stats::COLUMNS.len()];
        for (i, value) in values.iter_mut().enumerate() {
            // A number of another program may be negative; the conversion makes it 0.
            *value = row.get::<_, f64>(i)? as u64;
        }
        Ok(Stats::of(values))
    })
}

/// Ends a run whose writer was killed, with its last counters, and enters into
/// `losses` that an unknown number of events was not committed.
fn end_killed(conn: &Connection, id: &str) -> Result<()> {
    // The clock may have been set back since.
    conn.execute(
        "INSERT INTO losses (from_ts, to_ts, dropped, reason)
         SELECT seen_at, max(seen_at, ?2), NULL, 'unclean_shutdown' FROM writers WHERE id = ?1",
        params![id, clock::unix_ms()],
    )?;
    conn.execute("UPDATE writers SET ended_at = seen_at WHERE id = ?1", [id])
        .map(drop)
}

/// Enters that events of a run may be missing, unless the run is in `writers`.
fn lose_unknown(conn: &Connection, id: &str, entered: i64) -> Result<()> {
    conn.execute(
        "INSERT INTO losses (from_ts, to_ts, dropped, reason)
         SELECT min(?2, ?3), ?3, NULL, 'unclean_shutdown'
         WHERE NOT EXISTS (SELECT 1 FROM writers WHERE id = ?1)",
        params![id, entered, clock::unix_ms()],
    )
    .map(drop)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::db::files::Files;
    use crate::db::{SCHEMA_VERSION, SessionIdForm, migrate};

    struct File {
        dir: TempDir,
        conn: Connection,
    }

    impl File {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let conn = Connection::open(dir.path().join("mcp.db")).unwrap();
            migrate::migrate(&conn, 0, SCHEMA_VERSION).unwrap();
            Self { dir, conn }
        }

        fn run(&self, id: Uuid) -> Run {
            let path = self.dir.path().join("mcp.db");
            let files = Files::at(&path).unwrap();
            let writer = WriterIdentity {
                id,
                ..WriterIdentity::new(Some("here"), SessionIdForm::Plain, None)
            };
            Run::new(&writer, OpenFiles::new(&path, &path, files), None)
        }

        fn enter(&self, id: Uuid) -> Run {
            let mut run = self.run(id);
            run.enter(&self.conn, Duration::ZERO).unwrap();
            assert!(run.name().is_some());
            run
        }

        fn seen_at(&self, id: Uuid, ts: i64) {
            let seen = "UPDATE writers SET seen_at = ?2 WHERE id = ?1";
            self.conn.execute(seen, (id.to_string(), ts)).unwrap();
        }

        fn losses(&self) -> Vec<i64> {
            let mut losses = self
                .conn
                .prepare("SELECT from_ts FROM losses ORDER BY 1")
                .unwrap();
            let losses = losses.query_map([], |row| row.get(0)).unwrap();
            losses.collect::<Result<_>>().unwrap()
        }

        fn open_runs(&self) -> Vec<String> {
            let mut runs = self
                .conn
                .prepare("SELECT id FROM writers WHERE ended_at IS NULL ORDER BY id")
                .unwrap();
            let runs = runs.query_map([], |row| row.get(0)).unwrap();
            runs.collect::<Result<_>>().unwrap()
        }
    }

    #[test]
    fn run_treated_as_killed_is_no_loss_once_its_writer_opens_the_file_again() {
        let file = File::new();
        let [alive, killed, another] = [1, 2, 3].map(Uuid::from_u128);
        for (id, ts) in [(alive, 1), (killed, 2)] {
            drop(file.enter(id));
            file.seen_at(id, ts);
        }
        let _another = file.enter(another);
        assert_eq!(file.losses(), [1, 2]);
        let _alive = file.enter(alive);
        assert_eq!(file.losses(), [2]);
        assert_eq!(file.open_runs(), [alive.to_string(), another.to_string()]);
    }

    #[test]
    fn killed_run_is_a_loss_and_living_writers_are_not() {
        let file = File::new();
        let [first, killed, last] = [1, 2, 3].map(Uuid::from_u128);
        let mut first = file.enter(first);
        let run = file.enter(killed);
        file.seen_at(killed, 7);
        first.tend_now(&file.conn);
        assert_eq!(file.losses(), [0; 0], "its writer is alive");
        drop(run);
        let _last = file.enter(last);
        assert_eq!(file.losses(), [7]);
        assert_eq!(file.open_runs().len(), 2);
        first.tend_now(&file.conn);
        assert_eq!(file.losses(), [7], "it is entered once");
    }

    #[test]
    fn run_whose_lock_is_taken_is_entered_once_the_lock_is_free() {
        let file = File::new();
        let id = Uuid::from_u128(1);
        let database = file.dir.path().join("mcp.db");
        let other = WriterLock::acquire(&database, id, Duration::ZERO).unwrap();
        let mut run = file.run(id);
        run.enter(&file.conn, Duration::ZERO).unwrap();
        assert_eq!((run.name(), file.open_runs().len()), (None, 0));
        drop(other);
        run.tend_now(&file.conn);
        assert_eq!(file.open_runs(), [id.to_string()]);
    }

    #[test]
    fn run_that_ends_regularly_leaves_no_side_file() {
        let file = File::new();
        let run = file.enter(Uuid::from_u128(1));
        drop(file.enter(Uuid::from_u128(2)));
        let side_files = || {
            let names = std::fs::read_dir(file.dir.path()).unwrap();
            let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.filter(|name| name.contains("-lock")).count()
        };
        assert_eq!(side_files(), 2);
        run.leave();
        let last = file.enter(Uuid::from_u128(3));
        assert_eq!(side_files(), 1);
        last.leave();
        assert_eq!(side_files(), 0);
    }
}
