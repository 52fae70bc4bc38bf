//! The events of a stream.

use axum::body::Bytes;
use maud::html;
use tower_mcp_store::query::Written;

use crate::layout::harmless;
use crate::pages;
use crate::view::View;

/// An event of a stream.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The number of the last row that was examined.
    pub(super) last: i64,
    /// Whether another file has taken the place of the one that was followed.
    pub(super) is_of_another_file: bool,
    pub(super) text: Bytes,
}

impl Message {
    /// Returns the message about new rows. It has the newest one first.
    pub(super) fn of_rows(view: &View, written: &Written, last: i64) -> Self {
        let omitted = written.omitted;
        let rows = html! {
            @for row in written.rows.iter().rev() { (pages::live::row(view, row)) }
            @if omitted > 0 || written.is_partial {
                tr {
                    td colspan=(pages::requests::COLUMNS.len()) {
                        @if written.is_partial { "at least " }
                        (omitted) " more requests"
                    }
                }
            }
        };
        Self::new("rows", last, &harmless(rows.into_string()))
    }

    pub(super) fn of_problem(problem: &str, last: i64) -> Self {
        Self::new("problem", last, problem)
    }

    pub(super) fn new(kind: &str, last: i64, data: &str) -> Self {
        let mut text = format!("event: {kind}\nid: {last}\n");
        for line in data.split(['\n', '\r']) {
            text.push_str("data: ");
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
        Self {
            last,
            is_of_another_file: false,
            text: text.into(),
        }
    }
}
