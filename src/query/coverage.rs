//! Which times a file still covers, and how the requests of a window are counted.
//!
//! Retention removes requests first, then the cells of their hours, then those of their
//! days. If cells take too much of the file, they are removed before their requests. A
//! cell cannot be split, so a window that begins or ends where requests are gone is
//! widened to whole cells.

use super::reader::Source;
use super::window::Window;
use crate::db::BucketWidth;
use crate::db::pruned::Pruned;

/// The times from which on the file is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Coverage {
    /// As requests.
    rows: i64,
    /// In cells of hours: the beginning of one.
    hours: i64,
    /// In cells of days: the beginning of one.
    days: i64,
}

/// The source of the statistics of a window.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// Each request of the window, which makes percentiles exact.
    Requests(Window),
    /// Cells, and requests where there are none.
    Cells(Cells),
}

/// A window that is counted by cells as far as they fit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cells {
    /// The cells to add. No cell is split.
    pub(super) cells: Vec<(BucketWidth, Window)>,
    /// The part of the window that they cover. Its requests that are not rolled up yet
    /// are added.
    pub(super) whole: Window,
    /// The parts before and after, whose requests are added.
    pub(super) edges: [Window; 2],
}

impl Coverage {
    /// Returns the times from which on all requests but polls are in the file.
    pub(super) fn of(source: &Source<'_>) -> rusqlite::Result<Self> {
        let to = |pruned: Pruned| pruned.to(source.conn);
        Ok(Self::pruned_to(
            to(Pruned::Requests)?,
            to(Pruned::Cells(BucketWidth::Hour))?,
            to(Pruned::Cells(BucketWidth::Day))?,
        ))
    }

    /// Returns the coverage from which requests and cells of hours and days from before these
    /// times were removed.
    pub(super) fn pruned_to(requests: i64, hours: i64, days: i64) -> Self {
        Self {
            rows: requests,
            hours: BucketWidth::Hour.next_start(hours),
            days: BucketWidth::Day.next_start(days),
        }
    }

    /// Returns the times from which on polls are in the file. Retention removes them
    /// before other requests.
    pub(super) fn of_polls(self, source: &Source<'_>) -> rusqlite::Result<Self> {
        Ok(self.without_rows_before(Pruned::Polls.to(source.conn)?))
    }

    /// Returns the coverage after requests from before `ts` were removed.
    pub(super) fn without_rows_before(self, ts: i64) -> Self {
        Self {
            rows: self.rows.max(ts),
            ..self
        }
    }

    /// Returns the first moment from `ts` on from which all requests are in the file.
    pub(super) fn rows_since(&self, ts: i64) -> i64 {
        ts.max(self.rows)
    }

    /// Returns the width of the shortest cells that count the moment `ts` of a widened
    /// window, whose requests are gone.
    pub(super) fn cell_width(&self, ts: i64) -> BucketWidth {
        match ts >= self.hours {
            true => BucketWidth::Hour,
            false => BucketWidth::Day,
        }
    }

    /// Returns whether all requests of a window are in the file.
    pub(super) fn has_rows_of(&self, window: Window) -> bool {
        window.since >= self.rows
    }

    /// Returns the window to count in place of `asked`: the shortest that the file covers
    /// and that splits no cell whose requests are gone. It is empty if the file covers
    /// nothing of it.
    pub(super) fn widened(&self, asked: Window) -> Window {
        let Window { since, until } = asked;
        if self.has_rows_of(asked) || since >= until {
            return asked;
        }
        let known = self.hours.min(self.days).min(self.rows);
        if until <= known {
            return window(until, until);
        }
        let (hour, day) = (
            BucketWidth::Hour.start(since),
            BucketWidth::Day.start(since),
        );
        let since = match () {
            () if hour >= self.hours => hour,
            () if day >= self.days => day,
            () => known,
        };
        let last_day = BucketWidth::Day.start(until);
        let until = if since < self.hours && last_day < self.hours.min(self.rows) {
            BucketWidth::Day.next_start(until)
        } else if BucketWidth::Hour.start(until) < self.rows {
            BucketWidth::Hour.next_start(until)
        } else {
            until
        };
        window(since, until)
    }

