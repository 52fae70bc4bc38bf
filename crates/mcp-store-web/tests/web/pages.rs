//! What the pages show.

use std::ops::ControlFlow;

use rusqlite::Connection;
use tower_mcp_store::maintenance::Maintenance;
use tower_mcp_store::{EndReason, RequestStatus, StoreEvent, TraceId};

use crate::support::{Server, ask, call, get, record, recorded, serve, session};

/// A name that tries to be markup, and to change the direction of text.
const HOSTILE: &str = "\u{202e}<script>alert(1)</script>\"'&\u{200b}\u{1b}[31m";

const ALL: [&str; 11] = [
    "/overview",
    "/tools",
    "/tool?tool=search",
    "/errors",
    "/clients",
    "/sessions",
    "/session?session=s1",
    "/requests",
    "/request?id=1",
    "/schema",
    "/health",
];

fn some() -> Vec<StoreEvent> {
    let mut events = vec![session("s1", "claude")];
    for i in 0..5 {
        let mut event = call("search");
        event.session_id = Some("s1".into());
        event.tool_error = i == 0;
        events.push(StoreEvent::Request(event));
    }
    let mut event = call("book");
    event.status = RequestStatus::Error;
    event.end_reason = Some(EndReason::NoResponse);
    events.push(StoreEvent::Request(event));
    events
}

