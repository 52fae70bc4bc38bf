use tower_mcp_store::Outcome;
use tower_mcp_store::query::{Request, TimelineBucket, TimelineFilter};

use crate::query::data::{Data, filters};

#[test]
fn buckets_count_the_requests_that_the_conditions_take() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        for filter in filters() {
            let asked = TimelineFilter::new()
                .window(filter.window)
                .conditions(filter.clone());
            let timeline = data.reader.timeline(&asked).unwrap();
            let counted = filter.clone().window(timeline.window);
            let taken: Vec<&Request> = data
                .rows
                .iter()
                .filter(|row| data.takes(&counted, row))
                .collect();
            let sum =
                |count: fn(&TimelineBucket) -> i64| timeline.buckets.iter().map(count).sum::<i64>();
            let of = |outcome| {
                let taken = taken.iter().filter(|row| row.outcome() == outcome);
                taken.count() as i64
            };
            assert_eq!(
                sum(|bucket| bucket.calls),
                taken.len() as i64,
                "{version}, {filter:?}"
            );
            for (found, outcome) in [
                (sum(|bucket| bucket.ok), Outcome::Ok),
                (sum(|bucket| bucket.tool_errors), Outcome::ToolError),
                (sum(|bucket| bucket.caller_errors), Outcome::CallerError),
                (sum(|bucket| bucket.server_errors), Outcome::Error),
                (sum(|bucket| bucket.timeouts), Outcome::Timeout),
                (sum(|bucket| bucket.gone), Outcome::Gone),
            ] {
                assert_eq!(found, of(outcome), "{version}, {outcome:?}, {filter:?}");
            }
        }
    }
}
