//! The copy of a document that may hold a listing.

use std::ops::Range;

use super::ListingResult;
use crate::capture::context::Context;
use crate::event::MemoryReservation;

/// A copy of the bytes of a document, made as they pass.
pub(in crate::capture) struct Document {
    /// Where in the document the copy begins.
    start: u64,
    bytes: Vec<u8>,
    limit: usize,
    /// `None` once the copy was dropped, because it became too long or no memory was left.
    reservation: Option<MemoryReservation>,
}

impl Document {
    /// Copies the next bytes of a document, whose offset is `offset`.
    pub(in crate::capture) fn read(
        copy: &mut Option<Self>,
        cx: &Context,
        offset: u64,
        data: &[u8],
    ) {
        let copy = copy.get_or_insert_with(|| Self {
            start: offset,
            bytes: Vec::new(),
            // The envelope around the result is not part of the listing.
            limit: cx.config.listing_bytes.saturating_add(1024),
            reservation: Some(MemoryReservation::new(&cx.counters().listing_bytes)),
        });
        let Some(reservation) = &mut copy.reservation else {
            return;
        };
        let len = copy.bytes.len() + data.len();
        let more = match len <= copy.bytes.capacity() {
            true => 0,
            // The copy doubles like a vector, but never beyond the limit.
            false => len.max(2 * copy.bytes.len()).min(copy.limit) - copy.bytes.capacity(),
        };
        if len > copy.limit || !reservation.take(more, copy.limit) {
            copy.bytes = Vec::new();
            copy.reservation = None;
            return;
        }
        let capacity = copy.bytes.capacity() + more;
        copy.bytes.reserve_exact(capacity - copy.bytes.len());
        copy.bytes.extend_from_slice(data);
    }

    pub(super) fn slice(&self, span: &Range<u64>) -> Option<&[u8]> {
        let start = usize::try_from(span.start.checked_sub(self.start)?).ok()?;
        let end = usize::try_from(span.end.checked_sub(self.start)?).ok()?;
        self.reservation.as_ref().and(self.bytes.get(start..end))
    }

    /// Returns the bytes of a result and the reservation for them; `None` if there is
    /// no room. If the message stands alone, its copy is moved instead of cloned.
    pub(super) fn take(&mut self, found: &ListingResult) -> Option<(Vec<u8>, MemoryReservation)> {
        let result = self.slice(&found.span)?;
        if found.in_batch {
            let mut reservation = self.reservation.as_ref()?.another();
            let room = reservation.take(result.len(), self.limit);
            return room.then(|| (result.to_vec(), reservation));
        }
        let len = result.len();
        let start = usize::try_from(found.span.start.checked_sub(self.start)?).ok()?;
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.drain(..start);
        bytes.truncate(len);
        Some((bytes, self.reservation.take()?))
    }
}
