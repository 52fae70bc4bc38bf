//! The stream of new requests.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tower_mcp_store::{Store, StoreEvent};

use crate::support::{LONG, Server, ask, call, record, recorded, serve};

struct Stream(BufReader<TcpStream>);

impl Stream {
    async fn open(server: &Server, path: &str, fields: &str) -> Self {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{fields}\r\n",
            server.addr
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut this = Self(BufReader::new(stream));
        this.until("retry: 2000").await;
        this
    }

    /// Reads up to the line with this text, and returns what was read.
    async fn until(&mut self, text: &str) -> String {
        let mut read = String::new();
        let found = async {
            while !read.contains(text) {
                let length = self.0.read_line(&mut read).await.unwrap();
                assert_ne!(length, 0, "the stream ended");
            }
        };
        let found = tokio::time::timeout(LONG, found).await;
        assert!(found.is_ok(), "{text}: {read}");
        read
    }

    async fn ends(&mut self) {
        let mut rest = String::new();
        let read = tokio::time::timeout(LONG, async {
            while self.0.read_line(&mut rest).await.unwrap() > 0 {}
        });
        read.await.expect("the end of the stream");
    }
}

#[tokio::test]
async fn viewers_get_new_requests_that_their_conditions_take() {
    let file = recorded([StoreEvent::Request(call("old"))]);
    let server = serve(&file.path, |builder| builder).await;
    let mut all = Stream::open(&server, "/events", "").await;
    let mut some = Stream::open(&server, "/events?tool=b*", "").await;
    let store = Store::open(&file.path).unwrap();
    store.record(StoreEvent::Request(call("search")));
    store.record(StoreEvent::Request(call("book")));
    store.flush(LONG).unwrap();

    let read = all.until("<bdi>book</bdi>").await;
    assert!(!read.contains("<bdi>old</bdi>"), "{read}");
    assert!(read.contains("event: rows\nid: "), "{read}");
    let read = some.until("<bdi>book</bdi>").await;
    assert!(!read.contains("<bdi>search</bdi>"), "{read}");
}

#[tokio::test]
async fn viewer_that_comes_back_gets_what_it_missed() {
    let events = ["a", "b", "c"].map(|tool| StoreEvent::Request(call(tool)));
    let file = recorded(events);
    let server = serve(&file.path, |builder| builder).await;
    let mut stream = Stream::open(&server, "/events?after=0", "Last-Event-ID: 1\r\n").await;
    let read = stream.until("data: ").await;
    assert!(read.contains("id: 3\n"), "{read}");
    assert!(
        read.contains("<bdi>c</bdi>") && read.contains("<bdi>b</bdi>"),
        "{read}"
    );
    assert!(!read.contains("<bdi>a</bdi>"), "{read}");
    let mut stream = Stream::open(&server, "/events?after=2", "").await;
    assert!(!stream.until("<bdi>c</bdi>").await.contains("<bdi>b</bdi>"));
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let file = recorded([]);
    let server = serve(&file.path, |builder| builder).await;
    let mut stream = Stream::open(&server, "/events", "").await;
    server.web.close();
    stream.ends().await;
}

#[tokio::test]
async fn wrong_conditions_of_a_stream_are_a_400() {
    let file = recorded([]);
    let server = serve(&file.path, |builder| builder).await;
    for path in ["/events?status=x", "/events?after=x", "/events?x=1"] {
        assert_eq!(
            ask(server.addr, "GET", path, &[]).await.status,
            400,
            "{path}"
        );
    }
}

#[tokio::test]
async fn rows_of_a_file_that_takes_the_place_are_new() {
    let file = recorded((0..5).map(|_| StoreEvent::Request(call("old"))));
    let server = serve(&file.path, |builder| builder).await;
    let mut stream = Stream::open(&server, "/events", "").await;
    std::fs::rename(&file.path, file.path.with_extension("aside")).unwrap();
    record(&file.path, [StoreEvent::Request(call("first"))]);
    stream.until("<bdi>first</bdi>").await;
    std::fs::rename(&file.path, file.path.with_extension("aside")).unwrap();
    record(&file.path, [StoreEvent::Request(call("second"))]);
    stream.until("<bdi>second</bdi>").await;
    // A viewer of the first file comes back.
    let mut stream = Stream::open(&server, "/events", "Last-Event-ID: 5\r\n").await;
    stream.until("<bdi>second</bdi>").await;
}

#[tokio::test]
async fn stream_says_that_the_file_cannot_be_read_and_goes_on_when_it_is_back() {
    let file = recorded([StoreEvent::Request(call("old"))]);
    let server = serve(&file.path, |builder| builder).await;
    let mut stream = Stream::open(&server, "/events", "").await;
    let aside = file.path.with_extension("aside");
    std::fs::rename(&file.path, &aside).unwrap();
    stream.until("event: problem").await;
    std::fs::rename(&aside, &file.path).unwrap();
    record(&file.path, [StoreEvent::Request(call("new"))]);
    stream.until("<bdi>new</bdi>").await;
}
