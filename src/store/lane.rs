//! The lane of what somebody waits for.
//!
//! An event of telemetry is handed over and forgotten. A [`Command`] is awaited:
//! whoever submits it hears when it is committed, or that it will not be. It
//! goes before all events, wakes the writer at once, and gets a transaction of
//! its own, with all the others that wait by then: so many callers share one
//! commit, a row of telemetry that SQLite refuses is nothing to them, and that
//! commit alone is synchronous where that is asked for.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Timeout;

use super::Store;
use crate::db::{Durable, Synchronous, WriteError};

/// How much the lane holds at most.
const COMMANDS: usize = 65_536;
const BYTES: usize = 64 << 20;

/// What the writer can be asked to do.
pub(crate) trait Action: Send + 'static {
    type Output: Send + 'static;

    /// Does it. Done again if the transaction has to be begun again.
    fn apply(&self, tx: &mut Durable<'_>) -> Result<Self::Output, WriteError>;

    /// About how much memory it takes, in bytes, beside itself.
    fn size(&self) -> usize;

    fn synchronous(&self) -> Synchronous;
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The store is or was being shut down.
    Closed,
    /// Too many wait already.
    Full,
    /// It was not committed in time. It may still be.
    TimedOut(Duration),
    /// It cannot be written.
    Failed(String),
    /// There is no tokio runtime to wait in.
    NoRuntime,
    /// The runtime was built without timers.
    NoTimers,
}

impl fmt::Display for Refusal {
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

/// What takes back the part that was done of something that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Undo {
    /// The transaction is begun again.
    All,
    /// A savepoint for each command. It has its price, and refusals are rare.
    Each,
}

/// An [`Action`] and whoever waits for it.
pub(super) trait Command: Send {
    fn size(&self) -> usize;

    fn synchronous(&self) -> Synchronous;

    /// Whether nobody waits any more, so that nobody would hear of it.
    fn is_abandoned(&self) -> bool;

    /// Does it, and remembers how that went. Gives [`WriteError::Row`] if it was
    /// refused after a part of it was done, which only the end of the whole
    /// transaction undoes.
    fn apply(&mut self, tx: &mut Durable<'_>, undo: Undo) -> Result<(), WriteError>;

    /// It is committed: tells how it went.
    fn acknowledge(self: Box<Self>);

    /// It is not committed.
    fn refuse(self: Box<Self>, refusal: Refusal);
}

impl fmt::Debug for dyn Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command").finish_non_exhaustive()
    }
}

struct Awaited<A: Action> {
    action: A,
    result: Option<Result<A::Output, Refusal>>,
    reply: oneshot::Sender<Result<A::Output, Refusal>>,
}

impl<A: Action> Command for Awaited<A> {
    fn size(&self) -> usize {
        size_of::<Self>() + self.action.size()
    }

    fn synchronous(&self) -> Synchronous {
        self.action.synchronous()
    }

    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn apply(&mut self, tx: &mut Durable<'_>, undo: Undo) -> Result<(), WriteError> {
        let before = tx.changed_rows();
        let action = &self.action;
        let done = match undo {
            Undo::All => action.apply(tx).map_err(|error| tx.judged(error)),
            Undo::Each => tx.all_or_nothing(|tx| action.apply(tx)),
        };
        self.result = Some(match done {
            Err(error @ WriteError::Row(_))
                if undo == Undo::Each || tx.changed_rows() == before =>
            {
                Err(Refusal::Failed(error.to_string()))
            }
            done => Ok(done?),
        });
        Ok(())
    }

    fn acknowledge(self: Box<Self>) {
        if let Some(result) = self.result {
            // Whoever asked may have left.
            drop(self.reply.send(result));
        }
    }

    fn refuse(self: Box<Self>, refusal: Refusal) {
        drop(self.reply.send(Err(refusal)));
    }
}

