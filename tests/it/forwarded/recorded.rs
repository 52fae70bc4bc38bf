//! Rows of requests that the upstream or the proxy fails.

use axum::Router;
use mcp_forward::{AllowedHosts, Forward};
use tokio::sync::mpsc;
use tower_mcp_store::{EndReason, RequestEvent, RequestStatus, Store};

use super::support::{Peer, Upstream, closed_port, serve, within};

/// A tool call through a recording proxy.
struct Call {
    client: Peer,
    rows: mpsc::UnboundedReceiver<RequestEvent>,
    _dir: tempfile::TempDir,
}

impl Call {
    async fn start(upstream: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (recorded, rows) = mpsc::unbounded_channel();
        let store = Store::builder(dir.path().join("mcp.db"))
            .on_recorded(move |row| drop(recorded.send(row.clone())))
            .open()
            .unwrap();
        let forward = Forward::new(upstream).unwrap();
        let app = Router::new().fallback_service(forward).layer(store.layer());
        let mut client = Peer::connect(serve(app).await).await;
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
        let length = body.len();
        client
            .write(&format!(
                "POST /mcp HTTP/1.1\r\nhost: proxy\r\ncontent-type: application/json\r\n\
                 content-length: {length}\r\n\r\n{body}"
            ))
            .await;
        Self {
            client,
            rows,
            _dir: dir,
        }
    }

    async fn row(mut self) -> RequestEvent {
        let row = within(self.rows.recv()).await.unwrap();
        assert_eq!(row.method, "tools/call");
        assert_eq!(row.tool.as_deref(), Some("echo"));
        row
    }
}

#[tokio::test]
async fn unreachable_upstream_is_recorded_with_the_cause() {
    let url = format!("http://{}", closed_port().await);
    let call = Call::start(&url).await;

    let row = call.row().await;

    assert_eq!(row.status, RequestStatus::Error);
    assert_eq!(row.http_status, Some(502));
    assert_eq!(row.end_reason, None);
    let text = row.error_msg.unwrap();
    assert!(
        text.starts_with(&format!("cannot connect to {url}: ")),
        "{text}"
    );
}

#[tokio::test]
async fn broken_answer_is_recorded_as_body_error() {
    let upstream = Upstream::bind().await;
    let mut call = Call::start(&upstream.url("/mcp")).await;
    let mut server = upstream.accept().await;
    server.read_until("}}").await;
    server
        .write(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                 transfer-encoding: chunked\r\n\r\n",
        )
        .await;
    call.client.read_until("\r\n\r\n").await;
    drop(server);

    let row = call.row().await;

    assert_eq!(row.status, RequestStatus::Error);
    assert_eq!(row.http_status, Some(200));
    assert_eq!(row.end_reason, Some(EndReason::BodyError));
}

#[tokio::test]
async fn refused_host_is_recorded_if_a_header_names_the_method() {
    let upstream = Upstream::bind().await;
    let dir = tempfile::tempdir().unwrap();
    let (recorded, mut rows) = mpsc::unbounded_channel::<RequestEvent>();
    let store = Store::builder(dir.path().join("mcp.db"))
        .on_recorded(move |row| drop(recorded.send(row.clone())))
        .open()
        .unwrap();
    let hosts = AllowedHosts::new("127.0.0.1:3000".parse().unwrap(), []);
    let forward = Forward::new(&upstream.url("/mcp")).unwrap();
    let app = Router::new().fallback_service(forward);
    let mut client = Peer::connect(serve(app.layer(hosts).layer(store.layer())).await).await;

    client
        .write(
            "POST /mcp HTTP/1.1\r\nhost: evil.example\r\nmcp-method: tools/call\r\n\
             content-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
        )
        .await;

    let row = within(rows.recv()).await.unwrap();
    assert_eq!(row.method, "tools/call");
    assert_eq!(row.status, RequestStatus::Error);
    assert_eq!(row.http_status, Some(403));
    let text = row.error_msg.unwrap();
    assert!(text.contains("--allow-host evil.example"), "{text}");
}
