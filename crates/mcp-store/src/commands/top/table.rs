//! Tables in a part of the screen.

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};

use crate::output::{Align, Cell, Column, Tone};

/// Separates two columns.
const GAP: u16 = 2;

/// The minimal width of a column, so that changing numbers do not move other columns.
const NARROWEST: u16 = 8;

/// The width that a column of text claims.
const WIDEST: u16 = 32;

/// The style of each tone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    pub(crate) colored: bool,
}

impl Theme {
    pub(crate) fn style(self, tone: Tone) -> Style {
        if !self.colored {
            return Style::new();
        }
        match tone {
            Tone::Plain => Style::new(),
            Tone::Good => Style::new().fg(Color::Green),
            Tone::Doubtful => Style::new().fg(Color::Yellow),
            Tone::Bad => Style::new().fg(Color::Red),
        }
    }
}

/// Draws as many rows as fit, under a title and the column names.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    (title, columns): (String, &[Column]),
    rows: impl Iterator<Item = Vec<Cell>>,
    theme: Theme,
) {
    let rows: Vec<Vec<Cell>> = rows.take(usize::from(area.height)).collect();
    if rows.is_empty() {
        let none = Paragraph::new("none".dim()).block(block(title));
        frame.render_widget(none, area);
        return;
    }
    let is_shown = |(_, column): &(usize, &Column)| frame.area().width >= column.from;
    let columns: Vec<(usize, &Column)> = columns.iter().enumerate().filter(is_shown).collect();
    let wanted = columns.iter().map(|(i, column)| {
        let cells = rows.iter().filter_map(|row| row.get(*i));
        let widest = cells.map(|cell| Span::raw(cell.text()).width()).max();
        let widest = u16::try_from(widest.unwrap_or(0)).unwrap_or(u16::MAX);
        match column.align {
            Align::Cut => Constraint::Fill(widest.clamp(NARROWEST, WIDEST)),
            Align::Left | Align::Right | Align::Moment => Constraint::Length(widest.max(NARROWEST)),
        }
    });
    let areas = Layout::horizontal(wanted).spacing(GAP).split(area);
    let header = columns.iter().map(|(_, column)| {
        let title = column.title.to_string();
        aligned(column.align, title.bold())
    });
    let body = rows.iter().map(|row| {
        let cells = columns.iter().zip(areas.iter());
        Row::new(cells.filter_map(|((i, column), area)| {
            let cell = row.get(*i)?;
            let text = cut(cell.text(), usize::from(area.width));
            Some(aligned(
                column.align,
                Span::styled(text, theme.style(cell.tone())),
            ))
        }))
    });
    let widths = areas.iter().map(|area| Constraint::Length(area.width));
    let table = Table::new(body, widths)
        .header(Row::new(header))
        .column_spacing(GAP)
        .block(block(title));
    frame.render_widget(table, area);
}

/// Returns a top border with a title.
pub(crate) fn block(title: String) -> Block<'static> {
    Block::new()
        .borders(Borders::TOP)
        .title(format!("{title} "))
}

fn aligned(align: Align, span: Span<'_>) -> Line<'_> {
    match align {
        Align::Right | Align::Moment => Line::from(span).right_aligned(),
        Align::Left | Align::Cut => Line::from(span),
    }
}

/// Cuts a text to a width, and marks the cut.
fn cut(text: &str, width: usize) -> Cow<'_, str> {
    let span = Span::raw(text);
    if span.width() <= width {
        return text.into();
    }
    let mut room = width.saturating_sub(1);
    let mut shown = String::new();
    for grapheme in span.styled_graphemes(Style::new()) {
        match room.checked_sub(Span::raw(grapheme.symbol).width()) {
            Some(left) => room = left,
            None => break,
        }
        shown.push_str(grapheme.symbol);
    }
    shown.push('…');
    shown.into()
}
