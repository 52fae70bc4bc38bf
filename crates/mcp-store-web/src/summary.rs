//! How many calls there were, how they ended and how long they took, under any conditions.

use mcp_store_text::time;
use tower_mcp_store::query::{
    Breakdown, CallStats, GroupBy, Loss, Percentiles, Reader, RequestFilter, StatsFilter, Window,
};

use crate::fault::Fault;

/// The method that calls a tool.
pub(crate) const TOOLS_CALL: &str = "tools/call";

/// The figures of a window.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) total: Figures,
    pub(crate) groups: Vec<Group>,
    pub(crate) losses: Vec<Loss>,
    /// Notes on how the figures were counted.
    pub(crate) notes: Vec<String>,
}

/// The figures of one method, or of one tool.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) method: String,
    pub(crate) tool: Option<String>,
    pub(crate) figures: Figures,
}

/// Numbers of calls and latencies, as [`CallStats`] and [`Breakdown`] have them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Figures {
    pub(crate) calls: i64,
    pub(crate) errors: i64,
    pub(crate) timeouts: i64,
    pub(crate) tool_errors: i64,
    pub(crate) caller_errors: i64,
    pub(crate) gone: i64,
    /// Unknown if requests are counted, and not calls.
    pub(crate) open: Option<i64>,
    pub(crate) p50_us: Option<i64>,
    pub(crate) p95_us: Option<i64>,
    pub(crate) p99_us: Option<i64>,
    pub(crate) max_us: Option<i64>,
}

impl Figures {
    /// Returns the number of calls that failed by a fault of the server or its tool.
    pub(crate) fn failed(&self) -> i64 {
        self.errors.saturating_add(self.tool_errors)
    }
}

impl From<&CallStats> for Figures {
    fn from(stats: &CallStats) -> Self {
        Self {
            calls: stats.calls,
            errors: stats.errors,
            timeouts: stats.timeouts,
            tool_errors: stats.tool_errors,
            caller_errors: stats.caller_errors,
            gone: stats.gone,
            open: Some(stats.open),
            p50_us: stats.p50_us,
            p95_us: stats.p95_us,
            p99_us: stats.p99_us,
            max_us: stats.max_us,
        }
    }
}

impl From<&Breakdown> for Figures {
    fn from(of: &Breakdown) -> Self {
        Self {
            calls: of.calls,
            // `errors` does not include timeouts here.
            errors: of.errors.saturating_add(of.timeouts),
            timeouts: of.timeouts,
            tool_errors: of.tool_errors,
            caller_errors: of.caller_errors,
            gone: of.gone,
            open: None,
            p50_us: of.p50_us,
            p95_us: of.p95_us,
            p99_us: of.p99_us,
            max_us: of.max_us,
        }
    }
}

impl Summary {
    /// Counts the calls that match a filter. If the statistics of removed requests do not have one
    /// of its conditions, it counts only requests that are in the file.
    pub(crate) fn of(reader: &Reader, filter: &RequestFilter) -> Result<Self, Fault> {
        match plain(filter) {
            Some(plain) => Self::of_all(reader, &plain),
            None => Self::of_rows(reader, filter),
        }
    }

    /// Returns whether the statistics of removed requests have all conditions of the filter.
    pub(crate) fn is_of_all(filter: &RequestFilter) -> bool {
        plain(filter).is_some()
    }

    fn of_all(reader: &Reader, filter: &StatsFilter) -> Result<Self, Fault> {
        let report = reader.stats(filter)?;
        let groups = report.groups.iter().map(|group| Group {
            method: group.method.clone(),
            tool: group.tool.clone(),
            figures: (&group.figures).into(),
        });
        let mut notes = Vec::new();
        if report.window != filter.window {
            notes.push(widened(report.window));
        }
        if let Percentiles::Estimated { error } = report.percentiles {
            let percent = error * 100.0;
            notes.push(format!(
                "Percentiles are estimated, within {percent:.1} % of the exact ones."
            ));
        }
        if report.other_calls > 0 {
            let count = mcp_store_text::numbers::count(report.other_calls);
            notes.push(format!("Up to {count} more calls may have this name."));
        }
        Ok(Self {
            total: (&report.total).into(),
            groups: groups.collect(),
            losses: report.losses,
            notes,
        })
    }

    fn of_rows(reader: &Reader, filter: &RequestFilter) -> Result<Self, Fault> {
        let groups = reader.breakdown(filter, &[GroupBy::Method, GroupBy::Tool])?;
        let total = reader.breakdown(filter, &[])?;
        let groups = groups.into_iter().map(|group| {
            let figures = (&group).into();
            let mut keys = group.keys.into_iter();
            Group {
                method: keys.next().flatten().unwrap_or_default(),
                tool: keys.next().flatten(),
                figures,
            }
        });
        Ok(Self {
            total: total.first().map_or_else(Figures::default, Figures::from),
            groups: groups.collect(),
            losses: reader.losses(filter.window)?,
            notes: vec![
                "With these conditions, only requests that are still in the file count.".to_owned(),
            ],
        })
    }
}

fn widened(window: Window) -> String {
    let until = match window.until {
        until if until == Window::ALL.until => "now".to_owned(),
        until => time::local_minute(until),
    };
    let since = time::local_minute(window.since);
    format!(
        "Requests of this range were removed. These are counts of whole hours or days, from {since} \
         to {until}."
    )
}

/// Returns the filter of statistics that also count removed requests, if these have all
/// conditions.
pub(crate) fn plain(filter: &RequestFilter) -> Option<StatsFilter> {
    let mut plain = StatsFilter::new().window(filter.window);
    plain.server_name.clone_from(&filter.server_name);
    plain.method.clone_from(&filter.method);
    plain.tool.clone_from(&filter.tool);
    let mut same = RequestFilter::new().window(filter.window);
    same.server_name.clone_from(&filter.server_name);
    same.method.clone_from(&filter.method);
    same.tool.clone_from(&filter.tool);
    let mut names = [&filter.method, &filter.tool].into_iter().flatten();
    let has_pattern = names.any(|name| is_pattern(name));
    (same == *filter && !has_pattern).then_some(plain)
}

/// Returns whether queries read a name as a pattern.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use tower_mcp_store::query::RequestFilter;

    use super::plain;

    #[test]
    fn removed_requests_count_only_under_the_conditions_that_statistics_have() {
        let filter = RequestFilter::new()
            .tool("search")
            .method("tools/call")
            .server_name("a");
        assert!(plain(&filter).is_some());
        for filter in [
            RequestFilter::new().tool("search*"),
            RequestFilter::new().client("claude"),
            RequestFilter::new().session("s"),
        ] {
            assert!(plain(&filter).is_none(), "{filter:?}");
        }
    }
}
