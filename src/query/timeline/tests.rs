mod model;

use std::fs;
use std::path::Path;

use rusqlite::{Connection, params};

use super::super::stats::tests::model::EMPTY;
use super::super::stats::tests::{LONG, START, deadline, file, flooded, prune};
use super::layout::fitting;
use super::{BucketSource, Timeline, TimelineBucket, timeline};
use crate::db::{BucketWidth, Db, LonelyLegs, POLLS};
use crate::event::Outcome;
use crate::query::{
    ChangeType, Group, Percentiles, Reader, Recorded, RequestFilter, StatsFilter, TimelineFilter,
    Window,
};

const MINUTE: i64 = 60_000;
const HOUR: i64 = BucketWidth::Hour.ms();
const DAY: i64 = BucketWidth::Day.ms();

/// `calls`, server errors, timeouts, tool errors, caller errors and `gone`.
type Counts = [i64; 6];

/// Returns the sums of the buckets.
fn sums(timeline: &Timeline) -> Counts {
    timeline.buckets.iter().fold([0; 6], |sums, bucket| {
        let more = [
            bucket.calls,
            bucket.server_errors,
            bucket.timeouts,
            bucket.tool_errors,
            bucket.caller_errors,
            bucket.gone,
        ];
        std::array::from_fn(|place| sums[place] + more[place])
    })
}

/// Returns the counts of a statistic without polls, and its percentiles.
fn counted(reader: &Reader, filter: &TimelineFilter, window: Window) -> (Counts, [Option<i64>; 4]) {
    let filter = StatsFilter {
        window,
        ..filter.counted()
    };
    let stats = reader.stats(&filter).unwrap();
    assert_eq!(stats.window, window, "the statistic is of the same window");
    let is_poll = |method: &str| POLLS.contains(&method) && filter.method.is_none();
    let groups = stats.groups.iter().filter(|group| !is_poll(&group.method));
    let counts = groups.fold([0; 6], |sums, group| {
        let figures = &group.figures;
        let more = [
            figures.calls,
            figures.errors - figures.timeouts,
            figures.timeouts,
            figures.tool_errors,
            figures.caller_errors,
            figures.gone,
        ];
        std::array::from_fn(|place| sums[place] + more[place])
    });
    let of = &stats.total;
    (counts, [of.p50_us, of.p95_us, of.p99_us, of.max_us])
}

/// Asserts that the buckets divide the window, and that each counts the same as a
/// statistic of its time.
#[track_caller]
fn assert_as_statistics(reader: &Reader, filter: &TimelineFilter, timeline: &Timeline) {
    let mut at = timeline.window.since;
    for bucket in &timeline.buckets {
        assert_eq!(bucket.window.since, at);
        assert!(bucket.window.until > at);
        at = bucket.window.until;
        let (counts, percentiles) = counted(reader, filter, bucket.window);
        let alone = Timeline {
            buckets: vec![bucket.clone()],
            ..timeline.clone()
        };
        assert_eq!(sums(&alone), counts, "{:?}", bucket.window);
        let found = [bucket.p50_us, bucket.p95_us, bucket.p99_us, bucket.max_us];
        for (found, expected) in found.into_iter().zip(percentiles) {
            let (found, expected) = (found.unwrap_or(0) as f64, expected.unwrap_or(0) as f64);
            let bound = 2.0 * expected * crate::histogram::ERROR + 1.0;
            assert!((found - expected).abs() <= bound, "{found} for {expected}");
        }
    }
    for group in &timeline.groups {
        assert_eq!(group.calls.len(), timeline.buckets.len());
    }
    if timeline.window.since < timeline.window.until {
        let filter = filter.counted().window(timeline.window);
        let stats = reader.stats(&filter).unwrap();
        for group in &timeline.groups {
            let is_same = |of: &&Group| (&of.method, &of.tool) == (&group.method, &group.tool);
            let figures = &stats.groups.iter().find(is_same).unwrap().figures;
            let failed = [
                figures.errors,
                figures.tool_errors,
                figures.caller_errors,
                figures.gone,
            ];
            assert_eq!(group.calls.iter().sum::<i64>(), figures.calls);
            assert_eq!(group.failed.iter().sum::<i64>(), failed.iter().sum::<i64>());
        }
    }
    if timeline.window.since < timeline.window.until {
        assert_eq!(at, timeline.window.until);
        assert_eq!(sums(timeline), counted(reader, filter, timeline.window).0);
    }
}

