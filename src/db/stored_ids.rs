use super::keyed_hash::KeyedHash;
use super::session_ids::SessionIds;

/// How a file stores ids of sessions and tasks, and callers.
#[derive(Clone, Copy)]
pub(super) struct StoredIds<'c> {
    pub(super) session_ids: &'c SessionIds,
    pub(super) keyed_hash: &'c KeyedHash,
}
