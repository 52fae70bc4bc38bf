//! Files with secrets.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use crate::error::CliError;

/// Reads a file that other users cannot read.
pub(super) fn read(path: &Path) -> Result<String, CliError> {
    let name = path.display();
    let failed = |error: io::Error| CliError::Message(format!("cannot read {name}: {error}"));
    let mut file = File::open(path).map_err(failed)?;
    check(path, &file)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Returns an error if other users can read the file at a path. Its group may.
pub(super) fn check_path(path: &Path) -> Result<(), CliError> {
    let file = File::open(path);
    let name = path.display();
    let file = file.map_err(|error| CliError::Message(format!("cannot read {name}: {error}")))?;
    check(path, &file)
}

#[cfg(unix)]
fn check(path: &Path, file: &File) -> Result<(), CliError> {
    use std::os::unix::fs::PermissionsExt as _;
    const OTHERS: u32 = 0o007;
    let mode = file.metadata()?.permissions().mode();
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let name = path.display();
    Err(CliError::Message(format!(
        "{name} holds a secret, and other users have access to it (mode {:03o}); \
         run: chmod o= {name}",
        mode & 0o777
    )))
}

/// The files of other systems have no modes.
#[cfg(not(unix))]
fn check(_: &Path, _: &File) -> Result<(), CliError> {
    Ok(())
}
