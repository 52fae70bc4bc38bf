//! Differences between two moments of a listing, member by member.

mod schema;

use std::collections::BTreeMap;

use rusqlite::types::Value as Bound;
use rusqlite::{OptionalExtension, params_from_iter};
use serde_json::{Map, Value};

use super::SchemaFilter;
use crate::db::row::{optional_number, text};
use crate::query::QueryError;
use crate::query::Reader;
use crate::query::reader::Source;
use crate::wire::Discovery;
use crate::wire::listing::Page;

/// What a difference means for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Severity {
    /// Only words for people and models differ: titles, descriptions, icons.
    Cosmetic,
    /// Calls that worked before still work.
    Compatible,
    /// Calls that worked before may fail: a tool is gone, an argument is required, a type
    /// accepts less, or a result may hold something new.
    Breaking,
}

impl Severity {
    /// Returns the severity as text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cosmetic => "cosmetic",
            Self::Compatible => "compatible",
            Self::Breaking => "breaking",
        }
    }
}

/// One member that differs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// Name or URI of the item; `None` in `initialize` and `server/discover`.
    pub item: Option<String>,
    /// Where in the item, as a JSON Pointer (RFC 6901); empty for the item itself.
    pub path: String,
    /// What it means for clients.
    pub severity: Severity,
    /// JSON text of the member at the earlier moment, if there was one.
    pub before: Option<String>,
    /// JSON text of the member at the later moment, if there is one.
    pub after: Option<String>,
}

/// A listing at two moments.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The server that saw it.
    pub proxy: String,
    /// The server's URL; empty for one in the recorder's own process.
    pub upstream_url: String,
    /// The discovery method, such as `tools/list`.
    pub method: String,
    /// Hash of the content at the earlier moment; `None` if no client had seen it.
    pub old_hash: Option<String>,
    /// Hash of the content at the later moment.
    pub new_hash: String,
    /// The differences, most severe first.
    pub differences: Vec<Difference>,
}

impl Comparison {
    /// Returns the most severe of the differences, if there is one.
    pub fn severity(&self) -> Option<Severity> {
        self.differences.iter().map(|one| one.severity).max()
    }
}

impl Reader {
    /// Returns the differences of each listing between two moments, in unix milliseconds.
    ///
    /// A server may show different lists to different callers. Of the classes of callers, by
    /// protocol revision and principal, the one that saw new content most recently is
    /// compared with itself.
    pub fn compare(
        &self,
        filter: &SchemaFilter,
        from: i64,
        to: i64,
    ) -> Result<Vec<Comparison>, QueryError> {
        self.read(|source| compare(source, filter, from, to))
    }
}

/// Server name, upstream URL and method.
type Key = (String, String, String);

/// The contents that one class of callers saw at the two moments: the rows of both in
/// `listing_views`.
#[derive(Debug)]
struct Seen {
    old: Option<i64>,
    new: i64,
}

fn compare(
    source: &Source<'_>,
    filter: &SchemaFilter,
    from: i64,
    to: i64,
) -> rusqlite::Result<Vec<Comparison>> {
    let mut listings: BTreeMap<Key, Vec<Seen>> = BTreeMap::new();
    // The index has the classes. The views of each are read from the newest back to the
    // two moments, and not further.
    let (conditions, values) = filter.conditions("", 3);
    let at = |moment: &str| {
        format!(
            "(SELECT id FROM listing_views v
              WHERE v.proxy = c.proxy AND v.upstream_url = c.upstream_url AND v.method = c.method
                  AND v.protocol_version = c.protocol_version AND v.principal IS c.principal
                  AND +v.seen_at <= {moment} ORDER BY id DESC LIMIT 1)"
        )
    };
    let mut statement = source.conn.prepare_cached(&format!(
        "SELECT proxy, upstream_url, method, {}, {} FROM (
             SELECT DISTINCT proxy, upstream_url, method, protocol_version, principal
             FROM listing_views WHERE true{conditions}) c",
        at("?1"),
        at("?2")
    ))?;
    let values = [Bound::from(from), Bound::from(to)]
        .into_iter()
        .chain(values);
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        let key = (text(row, 0)?, text(row, 1)?, text(row, 2)?);
        let old = optional_number(row, 3)?;
        if let Some(new) = optional_number(row, 4)? {
            listings.entry(key).or_default().push(Seen { old, new });
        }
    }
    let mut comparisons = Vec::new();
    for ((proxy, upstream_url, method), classes) in listings {
        let Some(Seen { old, new }) = choose(classes) else {
            continue;
        };
        let old_hash = match old {
            Some(place) => Some(hash(source, place)?),
            None => None,
        };
        let new_hash = hash(source, new)?;
        let old = match &old_hash {
            Some(hash) => payload(source, hash)?,
            None => None,
        };
        let new = payload(source, &new_hash)?;
        comparisons.push(Comparison {
            differences: differences(&method, old.as_deref(), new.as_deref()),
            proxy,
            upstream_url,
            method,
            old_hash,
            new_hash,
        });
    }
    Ok(comparisons)
}

