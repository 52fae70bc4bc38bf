use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

fn listing(of: Discovery, result: &str) -> Result<Listing, Malformed> {
    Page::read(of, result.as_bytes()).map(Page::finish)
}

fn tools(result: &str) -> Listing {
    listing(Discovery::Tools, result).expect(result)
}

#[test]
fn listing_has_its_items_sorted_by_name_in_canonical_form() {
    let found = tools(
        r#"{"nextCursor":"x","ttlMs":1,"tools":[
            {"name":"b","inputSchema":{"type":"object","minimum":1.0}},
            {"description":"\u00e9\/","name":"a","_meta":{"ui":1}}],"_meta":{"v":2}}"#,
    );
    let payload = r#"{"tools":[{"description":"é/","name":"a"},{"inputSchema":{"minimum":1,"type":"object"},"name":"b"}]}"#;
    assert_eq!(found.payload, payload);
    assert_eq!(found.content_hash, hex(&Sha256::digest(payload)));
    assert!(!found.duplicates);
}

#[test]
fn payload_that_is_read_again_is_the_same_listing() {
    let found = tools(r#"{"tools":[{"name":"b"},{"x":1e2,"name":"a"}]}"#);
    assert_eq!(tools(&found.payload), found);
    let text = r#"{"serverInfo":{"name":"s"},"capabilities":{}}"#;
    let found = listing(Discovery::Initialize, text).unwrap();
    assert_eq!(listing(Discovery::Initialize, &found.payload), Ok(found));
}

#[test]
fn meta_of_items_has_its_own_hash() {
    let bare = tools(r#"{"tools":[{"name":"a"}]}"#);
    let one = tools(r#"{"tools":[{"name":"a","_meta":{"ui":1}}]}"#);
    let two = tools(r#"{"tools":[{"name":"a","_meta":{"ui":2}}]}"#);
    assert_eq!(bare.content_hash, one.content_hash);
    assert_eq!(bare.payload, two.payload);
    assert_eq!(bare.meta_hash, None);
    assert!(one.meta_hash.is_some() && one.meta_hash != two.meta_hash);
}

#[test]
fn server_name_is_the_same_content_in_both_eras() {
    let legacy = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},
        "serverInfo":{"name":"s","version":"1"},"instructions":"i"}"#;
    let modern = r#"{"supportedVersions":["2026-07-28"],"ttlMs":5,"instructions":"i",
        "capabilities":{"tools":{}},
        "_meta":{"io.modelcontextprotocol/serverInfo":{"version":"1","name":"s"}}}"#;
    assert_eq!(
        listing(Discovery::Initialize, legacy),
        listing(Discovery::Discover, modern)
    );
}

#[test]
fn invalid_listing_is_malformed() {
    let deep = format!(
        r#"{{"tools":[{{"name":"a","x":{}{}}}]}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    for text in [
        "",
        "[]",
        "{}",
        r#"{"tools":{"name":"a"}}"#,
        r#"{"tools":null}"#,
        r#"{"tools":[1]}"#,
        r#"{"tools":[{}]}"#,
        r#"{"tools":[{"name":1}]}"#,
        r#"{"tools":[{"name":"a"}"#,
        r#"{"tools":[{"name":"\ud800"}]}"#,
        r#"{"tools":[{"name":"a","x":1e999}]}"#,
        deep.as_str(),
    ] {
        let start = text.get(..60).unwrap_or(text);
        assert_eq!(listing(Discovery::Tools, text), Err(Malformed), "{start}");
    }
    let not_utf8 = b"{\"tools\":[{\"name\":\"\xff\"}]}";
    assert_eq!(
        Page::read(Discovery::Tools, not_utf8).err(),
        Some(Malformed)
    );
}

#[test]
fn items_of_one_name_are_all_kept_and_reported() {
    let found = tools(r#"{"tools":[{"name":"a","x":2},{"name":"a","x":1}]}"#);
    assert!(found.duplicates);
    assert_eq!(
        found.payload,
        r#"{"tools":[{"name":"a","x":1},{"name":"a","x":2}]}"#
    );
}

/// A JSON value of moderate size.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        // Beyond this range, RFC 8785 maps neighbouring integers to the same double.
        (-(1_i64 << 53)..=1 << 53).prop_map(Value::from),
        any::<f64>()
            .prop_filter("JSON has no others", |number| number.is_finite())
            .prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Items by name, each with members and possibly a `_meta`.
fn contents() -> impl Strategy<Value = Vec<Map<String, Value>>> {
    let members = prop::collection::btree_map("[a-z]{1,6}", value(), 0..4);
    let item = (members, prop::option::of(value()));
    prop::collection::btree_map(any::<String>(), item, 1..5).prop_map(|items| {
        let item = |(name, (members, meta)): (String, (_, Option<Value>))| {
            let mut item: Map<String, Value> =
                std::collections::BTreeMap::into_iter(members).collect();
            item.insert("name".to_owned(), name.into());
            if let Some(meta) = meta {
                item.insert("_meta".to_owned(), meta);
            }
            item
        };
        items.into_iter().map(item).collect()
    })
}

/// Writes a value in one of its many spellings.
fn spell(value: &Value, dice: &mut impl FnMut(usize) -> usize, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            for place in (1..members.len()).rev() {
                members.swap(place, dice(place + 1));
            }
            out.push('{');
            for (place, (key, member)) in members.into_iter().enumerate() {
                out.push_str(if place > 0 { ", " } else { "" });
                spell(&Value::from(key.as_str()), dice, out);
                out.push_str(" :\n");
                spell(member, dice, out);
            }
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for (place, element) in elements.iter().enumerate() {
                out.push_str(if place > 0 { "\t," } else { "" });
                spell(element, dice, out);
            }
            out.push(']');
        }
        Value::String(text) => {
            out.push('"');
            for unit in text.chars() {
                if unit < ' ' || matches!(unit, '"' | '\\') || dice(4) == 0 {
                    for half in unit.encode_utf16(&mut [0; 2]) {
                        out.push_str(&format!("\\u{half:04x}"));
                    }
                } else {
                    out.push(unit);
                }
            }
            out.push('"');
        }
        Value::Number(number) if dice(2) == 0 => {
            let double = number.as_f64().expect("a double");
            out.push_str(&format!("{double:e}"));
        }
        other => out.push_str(&other.to_string()),
    }
}

