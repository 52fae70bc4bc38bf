//! The certificate that clients see.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use mcp_forward::TlsFiles;

use crate::args::Tls;
use crate::error::CliError;
use crate::secret;

/// How often to check whether the files have changed. A check takes some microseconds.
const LOOK: Duration = Duration::from_secs(2);

/// Returns the certificate and key of the settings, if they have any.
pub(in crate::commands) fn read(settings: &Tls) -> Result<Option<TlsFiles>, CliError> {
    match (&settings.tls_cert, &settings.tls_key) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => {
            let check = |path: &Path, key: &File| Ok(secret::check(path, key)?);
            let files = TlsFiles::read_checked(certificate, key, check);
            let files = files.map_err(|error| CliError::Message(error.to_string()))?;
            Ok(Some(files))
        }
        (Some(_), None) => Err(CliError::Message("--tls-cert needs --tls-key".to_owned())),
        (None, Some(_)) => Err(CliError::Message("--tls-key needs --tls-cert".to_owned())),
    }
}

/// Reads the files again whenever they have changed.
pub(in crate::commands) async fn follow(files: TlsFiles) {
    let mut looks = tokio::time::interval(LOOK);
    loop {
        looks.tick().await;
        let files = files.clone();
        let reread = tokio::task::spawn_blocking(move || files.reread());
        match reread.await {
            Ok(Ok(false)) => {}
            Ok(Ok(true)) => tracing::info!("the certificate has changed and is in use"),
            Ok(Err(error)) => {
                tracing::error!(
                    "the certificate has changed, and the old one stays in use: {error}"
                );
            }
            // The runtime ends.
            Err(_) => return,
        }
    }
}
