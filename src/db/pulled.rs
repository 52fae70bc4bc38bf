//! The mark of a file that was pulled from the database of a fleet.
//!
//! The next pull replaces rows of such a file. So no process may record to it, and it must not
//! be shipped: its rows would come back to their database under another id.

use std::path::Path;

use rusqlite::{Connection, Result};

use super::meta;
use crate::error::{OpenError, OpenErrorKind};

/// The key in `meta` of the time, in unix milliseconds, from which on the rows of the database
/// are in the file, or are being pulled. Only a pulled file has it.
pub(super) const PULLED_SINCE: &str = "pulled_since";

/// The key in `meta` of the time, in unix milliseconds, of the database's state that the last
/// complete pull brought. It is missing before the first one.
pub(crate) const PULLED_AT: &str = "pulled_at";

/// Returns whether the file was pulled.
pub(crate) fn is_pulled(conn: &Connection) -> Result<bool> {
    Ok(meta::get(conn, PULLED_SINCE)?.is_some())
}

/// Returns the error of a pulled file that is to be recorded to or shipped.
pub(super) fn refusal(path: &Path) -> OpenError {
    let detail = "`mcp-store pull` made it from the database of a fleet, so it is only read; give \
                  another path to record to or to ship";
    OpenError::new(OpenErrorKind::Pulled, path, detail)
}
