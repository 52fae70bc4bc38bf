//! The size of listed tools, and whether they are called.

use std::collections::HashSet;

use rusqlite::params;

use super::{SchemaFilter, Snapshot, snapshots};
use crate::db::rollup::{OTHER, cell_name};
use crate::db::row::text;
use crate::query::QueryError;
use crate::query::coverage::Coverage;
use crate::query::reader::Source;
use crate::query::{Reader, Window};
use crate::wire::Discovery;
use crate::wire::listing::Page;

/// Bytes of JSON for each token of a model. This is the rule of thumb for English text;
/// a tokeniser may find a third more or less.
const BYTES_PER_TOKEN: usize = 4;

/// The most characters that `requests.tool` holds.
const TOOL_CHARS: usize = 256;

/// A tool that a server lists.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Tool {
    /// The server that saw it listed.
    pub proxy: String,
    /// The server's URL; empty for one in the recorder's own process.
    pub upstream_url: String,
    /// The tool's name.
    pub name: String,
    /// Size of its definition as JSON without white space and `_meta`.
    pub bytes: usize,
    /// An estimate of its tokens in a model's context: a quarter of the bytes.
    pub estimated_tokens: usize,
    /// Whether it was called.
    pub usage: Usage,
}

/// Whether a tool was called in the window of the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Usage {
    /// The tool was called.
    Called,
    /// The tool was not called.
    Uncalled,
    /// It is unknown. The window has calls whose requests are gone and whose tool was not
    /// counted by its name, because too many others were called that day.
    Unknown,
}

impl Reader {
    /// Returns the tools that are listed now, largest first, and whether each was called
    /// in the window of the filter, which is widened like that of
    /// [`stats`](Reader::stats).
    pub fn tools(&self, filter: &SchemaFilter) -> Result<Vec<Tool>, QueryError> {
        let mut filter = filter.clone();
        filter.method = Some(Discovery::Tools.method().to_owned());
        self.read(|source| {
            let calls = Calls::of(source, filter.window)?;
            let mut tools = Vec::new();
            for snapshot in snapshots(source, &filter)? {
                add_tools(source, snapshot, &calls, &mut tools)?;
            }
            tools.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.name.cmp(&b.name)));
            Ok(tools)
        })
    }
}

fn add_tools(
    source: &Source<'_>,
    snapshot: Snapshot,
    calls: &Calls,
    tools: &mut Vec<Tool>,
) -> rusqlite::Result<()> {
    let page = Page::read(Discovery::Tools, snapshot.payload.as_bytes());
    let Ok(Page::Items(_, items)) = page else {
        return Ok(());
    };
    for item in items {
        let stored = match item.key.char_indices().nth(TOOL_CHARS) {
            Some((end, _)) => item.key.get(..end).unwrap_or_default(),
            None => &*item.key,
        };
        let usage = calls.usage(source, &snapshot.proxy, stored)?;
        tools.push(Tool {
            proxy: snapshot.proxy.clone(),
            upstream_url: snapshot.upstream_url.clone(),
            name: item.key.into(),
            bytes: item.text.len(),
            estimated_tokens: item.text.len().div_ceil(BYTES_PER_TOKEN),
            usage,
        });
    }
    Ok(())
}

/// The calls of a window, from cells.
struct Calls {
    window: Window,
    /// The tools that were called, by server.
    named: HashSet<(String, String)>,
    /// The servers with calls whose tool is in neither a cell nor a request.
    unnamed: HashSet<String>,
}

impl Calls {
    fn of(source: &Source<'_>, asked: Window) -> rusqlite::Result<Self> {
        let coverage = Coverage::of(source)?;
        let window = coverage.widened(asked);
        let mut this = Self {
            window,
            named: HashSet::new(),
            unnamed: HashSet::new(),
        };
        let mut cells = source.conn.prepare_cached(
            "SELECT DISTINCT proxy, tool FROM request_rollups
             WHERE width = ?1 AND start >= ?2 AND start < ?3 AND tool <> ''",
        )?;
        for (width, part) in coverage.cells(window) {
            let mut rows = cells.query([width.ms(), part.since, part.until])?;
            while let Some(row) = rows.next()? {
                this.named.insert((text(row, 0)?, text(row, 1)?));
            }
        }
        let mut cells = source.conn.prepare_cached(
            "SELECT DISTINCT proxy FROM request_rollups
             WHERE width = ?1 AND start >= ?2 AND start < ?3 AND +tool = ?4",
        )?;
        for (width, part) in coverage.cells(coverage.pruned(window)) {
            let mut rows = cells.query(params![width.ms(), part.since, part.until, OTHER])?;
            while let Some(row) = rows.next()? {
                this.unnamed.insert(text(row, 0)?);
            }
        }
        Ok(this)
    }

    fn usage(&self, source: &Source<'_>, proxy: &str, tool: &str) -> rusqlite::Result<Usage> {
        let named = (proxy.to_owned(), cell_name(tool).into_owned());
        if self.named.contains(&named) {
            return Ok(Usage::Called);
        }
        let Window { since, until } = self.window;
        let mut exists = source.conn.prepare_cached(
            "SELECT 1 FROM requests WHERE tool = ?1 AND ts >= ?2 AND ts < ?3 AND +proxy = ?4",
        )?;
        Ok(if exists.exists(params![tool, since, until, proxy])? {
            Usage::Called
        } else if self.unnamed.contains(proxy) {
            Usage::Unknown
        } else {
            Usage::Uncalled
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rusqlite::{Connection, params};

    use super::*;
    use crate::Store;
    use crate::db::BucketWidth;

    #[test]
    fn calls_are_found_in_whole_days_and_the_hours_around_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mcp.db");
        let store = Store::open(&path).unwrap();
        store.shutdown(Duration::from_secs(30)).unwrap();
        let conn = Connection::open(&path).unwrap();
        let (hour, day) = (BucketWidth::Hour.ms(), BucketWidth::Day.ms());
        for (tool, width, start) in [
            ("early", BucketWidth::Hour, 0),
            ("before", BucketWidth::Hour, 22 * hour),
            ("between", BucketWidth::Day, day),
            ("after", BucketWidth::Hour, 2 * day),
            ("late", BucketWidth::Hour, 2 * day + 13 * hour),
        ] {
            conn.execute(
                "INSERT INTO request_rollups VALUES (?1, ?2, 'p', 'tools/call', ?3, 'ok',
                     1, 1, 0, 0, 0, x'', 0, NULL)",
                params![width.ms(), start, tool],
            )
            .unwrap();
        }
        let reader = Reader::open(&path).unwrap();
        let called = |since, until| {
            let window = Window { since, until };
            let calls = reader.read(|source| Calls::of(source, window)).unwrap();
            let mut tools = Vec::from_iter(calls.named.into_iter().map(|(_, tool)| tool));
            tools.sort();
            tools.join(" ")
        };
        let noon = 12 * hour;
        assert_eq!(called(noon, 2 * day + noon), "after before between");
        assert_eq!(called(i64::MIN, i64::MAX), "between");
        assert_eq!(called(20 * hour, 23 * hour), "before");
        assert_eq!(called(day, 0), "");
    }
}
