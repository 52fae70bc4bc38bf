//! Completion in a shell: options from the command line's definition, values from the file.
//!
//! A completion reads only. It creates and migrates nothing, does not wait for a file that is
//! locked, and prints no error.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use clap::Command;
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use tower_mcp_store::query::{NameKind, Reader, SessionFilter};

use crate::sanitize::escape_control;

/// The variable by which a shell asks for completions.
pub(crate) const VARIABLE: &str = "MCP_STORE_COMPLETE";

/// The variable and the default of `--db`.
pub(crate) const DB: &str = "MCP_STORE_DB";
pub(crate) const DEFAULT_DB: &str = "./mcp-store.db";

/// How long a completion waits for values from the file.
const PATIENCE: Duration = Duration::from_millis(50);

/// How many names are read. Clients choose them, so there may be any number.
const MOST: usize = 200;

/// How many of the newest sessions are offered.
const SESSIONS: usize = 100;

const REVISIONS: [&str; 5] = [
    "2024-11-05",
    "2025-03-26",
    "2025-06-18",
    "2025-11-25",
    "2026-07-28",
];

/// A kind of value in the file.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Name(NameKind),
    Session,
}

/// Answers a shell that requests completions. Returns `None` if no shell does.
pub(crate) fn answer(command: fn() -> Command) -> Option<ExitCode> {
    let current = env::current_dir().ok();
    let answered = CompleteEnv::with_factory(command)
        .var(VARIABLE)
        .try_complete(env::args_os(), current.as_deref());
    match answered {
        Ok(false) => None,
        Ok(true) => Some(ExitCode::SUCCESS),
        // A message would appear in the line that is being typed.
        Err(_) => Some(ExitCode::from(2)),
    }
}

pub(crate) fn names(kind: NameKind) -> ArgValueCompleter {
    ArgValueCompleter::new(move |prefix: &OsStr| values(Kind::Name(kind), prefix))
}

pub(crate) fn sessions() -> ArgValueCompleter {
    ArgValueCompleter::new(|prefix: &OsStr| values(Kind::Session, prefix))
}

/// Offers the revisions of MCP. No index has those of a file.
pub(crate) fn revisions() -> ArgValueCompleter {
    ArgValueCompleter::new(|prefix: &OsStr| {
        let begins = |revision: &&&str| revision.as_bytes().starts_with(prefix.as_encoded_bytes());
        let fitting = REVISIONS.iter().filter(begins);
        fitting.map(CompletionCandidate::new).collect()
    })
}

/// Returns the values in the file that begin with `prefix`, or none if reading them takes long.
fn values(kind: Kind, prefix: &OsStr) -> Vec<CompletionCandidate> {
    let Some(prefix) = prefix.to_str().map(str::to_owned) else {
        return Vec::new();
    };
    let db = db(env::args_os());
    let (sender, receiver) = mpsc::channel();
    let reading = thread::Builder::new().spawn(move || {
        let found = read(kind, &db, &prefix).unwrap_or_default();
        // The receiver may have given up.
        let _ = sender.send(found);
    });
    match reading {
        Ok(_) => receiver.recv_timeout(PATIENCE).unwrap_or_default(),
        Err(_) => Vec::new(),
    }
}

/// Returns the file of the command line that is being typed.
fn db(words: impl Iterator<Item = OsString>) -> PathBuf {
    let mut words = words.skip_while(|word| word != "--");
    let mut typed = None;
    while let Some(word) = words.next() {
        if word == "--db" {
            typed = words.next();
        } else if let Some(path) = word.to_str().and_then(|word| word.strip_prefix("--db=")) {
            typed = Some(path.into());
        }
    }
    let path = typed
        .or_else(|| env::var_os(DB))
        .unwrap_or_else(|| DEFAULT_DB.into());
    let path = PathBuf::from(path);
    // The shell has not expanded the word yet.
    match (path.strip_prefix("~"), env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path,
    }
}

fn read(kind: Kind, db: &Path, prefix: &str) -> Option<Vec<CompletionCandidate>> {
    let beside = |end: &str| {
        let mut path = db.as_os_str().to_owned();
        path.push(end);
        Path::new(&path).exists()
    };
    // SQLite would create the file through which it shares the WAL.
    if beside("-wal") && !beside("-shm") {
        return None;
    }
    let reader = Reader::open(db).ok()?;
    let found: Vec<(String, Option<String>)> = match kind {
        Kind::Name(kind) => {
            let names = reader.names(kind, prefix, MOST).ok()?;
            names.into_iter().map(|name| (name, None)).collect()
        }
        Kind::Session => {
            let sessions = reader.sessions(&SessionFilter::default(), SESSIONS).ok()?;
            let of = |client: Option<String>| client.map(|name| escape_control(&name).into_owned());
            let found = sessions
                .into_iter()
                .map(|row| (row.session_id, of(row.client_name)));
            found.collect()
        }
    };
    let fitting = found
        .into_iter()
        .filter(|(value, _)| value.starts_with(prefix) && is_plain(value));
    Some(
        fitting
            .map(|(value, help)| CompletionCandidate::new(value).help(help.map(Into::into)))
            .collect(),
    )
}

/// Returns whether a shell takes the value as it is. A client chose it, and Bash inserts it
/// without quotes: `$(...)` would run.
fn is_plain(value: &str) -> bool {
    let is_harmless = |c: char| c.is_alphanumeric() || "_-./:@+,=%".contains(c);
    !value.is_empty() && !value.starts_with('-') && value.chars().all(is_harmless)
}

#[cfg(test)]
mod tests {
    use super::{OsString, db, is_plain};

    #[test]
    fn file_is_that_of_the_typed_line() {
        let of = |words: &[&str]| db(words.iter().map(OsString::from));
        let before = ["mcp-store", "--", "mcp-store"];
        for typed in [
            &["--db", "a.db", "logs"][..],
            &["logs", "--db=a.db", "--tool", ""],
        ] {
            assert_eq!(of(&[&before, typed].concat()).to_str(), Some("a.db"));
        }
    }

    #[test]
    fn values_that_a_shell_would_expand_are_not_offered() {
        for plain in ["search", "a.b/c-d_e", "検索", "derived:1f"] {
            assert!(is_plain(plain), "{plain}");
        }
        for harmful in [
            "",
            "-x",
            "a b",
            "$(id)",
            "`id`",
            "a;b",
            "a|b",
            "a>b",
            "a'b",
            "a\"b",
            "a\\b",
            "*",
            "~",
            "a\u{1b}",
            "a\nb",
            "a\u{202e}b",
            "#a",
            "!1",
            "{a,b}",
        ] {
            assert!(!is_plain(harmful), "{harmful:?}");
        }
    }
}
