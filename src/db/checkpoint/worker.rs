//! The checkpoint thread.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{fmt, io};

use rusqlite::config::DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
use rusqlite::{Connection, InterruptHandle, OpenFlags};

use super::checkpoint;
use crate::db::files::OpenFiles;

const THREAD_NAME: &str = "mcp-store-checkpoint";

/// How often it tries to reach the end of the WAL while others keep writing.
const ATTEMPTS: usize = 8;

/// The pause between two interrupts of a checkpoint that has to end.
const POLL: Duration = Duration::from_millis(1);

/// The handle of the thread. Its drop waits until the thread has closed its
/// connection.
pub(super) struct Worker {
    /// Dropped to end the thread.
    begin: Option<Sender<()>>,
    /// The number of checkpointed pages of the WAL after each checkpoint.
    ended: Receiver<u32>,
    is_busy: bool,
    interrupt: Arc<OnceLock<InterruptHandle>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(super) fn start(files: OpenFiles) -> io::Result<Self> {
        let (begin, begun) = channel();
        let (end, ended) = channel();
        let interrupt = Arc::<OnceLock<_>>::default();
        let handle = Arc::clone(&interrupt);
        let thread = thread::Builder::new().name(THREAD_NAME.to_owned());
        let thread = thread.spawn(move || work(&files, &begun, &end, &handle))?;
        Ok(Self {
            begin: Some(begin),
            ended,
            is_busy: false,
            interrupt,
            thread: Some(thread),
        })
    }

    /// Starts a checkpoint, if none is running; `false` if the thread could not open
    /// the file.
    pub(super) fn begin(&mut self) -> bool {
        let begin = || self.begin.as_ref().is_some_and(|it| it.send(()).is_ok());
        self.is_busy = self.is_busy || begin();
        self.is_busy
    }

    /// Returns the number of checkpointed pages of the WAL, if a checkpoint has ended.
    pub(super) fn ended(&mut self, patience: Duration) -> Option<u32> {
        if !self.is_busy {
            return None;
        }
        let ended = self.ended.recv_timeout(patience);
        self.is_busy = matches!(ended, Err(RecvTimeoutError::Timeout));
        ended.ok()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.begin = None;
        let Some(thread) = self.thread.take() else {
            return;
        };
        while !thread.is_finished() {
            // It interrupts repeatedly, because SQLite ignores an interrupt just before a
            // checkpoint.
            if let Some(interrupt) = self.interrupt.get() {
                interrupt.interrupt();
            }
            thread::sleep(POLL);
        }
        drop(thread.join());
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker")
            .field("is_busy", &self.is_busy)
            .finish_non_exhaustive()
    }
}

fn work(
    files: &OpenFiles,
    begun: &Receiver<()>,
    end: &Sender<u32>,
    interrupt: &OnceLock<InterruptHandle>,
) {
    let conn = match connect(files) {
        Ok(Some(conn)) => conn,
        Ok(None) => return,
        Err(error) => {
            tracing::debug!(%error, "the thread for checkpoints cannot open the file");
            return;
        }
    };
    drop(interrupt.set(conn.get_interrupt_handle()));
    while begun.recv().is_ok() {
        if end.send(bring_home(&conn)).is_err() {
            return;
        }
    }
}

/// Connects; `None` if the names lead to other files than the writer's.
fn connect(files: &OpenFiles) -> rusqlite::Result<Option<Connection>> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(files.real(), flags)?;
    // Not `busy_timeout`, which needs SQLite 3.44.
    conn.pragma_update(None, "busy_timeout", 0)?;
    // The writer checkpoints on close, because it closes last.
    conn.set_db_config(SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // This opens the WAL. A checkpoint of other files than the writer's would mix them.
    conn.pragma_query_value(None, "schema_version", |_| Ok(()))?;
    Ok(files.are_here().then_some(conn))
}

/// Checkpoints several times: each attempt copies what was written during the
/// previous one. An attempt during which no program writes also syncs the file, so
/// that the writer does not have to.
fn bring_home(conn: &Connection) -> u32 {
    let mut home = 0;
    for _ in 0..ATTEMPTS {
        match checkpoint(conn) {
            Some(now) if now != home => home = now,
            _ => break,
        }
    }
    home
}
