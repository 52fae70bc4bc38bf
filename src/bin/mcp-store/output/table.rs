//! Tables that fit their terminal.

use std::borrow::Cow;
use std::io::{self, Write as _};

use comfy_table::{
    Attribute, CellAlignment, Color, ColumnConstraint, ContentArrangement, Row, Width,
};

use super::Output;
use crate::sanitize::harmless;
use crate::time;

/// Stands where a text was cut.
pub(crate) const CUT: char = '…';

/// What is left of a column that is cut, also where that is too much for the line.
const NARROWEST: u16 = 7;

/// Between two columns.
const GAP: u16 = 2;

/// One column of a table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) title: Cow<'static, str>,
    pub(crate) align: Align,
    /// How wide a line has to be for this column to be worth its room.
    pub(crate) from: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
    /// To the right, under a title to the left: days stand in a column of their own.
    Moment,
    /// To the left, and cut where there is no room: for text from the wire.
    Cut,
}

impl Column {
    pub(crate) const fn new(title: &'static str, align: Align) -> Self {
        Self {
            title: Cow::Borrowed(title),
            align,
            from: 0,
        }
    }

    /// One of a table whose columns somebody else has named.
    pub(crate) fn named(title: &str) -> Self {
        Self {
            title: harmless(title).into_owned().into(),
            align: Align::Cut,
            from: 0,
        }
    }

    /// Only on lines of so many characters.
    pub(crate) const fn from(mut self, from: u16) -> Self {
        self.from = from;
        self
    }
}

/// What a value says about how it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Doubtful,
    Bad,
}

/// One value, harmless whatever it was made of.
#[derive(Debug)]
pub(crate) struct Cell {
    text: String,
    /// What is as good where there is little room.
    brief: Option<String>,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self::toned(text, Tone::Plain)
    }

    pub(crate) fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self {
            text: harmless(text.as_ref()).into_owned(),
            brief: None,
            tone,
        }
    }

    /// A moment to the millisecond.
    pub(crate) fn moment(ms: i64) -> Self {
        Self {
            brief: time::today(ms),
            ..Self::new(time::local(ms))
        }
    }

    /// A moment to the second.
    pub(crate) fn second(ms: i64) -> Self {
        Self {
            brief: time::today_second(ms),
            ..Self::new(time::local_second(ms))
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn tone(&self) -> Tone {
        self.tone
    }

    /// A dash where there is nothing.
    pub(crate) fn of<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> Self {
        Self::new(value.map_or(Cow::from("-"), |value| show(value).into()))
    }
}

/// Rows under a header. What is written later keeps the columns of what was
/// written before.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(usize, Column)>,
    width: Option<u16>,
    /// How wide each column has been so far; empty before anything was written.
    widths: Vec<u16>,
}

impl Table {
    pub(crate) fn new(columns: &[Column], output: &Output) -> Self {
        let width = output.width();
        let shown = |(_, column): &(usize, Column)| width.is_none_or(|width| width >= column.from);
        Self {
            columns: columns.iter().cloned().enumerate().filter(shown).collect(),
            width,
            widths: Vec::new(),
        }
    }

    /// Writes rows, under a header if they are the first.
    pub(crate) fn write(&mut self, output: &mut Output, rows: &[Vec<Cell>]) -> io::Result<()> {
        let mut table = comfy_table::Table::new();
        table
            .load_style(comfy_table::presets::NOTHING)
            .set_content_arrangement(ContentArrangement::Dynamic)
            .set_truncation_indicator(&CUT.to_string())
            // Text is cut anywhere: this stands nowhere in it.
            .set_delimiter('\0')
            .force_no_tty();
        if let Some(width) = self.width {
            table.set_width(width);
        }
        if output.is_colored() {
            table.enforce_styling();
        }
        if self.widths.is_empty() {
            let title = |column: &Column| {
                let title = comfy_table::Cell::new(&column.title).add_attribute(Attribute::Bold);
                match column.align {
                    Align::Moment => title.set_alignment(CellAlignment::Left),
                    Align::Left | Align::Right | Align::Cut => title,
                }
            };
            table.set_header(Vec::from_iter(self.columns.iter().map(|(_, c)| title(c))));
        }
        for row in rows {
            let cells = self
                .columns
                .iter()
                .filter_map(|(i, _)| row.get(*i))
                .map(|cell| cell.styled(self.width.is_some()));
            let mut row = Row::from(Vec::from_iter(cells));
            row.max_height(1);
            table.add_row(row);
        }
        self.arrange(&mut table);
        let text = table.trim_fmt();
        if !text.is_empty() {
            writeln!(output, "{text}")?;
        }
        Ok(())
    }

    fn arrange(&mut self, table: &mut comfy_table::Table) {
        let content = table.column_max_content_widths();
        self.widths.resize(self.columns.len(), 0);
        for (widest, content) in self.widths.iter_mut().zip(content) {
            *widest = content.max(*widest);
        }
        let widths = self.fitting();
        for (i, (_, shown)) in self.columns.iter().enumerate() {
            let Some(column) = table.column_mut(i) else {
                continue;
            };
            let is_last = i + 1 == self.columns.len();
            column.set_padding((0, if is_last { 0 } else { GAP }));
            column.set_cell_alignment(match shown.align {
                Align::Right | Align::Moment => CellAlignment::Right,
                Align::Left | Align::Cut => CellAlignment::Left,
            });
            let gap = if is_last { 0 } else { GAP };
            if let Some(width) = widths.get(i) {
                let width = Width::Fixed(width.saturating_add(gap).max(1));
                column.set_constraint(ColumnConstraint::Absolute(width));
            }
        }
    }

    /// How wide each column may be: as wide as what is in it, but those that
    /// can be cut share what the others leave of the line.
    fn fitting(&self) -> Vec<u16> {
        let mut widths = self.widths.clone();
        let Some(line) = self.width else {
            return widths;
        };
        let gaps = GAP * (widths.len().saturating_sub(1)) as u16;
        let cut = |i: usize| {
            self.columns
                .get(i)
                .is_some_and(|(_, c)| c.align == Align::Cut)
        };
        let fixed: u16 = (0..widths.len())
            .filter(|i| !cut(*i))
            .map(|i| widths[i])
            .sum();
        let mut room = line.saturating_sub(gaps).saturating_sub(fixed);
        // The narrowest first: what one does not need is left to the others.
        let mut order: Vec<usize> = (0..widths.len()).filter(|i| cut(*i)).collect();
        order.sort_by_key(|i| widths[*i]);
        let mut left = order.len() as u16;
        for i in order {
            widths[i] = widths[i].min((room / left).max(NARROWEST));
            room = room.saturating_sub(widths[i]);
            left -= 1;
        }
        widths
    }
}

impl Cell {
    fn styled(&self, is_brief: bool) -> comfy_table::Cell {
        let brief = self.brief.as_ref().filter(|_| is_brief);
        let cell = comfy_table::Cell::new(brief.unwrap_or(&self.text));
        match self.tone {
            Tone::Plain => cell,
            Tone::Good => cell.fg(Color::DarkGreen),
            Tone::Doubtful => cell.fg(Color::DarkYellow),
            Tone::Bad => cell.fg(Color::DarkRed),
        }
    }
}
