//! The distinct names in a column, found by seeking from one to the next in an index.

use rusqlite::params;
use rusqlite::types::ValueRef;

use super::Reader;
use super::error::QueryError;
use super::reader::Source;
use crate::event::DEFAULT_PROXY;

/// The most names for which a query seeks one after the other. With more names it reads
/// rows by time, because many rows match.
pub(super) const SOUGHT: usize = 64;

/// The most names of a column that are compared with a pattern. Clients choose names, so
/// there may be any number.
const COMPARED: usize = 10_000;

/// A column whose names an index orders.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    table: &'static str,
    column: &'static str,
    /// The condition of the index, if it is a partial one.
    condition: &'static str,
}

const fn place(table: &'static str, column: &'static str, condition: &'static str) -> Place {
    Place {
        table,
        column,
        condition,
    }
}

pub(super) const TOOLS: Place = place("requests", "tool", "tool IS NOT NULL");
/// Methods other than `tools/call`, all requests of which name a tool.
pub(super) const METHODS: Place = place("requests", "method", "tool IS NULL");
pub(super) const PRINCIPALS: Place = place("requests", "principal", "principal IS NOT NULL");
pub(super) const CLIENTS: Place = place("sessions", "client_name", "client_name IS NOT NULL");
const SERVERS: Place = place("requests", "proxy", "proxy <> 'default'");

/// A kind of name by which requests are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NameKind {
    /// The server that recorded the request.
    Server,
    /// The JSON-RPC method.
    Method,
    /// The tool of a `tools/call`.
    Tool,
    /// The client of the session.
    Client,
    /// The authenticated caller.
    Principal,
}

impl Reader {
    /// Returns the distinct names of a kind that begin with `prefix`, at most `limit`, in
    /// order of their bytes.
    ///
    /// It takes some microseconds for each name, and the same in a file of any size. In a
    /// file of version 4 it reads all rows for methods.
    ///
    /// ```
    /// use tower_mcp_store::query::{NameKind, Reader};
    ///
    /// # fn names(reader: &Reader) -> Result<(), Box<dyn std::error::Error>> {
    /// let tools = reader.names(NameKind::Tool, "search", 20)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn names(
        &self,
        kind: NameKind,
        prefix: &str,
        limit: usize,
    ) -> Result<Vec<String>, QueryError> {
        let place = match kind {
            NameKind::Server => SERVERS,
            NameKind::Method => METHODS,
            NameKind::Tool => TOOLS,
            NameKind::Client => CLIENTS,
            NameKind::Principal => PRINCIPALS,
        };
        self.read(|source| {
            if kind == NameKind::Method && !source.has_all_indexes() {
                return methods_without_index(source, prefix, limit);
            }
            // These are not in the partial indexes, which leave out the common case.
            let extra = match kind {
                NameKind::Server => Some((DEFAULT_PROXY, "proxy = 'default'")),
                NameKind::Method => Some(("tools/call", "tool IS NOT NULL")),
                _ => None,
            };
            let mut names = Vec::new();
            if let Some((name, condition)) = extra.filter(|(name, _)| name.starts_with(prefix)) {
                let sql = format!("SELECT EXISTS (SELECT 1 FROM requests WHERE {condition})");
                if source.conn.query_row(&sql, [], |row| row.get(0))? {
                    names.push(name.to_owned());
                }
            }
            let pattern = Pattern {
                operator: Operator::Glob,
                text: format!("{}*", escaped(prefix)),
                prefix: prefix.to_owned(),
            };
            names.extend(place.find(source, &pattern, limit)?.0);
            names.sort_unstable();
            names.dedup();
            names.truncate(limit);
            Ok(names)
        })
    }
}

/// Reads all rows.
fn methods_without_index(
    source: &Source<'_>,
    prefix: &str,
    limit: usize,
) -> rusqlite::Result<Vec<String>> {
    source
        .conn
        .prepare_cached(
            "SELECT DISTINCT method FROM requests WHERE method GLOB ?1 ORDER BY method LIMIT ?2",
        )?
        .query_map(
            params![format!("{}*", escaped(prefix)), limit as i64],
            |row| crate::db::row::text(row, 0),
        )?
        .collect()
}

/// Returns a pattern of `GLOB` that matches this text only.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        match c {
            '*' | '?' | '[' => pattern.extend(['[', c, ']']),
            c => pattern.push(c),
        }
    }
    pattern
}

/// A pattern for the values of a column, from the caller's text.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    operator: Operator,
    pub(super) text: String,
    /// Everything that matches begins with this.
    prefix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equals,
    /// The pattern of a shell, or the same text.
    Glob,
    /// Without regard to the case of ASCII letters.
    Like,
}

