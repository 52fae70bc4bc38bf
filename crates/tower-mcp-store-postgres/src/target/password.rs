//! The password of a database, from the same places as in libpq.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use tokio_postgres::Config;
use tokio_postgres::config::Host;

use crate::error::{PostgresError, PostgresErrorKind};

const DEFAULT_PORT: u16 = 5432;

/// The environment variables that matter for a password.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    password: Option<String>,
    file: Option<PasswordFile>,
}

#[derive(Debug)]
enum PasswordFile {
    /// `PGPASSFILE` names it, so it has to exist.
    Named(PathBuf),
    /// `~/.pgpass`.
    Default(PathBuf),
}

impl Environment {
    /// Reads the variables of this process.
    pub(crate) fn of_process() -> Self {
        let given = |name| env::var_os(name).filter(|value| !value.is_empty());
        let named = given("PGPASSFILE").map(|path| PasswordFile::Named(path.into()));
        let default = || given("HOME").map(|home| PathBuf::from(home).join(".pgpass"));
        Self {
            password: env::var("PGPASSWORD").ok(),
            file: named.or_else(|| default().map(PasswordFile::Default)),
        }
    }

    /// Returns the password for a connection; `None` if there is none.
    pub(super) fn password(&self, config: &Config) -> Result<Option<String>, PostgresError> {
        if self.password.is_some() {
            return Ok(self.password.clone());
        }
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let (path, is_named) = match file {
            PasswordFile::Named(path) => (path, true),
            PasswordFile::Default(path) => (path, false),
        };
        match read(path) {
            Ok(text) => Ok(find(&text, config)),
            Err(error) if error.kind() == io::ErrorKind::NotFound && !is_named => Ok(None),
            Err(error) => {
                let detail = format!("the password file {} cannot be used", path.display());
                Err(PostgresError::new(PostgresErrorKind::Unreadable, detail).with_source(error))
            }
        }
    }
}

/// Reads a password file. As in libpq, other users must not have access to it.
fn read(path: &Path) -> io::Result<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            return Err(io::Error::other(
                "other users have access to it; run chmod 600",
            ));
        }
    }
    fs::read_to_string(path)
}

/// Returns the password of the first line that fits: `host:port:database:user:password`, with
/// `*` for any, and `\` before a `:` or a `\` (PostgreSQL manual, "The Password File"). As in
/// libpq, the password may have a `:` without a `\` before it.
fn find(text: &str, config: &Config) -> Option<String> {
    let user = config.get_user().unwrap_or_default();
    let database = config.get_dbname().unwrap_or(user);
    let port = config.get_ports().first().unwrap_or(&DEFAULT_PORT);
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.as_str(),
        // The path of a socket.
        _ => "localhost",
    };
    let wanted = [host, &port.to_string(), database, user];
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .find_map(|line| {
            let mut rest = line;
            for wanted in wanted {
                let (name, after) = split_field(rest)?;
                if name != "*" && unescaped(name) != wanted {
                    return None;
                }
                rest = after;
            }
            Some(unescaped(rest))
        })
}

/// Splits a line at its first `:` that has no `\` before it.
fn split_field(line: &str) -> Option<(&str, &str)> {
    let mut is_escaped = false;
    let end = line.find(|character| {
        let is_end = character == ':' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        is_end
    })?;
    let (name, rest) = line.split_at_checked(end)?;
    Some((name, rest.strip_prefix(':')?))
}

/// Returns a field without its escapes.
fn unescaped(field: &str) -> String {
    let mut text = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => characters.next().unwrap_or('\\'),
            other => other,
        });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Config {
        url.parse().unwrap()
    }

    #[test]
    fn first_line_that_fits_gives_the_password() {
        let text = "# a comment\n\
            other:5432:d:u:1\n\
            h:5432:d:u:2\\:with\\\\both\n\
            *:*:*:u:3:and more\n\
            localhost:*:*:*:4\n\
            broken:line\n";
        for (url, expected) in [
            ("postgres://u@other/d", Some("1")),
            ("postgres://u@h/d", Some("2:with\\both")),
            ("postgres://u@h:6000/d", Some("3:and more")),
            ("postgres://v@%2Frun/d", Some("4")),
            ("postgres://v@h/d", None),
        ] {
            assert_eq!(find(text, &config(url)).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn variable_precedes_the_file() {
        let environment = Environment {
            password: Some("variable".to_owned()),
            file: Some(PasswordFile::Named("/none".into())),
        };
        let found = environment.password(&config("postgres://u@h/d")).unwrap();
        assert_eq!(found.as_deref(), Some("variable"));
    }

    #[test]
    fn only_a_named_file_has_to_exist() {
        let of = |file| Environment {
            password: None,
            file: Some(file),
        };
        let config = config("postgres://u@h/d");
        let default = of(PasswordFile::Default("/none".into()));
        assert_eq!(default.password(&config).unwrap(), None);
        let named = of(PasswordFile::Named("/none".into()));
        let error = named.password(&config).unwrap_err();
        assert_eq!(error.kind(), PostgresErrorKind::Unreadable);
    }

    #[cfg(unix)]
    #[test]
    fn file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pgpass");
        fs::write(&path, "*:*:*:*:secret\n").unwrap();
        let environment = Environment {
            password: None,
            file: Some(PasswordFile::Named(path.clone())),
        };
        let config = config("postgres://u@h/d");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = environment.password(&config).unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let found = environment.password(&config).unwrap();
        assert_eq!(found.as_deref(), Some("secret"));
    }
}
