//! Paths that SQLite does not treat as a file name.

use std::path::Path;

use crate::error::{OpenError, OpenErrorKind};

/// Returns an error for an empty path, `:memory:` and URIs.
pub(crate) fn refuse(path: &Path) -> Result<(), OpenError> {
    let name = path.as_os_str().as_encoded_bytes();
    let detail = if name.is_empty() || name == b":memory:" {
        "a store is always a file, because others read it; give the path of a file, in a \
         temporary directory if it need not stay"
    } else if name.starts_with(b"file:") {
        "URIs are not supported; give the path alone, or `./file:...` for a file of this name"
    } else {
        return Ok(());
    };
    Err(OpenError::new(OpenErrorKind::NotAFile, path, detail))
}
