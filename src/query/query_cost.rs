//! A query takes no more steps of SQLite's machine in a large file than in a small one,
//! if the documentation promises that.
//!
//! `MCP_STORE_TEST_ROWS=10000000` sets the size of the large file.

mod data;
mod version_4;

use std::time::Duration;

use super::{
    Lookup, Position, Reader, RequestFilter, SchemaFilter, SessionFilter, StatsFilter,
    TimelineFilter, Usage, Window,
};
use crate::{EndReason, Outcome, RequestStatus};
use data::{File, START, files};

/// Asserts that a query takes no more steps in the large file.
#[track_caller]
fn assert_steady(files: &[File; 2], what: &str, ask: impl Fn(&Reader, &File)) {
    let steps = files
        .each_ref()
        .map(|file| file.reader.steps(|reader| ask(reader, file)));
    // The plan compares up to 250 entries of each index.
    let compared = if what.starts_with("two") { 6_000 } else { 0 };
    // The index of sessions has a part for every 65,536 rows.
    let parts = files[1].rows as usize / 65_536 * 200;
    let bound = steps[0] * 11 / 10 + 300 + compared + parts;
    assert!(steps[1] < bound, "{what}: {steps:?}");
}

#[test]
fn newest_requests_cost_the_same_in_files_of_any_size() {
    type Set = fn(&mut RequestFilter, &File);
    let filters: &[(&str, usize, Set)] = &[
        ("all", 50, |_, _| ()),
        ("since", 20, |it, file| {
            it.window = Window::since(file.back(20))
        }),
        ("until", 50, |it, file| it.window.until = file.back(5_000)),
        ("default proxy", 50, |it, _| {
            it.server_name = Some("default".into())
        }),
        ("proxy", 50, |it, _| it.server_name = Some("weather".into())),
        ("rare proxy", 5, |it, _| {
            it.server_name = Some("rare".into())
        }),
        ("tool", 50, |it, _| it.tool = Some("tool-7".into())),
        ("rare tool", 5, |it, _| it.tool = Some("rare".into())),
        ("calls", 50, |it, _| it.method = Some("tools/call".into())),
        ("method", 50, |it, _| it.method = Some("ping".into())),
        ("rare method", 5, |it, _| {
            it.method = Some("prompts/get".into())
        }),
        ("error", 50, |it, _| it.status = Some(RequestStatus::Error)),
        ("timeout", 5, |it, _| {
            it.status = Some(RequestStatus::Timeout)
        }),
        ("ok", 50, |it, _| it.status = Some(RequestStatus::Ok)),
        ("code", 50, |it, _| it.error_code = Some("-32602".into())),
        ("rare code", 5, |it, _| it.error_code = Some("-1".into())),
        ("reason", 50, |it, _| {
            it.end_reason = Some(EndReason::Cancelled)
        }),
        ("rare reason", 5, |it, _| {
            it.end_reason = Some(EndReason::Panic)
        }),
        ("tool error", 5, |it, _| it.tool_error = true),
        ("session", 50, |it, _| {
            it.session = Some("0000000000000007-538453d7".into())
        }),
        ("unknown session", 0, |it, _| {
            it.session = Some("unknown".into())
        }),
        ("client", 50, |it, _| it.client = Some("client-1".into())),
        ("rare client", 50, |it, _| it.client = Some("rare".into())),
        ("client of no request", 0, |it, file| {
            it.client = Some("client-1".into());
            it.target = Some("nothing".into());
            it.window = Window::since(file.back(500));
        }),
        ("clients by the beginning of their name", 50, |it, _| {
            it.client = Some("client-".into())
        }),
        ("rare client in capitals", 50, |it, _| {
            it.client = Some("RARE".into())
        }),
        ("unknown client", 0, |it, _| it.client = Some("none".into())),
        ("principal", 50, |it, _| {
            it.principal = Some("user-3".into())
        }),
        ("rare principal", 5, |it, _| {
            it.principal = Some("rare".into())
        }),
        ("principals by a pattern", 50, |it, _| {
            it.principal = Some("user-*".into())
        }),
        ("trace", 2, |it, _| {
            it.trace_id = Some(format!("{:032x}", 1_000))
        }),
        ("unknown trace", 0, |it, _| {
            it.trace_id = Some("f".repeat(32))
        }),
        ("trace and tool", 0, |it, _| {
            it.trace_id = Some(format!("{:032x}", 1_000));
            it.tool = Some("tool-7".into());
        }),
        ("protocol", 50, |it, _| {
            it.protocol = Some("2025-11-25".into())
        }),
        ("tools by a pattern", 50, |it, _| {
            it.tool = Some("tool-1*".into())
        }),
        ("rare tools by a pattern", 5, |it, _| {
            it.tool = Some("[qr]are".into())
        }),
        ("unknown tools by a pattern", 0, |it, _| {
            it.tool = Some("none*".into())
        }),
        ("methods by a pattern", 50, |it, _| {
            it.method = Some("p*".into())
        }),
        ("rare methods by a pattern", 5, |it, _| {
            it.method = Some("prompts/*".into())
        }),
        ("failed", 50, |it, _| it.outcomes = Outcome::FAILURES.into()),
        ("outcome gone", 50, |it, _| {
            it.outcomes = vec![Outcome::Gone]
        }),
        ("rare outcomes", 5, |it, _| {
            it.outcomes = vec![Outcome::ToolError, Outcome::Timeout]
        }),
        ("outcome of no request", 0, |it, _| {
            it.outcomes = vec![Outcome::InputRequired, Outcome::Working]
        }),
        ("latency", 50, |it, _| {
            it.min_latency = Some(Duration::from_millis(20))
        }),
        ("two, failed and of a rare principal", 5, |it, _| {
            it.outcomes = Outcome::FAILURES.into();
            it.principal = Some("rare".into());
        }),
        ("two, slow and of a rare principal", 4, |it, _| {
            it.min_latency = Some(Duration::from_micros(1));
            it.principal = Some("rare".into());
        }),
        ("two, one of them rare", 5, |it, _| {
            it.server_name = Some("rare".into());
            it.status = Some(RequestStatus::Timeout);
        }),
        ("two, found often", 50, |it, _| {
            it.tool = Some("tool-8".into());
            it.status = Some(RequestStatus::Error);
        }),
        ("what a rare method aims at", 5, |it, _| {
            it.method = Some("prompts/get".into());
            it.target = Some("review".into());
        }),
    ];
    let files = files();
    for (what, count, set) in filters {
        assert_steady(&files, what, |reader, file| {
            let mut filter = RequestFilter::default();
            set(&mut filter, file);
            let rows = reader.requests(&filter, 50, None).unwrap();
            assert_eq!(rows.len(), *count, "{what}");
        });
    }
    assert_steady(&files, "a page", |reader, file| {
        let before = Some(Position {
            ts: file.back(5_000),
            id: file.rows - 5_000,
        });
        let rows = reader
            .requests(&RequestFilter::default(), 50, before)
            .unwrap();
        assert_eq!(rows.len(), 50);
    });
    assert_steady(&files, "a request", |reader, _| {
        let found = reader.find_request("0000002a-").unwrap();
        assert!(found.one().is_some());
        let found = reader.find_request("0000").unwrap();
        assert!(matches!(found, Lookup::Several(_)));
    });
    assert_steady(&files, "an operation", |reader, _| {
        let found = reader.find_operation("0000002a-").unwrap();
        assert!(found.one().is_some());
    });
    assert_steady(&files, "operations", |reader, _| {
        let filter = RequestFilter::new().tool("tool-7");
        let found = reader.operations(&filter, 50, None).unwrap();
        assert_eq!(found.len(), 50);
    });
    assert_steady(&files, "failed operations", |reader, _| {
        let filter = RequestFilter::new().outcomes(Outcome::FAILURES);
        let found = reader.operations(&filter, 50, None).unwrap();
        assert_eq!(found.len(), 50);
    });
    assert_steady(&files, "a session", |reader, _| {
        let found = reader.find_session("0000000000000007-").unwrap();
        assert!(found.one().is_some());
    });
    assert_steady(&files, "following", |reader, file| {
        let mut follow = reader.follow_after(RequestFilter::default(), file.rows - 30);
        assert_eq!(follow.poll().unwrap().len(), 30);
    });
    assert_steady(&files, "sessions", |reader, file| {
        for active in [false, true] {
            for client in [None, Some("client-1"), Some("rare")] {
                let mut filter = SessionFilter::default();
                (filter.active, filter.client) = (active, client.map(str::to_owned));
                filter.window = Window::since(START);
                assert!(!reader.sessions(&filter, 50).unwrap().is_empty());
            }
        }
        // All sessions of this client have ended.
        let ended = SessionFilter {
            client: Some("client-0".to_owned()),
            active: true,
            ..SessionFilter::default()
        };
        assert!(reader.sessions(&ended, 50).unwrap().is_empty());
        let of_proxy = |proxy: &str| SessionFilter {
            server_name: Some(proxy.to_owned()),
            ..SessionFilter::default()
        };
        let recent = SessionFilter {
            window: Window::since(file.back(1_000)),
            ..SessionFilter::default()
        };
        for (filter, count) in [
            (recent, 20),
            (of_proxy("weather"), 50),
            (of_proxy("rare"), 5),
        ] {
            assert_eq!(reader.sessions(&filter, 50).unwrap().len(), count);
        }
    });
}