#[tokio::test]
async fn each_page_shows_what_was_recorded() {
    let file = recorded(some());
    let server = serve(&file.path, |builder| builder).await;
    for (path, expected) in [
        ("/overview", r#"<dt>Calls</dt><dd><data value="6">6</data>"#),
        ("/tools", r#"<bdi>search</bdi>"#),
        (
            "/tool?tool=search",
            r#"<dt>Calls</dt><dd><data value="5">5</data>"#,
        ),
        ("/errors", "<bdi>no_response</bdi>"),
        ("/clients", "<bdi>claude</bdi>"),
        ("/sessions", "<bdi>s1</bdi>"),
        (
            "/session?session=s1",
            r#"<dt>requests</dt><dd><data value="5">5</data>"#,
        ),
        ("/requests", "<caption>Requests, newest first</caption>"),
        (
            "/requests?operations=true",
            "<caption>Calls, newest first</caption>",
        ),
        ("/request?id=6", "<bdi>no_response</bdi>"),
        ("/schema", "Current listings: none"),
        (
            "/health",
            r#"<dt>requests</dt><dd><data value="6">6</data>"#,
        ),
    ] {
        let page = get(server.addr, path).await;
        assert!(page.contains(expected), "{path}: {page}");
        assert!(page.len() < 150_000, "{path}: {} bytes", page.len());
        assert!(!page.contains("style="), "{path}");
    }
}

#[tokio::test]
async fn charts_have_a_title_and_their_numbers_as_a_table() {
    let file = recorded(some());
    let server = serve(&file.path, |builder| builder).await;
    for (path, charts) in [
        ("/overview?since=1h", 2),
        ("/tool?since=1h&tool=search", 3),
        ("/session?session=s1", 1),
        ("/clients?since=1h", 1),
        ("/errors?since=1h", 1),
    ] {
        let page = get(server.addr, path).await;
        assert_eq!(page.matches("<figure").count(), charts, "{path}");
        for figure in page.split("<figure").skip(1) {
            let figure = figure.split("</figure>").next().unwrap();
            assert!(figure.contains("role=\"img\""), "{path}");
            assert!(figure.contains("<title id="), "{path}");
            assert!(figure.contains("<tbody><tr>"), "{path}");
        }
    }
    let style = get(server.addr, "/style.css").await;
    assert!(style.contains(".chart .f-ok{"));
}

#[tokio::test]
async fn names_from_the_wire_are_text_without_control_characters() {
    let mut event = call(HOSTILE);
    event.session_id = Some(HOSTILE.into());
    event.principal = Some(HOSTILE.into());
    event.error_msg = Some(HOSTILE.into());
    event.error_code = Some(HOSTILE.into());
    event.status = RequestStatus::Error;
    let mut other = event.clone();
    other.request_id = call("x").request_id;
    other.method = HOSTILE.into();
    other.tool = None;
    other.target = Some(HOSTILE.into());
    let file = recorded([
        session(HOSTILE, HOSTILE),
        StoreEvent::Request(event),
        StoreEvent::Request(other),
    ]);
    let server = serve(&file.path, |builder| builder).await;
    let encoded: String = HOSTILE.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let named = [
        format!("/tool?tool={encoded}"),
        format!("/session?session={encoded}"),
        format!("/requests?client={encoded}&principal={encoded}"),
    ];
    for path in ALL.iter().map(ToString::to_string).chain(named) {
        let page = ask(server.addr, "GET", &path, &[]).await.body;
        assert!(!page.contains("<script>"), "{path}");
        assert!(!page.contains(['\u{202e}', '\u{200b}', '\u{1b}']), "{path}");
    }
    let page = get(server.addr, "/requests").await;
    assert!(page.contains("&lt;script&gt;"), "{page}");
}

#[tokio::test]
async fn wrong_values_in_the_url_are_a_400_that_names_them() {
    let file = recorded(some());
    let server = serve(&file.path, |builder| builder).await;
    for (path, expected) in [
        ("/overview?since=soon", "since: expected"),
        ("/requests?before=x", "before: expected"),
        ("/requests?before=1-", "before: expected"),
        ("/requests?limit=1000000", "limit: expected"),
        ("/tools?sort=%3Cb%3E", "sort: expected"),
        ("/tool", "tool: expected"),
        ("/request", "id: expected"),
        ("/session", "session: expected"),
        ("/sessions?active=maybe", "active: expected"),
        ("/health?x=1", "x: there is no condition"),
    ] {
        let answer = ask(server.addr, "GET", path, &[]).await;
        assert_eq!(answer.status, 400, "{path}");
        assert!(answer.body.contains(expected), "{path}: {}", answer.body);
        assert!(answer.body.contains("<nav"), "{path}");
    }
    for path in ["/request?id=99", "/session?session=none", "/unknown"] {
        assert_eq!(
            ask(server.addr, "GET", path, &[]).await.status,
            404,
            "{path}"
        );
    }
}

#[tokio::test]
async fn pages_of_requests_follow_each_other_without_gaps() {
    let file = recorded((0..7).map(|_| StoreEvent::Request(call("search"))));
    let server = serve(&file.path, |builder| builder).await;
    for first in [
        "/requests?limit=3&tool=search",
        "/requests?operations=1&limit=3&tool=search",
    ] {
        let seen = follow(&server, first.to_owned()).await;
        assert_eq!(seen, ["7", "6", "5", "4", "3", "2", "1"], "{first}");
    }
}

/// Returns the numbers of the rows of all pages.
async fn follow(server: &Server, mut path: String) -> Vec<String> {
    let mut seen = Vec::new();
    loop {
        let page = get(server.addr, &path).await;
        let ids = page.split("?tool=search&amp;id=").skip(1);
        seen.extend(ids.map(|rest| rest.split('"').next().unwrap().to_owned()));
        let Some((_, next)) = page.split_once("rel=\"next\" href=\"") else {
            return seen;
        };
        path = format!("/{}", next.split('"').next().unwrap().replace("&amp;", "&"));
    }
}

#[tokio::test]
async fn page_says_that_the_file_was_replaced_or_removed() {
    let file = recorded(some());
    let server = serve(&file.path, |builder| builder).await;
    get(server.addr, "/overview").await;
    let aside = file.path.with_extension("aside");
    std::fs::rename(&file.path, &aside).unwrap();
    for path in ALL {
        let answer = ask(server.addr, "GET", path, &[]).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.body.contains("The file cannot be read"), "{path}");
    }
    record(&file.path, [StoreEvent::Request(call("search"))]);
    let page = get(server.addr, "/overview").await;
    assert!(page.contains(r#"<dt>Calls</dt><dd><data value="1">1</data>"#));
}

#[tokio::test]
async fn title_names_the_tool_or_session_that_a_page_shows() {
    let file = recorded(some());
    let server = serve(&file.path, |builder| builder).await;
    for (path, title) in [
        ("/tools?tool=search", "Tools"),
        ("/tool?tool=search", "search · Tool"),
        ("/session?session=s1", "s1 · Session"),
        ("/tool?tool=%3Cb%3E%E2%80%AE", "&lt;b&gt;\u{fffd} · Tool"),
    ] {
        let page = get(server.addr, path).await;
        let expected = format!("<title>{title} · mcp-store</title>");
        assert!(page.contains(&expected), "{path}: {page}");
    }
}

#[tokio::test]
async fn session_with_more_calls_than_are_shown_links_to_all_of_them() {
    let file = recorded(some());
    let server = serve(&file.path, |builder| builder).await;
    let text = "calls are shown.";
    for (limit, is_cut) in [(4, true), (5, false)] {
        let path = format!("/session?session=s1&limit={limit}");
        let page = get(server.addr, &path).await;
        assert_eq!(page.contains(text), is_cut, "{limit}");
    }
    let page = get(server.addr, "/session?session=s1&limit=4&status=timeout").await;
    let (_, link) = page.split_once("calls are shown. <a href=\"").unwrap();
    let link = link.split('"').next().unwrap().replace("&amp;", "&");
    let all = get(server.addr, &format!("/{link}")).await;
    assert!(all.contains("Calls, newest first"));
    assert_eq!(all.matches("request?").count(), 5, "{all}");
}

#[tokio::test]
async fn pages_of_a_file_that_is_pruned_while_they_are_read_show_the_remaining_rows() {
    let file = recorded(some());
    let server = serve(&file.path, |builder| builder).await;
    get(server.addr, "/request?id=1").await;
    let maintenance = Maintenance::open(&file.path).unwrap();
    let pruned = maintenance.prune(i64::MAX, |_| ControlFlow::Continue(()));
    assert!(pruned.unwrap().is_complete);
    let gone = ask(server.addr, "GET", "/request?id=1", &[]).await;
    assert_eq!(gone.status, 404);
    assert!(gone.body.contains("It may have been removed"));
    let left = get(server.addr, "/requests").await;
    assert!(left.contains("Requests, newest first: none"));
    let overview = get(server.addr, "/overview").await;
    assert!(overview.contains("counts of whole hours or days"));
}

#[tokio::test]
async fn pages_say_which_requests_were_removed_also_where_buckets_are_longer_than_an_hour() {
    let file = recorded(some());
    let server = serve(&file.path, |builder| builder).await;
    let hatched = "counted by hours or days";
    let removed = "the requests of these failures were removed";
    let note = "Overview</a> has their counts.";
    let pages = ["/overview?since=7d", "/tool?since=7d&tool=search"];
    for path in pages {
        let page = get(server.addr, path).await;
        assert!(!page.contains(hatched) && !page.contains(removed), "{path}");
    }
    assert!(!get(server.addr, "/errors?since=7d").await.contains(note));
    let maintenance = Maintenance::open(&file.path).unwrap();
    let pruned = maintenance.prune(i64::MAX, |_| ControlFlow::Continue(()));
    assert!(pruned.unwrap().is_complete);
    for path in pages {
        let page = get(server.addr, path).await;
        assert!(page.contains(hatched), "{path}: {page}");
        assert!(page.contains(removed), "{path}: {page}");
    }
    assert!(get(server.addr, "/errors?since=7d").await.contains(note));
}

#[tokio::test]
async fn page_says_that_the_file_is_locked_until_it_is_released() {
    let file = recorded(some());
    let server = serve(&file.path, |builder| builder).await;
    let conn = Connection::open(&file.path).unwrap();
    conn.pragma_update(None, "locking_mode", "EXCLUSIVE")
        .unwrap();
    conn.execute_batch("BEGIN EXCLUSIVE").unwrap();
    let locked = ask(server.addr, "GET", "/health", &[]).await;
    assert_eq!(locked.status, 503);
    assert!(locked.body.contains("locked"), "{}", locked.body);
    drop(conn);
    get(server.addr, "/health").await;
}

#[tokio::test]
async fn overview_has_small_charts_of_the_calls_and_failures_of_each_tool() {
    let file = recorded(some());
    let server = serve(&file.path, |builder| builder).await;
    let page = get(server.addr, "/overview").await;
    for tool in ["called0", "called1", "failed0", "failed1"] {
        assert!(page.contains(&format!("id=\"{tool}-")), "{tool}: {page}");
    }
}

/// Returns the numbers of the column `Calls` or, in charts, of all columns with outcomes.
/// A page without calls has no charts.
fn chart_sum(page: &str) -> i64 {
    if page.contains("No calls began in this range.") {
        return 0;
    }
    let (_, table) = page
        .split_once("<caption>Calls over time, by outcome</caption>")
        .unwrap();
    let (table, _) = table.split_once("</table>").unwrap();
    let cells = table.split("<td>").skip(1);
    cells
        .map(|cell| cell.split('<').next().unwrap().parse::<i64>().unwrap())
        .sum()
}

#[tokio::test]
async fn charts_and_totals_follow_every_condition_of_the_url() {
    let mut events = some();
    let mut event = call("search_all");
    event.principal = Some("ann".into());
    event.protocol_version = Some("2025-06-18".into());
    event.latency_us = 2_000_000;
    event.target = Some("file:///a".into());
    let traceparent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    event.trace_id = TraceId::from_traceparent(traceparent);
    events.push(StoreEvent::Request(event));
    let file = recorded(events);
    let server = serve(&file.path, |builder| builder).await;
    for (conditions, expected) in [
        ("", 7),
        ("tool=search", 5),
        ("tool=search*", 6),
        ("tool=search*&client=claude", 5),
        ("method=tools/*", 7),
        ("client=cla", 5),
        ("session=s1", 5),
        ("principal=ann", 1),
        ("principal=b*", 0),
        ("protocol=2025-06-18", 1),
        ("target=file:*", 1),
        ("trace-id=0af7651916cd43dd8448eb211c80319c", 1),
        ("min-latency=1s", 1),
        ("status=tool_error", 1),
        ("failed=true", 2),
        ("end-reason=no_response", 1),
        ("error-code=-32000", 0),
        ("server=other", 0),
    ] {
        for path in ["/overview", "/tool"] {
            let tool = match (path, conditions.contains("tool=")) {
                ("/tool", false) => "&tool=*",
                _ => "",
            };
            let page = get(server.addr, &format!("{path}?{conditions}{tool}")).await;
            let total = format!("<dt>Calls</dt><dd><data value=\"{expected}\">");
            assert!(page.contains(&total), "{path} {conditions}: {page}");
            assert!(!page.contains("not used here"), "{path} {conditions}");
            assert_eq!(chart_sum(&page), expected, "{path} {conditions}");
        }
    }
}