    /// Returns the part of a widened window in which requests are gone. It ends where a
    /// cell ends. All later requests are in the file.
    pub(super) fn pruned(&self, Window { since, until }: Window) -> Window {
        self.widened(window(since, self.rows.min(until).max(since)))
    }

    /// Returns how to count a widened window: by cells up to `cells_until`, and by
    /// requests from then on.
    pub(super) fn plan(&self, widened: Window, cells_until: i64) -> Plan {
        let Window { since, until } = widened;
        if cells_until <= since {
            return Plan::Requests(widened);
        }
        let cells = self.cells(window(since, cells_until));
        // Cells have no gaps between them.
        let whole = match (cells.first(), cells.last()) {
            (Some((_, first)), Some((_, last))) => window(first.since, last.until),
            _ => window(until, until),
        };
        Plan::Cells(Cells {
            cells,
            whole,
            edges: [window(since, whole.since), window(whole.until, until)],
        })
    }

    /// Returns the whole cells that fit into a widened window. There are no gaps between
    /// them. The requests before and after them are in the file.
    pub(super) fn cells(&self, widened: Window) -> Vec<(BucketWidth, Window)> {
        let hours = whole(BucketWidth::Hour, widened);
        let mut days = whole(BucketWidth::Day, hours);
        days.since = days.since.max(self.days);
        let mut cells = Vec::with_capacity(3);
        if days.since < days.until {
            let since = hours.since.max(self.hours.min(days.since));
            let until = match days.until < self.hours {
                true => days.until,
                false => hours.until,
            };
            cells.push((BucketWidth::Hour, window(since, days.since)));
            cells.push((BucketWidth::Day, days));
            cells.push((BucketWidth::Hour, window(days.until, until)));
        } else {
            cells.push((
                BucketWidth::Hour,
                window(hours.since.max(self.hours), hours.until),
            ));
        }
        cells.retain(|(_, part)| part.since < part.until);
        cells
    }
}

/// Returns the part of a window that whole cells cover.
fn whole(width: BucketWidth, Window { since, until }: Window) -> Window {
    window(width.next_start(since), width.start(until))
}

fn window(since: i64, until: i64) -> Window {
    Window { since, until }
}

#[cfg(test)]
mod tests {
    use super::{BucketWidth, Cells, Coverage, Plan, Window, whole, window};

    const HOUR: i64 = BucketWidth::Hour.ms();
    const DAY: i64 = BucketWidth::Day.ms();

    #[test]
    fn window_covers_only_whole_cells() {
        for (asked, expected) in [
            (window(0, 2 * HOUR), window(0, 2 * HOUR)),
            (window(1, 2 * HOUR - 1), window(HOUR, HOUR)),
            (window(-1, HOUR + 1), window(0, HOUR)),
        ] {
            assert_eq!(whole(BucketWidth::Hour, asked), expected);
        }
        let all = whole(BucketWidth::Day, Window::ALL);
        assert!(all.since < -i64::MAX / 2 && all.until > i64::MAX / 2);
    }

    /// The file has requests from day 30 at 12:10, hours from day 20 at 6:00, and days
    /// from day 10.
    const SOME: Coverage = Coverage {
        rows: 30 * DAY + 12 * HOUR + 600_000,
        hours: 20 * DAY + 6 * HOUR,
        days: 10 * DAY,
    };

