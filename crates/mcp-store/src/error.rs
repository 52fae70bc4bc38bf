//! Errors of the command, and the exit code of each.

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use tower_mcp_store::query::Reader;
use tower_mcp_store::{OpenError, OpenErrorKind};

use crate::sanitize::escape_control;

#[derive(Debug)]
pub(crate) enum CliError {
    /// The record named on the command line does not exist. The exit code is 1.
    NotFound(String),
    /// A message for the user. The exit code is 2, also for the next variants.
    Message(String),
    /// An error in the user's text: a part of the text, and the width before the error.
    Located {
        message: String,
        text: String,
        caret: usize,
    },
    /// An error of a library.
    Other(Box<dyn Error>),
}

impl CliError {
    /// Prints the error to standard error and returns the exit code.
    ///
    /// A closed pipe is not an error: the program that reads the output has read enough.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::NotFound(text) => {
                eprintln!("{}", escape_control(text));
                ExitCode::from(1)
            }
            Self::Message(text) => {
                eprintln!("error: {}", escape_control(text));
                ExitCode::from(2)
            }
            Self::Located {
                message,
                text,
                caret,
            } => {
                eprintln!("error: {}", escape_control(message));
                eprintln!("  {}\n  {:caret$}^", escape_control(text), "");
                ExitCode::from(2)
            }
            Self::Other(error) if is_closed_pipe(&**error) => ExitCode::SUCCESS,
            Self::Other(error) => {
                eprintln!("error: {}", escape_control(&error.to_string()));
                let causes = std::iter::successors(error.source(), |cause| (*cause).source());
                causes.for_each(|cause| {
                    eprintln!("  because: {}", escape_control(&cause.to_string()))
                });
                ExitCode::from(2)
            }
        }
    }
}

impl<E: Error + 'static> From<E> for CliError {
    fn from(error: E) -> Self {
        Self::Other(Box::new(error))
    }
}

fn is_closed_pipe(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| (*error).source())
        .filter_map(|error| error.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// Opens the file for reading.
pub(crate) fn open(db: &Path) -> Result<Reader, CliError> {
    Reader::open(db).map_err(|error| not_opened(db, error))
}

/// Converts an error of opening the file, and adds what to do if the file does not exist.
pub(crate) fn not_opened(db: &Path, error: OpenError) -> CliError {
    match error.kind() {
        OpenErrorKind::NotFound => CliError::Message(format!(
            "no database at {}; run `mcp-store proxy --upstream URL` first, or pass --db",
            db.display()
        )),
        _ => error.into(),
    }
}
