//! Discovery listings: the newest snapshot of each, and the history of changes.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Result, params};
use serde_json::Value;

use crate::event::SchemaVersionEvent;

pub(super) const SELECT: &str = "SELECT payload, schema_hash FROM server_schema
     WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3";
pub(super) const UPSERT: &str =
    "INSERT INTO server_schema (proxy, upstream_url, method, payload, captured_at, schema_hash)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)
     ON CONFLICT (proxy, upstream_url, method) DO UPDATE SET
         payload = excluded.payload,
         captured_at = excluded.captured_at,
         schema_hash = excluded.schema_hash";
pub(super) const CHANGE: &str = "INSERT INTO schema_changes
         (proxy, upstream_url, method, change_type, item_name, old_hash, new_hash, detected_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
/// Not if the newest change already says so.
pub(super) const STALE: &str = "INSERT INTO schema_changes
         (proxy, upstream_url, method, change_type, old_hash, detected_at)
     SELECT ?1, ?2, ?3, 'stale',
         (SELECT schema_hash FROM server_schema
          WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3),
         ?4
     WHERE (SELECT change_type FROM schema_changes
            WHERE proxy = ?1 AND upstream_url = ?2 AND method = ?3
            ORDER BY id DESC LIMIT 1) IS NOT 'stale'";

/// Replaces the snapshot and appends what changed since the last one.
///
/// The same content again changes nothing, so a recorder that has forgotten
/// what it recorded before a restart does no harm.
pub(super) fn record(conn: &Connection, event: &SchemaVersionEvent) -> Result<()> {
    let key = (&*event.proxy, &*event.upstream_url, &*event.method);
    let old: Option<(String, String)> = conn
        .prepare_cached(SELECT)?
        .query_row(key, |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (changes, old_hash) = match &old {
        None => (vec![Change::whole("initial")], None),
        Some((_, hash)) if **hash == *event.content_hash => return Ok(()),
        Some((payload, hash)) => {
            let changes = diff(&event.method, payload, &event.payload);
            (changes, Some(hash))
        }
    };
    conn.prepare_cached(UPSERT)?.execute(params![
        event.proxy,
        event.upstream_url,
        event.method,
        event.payload,
        event.ts,
        event.content_hash,
    ])?;
    let mut insert = conn.prepare_cached(CHANGE)?;
    for change in &changes {
        insert.execute(params![
            event.proxy,
            event.upstream_url,
            event.method,
            change.kind,
            change.item,
            old_hash,
            event.content_hash,
            event.ts,
        ])?;
    }
    Ok(())
}

/// One row of `schema_changes`.
#[derive(Debug, PartialEq)]
struct Change {
    kind: &'static str,
    item: Option<String>,
}

impl Change {
    /// A change of the listing as a whole.
    fn whole(kind: &'static str) -> Self {
        Self { kind, item: None }
    }
}

/// The shape of one kind of listing, and what its changes are called.
struct Shape {
    method: &'static str,
    /// The member of the result that holds the items.
    array: &'static str,
    /// The member that tells one item from another; it becomes `item_name`.
    key: &'static str,
    added: &'static str,
    removed: &'static str,
    modified: &'static str,
}

const SHAPES: [Shape; 4] = [
    Shape {
        method: "tools/list",
        array: "tools",
        key: "name",
        added: "tool_added",
        removed: "tool_removed",
        modified: "tool_modified",
    },
    Shape {
        method: "resources/list",
        array: "resources",
        key: "uri",
        added: "resource_added",
        removed: "resource_removed",
        modified: "resource_modified",
    },
    Shape {
        method: "resources/templates/list",
        array: "resourceTemplates",
        key: "uriTemplate",
        added: "resource_template_added",
        removed: "resource_template_removed",
        modified: "resource_template_modified",
    },
    Shape {
        method: "prompts/list",
        array: "prompts",
        key: "name",
        added: "prompt_added",
        removed: "prompt_removed",
        modified: "prompt_modified",
    },
];

/// The items that were added, removed or modified, by key; `updated` where no
/// single item differs or the listing has none.
fn diff(method: &str, old: &str, new: &str) -> Vec<Change> {
    let Some(shape) = SHAPES.iter().find(|shape| shape.method == method) else {
        return vec![Change::whole("updated")];
    };
    // Of a payload that cannot be read, as one nested too deeply, nothing can be
    // told item by item.
    let (Some(mut old), Some(new)) = (items(shape, old), items(shape, new)) else {
        return vec![Change::whole("updated")];
    };
    let mut changes = Vec::new();
    for (key, item) in new {
        let kind = match old.remove(&key) {
            None => shape.added,
            Some(before) if before != item => shape.modified,
            Some(_) => continue,
        };
        let item = Some(key);
        changes.push(Change { kind, item });
    }
    changes.extend(old.into_keys().map(|key| Change {
        kind: shape.removed,
        item: Some(key),
    }));
    if changes.is_empty() {
        changes.push(Change::whole("updated"));
    }
    changes
}

/// The items of a listing by key, without `_meta`, which is volatile.
fn items(shape: &Shape, payload: &str) -> Option<BTreeMap<String, Value>> {
    let Ok(Value::Object(mut result)) = serde_json::from_str(payload) else {
        return None;
    };
    let Some(Value::Array(items)) = result.remove(shape.array) else {
        return Some(BTreeMap::new());
    };
    let items = items
        .into_iter()
        .filter_map(|mut item| {
            item.as_object_mut()?.remove("_meta");
            let key = item.get(shape.key)?.as_str()?.to_owned();
            Some((key, item))
        })
        .collect();
    Some(items)
}

#[cfg(test)]
mod tests {
    use super::diff;

    fn kinds(method: &str, old: &str, new: &str) -> Vec<(&'static str, Option<String>)> {
        diff(method, old, new)
            .into_iter()
            .map(|change| (change.kind, change.item))
            .collect()
    }

    #[test]
    fn each_item_that_differs_is_one_change() {
        let old = r#"{"tools":[{"name":"a","x":1},{"name":"b"},{"name":"c","y":{"p":1,"q":2}}]}"#;
        let new = r#"{"tools":[{"y":{"q":2,"p":1},"name":"c"},{"name":"a","x":2},{"name":"d"}]}"#;
        assert_eq!(
            kinds("tools/list", old, new),
            [
                ("tool_modified", Some("a".into())),
                ("tool_added", Some("d".into())),
                ("tool_removed", Some("b".into())),
            ]
        );
    }

    #[test]
    fn resources_are_told_apart_by_their_uri() {
        let old = r#"{"resources":[{"uri":"file:///a","name":"same"}]}"#;
        let new = r#"{"resources":[{"uri":"file:///b","name":"same"}]}"#;
        assert_eq!(
            kinds("resources/list", old, new),
            [
                ("resource_added", Some("file:///b".into())),
                ("resource_removed", Some("file:///a".into())),
            ]
        );
        let none = r#"{"resourceTemplates":[]}"#;
        let one = r#"{"resourceTemplates":[{"uriTemplate":"x://{id}"}]}"#;
        assert_eq!(
            kinds("resources/templates/list", none, one),
            [("resource_template_added", Some("x://{id}".into()))]
        );
    }

    #[test]
    fn where_no_single_item_differs_the_listing_was_updated() {
        let updated = [("updated", None)];
        assert_eq!(
            kinds(
                "tools/list",
                r#"{"tools":[{"name":"a","_meta":{"v":1}}]}"#,
                r#"{"tools":[{"name":"a","_meta":{"v":2}}]}"#
            ),
            updated
        );
        assert_eq!(kinds("tools/list", "not json", "[1]"), updated);
        assert_eq!(
            kinds("initialize", "{}", r#"{"tools":[{"name":"a"}]}"#),
            updated
        );
    }
}