/// The same pseudo-random numbers for the same seed.
fn dice(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |sides| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % sides
    }
}

proptest! {
    #[test]
    fn hash_is_the_same_for_every_spelling_of_the_content(
        items in contents(),
        seed: u64,
        cursor in prop::option::of(any::<String>()),
        meta in value(),
    ) {
        let plain = tools(&json!({ "tools": items }).to_string());

        let mut dice = dice(seed);
        let mut other = items;
        for place in (1..other.len()).rev() {
            other.swap(place, dice(place + 1));
        }
        for item in &mut other {
            item.insert("_meta".to_owned(), meta.clone());
        }
        let mut result = json!({
            "tools": other, "ttlMs": seed, "cacheScope": "private", "resultType": "complete",
            "_meta": meta,
        });
        if let Some(cursor) = cursor {
            result["nextCursor"] = cursor.into();
        }
        let mut text = String::new();
        spell(&result, &mut dice, &mut text);
        let spelt = tools(&text);
        prop_assert_eq!(&spelt.payload, &plain.payload);
        prop_assert_eq!(spelt.content_hash, plain.content_hash);
    }

    #[test]
    fn hash_changes_when_any_content_changes(
        items in contents(),
        which: prop::sample::Index,
        member in "[a-z]{1,6}",
        to in value(),
    ) {
        let before = tools(&json!({ "tools": items }).to_string());
        let mut other = items;
        let place = which.index(other.len());
        let old = other[place].insert(member.clone(), to.clone());
        let old = old.and_then(|old| canonical(&old).ok());
        prop_assume!(member != "name" && old != canonical(&to).ok());
        let after = tools(&json!({ "tools": other }).to_string());
        prop_assert_ne!(after.content_hash, before.content_hash.clone());

        other.remove(place);
        let without = tools(&json!({ "tools": other }).to_string());
        prop_assert_ne!(without.content_hash, before.content_hash);
    }
}
