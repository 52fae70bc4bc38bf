//! The data on the screen, and the choices of the user.

use std::cmp::Reverse;
use std::collections::VecDeque;

use tower_mcp_store::query::{Group, Session, StatsReport};

use super::failure::Failure;
use super::feed::{self, Snapshot};
use super::keys::{Change, Mode};
use super::outcome::failed;
use super::range::Range;
use super::scroll::{List, Scroll};
use super::timeline::Timeline;

/// The maximal length of a filter, in characters.
const LONGEST_FILTER: usize = 64;

/// The column by which tools are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Sort {
    #[default]
    Calls,
    Failures,
    P95,
    Name,
}

/// Everything that the view draws.
#[derive(Debug, Default)]
pub(crate) struct State {
    range: Range,
    sort: Sort,
    failing: bool,
    filter: String,
    typing: bool,
    paused: bool,
    help: bool,
    scroll: Scroll,
    now: i64,
    timeline: Timeline,
    stats: Option<StatsReport>,
    sessions: Vec<Session>,
    /// The newest first.
    failed_requests: VecDeque<Failure>,
    failed_tasks: Vec<Failure>,
}

impl Sort {
    const ALL: [Self; 4] = [Self::Calls, Self::Failures, Self::P95, Self::Name];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Failures => "failures",
            Self::P95 => "p95",
            Self::Name => "name",
        }
    }
}

impl State {
    /// Updates the data from a snapshot.
    pub(crate) fn update(&mut self, snapshot: Snapshot) {
        self.now = snapshot.now;
        self.timeline.forget(snapshot.now);
        for row in snapshot.written {
            self.timeline.add(&row, snapshot.now);
            if let Some(failure) = Failure::request(&row) {
                self.failed_requests.push_front(failure);
            }
        }
        self.failed_requests.truncate(feed::FAILURES);
        self.failed_tasks = snapshot.failed.iter().filter_map(Failure::task).collect();
        self.stats = Some(snapshot.stats);
        self.sessions = snapshot.sessions;
    }

    pub(crate) fn change(&mut self, change: Change) {
        match change {
            Change::Sort => self.sort = next(&Sort::ALL, self.sort),
            Change::Range => self.range = next(&Range::ALL, self.range),
            Change::Failing => self.failing = !self.failing,
            Change::Type => self.typing = true,
            Change::Add(c) if self.filter.chars().count() < LONGEST_FILTER => self.filter.push(c),
            Change::Add(_) => {}
            Change::Erase => {
                self.filter.pop();
            }
            Change::Keep => self.typing = false,
            Change::Drop => {
                self.typing = false;
                self.filter.clear();
            }
            Change::Scroll(step) => self.scroll.step(step),
            Change::List => self.scroll.choose(next(&List::ALL, self.scroll.chosen())),
            Change::Pause => self.paused = !self.paused,
            Change::Help => self.help = !self.help,
        }
    }

    pub(crate) fn range(&self) -> Range {
        self.range
    }

    pub(crate) fn sort(&self) -> Sort {
        self.sort
    }

    /// Returns whether only failures are shown.
    pub(crate) fn is_failing_only(&self) -> bool {
        self.failing
    }

    /// Returns the text that shown names contain.
    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }

    /// Returns the meaning of the next key.
    pub(crate) fn mode(&self) -> Mode {
        match (self.help, self.typing) {
            (true, _) => Mode::Help,
            (false, true) => Mode::Typing,
            (false, false) => Mode::Commands,
        }
    }

    /// Returns whether reading the file is paused.
    pub(crate) fn is_paused(&self) -> bool {
        self.paused
    }

    pub(crate) fn scroll(&self) -> &Scroll {
        &self.scroll
    }

    /// Limits how far lists are scrolled. `heights` is the number of rows of each list on the
    /// screen.
    pub(crate) fn fit(&mut self, heights: [usize; 3]) {
        let lengths = List::ALL.map(|list| match list {
            List::Tools => self.tools().len(),
            List::Sessions => self.sessions().len(),
            List::Failures => self.failures().len(),
        });
        self.scroll.fit(lengths, heights);
    }

    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    pub(crate) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    pub(crate) fn stats(&self) -> Option<&StatsReport> {
        self.stats.as_ref()
    }

    /// Returns the tools, and the methods without tools, to show, in order.
    pub(crate) fn tools(&self) -> Vec<&Group> {
        let all = self.stats.iter().flat_map(|stats| &stats.groups);
        let mut tools: Vec<&Group> = all
            .filter(|group| !self.failing || failed(group) > 0)
            .filter(|group| self.takes([Some(&group.method), group.tool.as_ref()]))
            .collect();
        match self.sort {
            Sort::Calls => tools.sort_by_key(|group| Reverse(group.figures.calls)),
            Sort::Failures => tools.sort_by_key(|group| Reverse(failed(group))),
            Sort::P95 => tools.sort_by_key(|group| Reverse(group.figures.p95_us)),
            Sort::Name => tools.sort_by_key(|group| name(group)),
        }
        tools
    }

    /// Returns the open sessions to show, latest first.
    pub(crate) fn sessions(&self) -> Vec<&Session> {
        let all = self.sessions.iter();
        all.filter(|row| !self.failing || row.total_errors > 0)
            .filter(|row| self.takes([Some(&row.session_id), row.client_name.as_ref()]))
            .collect()
    }

    /// Returns the failed requests and tasks to show, newest first.
    pub(crate) fn failures(&self) -> Vec<&Failure> {
        let all = self.failed_requests.iter().chain(&self.failed_tasks);
        let mut shown: Vec<&Failure> = all
            .filter(|one| self.takes([Some(&one.method), one.aim.as_ref(), Some(&one.note)]))
            .collect();
        shown.sort_by_key(|one| Reverse(one.ended_ts));
        shown.truncate(feed::FAILURES);
        shown
    }

    /// Returns whether one of the names contains the filter, ignoring case.
    fn takes<'a>(&self, names: impl IntoIterator<Item = Option<&'a String>>) -> bool {
        let filter = self.filter.to_lowercase();
        let mut names = names.into_iter().flatten();
        filter.is_empty() || names.any(|name| name.to_lowercase().contains(&filter))
    }
}

/// Returns the next value, or the first after the last.
fn next<T: Copy + PartialEq>(all: &[T], this: T) -> T {
    let after = all.iter().skip_while(|it| **it != this).nth(1);
    after.or(all.first()).copied().unwrap_or(this)
}

/// Returns the name of the tool, or else the method.
pub(crate) fn name(group: &Group) -> &str {
    group.tool.as_deref().unwrap_or(&group.method)
}

#[cfg(test)]
mod tests;
