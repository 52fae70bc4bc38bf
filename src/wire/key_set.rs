//! The set of the keys of one object.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

/// Collects keys as they arrive, each as its SHA-256, so the length of a key does
/// not matter.
#[derive(Default)]
pub(super) struct KeySet {
    digests: BTreeSet<[u8; 32]>,
    has_too_many: bool,
}

impl KeySet {
    /// The most keys that are collected; servers ask for fewer. An object with more
    /// keys has no digest.
    const MOST: usize = 64;

    /// Adds a key by its SHA-256, which is computed only if the set still needs it.
    pub(super) fn insert(&mut self, key: impl FnOnce() -> [u8; 32]) {
        if self.has_too_many {
            return;
        }
        self.digests.insert(key());
        if self.digests.len() > Self::MOST {
            self.digests.clear();
            self.has_too_many = true;
        }
    }

    /// Returns the SHA-256 of the sorted digests of the keys. `None` for no keys,
    /// because all empty sets would be equal, and for too many keys.
    ///
    /// All digests have one length and are sorted. So two different sets have the same
    /// digest only if SHA-256 collides.
    pub(super) fn digest(&self) -> Option<[u8; 32]> {
        if self.digests.is_empty() {
            return None;
        }
        let mut all = Sha256::default();
        self.digests.iter().for_each(|key| all.update(key));
        Some(all.finalize().into())
    }
}
