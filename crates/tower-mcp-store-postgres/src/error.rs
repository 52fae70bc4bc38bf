//! The error of this crate.

use std::error::Error;
use std::{fmt, io};

use tokio_postgres::error::SqlState;
use tower_mcp_store::{MaintenanceError, OpenError, OpenErrorKind};

type Source = Box<dyn Error + Send + Sync + 'static>;

/// The error of an operation on the database, or on the file that is shipped to it.
///
/// [`kind`](Self::kind) says why it failed. The message names neither a password nor values of
/// rows. [`source`](Error::source) holds the cause, unless the cause is an answer of PostgreSQL.
/// The type of the cause is not part of the API.
#[derive(Debug)]
pub struct PostgresError {
    kind: PostgresErrorKind,
    detail: String,
    source: Option<Source>,
}

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PostgresErrorKind {
    /// The URL is not valid.
    Url,
    /// A file with a password or with certificates cannot be read.
    Unreadable,
    /// No connection was made, or it was lost. Another attempt may succeed.
    Connection,
    /// The server's certificate does not prove that it is the server of the URL.
    Certificate,
    /// The server does not accept the user, or the user lacks a right.
    Rights,
    /// The database has no schema of this crate.
    NoSchema,
    /// The database has a schema of a newer release.
    NewerSchema,
    /// The database cannot hold the schema: its encoding is not UTF-8, or other tables have
    /// the names.
    Unsuitable,
    /// The file was restored from a copy, or another file has its id.
    Diverged,
    /// Another shipper works on the same file.
    Busy,
    /// The file cannot be read or written.
    File,
    /// PostgreSQL refused a statement for another reason.
    Statement,
}

impl PostgresError {
    pub(crate) fn new(kind: PostgresErrorKind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            source: None,
        }
    }

    pub(crate) fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Returns why the operation failed.
    pub fn kind(&self) -> PostgresErrorKind {
        self.kind
    }

    /// Returns the error of a file that a shipper cannot open.
    pub(crate) fn not_opened(error: OpenError) -> Self {
        let kind = match error.kind() {
            OpenErrorKind::Locked => PostgresErrorKind::Busy,
            _ => PostgresErrorKind::File,
        };
        Self::new(kind, "the file cannot be shipped").with_source(error)
    }

    /// Returns this error and its causes in one line.
    pub(crate) fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }

    /// Returns the error of a statement or a connection.
    ///
    /// The answer of PostgreSQL may hold values of a row in its detail, so only its message
    /// and its code are kept.
    pub(crate) fn of(error: tokio_postgres::Error) -> Self {
        let Some(answer) = error.as_db_error() else {
            let is_closed = error.is_closed();
            return match error.into_source() {
                Some(source) => Self::of_connection(source),
                None if is_closed => Self::new(
                    PostgresErrorKind::Connection,
                    "the connection to the database is closed",
                ),
                None => Self::new(PostgresErrorKind::Connection, NO_POSTGRES),
            };
        };
        let kind = kind_of(answer.code());
        let mut detail = format!("{} (SQLSTATE {})", answer.message(), answer.code().code());
        if *answer.code() == SqlState::INSUFFICIENT_PRIVILEGE {
            detail.push_str(LACKS_A_RIGHT);
        }
        Self::new(kind, detail)
    }

    /// Returns the error of a connection that was not made or was lost.
    fn of_connection(source: Source) -> Self {
        use PostgresErrorKind::{Certificate, Connection, Rights};
        let io = source.downcast_ref::<io::Error>();
        let is_tls = io.is_some_and(|error| {
            error
                .get_ref()
                .is_some_and(|inner| inner.is::<rustls::Error>())
        });
        let (kind, detail) = match io.map(io::Error::kind) {
            _ if is_certificate(&*source) => {
                (Certificate, "the certificate of the server is not accepted")
            }
            // The driver could not read a message.
            Some(
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other,
            ) if !is_tls => (Connection, NO_POSTGRES),
            // The driver has no code for it.
            _ if source.to_string() == "password missing" => (
                Rights,
                "the server asks for a password; give it in PGPASSWORD, PGPASSFILE or ~/.pgpass",
            ),
            _ => (Connection, "the connection to the database failed"),
        };
        Self::new(kind, detail).with_source(source)
    }
}

const LACKS_A_RIGHT: &str = "; the owner of the tables runs `mcp-store fleet`, and gives other \
    roles their rights with `mcp-store fleet init --shipper ROLE --reader ROLE`";

/// The server answered with bytes that PostgreSQL does not send.
const NO_POSTGRES: &str = "the server does not speak the protocol of PostgreSQL";

/// Returns the kind of an answer by its class of SQLSTATE (PostgreSQL manual, appendix A).
fn kind_of(code: &SqlState) -> PostgresErrorKind {
    use PostgresErrorKind::*;
    match code.code() {
        // Connection exception, insufficient resources, operator intervention, system error.
        code if ["08", "53", "57", "58"].contains(&class(code)) => Connection,
        // Serialization failure, deadlock, lock not available.
        "40001" | "40P01" | "55P03" => Connection,
        // A pooler answers so while the server behind it is away.
        "XX000" => Connection,
        // A read-only server, such as a standby before it is promoted.
        "25006" => Connection,
        "42501" => Rights,
        "42P01" | "42883" | "42703" => NoSchema,
        code if ["28", "3D"].contains(&class(code)) => Rights,
        _ => Statement,
    }
}

fn class(code: &str) -> &str {
    code.get(..2).unwrap_or(code)
}

/// Returns whether the cause is a certificate.
fn is_certificate(error: &(dyn Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes
        .filter_map(|error| {
            let inner = error.downcast_ref::<std::io::Error>()?.get_ref()?;
            inner.downcast_ref::<rustls::Error>()
        })
        .any(|error| matches!(error, rustls::Error::InvalidCertificate(_)))
}

impl From<MaintenanceError> for PostgresError {
    fn from(error: MaintenanceError) -> Self {
        Self::new(PostgresErrorKind::File, "the file cannot be shipped").with_source(error)
    }
}

impl fmt::Display for PostgresError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Error for PostgresError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| &**source as _)
    }
}