fn ask(reader: &Reader, filter: &TimelineFilter, few: i64) -> Timeline {
    reader.read(|source| timeline(source, filter, few)).unwrap()
}

#[test]
fn width_is_the_least_that_fits() {
    for (length, most, expected) in [
        (0, 60, 10_000),
        (10 * MINUTE, 60, 10_000),
        (10 * MINUTE + 1, 60, 15_000),
        (HOUR, 60, MINUTE),
        (DAY, 60, 30 * MINUTE),
        (7 * DAY, 60, 3 * HOUR),
        (30 * DAY, 60, 12 * HOUR),
        (31 * DAY, 30, 2 * DAY),
        (365 * DAY, 60, 7 * DAY),
    ] {
        let window = Window {
            since: 0,
            until: length,
        };
        assert_eq!(fitting(window, most), expected, "{length} ms");
    }
}

#[test]
fn removed_requests_have_buckets_of_whole_hours() {
    let (dir, _conn, reader) = file(4_000);
    let noted = START + 2 * DAY + HOUR / 2;
    prune(&dir.path().join("mcp.db"), noted);
    let filter = TimelineFilter::new().window(Window {
        since: noted - HOUR,
        until: noted + HOUR,
    });
    let timeline = reader.timeline(&filter).unwrap();
    assert_eq!(timeline.width_ms, 2 * MINUTE);
    let [first, second, third, ..] = &timeline.buckets[..] else {
        panic!("no buckets");
    };
    let hour = |since| Window {
        since,
        until: since + HOUR,
    };
    let of = |bucket: &TimelineBucket| (bucket.window, bucket.source);
    let day = START + 2 * DAY;
    let removed = Window {
        since: day - HOUR,
        until: day + HOUR,
    };
    assert_eq!(timeline.removed, Some(removed));
    assert_eq!(of(first), (hour(day - HOUR), BucketSource::Rollups));
    assert_eq!(of(second), (hour(day), BucketSource::Rollups));
    assert_eq!(
        of(third),
        (
            Window {
                since: day + HOUR,
                until: day + HOUR + 2 * MINUTE
            },
            BucketSource::Requests
        )
    );
    assert!(matches!(
        timeline.percentiles,
        Percentiles::Estimated { .. }
    ));
}

#[test]
fn few_requests_are_counted_exactly() {
    let (_dir, _conn, reader) = file(4_000);
    let timeline = reader.timeline(&TimelineFilter::new()).unwrap();
    assert_eq!(timeline.percentiles, Percentiles::Exact);
    assert_eq!(timeline.removed, None);
    assert_eq!(timeline.width_ms, 2 * HOUR);
    let latencies = timeline.buckets.iter().flat_map(|bucket| &bucket.latencies);
    let timed: i64 = latencies.map(|latency| latency.calls).sum();
    // One of five is a ping, and one of seventeen a stream without a latency.
    assert_eq!(timed, 4_000 - 800 - 236 + 48);
}

#[test]
fn polls_are_counted_only_by_name() {
    let (_dir, _conn, reader) = file(4_000);
    let calls = |filter: &TimelineFilter| sums(&reader.timeline(filter).unwrap())[0];
    assert_eq!(calls(&TimelineFilter::new()), 3_200);
    assert_eq!(calls(&TimelineFilter::new().method("ping")), 800);
    assert_eq!(calls(&TimelineFilter::new().method("tools/call")), 3_200);
}

#[test]
fn tool_without_a_cell_is_counted_from_its_remaining_requests() {
    let (_dir, path) = flooded();
    let reader = Reader::open(&path).unwrap();
    prune(&path, START + 7 * HOUR / 2);
    let timeline = reader
        .timeline(&TimelineFilter::new().tool("late"))
        .unwrap();
    assert_eq!((sums(&timeline)[0], timeline.other_calls), (75, 300 + 225));
}