/// The commands that wait.
#[derive(Debug, Default)]
pub(super) struct Lane {
    commands: Vec<Box<dyn Command>>,
    bytes: usize,
}

impl Lane {
    pub(super) fn push(&mut self, command: Box<dyn Command>) -> Result<(), Refusal> {
        let bytes = self.bytes.saturating_add(command.size());
        if self.commands.len() >= COMMANDS || bytes > BYTES {
            return Err(Refusal::Full);
        }
        self.commands.push(command);
        self.bytes = bytes;
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }

    /// All of them, if there are any.
    pub(super) fn take(&mut self) -> Option<Vec<Box<dyn Command>>> {
        self.bytes = 0;
        (!self.commands.is_empty()).then(|| std::mem::take(&mut self.commands))
    }
}

impl Store {
    /// Has the writer do this, and waits until it is committed.
    pub(crate) fn submit<A: Action>(
        &self,
        action: A,
        timeout: Duration,
    ) -> impl Future<Output = Result<A::Output, Refusal>> + Send {
        let (reply, result) = oneshot::channel();
        let command = Awaited {
            action,
            result: None,
            reply,
        };
        // Before it is submitted: what is an error here is not done.
        let submitted = within(timeout, result).and_then(|result| {
            self.shared().queue.submit(Box::new(command))?;
            Ok(result)
        });
        async move {
            match submitted?.await {
                Ok(Ok(result)) => result,
                // The writer let go of the command without a word: it panicked.
                Ok(Err(_)) => Err(Refusal::Closed),
                Err(_) => Err(Refusal::TimedOut(timeout)),
            }
        }
    }
}

/// Has `work` take no longer than `timeout`.
pub(super) fn within<F: Future>(timeout: Duration, work: F) -> Result<Timeout<F>, Refusal> {
    if Handle::try_current().is_err() {
        return Err(Refusal::NoRuntime);
    }
    // The one way to ask a runtime for its timers; the panic is nobody's here.
    catch_unwind(AssertUnwindSafe(|| tokio::time::timeout(timeout, work)))
        .map_err(|_| Refusal::NoTimers)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing {
        size: usize,
    }

    impl Action for Nothing {
        type Output = ();

        fn apply(&self, _: &mut Durable<'_>) -> Result<(), WriteError> {
            Ok(())
        }

        fn size(&self) -> usize {
            self.size
        }

        fn synchronous(&self) -> Synchronous {
            Synchronous::Normal
        }
    }

    /// A command for which nobody waits.
    fn command(size: usize) -> Box<dyn Command> {
        Box::new(Awaited {
            action: Nothing { size },
            result: None,
            reply: oneshot::channel().0,
        })
    }

    #[test]
    fn the_lane_is_bounded_in_commands_and_in_bytes() {
        let mut lane = Lane::default();
        for _ in 0..COMMANDS {
            lane.push(command(0)).unwrap();
        }
        assert_eq!(lane.push(command(0)), Err(Refusal::Full));
        assert_eq!(lane.take().unwrap().len(), COMMANDS);
        assert!(lane.take().is_none());
        lane.push(command(BYTES / 2)).unwrap();
        assert_eq!(lane.push(command(BYTES / 2)), Err(Refusal::Full));
        assert_eq!(lane.push(command(usize::MAX / 2)), Err(Refusal::Full));
        lane.push(command(1)).unwrap();
        assert_eq!(lane.take().unwrap().len(), 2);
        lane.push(command(BYTES / 2)).unwrap();
    }

    #[test]
    fn a_command_that_is_refused_or_forgotten_says_so() {
        let (reply, mut result) = oneshot::channel();
        let action = Nothing { size: 0 };
        let awaited = Awaited {
            action,
            result: None,
            reply,
        };
        assert!(!awaited.is_abandoned());
        Box::new(awaited).refuse(Refusal::Closed);
        assert_eq!(result.try_recv().unwrap(), Err(Refusal::Closed));
        assert!(command(0).is_abandoned());
    }
}
