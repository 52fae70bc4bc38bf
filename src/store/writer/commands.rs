//! The commands that callers wait for.

use super::super::command_queue::{PendingCommand, RetryMode, SubmitError};
use super::Writer;
use super::diagnostics::WriteFailure;
use crate::db::WriteError;

impl Writer {
    /// Runs the waiting commands, if there are any.
    pub(super) fn serve_waiting(&mut self) {
        if let Some(commands) = self.shared.queue.take_commands() {
            self.serve(commands);
        }
    }

    /// Runs commands in one transaction and sends their callers the results.
    ///
    /// While another connection holds the lock, the writer thread retries for as long
    /// as a caller waits. It does not retry after other failures.
    pub(super) fn serve(&mut self, mut commands: Vec<PendingCommand>) {
        loop {
            commands.retain(|command| !command.is_abandoned());
            let error = match self.attempt_commands(&mut commands) {
                Ok(()) => {
                    for command in commands {
                        command.acknowledge();
                    }
                    self.keep_wal_short();
                    return;
                }
                Err(lock) if lock.is_lock && !self.shared.queue.is_overdue() => continue,
                Err(obstacle) => SubmitError::Failed(obstacle.reason),
            };
            for command in commands {
                command.refuse(error.clone());
            }
            return;
        }
    }

    fn attempt_commands(&mut self, commands: &mut [PendingCommand]) -> Result<(), WriteFailure> {
        let Some(synchronous) = commands.iter().map(|command| command.synchronous()).max() else {
            return Ok(());
        };
        loop {
            let db = self.connection()?;
            let mut attempt = |mode: RetryMode| {
                let mut transaction = db.begin_commands(synchronous)?;
                for command in commands.iter_mut() {
                    command.run(&mut transaction, mode)?;
                }
                transaction.commit()
            };
            let done = match attempt(RetryMode::Transaction) {
                Err(WriteError::Row(_)) => attempt(RetryMode::Savepoints),
                done => done,
            };
            match done {
                // The next connection opens the file that is at the path now.
                Err(WriteError::Replaced) => {}
                done => return done.map_err(|error| self.failed_with(error)),
            }
        }
    }
}
