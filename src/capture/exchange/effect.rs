//! What an exchange asks for: facts go in, effects come out.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::capture::listing::ListingAnswer;
use crate::capture::session::{DerivedSession, NamedSession, ServerInfo};
use crate::event::{RequestEvent, SessionEvent, TaskStatusEvent};
use crate::wire::JsonId;

/// What is to be done in the order given, once the exchange's lock is released.
///
/// The caller owns the list, and an exchange adds to it. The list has room for rows and
/// nearly always stays empty: to return it would copy that room for nothing.
pub(in crate::capture) type Effects = SmallVec<[Effect; 2]>;

/// One thing to be done; see [`Recorder::apply`](crate::capture::recorder::Recorder::apply).
#[derive(Debug)]
pub(in crate::capture) enum Effect {
    /// Hand over the row of a request, and before it that of its derived session.
    Row {
        row: RequestEvent,
        session: Option<Arc<DerivedSession>>,
    },
    /// Hand over the row of a derived session.
    Announce {
        session: Arc<DerivedSession>,
        server: Option<Box<ServerInfo>>,
    },
    /// Hand over the row of a session that an `initialize` began.
    Session {
        session: NamedSession,
        event: SessionEvent,
    },
    /// The response named the session of this exchange.
    SessionNamed(Arc<str>),
    /// The server does not know the session of this exchange.
    SessionNotFound(Arc<str>),
    /// The answer to a listing request passed.
    Listing(ListingAnswer),
    /// The exchange waits for a listing.
    AwaitsListing,
    /// The HTTP part is over, and answers may come elsewhere: keep the exchange, which
    /// holds this many bytes, for the grace time.
    Detach { bytes: usize },
    /// The server said what the status of a task is.
    TaskStatus(TaskStatusEvent),
    /// The exchange is over: forget it.
    Finished,
    /// The client cancelled a request of the session.
    Cancel {
        session: Arc<str>,
        request: JsonId,
        reason: Option<Box<str>>,
    },
}
