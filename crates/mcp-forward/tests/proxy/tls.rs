use std::process::{Command, Output};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Version};
use axum::routing::get;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use mcp_forward::Forward;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tower_service::Service;

/// Makes this test program the client. It runs in its own process because an environment
/// variable names the root certificates.
const UPSTREAM: &str = "MCP_STORE_TEST_UPSTREAM";

/// Returns a self-made authority, as PEM, and the settings of a server with a certificate
/// that it signed.
fn certificates() -> (String, ServerConfig) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&authority_key).unwrap().pem();
    let authority = Issuer::new(authority, authority_key);

    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    (authority_pem, config)
}

/// Starts a server that answers with the HTTP version, the host, and the `TE` and
/// `Connection` of the request.
async fn serve(config: ServerConfig) -> String {
    async fn describe(version: Version, request: Request<Body>) -> String {
        let field = |name| {
            request
                .headers()
                .get(name)
                .map_or(b"-".as_slice(), |value| value.as_bytes())
        };
        let (te, connection) = (field("te"), field("connection"));
        format!(
            "{version:?} {} te={} connection={}",
            request.uri().authority().map_or("", |host| host.as_str()),
            String::from_utf8_lossy(te),
            String::from_utf8_lossy(connection),
        )
    }
    let app = Router::new().route("/mcp", get(describe));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, app) = (acceptor.clone(), TowerToHyperService::new(app.clone()));
            tokio::spawn(async move {
                // A client that refuses the certificate ends the handshake.
                if let Ok(stream) = acceptor.accept(stream).await {
                    let http = auto::Builder::new(TokioExecutor::new());
                    let _ = http.serve_connection(TokioIo::new(stream), app).await;
                }
            });
        }
    });
    format!("https://{addr}")
}

/// The part of the client: sends the upstream two requests through the proxy and prints
/// the answers.
async fn ask(url: &str) {
    let mut forward = Forward::new(url).unwrap();
    for nth in ["first", "second"] {
        // The version of this request does not matter: the proxy uses the version of the
        // upstream.
        let request = Request::get("/mcp")
            .version(Version::HTTP_10)
            .header("te", "gzip, trailers")
            .header("connection", "te")
            .body(Body::empty())
            .unwrap();
        let response = forward.call(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        println!("{nth}: {status}: {}", String::from_utf8_lossy(&body));
    }
}

async fn ask_in_a_child(test: &str, url: &str, authority: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("authority.pem");
    std::fs::write(&file, authority).unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", test, "--nocapture"])
        .env(UPSTREAM, url);
    child.env("SSL_CERT_FILE", file).env_remove("SSL_CERT_DIR");
    tokio::task::spawn_blocking(move || (child.output().unwrap(), dir))
        .await
        .unwrap()
        .0
}

#[tokio::test]
async fn https_upstream_is_trusted_by_ssl_cert_file_and_asked_by_http_2() {
    if let Ok(url) = std::env::var(UPSTREAM) {
        return ask(&url).await;
    }
    let (authority, config) = certificates();
    let url = serve(config).await;
    let test = "tls::https_upstream_is_trusted_by_ssl_cert_file_and_asked_by_http_2";

    let output = ask_in_a_child(test, &format!("{url}/mcp"), &authority).await;

    let stdout = String::from_utf8_lossy(&output.stdout);
    let host = url.trim_start_matches("https://");
    // The version is not known before the first request.
    for (nth, te) in [("first", "-"), ("second", "trailers")] {
        let expected = format!("{nth}: 200 OK: HTTP/2.0 {host} te={te} connection=-\n");
        assert!(stdout.contains(&expected), "{output:?}");
    }
}

#[tokio::test]
async fn https_upstream_without_http_2_gets_te_with_connection() {
    if let Ok(url) = std::env::var(UPSTREAM) {
        return ask(&url).await;
    }
    let (authority, mut config) = certificates();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let url = serve(config).await;
    let test = "tls::https_upstream_without_http_2_gets_te_with_connection";

    let output = ask_in_a_child(test, &format!("{url}/mcp"), &authority).await;

    let stdout = String::from_utf8_lossy(&output.stdout);
    for nth in ["first", "second"] {
        let expected = format!("{nth}: 200 OK: HTTP/1.1  te=trailers connection=te\n");
        assert!(stdout.contains(&expected), "{output:?}");
    }
}

#[tokio::test]
async fn https_upstream_of_an_unknown_authority_is_a_502() {
    if let Ok(url) = std::env::var(UPSTREAM) {
        return ask(&url).await;
    }
    let (other_authority, _) = certificates();
    let (_, config) = certificates();
    let url = serve(config).await;
    let test = "tls::https_upstream_of_an_unknown_authority_is_a_502";

    let output = ask_in_a_child(test, &format!("{url}/mcp"), &other_authority).await;

    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        stdout.contains(&format!("502 Bad Gateway: cannot connect to {url}: ")),
        "{output:?}"
    );
    assert!(stdout.contains("certificate"), "{output:?}");
}
