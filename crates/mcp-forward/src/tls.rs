//! The certificate and key of a server, from files that may change.

use std::error::Error;
use std::fmt;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::BoxError;

/// The certificate chain and the private key of a server, both in PEM, for
/// [`Server::tls`](crate::Server::tls).
///
/// Clones share what was read. [`reread`](Self::reread) reads the files again if they have
/// changed. Connections that are open keep their certificate.
#[derive(Clone)]
pub struct TlsFiles(Arc<Shared>);

struct Shared {
    certificate: PathBuf,
    key: PathBuf,
    state: Mutex<State>,
}

struct State {
    config: Arc<ServerConfig>,
    /// The state of the files when they were last read.
    read: [Option<Stamp>; 2],
}

/// The properties of a file that show a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
}

impl TlsFiles {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be read, or if the key is not that of the certificate.
    pub fn read(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsFilesError> {
        let (certificate, key) = (certificate.into(), key.into());
        // The state is taken before the files are read, so that a later change is noticed.
        let read = [stamp(&certificate), stamp(&key)];
        let config = Arc::new(configure(&certificate, &key)?);
        let state = Mutex::new(State { config, read });
        Ok(Self(Arc::new(Shared {
            certificate,
            key,
            state,
        })))
    }

    /// Reads the files again if they have changed. Returns whether they have.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read). The certificate and key from before then stay in use. A
    /// program that replaces both files does so one after the other. The second change is read,
    /// too.
    pub fn reread(&self) -> Result<bool, TlsFilesError> {
        let Shared {
            certificate, key, ..
        } = &*self.0;
        let found = [stamp(certificate), stamp(key)];
        if found == self.state().read {
            return Ok(false);
        }
        let config = configure(certificate, key);
        let mut state = self.state();
        state.read = found;
        state.config = Arc::new(config?);
        Ok(true)
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.state().config).into()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let modified = |file: Metadata| {
        Some(Stamp {
            modified: file.modified().ok()?,
            length: file.len(),
        })
    };
    modified(path.metadata().ok()?)
}

fn configure(certificate: &Path, key: &Path) -> Result<ServerConfig, TlsFilesError> {
    let fault = |what: String, source: BoxError| TlsFilesError { what, source };
    let unread = |name: &str, path: &Path, error: rustls::pki_types::pem::Error| {
        let what = format!("cannot read the {name} in {}", path.display());
        fault(what, error.into())
    };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain: Vec<CertificateDer<'static>> =
        chain.map_err(|error| unread("certificate", certificate, error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unread("key", key, error))?;
    // Named, because the process may hold a second provider.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|config| config.with_no_client_auth())
        .and_then(|config| config.with_single_cert(chain, secret));
    let mut config = config.map_err(|error| {
        let (certificate, key) = (certificate.display(), key.display());
        fault(format!("cannot use {certificate} with {key}"), error.into())
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

impl fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsFiles")
            .field("certificate", &self.0.certificate)
            .field("key", &self.0.key)
            .finish_non_exhaustive()
    }
}

/// The error of reading [`TlsFiles`]. Its text names the files and the cause.
#[derive(Debug)]
pub struct TlsFilesError {
    what: String,
    source: BoxError,
}

impl fmt::Display for TlsFilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.source)
    }
}

impl Error for TlsFilesError {}
