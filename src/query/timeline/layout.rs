//! The buckets of a timeline, and whether each is counted from requests or from cells.

use rusqlite::OptionalExtension;

use super::super::coverage::{Cells, Coverage, Plan};
use super::super::reader::Source;
use super::super::window::Window;
use crate::db::BucketWidth;
use crate::db::row::optional_number;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = BucketWidth::Hour.ms();
const DAY: i64 = BucketWidth::Day.ms();

/// Widths that divide a day.
const WIDTHS: [i64; 14] = [
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
];

/// The source of the counts of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BucketSource {
    /// Its requests.
    Requests,
    /// The hourly and daily statistics, and the requests that are not in them yet.
    Rollups,
    /// Requests for a part of its time, statistics for the rest.
    Both,
}

/// The buckets, and the parts of the window to read for them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    buckets: Vec<(Window, BucketSource)>,
    /// The cells to add. Each is within one bucket.
    pub(super) cells: Vec<(BucketWidth, Window)>,
    /// The times that the cells cover. Their requests that are not rolled up yet are added.
    pub(super) whole: Vec<Window>,
    /// The times whose requests are added.
    pub(super) rows: Vec<Window>,
}

/// Returns the least width that covers a window with at most `most` buckets, in
/// milliseconds.
pub(super) fn fitting(window: Window, most: usize) -> i64 {
    let most = i64::try_from(most).unwrap_or(i64::MAX).max(1);
    let fits = |width: i64| {
        let Window { since, until } = aligned(window, width);
        until.saturating_sub(since) / width <= most
    };
    if let Some(width) = WIDTHS.into_iter().find(|width| fits(*width)) {
        return width;
    }
    let days = window.until.saturating_sub(window.since) / DAY / most;
    // Aligned to its width, a window has at most one bucket more.
    let widths = (days.max(1)..).map(|days| days.saturating_mul(DAY));
    let mut widths = widths.take_while(|width| *width < i64::MAX / 2);
    widths.find(|width| fits(*width)).unwrap_or(i64::MAX / 2)
}

/// Returns the shortest window of whole buckets around a window.
pub(super) fn aligned(Window { since, until }: Window, width: i64) -> Window {
    if since >= until {
        return Window { since, until };
    }
    let last = start(until, width);
    let until = match last < until {
        true => last.saturating_add(width),
        false => last,
    };
    Window {
        since: start(since, width),
        until,
    }
}

fn start(ts: i64, width: i64) -> i64 {
    ts.saturating_sub(ts.rem_euclid(width))
}

/// Returns a window without open ends: they become the times of the oldest and newest records.
pub(super) fn closed(
    source: &Source<'_>,
    coverage: &Coverage,
    window: Window,
) -> rusqlite::Result<Window> {
    let Window { since, until } = window;
    let is_open = [since == i64::MIN, until == i64::MAX];
    if is_open == [false; 2] {
        return Ok(window);
    }
    let one = |sql: &str| {
        let mut statement = source.conn.prepare_cached(sql)?;
        let found = statement.query_row([], |row| optional_number(row, 0));
        Ok::<_, rusqlite::Error>(found.optional()?.flatten())
    };
    let mut times = vec![
        one("SELECT min(ts) FROM requests")?,
        one("SELECT max(ts) + 1 FROM requests")?,
        one("SELECT max(ended_ts) + 1 FROM tasks WHERE ended_ts IS NOT NULL")?,
    ];
    // A cell may begin long before its first request.
    if !coverage.has_rows_of(Window::ALL) {
        for width in BucketWidth::ALL.map(BucketWidth::ms) {
            let starts = format!("FROM request_rollups WHERE width = {width}");
            times.push(one(&format!("SELECT min(start) {starts}"))?);
            times.push(one(&format!("SELECT max(start) + {width} {starts}"))?);
        }
    }
    let times = || times.iter().flatten().copied();
    let [Some(oldest), Some(newest)] = [times().min(), times().max()] else {
        let at = if is_open[0] { until } else { since };
        let at = if is_open == [true; 2] { 0 } else { at };
        return Ok(Window {
            since: at,
            until: at,
        });
    };
    Ok(Window {
        since: if is_open[0] { oldest.min(until) } else { since },
        until: if is_open[1] { newest.max(since) } else { until },
    })
}

impl Layout {
    /// Returns a layout that counts only requests.
    pub(super) fn of_rows(window: Window, width: i64) -> Self {
        let mut layout = Self::new();
        let mut since = window.since;
        while since < window.until {
            let until = start(since, width).saturating_add(width).min(window.until);
            layout.push(
                Window { since, until },
                Plan::Requests(Window { since, until }),
            );
            since = until;
        }
        layout
    }

    /// Returns a layout that counts cells up to `cells_until`, if they fit into buckets, and
    /// requests from then on. The window is a [widened](Coverage::widened) one. Where its requests
    /// were removed, buckets are at least as wide as cells.
    pub(super) fn of_cells(
        coverage: &Coverage,
        window: Window,
        width: i64,
        cells_until: i64,
    ) -> Self {
        let mut layout = Self::new();
        let pruned = coverage.pruned(window);
        let mut since = window.since;
        while since < window.until {
            let cell = match since < pruned.until {
                true => coverage.cell_width(since).ms(),
                false => 0,
            };
            let width = width.max(cell);
            let until = start(since, width).saturating_add(width).min(window.until);
            let bucket = Window { since, until };
            layout.push(bucket, coverage.plan(bucket, cells_until.min(until)));
            since = until;
        }
        layout
    }

    fn new() -> Self {
        Self {
            buckets: Vec::new(),
            cells: Vec::new(),
            whole: Vec::new(),
            rows: Vec::new(),
        }
    }

    fn push(&mut self, bucket: Window, plan: Plan) {
        let source = match plan {
            Plan::Requests(window) => {
                extend(&mut self.rows, window);
                BucketSource::Requests
            }
            Plan::Cells(Cells {
                cells,
                whole,
                edges,
            }) => {
                let has_cells = !cells.is_empty();
                for (width, part) in cells {
                    match self.cells.last_mut() {
                        Some((last, end)) if *last == width && end.until == part.since => {
                            end.until = part.until;
                        }
                        _ => self.cells.push((width, part)),
                    }
                }
                let edges = edges.into_iter().filter(|edge| edge.since < edge.until);
                let mut has_edges = false;
                for edge in edges {
                    has_edges = true;
                    extend(&mut self.rows, edge);
                }
                if has_cells {
                    extend(&mut self.whole, whole);
                }
                match (has_cells, has_edges) {
                    (true, false) => BucketSource::Rollups,
                    (true, true) => BucketSource::Both,
                    (false, _) => BucketSource::Requests,
                }
            }
        };
        self.buckets.push((bucket, source));
    }

    /// Returns the buckets, oldest first.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (Window, BucketSource)> {
        self.buckets.iter().copied()
    }

    pub(super) fn has_rows_only(&self) -> bool {
        self.cells.is_empty()
    }
}

/// Adds a window to windows in rising order. Adjacent windows become one.
fn extend(windows: &mut Vec<Window>, window: Window) {
    match windows.last_mut() {
        Some(last) if last.until == window.since => last.until = window.until,
        _ => windows.push(window),
    }
}
