use serde_json::json;

use super::*;

/// `severity item path` of each difference between two tools of one name.
fn between(old: Value, new: Value) -> Vec<String> {
    let listing = |mut tool: Value| {
        tool["name"] = "t".into();
        json!({ "tools": [tool] }).to_string()
    };
    reported("tools/list", &listing(old), &listing(new))
}

fn reported(method: &str, old: &str, new: &str) -> Vec<String> {
    differences(method, Some(old), Some(new))
        .into_iter()
        .map(|one| {
            let item = one.item.map(|item| item + " ").unwrap_or_default();
            format!("{} {item}{}", one.severity.as_str(), one.path)
        })
        .collect()
}

/// The only difference between two schemas of one argument.
fn of_argument(old: Value, new: Value) -> String {
    let tool = |schema| json!({"inputSchema": {"type": "object", "properties": {"a": schema}}});
    let mut reported = between(tool(old), tool(new));
    assert_eq!(reported.len(), 1, "{reported:?}");
    reported.remove(0)
}

#[test]
fn removed_item_breaks_and_added_item_does_not() {
    let old = r#"{"tools":[{"name":"a"},{"name":"b"}]}"#;
    let new = r#"{"tools":[{"name":"b"},{"name":"c"}]}"#;
    assert_eq!(
        reported("tools/list", old, new),
        ["breaking a ", "compatible c "]
    );
    assert_eq!(reported("tools/list", old, old), [] as [&str; 0]);
    let differences = differences("tools/list", None, Some(old));
    assert_eq!(differences.len(), 2, "before the first there was nothing");
    assert_eq!(differences[0].after.as_deref(), Some(r#"{"name":"a"}"#));
}

#[test]
fn texts_are_cosmetic() {
    assert_eq!(
        between(
            json!({"description": "a", "inputSchema": {"properties": {"x/y": {"title": "a"}}}}),
            json!({"title": "b", "inputSchema": {"properties": {"x/y": {"title": "b"}}}}),
        ),
        [
            "cosmetic t /description",
            "cosmetic t /inputSchema/properties/x~1y/title",
            "cosmetic t /title"
        ]
    );
}

#[test]
fn required_or_removed_argument_breaks() {
    let schema = |schema| json!({ "inputSchema": schema });
    let optional = schema(json!({"properties": {"a": {}, "b": {}}, "required": ["a"]}));
    let required = schema(json!({"properties": {"a": {}, "b": {}}, "required": ["a", "b"]}));
    let fewer = schema(json!({"properties": {"a": {}}, "required": ["a"]}));
    assert_eq!(
        between(optional.clone(), required.clone()),
        ["breaking t /inputSchema/required"]
    );
    assert_eq!(
        between(required, optional.clone()),
        ["compatible t /inputSchema/required"]
    );
    assert_eq!(
        between(optional.clone(), fewer.clone()),
        ["breaking t /inputSchema/properties/b"]
    );
    assert_eq!(
        between(fewer, optional),
        ["compatible t /inputSchema/properties/b"]
    );
    assert_eq!(
        between(json!({}), schema(json!({"required": ["a"]}))),
        ["breaking t /inputSchema/required"]
    );
}

#[test]
fn accepting_less_breaks_and_accepting_more_does_not() {
    for (narrow, wide) in [
        (
            json!({"type": "string"}),
            json!({"type": ["string", "null"]}),
        ),
        (json!({"type": "integer"}), json!({"type": "number"})),
        (json!({"type": "string"}), json!({})),
        (json!({"enum": [1]}), json!({"enum": [1, "2"]})),
        (json!({"enum": [1]}), json!({})),
        (json!({"minimum": 2}), json!({"minimum": 1.5})),
        (json!({"maxLength": 2}), json!({"maxLength": 3})),
        (json!({"maxItems": 2}), json!({})),
        (json!({"pattern": "a"}), json!({})),
        (json!({"additionalProperties": false}), json!({})),
        (json!({"uniqueItems": true}), json!({"uniqueItems": false})),
        (json!({"items": {"type": "string"}}), json!({"items": {}})),
    ] {
        let narrowed = of_argument(wide.clone(), narrow.clone());
        assert!(
            narrowed.starts_with("breaking"),
            "{wide} to {narrow}: {narrowed}"
        );
        let widened = of_argument(narrow.clone(), wide.clone());
        assert!(
            widened.starts_with("compatible"),
            "{narrow} to {wide}: {widened}"
        );
        // For a result it is the reverse.
        let given = |schema: &Value| json!({"outputSchema": {"properties": {"a": schema}}});
        let reported = between(given(&wide), given(&narrow));
        assert!(reported[0].starts_with("compatible"), "{reported:?}");
        let reported = between(given(&narrow), given(&wide));
        assert!(reported[0].starts_with("breaking"), "{reported:?}");
    }
}

#[test]
fn keyword_that_is_not_understood_breaks() {
    for (old, new) in [
        (json!({"type": "string"}), json!({"type": "number"})),
        (json!({"anyOf": [{}]}), json!({"anyOf": [{}, {}]})),
        (json!({"pattern": "a"}), json!({"pattern": "b"})),
        (json!({"$ref": "#/a"}), json!({"$ref": "#/b"})),
        (json!(true), json!(false)),
    ] {
        assert!(of_argument(old, new).starts_with("breaking"));
    }
    assert!(of_argument(json!({"x-note": 1}), json!({})).starts_with("compatible"));
}

#[test]
fn prompt_arguments_and_capabilities_are_compared_by_name() {
    let prompts =
        |arguments: Value| json!({"prompts": [{"name": "p", "arguments": arguments}]}).to_string();
    assert_eq!(
        reported(
            "prompts/list",
            &prompts(json!([{"name": "a"}, {"name": "b"}, {"name": "c", "description": "x"}])),
            &prompts(json!([{"name": "c"}, {"name": "b", "required": true}, {"name": "d"}])),
        ),
        [
            "breaking p /arguments/a",
            "breaking p /arguments/b",
            "compatible p /arguments/d",
            "cosmetic p /arguments/c",
        ]
    );
    assert_eq!(
        reported(
            "initialize",
            r#"{"capabilities":{"tools":{},"logging":{}},"serverInfo":{"version":"1"}}"#,
            r#"{"capabilities":{"tools":{"listChanged":true}},"serverInfo":{"version":"2"}}"#,
        ),
        [
            "breaking /capabilities/logging",
            "compatible /capabilities/tools",
            "cosmetic /serverInfo"
        ]
    );
}
