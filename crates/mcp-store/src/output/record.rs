//! Records as other programs read them.

use std::io;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::time;

/// Returns the fields of a record. Each field with a time in unix milliseconds is
/// followed by a field with the same time in UTC.
pub(super) fn with_times(record: &impl Serialize) -> io::Result<Map<String, Value>> {
    match add_times(serde_json::to_value(record)?) {
        Value::Object(fields) => Ok(fields),
        other => Ok(Map::from_iter([("value".to_owned(), other)])),
    }
}

fn add_times(value: Value) -> Value {
    match value {
        Value::Array(values) => values.into_iter().map(add_times).collect(),
        Value::Object(fields) => {
            let mut all = Map::new();
            for (name, value) in fields {
                let in_utc = name_in_utc(&name).map(|in_utc| (in_utc, utc(&value)));
                all.insert(name, add_times(value));
                all.extend(in_utc);
            }
            Value::Object(all)
        }
        value => value,
    }
}

/// Returns the name of the field that has the same time in UTC, if the field has a time.
fn name_in_utc(name: &str) -> Option<String> {
    match name {
        "ts" => Some("time".to_owned()),
        "since" | "until" => Some(format!("{name}_time")),
        _ => {
            let what = name
                .strip_suffix("_at")
                .or_else(|| name.strip_suffix("_ts"))?;
            Some(format!("{what}_time"))
        }
    }
}

fn utc(value: &Value) -> Value {
    value.as_i64().and_then(time::utc).into()
}

/// Returns a value as text for CSV: nothing for null, and JSON for an array or object.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::with_times;

    #[test]
    fn times_in_utc_follow_those_in_milliseconds() {
        let record = json!({"id": 1, "ts": 1_775_000_000_250_i64, "ended_at": null,
            "requests": [{"from_ts": 0}], "until": i64::MAX});
        let record = serde_json::to_string(&with_times(&record).unwrap()).unwrap();
        assert_eq!(
            record,
            r#"{"id":1,"ts":1775000000250,"time":"2026-03-31T23:33:20.250Z","ended_at":null,"ended_time":null,"requests":[{"from_ts":0,"from_time":"1970-01-01T00:00:00.000Z"}],"until":9223372036854775807,"until_time":null}"#
        );
    }
}
