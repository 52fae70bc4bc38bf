//! Commands: changes that a caller requests and waits for.

use super::WriteError;
use super::command_tx::CommandTx;
#[cfg(feature = "rmcp")]
use super::event_rows::StreamToken;
use super::event_rows::{EventBounds, EventRow, LogKind};
use super::session_rows::{self, SessionRow};
use crate::clock;

/// A change that a caller waits for. It may run more than once if its transaction
/// is begun again.
#[derive(Debug)]
pub(crate) enum Command {
    /// Adds an event to a session.
    AppendEvent {
        session_id: Box<str>,
        id: i64,
        event: EventRow,
        bounds: EventBounds,
    },
    /// Adds an event to a stream, and assigns an id to it.
    #[cfg(feature = "rmcp")]
    AppendToStream {
        stream_id: Box<str>,
        token: StreamToken,
        event: EventRow,
        bounds: EventBounds,
    },
    /// Removes the events of a session.
    Purge { session_id: Box<str> },
    /// Adds the record of a session, unless there is one.
    CreateSession(SessionRow),
    /// Adds or replaces the record of a session.
    Save(SessionRow),
    /// Extends the expiry of a session's record.
    Prolong(SessionRow),
    /// Removes the record of a session.
    Delete { sdk: Box<str>, session_id: Box<str> },
    /// Changes nothing. Before each transaction the writer thread compares its files
    /// with the files at the path, and opens those if they differ.
    CheckFiles,
}

/// The result of a [`Command`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The command is done and has no further result.
    Done,
    /// Whether the command found its row. If not, it changed nothing.
    Applied(bool),
    /// The stream's token, and the id of the event.
    #[cfg(feature = "rmcp")]
    Appended { stream: StreamToken, id: i64 },
}

impl Answer {
    /// Returns whether the command changed something.
    pub(crate) fn is_applied(&self) -> bool {
        *self != Self::Applied(false)
    }
}

impl Command {
    /// Returns about how many bytes of memory the command takes on the heap.
    pub(crate) fn size(&self) -> usize {
        match self {
            Self::AppendEvent {
                session_id, event, ..
            } => session_id.len() + event.data.len(),
            #[cfg(feature = "rmcp")]
            Self::AppendToStream {
                stream_id, event, ..
            } => stream_id.len() + event.data.len(),
            Self::Purge { session_id } => session_id.len(),
            Self::CreateSession(row) | Self::Save(row) | Self::Prolong(row) => {
                row.sdk.len() + row.session_id.len() + row.data.len()
            }
            Self::Delete { sdk, session_id } => sdk.len() + session_id.len(),
            Self::CheckFiles => 0,
        }
    }
}

impl CommandTx<'_> {
    /// Executes `command`.
    pub(crate) fn run(&mut self, command: &Command) -> Result<Answer, WriteError> {
        let done = |()| Answer::Done;
        match command {
            Command::AppendEvent {
                session_id,
                id,
                event,
                bounds,
            } => {
                let mut events = self.events();
                events
                    .append_to_session(session_id, *id, event, *bounds)
                    .map(done)
            }
            #[cfg(feature = "rmcp")]
            Command::AppendToStream {
                stream_id,
                token,
                event,
                bounds,
            } => {
                let mut events = self.events();
                let (stream, id) = events.append_to_stream(stream_id, *token, event, *bounds)?;
                Ok(Answer::Appended { stream, id })
            }
            Command::Purge { session_id } => {
                self.events().purge(LogKind::Session, session_id).map(done)
            }
            Command::CreateSession(row) => {
                let created = session_rows::create(&self.tx, row, clock::unix_ms())?;
                Ok(Answer::Applied(created))
            }
            Command::Save(row) => {
                session_rows::save(&self.tx, row, clock::unix_ms())?;
                Ok(Answer::Done)
            }
            Command::Prolong(row) => {
                let prolonged = session_rows::prolong(&self.tx, row, clock::unix_ms())?;
                Ok(Answer::Applied(prolonged))
            }
            Command::Delete { sdk, session_id } => {
                session_rows::delete(&self.tx, sdk, session_id)?;
                Ok(Answer::Done)
            }
            Command::CheckFiles => Ok(Answer::Done),
        }
    }
}