/// Chooses the class to compare: the one with the newest content among those that had seen
/// the listing at the earlier moment, or else among all.
fn choose(classes: Vec<Seen>) -> Option<Seen> {
    let classes = classes.into_iter();
    classes.max_by_key(|seen| (seen.old.is_some(), seen.new))
}

fn hash(source: &Source<'_>, place: i64) -> rusqlite::Result<String> {
    source
        .conn
        .prepare_cached("SELECT content_hash FROM listing_views WHERE id = ?1")?
        .query_row([place], |row| text(row, 0))
}

fn payload(source: &Source<'_>, hash: &str) -> rusqlite::Result<Option<String>> {
    source
        .conn
        .prepare_cached("SELECT payload FROM listing_payloads WHERE content_hash = ?1")?
        .query_row([hash], |row| text(row, 0))
        .optional()
}

/// Returns the differences between two payloads of a listing, most severe first.
fn differences(method: &str, old: Option<&str>, new: Option<&str>) -> Vec<Difference> {
    let Some(of) = Discovery::of(method) else {
        return Vec::new();
    };
    let (old, new) = (items(of, old), items(of, new));
    let mut found = Differences::default();
    for (key, old) in &old {
        let of_item = |found: &mut Differences| match new.get(key) {
            Some(new) => member_by_member(of, old, new, found),
            None => found.add("", Some(old), None, Severity::Breaking),
        };
        found.within(key.as_deref(), of_item);
    }
    for (key, new) in new.iter().filter(|(key, _)| !old.contains_key(*key)) {
        found.within(key.as_deref(), |found| {
            found.add("", None, Some(new), Severity::Compatible);
        });
    }
    found
        .differences
        .sort_by_key(|one| std::cmp::Reverse(one.severity));
    found.differences
}

/// Returns the items of a payload by name. An answer to `initialize` or
/// `server/discover` is one item without a name.
fn items(of: Discovery, payload: Option<&str>) -> BTreeMap<Option<String>, Value> {
    let page = payload.and_then(|payload| Page::read(of, payload.as_bytes()).ok());
    let value = |text: &str| serde_json::from_str(text).unwrap_or_default();
    match page {
        None => BTreeMap::new(),
        Some(Page::Whole(text)) => BTreeMap::from([(None, value(&text))]),
        Some(Page::Items(_, items)) => items
            .into_iter()
            .map(|item| (Some(item.key.into()), value(&item.text)))
            .collect(),
    }
}

/// Collects differences at the current item and path.
#[derive(Debug, Default)]
struct Differences {
    item: Option<String>,
    path: String,
    differences: Vec<Difference>,
}

impl Differences {
    fn within(&mut self, item: Option<&str>, look: impl FnOnce(&mut Self)) {
        self.item = item.map(str::to_owned);
        look(self);
    }

    /// Calls `look` with the path extended by a member.
    fn at(&mut self, member: &str, look: impl FnOnce(&mut Self)) {
        let len = self.path.len();
        self.path.push('/');
        self.path
            .push_str(&member.replace('~', "~0").replace('/', "~1"));
        look(self);
        self.path.truncate(len);
    }

