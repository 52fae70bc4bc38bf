//! What the writer thread can do now.

use super::super::StoreState;

/// The state of the store, and why it could not write at its end.
#[derive(Debug)]
pub(super) struct Condition {
    state: StoreState,
    /// What kept the writer thread from writing when it gave up its events.
    last_reason: Option<String>,
}

impl Condition {
    pub(super) fn new() -> Self {
        Self {
            state: StoreState::Opening,
            last_reason: None,
        }
    }

    pub(super) fn state(&self) -> &StoreState {
        &self.state
    }

    pub(super) fn set(&mut self, state: StoreState) {
        self.state = state;
    }

    /// Keeps the current [reason](Self::reason), which later states do not hold.
    pub(super) fn keep_reason(&mut self) {
        self.last_reason = self.reason();
    }

    /// Returns why the writer thread cannot write, or could not when it gave up.
    pub(super) fn reason(&self) -> Option<String> {
        match &self.state {
            StoreState::Failing { reason } => Some(reason.clone()),
            _ => self.last_reason.clone(),
        }
    }
}
