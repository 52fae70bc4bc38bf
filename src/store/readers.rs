//! Connections for reading, each used by one caller at a time.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::task;

use super::Store;
use super::command_queue::{SubmitError, within};
use crate::db::{Command, Reader, Synchronous};

/// The most callers that read at once.
const READERS: usize = 4;

/// Read-only connections, opened on demand.
#[derive(Debug)]
pub(super) struct Readers {
    permits: Arc<Semaphore>,
    /// The connections that are not in use; `None` once the store is closed.
    idle: Mutex<Option<Vec<Reader>>>,
}

impl Default for Readers {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(READERS)),
            idle: Mutex::new(Some(Vec::new())),
        }
    }
}

impl Readers {
    /// The lock is held only to move connections.
    fn idle(&self) -> MutexGuard<'_, Option<Vec<Reader>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the idle connections now, and the others after their use. The writer
    /// thread is then the last to close the file, and its close runs the final
    /// checkpoint.
    pub(super) fn close(&self) {
        let idle = self.idle().take();
        drop(idle);
    }

    /// Closes the idle connections, so that the writer thread can close the file.
    pub(super) fn let_go(&self) {
        let idle = self.idle().as_mut().map(std::mem::take);
        drop(idle);
    }

    fn take(&self) -> Result<Option<Reader>, SubmitError> {
        let mut idle = self.idle();
        let idle = idle.as_mut().ok_or(SubmitError::Closed)?;
        Ok(idle.pop())
    }

    fn give_back(&self, reader: Reader) {
        if reader.is_replaced() {
            return;
        }
        if let Some(idle) = &mut *self.idle() {
            idle.push(reader);
        }
    }
}

impl Store {
    /// Opens the file at the path. If that fails, the file may have been moved since
    /// the last event, so the writer thread checks that first. Blocks the thread.
    fn open_reader(&self, timeout: Duration) -> Result<Reader, SubmitError> {
        if let Ok(reader) = Reader::open(self.path()) {
            return Ok(reader);
        }
        let check = self.submit(Command::CheckFiles, Synchronous::Normal, timeout);
        Handle::current().block_on(check)?;
        Reader::open(self.path()).map_err(SubmitError::Failed)
    }

    /// Runs a read on one of the runtime's blocking threads.
    pub(crate) async fn read<T, E>(
        &self,
        timeout: Duration,
        read: impl FnOnce(&Reader) -> Result<T, E> + Send + 'static,
    ) -> Result<T, SubmitError>
    where
        T: Send + 'static,
        E: std::fmt::Display,
    {
        let store = self.clone();
        let reading = async {
            let readers = &self.shared().readers;
            let permit = Arc::clone(&readers.permits).acquire_owned().await;
            let permit = permit.map_err(|_| SubmitError::Closed)?;
            let blocking = move || {
                let _permit = permit;
                let readers = &store.shared().readers;
                let reader = match readers.take()?.filter(|reader| !reader.is_replaced()) {
                    Some(reader) => reader,
                    None => store.open_reader(timeout)?,
                };
                let result =
                    read(&reader).map_err(|error| SubmitError::Failed(error.to_string()))?;
                readers.give_back(reader);
                Ok(result)
            };
            match task::spawn_blocking(blocking).await {
                Ok(result) => result,
                Err(error) => Err(SubmitError::Failed(error.to_string())),
            }
        };
        match within(timeout, reading)?.await {
            Ok(result) => result,
            Err(_) => Err(SubmitError::TimedOut(timeout)),
        }
    }
}
