use tower_mcp_store::query::{
    Caller, ClientFilter, GroupBy, Lookup, NameKind, RequestFilter, Session, SessionFilter,
    SessionOrder, Window,
};
use tower_mcp_store::{Outcome, RequestStatus};

use crate::query::data::{Data, START, filters, session_id};

type Figure = fn(&Session) -> i64;

/// The orders of sessions, each with the figure by which it sorts.
const ORDERS: [(SessionOrder, Figure); 4] = [
    (SessionOrder::LastSeen, |it| it.last_seen_at),
    (SessionOrder::Calls, |it| it.operations),
    (SessionOrder::Errors, |it| it.total_errors),
    (SessionOrder::Longest, |it| {
        it.ended_at.unwrap_or(it.last_seen_at) - it.started_at
    }),
];

#[test]
fn sessions_come_latest_first_for_every_filter() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        let all = data
            .reader
            .sessions(&SessionFilter::default(), 100)
            .unwrap();
        assert_eq!(all.len(), 40);
        assert!(all.is_sorted_by_key(|session| -session.started_at));
        for proxy in [None, Some("weather"), Some("unknown")] {
            for client in [None, Some("client-3"), Some("unknown")] {
                for active in [false, true] {
                    for since in [i64::MIN, START + 200, START + 4_000] {
                        let mut filter = SessionFilter::default();
                        filter.window = Window::since(since);
                        filter.server_name = proxy.map(str::to_owned);
                        filter.client = client.map(str::to_owned);
                        filter.active = active;
                        let mut expected = all.clone();
                        expected.retain(|session| {
                            proxy.is_none_or(|proxy| session.proxy == proxy)
                                && client
                                    .is_none_or(|it| session.client_name.as_deref() == Some(it))
                                && (!active || session.ended_at.is_none())
                        });
                        if active {
                            expected.retain(|session| session.last_seen_at >= since);
                        } else {
                            expected.retain(|session| session.started_at >= since);
                        }
                        let found = data.reader.sessions(&filter, 100).unwrap();
                        assert_eq!(found.len(), expected.len(), "{version} {filter:?}");
                        assert!(found.iter().all(|session| expected.contains(session)));
                        if active {
                            assert!(found.is_sorted_by_key(|session| -session.last_seen_at));
                        }
                        for (order, figure) in ORDERS {
                            let first = data.reader.sessions_by(&filter, order, 7).unwrap();
                            let mut figures: Vec<i64> = expected.iter().map(figure).collect();
                            figures.sort_by_key(|figure| -figure);
                            figures.truncate(7);
                            let found: Vec<i64> = first.iter().map(figure).collect();
                            assert_eq!(found, figures, "{version} {order:?} {filter:?}");
                            assert!(first.iter().all(|session| expected.contains(session)));
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn session_is_found_by_the_beginning_of_its_id() {
    let data = Data::of_version(5);
    let find = |id: &str| data.reader.find_session(id).unwrap();
    let whole = find(&session_id(12)).one().unwrap();
    assert_eq!(whole.session_id, session_id(12));
    assert_eq!(find("session-0012").one(), Some(whole));
    assert!(matches!(find("session-00"), Lookup::Several(ids) if ids.len() == 5));
    assert_eq!(find("session_"), Lookup::Nothing);
}

#[test]
fn whole_id_that_only_requests_have_precedes_the_beginning_of_another() {
    let data = Data::of_version(5);
    let conn = crate::support::connect(&data.path);
    conn.execute(
        "UPDATE requests SET session_id = 'session-001' WHERE id = 1",
        [],
    )
    .unwrap();
    let find = |id: &str| data.reader.find_session_id(id).unwrap();
    let whole = Lookup::One("session-001".to_owned());
    assert_eq!(find("session-001"), whole);
    assert_eq!(find("session-0012"), Lookup::One(session_id(12)));
}

#[test]
fn request_is_found_by_an_id_in_either_case() {
    let data = Data::of_version(5);
    let conn = crate::support::connect(&data.path);
    let rename = "UPDATE requests SET request_id = ?1 WHERE id = ?2";
    conn.execute(rename, ("ABCDEF-upper", 1)).unwrap();
    conn.execute(rename, ("fedcba-lower", 2)).unwrap();
    for (typed, id) in [("ABCDEF", 1), ("fedcba", 2), ("FEDCBA", 2)] {
        let found = data.reader.find_request(typed).unwrap().one();
        assert_eq!(found.map(|request| request.id), Some(id), "{typed}");
    }
}

#[test]
fn clients_are_counted_by_name_and_platform() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        let clients = data.reader.clients(&ClientFilter::new()).unwrap();
        assert_eq!(clients.len(), 5, "four names, and those without one");
        assert!(clients.is_sorted_by_key(|client| -client.requests));
        for client in &clients {
            let rows = data
                .rows
                .iter()
                .filter(|row| row.session_id.is_some() && data.client(row) == client.client_name);
            assert_eq!(rows.count() as i64, client.requests, "{client:?}");
            assert_eq!(client.sessions, 8);
        }
        let later = Window::since(START + 1_000_000);
        assert!(
            data.reader
                .clients(&ClientFilter::new().window(later))
                .unwrap()
                .is_empty()
        );
        let of_one = data
            .reader
            .clients(&ClientFilter::new().server_name("weather"))
            .unwrap();
        let sessions: i64 = of_one.iter().map(|client| client.sessions).sum();
        assert_eq!(sessions, 13);
    }
}

#[test]
fn info_counts_the_rows_of_the_file() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        let info = data.reader.info().unwrap();
        assert_eq!(info.schema_version, version);
        assert_eq!(info.requests, data.rows.len() as i64);
        assert_eq!(info.oldest_ts, data.rows.iter().map(|row| row.ts).min());
        assert_eq!(info.newest_ts, data.rows.iter().map(|row| row.ts).max());
        assert_eq!((info.sessions, info.active_sessions), (40, 26));
        assert_eq!(
            info.file_bytes,
            std::fs::metadata(&data.path).unwrap().len()
        );
        assert_eq!(info.writer_version.is_some(), version == 5);
    }
}

#[test]
fn clients_are_counted_by_revision_and_by_principal() {
    let data = Data::of_version(5);
    let conn = crate::support::connect(&data.path);
    conn.execute_batch(
        "UPDATE sessions SET protocol_version =
             iif(client_name = 'client-1', '2025-06-18', '2025-11-25')",
    )
    .unwrap();
    let all = data.reader.client_revisions(&ClientFilter::new()).unwrap();
    let first = &all[0];
    assert_eq!(
        (
            first.protocol_version.as_deref(),
            first.client_name.as_deref()
        ),
        (Some("2025-06-18"), Some("client-1"))
    );
    assert_eq!(all.iter().map(|group| group.sessions).sum::<i64>(), 40);
    let old = ClientFilter::new().protocol("2025-06-18");
    let clients = data.reader.clients(&old).unwrap();
    assert_eq!(clients.len(), 1);
    assert_eq!(clients[0].sessions, first.sessions);

    let callers = data.reader.callers(&ClientFilter::new()).unwrap();
    assert_eq!(callers.len(), 12);
    for caller in &callers {
        let of_caller = data
            .rows
            .iter()
            .filter(|row| row.principal.as_deref() == Some(&*caller.principal));
        assert_eq!(of_caller.count() as i64, caller.requests);
    }
    let window = Window::since(START + 1_000);
    let late = data
        .reader
        .callers(&ClientFilter::new().window(window))
        .unwrap();
    let calls = |callers: &[Caller]| callers.iter().map(|caller| caller.requests).sum::<i64>();
    let with_principal = data.rows.iter().filter(|row| row.principal.is_some());
    let expected = with_principal.filter(|row| row.ts >= window.since).count();
    assert_eq!(calls(&late), expected as i64);
    assert!(calls(&callers) > calls(&late));
}

#[test]
fn client_is_found_by_the_beginning_of_its_name_in_any_case() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        crate::support::connect(&data.path)
            .execute_batch(
                "UPDATE sessions SET client_name = 'Client' WHERE client_name = 'client-4'",
            )
            .unwrap();
        let sessions = |client: &str| {
            let filter = SessionFilter::new().client(client);
            let found = data.reader.sessions(&filter, 100).unwrap();
            assert!(found.is_sorted_by_key(|session| -session.started_at));
            found.len()
        };
        assert_eq!(sessions("CLIENT-"), 24);
        assert_eq!(sessions("client-1"), 8);
        assert_eq!(sessions("client"), 8, "a whole name has precedence");
        assert_eq!(sessions("client*"), 32);
        assert_eq!(sessions("%"), 0, "it is no pattern of SQL");
        assert_eq!(sessions("client_1"), 0);
    }
}

