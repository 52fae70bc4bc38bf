//! The certificate and key of a server, from files that may change.

use std::error::Error;
use std::fmt;
use std::fs::{File, Metadata, Permissions};
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

/// Checks an open file with a private key, for [`TlsFiles::read_checked`]. The path is for the
/// text of the error.
pub type KeyCheck = fn(&Path, &File) -> Result<(), Box<dyn Error + Send + Sync>>;

struct Shared {
    certificate: PathBuf,
    key: PathBuf,
    check: KeyCheck,
    state: Mutex<State>,
}

struct State {
    config: Arc<ServerConfig>,
    /// The state of the files when they were last read.
    read: [Option<Stamp>; 2],
}

/// The properties of a file that show a change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
    permissions: Permissions,
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
        Self::read_checked(certificate, key, |_, _| Ok(()))
    }

    /// Reads the files, if the file of the key passes a check, such as one of its permissions.
    ///
    /// # Errors
    ///
    /// Those of [`read`](Self::read), and that of the check. [`reread`](Self::reread) makes the
    /// check, too.
    pub fn read_checked(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        check: KeyCheck,
    ) -> Result<Self, TlsFilesError> {
        let (certificate, key) = (certificate.into(), key.into());
        // The state is taken before the files are read, so that a later change is noticed.
        let read = [stamp(&certificate), stamp(&key)];
        let config = Arc::new(configure(&certificate, &key, check)?);
        let state = Mutex::new(State { config, read });
        Ok(Self(Arc::new(Shared {
            certificate,
            key,
            check,
            state,
        })))
    }

    /// Reads the files again if they or their permissions have changed. Returns whether they have.
    ///
    /// # Errors
    ///
    /// Those of [`read_checked`](Self::read_checked). The certificate and key from before then stay in use. A
    /// program that replaces both files does so one after the other. The second change is read,
    /// too.
    pub fn reread(&self) -> Result<bool, TlsFilesError> {
        let Shared {
            certificate,
            key,
            check,
            ..
        } = &*self.0;
        let found = [stamp(certificate), stamp(key)];
        if found == self.state().read {
            return Ok(false);
        }
        let config = configure(certificate, key, *check);
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
            permissions: file.permissions(),
        })
    };
    modified(path.metadata().ok()?)
}

fn configure(
    certificate: &Path,
    key: &Path,
    check: KeyCheck,
) -> Result<ServerConfig, TlsFilesError> {
    let fault = |what: String, source: BoxError| TlsFilesError { what, source };
    let unread = |name: &str, path: &Path, error: BoxError| {
        fault(
            format!("cannot read the {name} in {}", path.display()),
            error,
        )
    };
    let chain = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain: Vec<CertificateDer<'static>> =
        chain.map_err(|error| unread("certificate", certificate, error.into()))?;
    let mut file = File::open(key).map_err(|error| unread("key", key, error.into()))?;
    check(key, &file).map_err(|error| fault("cannot use the key".to_owned(), error))?;
    let secret = PrivateKeyDer::from_pem_reader(&mut file);
    let secret = secret.map_err(|error| unread("key", key, error.into()))?;
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
