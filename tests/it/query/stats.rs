use std::collections::BTreeMap;

use tower_mcp_store::query::{CallStats, Recorded, Request, StatsFilter};
use tower_mcp_store::{EndReason, Outcome};

use crate::query::data::{Data, START};

/// Asserts that `figures` are those of `rows`.
#[track_caller]
fn assert_figures(figures: &CallStats, rows: &[&Request]) {
    assert_eq!(figures.calls, rows.len() as i64);
    let ended = |all: &[Outcome]| {
        let ended = rows.iter().filter(|row| all.contains(&row.outcome()));
        ended.count() as i64
    };
    use Outcome::{CallerError, Error, Gone, InputRequired, Timeout, ToolError, Working};
    for (found, outcomes) in [
        (figures.errors, &[Error, Timeout][..]),
        (figures.timeouts, &[Timeout]),
        (figures.tool_errors, &[ToolError]),
        (figures.caller_errors, &[CallerError]),
        (figures.gone, &[Gone]),
        (figures.open, &[InputRequired, Working]),
    ] {
        assert_eq!(found, ended(outcomes), "{outcomes:?}");
    }
    let sum = |of: fn(&Request) -> Option<i64>| rows.iter().filter_map(|row| of(row)).sum::<i64>();
    assert_eq!(figures.bytes_in, sum(|row| row.bytes_in));
    assert_eq!(figures.bytes_out, sum(|row| row.bytes_out));
    let mut latencies: Vec<i64> = rows
        .iter()
        .filter(|row| row.end_reason != Some(Recorded::Known(EndReason::StreamEnd)))
        .map(|row| row.latency_us)
        .collect();
    latencies.sort_unstable();
    let found = [
        figures.p50_us,
        figures.p95_us,
        figures.p99_us,
        figures.max_us,
    ];
    // Each of these calls is one request.
    let wall = [
        figures.wall_p50_us,
        figures.wall_p95_us,
        figures.wall_p99_us,
        figures.wall_max_us,
    ];
    assert_eq!(wall, found);
    for (found, percent) in found.into_iter().zip([50, 95, 99, 100]) {
        // The lowest latency that is not below `percent` of all.
        let lowest = latencies
            .iter()
            .enumerate()
            .find(|(i, _)| (i + 1) * 100 >= percent * latencies.len());
        assert_eq!(found, lowest.map(|(_, latency)| *latency), "{percent} %");
    }
}

#[test]
fn each_row_of_the_window_is_counted_once() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        for (since, until) in [(i64::MIN, i64::MAX), (START + 500, START + 1_500), (1, 2)] {
            for (proxy, tool) in [(None, None), (Some("files"), None), (None, Some("tool-4"))] {
                let mut filter = StatsFilter::default();
                (filter.window.since, filter.window.until) = (since, until);
                filter.server_name = proxy.map(str::to_owned);
                filter.tool = tool.map(str::to_owned);
                let stats = data.reader.stats(&filter).unwrap();
                let rows: Vec<&Request> = data
                    .rows
                    .iter()
                    .filter(|row| (since..until).contains(&row.ts))
                    .filter(|row| proxy.is_none_or(|proxy| row.proxy == proxy))
                    .filter(|row| tool.is_none_or(|tool| row.tool.as_deref() == Some(tool)))
                    .collect();
                assert_figures(&stats.total, &rows);
                let mut groups: BTreeMap<_, Vec<&Request>> = BTreeMap::new();
                for row in rows {
                    groups
                        .entry((&row.method, &row.tool))
                        .or_default()
                        .push(row);
                }
                assert_eq!(stats.groups.len(), groups.len());
                for group in &stats.groups {
                    assert_figures(&group.figures, &groups[&(&group.method, &group.tool)]);
                }
                assert!(stats.groups.is_sorted_by_key(|group| -group.figures.calls));
            }
        }
    }
}
