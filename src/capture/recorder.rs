//! What all services of one layer share.

use std::fmt;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use slab::Slab;

use super::config::Config;
use super::exchange::{Ending, Exchange};
use super::session::Sessions;
use crate::Store;
use crate::store::SettleOpen;

/// One recorded MCP server: where its rows go, and what is known of it.
pub(super) struct Recorder {
    pub(super) store: Store,
    pub(super) config: Config,
    pub(super) sessions: Sessions,
    open: Mutex<Slab<Weak<Exchange>>>,
}

impl Recorder {
    pub(super) fn new(store: Store, config: Config) -> Arc<Self> {
        let recorder = Arc::new(Self {
            store,
            config,
            sessions: Sessions::new(),
            open: Mutex::default(),
        });
        let weak: Weak<dyn SettleOpen> = Arc::downgrade(&recorder) as _;
        recorder.store.register(weak);
        recorder
    }

    /// Remembers an exchange until [`closed`](Self::closed).
    pub(super) fn opened(&self, exchange: Weak<Exchange>) -> usize {
        self.store.counters().in_flight.fetch_add(1, Relaxed);
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(exchange)
    }

    pub(super) fn closed(&self, slot: usize) {
        self.store.counters().in_flight.fetch_sub(1, Relaxed);
        self.open
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .try_remove(slot);
    }

    /// So many texts were longer than their bound.
    pub(super) fn count_truncated(&self, texts: usize) {
        if texts > 0 {
            self.store
                .counters()
                .truncated
                .fetch_add(texts as u64, Relaxed);
        }
    }

    /// A request passed of which too little is known for a row.
    pub(super) fn count_unidentified(&self) {
        self.store.counters().unidentified.fetch_add(1, Relaxed);
    }

    pub(super) fn skips(&self, method: &str) -> bool {
        self.config
            .skipped_methods
            .iter()
            .any(|skipped| **skipped == *method)
    }

    /// A URI as it is stored: without user name and password, and without its
    /// query where the layer is set so.
    pub(super) fn uri(&self, uri: &str) -> Box<str> {
        let mut kept = String::with_capacity(uri.len());
        let rest = match uri.split_once("://") {
            Some((scheme, rest)) => {
                let authority = rest.find(['/', '?', '#']).unwrap_or(rest.len());
                let host = rest[..authority].rfind('@').map_or(0, |at| at + 1);
                kept.push_str(scheme);
                kept.push_str("://");
                &rest[host..]
            }
            None => uri,
        };
        match rest.split_once('?') {
            Some((before, query)) if !self.config.target_query => {
                kept.push_str(before);
                if let Some(fragment) = query.find('#') {
                    kept.push_str(&query[fragment..]);
                }
            }
            _ => kept.push_str(rest),
        }
        kept.into_boxed_str()
    }
}

impl SettleOpen for Recorder {
    fn settle_open(&self) {
        let open: Vec<_> = {
            let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            open.iter()
                .filter_map(|(_, exchange)| exchange.upgrade())
                .collect()
        };
        for exchange in open {
            exchange.end(Ending::Shutdown);
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("store", &self.store)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}
