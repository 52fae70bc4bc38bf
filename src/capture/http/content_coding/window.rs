//! Bounds the memory of decoders.
//!
//! A few bytes can fill a window of megabytes, and a client can leave many bodies
//! unfinished. So all windows of the process share one bound.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::Undecodable;

/// The most that the windows of all bodies hold together, in bytes.
const TOTAL: u64 = 512 * 1024 * 1024;

/// The bytes that the windows of all bodies hold now.
static IN_USE: AtomicU64 = AtomicU64::new(0);

/// The last bytes of a body, which the codec keeps for references.
pub(super) struct Window {
    size: u64,
    /// The filled part, which is counted in `in_use`.
    held: u64,
    in_use: &'static AtomicU64,
}

impl Window {
    /// Makes a window of this size. Its memory is counted as it is filled.
    pub(super) fn new(size: u64) -> Self {
        Self {
            size,
            held: 0,
            in_use: &IN_USE,
        }
    }

    /// Notes how many bytes of the body are decoded. Fails if no memory is left.
    pub(super) fn fill(&mut self, decoded: u64) -> Result<(), Undecodable> {
        let more = decoded.min(self.size).saturating_sub(self.held);
        if more == 0 {
            return Ok(());
        }
        self.held += more;
        let before = self.in_use.fetch_add(more, Relaxed);
        if before + more > TOTAL {
            return Err(Undecodable);
        }
        Ok(())
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.in_use.fetch_sub(self.held, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_share_one_bound_and_return_their_memory() {
        static OURS: AtomicU64 = AtomicU64::new(0);
        let window = |size| Window {
            in_use: &OURS,
            ..Window::new(size)
        };
        let mut large = window(TOTAL);
        let mut small = window(100);
        assert!(large.fill(TOTAL - 150).is_ok());
        assert!(small.fill(60).is_ok());
        // It is never counted beyond its size.
        assert!(small.fill(1_000_000).is_ok());
        assert_eq!(OURS.load(Relaxed), TOTAL - 50);
        assert!(large.fill(TOTAL).is_err());
        drop(large);
        assert_eq!(OURS.load(Relaxed), 100);
        assert!(window(TOTAL).fill(TOTAL - 100).is_ok());
        drop(small);
        assert_eq!(OURS.load(Relaxed), 0);
    }
}
