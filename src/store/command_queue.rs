//! The queue of commands, whose callers wait for the result.
//!
//! [`Store::record`] hands over an event and returns. [`Store::submit`] returns
//! when its command is committed or refused. Commands precede all events and wake
//! the writer thread at once. All waiting commands share one transaction of their
//! own, for three reasons: many callers share one commit, a telemetry row that
//! SQLite refuses does not affect them, and only this commit is synchronous if a
//! caller requests that.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Timeout;

use super::Store;
use crate::db::{Answer, Command, CommandTx, Synchronous, WriteError};

/// The most commands that wait, and the most bytes they take.
const COMMANDS: usize = 65_536;
const BYTES: usize = 64 << 20;

/// Why a command was not executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SubmitError {
    /// The store is shut down or shutting down.
    Closed,
    /// Too many commands are waiting.
    Full,
    /// It was not committed in time. It may still be committed.
    TimedOut(Duration),
    /// It cannot be written.
    Failed(String),
    /// There is no tokio runtime to wait in.
    NoRuntime,
    /// The runtime was built without timers.
    NoTimers,
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the store was shut down"),
            Self::Full => f.write_str("too much is waiting to be written"),
            Self::TimedOut(timeout) => write!(f, "the store did not answer in {timeout:?}"),
            Self::Failed(reason) => f.write_str(reason),
            Self::NoRuntime => f.write_str("not called from a tokio runtime"),
            Self::NoTimers => f.write_str("the tokio runtime has no timers (`enable_time`)"),
        }
    }
}

/// How to undo the executed part of a refused command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryMode {
    /// Roll back the transaction and begin it again.
    Transaction,
    /// Use a savepoint for each command. This takes time, and refusals are rare.
    Savepoints,
}

/// A [`Command`] and the caller that waits for it.
#[derive(Debug)]
pub(super) struct PendingCommand {
    command: Command,
    synchronous: Synchronous,
    result: Option<Result<Answer, SubmitError>>,
    reply: oneshot::Sender<Result<Answer, SubmitError>>,
}

impl PendingCommand {
    fn new(
        command: Command,
        synchronous: Synchronous,
        reply: oneshot::Sender<Result<Answer, SubmitError>>,
    ) -> Self {
        Self {
            command,
            synchronous,
            result: None,
            reply,
        }
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.command.size()
    }

    pub(super) fn synchronous(&self) -> Synchronous {
        self.synchronous
    }

    /// Returns whether the caller stopped waiting.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    /// Runs the command and keeps the result. Returns [`WriteError::Row`] if the
    /// command was refused after a part of it was executed, which only a rollback of
    /// the transaction undoes.
    pub(super) fn run(
        &mut self,
        tx: &mut CommandTx<'_>,
        mode: RetryMode,
    ) -> Result<(), WriteError> {
        let before = tx.changed_rows();
        let command = &self.command;
        let done = match mode {
            RetryMode::Transaction => tx.run(command).map_err(|error| tx.classify(error)),
            RetryMode::Savepoints => tx.all_or_nothing(|tx| tx.run(command)),
        };
        self.result = Some(match done {
            Err(error @ WriteError::Row(_))
                if mode == RetryMode::Savepoints || tx.changed_rows() == before =>
            {
                Err(SubmitError::Failed(error.to_string()))
            }
            done => Ok(done?),
        });
        Ok(())
    }

    /// Sends the caller the result of a committed command.
    pub(super) fn acknowledge(self) {
        if let Some(result) = self.result {
            // The caller may have stopped waiting.
            drop(self.reply.send(result));
        }
    }

    /// Sends the caller an error: the command was not committed.
    pub(super) fn refuse(self, error: SubmitError) {
        drop(self.reply.send(Err(error)));
    }
}

/// The waiting commands.
#[derive(Debug, Default)]
pub(super) struct CommandQueue {
    commands: Vec<PendingCommand>,
    bytes: usize,
}

impl CommandQueue {
    pub(super) fn push(&mut self, command: PendingCommand) -> Result<(), SubmitError> {
        let bytes = self.bytes.saturating_add(command.size());
        if self.commands.len() >= COMMANDS || bytes > BYTES {
            return Err(SubmitError::Full);
        }
        self.commands.push(command);
        self.bytes = bytes;
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// Takes all waiting commands, if there are any.
    pub(super) fn take(&mut self) -> Option<Vec<PendingCommand>> {
        self.bytes = 0;
        (!self.commands.is_empty()).then(|| std::mem::take(&mut self.commands))
    }
}

impl Store {
    /// Passes `command` to the writer thread, and waits until it is committed.
    pub(crate) fn submit(
        &self,
        command: Command,
        synchronous: Synchronous,
        timeout: Duration,
    ) -> impl Future<Output = Result<Answer, SubmitError>> + Send + use<> {
        let (reply, result) = oneshot::channel();
        let command = PendingCommand::new(command, synchronous, reply);
        // `within` comes first: if it fails, the command is not submitted.
        let submitted = within(timeout, result).and_then(|result| {
            self.shared().queue.submit(command)?;
            Ok(result)
        });
        async move {
            match submitted?.await {
                Ok(Ok(result)) => result,
                // The writer thread panicked, which dropped the command.
                Ok(Err(_)) => Err(SubmitError::Closed),
                Err(_) => Err(SubmitError::TimedOut(timeout)),
            }
        }
    }
}

/// Limits `work` to `timeout`.
pub(super) fn within<F: Future>(timeout: Duration, work: F) -> Result<Timeout<F>, SubmitError> {
    if Handle::try_current().is_err() {
        return Err(SubmitError::NoRuntime);
    }
    // Tokio offers no other check for timers than this panic.
    catch_unwind(AssertUnwindSafe(|| tokio::time::timeout(timeout, work)))
        .map_err(|_| SubmitError::NoTimers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(size: usize, reply: oneshot::Sender<Result<Answer, SubmitError>>) -> PendingCommand {
        let session_id = "x".repeat(size).into();
        PendingCommand::new(Command::Purge { session_id }, Synchronous::Normal, reply)
    }

    /// Makes a command whose caller has stopped waiting.
    fn abandoned(size: usize) -> PendingCommand {
        command(size, oneshot::channel().0)
    }

    #[test]
    fn queue_is_bounded_in_commands_and_in_bytes() {
        let mut queue = CommandQueue::default();
        for _ in 0..COMMANDS {
            queue.push(abandoned(0)).unwrap();
        }
        assert_eq!(queue.push(abandoned(0)), Err(SubmitError::Full));
        assert_eq!(queue.take().unwrap().len(), COMMANDS);
        assert!(queue.take().is_none());
        queue.push(abandoned(BYTES / 2)).unwrap();
        assert_eq!(queue.push(abandoned(BYTES / 2)), Err(SubmitError::Full));
        queue.push(abandoned(1)).unwrap();
        assert_eq!(queue.take().unwrap().len(), 2);
        queue.push(abandoned(BYTES / 2)).unwrap();
    }

    #[test]
    fn refused_command_answers_its_caller_and_abandoned_command_is_marked() {
        let (reply, mut result) = oneshot::channel();
        let waiting = command(0, reply);
        assert!(!waiting.is_abandoned());
        waiting.refuse(SubmitError::Closed);
        assert_eq!(result.try_recv().unwrap(), Err(SubmitError::Closed));
        assert!(abandoned(0).is_abandoned());
    }
}
