//! What somebody waits for.

use super::super::lane::{Command, Refusal, Undo};
use super::Writer;
use super::telling::Obstacle;
use crate::db::WriteError;

impl Writer {
    /// Serves those who wait now, if anybody does.
    pub(super) fn serve_waiting(&mut self) {
        if let Some(commands) = self.shared.queue.take_commands() {
            self.serve(commands);
        }
    }

    /// Does what somebody waits for, in one transaction, or says why not.
    ///
    /// While somebody else holds the file it is tried again for as long as
    /// anybody waits; no other failure is worth the wait.
    pub(super) fn serve(&mut self, mut commands: Vec<Box<dyn Command>>) {
        loop {
            commands.retain(|command| !command.is_abandoned());
            let refusal = match self.attempt_commands(&mut commands) {
                Ok(()) => {
                    for command in commands {
                        command.acknowledge();
                    }
                    self.keep_wal_short();
                    return;
                }
                Err(lock) if lock.is_lock && !self.shared.queue.is_overdue() => continue,
                Err(obstacle) => Refusal::Failed(obstacle.reason),
            };
            for command in commands {
                command.refuse(refusal.clone());
            }
            return;
        }
    }

    fn attempt_commands(&mut self, commands: &mut [Box<dyn Command>]) -> Result<(), Obstacle> {
        let Some(synchronous) = commands.iter().map(|command| command.synchronous()).max() else {
            return Ok(());
        };
        loop {
            let db = self.connection()?;
            let mut attempt = |undo: Undo| {
                let mut transaction = db.durable(synchronous)?;
                for command in commands.iter_mut() {
                    command.apply(&mut transaction, undo)?;
                }
                transaction.commit()
            };
            let done = match attempt(Undo::All) {
                Err(WriteError::Row(_)) => attempt(Undo::Each),
                done => done,
            };
            match done {
                // The next connection is to the file that is at the path now.
                Err(WriteError::Displaced) => {}
                done => return done.map_err(|error| self.failed_with(error)),
            }
        }
    }
}
