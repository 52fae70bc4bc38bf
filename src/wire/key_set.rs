//! The set of the keys of one object.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

/// Takes keys while they come, each as its SHA-256: so their length does not matter.
#[derive(Default)]
pub(super) struct KeySet {
    digests: BTreeSet<[u8; 32]>,
    has_too_many: bool,
}

impl KeySet {
    /// More keys than a server asks for. An object with more has no digest.
    const MOST: usize = 64;

    /// Takes the SHA-256 of a key, which is worked out while it is of use.
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

    /// Returns the SHA-256 of the keys' digests in their order, or `None` if
    /// there are no keys, which would make all empty sets equal, or too many.
    ///
    /// Digests of one length in one order: two sets with one digest are a
    /// collision of SHA-256.
    pub(super) fn digest(&self) -> Option<[u8; 32]> {
        if self.digests.is_empty() {
            return None;
        }
        let mut all = Sha256::default();
        self.digests.iter().for_each(|key| all.update(key));
        Some(all.finalize().into())
    }
}
