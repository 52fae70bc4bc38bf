//! What the pages answer: what became slower, what changed then, and why calls fail.

use mcp_store_text::time;
use tower_mcp_store::{RequestStatus, SchemaVersionEvent, StoreEvent};

use crate::support::{call, get, recorded, serve};

const MINUTE: i64 = 60_000;

/// Returns ten calls that began this number of `minutes` ago.
fn ten(tool: &str, minutes: i64, latency_us: u64) -> impl Iterator<Item = StoreEvent> {
    let ts = time::now() - minutes * MINUTE;
    let mut event = call(tool);
    (event.ts, event.latency_us) = (ts, latency_us);
    (0..10).map(move |_| {
        let mut event = event.clone();
        event.request_id = call("x").request_id;
        StoreEvent::Request(event)
    })
}

/// Returns the row of a table that contains this text.
fn row<'a>(page: &'a str, text: &str) -> &'a str {
    let mut rows = page.split("<tr>");
    rows.find(|row| row.contains(text)).expect("a row")
}

#[tokio::test]
async fn tools_marks_a_tool_whose_median_grew_by_half() {
    let before = [ten("search", 50, 10_000), ten("book", 50, 10_000)];
    let after = [ten("search", 5, 15_000), ten("book", 5, 14_000)];
    let file = recorded(before.into_iter().chain(after).flatten());
    let server = serve(&file.path, |builder| builder).await;
    let page = get(server.addr, "/tools?since=1h").await;
    assert!(row(&page, "<bdi>search</bdi>").contains('▲'), "{page}");
    assert!(!row(&page, "<bdi>book</bdi>").contains('▲'), "{page}");
    let sorted = get(server.addr, "/tools?since=1h&sort=slower").await;
    let place = |name| sorted.find(name).expect("a row");
    assert!(place("<bdi>search</bdi>") < place("<bdi>book</bdi>"));
}

#[tokio::test]
async fn change_of_a_tool_shows_the_calls_before_and_after_and_what_differs() {
    let listing = |minutes, required: &str, hash: &str| {
        let tool = format!(r#"{{"name":"search","inputSchema":{{"required":[{required}]}}}}"#);
        let payload = format!(r#"{{"tools":[{tool}]}}"#);
        let mut event = SchemaVersionEvent::new("tools/list", payload, hash.repeat(64));
        event.ts = time::now() - minutes * MINUTE;
        [StoreEvent::SchemaVersion(event)].into_iter()
    };
    let events = listing(55, r#""from""#, "a")
        .chain(ten("search", 50, 10_000))
        .chain(listing(20, r#""from","airline""#, "b"))
        .chain(ten("search", 5, 30_000));
    let file = recorded(events);
    let server = serve(&file.path, |builder| builder).await;
    for path in ["/overview?since=1h", "/tool?since=1h&tool=search"] {
        let page = get(server.addr, path).await;
        let change = row(&page, "tool_modified");
        assert!(change.contains("10.0 ms"), "{path}: {change}");
        assert!(change.contains("30.0 ms</data> ▲"), "{path}: {change}");
    }
    for path in ["/tool?since=1h&tool=search", "/schema?since=1h"] {
        let page = get(server.addr, path).await;
        let difference = row(&page, "breaking");
        assert!(difference.contains("airline"), "{path}: {difference}");
    }
}

#[tokio::test]
async fn overview_without_calls_links_to_the_day_of_the_newest_request() {
    let file = recorded(ten("search", 120, 10_000));
    let server = serve(&file.path, |builder| builder).await;
    let page = get(server.addr, "/overview?since=1h").await;
    assert!(!page.contains("<figure"), "{page}");
    let (_, link) = page.split_once("The newest request").expect("a note");
    let link = link.split('"').find(|part| part.starts_with("overview?"));
    let link = link.expect("a link").replace("&amp;", "&");
    let page = get(server.addr, &format!("/{link}")).await;
    assert!(
        page.contains(r#"<dt>Calls</dt><dd><data value="10">"#),
        "{page}"
    );
}

#[tokio::test]
async fn page_of_one_tool_leads_back_to_all_tools() {
    let file = recorded(ten("search", 5, 10_000));
    let server = serve(&file.path, |builder| builder).await;
    let page = get(server.addr, "/tool?since=1h&tool=search").await;
    let menu = r#"<a href="tools?since=1h" aria-current="page">Tools</a>"#;
    assert!(page.contains(menu), "{page}");
    let removal = r#"<a href="tools?since=1h" aria-label="Remove the condition tool: search">"#;
    assert!(page.contains(removal), "{page}");
    let failures = r#"<a href="errors?since=1h&amp;tool=search">"#;
    assert!(page.contains(failures), "{page}");
}

#[tokio::test]
async fn conditions_can_be_removed_together() {
    let file = recorded(ten("search", 5, 10_000));
    let server = serve(&file.path, |builder| builder).await;
    let one = get(server.addr, "/requests?since=1h&tool=search").await;
    assert!(!one.contains("Remove all conditions"), "{one}");
    let two = get(server.addr, "/requests?since=1h&tool=search&client=a").await;
    let removal = r#"<a href="requests?since=1h">Remove all conditions</a>"#;
    assert!(two.contains(removal), "{two}");
}

#[tokio::test]
async fn errors_shows_the_newest_text_of_each_reason() {
    let failed = |text: &str| {
        let mut event = call("search");
        event.status = RequestStatus::Error;
        event.error_code = Some("-32603".into());
        event.error_msg = Some(text.into());
        StoreEvent::Request(event)
    };
    let file = recorded([failed("older text"), failed("newer text")]);
    let server = serve(&file.path, |builder| builder).await;
    let page = get(server.addr, "/errors").await;
    let (reasons, _) = page.split_once("By client").expect("a table");
    assert!(reasons.contains("newer text"), "{reasons}");
    assert!(!reasons.contains("older text"), "{reasons}");
}

#[tokio::test]
async fn health_says_whether_requests_are_missing() {
    let file = recorded(ten("search", 5, 10_000));
    let server = serve(&file.path, |builder| builder).await;
    let page = get(server.addr, "/health").await;
    assert!(
        page.contains("No losses are recorded in this range."),
        "{page}"
    );
    let conn = rusqlite::Connection::open(&file.path).unwrap();
    let now = time::now();
    let insert =
        "INSERT INTO losses (from_ts, to_ts, dropped, reason) VALUES (?1, ?1, 7, 'queue_full')";
    conn.execute(insert, [now]).unwrap();
    let page = get(server.addr, "/health").await;
    assert!(
        page.contains("7 requests of this range are missing"),
        "{page}"
    );
    assert!(page.contains("the queue of the writer was full"), "{page}");
}
