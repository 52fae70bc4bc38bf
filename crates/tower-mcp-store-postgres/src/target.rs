//! The URL of a database.

mod password;

use std::path::PathBuf;
use std::str::FromStr;
use std::{fmt, net};

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::error::{PostgresError, PostgresErrorKind};
pub(crate) use password::Environment;

/// The schemes of libpq's connection URIs.
const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];

/// A PostgreSQL database, by a URL such as `postgres://user@host:5432/name?sslmode=verify-full`.
///
/// `sslmode` and `sslrootcert` mean the same as in libpq (PostgreSQL manual, "SSL Support"),
/// with two exceptions. Without `sslmode`, a host on another machine needs `verify-full`. `allow`
/// and `prefer` are errors, because they fall back to plain text. `sslrootcert`
/// names a file of certificates in PEM, which replace those of the operating system.
///
/// The password comes from the URL, else from `PGPASSWORD`, else from the file that
/// `PGPASSFILE` names or from `~/.pgpass`. It is looked up for each connection. `Debug` does
/// not show it.
#[derive(Clone)]
pub struct Target {
    config: Config,
    tls: TlsMode,
    root_certificates: Option<PathBuf>,
}

/// How a connection verifies the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// Plain text.
    Disable,
    /// Encrypted. Any server may answer.
    Require,
    /// The server has a certificate of a trusted authority.
    VerifyCa,
    /// The certificate names the host, too.
    VerifyFull,
}

impl Target {
    /// Returns whether the URL names a password. A command refuses such a URL among its
    /// arguments, because other users of the machine can read these.
    pub fn has_password(&self) -> bool {
        self.config.get_password().is_some()
    }

    pub(crate) fn tls(&self) -> TlsMode {
        self.tls
    }

    pub(crate) fn root_certificates(&self) -> Option<&PathBuf> {
        self.root_certificates.as_ref()
    }

    /// Returns the configuration of a connection, with a password if there is one.
    pub(crate) fn config(&self, environment: &Environment) -> Result<Config, PostgresError> {
        let mut config = self.config.clone();
        if !self.has_password()
            && let Some(password) = environment.password(&config)?
        {
            config.password(password);
        }
        Ok(config)
    }
}

impl FromStr for Target {
    type Err = PostgresError;

    fn from_str(url: &str) -> Result<Self, PostgresError> {
        let refuse = |detail: &str| PostgresError::new(PostgresErrorKind::Url, detail);
        if !SCHEMES.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(refuse(
                "the URL of the database does not begin with postgres://",
            ));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        if base.matches('@').count() > 1 {
            // The rest of the password would count as the host, which messages show.
            return Err(refuse(
                "the URL has several `@`; in a user or password, write %40 for it",
            ));
        }
        let (mut mode, mut root_certificates) = (None, None);
        let mut others = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value),
                Some(("sslrootcert", value)) => root_certificates = Some(decoded(value)?),
                _ => others.push(pair),
            }
        }
        let plain = format!("{base}?{}", others.join("&"));
        let mut config = Config::from_str(&plain).map_err(|error| {
            let cause = error.into_source().map(|cause| cause.to_string());
            refuse(&format!(
                "the URL of the database is not valid: {}",
                cause.unwrap_or_default()
            ))
        })?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(refuse("the URL of the database names no host"));
        }
        let tls = match mode {
            None if is_local(&config) => TlsMode::Disable,
            None => TlsMode::VerifyFull,
            Some("disable") => TlsMode::Disable,
            // As in libpq, which verifies the authority if it knows one.
            Some("require") if root_certificates.is_some() => TlsMode::VerifyCa,
            Some("require") => TlsMode::Require,
            Some("verify-ca") => TlsMode::VerifyCa,
            Some("verify-full") => TlsMode::VerifyFull,
            Some("allow" | "prefer") => {
                return Err(refuse(
                    "sslmode=allow and sslmode=prefer fall back to plain text without an error; \
                     write sslmode=verify-full, or sslmode=disable for plain text",
                ));
            }
            Some(_) => {
                return Err(refuse(
                    "sslmode must be disable, require, verify-ca or verify-full",
                ));
            }
        };
        config.ssl_mode(match tls {
            TlsMode::Disable => SslMode::Disable,
            _ => SslMode::Require,
        });
        Ok(Self {
            config,
            tls,
            root_certificates: root_certificates.map(PathBuf::from),
        })
    }
}

