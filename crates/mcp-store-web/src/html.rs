//! Tables, numbers and times.

use maud::{Markup, Render, html};
use mcp_store_text::{numbers, time};
use tower_mcp_store::Outcome;

use crate::page::Page;
use crate::view::{Name, View};

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    is_number: bool,
}

impl Column {
    pub(crate) const fn text(title: &'static str) -> Self {
        Self {
            title,
            is_number: false,
        }
    }

    /// Returns a column whose cells are aligned at their end.
    pub(crate) const fn number(title: &'static str) -> Self {
        Self {
            title,
            is_number: true,
        }
    }
}

/// Returns a table. The first cell of each row names the row.
pub(crate) fn table(caption: &str, columns: &[Column], rows: &[Vec<Markup>]) -> Markup {
    if rows.is_empty() {
        return html! { p.none { (caption) ": none" } };
    }
    html! {
        div.scroll role="region" aria-label=(caption) tabindex="0" {
            table {
                caption { (caption) }
                (header(columns))
                tbody { @for row in rows { tr { (cells(columns, row)) } } }
            }
        }
    }
}

/// Returns the head of a table.
pub(crate) fn header(columns: &[Column]) -> Markup {
    html! {
        thead {
            tr {
                @for column in columns {
                    th scope="col" class=[column.is_number.then_some("n")] { (column.title) }
                }
            }
        }
    }
}

/// Returns the cells of a row.
pub(crate) fn cells(columns: &[Column], row: &[Markup]) -> Markup {
    html! {
        @for (at, (column, cell)) in columns.iter().zip(row).enumerate() {
            @if at == 0 {
                th scope="row" class=[column.is_number.then_some("n")] { (cell) }
            } @else {
                td class=[column.is_number.then_some("n")] { (cell) }
            }
        }
    }
}

/// Returns names and values, without those that have none.
pub(crate) fn fields(fields: &[(&str, Option<Markup>)]) -> Markup {
    html! {
        dl {
            @for (name, value) in fields {
                @if let Some(value) = value { dt { (name) } dd { (value) } }
            }
        }
    }
}

/// Returns a text from the wire. Its writing direction does not affect the text around it.
pub(crate) fn name(text: &str) -> Markup {
    html! { bdi { (text) } }
}

/// Returns a text from the wire, or a dash.
pub(crate) fn maybe(text: Option<&str>) -> Markup {
    match text {
        Some(text) => name(text),
        None => html! { span.no { "–" } },
    }
}

/// Returns at most the first `most` characters of a text.
pub(crate) fn begin(text: &str, most: usize) -> &str {
    match text.char_indices().nth(most) {
        Some((end, _)) => &text[..end],
        None => text,
    }
}

/// Returns a link whose text is from the wire.
pub(crate) fn link(href: &str, text: &str) -> Markup {
    html! { a href=(href) { bdi { (text) } } }
}

/// Returns a link to a session. Its text is the beginning of the id, which tells sessions apart.
pub(crate) fn session(view: &View, id: &str) -> Markup {
    /// The prefix of the ids that the layer makes. All of these ids share it.
    const DERIVED: &str = "derived:";
    const SHOWN: usize = 13;
    let own = id.strip_prefix(DERIVED).unwrap_or(id);
    let short = begin(own, SHOWN);
    let href = view.to(Page::Session).with(Name::Session, id).href();
    html! { a href=(href) title=(id) { bdi { (short) @if short.len() < own.len() { "…" } } } }
}

fn data(value: i64, text: impl Render) -> Markup {
    html! { data value=(value) { (text) } }
}

pub(crate) fn count(value: i64) -> Markup {
    data(value, numbers::count(value))
}

/// Returns a count, or a dash if it is unknown.
pub(crate) fn maybe_count(value: Option<i64>) -> Markup {
    value.map_or_else(|| maybe(None), count)
}

/// Returns a count, highlighted unless it is 0.
pub(crate) fn bad_count(value: i64) -> Markup {
    match value {
        0 => count(0),
        value => html! { strong.bad { (count(value)) } },
    }
}

pub(crate) fn bytes(value: i64) -> Markup {
    data(value, numbers::bytes(value))
}

/// Returns a part of a whole, in percent.
pub(crate) fn percent(part: i64, whole: i64) -> Markup {
    let text = numbers::percent(part, whole);
    match part {
        0 => html! { (text) },
        _ => html! { strong.bad { (text) } },
    }
}

/// Returns a latency, or a dash.
pub(crate) fn latency(us: Option<i64>) -> Markup {
    match us {
        Some(us) => data(us, time::latency(us)),
        None => maybe(None),
    }
}

/// Returns a figure before and after something.
pub(crate) fn step(before: Markup, after: Markup) -> Markup {
    html! { span.line { (before) " → " (after) } }
}

/// Returns a latency before and after something. A latency that grew by half or more has a mark,
/// if each side has enough calls; `calls` is the number of the side with fewer.
pub(crate) fn latency_step(before: Option<i64>, after: Option<i64>, calls: i64) -> Markup {
    if before.is_none() && after.is_none() {
        return maybe(None);
    }
    match is_slower(before, after, calls) {
        false => step(latency(before), latency(after)),
        true => step(
            latency(before),
            html! { strong.bad { (latency(after)) " ▲" } },
        ),
    }
}

/// The fewest calls whose median is compared with another.
pub(crate) const ENOUGH: i64 = 10;

/// Returns whether a latency grew by half or more, and calls are enough to tell.
fn is_slower(before: Option<i64>, after: Option<i64>, calls: i64) -> bool {
    let grew = before
        .zip(after)
        .is_some_and(|(before, after)| after.saturating_mul(2) >= before.saturating_mul(3));
    grew && calls >= ENOUGH
}

pub(crate) fn moment(ms: i64) -> Markup {
    html! { time datetime=[time::utc(ms)] { (time::local(ms)) } }
}

pub(crate) fn second(ms: i64) -> Markup {
    html! { time datetime=[time::utc(ms)] { (time::local_second(ms)) } }
}

/// Returns an outcome, with a sign that has the same meaning as its colour.
pub(crate) fn outcome(outcome: Outcome) -> Markup {
    let (class, sign) = match outcome {
        Outcome::Ok => ("ok", "✓"),
        Outcome::InputRequired | Outcome::Working => ("open", "…"),
        Outcome::CallerError => ("caller", "!"),
        Outcome::Gone => ("gone", "–"),
        _ => ("bad", "✗"),
    };
    html! {
        span.outcome.(class) { span aria-hidden="true" { (sign) " " } (outcome.as_str()) }
    }
}
