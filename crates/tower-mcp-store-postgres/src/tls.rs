//! TLS, with the meaning of `sslmode` in libpq.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::error::{PostgresError, PostgresErrorKind};
use crate::target::{Target, TlsMode};

/// Returns the TLS connector for a target.
pub(crate) fn connector(target: &Target) -> Result<MakeRustlsConnect, PostgresError> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match target.tls() {
        // The connector is not used for plain text.
        TlsMode::Disable | TlsMode::Require => Arc::new(AnyName {
            authority: None,
            provider: Arc::clone(&provider),
        }),
        TlsMode::VerifyCa => Arc::new(AnyName {
            authority: Some(verifier(target, &provider)?),
            provider: Arc::clone(&provider),
        }),
        TlsMode::VerifyFull => verifier(target, &provider)?,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn verifier(
    target: &Target,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<WebPkiServerVerifier>, PostgresError> {
    let roots = Arc::new(roots(target)?);
    WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider))
        .build()
        .map_err(unusable)
}

/// Returns the trusted authorities: those of `sslrootcert`, else those of the operating system.
fn roots(target: &Target) -> Result<RootCertStore, PostgresError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = target.root_certificates() else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let unreadable = || {
        let detail = format!("{} holds no certificates in PEM", path.display());
        PostgresError::new(PostgresErrorKind::Unreadable, detail)
    };
    let found = CertificateDer::pem_file_iter(path);
    for certificate in found.map_err(|error| unreadable().with_source(error))? {
        let certificate = certificate.map_err(|error| unreadable().with_source(error))?;
        let added = roots.add(certificate);
        added.map_err(|error| unreadable().with_source(error))?;
    }
    match roots.is_empty() {
        true => Err(unreadable()),
        false => Ok(roots),
    }
}

fn unusable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> PostgresError {
    let detail = "the certificates of trusted authorities cannot be used";
    PostgresError::new(PostgresErrorKind::Certificate, detail).with_source(error)
}

/// Accepts a certificate for any host. With an authority, it has to be issued by it
/// (`sslmode=verify-ca`); without, anybody may have issued it (`sslmode=require`).
#[derive(Debug)]
struct AnyName {
    authority: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name is verified last, so the rest of the certificate is valid.
        match authority.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                NotValidForName | NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
