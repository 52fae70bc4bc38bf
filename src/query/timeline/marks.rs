//! Events beside calls: changes of listings, and starts of writers.

use rusqlite::params;

use super::super::filter::{SchemaFilter, StatsFilter};
use super::super::reader::Source;
use super::super::record::record;
use super::super::schema::{self, SchemaChange};
use super::super::window::Window;

/// The most marks of each kind.
const MARKS: usize = 500;

record! {
    /// The start of a writer: a row of `writers`.
    #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
    #[non_exhaustive]
    pub struct WriterStart {
        /// When it opened the file, in unix milliseconds.
        pub started_at: i64,
        /// Where it ran.
        pub instance: Option<String>,
    }
}

/// Returns the latest changes of a window that concern the filter, oldest first.
pub(super) fn changes(
    source: &Source<'_>,
    filter: &StatsFilter,
    window: Window,
) -> rusqlite::Result<Vec<SchemaChange>> {
    let mut asked = SchemaFilter::new().window(window);
    asked.server_name.clone_from(&filter.server_name);
    let mut changes = match &filter.tool {
        Some(tool) => schema::changes_of_tool(source, &asked, tool, MARKS)?,
        None => schema::changes(source, &asked, MARKS, "")?,
    };
    changes.reverse();
    Ok(changes)
}

/// Returns the latest starts of writers in a window, oldest first.
pub(super) fn writer_starts(
    source: &Source<'_>,
    window: Window,
) -> rusqlite::Result<Vec<WriterStart>> {
    let sql = format!(
        "SELECT {} FROM writers WHERE started_at >= ?1 AND started_at < ?2
         ORDER BY started_at DESC, id DESC LIMIT {MARKS}",
        WriterStart::COLUMNS
    );
    let mut statement = source.conn.prepare_cached(&sql)?;
    let starts = statement.query_map(params![window.since, window.until], WriterStart::from_row)?;
    let mut starts: Vec<WriterStart> = starts.collect::<rusqlite::Result<_>>()?;
    starts.reverse();
    Ok(starts)
}
