use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector};
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

use super::{BoxError, UpstreamError, UpstreamErrorKind};

/// Opens connections, TLS handshake included, within a time limit.
///
/// `HttpConnector` has a limit of its own. It covers neither the look-up of the name nor the
/// handshake, and a hanging server still accepts connections.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<HttpConnector>,
    limit: Duration,
    speaks_http2: Arc<AtomicBool>,
}

impl Connector {
    pub(super) fn new(tls: ClientConfig, limit: Duration) -> Self {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        // Most messages are small. They must not wait for one another.
        http.set_nodelay(true);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(http);
        Self {
            https,
            limit,
            speaks_http2: Arc::default(),
        }
    }

    pub(super) fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// Returns a flag that is set if the newest connection speaks HTTP/2. The server chooses
    /// the version in the TLS handshake.
    pub(super) fn speaks_http2(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.speaks_http2)
    }
}

/// Returns a configuration that verifies certificates by the platform's roots. An `http`
/// upstream needs none, so that forwarding to it works on a machine without root certificates.
pub(super) fn tls_config(is_https: bool) -> Result<ClientConfig, UpstreamError> {
    // Named, because the process may hold a second provider.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| UpstreamError::new(UpstreamErrorKind::RootCertificates, error))?;
    let config = if is_https {
        config
            .with_native_roots()
            .map_err(|error| UpstreamError::new(UpstreamErrorKind::RootCertificates, error))?
    } else {
        config.with_root_certificates(RootCertStore::empty())
    };
    Ok(config.with_no_client_auth())
}

impl Service<Uri> for Connector {
    type Response = <HttpsConnector<HttpConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.https.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.https.call(uri), self.limit);
        let speaks_http2 = self.speaks_http2();
        Box::pin(async move {
            let stream = tokio::time::timeout(limit, connecting)
                .await
                .unwrap_or_else(|_| {
                    let message = format!("no connection within {limit:?}");
                    Err(io::Error::new(io::ErrorKind::TimedOut, message).into())
                })?;
            speaks_http2.store(stream.connected().is_negotiated_h2(), Relaxed);
            Ok(stream)
        })
    }
}