    #[test]
    fn window_is_widened_only_where_requests_are_gone() {
        let noon = 12 * HOUR;
        for (asked, expected) in [
            // All requests are there.
            ((SOME.rows, SOME.rows + 5), (SOME.rows, SOME.rows + 5)),
            ((SOME.rows + 7, i64::MAX), (SOME.rows + 7, i64::MAX)),
            // Hours.
            (
                (SOME.rows - 1, SOME.rows + 5),
                (30 * DAY + noon, 30 * DAY + noon + HOUR),
            ),
            (
                (25 * DAY + 1, 25 * DAY + HOUR + 1),
                (25 * DAY, 25 * DAY + 2 * HOUR),
            ),
            ((25 * DAY + 1, 31 * DAY + 1), (25 * DAY, 31 * DAY + 1)),
            (
                (SOME.hours, SOME.hours + 1),
                (SOME.hours, SOME.hours + HOUR),
            ),
            // Days, as far as there are no hours.
            ((15 * DAY + 1, 15 * DAY + 2), (15 * DAY, 16 * DAY)),
            ((15 * DAY, 16 * DAY), (15 * DAY, 16 * DAY)),
            ((SOME.hours - 1, SOME.hours + 1), (20 * DAY, 21 * DAY)),
            ((15 * DAY + 1, 25 * DAY + 1), (15 * DAY, 25 * DAY + HOUR)),
            ((15 * DAY + 1, i64::MAX), (15 * DAY, i64::MAX)),
            // Nothing.
            ((i64::MIN, i64::MAX), (10 * DAY, i64::MAX)),
            ((5 * DAY + 1, 10 * DAY + 1), (10 * DAY, 11 * DAY)),
            ((5 * DAY + 1, 10 * DAY - 1), (10 * DAY - 1, 10 * DAY - 1)),
        ] {
            let widened = SOME.widened(window(asked.0, asked.1));
            assert_eq!(widened, window(expected.0, expected.1), "{asked:?}");
            assert_eq!(SOME.widened(widened), widened, "{asked:?}");
        }
    }

    #[test]
    fn removed_cells_are_not_planned() {
        let asked = window(9 * DAY, 30 * DAY + HOUR);
        assert_eq!(
            SOME.cells(SOME.widened(asked)),
            [
                (BucketWidth::Day, window(10 * DAY, 30 * DAY)),
                (BucketWidth::Hour, window(30 * DAY, 30 * DAY + HOUR)),
            ]
        );
        // Hours are kept for longer than days.
        let long = Coverage {
            hours: 5 * DAY + HOUR,
            ..SOME
        };
        assert_eq!(
            long.cells(long.widened(asked)),
            [
                (BucketWidth::Hour, window(9 * DAY, 10 * DAY)),
                (BucketWidth::Day, window(10 * DAY, 30 * DAY)),
                (BucketWidth::Hour, window(30 * DAY, 30 * DAY + HOUR)),
            ]
        );
        assert_eq!(long.widened(Window::ALL).since, long.hours);
        assert_eq!(SOME.cells(SOME.widened(window(0, DAY))), []);
    }

    #[test]
    fn pruned_part_ends_with_a_cell_and_requests_follow() {
        let end = SOME.pruned(window(25 * DAY, 31 * DAY));
        assert_eq!(end, window(25 * DAY, 30 * DAY + 13 * HOUR));
        assert_eq!(
            SOME.pruned(window(25 * DAY, 26 * DAY)),
            window(25 * DAY, 26 * DAY)
        );
        let later = SOME.pruned(window(31 * DAY, 32 * DAY));
        assert_eq!(later, window(31 * DAY, 31 * DAY));
    }

    #[test]
    fn plan_covers_the_window_with_cells_between_two_edges() {
        let asked = window(25 * DAY, 31 * DAY + 1);
        assert_eq!(
            SOME.plan(asked, asked.until),
            Plan::Cells(Cells {
                cells: vec![(BucketWidth::Day, window(25 * DAY, 31 * DAY))],
                whole: window(25 * DAY, 31 * DAY),
                edges: [window(25 * DAY, 25 * DAY), window(31 * DAY, 31 * DAY + 1)],
            })
        );
        assert_eq!(SOME.plan(asked, asked.since), Plan::Requests(asked));
        // No whole cell fits.
        let short = window(31 * DAY + 1, 31 * DAY + 9);
        let Plan::Cells(short_plan) = SOME.plan(short, short.until) else {
            panic!("each request");
        };
        assert_eq!(short_plan.cells, []);
        assert_eq!(short_plan.edges, [short, window(short.until, short.until)]);
    }

    #[test]
    fn window_of_an_unpruned_file_is_not_widened() {
        let all = Coverage {
            rows: i64::MIN,
            hours: i64::MIN,
            days: i64::MIN,
        };
        for asked in [Window::ALL, window(1, 2), window(2, 1)] {
            assert_eq!(all.widened(asked), asked);
        }
        assert_eq!(all.cells(window(1, 2)), []);
    }
}
