//! A file that a writer records into.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tower_mcp_store::{Retention, Store, StoreEvent};
use uuid::Uuid;

use crate::events::Shared;
use crate::process;

/// Longer than anything here takes.
pub(crate) const LONG: Duration = Duration::from_secs(600);

const SESSIONS: usize = 50;

/// Requests that are offered at once, which the queue holds.
const BURST: u64 = 100_000;

pub(crate) struct Replica {
    pub(crate) store: Store,
    events: Shared,
}

/// What the writer needed for some requests.
pub(crate) struct Written {
    pub(crate) seconds: f64,
    pub(crate) cpu: f64,
}

impl Replica {
    /// Opens the file and begins the sessions.
    pub(crate) fn open(path: &Path) -> Self {
        // The traffic began a day ago, and polls go after a day.
        let builder = Store::builder(path).retention(Retention::unlimited());
        let replica = Self {
            store: builder.open().expect("the file opens"),
            events: Shared::new(SESSIONS),
        };
        let sessions = replica.events.sessions();
        sessions.for_each(|event| replica.store.record(event));
        replica.flush();
        replica
    }

    fn flush(&self) {
        self.store.flush(LONG).expect("everything is written");
    }

    /// Records requests as fast as the writer takes them.
    pub(crate) fn record(&self, rows: u64) -> Written {
        let mut requests = self.events.requests();
        let (start, cpu) = (Instant::now(), writer_cpu());
        for begun in (0..rows).step_by(BURST as usize) {
            let burst = BURST.min(rows - begun) as usize;
            requests
                .by_ref()
                .take(burst)
                .for_each(|event| self.store.record(event));
            self.flush();
        }
        Written {
            seconds: start.elapsed().as_secs_f64(),
            cpu: writer_cpu() - cpu,
        }
    }

    /// Records requests at a rate of `rate` each second, each with the current time.
    pub(crate) fn record_at(&self, rate: u64, duration: Duration) {
        let start = Instant::now();
        for (number, event) in (0_u32..).zip(self.events.requests()) {
            let due = Duration::from_secs(1) * number / rate as u32;
            if due >= duration {
                break;
            }
            let early = (start + due).saturating_duration_since(Instant::now());
            if early > Duration::from_millis(1) {
                thread::sleep(early);
            }
            let StoreEvent::Request(mut event) = event else {
                continue;
            };
            event.ts = unix_ms();
            event.request_id = Uuid::now_v7();
            self.store.record(StoreEvent::Request(event));
        }
        self.flush();
    }

    /// Ends the writer, which must have lost nothing.
    pub(crate) fn close(self) {
        let stats = self.store.shutdown(LONG).expect("an orderly end");
        assert_eq!((stats.dropped, stats.failed), (0, 0));
    }
}

/// Returns the seconds of processor time of the writer, with its checkpoints.
pub(crate) fn writer_cpu() -> f64 {
    process::cpu_of_threads("mcp-store-write") + process::cpu_of_threads("mcp-store-check")
}

pub(crate) fn unix_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis() as i64)
}
