//! The entries of the queue.

use crate::db::SeenListing;
use crate::event::{ListingPage, StoreEvent};

/// One unit of work for the writer thread.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are events, which are not worth an allocation each"
)]
pub(crate) enum Entry {
    Event(StoreEvent),
    /// A page of a listing, not parsed yet.
    Page(Box<ListingPage>),
    /// A page that the writer thread has parsed: the complete listing if it was the
    /// last page, or nothing to write.
    Listing(Option<Box<SeenListing>>),
}

impl Entry {
    /// Returns about how much memory it holds, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Event(event) => event.size(),
            Self::Page(page) => {
                size_of::<Self>() + size_of::<ListingPage>() + page.result.capacity()
            }
            Self::Listing(_) => size_of::<Self>(),
        }
    }

    /// See [`StoreEvent::is_structural`].
    pub(super) fn is_structural(&self) -> bool {
        match self {
            Self::Event(event) => event.is_structural(),
            Self::Page(_) | Self::Listing(_) => true,
        }
    }
}

impl From<StoreEvent> for Entry {
    fn from(event: StoreEvent) -> Self {
        Self::Event(event)
    }
}

impl From<ListingPage> for Entry {
    fn from(page: ListingPage) -> Self {
        Self::Page(Box::new(page))
    }
}
