//! The keys and the colours, over the rest of the screen.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::Stylize as _;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::table::Theme;
use crate::output::Tone;

const KEYS: [(&str, &str); 10] = [
    ("q, Esc, Ctrl-C", "quit"),
    ("s", "sort tools by calls, failures, p95 or name"),
    ("w", "change the window: 1 min, 15 min, 1 h, 24 h"),
    ("e", "show only what fails, or all"),
    ("/", "show only names that contain a text"),
    ("p, Space", "pause, and resume"),
    ("Tab", "choose the next list, whose title is bold"),
    ("Up, Down, k, j", "scroll the chosen list"),
    ("PgUp, PgDn", "scroll it by a page"),
    ("Home, End, g, G", "go to its first or last row"),
];

const COLOURS: [(Tone, &str, &str); 3] = [
    (Tone::Good, "green", "no call of the second failed"),
    (Tone::Doubtful, "yellow", "less than a fifth failed"),
    (Tone::Bad, "red", "a fifth or more failed"),
];

/// The width of the first column.
const FIRST: usize = 17;

pub(crate) fn draw(frame: &mut Frame<'_>, theme: Theme) {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (keys, what) in KEYS {
        lines.push(Line::from(vec![
            format!("{keys:<FIRST$}").bold(),
            what.into(),
        ]));
    }
    lines.push(Line::default());
    for (tone, name, what) in COLOURS {
        let name = Span::styled(format!("{name:<FIRST$}"), theme.style(tone));
        lines.push(Line::from(vec![name, what.into()]));
    }
    let width = lines.iter().map(Line::width).max().unwrap_or(0) + 4;
    let height = lines.len() + 2;
    let area = centered(frame.area(), width, height);
    let block = Block::bordered()
        .title(" help, any key closes it ")
        .padding(ratatui::widgets::Padding::horizontal(1));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn centered(screen: Rect, width: usize, height: usize) -> Rect {
    let length = |length: usize| Constraint::Length(u16::try_from(length).unwrap_or(u16::MAX));
    screen.centered(length(width), length(height))
}
