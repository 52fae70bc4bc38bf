//! Which calls count as failed, and when a call ended.

use tower_mcp_store::Outcome;
use tower_mcp_store::query::{Group, Request};

/// Returns how many calls of a group failed, also by a fault of their caller.
pub(crate) fn failed(group: &Group) -> i64 {
    let figures = &group.figures;
    let parts = [figures.tool_errors, figures.caller_errors, figures.gone];
    parts.into_iter().fold(figures.errors, i64::saturating_add)
}

/// Returns whether a request failed, by its outcome. One that asks its client for input has
/// not, even if it does so by an error.
pub(crate) fn has_failed(row: &Request) -> bool {
    Outcome::FAILURES.contains(&row.outcome())
}

/// Returns when a request ended, in unix milliseconds.
pub(crate) fn ended(row: &Request) -> i64 {
    row.ts.saturating_add(row.latency_us / 1_000)
}
