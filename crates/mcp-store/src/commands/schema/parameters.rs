//! The parameters in a JSON Schema, each with its type in words.

use serde_json::Value;

/// The maximal depth of nested parameters and types that are shown. Servers write
/// schemas, and a schema may nest without end.
const DEEPEST: usize = 6;

/// How many parameters are shown.
const MOST: usize = 500;

/// How many of the allowed values of a parameter are shown.
const VALUES: usize = 8;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Parameter {
    /// The name; that of one within another is `outer.inner`, and `outer[].inner` in a list.
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) is_required: bool,
    pub(super) description: String,
}

/// Returns the parameters of a schema, each before those within it.
pub(super) fn of(schema: &Value) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    add(schema, "", 0, &mut parameters);
    parameters
}

fn add(schema: &Value, within: &str, depth: usize, parameters: &mut Vec<Parameter>) {
    let Some(properties) = schema["properties"].as_object() else {
        return;
    };
    if depth == DEEPEST {
        return;
    }
    let required = schema["required"].as_array();
    for (name, property) in properties {
        if parameters.len() == MOST {
            return;
        }
        let is_required =
            required.is_some_and(|names| names.iter().any(|one| one.as_str() == Some(name)));
        let name = format!("{within}{name}");
        parameters.push(Parameter {
            name: name.clone(),
            kind: kind(property, 0),
            is_required,
            description: description(property),
        });
        add(property, &format!("{name}."), depth + 1, parameters);
        add(
            &property["items"],
            &format!("{name}[]."),
            depth + 1,
            parameters,
        );
    }
}

/// Returns the description in one line, with the default.
fn description(property: &Value) -> String {
    let text = property["description"].as_str().unwrap_or_default();
    let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some(default) = property.get("default") {
        let gap = if text.is_empty() { "" } else { " " };
        text.push_str(&format!("{gap}[default: {default}]"));
    }
    text
}

/// Returns the type in words, such as `list of string`.
fn kind(property: &Value, depth: usize) -> String {
    if depth == DEEPEST {
        return "...".to_owned();
    }
    if let Some(value) = property.get("const") {
        return value.to_string();
    }
    if let Some(values) = property["enum"].as_array() {
        let mut shown: Vec<String> = values.iter().take(VALUES).map(Value::to_string).collect();
        if values.len() > VALUES {
            shown.push(format!("{} more", values.len() - VALUES));
        }
        return shown.join(" | ");
    }
    for one_of in ["anyOf", "oneOf"] {
        if let Some(kinds) = property[one_of].as_array() {
            let kinds = kinds.iter().take(VALUES).map(|one| kind(one, depth + 1));
            return kinds.collect::<Vec<_>>().join(" | ");
        }
    }
    match &property["type"] {
        Value::String(name) if name == "array" => match property.get("items") {
            Some(items) => format!("list of {}", kind(items, depth + 1)),
            None => "list".to_owned(),
        },
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str);
            names.collect::<Vec<_>>().join(" | ")
        }
        _ => {
            let name = property["$ref"]
                .as_str()
                .and_then(|path| path.rsplit('/').next());
            name.unwrap_or("any").to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::of;

    fn lines(schema: &Value) -> Vec<String> {
        let line = |one: super::Parameter| {
            let mark = if one.is_required { "!" } else { "" };
            format!("{}{mark}: {}: {}", one.name, one.kind, one.description)
        };
        of(schema).into_iter().map(line).collect()
    }

    #[test]
    fn types_are_in_words_and_inner_parameters_follow_outer_ones() {
        let schema = json!({
            "type": "object",
            "required": ["a", "c"],
            "properties": {
                "a": {"type": "string", "description": "A name.\n  In two lines."},
                "b": {"type": ["integer", "null"], "default": 5},
                "c": {"type": "object", "required": ["d"], "properties": {
                    "d": {"enum": ["x", 1]},
                    "e": {"type": "array", "items": {"type": "object", "properties": {
                        "f": {"$ref": "#/$defs/Colour"}}}},
                }},
                "g": {"anyOf": [{"type": "array", "items": {"type": "number"}}, {"const": null}]},
                "h": {},
            },
        });
        assert_eq!(
            lines(&schema),
            [
                "a!: string: A name. In two lines.",
                "b: integer | null: [default: 5]",
                "c!: object: ",
                "c.d!: \"x\" | 1: ",
                "c.e: list of object: ",
                "c.e[].f: Colour: ",
                "g: list of number | null: ",
                "h: any: ",
            ]
        );
    }

    #[test]
    fn schemas_of_any_shape_and_depth_are_read() {
        for schema in [
            json!(null),
            json!(true),
            json!([]),
            json!({"properties": [1]}),
        ] {
            assert!(lines(&schema).is_empty(), "{schema}");
        }
        let mut deep = json!({"type": "string"});
        for _ in 0..10 {
            deep = json!({"properties": {"a": deep}, "type": "array", "items": deep});
        }
        assert!(of(&deep).len() <= super::MOST);
    }
}
