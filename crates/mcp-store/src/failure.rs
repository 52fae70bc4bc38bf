//! What can go wrong, and the exit code that tells of it.

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use tower_mcp_store::query::Reader;
use tower_mcp_store::{OpenError, OpenErrorKind};

use crate::sanitize::harmless;

#[derive(Debug)]
pub(crate) enum Failure {
    /// The one thing that was asked for is not there.
    NotFound(String),
    /// Anything else, in words.
    Told(String),
    /// Anything else.
    Error(Box<dyn Error>),
}

impl Failure {
    /// Tells standard error about it, unless whoever reads the output went away.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::NotFound(text) => {
                eprintln!("{}", harmless(text));
                ExitCode::from(1)
            }
            Self::Told(text) => {
                eprintln!("error: {}", harmless(text));
                ExitCode::from(2)
            }
            Self::Error(error) if is_closed_pipe(&**error) => ExitCode::SUCCESS,
            Self::Error(error) => {
                eprintln!("error: {}", harmless(&error.to_string()));
                let causes = std::iter::successors(error.source(), |cause| (*cause).source());
                causes.for_each(|cause| eprintln!("  because: {}", harmless(&cause.to_string())));
                ExitCode::from(2)
            }
        }
    }
}

impl<E: Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Error(Box::new(error))
    }
}

fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Opens the file that is asked, or says what to do instead.
pub(crate) fn open(db: &Path) -> Result<Reader, Failure> {
    Reader::open(db).map_err(|error| not_opened(db, error))
}

/// What to do about a file that does not open.
pub(crate) fn not_opened(db: &Path, error: OpenError) -> Failure {
    match error.kind() {
        OpenErrorKind::NotFound => Failure::Told(format!(
            "no database at {}; run `mcp-store proxy --upstream URL` first, or pass --db",
            db.display()
        )),
        _ => error.into(),
    }
}
