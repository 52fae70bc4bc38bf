//! Effects that an exchange returns: facts go in, effects come out.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::capture::listing::ListingAnswer;
use crate::capture::no_row::NoRow;
use crate::capture::session::{DerivedSession, NamedSession, ServerInfo};
use crate::event::{RequestEvent, SessionEvent, TaskStatusEvent};
use crate::wire::JsonId;

/// Effects to carry out once the exchange's lock is released: first those of the list,
/// then the rows, then the removal of the exchange.
///
/// The caller owns the lists, and an exchange adds to them. They have inline room and
/// nearly always stay empty, so returning them by value would copy that room for nothing.
#[derive(Debug, Default)]
pub(in crate::capture) struct Effects {
    pub(in crate::capture) list: SmallVec<[Effect; 1]>,
    pub(in crate::capture) rows: SmallVec<[Row; 1]>,
    /// Remove the exchange, which is over.
    pub(in crate::capture) finished: bool,
}

impl Effects {
    pub(in crate::capture) fn push(&mut self, effect: Effect) {
        self.list.push(effect);
    }

    pub(in crate::capture) fn is_empty(&self) -> bool {
        self.list.is_empty() && self.rows.is_empty() && !self.finished
    }
}

/// Hand over the row of a request. If its session is derived, hand over the row of the
/// session first.
#[derive(Debug)]
pub(in crate::capture) struct Row {
    pub(in crate::capture) event: RequestEvent,
    pub(in crate::capture) session: Option<Arc<DerivedSession>>,
}

/// One effect; see [`Recorder::apply`](crate::capture::recorder::Recorder::apply).
#[derive(Debug)]
pub(in crate::capture) enum Effect {
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
    /// Cancel a request of the session, because its client did.
    Cancel {
        session: Arc<str>,
        request: JsonId,
        reason: Option<Box<str>>,
    },
}
