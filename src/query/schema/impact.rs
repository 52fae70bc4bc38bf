//! The calls of a tool before and after it changed.

use std::collections::HashMap;
use std::time::Duration;

use rusqlite::params;

use super::{SchemaChange, SchemaFilter, changes, changes_of_tool};
use crate::query::QueryError;
use crate::query::conditions::TOOLS_CALL;
use crate::query::reader::Source;
use crate::query::stats::stats;
use crate::query::{CallStats, Reader, StatsFilter, Window};
use crate::wire::Discovery;

/// A change of a tool, and the statistics of its calls before and after.
///
/// If requests are gone, the calls of whole hours or days are counted, as in
/// [`stats`](Reader::stats). Both sides then include the hour or day of the change.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct ChangeImpact {
    /// The change.
    pub change: SchemaChange,
    /// The calls before it, from the previous change on.
    pub before: CallStats,
    /// The calls after it, up to the next change.
    pub after: CallStats,
}

impl ChangeImpact {
    /// Returns the failure rate after the change minus the rate before it. A call or its
    /// tool may fail. Returns `None` if there were no calls before or none after.
    pub fn failure_rate_delta(&self) -> Option<f64> {
        let rate = |figures: &CallStats| {
            let failed = (figures.errors + figures.tool_errors) as f64;
            (figures.calls > 0).then(|| failed / figures.calls as f64)
        };
        Some(rate(&self.after)? - rate(&self.before)?)
    }
}

impl Reader {
    /// Returns the latest `limit` changes of tools that the filter takes, latest first,
    /// each with the calls of that tool during at most `span` before and after it.
    pub fn change_impacts(
        &self,
        filter: &SchemaFilter,
        span: Duration,
        limit: usize,
    ) -> Result<Vec<ChangeImpact>, QueryError> {
        self.read(|source| {
            let filter = filter.clone().method(Discovery::Tools.method());
            let changes = changes(source, &filter, limit, " AND +item_name IS NOT NULL")?;
            impacts(source, changes, span)
        })
    }

    /// Returns the same as [`change_impacts`](Self::change_impacts), but only of the changes of
    /// this tool, or of the tools that match this pattern.
    pub fn tool_change_impacts(
        &self,
        filter: &SchemaFilter,
        tool: &str,
        span: Duration,
        limit: usize,
    ) -> Result<Vec<ChangeImpact>, QueryError> {
        self.read(|source| {
            let filter = filter.clone().method(Discovery::Tools.method());
            let changes = changes_of_tool(source, &filter, tool, limit)?;
            impacts(source, changes, span)
        })
    }
}

/// Returns the calls before and after each change.
fn impacts(
    source: &Source<'_>,
    changes: Vec<SchemaChange>,
    span: Duration,
) -> rusqlite::Result<Vec<ChangeImpact>> {
    let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let mut sides = Vec::with_capacity(changes.len());
    for change in &changes {
        let at = change.detected_at;
        let (earlier, later) = neighbours(source, change)?;
        let before = Window {
            since: at.saturating_sub(span).max(earlier.unwrap_or(i64::MIN)),
            until: at,
        };
        let after = Window {
            since: at,
            until: at.saturating_add(span).min(later.unwrap_or(i64::MAX)),
        };
        sides.push([before, after]);
    }
    let windows = Windows::of(source, &changes, &sides)?;
    let impacts = changes
        .iter()
        .zip(&sides)
        .map(|(change, [before, after])| ChangeImpact {
            change: change.clone(),
            before: windows.figures(change, *before),
            after: windows.figures(change, *after),
        });
    Ok(impacts.collect())
}

/// The calls of tools by server and window. Changes share windows: changes of one moment
/// have the same windows, and one change's window ends where the next begins. Each window
/// is counted once.
#[derive(Debug, Default)]
struct Windows<'a>(HashMap<(&'a str, Window), HashMap<&'a str, CallStats>>);

impl<'a> Windows<'a> {
    fn of(
        source: &Source<'_>,
        changes: &'a [SchemaChange],
        sides: &[[Window; 2]],
    ) -> rusqlite::Result<Self> {
        let mut this = Self::default();
        for (change, windows) in changes.iter().zip(sides) {
            for window in windows {
                let tools = this.0.entry((&*change.proxy, *window)).or_default();
                tools.insert(tool(change), CallStats::default());
            }
        }
        for ((proxy, window), tools) in &mut this.0 {
            let mut filter = StatsFilter {
                window: *window,
                server_name: Some((*proxy).to_owned()),
                method: Some(TOOLS_CALL.to_owned()),
                tool: None,
            };
            if let (1, Some(only)) = (tools.len(), tools.keys().next()) {
                filter.tool = Some((*only).to_owned());
            }
            for group in stats(source, &filter)?.groups {
                let figures = group.tool.and_then(|tool| tools.get_mut(&*tool));
                if let Some(figures) = figures {
                    *figures = group.figures;
                }
            }
        }
        Ok(this)
    }

    fn figures(&self, change: &SchemaChange, window: Window) -> CallStats {
        let tools = self.0.get(&(&*change.proxy, window));
        let figures = tools.and_then(|tools| tools.get(tool(change)));
        figures.cloned().unwrap_or_default()
    }
}

fn tool(change: &SchemaChange) -> &str {
    change.item_name.as_deref().unwrap_or_default()
}

/// Returns when the same tool changed before and after this change.
fn neighbours(
    source: &Source<'_>,
    change: &SchemaChange,
) -> rusqlite::Result<(Option<i64>, Option<i64>)> {
    source
        .conn
        .prepare_cached(
            "SELECT
                 (SELECT detected_at FROM schema_changes
                  WHERE +proxy = ?1 AND +upstream_url = ?2 AND +method = ?3
                      AND item_name = ?4 AND detected_at < ?5
                  ORDER BY detected_at DESC LIMIT 1),
                 (SELECT detected_at FROM schema_changes
                  WHERE +proxy = ?1 AND +upstream_url = ?2 AND +method = ?3
                      AND item_name = ?4 AND detected_at > ?5
                  ORDER BY detected_at LIMIT 1)",
        )?
        .query_row(
            params![
                change.proxy,
                change.upstream_url,
                change.method,
                change.item_name,
                change.detected_at
            ],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
}