/// Adds a session of each client, with one call each minute.
fn calls_of_clients(path: &Path, clients: &[(&str, i64)]) {
    let conn = Connection::open(path).unwrap();
    for (client, latency_us) in clients {
        conn.execute(
            "INSERT INTO sessions (session_id, proxy, started_at, last_seen_at, client_name)
             VALUES (?1, 'default', ?2, ?3, ?1)",
            params![client, START, START + 9 * MINUTE],
        )
        .unwrap();
        for minute in 0..10 {
            conn.execute(
                "INSERT INTO requests (request_id, ts, proxy, session_id, method, tool,
                     latency_us, status)
                 VALUES (hex(randomblob(16)), ?1, 'default', ?2, 'tools/call', 'search', ?3, 'ok')",
                params![START + minute * MINUTE, client, latency_us],
            )
            .unwrap();
        }
    }
}

fn empty() -> (tempfile::TempDir, Reader) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("mcp.db");
    fs::write(&path, &*EMPTY).unwrap();
    let reader = Reader::open(&path).unwrap();
    (dir, reader)
}

#[test]
fn client_is_counted_from_its_requests() {
    let (dir, reader) = empty();
    let path = dir.path().join("mcp.db");
    calls_of_clients(&path, &[("Claude Code", 1_000), ("cursor", 2_000)]);
    let filter = TimelineFilter::new().client("claude");
    let timeline = reader.timeline(&filter).unwrap();
    assert_eq!(sums(&timeline)[0], 10);
    assert_eq!(timeline.buckets[0].p50_us, Some(1_000));
    assert_eq!(timeline.buckets[0].source, BucketSource::Requests);

    // The counts of removed requests do not name clients.
    let db = Db::open_to_maintain(&path).unwrap();
    while !db
        .roll_up(LonelyLegs::Wait, LONG, deadline())
        .unwrap()
        .is_last
    {}
    prune(&path, START + 4 * MINUTE);
    let timeline = reader.timeline(&filter).unwrap();
    assert_eq!(sums(&timeline)[0], 6);
    // It begins after the last removed request.
    assert_eq!(timeline.window.since, START + 3 * MINUTE + 1);
    let removed = Window {
        since: START,
        until: START + MINUTE,
    };
    let timeline = reader.timeline(&filter.window(removed)).unwrap();
    assert_eq!(timeline.buckets, []);
}

#[test]
fn end_of_a_task_counts_by_its_outcome_if_its_first_request_meets_the_conditions() {
    let (dir, reader) = empty();
    let conn = Connection::open(dir.path().join("mcp.db")).unwrap();
    for (id, principal, outcome) in [("a", "ann", "timeout"), ("b", "bob", "ok")] {
        conn.execute(
            "INSERT INTO requests (request_id, ts, proxy, method, tool, latency_us, status,
                 end_reason, principal, operation_id, leg)
             VALUES (?1, ?2, 'default', 'tools/call', 'search', 1, 'ok', 'task', ?3, ?1, 1)",
            params![id, START, principal],
        )
        .unwrap();
        conn.execute(
            "INSERT INTO tasks (operation_id, task_id, updated_ts, ended_ts, outcome)
             VALUES (?1, ?1, ?2, ?2, ?3)",
            params![id, START + MINUTE, outcome],
        )
        .unwrap();
    }
    let count = |filter: RequestFilter| {
        let window = Window::since(START).until(START + HOUR);
        let asked = TimelineFilter::new().window(window).conditions(filter);
        let timeline = reader.timeline(&asked).unwrap();
        let sum =
            |count: fn(&TimelineBucket) -> i64| -> i64 { timeline.buckets.iter().map(count).sum() };
        [sum(|of| of.calls), sum(|of| of.ok), sum(|of| of.timeouts)]
    };
    assert_eq!(count(RequestFilter::new().tool("s*")), [2, 1, 1]);
    assert_eq!(count(RequestFilter::new().principal("ann")), [1, 0, 1]);
    assert_eq!(
        count(
            RequestFilter::new()
                .principal("ann")
                .outcomes([Outcome::Ok])
        ),
        [0, 0, 0]
    );
    // The beginning of the task has another outcome.
    assert_eq!(
        count(RequestFilter::new().outcomes([Outcome::Timeout])),
        [0, 0, 1]
    );
}

#[test]
fn file_without_requests_has_no_buckets() {
    let (_dir, reader) = empty();
    for window in [
        Window::ALL,
        Window::since(START),
        Window::ALL.until(START),
        Window {
            since: START,
            until: START - 1,
        },
    ] {
        let filter = TimelineFilter::new().window(window);
        assert_eq!(reader.timeline(&filter).unwrap().buckets, []);
    }
    let filter = TimelineFilter::new().window(Window {
        since: START,
        until: START + HOUR,
    });
    let timeline = reader.timeline(&filter).unwrap();
    assert_eq!(timeline.buckets.len(), 60);
    assert_eq!(sums(&timeline), [0; 6]);
}