    fn add(&mut self, member: &str, old: Option<&Value>, new: Option<&Value>, severity: Severity) {
        if old == new {
            return;
        }
        let add = |found: &mut Self| {
            found.differences.push(Difference {
                item: found.item.clone(),
                path: found.path.clone(),
                severity,
                before: old.map(Value::to_string),
                after: new.map(Value::to_string),
            });
        };
        match member {
            "" => add(self),
            member => self.at(member, add),
        }
    }
}

/// Returns all members that either object has, with both values.
fn pairs<'a>(
    old: &'a Map<String, Value>,
    new: &'a Map<String, Value>,
) -> impl Iterator<Item = (&'a str, Option<&'a Value>, Option<&'a Value>)> {
    let mut keys: Vec<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .map(|key| (key, old.get(key), new.get(key)))
}

/// Compares two versions of an item, member by member.
fn member_by_member(of: Discovery, old: &Value, new: &Value, found: &mut Differences) {
    let empty = Map::new();
    let (old, new) = (
        old.as_object().unwrap_or(&empty),
        new.as_object().unwrap_or(&empty),
    );
    for (key, old, new) in pairs(old, new) {
        match (of, key) {
            (
                _,
                "title" | "description" | "icons" | "name" | "size" | "instructions" | "serverInfo",
            ) => {
                found.add(key, old, new, Severity::Cosmetic);
            }
            (Discovery::Tools, "inputSchema") => {
                found.at(key, |found| {
                    schema::compare(schema::Side::Taken, old, new, found)
                });
            }
            (Discovery::Tools, "outputSchema") if old.is_some() && new.is_some() => {
                found.at(key, |found| {
                    schema::compare(schema::Side::Given, old, new, found)
                });
            }
            (Discovery::Tools, "outputSchema") => found.add(key, old, new, gone(new)),
            (Discovery::Prompts, "arguments") => {
                found.at(key, |found| arguments(old, new, found));
            }
            (Discovery::Initialize | Discovery::Discover, "capabilities") => {
                found.at(key, |found| capabilities(old, new, found));
            }
            _ => found.add(key, old, new, Severity::Compatible),
        }
    }
}

/// Returns the severity of a member that was added or removed.
fn gone(new: Option<&Value>) -> Severity {
    match new {
        Some(_) => Severity::Compatible,
        None => Severity::Breaking,
    }
}

fn capabilities(old: Option<&Value>, new: Option<&Value>, found: &mut Differences) {
    let empty = Map::new();
    let object = |value: Option<&'_ Value>| value.and_then(Value::as_object).cloned();
    let (old, new) = (object(old), object(new));
    for (key, old, new) in pairs(
        old.as_ref().unwrap_or(&empty),
        new.as_ref().unwrap_or(&empty),
    ) {
        found.add(key, old, new, gone(new));
    }
}

/// Compares the arguments of a prompt, by name.
fn arguments(old: Option<&Value>, new: Option<&Value>, found: &mut Differences) {
    let by_name = |value: Option<&Value>| -> Map<String, Value> {
        let all = value.and_then(Value::as_array);
        let named = |argument: &Value| {
            let name = argument.get("name")?.as_str()?;
            Some((name.to_owned(), argument.clone()))
        };
        all.into_iter().flatten().filter_map(named).collect()
    };
    let required = |argument: &Value| argument.get("required") == Some(&Value::Bool(true));
    let (old, new) = (by_name(old), by_name(new));
    for (name, old, new) in pairs(&old, &new) {
        let severity = match (old, new) {
            (_, None) => Severity::Breaking,
            (None, Some(new)) if required(new) => Severity::Breaking,
            (Some(old), Some(new)) if required(new) && !required(old) => Severity::Breaking,
            (Some(old), Some(new)) if required(new) == required(old) => Severity::Cosmetic,
            _ => Severity::Compatible,
        };
        found.add(name, old, new, severity);
    }
}

#[cfg(test)]
mod tests;
