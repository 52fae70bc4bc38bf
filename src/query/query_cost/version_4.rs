//! The cost of queries in a file of version 4, which has fewer indexes.

use std::time::Duration;

use super::data::{File, files_of_version_4};
use crate::query::{
    ClientFilter, NameKind, Reader, RequestFilter, SchemaFilter, SessionFilter, StatsFilter, Window,
};
use crate::{EndReason, Outcome, RequestStatus};

/// The bounds are a number of steps, and steps for each row of the file.
#[test]
fn queries_of_version_4_use_its_indexes() {
    type Ask = fn(&Reader, &File);
    fn logs(reader: &Reader, set: impl FnOnce(&mut RequestFilter)) {
        let mut filter = RequestFilter::default();
        set(&mut filter);
        reader.requests(&filter, 50, None).unwrap();
    }
    fn slow(reader: &Reader, set: impl FnOnce(&mut RequestFilter)) {
        let mut filter = RequestFilter::default();
        set(&mut filter);
        reader.slow(&filter, 20).unwrap();
    }
    fn sessions(reader: &Reader, active: bool, client: Option<&str>, proxy: Option<&str>) {
        let filter = SessionFilter {
            active,
            client: client.map(str::to_owned),
            server_name: proxy.map(str::to_owned),
            ..SessionFilter::default()
        };
        reader.sessions(&filter, 50).unwrap();
    }
    let queries: &[(&str, usize, f64, Ask)] = &[
        ("logs", 3_500, 0.0, |it, _| logs(it, |_| ())),
        ("logs since", 1_500, 0.0, |it, file| {
            logs(it, |f| f.window = Window::since(file.back(20)))
        }),
        ("logs default proxy", 4_300, 0.0, |it, _| {
            logs(it, |f| f.server_name = Some("default".into()))
        }),
        ("logs rare proxy", 420, 0.0, |it, _| {
            logs(it, |f| f.server_name = Some("rare".into()))
        }),
        ("logs tool", 3_600, 0.0, |it, _| {
            logs(it, |f| f.tool = Some("tool-7".into()))
        }),
        ("logs rare tool", 380, 0.0, |it, _| {
            logs(it, |f| f.tool = Some("rare".into()))
        }),
        ("logs method", 6_700, 0.0, |it, _| {
            logs(it, |f| f.method = Some("ping".into()))
        }),
        ("logs rare method", 220, 6.6, |it, _| {
            logs(it, |f| f.method = Some("prompts/get".into()))
        }),
        ("logs error", 3_600, 0.0, |it, _| {
            logs(it, |f| f.status = Some(RequestStatus::Error))
        }),
        ("logs timeout", 380, 0.0, |it, _| {
            logs(it, |f| f.status = Some(RequestStatus::Timeout))
        }),
        ("logs ok", 3_800, 0.0, |it, _| {
            logs(it, |f| f.status = Some(RequestStatus::Ok))
        }),
        ("logs code", 4_600, 0.0, |it, _| {
            logs(it, |f| f.error_code = Some("-32602".into()))
        }),
        ("logs rare code", 210, 6.6, |it, _| {
            logs(it, |f| f.error_code = Some("-1".into()))
        }),
        ("logs reason", 50, 0.0, |it, _| {
            logs(it, |f| f.end_reason = Some(EndReason::Panic))
        }),
        ("logs tool error", 50, 0.0, |it, _| {
            logs(it, |f| f.tool_error = true)
        }),
        ("logs target", 50, 0.0, |it, _| {
            logs(it, |f| f.target = Some("review".into()))
        }),
        ("logs session", 6_200, 0.0, |it, _| {
            logs(it, |f| f.session = Some("0000000000000007-538453d7".into()))
        }),
        ("logs client", 7_100, 0.36, |it, _| {
            logs(it, |f| f.client = Some("client-1".into()))
        }),
        ("logs rare client", 7_600, 0.0, |it, _| {
            logs(it, |f| f.client = Some("rare".into()))
        }),
        ("logs tools by a pattern", 15_000, 0.0, |it, _| {
            logs(it, |f| f.tool = Some("tool-1*".into()))
        }),
        ("logs methods by a pattern", 250, 9.9, |it, _| {
            logs(it, |f| f.method = Some("prompts/*".into()))
        }),
        ("logs failed", 5_900, 0.0, |it, _| {
            logs(it, |f| f.outcomes = Outcome::FAILURES.into())
        }),
        ("logs latency", 50, 6.6, |it, _| {
            logs(it, |f| f.min_latency = Some(Duration::from_secs(100)))
        }),
        ("logs principal", 50, 0.0, |it, _| {
            logs(it, |f| f.principal = Some("rare".into()))
        }),
        ("logs trace", 50, 0.0, |it, _| {
            logs(it, |f| f.trace_id = Some("f".repeat(32)))
        }),
        ("names of tools", 1_000, 0.0, |it, _| {
            it.names(NameKind::Tool, "", 100).map(drop).unwrap()
        }),
        ("logs two, rare", 780, 0.0, |it, _| {
            logs(it, |f| {
                f.server_name = Some("rare".into());
                f.status = Some(RequestStatus::Timeout);
            })
        }),
        ("logs two, often", 11_000, 0.0, |it, _| {
            logs(it, |f| {
                f.tool = Some("tool-8".into());
                f.status = Some(RequestStatus::Error);
            })
        }),
        ("logs two, never", 6_200, 0.89, |it, _| {
            logs(it, |f| {
                f.tool = Some("tool-7".into());
                f.status = Some(RequestStatus::Error);
            })
        }),
        ("logs method and code", 11_000, 0.0, |it, _| {
            logs(it, |f| {
                f.method = Some("ping".into());
                f.error_code = Some("-32602".into());
            })
        }),
        ("logs rare code and tool", 120, 0.0, |it, _| {
            logs(it, |f| {
                f.tool = Some("rare".into());
                f.error_code = Some("-1".into());
            })
        }),
        ("logs code and tool", 3_600, 0.0, |it, _| {
            logs(it, |f| {
                f.tool = Some("tool-8".into());
                f.error_code = Some("-32602".into());
            })
        }),
        ("slow", 6_200, 13.22, |it, _| slow(it, |_| ())),
        ("slow last hour", 53_000, 0.0, |it, file| {
            slow(it, |f| f.window = Window::since(file.back(3_600)))
        }),
        ("slow proxy", 14_000, 0.0, |it, _| {
            slow(it, |f| f.server_name = Some("weather".into()))
        }),
        ("slow default proxy", 2_600, 0.0, |it, _| {
            slow(it, |f| f.server_name = Some("default".into()))
        }),
        ("slow tool", 12_000, 0.73, |it, _| {
            slow(it, |f| f.tool = Some("tool-7".into()))
        }),
        ("slow rare tool", 670, 0.0, |it, _| {
            slow(it, |f| f.tool = Some("rare".into()))
        }),
        ("slow method", 3_900, 7.72, |it, _| {
            slow(it, |f| f.method = Some("ping".into()))
        }),
        ("slow code", 4_800, 8.82, |it, _| {
            slow(it, |f| f.error_code = Some("-32602".into()))
        }),
        ("slow rare code", 370, 6.6, |it, _| {
            slow(it, |f| f.error_code = Some("-1".into()))
        }),
        ("slow reason", 100, 0.0, |it, _| {
            slow(it, |f| f.end_reason = Some(EndReason::Panic))
        }),
        ("slow rare client", 30_000, 0.0, |it, _| {
            slow(it, |f| f.client = Some("rare".into()))
        }),
        ("slow session", 5_000, 0.0, |it, _| {
            slow(it, |f| f.session = Some("0000000000000007-538453d7".into()))
        }),
        ("slow two", 3_300, 5.36, |it, _| {
            slow(it, |f| {
                f.tool = Some("tool-8".into());
                f.status = Some(RequestStatus::Error);
            })
        }),
        ("find request", 110, 0.0, |it, _| {
            drop(it.find_request("0000002a-").unwrap().one())
        }),
        ("find session", 130, 0.0, |it, _| {
            drop(it.find_session("0000000000000007-").unwrap().one())
        }),
        ("follow", 2_300, 0.0, |it, file| {
            drop(
                it.follow_after(RequestFilter::default(), file.rows - 30)
                    .poll()
                    .unwrap(),
            )
        }),
        ("sessions", 410, 0.7, |it, _| {
            sessions(it, false, None, None)
        }),
        ("sessions client", 750, 0.37, |it, _| {
            sessions(it, false, Some("client-1"), None)
        }),
        ("sessions proxy", 3_000, 0.0, |it, _| {
            sessions(it, false, None, Some("weather"))
        }),
        ("sessions active", 760, 0.35, |it, _| {
            sessions(it, true, None, None)
        }),
        ("sessions active client", 750, 0.39, |it, _| {
            sessions(it, true, Some("client-1"), None)
        }),
        ("sessions active proxy", 3_000, 0.0, |it, _| {
            sessions(it, true, None, Some("weather"))
        }),
        ("stats hour", 87_000, 0.0, |it, file| {
            drop(
                it.stats(&StatsFilter {
                    window: Window::since(file.back(3_600)),
                    ..StatsFilter::default()
                })
                .unwrap(),
            )
        }),
        ("stats", 150, 24.0, |it, _| {
            drop(it.stats(&StatsFilter::default()).unwrap())
        }),
        ("stats tool", 150, 1.2, |it, _| {
            drop(
                it.stats(&StatsFilter {
                    tool: Some("tool-7".into()),
                    ..StatsFilter::default()
                })
                .unwrap(),
            )
        }),
        ("snapshots", 110, 0.42, |it, _| {
            drop(it.snapshots(&SchemaFilter::default()).unwrap())
        }),
        ("changes", 480, 0.47, |it, _| {
            drop(it.schema_changes(&SchemaFilter::new(), 50).unwrap())
        }),
        ("effects", 24_000, 8.74, |it, _| {
            drop(
                it.change_impacts(&SchemaFilter::new(), Duration::from_secs(3_600), 20)
                    .unwrap(),
            )
        }),
        ("compare", 50, 0.0, |it, file| {
            drop(
                it.compare(&SchemaFilter::default(), 0, file.back(0))
                    .unwrap(),
            )
        }),
        ("tools", 550, 0.42, |it, file| {
            drop(
                it.tools(&SchemaFilter::new().window(Window::since(file.back(3_600))))
                    .unwrap(),
            )
        }),
        ("clients", 190, 0.7, |it, _| {
            drop(it.clients(&ClientFilter::new()).unwrap())
        }),
        ("losses", 40, 0.0, |it, _| {
            drop(it.losses(Window::ALL).unwrap())
        }),
        ("info", 130, 0.04, |it, _| drop(it.info().unwrap())),
    ];
    let mut over = Vec::new();
    for file in files_of_version_4() {
        for (what, fixed, per_row, ask) in queries {
            let steps = file.reader.steps(|reader| ask(reader, &file));
            let bound = *fixed as f64 + per_row * file.rows as f64;
            if steps as f64 > bound {
                over.push(format!("{what}: {steps} steps, {} rows", file.rows));
            }
        }
    }
    assert!(over.is_empty(), "{over:#?}");
}
