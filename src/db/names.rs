//! Names that a migration needs and that the user has already used.
//!
//! A file may have columns, indexes and views of the user. If the user's object has
//! the name of one of our indexes or views, ours takes another name. Other programs
//! know our tables and columns by name, so a conflict with them is an error, which
//! says how to rename the user's object.

use rusqlite::{Connection, OptionalExtension, Result};

use super::steps;

/// The next version recreates `server_schema`. SQLite does not say how a generated
/// column was defined, so the column would be lost.
const LAST_WITHOUT_PROXY: i64 = 2;

/// The names that indexes and views take in one file in place of their own.
#[derive(Debug, Default)]
pub(super) struct Names {
    indexes: Vec<(String, String)>,
    views: Vec<(String, String)>,
}

impl Names {
    /// Returns the names of versions `from` to `to` that other objects have in `conn`.
    pub(super) fn given(conn: &Connection, from: i64, to: i64) -> Result<Self> {
        let mut names = Self::default();
        if from >= to || objects(conn, None)?.is_empty() {
            return Ok(names);
        }
        let models = models(from, to)?;
        let (Some(old), Some(newest)) = (models.first(), models.last()) else {
            return Ok(names);
        };
        let mut seen = Vec::new();
        for version in &models {
            for index in objects(version, Some("index"))? {
                if !seen.contains(&index) {
                    seen.push(index);
                }
            }
        }
        for index in seen {
            let found = shape(conn, &index)?;
            let is_ours = found.is_some() && found == shape(old, &index)?;
            if !is_ours && kind(conn, &index)?.is_some() {
                let other = free(&index, |name| Ok(kind(conn, name)?.is_some()))?;
                names.indexes.push((index, other));
            }
        }
        for view in objects(newest, Some("view"))? {
            // A user's table or view of this name is used in place of ours.
            if kind(conn, &view)?.as_deref() == Some("index") {
                let other = free(&view, |name| Ok(kind(conn, name)?.is_some()))?;
                names.views.push((view, other));
            }
        }
        Ok(names)
    }

    /// Returns a step of the migration with these names.
    pub(super) fn applied(&self, step: &str) -> String {
        let mut step = step.to_owned();
        for (name, other) in &self.indexes {
            step = replace_word(&step, name, other);
        }
        for (name, other) in &self.views {
            let create = |name: &str| format!("VIEW IF NOT EXISTS {name} AS");
            step = step.replace(&create(name), &create(other));
        }
        step
    }
}

/// Returns what has to be renamed, and how, before `conn` can be migrated from
/// version `from` to `to`; `None` if there is no conflict.
pub(super) fn in_the_way(conn: &Connection, from: i64, to: i64) -> Result<Option<String>> {
    if from >= to || objects(conn, None)?.is_empty() {
        return Ok(None);
    }
    let mut found = Vec::new();
    let models = models(from, to)?;
    let before = match models.first() {
        Some(old) => objects(old, Some("table"))?,
        None => return Ok(None),
    };
    for (previous, next) in models.iter().zip(models.iter().skip(1)) {
        for table in objects(next, Some("table"))? {
            if before.contains(&table) {
                let earlier = columns(previous, &table)?;
                let theirs = columns(conn, &table)?;
                for column in columns(next, &table)? {
                    if !earlier.contains(&column) && has(&theirs, &column) {
                        found.push(column_in_the_way(&table, &column, &theirs)?);
                    }
                }
            } else if objects(previous, Some("table"))?.contains(&table) {
                // The conflict is found with the version that created the table.
            } else if let Some(kind) = kind(conn, &table)? {
                found.push(object_in_the_way(conn, &table, &kind)?);
            }
        }
    }
    if from <= LAST_WITHOUT_PROXY {
        for column in generated(conn, "server_schema")? {
            found.push(format!(
                "generated column `{column}` of table `server_schema`, to drop with `ALTER TABLE \
                 server_schema DROP COLUMN {column}` and to add again afterwards"
            ));
        }
    }
    Ok((!found.is_empty()).then(|| found.join("; ")))
}

fn column_in_the_way(table: &str, column: &str, theirs: &[String]) -> Result<String> {
    let other = free(column, |name| Ok(has(theirs, name)))?;
    Ok(format!(
        "column `{column}` of table `{table}`, to rename with `ALTER TABLE {table} \
         RENAME COLUMN {column} TO {other}`"
    ))
}