#[test]
fn names_are_listed_by_their_beginning() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        let names = |kind, prefix: &str| data.reader.names(kind, prefix, 100).unwrap();
        assert_eq!(names(NameKind::Server, ""), ["default", "files", "weather"]);
        assert_eq!(names(NameKind::Server, "d"), ["default"]);
        assert_eq!(names(NameKind::Method, "m").len(), 8);
        assert!(names(NameKind::Method, "").contains(&"tools/call".to_owned()));
        assert_eq!(
            names(NameKind::Tool, "tool-2"),
            ["tool-2", "tool-20", "tool-25"]
        );
        assert_eq!(names(NameKind::Tool, "tool-["), [""; 0]);
        assert_eq!(names(NameKind::Client, "client-").len(), 4);
        let principals = if version == 5 { 12 } else { 0 };
        assert_eq!(names(NameKind::Principal, "user").len(), principals);
        let few = data.reader.names(NameKind::Tool, "", 3).unwrap();
        assert_eq!(few.len(), 3);
    }
}

#[test]
fn breakdown_counts_each_request_that_a_filter_takes_once() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        for filter in filters().into_iter().step_by(7) {
            let taken: Vec<_> = data
                .rows
                .iter()
                .filter(|row| data.takes(&filter, row))
                .collect();
            let starts = vec![START, START + 500, START + 1_000];
            let by = [GroupBy::Client, GroupBy::Time(starts)];
            let groups = data.reader.breakdown(&filter, &by).unwrap();
            let total: i64 = groups.iter().map(|group| group.requests).sum();
            assert_eq!(total as usize, taken.len(), "version {version}, {filter:?}");
            for group in &groups {
                let of_group = taken.iter().filter(|row| {
                    let client = data.client(row);
                    let start = [START + 1_000, START + 500, START]
                        .into_iter()
                        .find(|start| *start <= row.ts)
                        .map(|start| start.to_string());
                    group.keys == [client, start]
                });
                let of_group: Vec<_> = of_group.collect();
                assert_eq!(group.requests as usize, of_group.len(), "{group:?}");
                let has = |outcome| {
                    let rows = of_group.iter().filter(|row| row.outcome() == outcome);
                    rows.count() as i64
                };
                assert_eq!(group.timeouts, has(Outcome::Timeout));
                assert_eq!(group.gone, has(Outcome::Gone));
            }
        }
    }
}

#[test]
fn breakdown_names_the_outcome_and_the_reason_of_each_request() {
    for version in [4, 5] {
        let data = Data::of_version(version);
        let groups = data
            .reader
            .breakdown(&RequestFilter::new(), &[GroupBy::Outcome, GroupBy::Reason])
            .unwrap();
        let mut expected = std::collections::HashMap::new();
        for row in &data.rows {
            let http = || row.http_status.map(|status| format!("HTTP {status}"));
            let end_reason = row
                .end_reason
                .as_ref()
                .map(|reason| reason.as_str().to_owned());
            let reason = row.error_code.clone().or(end_reason.clone()).or_else(http);
            let is_ordinary = row.status == RequestStatus::Ok && end_reason.is_none();
            let reason = reason.filter(|_| !is_ordinary);
            let outcome = row.outcome().as_str().to_owned();
            *expected.entry(vec![Some(outcome), reason]).or_insert(0) += 1;
        }
        assert!(expected.len() > 3, "{expected:?}");
        assert_eq!(groups.len(), expected.len(), "version {version}");
        for group in &groups {
            assert_eq!(
                expected.get(&group.keys),
                Some(&group.requests),
                "{group:?}"
            );
        }
    }
}
