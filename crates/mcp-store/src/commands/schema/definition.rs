//! `mcp-store schema TOOL`: the definition of one tool.

use serde::Serialize;
use serde_json::Value;
use tower_mcp_store::query::{Reader, SchemaFilter, Snapshot};

use super::parameters::{self, Parameter};
use crate::error::CliError;
use crate::output::{Align, Cell, Column, Fields, Format, Output, Table};
use crate::sanitize::escape_control;
use crate::time;

const PARAMETERS: [Column; 4] = [
    Column::new("NAME", Align::Left),
    Column::new("TYPE", Align::Cut),
    Column::new("REQUIRED", Align::Left),
    Column::new("DESCRIPTION", Align::Cut),
];

/// The `annotations` of a tool, in our words: if true, and if false.
const HINTS: [(&str, &str, &str); 4] = [
    ("readOnlyHint", "only reads", "changes things"),
    ("destructiveHint", "may destroy", "only adds"),
    (
        "idempotentHint",
        "a repeated call changes nothing more",
        "a repeated call acts again",
    ),
    (
        "openWorldHint",
        "reaches the outside world",
        "stays within its own domain",
    ),
];

/// One line of JSON.
#[derive(Serialize)]
struct Line<'a> {
    proxy: &'a str,
    upstream_url: &'a str,
    captured_at: i64,
    stale_since: Option<i64>,
    definition: &'a Value,
}

pub(super) fn run(
    reader: &Reader,
    mut filter: SchemaFilter,
    name: &str,
    output: &mut Output,
) -> Result<(), CliError> {
    filter.method = Some("tools/list".to_owned());
    let mut found = 0;
    for snapshot in reader.snapshots(&filter)? {
        let Some(definition) = definition(&snapshot, name) else {
            continue;
        };
        found += 1;
        if output.format() != Format::Table {
            output.record(&Line {
                proxy: &snapshot.proxy,
                upstream_url: &snapshot.upstream_url,
                captured_at: snapshot.captured_at,
                stale_since: snapshot.stale_since,
                definition: &definition,
            })?;
            continue;
        }
        if found > 1 {
            output.line("")?;
        }
        write(&snapshot, &definition, name, output)?;
    }
    match found {
        0 => Err(CliError::NotFound(format!(
            "no listing has a tool of the name {name}; see `mcp-store schema --weight`"
        ))),
        _ => Ok(()),
    }
}

/// Returns the definition of the tool with this name.
fn definition(snapshot: &Snapshot, name: &str) -> Option<Value> {
    let mut payload: Value = serde_json::from_str(&snapshot.payload).ok()?;
    let tools = payload.get_mut("tools")?.as_array_mut()?;
    let tool = tools.iter_mut().find(|tool| tool["name"] == name)?;
    Some(tool.take())
}

fn write(
    snapshot: &Snapshot,
    definition: &Value,
    name: &str,
    output: &mut Output,
) -> Result<(), CliError> {
    let state = match snapshot.stale_since {
        None => "",
        Some(_) => ", and the server has announced a change since",
    };
    let listed = time::local_second(snapshot.captured_at);
    let upstream = Some(&snapshot.upstream_url).filter(|url| !url.is_empty());
    Fields::default()
        .field("tool", name)
        .maybe("title", title(definition))
        .field("server", &snapshot.proxy)
        .maybe("upstream", upstream)
        .field("listed", format!("since {listed}{state}"))
        .maybe("hints", hints(definition))
        .write(output)?;
    if let Some(text) = definition["description"].as_str() {
        output.line("")?;
        for line in text.lines() {
            output.line(escape_control(line).trim_end())?;
        }
    }
    for (title, schema) in [("arguments", "inputSchema"), ("result", "outputSchema")] {
        let Some(schema) = definition.get(schema) else {
            continue;
        };
        let parameters = parameters::of(schema);
        if parameters.is_empty() {
            output.line(&format!("\n{title}: none"))?;
            continue;
        }
        output.line(&format!("\n{title}:"))?;
        let rows: Vec<Vec<Cell>> = parameters.iter().map(cells).collect();
        Table::new(&PARAMETERS, output).write(output, &rows)?;
    }
    Ok(())
}

fn title(definition: &Value) -> Option<&str> {
    let of_annotations = || definition["annotations"]["title"].as_str();
    definition["title"].as_str().or_else(of_annotations)
}

/// Returns the annotations of the tool in words, or `None` if it has none.
fn hints(definition: &Value) -> Option<String> {
    let said = HINTS.iter().filter_map(|(name, yes, no)| {
        let is_so = definition["annotations"][name].as_bool()?;
        Some(if is_so { *yes } else { *no })
    });
    let said: Vec<&str> = said.collect();
    (!said.is_empty()).then(|| said.join("; "))
}

fn cells(parameter: &Parameter) -> Vec<Cell> {
    vec![
        Cell::new(&parameter.name),
        Cell::new(&parameter.kind),
        Cell::new(if parameter.is_required { "yes" } else { "no" }),
        Cell::new(&parameter.description),
    ]
}
