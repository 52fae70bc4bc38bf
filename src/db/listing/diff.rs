//! The changes from one content of a listing to the next.

use std::collections::BTreeMap;

use super::super::bind::bounded;
use crate::wire::Discovery;
use crate::wire::listing::{Items, Page};

/// The most that `schema_changes.item_name` holds, in characters: as much as the
/// tools and targets in `requests` that it is joined with.
const NAME_CHARS: usize = 256;
const URI_CHARS: usize = 2048;

/// One row of `schema_changes`.
#[derive(Debug, PartialEq)]
pub(super) struct Change {
    pub(super) kind: String,
    pub(super) item: Option<String>,
}

impl Change {
    /// A change of the listing as a whole.
    pub(super) fn whole(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            item: None,
        }
    }

    fn of_item(kind: &Items, verb: &str, key: &str) -> Self {
        let chars = match kind.key {
            "name" => NAME_CHARS,
            _ => URI_CHARS,
        };
        Self {
            kind: format!("{}_{verb}", kind.noun),
            item: Some(bounded(key, chars).to_owned()),
        }
    }
}

/// Returns the items that were added, removed or modified, by key; `updated` if no
/// single item differs or the listing has no items.
pub(super) fn diff(method: &str, old: &str, new: &str) -> Vec<Change> {
    let read = |payload: &str| {
        let page = Page::read(Discovery::of(method)?, payload.as_bytes()).ok()?;
        match page {
            Page::Items(kind, items) => Some((kind, items)),
            Page::Whole(_) => None,
        }
    };
    let (Some((kind, old)), Some((_, new))) = (read(old), read(new)) else {
        return vec![Change::whole("updated")];
    };
    // If several items have one name, all of them count.
    let mut before: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut after = before.clone();
    for (items, by_key) in [(&old, &mut before), (&new, &mut after)] {
        for item in items {
            by_key.entry(&*item.key).or_default().push(&*item.text);
        }
        by_key.values_mut().for_each(|texts| texts.sort_unstable());
    }
    let mut changes = Vec::new();
    for (key, texts) in &after {
        match before.remove(key) {
            None => changes.push(Change::of_item(kind, "added", key)),
            Some(old) if old != *texts => changes.push(Change::of_item(kind, "modified", key)),
            Some(_) => {}
        }
    }
    let removed = before.into_keys();
    changes.extend(removed.map(|key| Change::of_item(kind, "removed", key)));
    if changes.is_empty() {
        changes.push(Change::whole("updated"));
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::diff;

    fn kinds(method: &str, old: &str, new: &str) -> Vec<(String, Option<String>)> {
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
                ("tool_modified".into(), Some("a".into())),
                ("tool_added".into(), Some("d".into())),
                ("tool_removed".into(), Some("b".into())),
            ]
        );
    }

    #[test]
    fn resources_are_distinguished_by_their_uri() {
        let old = r#"{"resources":[{"uri":"file:///a","name":"same"}]}"#;
        let new = r#"{"resources":[{"uri":"file:///b","name":"same"}]}"#;
        assert_eq!(
            kinds("resources/list", old, new),
            [
                ("resource_added".into(), Some("file:///b".into())),
                ("resource_removed".into(), Some("file:///a".into())),
            ]
        );
        let none = r#"{"resourceTemplates":[]}"#;
        let one = r#"{"resourceTemplates":[{"uriTemplate":"x://{id}"}]}"#;
        assert_eq!(
            kinds("resources/templates/list", none, one),
            [("resource_template_added".into(), Some("x://{id}".into()))]
        );
    }

    #[test]
    fn listing_without_a_changed_item_was_updated() {
        let updated = [("updated".to_owned(), None)];
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
