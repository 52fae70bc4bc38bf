//! Records what the crate logs.

use std::fmt::Write as _;
use std::sync::{Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// What the crate has logged, with its level.
pub(crate) static LOG: Mutex<Vec<(Level, String)>> = Mutex::new(Vec::new());

struct Log;

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("tower_mcp_store")
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        struct Text(String);
        impl Visit for Text {
            fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
                write!(self.0, "{value:?} ").unwrap();
            }
        }
        let mut text = Text(String::new());
        event.record(&mut text);
        LOG.lock()
            .unwrap()
            .push((*event.metadata().level(), text.0));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Log).unwrap());
}

/// Returns how many messages with all of `words` were logged.
pub(crate) fn logged(level: Level, words: &[&str]) -> usize {
    let log = LOG.lock().unwrap();
    log.iter()
        .filter(|(at, text)| *at == level && words.iter().all(|word| text.contains(word)))
        .count()
}
