//! Effects that an exchange returns: facts go in, effects come out.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::capture::listing::ListingAnswer;
use crate::capture::no_row::NoRow;
use crate::capture::session::{DerivedSession, NamedSession, ServerInfo};
use crate::event::{RequestEvent, SessionEvent, TaskStatusEvent};
use crate::wire::JsonId;

/// Effects to carry out in this order, once the exchange's lock is released.
///
/// The caller owns the list, and an exchange adds to it. The list has inline room
/// for rows and nearly always stays empty, so returning it by value would copy that
/// room for nothing.
pub(in crate::capture) type Effects = SmallVec<[Effect; 2]>;

/// One effect; see [`Recorder::apply`](crate::capture::recorder::Recorder::apply).
#[derive(Debug)]
pub(in crate::capture) enum Effect {
    /// Hand over the row of a request. If its session is derived, hand over the row of
    /// the session first.
    Row {
        row: RequestEvent,
        session: Option<Arc<DerivedSession>>,
    },
    /// Count a request that gets no row, and log why.
    NoRow(NoRow),
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
    /// Enter the exchange under this session, which its response named.
    SessionNamed(Arc<str>),
    /// Close this session, which the server does not know.
    SessionNotFound(Arc<str>),
    /// Record the answer to a listing request.
    Listing(ListingAnswer),
    /// Note that the exchange waits for a listing.
    AwaitsListing,
    /// Keep the exchange, which holds this many bytes, for the grace time: its HTTP
    /// part is over, and answers may come elsewhere.
    Detach { bytes: usize },
    /// Record the status of a task, which the server reported.
    TaskStatus(TaskStatusEvent),
    /// Remove the exchange, which is over.
    Finished,
    /// Cancel a request of the session, because its client did.
    Cancel {
        session: Arc<str>,
        request: JsonId,
        reason: Option<Box<str>>,
    },
}
