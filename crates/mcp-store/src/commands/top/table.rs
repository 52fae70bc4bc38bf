//! Tables in a part of the screen.

use std::borrow::Cow;

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};

use crate::output::{Align, Cell, Column, Tone};

/// Separates two columns.
const GAP: usize = 2;

/// The minimal width of a column, so that changing numbers seldom move other columns.
const NARROWEST: usize = 6;

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

/// Returns how many rows [`draw`] shows in an area.
pub(crate) fn rows_in(area: Rect) -> usize {
    usize::from(area.height).saturating_sub(2)
}

/// Draws rows under a title and the column names.
pub(crate) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    (title, columns): (Span<'_>, &[Column]),
    rows: impl Iterator<Item = Vec<Cell>>,
    theme: Theme,
) {
    let rows: Vec<Vec<Cell>> = rows.collect();
    if rows.is_empty() {
        let none = Paragraph::new("none".dim()).block(block(title));
        frame.render_widget(none, area);
        return;
    }
    let is_shown = |(_, column): &(usize, &Column)| frame.area().width >= column.from;
    let columns: Vec<(usize, &Column)> = columns.iter().enumerate().filter(is_shown).collect();
    let wanted = columns.iter().map(|(i, column)| {
        let cells = rows.iter().filter_map(|row| row.get(*i)).map(Cell::text);
        let texts = cells
            .chain([&*column.title])
            .map(|text| Span::raw(text).width());
        (
            texts.max().unwrap_or(0).max(NARROWEST),
            column.align == Align::Cut,
        )
    });
    let widths = widths(&wanted.collect::<Vec<_>>(), usize::from(area.width));
    let header = columns.iter().map(|(_, column)| {
        let title = column.title.to_string();
        aligned(column.align, title.bold())
    });
    let body = rows.iter().map(|row| {
        let cells = columns.iter().zip(&widths);
        Row::new(cells.filter_map(|((i, column), width)| {
            let cell = row.get(*i)?;
            let text = cut(cell.text(), *width);
            Some(aligned(
                column.align,
                Span::styled(text, theme.style(cell.tone())),
            ))
        }))
    });
    let lengths = widths
        .iter()
        .map(|width| Constraint::Length(to_u16(*width)));
    let table = Table::new(body, lengths)
        .header(Row::new(header))
        .column_spacing(to_u16(GAP))
        .block(block(title));
    frame.render_widget(table, area);
}

/// Returns the width of each column. `wanted` has the wanted width of each, and whether
/// it may be cut.
///
/// Columns that may be cut share the width that the others leave. The narrowest come
/// first, so that wide ones get the width that narrow ones do not need. The last one
/// takes the rest of the line.
fn widths(wanted: &[(usize, bool)], line: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = wanted.iter().map(|(width, _)| *width).collect();
    let fixed = wanted.iter().filter(|(_, is_cut)| !is_cut);
    let fixed: usize = fixed.map(|(width, _)| width).sum();
    let gaps = GAP * wanted.len().saturating_sub(1);
    let mut room = line.saturating_sub(fixed + gaps);
    let mut order: Vec<usize> = (0..wanted.len()).filter(|i| wanted[*i].1).collect();
    order.sort_by_key(|i| widths[*i]);
    for (taken, i) in order.iter().enumerate() {
        widths[*i] = widths[*i].min(room / (order.len() - taken));
        room -= widths[*i];
    }
    if let Some(last) = order.iter().max() {
        widths[*last] += room;
    }
    widths
}

fn to_u16(width: usize) -> u16 {
    u16::try_from(width).unwrap_or(u16::MAX)
}

/// Returns a top border with a title.
pub(crate) fn block(title: Span<'_>) -> Block<'_> {
    let title = Line::from(vec![title, " ".into()]);
    Block::new().borders(Borders::TOP).title(title)
}

/// Cuts the start of a text to a width, and marks the cut.
pub(crate) fn cut_start(text: &str, width: usize) -> String {
    let span = Span::raw(text);
    if span.width() <= width {
        return text.to_owned();
    }
    let graphemes: Vec<&str> = span
        .styled_graphemes(Style::new())
        .map(|one| one.symbol)
        .collect();
    let mut room = width.saturating_sub(1);
    let mut shown = Vec::new();
    for grapheme in graphemes.into_iter().rev() {
        match room.checked_sub(Span::raw(grapheme).width()) {
            Some(left) => room = left,
            None => break,
        }
        shown.push(grapheme);
    }
    shown.push("…");
    shown.reverse();
    shown.concat()
}

fn aligned(align: Align, span: Span<'_>) -> Line<'_> {
    match align {
        Align::Right | Align::Moment => Line::from(span).right_aligned(),
        Align::Left | Align::Cut => Line::from(span),
    }
}

/// Cuts a text to a width, and marks the cut.
pub(crate) fn cut(text: &str, width: usize) -> Cow<'_, str> {
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
