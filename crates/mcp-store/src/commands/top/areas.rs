//! The layout of the screen.

use ratatui::layout::{Constraint, Layout, Rect};

/// The minimal width at which sessions and failures are side by side.
const WIDE: u16 = 120;

#[derive(Debug)]
pub(crate) struct Areas {
    pub(crate) head: Rect,
    pub(crate) totals: Rect,
    pub(crate) timeline: Rect,
    pub(crate) tools: Rect,
    pub(crate) sessions: Rect,
    pub(crate) failures: Rect,
    pub(crate) keys: Rect,
}

impl Areas {
    pub(crate) fn of(screen: Rect) -> Self {
        let is_wide = screen.width >= WIDE;
        let lists = if is_wide { 2 } else { 4 };
        let [head, totals, timeline, tools, below, keys] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(1),
            Constraint::Length(4),
            Constraint::Fill(3),
            Constraint::Fill(lists),
            Constraint::Length(1),
        ])
        .areas(screen);
        let halves = [Constraint::Fill(1); 2];
        let [sessions, failures] = if is_wide {
            Layout::horizontal(halves).spacing(2).areas(below)
        } else {
            Layout::vertical(halves).areas(below)
        };
        Self {
            head,
            totals,
            timeline,
            tools,
            sessions,
            failures,
            keys,
        }
    }
}
