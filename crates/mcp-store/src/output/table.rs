//! Tables that fit the terminal.

use std::borrow::Cow;
use std::io::{self, Write as _};

use unicode_width::UnicodeWidthChar as _;

use super::Output;
use crate::sanitize::escape_control;
use crate::time;

/// Marks the end of a cut text.
pub(crate) const CUT: &str = "…";

/// The minimal width of a cut column, even if the line is too narrow.
const NARROWEST: usize = 7;

/// Separates two columns.
const GAP: usize = 2;

/// The maximal column width on unbounded lines. A longer value shifts the rest of its own line
/// only.
const WIDEST: usize = 512;

const BOLD: &str = "\x1b[1m";
const RESET: &str = "\x1b[0m";

/// One column of a table.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) title: Cow<'static, str>,
    pub(crate) align: Align,
    /// The minimal line width at which this column is shown.
    pub(crate) from: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
    /// To the right, under a title to the left, so that dates form a column.
    Moment,
    /// To the left, and cut if there is no room. For text from the wire.
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

    /// A column of an SQL query, with its name.
    pub(crate) fn named(title: &str) -> Self {
        Self {
            title: escape_control(title).into_owned().into(),
            align: Align::Cut,
            from: 0,
        }
    }

    /// Shows the column only on lines with at least this many characters.
    pub(crate) const fn from(mut self, from: u16) -> Self {
        self.from = from;
        self
    }
}

/// How a value is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Doubtful,
    Bad,
}

/// One value, with control characters replaced.
#[derive(Debug)]
pub(crate) struct Cell {
    text: String,
    /// A shorter form for narrow lines.
    brief: Option<String>,
    tone: Tone,
}

impl Cell {
    pub(crate) fn new(text: impl AsRef<str>) -> Self {
        Self::toned(text, Tone::Plain)
    }

    pub(crate) fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self {
            text: escape_control(text.as_ref()).into_owned(),
            brief: None,
            tone,
        }
    }

    /// A time to the millisecond.
    pub(crate) fn moment(ms: i64) -> Self {
        Self {
            brief: time::today(ms),
            ..Self::new(time::local(ms))
        }
    }

    /// A time to the second.
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

    /// A value, or a dash if there is none.
    pub(crate) fn of<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> Self {
        Self::new(value.map_or(Cow::from("-"), |value| show(value).into()))
    }
}

/// Rows under a header. Later rows keep the columns of earlier ones.
///
/// A bounded line is never longer than its bound: columns of text are cut first, then the line
/// itself. Of each value only as much is read as a line holds.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(usize, Column)>,
    line: Option<usize>,
    /// The width of each column so far. Empty before the first rows.
    widths: Vec<usize>,
    has_header: bool,
}

impl Table {
    pub(crate) fn new(columns: &[Column], output: &Output) -> Self {
        let width = output.width();
        let shown = |(_, column): &(usize, Column)| width.is_none_or(|width| width >= column.from);
        Self {
            columns: columns.iter().cloned().enumerate().filter(shown).collect(),
            line: width.map(usize::from),
            widths: Vec::new(),
            has_header: false,
        }
    }

    /// Returns whether no value of these rows and the earlier ones has to be cut.
    pub(crate) fn fits(&mut self, rows: &[Vec<Cell>]) -> bool {
        self.measure(rows);
        let gaps = GAP * self.widths.len().saturating_sub(1);
        let wide = self.widths.iter().sum::<usize>() + gaps;
        self.line.is_none_or(|line| wide <= line)
    }

    /// Writes rows, after a header if they are the first.
    pub(crate) fn write(&mut self, output: &mut Output, rows: &[Vec<Cell>]) -> io::Result<()> {
        let is_first = !self.has_header;
        self.has_header = true;
        self.measure(rows);
        let widths = self.fitting();
        if is_first {
            let titles = self.columns.iter().map(|(_, column)| Part {
                text: &column.title,
                to_right: column.align == Align::Right,
                style: BOLD,
            });
            self.line(output, &widths, titles)?;
        }
        for row in rows {
            let cells = self.shown(row).map(|(align, text, tone)| Part {
                text,
                to_right: matches!(align, Align::Right | Align::Moment),
                style: tone.style(),
            });
            self.line(output, &widths, cells)?;
        }
        Ok(())
    }

