//! Whether two files are copies of each other.

use std::collections::HashMap;

use rusqlite::OptionalExtension;

use super::Reader;
use super::error::QueryError;
use super::reader::Source;
use crate::db::row::{number, optional_text, text};

/// How two files relate to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kinship {
    /// They have different ids, or one of them has none.
    Unrelated,
    /// They have the same id, and nothing shows that both were written to after the copy was made.
    Copies,
    /// They have the same id, and both were written to after the copy was made. So each has rows
    /// that the other lacks.
    Diverged,
}

/// How many events each run of a writer has written, by the id of the run.
type Runs = HashMap<String, i64>;

impl Reader {
    /// Compares the file with another one. It compares their ids, and the runs of the
    /// writers that recorded into them.
    ///
    /// The writer removes old runs from a file. If two files have no run in common, they count as
    /// [`Kinship::Copies`].
    pub fn kinship(&self, other: &Self) -> Result<Kinship, QueryError> {
        let [(id, own), (other_id, others)] = [self.read(identity)?, other.read(identity)?];
        if id.is_none() || id != other_id {
            return Ok(Kinship::Unrelated);
        }
        Ok(
            match has_continued(&own, &others) && has_continued(&others, &own) {
                true => Kinship::Diverged,
                false => Kinship::Copies,
            },
        )
    }
}

/// Returns the id of a file, and the runs of its writers. A file of version 4 has neither.
fn identity(source: &Source<'_>) -> rusqlite::Result<(Option<String>, Runs)> {
    let id = "SELECT value FROM meta WHERE key = 'store_id'";
    let id = source.conn.query_row(id, [], |row| optional_text(row, 0));
    let Some(id) = id.optional()?.flatten() else {
        return Ok((None, Runs::new()));
    };
    let mut runs = source
        .conn
        .prepare_cached("SELECT id, written FROM writers")?;
    let runs = runs.query_map([], |row| Ok((text(row, 0)?, number(row, 1)?)))?;
    Ok((Some(id), runs.collect::<rusqlite::Result<_>>()?))
}

/// Returns whether a file with the runs `own` was written to after it and the file with `others`
/// were the same: by a run that both have, or by a run that began after the newest of those. A
/// run that began earlier may have been removed from `others`.
fn has_continued(own: &Runs, others: &Runs) -> bool {
    // The ids of runs are in the order in which the runs began.
    let newest_common = own.keys().filter(|id| others.contains_key(*id)).max();
    newest_common.is_some_and(|newest| {
        own.iter().any(|(id, written)| match others.get(id) {
            Some(earlier) => written > earlier,
            None => id > newest && *written > 0,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(runs: &[(&str, i64)]) -> Runs {
        let runs = runs
            .iter()
            .map(|(id, seen_at)| ((*id).to_owned(), *seen_at));
        runs.collect()
    }

    #[test]
    fn file_has_continued_if_a_common_run_wrote_more_or_a_newer_run_wrote_anything() {
        let copied = runs(&[("1", 10), ("2", 20)]);
        for (own, continued) in [
            (runs(&[("1", 10), ("2", 20)]), false),
            (runs(&[("1", 10), ("2", 20), ("3", 1)]), true),
            (runs(&[("1", 10), ("2", 20), ("3", 0)]), false),
            (runs(&[("1", 10), ("2", 21)]), true),
            // The older run was removed from the copy.
            (runs(&[("0", 5), ("1", 10), ("2", 20)]), false),
            (runs(&[("3", 30)]), false),
        ] {
            assert_eq!(has_continued(&own, &copied), continued, "{own:?}");
        }
    }
}
