//! Where the records are.

use std::path::{Path, PathBuf};

#[cfg(feature = "postgres")]
use tower_mcp_store_postgres::Target;

use crate::error::CliError;

/// How the URL of a database begins.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// The place that `--db` names.
#[derive(Debug)]
pub(crate) enum Record {
    /// A SQLite file.
    File(PathBuf),
    /// The PostgreSQL database of a fleet.
    #[cfg(feature = "postgres")]
    Fleet(Box<Target>),
}

impl Record {
    /// Returns the place of a path or URL.
    pub(crate) fn of(db: &Path) -> Result<Self, CliError> {
        match db.to_str() {
            Some(url) if SCHEMES.iter().any(|scheme| url.starts_with(scheme)) => fleet(url),
            _ => Ok(Self::File(db.to_owned())),
        }
    }
}

#[cfg(feature = "postgres")]
fn fleet(url: &str) -> Result<Record, CliError> {
    let target: Target = url.parse()?;
    let is_argument = std::env::args().any(|argument| argument.ends_with(url));
    if target.has_password() && is_argument {
        return Err(CliError::Message(format!(
            "other users of this machine can read the password in --db; give it in PGPASSWORD, \
             PGPASSFILE or ~/.pgpass, or give the whole URL in {}",
            crate::complete::DB
        )));
    }
    Ok(Record::Fleet(Box::new(target)))
}

#[cfg(not(feature = "postgres"))]
fn fleet(_: &str) -> Result<Record, CliError> {
    Err(CliError::Message(
        "this program was built without the feature postgres, so --db names a file".to_owned(),
    ))
}
