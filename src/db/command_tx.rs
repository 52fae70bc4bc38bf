//! One transaction of commands.

use rusqlite::Transaction;

use super::WriteError;
use super::event_rows::{Changes, EventLogs, EventTx};
use super::pages::{self, Part};

/// An open transaction. It is rolled back unless it is committed.
pub(crate) struct CommandTx<'c> {
    pub(super) tx: Transaction<'c>,
    logs: &'c mut EventLogs,
    changes: Changes,
    /// Number of used pages of the file before the transaction.
    pages: i64,
}

impl<'c> CommandTx<'c> {
    pub(super) fn begin(
        tx: Transaction<'c>,
        logs: &'c mut EventLogs,
    ) -> Result<Self, rusqlite::Error> {
        logs.forget_if_others_wrote(&tx)?;
        Ok(Self {
            pages: pages::used_pages(&tx)?,
            tx,
            logs,
            changes: Changes::default(),
        })
    }

    /// Returns the events of SSE streams in this transaction.
    pub(super) fn events(&mut self) -> EventTx<'_> {
        EventTx {
            conn: &self.tx,
            logs: self.logs,
            changes: &mut self.changes,
        }
    }

    /// Returns how many rows were changed on this connection so far.
    pub(crate) fn changed_rows(&self) -> u64 {
        self.tx.total_changes()
    }

    /// Does `work`, and undoes all of it if SQLite refuses a part.
    pub(crate) fn all_or_nothing<T>(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<T, WriteError>,
    ) -> Result<T, WriteError> {
        let changes = self.changes.clone();
        self.tx.execute_batch("SAVEPOINT part")?;
        let done = work(self).map_err(|error| self.classify(error));
        if matches!(done, Err(WriteError::Row(_))) {
            self.changes = changes;
            self.logs.forget_rows();
            self.tx.execute_batch("ROLLBACK TO part")?;
        }
        if !matches!(done, Err(WriteError::Store(_))) {
            self.tx.execute_batch("RELEASE part")?;
        }
        done
    }

    /// Classifies an error. A user's trigger can refuse a row in a way that rolls back
    /// the whole transaction.
    pub(crate) fn classify(&self, error: WriteError) -> WriteError {
        match error {
            WriteError::Row(error) if self.tx.is_autocommit() => WriteError::Store(error),
            error => error,
        }
    }

    /// Commits everything. If that fails, the remembered state of the logs is dropped.
    /// The caller must drop it if it does not call this.
    pub(crate) fn commit(mut self) -> Result<(), WriteError> {
        self.events().settle()?;
        let more = pages::used_pages(&self.tx)?.saturating_sub(self.pages);
        Part::Resumption.grow(&self.tx, more)?;
        match self.tx.commit() {
            Ok(()) => {
                self.logs.keep();
                Ok(())
            }
            Err(error) => Err(WriteError::Store(error)),
        }
    }
}
