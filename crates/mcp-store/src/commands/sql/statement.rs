//! Reads the statement, and shows where in it an error is.

use std::fs;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::Path;

use tower_mcp_store::query::{QueryError, QueryErrorKind};
use unicode_width::UnicodeWidthStr as _;

use crate::args::Sql;
use crate::error::CliError;
use crate::sanitize::escape_control;

/// The name of standard input on the command line.
const STDIN: &str = "-";

/// How many characters of a line are shown before an error and after it.
const AROUND: usize = 34;

/// Returns the statement from the command line, a file or standard input.
pub(super) fn read(args: &Sql) -> Result<String, CliError> {
    let file = match (&args.statement, &args.file) {
        (Some(statement), _) if statement != STDIN => return Ok(statement.clone()),
        (_, Some(file)) if file != Path::new(STDIN) => file,
        (None, None) if io::stdin().is_terminal() => {
            return Err(CliError::Message(
                "no statement; give one, such as \"SELECT * FROM calls LIMIT 5\", or --file PATH, \
                 or write it to standard input"
                    .to_owned(),
            ));
        }
        _ => {
            let mut statement = String::new();
            let read = io::stdin().read_to_string(&mut statement);
            read.map_err(|error| {
                CliError::Message(format!("cannot read standard input: {error}"))
            })?;
            return Ok(statement);
        }
    };
    fs::read_to_string(file)
        .map_err(|error| CliError::Message(format!("cannot read {}: {error}", file.display())))
}

/// Converts an error of the query. Shows its position in the statement, if SQLite knows
/// it.
pub(super) fn refused(sql: &str, error: QueryError) -> CliError {
    match error.position() {
        Some(at) if error.kind() == QueryErrorKind::Statement && sql.is_char_boundary(at) => {
            let (line, text, caret) = excerpt(sql, at);
            CliError::Located {
                message: format!("{error}, at line {line}"),
                text,
                caret,
            }
        }
        _ => error.into(),
    }
}

/// Returns the number of the line that holds the byte `at`, the part of the line around it, and
/// how wide the text before it is.
fn excerpt(sql: &str, at: usize) -> (usize, String, usize) {
    let (before, after) = sql.split_at(at);
    let line = before.matches('\n').count() + 1;
    let before = before.rsplit('\n').next().unwrap_or("");
    let after = after.lines().next().unwrap_or("");
    let from = before.char_indices().rev().nth(AROUND - 1);
    let before = escape_control(&before[from.map_or(0, |(from, _)| from)..]);
    let to = after.char_indices().nth(AROUND);
    let after = escape_control(&after[..to.map_or(after.len(), |(to, _)| to)]);
    (line, format!("{before}{after}"), before.width())
}

#[cfg(test)]
mod tests {
    use super::excerpt;

    #[test]
    fn excerpt_holds_the_place_of_the_error() {
        let sql = "SELECT 'é検',\n\tnothing\nFROM calls";
        let at = sql.find("nothing").unwrap();
        assert_eq!(excerpt(sql, at), (2, "\u{fffd}nothing".to_owned(), 1));
        let sql = "SELECT '検' nothing nothing";
        let at = sql.rfind("nothing").unwrap();
        assert_eq!(excerpt(sql, at), (1, sql.to_owned(), 20));
        assert_eq!(excerpt("", 0), (1, String::new(), 0));
    }

    #[test]
    fn excerpt_of_a_long_line_is_short() {
        let sql = format!("SELECT '{0}', nothing, '{0}'", "é".repeat(1_000));
        let (line, text, before) = excerpt(&sql, sql.find("nothing").unwrap());
        assert_eq!((line, before, text.chars().count()), (1, 34, 68));
        assert!(text.contains("nothing"), "{text}");
    }
}