fn object_in_the_way(conn: &Connection, name: &str, found: &str) -> Result<String> {
    let other = free(name, |name| Ok(kind(conn, name)?.is_some()))?;
    Ok(match found {
        "table" => {
            format!("table `{name}`, to rename with `ALTER TABLE {name} RENAME TO {other}`")
        }
        // SQLite cannot rename views and indexes.
        found => format!(
            "{found} `{name}`, to drop with `DROP {} {name}` and to create under another name",
            found.to_uppercase()
        ),
    })
}

/// Returns a fresh database of each version.
fn models(from: i64, to: i64) -> Result<Vec<Connection>> {
    let model = |version| {
        let model = Connection::open_in_memory()?;
        steps::create(&model, version)?;
        Ok(model)
    };
    (from..=to).map(model).collect()
}

/// Returns the names of the objects of one kind, or of all.
fn objects(conn: &Connection, kind: Option<&str>) -> Result<Vec<String>> {
    conn.prepare(
        "SELECT name FROM main.sqlite_schema
         WHERE (?1 IS NULL OR type = ?1) AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?
    .query_map([kind], |row| row.get(0))?
    .collect()
}

/// Returns the kind of the object `name`. Triggers have a namespace of their own.
fn kind(conn: &Connection, name: &str) -> Result<Option<String>> {
    conn.query_row(
        "SELECT type FROM main.sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type <> 'trigger'",
        [name],
        |row| row.get(0),
    )
    .optional()
}

/// Returns what distinguishes an index from others of its name: its table, its columns,
/// and whether it is partial.
fn shape(conn: &Connection, index: &str) -> Result<Option<String>> {
    conn.query_row(
        "SELECT lower(tbl_name) || (
             SELECT group_concat(lower(coalesce(c.name, '')) || ' ' || c.\"desc\")
             FROM pragma_index_xinfo(s.name) c WHERE c.\"key\")
             || (SELECT ' ' || l.\"unique\" || ' ' || l.partial
                 FROM pragma_index_list(s.tbl_name) l WHERE l.name = s.name)
         FROM main.sqlite_schema s WHERE type = 'index' AND name = ?1 COLLATE NOCASE",
        [index],
        |row| row.get(0),
    )
    .optional()
}

/// Returns the columns of a table, including generated ones.
fn columns(conn: &Connection, table: &str) -> Result<Vec<String>> {
    conn.prepare("SELECT name FROM pragma_table_xinfo(?1)")?
        .query_map([table], |row| row.get(0))?
        .collect()
}

fn generated(conn: &Connection, table: &str) -> Result<Vec<String>> {
    conn.prepare("SELECT name FROM pragma_table_xinfo(?1) WHERE hidden IN (2, 3)")?
        .query_map([table], |row| row.get(0))?
        .collect()
}

fn has(names: &[String], name: &str) -> bool {
    names.iter().any(|other| other.eq_ignore_ascii_case(name))
}

/// Returns `name` followed by the first number that makes it unused.
fn free(name: &str, is_taken: impl Fn(&str) -> Result<bool>) -> Result<String> {
    let mut number = 2;
    loop {
        let other = format!("{name}_{number}");
        if !is_taken(&other)? {
            return Ok(other);
        }
        number += 1;
    }
}

/// Returns `text` with each `word` replaced by `other`.
fn replace_word(text: &str, word: &str, other: &str) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(word) {
        replaced.push_str(before);
        let is_word = !replaced.ends_with(is_part) && !after.starts_with(is_part);
        replaced.push_str(if is_word { other } else { word });
        rest = after;
    }
    replaced.push_str(rest);
    replaced
}

#[cfg(test)]
mod tests {
    use super::replace_word;

    #[test]
    fn words_are_replaced_and_parts_of_words_are_not() {
        let text = "DROP INDEX a_b; CREATE INDEX a_b_c ON t (a_b, x_a_b); -- a_b";
        let expected = "DROP INDEX z; CREATE INDEX a_b_c ON t (z, x_a_b); -- z";
        assert_eq!(replace_word(text, "a_b", "z"), expected);
    }
}
