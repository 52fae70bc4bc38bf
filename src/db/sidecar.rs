use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Returns the path of the side file of `database` whose name ends in `suffix`.
pub(crate) fn sidecar(database: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(suffix);
    name.into()
}
