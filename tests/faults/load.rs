//! A steady stream of events, whatever happens to the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tower_mcp_store::{Stats, Store, StoreEvent};

use crate::support::request;

/// How many batches of events arrive each second.
const BUNCHES: u64 = 100;

/// A thread that records `rate` requests each second.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Traffic>,
}

/// What a [`Load`] recorded, and the longest that one batch took.
#[derive(Debug)]
pub(crate) struct Traffic {
    pub(crate) recorded: u64,
    pub(crate) slowest: Duration,
}

impl Load {
    pub(crate) fn start(store: &Store, rate: u64) -> Self {
        let (store, stop) = (store.clone(), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut traffic = Traffic {
                recorded: 0,
                slowest: Duration::ZERO,
            };
            let start = Instant::now();
            for bunch in 1.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                for _ in 0..rate / BUNCHES {
                    let event = StoreEvent::Request(request());
                    let before = Instant::now();
                    store.record(event);
                    traffic.slowest = traffic.slowest.max(before.elapsed());
                    traffic.recorded += 1;
                }
                let next = start + Duration::from_secs(1) * bunch / BUNCHES as u32;
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            traffic
        });
        Self { stop, thread }
    }

    pub(crate) fn stop(self) -> Traffic {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Traffic {
    /// Asserts that recording never blocked and that every event is in the file.
    #[track_caller]
    pub(crate) fn assert_unharmed(&self, stats: Stats) {
        println!(
            "{} recorded, slowest {:?}; {stats}",
            self.recorded, self.slowest
        );
        assert_eq!(
            (stats.submitted, stats.written, stats.dropped),
            (self.recorded, self.recorded, 0),
            "{stats}"
        );
        self.assert_free();
    }

    /// Asserts that recording never blocked. The limit is far below the length of any fault, and
    /// above what a busy machine may delay a thread.
    #[track_caller]
    pub(crate) fn assert_free(&self) {
        assert!(self.slowest < Duration::from_millis(250), "{self:?}");
    }
}
