//! The hook of [`StoreBuilder::on_recorded`](super::super::StoreBuilder::on_recorded).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::super::entry::Entry;
use super::super::queue::Chunk;
use super::transaction::{Rejected, events};
use crate::event::{RequestEvent, StoreEvent};

/// The function that an application sets.
pub(in crate::store) type Hook = Box<dyn FnMut(&RequestEvent) + Send>;

/// The hook, if there is one.
pub(super) struct RecordedHook {
    hook: Option<Hook>,
    /// The hook panicked and is not called again.
    has_panicked: bool,
}

impl RecordedHook {
    pub(super) fn new(hook: Option<Hook>) -> Self {
        Self {
            hook,
            has_panicked: false,
        }
    }

    /// Calls the hook with every request of the batch that is now in the file.
    pub(super) fn call(&mut self, batch: &[Chunk], rejected: &Rejected) {
        let Some(hook) = self.hook.as_mut().filter(|_| !self.has_panicked) else {
            return;
        };
        let mut places = rejected.places.iter().copied().peekable();
        for (place, event) in events(batch).enumerate() {
            if places.next_if_eq(&place).is_some() {
                continue;
            }
            let Entry::Event(StoreEvent::Request(request)) = event else {
                continue;
            };
            if let Err(panic) = catch_unwind(AssertUnwindSafe(|| hook(request))) {
                let message = panic_message(&*panic);
                tracing::error!("the on_recorded hook panicked and is not called again: {message}");
                self.has_panicked = true;
                return;
            }
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