/// Returns whether each host is this machine.
fn is_local(config: &Config) -> bool {
    let is_local = |host: &Host| match host {
        Host::Tcp(name) => {
            let address = name.parse::<net::IpAddr>();
            name == "localhost" || address.is_ok_and(|address| address.is_loopback())
        }
        // The path of a socket.
        #[cfg(unix)]
        _ => true,
    };
    match config.get_hostaddrs() {
        [] => config.get_hosts().iter().all(is_local),
        addresses => addresses.iter().all(net::IpAddr::is_loopback),
    }
}

/// Decodes the percent-encoding of a value (RFC 3986, section 2.1).
fn decoded(value: &str) -> Result<String, PostgresError> {
    let text = percent_decode_str(value).decode_utf8().map_err(|_| {
        let detail = "sslrootcert in the URL of the database is not UTF-8";
        PostgresError::new(PostgresErrorKind::Url, detail)
    })?;
    Ok(text.into_owned())
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("hosts", &self.config.get_hosts())
            .field("ports", &self.config.get_ports())
            .field("user", &self.config.get_user())
            .field("database", &self.config.get_dbname())
            .field("tls", &self.tls)
            .field("root_certificates", &self.root_certificates)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        url.parse().unwrap()
    }

    #[test]
    fn sslmode_means_what_it_means_in_libpq() {
        for (url, expected) in [
            ("postgres://u@127.0.0.1/d", TlsMode::Disable),
            ("postgres://u@localhost/d", TlsMode::Disable),
            ("postgres://u@[::1]/d", TlsMode::Disable),
            (
                "postgresql://u@%2Fvar%2Frun%2Fpostgresql/d",
                TlsMode::Disable,
            ),
            ("postgres://u@db.example/d", TlsMode::VerifyFull),
            ("postgres://u@localhost,db.example/d", TlsMode::VerifyFull),
            (
                "postgres://u@db.example/d?sslmode=disable",
                TlsMode::Disable,
            ),
            (
                "postgres://u@localhost/d?sslmode=verify-full",
                TlsMode::VerifyFull,
            ),
            (
                "postgres://u@db.example/d?sslmode=verify-ca",
                TlsMode::VerifyCa,
            ),
            (
                "postgres://u@db.example/d?sslmode=require",
                TlsMode::Require,
            ),
            (
                "postgres://u@db.example/d?sslmode=require&sslrootcert=/ca.pem",
                TlsMode::VerifyCa,
            ),
        ] {
            assert_eq!(target(url).tls(), expected, "{url}");
        }
    }

    #[test]
    fn modes_that_fall_back_to_plain_text_are_refused() {
        for mode in ["allow", "prefer"] {
            let url = format!("postgres://u@db.example/d?sslmode={mode}");
            let error = url.parse::<Target>().unwrap_err();
            assert_eq!(error.kind(), PostgresErrorKind::Url);
            assert!(error.to_string().contains("plain text"), "{error}");
        }
    }

    #[test]
    fn url_that_cannot_be_used_is_refused_without_its_password() {
        for url in [
            "secret",
            "mysql://u:secret@h/d",
            "postgres://u:secret@/d",
            "postgres://u:secret@h:port/d",
            "postgres://u:secret@h/d?sslmode=secret",
            "postgres://u:secret@h/d?connect_timeout=secret",
            "postgres://u:sec@secret@h/d",
            "postgres://u:secret@h/d?sslrootcert=secret%ff",
        ] {
            let error = url.parse::<Target>().unwrap_err();
            assert_eq!(error.kind(), PostgresErrorKind::Url, "{url}");
            assert!(!format!("{error} {error:?}").contains("secret"), "{error}");
        }
    }

    #[test]
    fn debug_does_not_show_the_password() {
        let target = target("postgres://u:secret@h/d");
        assert!(target.has_password());
        assert!(!format!("{target:?}").contains("secret"));
    }

    #[test]
    fn path_of_root_certificates_is_decoded() {
        let target = target("postgres://u@h/d?sslrootcert=/my%20ca.pem&application_name=x");
        assert_eq!(
            target.root_certificates(),
            Some(&PathBuf::from("/my ca.pem"))
        );
    }
}
