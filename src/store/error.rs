//! Why a store did not write everything in time.

use std::error::Error;
use std::fmt;

use super::Stats;

/// [`Store::flush`](crate::Store::flush) ran out of time.
///
/// The events stay queued. The writer thread writes them as soon as it can.
#[derive(Debug, Clone)]
pub struct FlushError {
    pub(super) queued: u64,
    pub(super) reason: Option<String>,
}

impl FlushError {
    /// Returns how many events were queued when the time was up.
    pub fn queued(&self) -> u64 {
        self.queued
    }

    /// Returns what keeps the writer thread from writing, if it is known.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "timed out with {} events still queued", self.queued)?;
        with_reason(f, self.reason())
    }
}

impl Error for FlushError {}

/// [`Store::shutdown`](crate::Store::shutdown) could not write everything in time.
#[derive(Debug, Clone)]
pub struct ShutdownError {
    // Boxed, because each counter makes it larger, and most shutdowns return no error.
    pub(super) stats: Box<Stats>,
    pub(super) lost: u64,
    pub(super) reason: Option<String>,
}

impl ShutdownError {
    /// Returns the statistics at the end of the timeout. The events that were given up
    /// are among the `dropped`. If any are `queued`, a writer thread that hangs in the
    /// operating system holds them.
    pub fn stats(&self) -> Stats {
        *self.stats
    }

    /// Returns how many events were given up.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Returns what kept the writer thread from writing, if it is known.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}

impl fmt::Display for ShutdownError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.stats.queued > 0 {
            let queued = self.stats.queued;
            write!(f, "the writer did not end in time, {queued} events queued")?;
        } else {
            let lost = self.lost;
            write!(f, "{lost} events could not be written in time")?;
        }
        with_reason(f, self.reason())
    }
}

impl Error for ShutdownError {}

fn with_reason(f: &mut fmt::Formatter<'_>, reason: Option<&str>) -> fmt::Result {
    match reason {
        Some(reason) => write!(f, ": {reason}"),
        None => Ok(()),
    }
}