#[test]
fn several_conditions_cost_what_the_most_selective_index_holds() {
    let [_, large] = files();
    let filter = RequestFilter {
        // None of its calls fails.
        tool: Some("tool-7".into()),
        status: Some(RequestStatus::Error),
        ..RequestFilter::default()
    };
    let steps = large.reader.steps(|reader| {
        assert!(reader.requests(&filter, 50, None).unwrap().is_empty());
    });
    let calls = large.rows as usize / 20;
    assert!(steps < 25_000 + 20 * calls, "{steps} steps, {calls} calls");
    let steps = large.reader.steps(|reader| {
        assert!(reader.slow(&filter, 20).unwrap().is_empty());
    });
    let entries = large.rows as usize;
    assert!(
        steps < 500_000 + 30 * entries,
        "{steps} steps, {entries} entries"
    );
}

#[test]
fn listings_cost_the_same_after_any_number_of_changes() {
    let files = files();
    let of = |proxy: &str| SchemaFilter {
        server_name: Some(proxy.to_owned()),
        ..SchemaFilter::default()
    };
    assert_steady(&files, "listings", |reader, _| {
        let listings = reader.snapshots(&SchemaFilter::default()).unwrap();
        assert_eq!(listings.len(), 2);
        assert_eq!(reader.snapshots(&of("rare")).unwrap().len(), 1);
    });
    assert_steady(&files, "changes", |reader, file| {
        let before = Window {
            until: file.back(5_000),
            ..Window::ALL
        };
        for (filter, window, count) in [
            (SchemaFilter::default(), Window::ALL, 50),
            (SchemaFilter::default(), before, 50),
            (of("weather"), Window::ALL, 50),
            (of("rare"), Window::ALL, 5),
        ] {
            let changes = reader
                .schema_changes(&filter.clone().window(window), 50)
                .unwrap();
            assert_eq!(changes.len(), count, "{filter:?}");
        }
    });
    assert_steady(&files, "effects", |reader, _| {
        let hour = Duration::from_secs(3_600);
        let effects = reader
            .change_impacts(&SchemaFilter::new(), hour, 20)
            .unwrap();
        assert_eq!(effects.len(), 20);
        // Two of the twenty tools are never called.
        let called = effects.iter().filter(|effect| effect.before.calls > 0);
        assert_eq!(called.count(), 18);
    });
    for file in &files {
        let (from, to) = (file.back(1_000), file.back(0));
        let steps = file.reader.steps(|reader| {
            let comparisons = reader.compare(&SchemaFilter::default(), from, to).unwrap();
            assert_eq!(comparisons.len(), 1);
        });
        // The index has the class of callers of each view.
        let views = file.rows as usize / 50;
        assert!(steps < 2_000 + 15 * views, "{steps} steps, {views} views");
    }
    assert_steady(&files, "tools", |reader, file| {
        let window = Window::since(file.back(3_600));
        let tools = reader.tools(&SchemaFilter::new().window(window)).unwrap();
        assert_eq!(tools.len(), 20);
        assert!(tools.iter().any(|tool| tool.usage == Usage::Called));
    });
}

