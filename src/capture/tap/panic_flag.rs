//! Distinguishes a panic in the inner service from a caller that left.

use crate::capture::exchange::HttpEnd;

/// A flag that is set while code of the inner service runs. A panic leaves it set.
/// A drop sees it, even if an outer layer catches the panic before anything is
/// dropped.
#[derive(Default)]
pub(in crate::capture) struct PanicFlag(bool);

impl PanicFlag {
    /// Runs code of the inner service. Inlined, because the code owns a whole request,
    /// and its result is a whole response or future: each call would copy them.
    #[inline(always)]
    pub(in crate::capture) fn run<T>(&mut self, code: impl FnOnce() -> T) -> T {
        self.0 = true;
        let value = code();
        self.0 = false;
        value
    }

    /// Returns the end of the HTTP part of an exchange that is dropped now.
    pub(in crate::capture) fn end_of_drop(&self) -> HttpEnd {
        match self.0 {
            true => HttpEnd::Panicked,
            false => HttpEnd::Dropped,
        }
    }
}
