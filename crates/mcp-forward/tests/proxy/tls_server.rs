use std::fs;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use mcp_forward::{Server, TlsFiles};
use rcgen::{CertificateParams, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::within;

/// Makes a certificate that signs itself, as DER and PEM, and its key as PEM.
fn certificate() -> (CertificateDer<'static>, String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (
        certificate.der().clone(),
        certificate.pem(),
        key.serialize_pem(),
    )
}

/// Returns the protocol of a connection on which the server has this certificate, if it has.
async fn connect(
    listener: std::net::SocketAddr,
    trusted: &CertificateDer<'static>,
) -> Option<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = TcpStream::connect(listener).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream);
    let stream = within(connected).await.ok()?;
    stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec)
}

fn write(dir: &Path, certificate: &str, key: &str) {
    fs::write(dir.join("cert.pem"), certificate).unwrap();
    fs::write(dir.join("key.pem"), key).unwrap();
}

#[tokio::test]
async fn files_that_have_changed_are_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let (first, first_pem, first_key) = certificate();
    write(dir.path(), &first_pem, &first_key);
    let files = TlsFiles::read(dir.path().join("cert.pem"), dir.path().join("key.pem")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().route("/", get(async || "answered"));
    let server = Server::new().tls(files.clone());
    tokio::spawn(server.serve(listener, app, std::future::pending()));
    assert_eq!(connect(address, &first).await.unwrap(), b"h2");
    assert!(!files.reread().unwrap());

    let (second, second_pem, second_key) = certificate();
    write(dir.path(), &second_pem, &first_key);
    let error = files.reread().unwrap_err().to_string();
    assert!(error.starts_with("cannot use "), "{error}");
    assert!(connect(address, &first).await.is_some());

    write(dir.path(), &second_pem, &second_key);
    assert!(files.reread().unwrap());
    assert!(connect(address, &second).await.is_some());
    assert!(connect(address, &first).await.is_none());
}

#[test]
fn file_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let read = || {
        TlsFiles::read(path("cert.pem"), path("key.pem"))
            .unwrap_err()
            .to_string()
    };
    let error = read();
    assert!(
        error.contains("cert.pem: ") && error.contains("No such file"),
        "{error}"
    );
    let (_, certificate, _) = certificate();
    write(dir.path(), &certificate, "no key");
    let error = read();
    assert!(error.starts_with("cannot read the key in"), "{error}");
}