#[test]
fn slowest_requests_and_statistics_cost_what_the_window_holds() {
    let files = files();
    for file in &files {
        for since in [i64::MIN, file.back(3_600)] {
            let filter = RequestFilter {
                window: Window::since(since),
                ..RequestFilter::default()
            };
            let steps = file.reader.steps(|reader| {
                assert_eq!(reader.slow(&filter, 20).unwrap().len(), 20);
            });
            // Some hundred rows share the class of the twentieth at most.
            assert!(steps < 20_000, "{steps} steps, {} rows", file.rows);
        }
    }
    type Set = fn(&mut RequestFilter);
    let rare: [(&str, Set); 3] = [
        ("the slowest of a rare tool", |it| {
            it.tool = Some("rare".into())
        }),
        ("the slowest of a rare client", |it| {
            it.client = Some("rare".into())
        }),
        ("the slowest of a session", |it| {
            it.session = Some("0000000000000007-538453d7".into())
        }),
    ];
    for (what, set) in rare {
        assert_steady(&files, what, |reader, _| {
            let mut filter = RequestFilter::default();
            set(&mut filter);
            assert!(!reader.slow(&filter, 20).unwrap().is_empty(), "{what}");
        });
    }
    assert_steady(&files, "the last hour", |reader, file| {
        let filter = StatsFilter {
            window: Window::since(file.back(3_600)),
            ..StatsFilter::default()
        };
        assert_eq!(reader.stats(&filter).unwrap().total.calls, 3_600);
    });
    let [_, large] = &files;
    let filter = StatsFilter {
        window: Window::since(START + 1),
        ..StatsFilter::default()
    };
    let steps = large.reader.steps(|reader| {
        let stats = reader.stats(&filter).unwrap();
        assert_eq!(stats.total.calls, large.rows - 1);
    });
    // Counting up to the bound, the cells, and the edges.
    let days = large.rows / 86_400 + 1;
    assert!(
        steps < 700_000 + days as usize * 40_000,
        "{steps} steps, {} rows",
        large.rows
    );
}

