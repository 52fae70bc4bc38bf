//! How a tool fared before and after it changed.

use std::time::Duration;

use rusqlite::params;

use super::{SchemaChange, SchemaFilter, changes};
use crate::error::QueryError;
use crate::query::reader::Source;
use crate::query::stats::stats;
use crate::query::{Figures, Reader, StatsFilter, Window};
use crate::wire::Discovery;

/// A change of a tool, and how its calls went before and after.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[non_exhaustive]
pub struct Effect {
    /// The change.
    pub change: SchemaChange,
    /// The calls before it, back to the change before.
    pub before: Figures,
    /// The calls since, up to the next change.
    pub after: Figures,
}

impl Effect {
    /// How much of 1 of the calls failed more than before, whether the call or
    /// the tool; `None` without calls on both sides.
    pub fn failure_rate_delta(&self) -> Option<f64> {
        let rate = |figures: &Figures| {
            let failed = (figures.errors + figures.tool_errors) as f64;
            (figures.calls > 0).then(|| failed / figures.calls as f64)
        };
        Some(rate(&self.after)? - rate(&self.before)?)
    }
}

impl Reader {
    /// The latest `limit` changes of tools in a window, latest first, each with
    /// the calls of that tool for at most so long before and after.
    pub fn effects(
        &self,
        filter: &SchemaFilter,
        window: Window,
        span: Duration,
        limit: usize,
    ) -> Result<Vec<Effect>, QueryError> {
        self.read(|source| effects(source, filter, window, span, limit))
    }
}

fn effects(
    source: &Source<'_>,
    filter: &SchemaFilter,
    window: Window,
    span: Duration,
    limit: usize,
) -> rusqlite::Result<Vec<Effect>> {
    let mut filter = filter.clone();
    filter.method = Some(Discovery::Tools.method().to_owned());
    let changes = changes(
        source,
        &filter,
        window,
        limit,
        " AND +item_name IS NOT NULL",
    )?;
    let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    let of_change = |change: SchemaChange| {
        let at = change.detected_at;
        let (earlier, later) = neighbours(source, &change)?;
        let calls = |since: i64, until: i64| {
            let filter = StatsFilter {
                window: Window { since, until },
                proxy: Some(change.proxy.clone()),
                tool: change.item_name.clone(),
                ..StatsFilter::default()
            };
            stats(source, &filter).map(|stats| stats.total)
        };
        let before = calls(at.saturating_sub(span).max(earlier.unwrap_or(i64::MIN)), at)?;
        let after = calls(at, at.saturating_add(span).min(later.unwrap_or(i64::MAX)))?;
        Ok(Effect {
            change,
            before,
            after,
        })
    };
    changes.into_iter().map(of_change).collect()
}

/// When the same tool changed before and after.
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