impl Pattern {
    /// Returns a pattern if the text has one of `*`, `?` and `[`, else the name itself.
    pub(super) fn of_name(text: &str) -> Self {
        let (operator, prefix) = match text.find(['*', '?', '[']) {
            None => (Operator::Equals, text),
            Some(at) => (Operator::Glob, text.get(..at).unwrap_or_default()),
        };
        Self {
            operator,
            text: text.to_owned(),
            prefix: prefix.to_owned(),
        }
    }

    /// Returns a pattern of what begins like a text with `*` and `?`, in any case.
    fn of_beginning(text: &str) -> Self {
        let mut this = Self::of_any_case(text);
        this.text.push('%');
        this
    }

    fn of_any_case(text: &str) -> Self {
        let mut pattern = String::new();
        for c in text.chars() {
            match c {
                '*' => pattern.push('%'),
                '?' => pattern.push('_'),
                '%' | '_' | '\\' => pattern.extend(['\\', c]),
                c => pattern.push(c),
            }
        }
        Self {
            operator: Operator::Like,
            text: pattern,
            prefix: String::new(),
        }
    }

    /// Returns the clients of a text: those of this name in any case or, if there are none,
    /// those whose name begins with it. Also returns their names, if they are few.
    pub(super) fn of_client(
        source: &Source<'_>,
        text: &str,
    ) -> rusqlite::Result<(Self, Option<Vec<String>>)> {
        let whole = Self::of_any_case(text);
        match CLIENTS.few(source, &whole)? {
            Some(names) if names.is_empty() => {
                let beginning = Self::of_beginning(text);
                let names = CLIENTS.few(source, &beginning)?;
                Ok((beginning, names))
            }
            names => Ok((whole, names)),
        }
    }

    pub(super) fn is_equality(&self) -> bool {
        self.operator == Operator::Equals
    }

    /// Returns the comparison of a column with the text, which is bound as `parameter`.
    pub(super) fn matches(&self, column: &str, parameter: &str) -> String {
        match self.operator {
            Operator::Equals => format!("{column} = {parameter}"),
            Operator::Glob => {
                format!("({column} GLOB {parameter} OR {column} = {parameter})")
            }
            Operator::Like => format!("{column} LIKE {parameter} ESCAPE '\\'"),
        }
    }
}

impl Place {
    /// Returns the names that match a pattern, if all were compared and they are few enough
    /// to seek each.
    pub(super) fn few(
        self,
        source: &Source<'_>,
        pattern: &Pattern,
    ) -> rusqlite::Result<Option<Vec<String>>> {
        let (found, is_all) = self.find(source, pattern, SOUGHT + 1)?;
        Ok((is_all && found.len() <= SOUGHT).then_some(found))
    }

    /// Seeks from name to name. The second value is whether all names were compared.
    fn find(
        self,
        source: &Source<'_>,
        pattern: &Pattern,
        limit: usize,
    ) -> rusqlite::Result<(Vec<String>, bool)> {
        let Self {
            table,
            column,
            condition,
        } = self;
        let next = |relation: &str| {
            format!(
                "(SELECT {column} FROM {table} WHERE {condition} AND {column} {relation}
                  ORDER BY {column} LIMIT 1)"
            )
        };
        // The prefix followed by the highest character sorts after all texts that begin
        // with it.
        let sql = format!(
            "WITH RECURSIVE name (n, place) AS (
                 SELECT {}, 1 UNION ALL
                 SELECT {}, place + 1 FROM name
                 WHERE n <= ?1 || char(1114111) AND place <= {COMPARED})
             SELECT n, place > {COMPARED} FROM name
             WHERE place > {COMPARED} OR {} LIMIT ?3",
            next(">= ?1"),
            next("> n"),
            pattern.matches("n", "?2"),
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut statement = source.conn.prepare_cached(&sql)?;
        let mut rows = statement.query(params![pattern.prefix, pattern.text, limit])?;
        let (mut found, mut is_all) = (Vec::new(), true);
        while let Some(row) = rows.next()? {
            let name = match row.get_ref(0)? {
                ValueRef::Text(bytes) => str::from_utf8(bytes).ok(),
                _ => None,
            };
            match name {
                Some(name) if !row.get::<_, bool>(1)? => found.push(name.to_owned()),
                // The limit is exceeded, or the name is not text and cannot be bound.
                _ => is_all = false,
            }
        }
        Ok((found, is_all))
    }
}