#[test]
fn timeline_costs_what_its_cells_hold() {
    let [_, large] = files();
    let steps = |filter: &TimelineFilter, calls: i64| {
        large.reader.steps(|reader| {
            let timeline = reader.timeline(filter).unwrap();
            let found: i64 = timeline.buckets.iter().map(|bucket| bucket.calls).sum();
            assert_eq!(found, calls);
        })
    };
    // Every tenth request is a ping, which is left out.
    let calls = large.rows - large.rows.div_euclid(10) + 1;
    let hours = large.rows as usize / 3_600 + 1;
    let all = TimelineFilter::new().window(Window {
        since: START,
        until: START + 1_000 * large.rows,
    });
    // Counting up to the bound, and the totals of the cells.
    let found = steps(&all, calls);
    assert!(found < 600_000 + hours * 1_000, "{found} steps");
    // Only groups need the cells too.
    let of_groups = steps(&all.clone().groups(3), calls);
    assert!(
        found + hours * 100 < of_groups,
        "{found} of {of_groups} steps"
    );
    // Cells of other tools are passed over.
    let found = steps(&all.clone().tool("tool-7"), large.rows / 20 - 1);
    assert!(found < 600_000 + hours * 5_000, "{found} steps");
    // Requests of an hour.
    let hour = Window {
        since: START + 3_600_000,
        until: START + 7_200_000,
    };
    let found = steps(&TimelineFilter::new().window(hour), 3_600 * 9 / 10);
    assert!(found < 400_000, "{found} steps");
}
