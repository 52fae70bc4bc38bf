//! Queries the file at each refresh.

use std::mem;
use std::time::{Duration, Instant};

use tower_mcp_store::query::{
    Follower, Operation, Reader, Request, RequestFilter, Session, SessionFilter, StatsFilter,
    StatsReport, Window,
};
use tower_mcp_store::{Outcome, QueryError};

use super::range::Range;
use super::timeline;

/// How many of the newest requests the sparklines start with at most.
const RECENT: usize = 10_000;

/// How long to read new rows before the screen is drawn. The next refresh continues with the
/// rest.
const PATIENCE: Duration = Duration::from_millis(250);

/// How many failed requests are kept.
pub(crate) const FAILURES: usize = 100;

/// How many sessions are read at most.
pub(crate) const SESSIONS: usize = 100;

/// What the file holds at one moment.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// When the file was read, in unix milliseconds.
    pub(crate) now: i64,
    /// Requests written since the last snapshot, oldest first.
    pub(crate) written: Vec<Request>,
    /// The statistics of the chosen range.
    pub(crate) stats: StatsReport,
    /// The newest operations that failed.
    pub(crate) failed: Vec<Operation>,
    /// Open sessions with a request in the range, latest first.
    pub(crate) sessions: Vec<Session>,
}

/// A watched file.
#[derive(Debug)]
pub(crate) struct Feed {
    reader: Reader,
    server: Option<String>,
    follow: Follower,
    /// Requests written before the first snapshot.
    before: Vec<Request>,
}

impl Feed {
    /// Starts with the newest requests and the newest failed ones, of one server or of all.
    pub(crate) fn begin(
        reader: &Reader,
        server: Option<String>,
        now: i64,
    ) -> Result<Self, QueryError> {
        let mut all = RequestFilter::default();
        all.server_name.clone_from(&server);
        // Follows first, so that no row is missed between the queries.
        let follow = reader.follow(all.clone())?;
        let mut recent = all.clone();
        recent.window = Window::since(now.saturating_sub(timeline::SPAN_MS));
        let mut before = reader.requests(&recent, RECENT, None)?;
        let oldest = before.last().map(Request::position);
        let failed = all.outcomes(Outcome::FAILURES);
        before.extend(reader.requests(&failed, FAILURES, oldest)?);
        before.retain(|row| row.id <= follow.last_id());
        before.sort_unstable_by_key(|row| row.id);
        Ok(Self {
            reader: reader.clone(),
            server,
            follow,
            before,
        })
    }

    pub(crate) fn ask(&mut self, range: Range, now: i64) -> Result<Snapshot, QueryError> {
        let mut written = mem::take(&mut self.before);
        let begun = Instant::now();
        loop {
            let rows = self.follow.poll()?;
            if rows.is_empty() {
                break;
            }
            written.extend(rows);
            if begun.elapsed() >= PATIENCE {
                break;
            }
        }
        let window = Window::since(now.saturating_sub(range.ms()));
        let mut figures = StatsFilter::default();
        figures.window = window;
        figures.server_name.clone_from(&self.server);
        let mut failed = RequestFilter::new().outcomes(Outcome::FAILURES);
        failed.server_name.clone_from(&self.server);
        let mut open = SessionFilter::default();
        open.window = window;
        open.server_name.clone_from(&self.server);
        open.active = true;
        Ok(Snapshot {
            now,
            written,
            stats: self.reader.stats(&figures)?,
            failed: self.reader.operations(&failed, FAILURES, None)?,
            sessions: self.reader.sessions(&open, SESSIONS)?,
        })
    }
}
