use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower_service::Service;

use super::{Forward, ForwardBody, LIMITS, Limits, Upstream, connect};

/// No step takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const PING: u8 = 6;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CONTINUATION: u8 = 9;

/// `:status: 200` in HPACK's static table.
const STATUS_200: u8 = 0x88;

#[test]
fn service_is_clone_and_its_future_is_send() {
    fn service<S: Service<Request<Empty<Bytes>>, Future: Send> + Clone + Send + Sync>() {}
    service::<Forward>();
}

async fn get(forward: &mut Forward) -> Response<ForwardBody> {
    let request = Request::new(Empty::<Bytes>::new());
    forward.call(request).await.unwrap()
}

/// The system accepts the connection, and no handshake follows.
#[tokio::test]
async fn stuck_handshake_is_a_504_after_the_connect_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let limits = Limits {
        connect: Duration::from_millis(50),
        ..LIMITS
    };
    let upstream = Upstream::parse(&url).unwrap();
    let tls = connect::tls_config(true).unwrap();
    let mut forward = Forward::build(upstream, tls, limits);

    let response = get(&mut forward).await;

    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    let text = response.into_body().collect().await.unwrap().to_bytes();
    let expected = format!("cannot connect to {url}: no connection within 50ms");
    assert_eq!(text, expected);
}

/// An HTTP/2 upstream that the test controls frame by frame.
struct Http2(TlsStream<TcpStream>);

struct Frame {
    kind: u8,
    flags: u8,
    payload: Vec<u8>,
}

impl Http2 {
    /// Accepts a connection and reads the first request on it.
    async fn accept(listener: TcpListener, config: ServerConfig) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let mut server = Self(acceptor.accept(stream).await.unwrap());
        let mut preface = [0; 24];
        server.0.read_exact(&mut preface).await.unwrap();
        server.write(SETTINGS, 0, 0, &[]).await;
        while server.read().await.expect("a request").kind != HEADERS {}
        server
    }

    /// Begins the answer to the first request.
    async fn answer(&mut self) {
        self.write(HEADERS, END_HEADERS, 1, &[STATUS_200]).await;
    }

    /// Returns the next frame; `None` once the connection is closed.
    async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            payload,
        })
    }

    async fn read_ping(&mut self) -> Option<Frame> {
        loop {
            let frame = self.read().await?;
            if frame.kind == PING && frame.flags & ACK == 0 {
                return Some(frame);
            }
        }
    }

    async fn write(&mut self, kind: u8, flags: u8, stream: u8, payload: &[u8]) {
        let [_, high, middle, low] = (payload.len() as u32).to_be_bytes();
        let mut frame = vec![high, middle, low, kind, flags, 0, 0, 0, stream];
        frame.extend_from_slice(payload);
        self.0.write_all(&frame).await.unwrap();
        self.0.flush().await.unwrap();
    }
}

/// Returns a service that sends HTTP/2 to its upstream, and the listener and settings of
/// the upstream.
async fn http2(limits: Limits) -> (Forward, TcpListener, ServerConfig) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let mut roots = RootCertStore::empty();
    let root = authority.self_signed(&authority_key).unwrap();
    roots.add(root.der().clone()).unwrap();
    let authority = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    server.alpn_protocols = vec![b"h2".to_vec()];
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/mcp", listener.local_addr().unwrap());
    let upstream = Upstream::parse(&url).unwrap();
    (Forward::build(upstream, client, limits), listener, server)
}

#[tokio::test]
async fn http_2_upstream_that_answers_no_ping_ends_the_answer() {
    let (mut forward, listener, config) = http2(Limits {
        ping_interval: Duration::from_millis(20),
        // Long enough for the upstream to begin its answer on a busy machine.
        ping_timeout: Duration::from_secs(1),
        ..LIMITS
    })
    .await;
    let server = tokio::spawn(async move {
        let mut server = Http2::accept(listener, config).await;
        server.answer().await;
        server.read_ping().await.expect("a ping");
        // The service closes the connection.
        while server.read().await.is_some() {}
    });

    let response = get(&mut forward).await;
    assert_eq!(response.status(), StatusCode::OK);
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await;

    body.expect("the answer hangs").unwrap_err();
    tokio::time::timeout(PATIENCE, server)
        .await
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn http_2_upstream_that_answers_pings_may_be_silent() {
    let (mut forward, listener, config) = http2(Limits {
        ping_interval: Duration::from_millis(20),
        ping_timeout: PATIENCE,
        ..LIMITS
    })
    .await;
    let server = tokio::spawn(async move {
        let mut server = Http2::accept(listener, config).await;
        server.answer().await;
        for _ in 0..3 {
            let ping = server.read_ping().await.expect("a ping");
            server.write(PING, ACK, 0, &ping.payload).await;
        }
        server.write(0, END_STREAM, 1, b"late").await;
        server
    });

    let response = get(&mut forward).await;
    let body = tokio::time::timeout(PATIENCE, response.into_body().collect()).await;

    assert_eq!(body.expect("the answer hangs").unwrap().to_bytes(), "late");
    drop(server.await.unwrap());
}

#[tokio::test]
async fn http_2_answer_of_several_hundred_fields_passes() {
    let (mut forward, listener, config) = http2(LIMITS).await;
    let server = tokio::spawn(async move {
        let mut server = Http2::accept(listener, config).await;
        // Literals without indexing.
        let field = |i: u32| {
            [
                b"\x00\x05x-",
                i.to_string().as_bytes(),
                b"\x64",
                &[b'v'; 100],
            ]
            .concat()
        };
        let block: Vec<u8> = (100..600).flat_map(field).collect();
        server.write(HEADERS, END_STREAM, 1, &[STATUS_200]).await;
        // No frame is longer than 16 KiB.
        let mut parts = block.chunks(16 << 10).peekable();
        while let Some(part) = parts.next() {
            let flags = if parts.peek().is_none() {
                END_HEADERS
            } else {
                0
            };
            server.write(CONTINUATION, flags, 1, part).await;
        }
        server
    });

    let response = get(&mut forward).await;

    assert_eq!(response.status(), StatusCode::OK);
    let headers = response.headers();
    assert_eq!(headers.len(), 500);
    assert!((100..600).all(|i| headers[&format!("x-{i}")].len() == 100));
    drop(server.await.unwrap());
}
