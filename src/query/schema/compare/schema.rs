//! Compares two versions of a JSON Schema (2020-12): does it accept less or more?
//!
//! A keyword that is not fully understood, such as `anyOf`, counts as breaking if it
//! differs. A false alarm costs less than a missed one.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Differences, Severity, pairs};

/// What a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Values that the server accepts. Accepting less breaks its callers.
    Taken,
    /// Values that the server returns. Returning more may break its callers.
    Given,
}

/// How a schema's set of values changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Narrower,
    Wider,
    Other,
}

impl Side {
    fn severity(self, change: Change) -> Severity {
        match (self, change) {
            (Self::Taken, Change::Wider) | (Self::Given, Change::Narrower) => Severity::Compatible,
            _ => Severity::Breaking,
        }
    }
}

/// Compares two schemas. An absent schema accepts everything.
pub(super) fn compare(
    side: Side,
    old: Option<&Value>,
    new: Option<&Value>,
    found: &mut Differences,
) {
    let empty = Map::new();
    let members = |value: Option<&Value>| match value {
        None | Some(Value::Bool(true)) => Some(empty.clone()),
        Some(Value::Object(members)) => Some(members.clone()),
        Some(_) => None,
    };
    let (Some(old), Some(new)) = (members(old), members(new)) else {
        return found.add("", old, new, Severity::Breaking);
    };
    for (key, old, new) in pairs(&old, &new) {
        if old == new {
            continue;
        }
        match key {
            "title" | "description" | "examples" | "$comment" | "$schema" | "$id" => {
                found.add(key, old, new, Severity::Cosmetic);
            }
            "default" | "deprecated" | "readOnly" | "writeOnly" => {
                found.add(key, old, new, Severity::Compatible);
            }
            "properties" => found.at(key, |found| properties(side, old, new, found)),
            "$defs" | "definitions" => found.at(key, |found| definitions(side, old, new, found)),
            "items" | "additionalProperties" | "contains" | "propertyNames"
                if is_schema(old) && is_schema(new) =>
            {
                found.at(key, |found| compare(side, old, new, found));
            }
            _ => match constraint(key, old, new) {
                Some(change) => found.add(key, old, new, side.severity(change)),
                None => found.add(key, old, new, Severity::Compatible),
            },
        }
    }
}

fn is_schema(value: Option<&Value>) -> bool {
    matches!(value, None | Some(Value::Object(_) | Value::Bool(true)))
}

/// Compares properties. The server may no longer understand, or return, a removed one.
fn properties(side: Side, old: Option<&Value>, new: Option<&Value>, found: &mut Differences) {
    let empty = Map::new();
    let members = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    let (old, new) = (members(old), members(new));
    for (name, old, new) in pairs(
        old.as_ref().unwrap_or(&empty),
        new.as_ref().unwrap_or(&empty),
    ) {
        match (old, new) {
            (Some(_), Some(_)) => found.at(name, |found| compare(side, old, new, found)),
            (None, _) => found.add(name, old, new, Severity::Compatible),
            (_, None) => found.add(name, old, new, Severity::Breaking),
        }
    }
}

/// Compares definitions that both schemas have. The others matter only where they are
/// referred to.
fn definitions(side: Side, old: Option<&Value>, new: Option<&Value>, found: &mut Differences) {
    let empty = Map::new();
    let members = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    let (old, new) = (members(old), members(new));
    for (name, old, new) in pairs(
        old.as_ref().unwrap_or(&empty),
        new.as_ref().unwrap_or(&empty),
    ) {
        match (old, new) {
            (Some(_), Some(_)) => found.at(name, |found| compare(side, old, new, found)),
            _ => found.add(name, old, new, Severity::Compatible),
        }
    }
}

/// Returns how a keyword that bounds values changed; `None` if it bounds nothing.
fn constraint(key: &str, old: Option<&Value>, new: Option<&Value>) -> Option<Change> {
    use Change::{Narrower, Other, Wider};
    Some(match key {
        "type" => sets(types(old), types(new)),
        "enum" => sets(texts(old), texts(new)),
        // Requiring more accepts less.
        "required" => match sets(texts(old), texts(new)) {
            _ if old.is_none() => Narrower,
            _ if new.is_none() => Wider,
            Narrower => Wider,
            Wider => Narrower,
            Other => Other,
        },
        "minimum" | "exclusiveMinimum" | "minLength" | "minItems" | "minProperties"
        | "minContains" => bounds(old, new, f64::lt),
        "maximum" | "exclusiveMaximum" | "maxLength" | "maxItems" | "maxProperties"
        | "maxContains" => bounds(old, new, f64::gt),
        "additionalProperties" | "unevaluatedProperties" | "items" | "unevaluatedItems" => {
            match (old, new) {
                (None | Some(Value::Bool(true)), _) => Narrower,
                (_, None | Some(Value::Bool(true))) => Wider,
                (Some(Value::Bool(false)), _) => Wider,
                (_, Some(Value::Bool(false))) => Narrower,
                _ => Other,
            }
        }
        "uniqueItems" => match new {
            Some(Value::Bool(true)) => Narrower,
            _ => Wider,
        },
        "const" | "pattern" | "format" | "multipleOf" | "contains" | "propertyNames" | "$ref"
        | "$dynamicRef" | "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else"
        | "prefixItems" | "patternProperties" | "dependentSchemas" | "dependentRequired" => {
            match (old, new) {
                (None, _) => Narrower,
                (_, None) => Wider,
                _ => Other,
            }
        }
        _ => return None,
    })
}

/// Compares sets of values. An absent set contains all.
fn sets(old: Option<BTreeSet<String>>, new: Option<BTreeSet<String>>) -> Change {
    match (old, new) {
        (None, _) => Change::Narrower,
        (_, None) => Change::Wider,
        (Some(old), Some(new)) if new.is_subset(&old) => Change::Narrower,
        (Some(old), Some(new)) if new.is_superset(&old) => Change::Wider,
        _ => Change::Other,
    }
}

/// Returns the types of a schema. A number may be an integer.
fn types(value: Option<&Value>) -> Option<BTreeSet<String>> {
    let mut types: BTreeSet<String> = match value? {
        Value::String(one) => BTreeSet::from([one.clone()]),
        Value::Array(several) => several
            .iter()
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect(),
        _ => return None,
    };
    if types.contains("number") {
        types.insert("integer".to_owned());
    }
    Some(types)
}

fn texts(value: Option<&Value>) -> Option<BTreeSet<String>> {
    let values = value?.as_array()?;
    Some(values.iter().map(Value::to_string).collect())
}

/// Compares bounds. A bound that `is_wider` accepts more.
fn bounds(old: Option<&Value>, new: Option<&Value>, is_wider: fn(&f64, &f64) -> bool) -> Change {
    match (old, new) {
        (None, _) => Change::Narrower,
        (_, None) => Change::Wider,
        (Some(old), Some(new)) => match (old.as_f64(), new.as_f64()) {
            (Some(old), Some(new)) if is_wider(&new, &old) => Change::Wider,
            (Some(_), Some(_)) => Change::Narrower,
            _ => Change::Other,
        },
    }
}
