//! Requests that the client breaks off or frames badly. The upstream is not the cause.

use std::net::SocketAddr;

use axum::Router;
use mcp_forward::Forward;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tower_mcp_store::{EndReason, RequestEvent, RequestStatus, Store};

use super::support::{H2_PREFACE, Peer, Upstream, h2_frame, h2_post, serve, within};

const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo"}}"#;
const HEAD: &str = "POST /mcp HTTP/1.1\r\nhost: proxy\r\ncontent-type: application/json\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

struct Recorded {
    upstream: Upstream,
    proxy: SocketAddr,
    rows: mpsc::UnboundedReceiver<RequestEvent>,
    _dir: tempfile::TempDir,
}

impl Recorded {
    async fn start() -> Self {
        let upstream = Upstream::bind().await;
        let dir = tempfile::tempdir().unwrap();
        let (recorded, rows) = mpsc::unbounded_channel();
        let store = Store::builder(dir.path().join("mcp.db"))
            .on_recorded(move |row| drop(recorded.send(row.clone())))
            .open()
            .unwrap();
        let forward = Forward::new(&upstream.url("/mcp")).unwrap();
        let app = Router::new().fallback_service(forward).layer(store.layer());
        Self {
            upstream,
            proxy: serve(app).await,
            rows,
            _dir: dir,
        }
    }

    /// Sends the first part of the request, and returns once the upstream has it.
    async fn begin(&self, request: &str) -> (Peer, Peer) {
        let mut client = Peer::connect(self.proxy).await;
        client.write(request).await;
        let mut server = self.upstream.accept().await;
        server.read_until("echo").await;
        (client, server)
    }

    async fn row(&mut self) -> RequestEvent {
        let row = within(self.rows.recv()).await.unwrap();
        assert_eq!(row.method, "tools/call");
        row
    }
}

#[tokio::test]
async fn bad_framing_is_answered_with_400_and_recorded_as_refusal() {
    let mut recorded = Recorded::start().await;
    for garbage in [
        "no size\r\n",
        "fffffffffffffffff\r\n",
        "5\r\nlonger than five\r\n",
    ] {
        let request = format!("{HEAD}transfer-encoding: chunked\r\n\r\n{}", chunk(CALL));
        let (mut client, mut server) = recorded.begin(&request).await;
        client.write(garbage).await;

        let response = client.read_to_end().await;
        assert!(
            response.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{response}"
        );
        let text = "the request's body is not valid: error reading a body from connection: ";
        assert!(response.contains(text), "{response}");
        assert_eq!(response.matches("error reading").count(), 1, "{response}");
        assert!(!server.read_to_end().await.ends_with("0\r\n\r\n"));
        let row = recorded.row().await;
        assert_eq!(row.status, RequestStatus::Error);
        assert_eq!(row.http_status, Some(400));
        assert_eq!(row.end_reason, None);
        let text = row.error_msg.unwrap();
        assert!(
            text.starts_with("the request's body is not valid: "),
            "{text}"
        );
    }
}

#[tokio::test]
async fn bad_framing_within_the_message_is_recorded_by_its_headers() {
    let mut recorded = Recorded::start().await;
    let start = chunk(r#"{"jsonrpc":"2.0","id":1,"params":{"name":"echo"#);
    let request = format!(
        "{HEAD}mcp-method: tools/call\r\nmcp-name: echo\r\n\
         transfer-encoding: chunked\r\n\r\n{start}"
    );
    let (mut client, _server) = recorded.begin(&request).await;
    client.write("no size\r\n").await;

    let response = client.read_to_end().await;
    assert!(
        response.starts_with("HTTP/1.1 400 Bad Request\r\n"),
        "{response}"
    );
    let row = recorded.row().await;
    assert_eq!(row.http_status, Some(400));
    assert_eq!(row.end_reason, None);
}

#[tokio::test]
async fn client_that_disconnects_within_its_request_is_recorded_as_gone() {
    let mut recorded = Recorded::start().await;
    let length = CALL.len() + 1;
    for request in [
        format!("{HEAD}content-length: {length}\r\n\r\n{CALL}"),
        format!("{HEAD}transfer-encoding: chunked\r\n\r\n{}", chunk(CALL)),
        format!(
            "{HEAD}transfer-encoding: chunked\r\n\r\n{}5\r\n",
            chunk(CALL)
        ),
    ] {
        for half_closes in [true, false] {
            let (mut client, mut server) = recorded.begin(&request).await;
            if half_closes {
                client.stream.shutdown().await.unwrap();
                let response = client.read_to_end().await;
                assert!(!response.contains("upstream"), "{response}");
            } else {
                drop(client);
            }

            assert!(!server.read_to_end().await.ends_with("0\r\n\r\n"));
            let row = recorded.row().await;
            assert_eq!(row.status, RequestStatus::Error, "{request}");
            assert_eq!(row.end_reason, Some(EndReason::ClientGone), "{request}");
            assert_eq!(row.error_msg, None, "{request}");
        }
    }
}

#[tokio::test]
async fn client_of_2026_that_disconnects_within_its_message_cancels_it() {
    let mut recorded = Recorded::start().await;
    let start = chunk(r#"{"jsonrpc":"2.0","id":1,"params":{"name":"echo"#);
    let request = format!(
        "{HEAD}mcp-protocol-version: 2026-07-28\r\nmcp-method: tools/call\r\nmcp-name: echo\r\n\
         transfer-encoding: chunked\r\n\r\n{start}"
    );
    let (client, _server) = recorded.begin(&request).await;
    drop(client);

    let row = recorded.row().await;
    assert_eq!(row.status, RequestStatus::Error);
    assert_eq!(row.end_reason, Some(EndReason::Cancelled));
}

/// Runs on two threads, so that the proxy may answer before or after it learns of the reset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn client_that_resets_its_http_2_stream_is_recorded_as_gone() {
    let mut recorded = Recorded::start().await;
    let mut client = Peer::connect(recorded.proxy).await;
    client.write_bytes(H2_PREFACE).await;
    for stream in (1..40).step_by(2) {
        client.write_bytes(&h2_post(stream)).await;
        client
            .write_bytes(&h2_frame(0, 0, stream, CALL.as_bytes()))
            .await;
        let mut server = recorded.upstream.accept().await;
        server.read_until("echo").await;
        // RST_STREAM: CANCEL.
        client
            .write_bytes(&h2_frame(3, 0, stream, &[0, 0, 0, 8]))
            .await;

        let row = recorded.row().await;
        assert_eq!(row.end_reason, Some(EndReason::ClientGone));
        assert!(!server.read_to_end().await.ends_with("0\r\n\r\n"));
    }
}