    /// Returns the cells of a row in the shown columns.
    fn shown<'r>(&self, row: &'r [Cell]) -> impl Iterator<Item = (Align, &'r str, Tone)> {
        self.columns.iter().filter_map(|(i, column)| {
            let cell = row.get(*i)?;
            let brief = cell.brief.as_ref().filter(|_| self.line.is_some());
            Some((
                column.align,
                brief.unwrap_or(&cell.text).as_str(),
                cell.tone,
            ))
        })
    }

    /// Widens each column to its widest value.
    fn measure(&mut self, rows: &[Vec<Cell>]) {
        let most = self.line.unwrap_or(WIDEST);
        let titles = self.columns.iter().map(|(_, c)| start(&c.title, most).1);
        let mut widths: Vec<usize> = titles.collect();
        for row in rows {
            for (widest, (_, text, _)) in widths.iter_mut().zip(self.shown(row)) {
                *widest = (*widest).max(start(text, most).1);
            }
        }
        for (width, before) in widths.iter_mut().zip(&self.widths) {
            *width = (*width).max(*before);
        }
        self.widths = widths;
    }

    /// Returns the width of each column: that of its content, but columns that can be cut share
    /// the rest of the line.
    fn fitting(&self) -> Vec<usize> {
        let mut widths = self.widths.clone();
        let Some(line) = self.line else {
            return widths;
        };
        let is_cut = |i: &usize| {
            let column = self.columns.get(*i);
            column.is_some_and(|(_, column)| column.align == Align::Cut)
        };
        let gaps = GAP * widths.len().saturating_sub(1);
        let fixed: usize = (0..widths.len())
            .filter(|i| !is_cut(i))
            .map(|i| widths[i])
            .sum();
        let mut room = line.saturating_sub(gaps).saturating_sub(fixed);
        // The narrowest first, so that the others get the width that it does not need.
        let mut order: Vec<usize> = (0..widths.len()).filter(is_cut).collect();
        order.sort_by_key(|i| widths[*i]);
        let mut left = order.len();
        for i in order {
            widths[i] = widths[i].min((room / left).max(NARROWEST));
            room = room.saturating_sub(widths[i]);
            left -= 1;
        }
        widths
    }

    /// Writes one line without trailing spaces.
    fn line<'p>(
        &self,
        output: &mut Output,
        widths: &[usize],
        parts: impl Iterator<Item = Part<'p>>,
    ) -> io::Result<()> {
        let is_colored = output.is_colored();
        let (mut written, mut begin) = (0, 0);
        for (part, width) in parts.zip(widths) {
            let room = match self.line {
                Some(line) => (*width).min(line.saturating_sub(begin)),
                None => usize::MAX,
            };
            if room == 0 {
                break;
            }
            let (mut text, mut wide, is_whole) = start(part.text, room);
            if !is_whole {
                (text, wide, _) = start(part.text, room - 1);
                wide += 1;
            }
            if wide > 0 {
                let mut from = begin;
                if part.to_right {
                    from += (*width).min(room).saturating_sub(wide);
                }
                if written > 0 {
                    from = from.max(written + GAP);
                }
                let mark = if is_whole { "" } else { CUT };
                write!(output, "{:1$}", "", from - written)?;
                match is_colored && !part.style.is_empty() {
                    true => write!(output, "{}{text}{mark}{RESET}", part.style)?,
                    false => write!(output, "{text}{mark}")?,
                }
                written = from + wide;
            }
            begin += width + GAP;
        }
        writeln!(output)
    }
}

/// The text in one column of a line.
struct Part<'p> {
    text: &'p str,
    to_right: bool,
    style: &'static str,
}

impl Tone {
    /// Returns a text in this colour.
    pub(super) fn of(self, text: &str) -> String {
        match self.style() {
            "" => text.to_owned(),
            style => format!("{style}{text}{RESET}"),
        }
    }

    fn style(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[38;5;2m",
            Self::Doubtful => "\x1b[38;5;3m",
            Self::Bad => "\x1b[38;5;1m",
        }
    }
}

/// Returns a harmless text that is `width` wide: cut, or followed by spaces.
pub(crate) fn padded(text: &str, width: usize) -> String {
    let text = escape_control(text);
    let (mut begin, mut wide, is_whole) = start(&text, width);
    let mut mark = "";
    if !is_whole {
        (begin, wide, _) = start(&text, width.saturating_sub(1));
        (mark, wide) = (CUT, wide + 1);
    }
    let rest = width.saturating_sub(wide);
    format!("{begin}{mark}{:rest$}", "")
}

/// Returns the start of `text` that is at most `most` wide, its width, and whether it is all.
fn start(text: &str, most: usize) -> (&str, usize, bool) {
    let mut width = 0;
    for (at, c) in text.char_indices() {
        let wider = width + c.width().unwrap_or(0);
        if wider > most {
            return (&text[..at], width, false);
        }
        width = wider;
    }
    (text, width, true)
}