#[test]
fn one_request_with_a_wrong_time_leaves_few_buckets() {
    let (_dir, conn, reader) = file(4_000);
    for ts in [0, 1_i64 << 55] {
        conn.execute(
            "INSERT INTO requests (request_id, ts, proxy, method, latency_us, status)
             VALUES (hex(randomblob(16)), ?1, 'default', 'tools/list', 1, 'ok')",
            [ts],
        )
        .unwrap();
    }
    let timeline = reader.timeline(&TimelineFilter::new()).unwrap();
    assert!(timeline.buckets.len() <= 61);
    assert_eq!(sums(&timeline)[0], 3_202);
}

#[test]
fn marks_are_those_of_the_window_and_of_the_tool() {
    let (dir, reader) = empty();
    let conn = Connection::open(dir.path().join("mcp.db")).unwrap();
    for (change, item, at) in [
        ("tool_modified", "search", START + 1),
        ("tool_added", "fetch", START + 2),
        ("prompt_added", "search", START + 3),
        ("tool_removed", "search", START + HOUR),
    ] {
        conn.execute(
            "INSERT INTO schema_changes (upstream_url, method, change_type, item_name, detected_at)
             VALUES ('', 'tools/list', ?1, ?2, ?3)",
            params![change, item, at],
        )
        .unwrap();
    }
    conn.execute(
        "INSERT INTO writers (id, started_at, seen_at, instance)
         VALUES ('a', ?1, ?1, 'pod-1'), ('b', ?1 + 5, ?1 + 5, NULL), ('c', ?1 - 1, ?1, NULL)",
        [START],
    )
    .unwrap();
    conn.execute(
        "INSERT INTO losses (from_ts, to_ts, dropped, reason) VALUES (?1 - 5, ?1, 3, 'queue_full')",
        [START],
    )
    .unwrap();
    let filter = TimelineFilter::new().window(Window {
        since: START,
        until: START + HOUR,
    });
    let timeline = reader.timeline(&filter).unwrap();
    let names = |timeline: &Timeline| {
        let names = timeline.changes.iter().map(|it| it.item_name.clone());
        names.map(Option::unwrap).collect::<Vec<_>>()
    };
    assert_eq!(names(&timeline), ["search", "fetch", "search"]);
    let starts = timeline.writer_starts.iter();
    let starts: Vec<_> = starts
        .map(|it| (it.started_at, it.instance.as_deref()))
        .collect();
    assert_eq!(starts, [(START, Some("pod-1")), (START + 5, None)]);
    assert_eq!(timeline.losses.len(), 1);
    let pattern = RequestFilter::new().tool("sea*");
    let of_tools = reader
        .timeline(&filter.clone().conditions(pattern))
        .unwrap();
    assert_eq!(names(&of_tools), ["search"]);
    let of_tool = reader.timeline(&filter.tool("search")).unwrap();
    assert_eq!(names(&of_tool), ["search"]);
    assert_eq!(
        of_tool.changes[0].change_type,
        Recorded::Known(ChangeType::ToolModified)
    );
}

#[test]
fn busiest_methods_and_tools_are_counted_by_themselves() {
    let (_dir, conn, reader) = file(4_000);
    conn.execute(
        "INSERT INTO requests (request_id, ts, proxy, method, latency_us, status)
         VALUES ('rare', ?1, 'default', 'prompts/list', 1, 'error')",
        [START],
    )
    .unwrap();
    let groups = |most| {
        let filter = TimelineFilter::new().groups(most);
        reader.timeline(&filter).unwrap().groups
    };
    let names = |most| {
        groups(most)
            .into_iter()
            .map(|group| group.tool)
            .collect::<Vec<_>>()
    };
    let tool = |number: i64| Some(format!("tool-{number}"));
    assert_eq!(names(2), [tool(0), tool(1)]);
    assert_eq!(names(9), [tool(0), tool(1), tool(2), tool(3), None]);
    assert_eq!(groups(9)[4].failed[0], 1);
    assert_eq!(names(0), []);
    assert_eq!(reader.timeline(&TimelineFilter::new()).unwrap().groups, []);
}
