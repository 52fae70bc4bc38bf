//! `mcp-store info`.

use std::path::Path;

use tower_mcp_store::query::{Info, Window};

use super::stats;
use crate::error::{self, CliError};
use crate::output::{self, Fields, Output};
use crate::time;

pub(crate) fn run(db: &Path, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let info = reader.info()?;
    if output.is_json() {
        return Ok(output.json(&info)?);
    }
    fields(&info).write(output)?;
    for loss in reader.losses(Window::ALL)? {
        output.line(&stats::format_loss(&loss))?;
    }
    Ok(())
}

fn fields(info: &Info) -> Fields {
    let size = |bytes: u64| output::bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
    let writer = info.writer_version.as_deref();
    Fields::default()
        .field("file", info.path.display().to_string())
        .maybe("store id", info.store_id.as_ref())
        .maybe("instances", instances(info))
        .field("schema version", info.schema_version.to_string())
        .maybe(
            "written by",
            writer.map(|version| format!("tower-mcp-store {version}")),
        )
        .maybe("created", info.created_at.map(time::local_second))
        .field("requests", output::count(info.requests))
        .maybe("oldest", info.oldest_ts.map(time::local))
        .maybe("newest", info.newest_ts.map(time::local))
        .field("sessions", output::count(info.sessions))
        .field("not ended", output::count(info.active_sessions))
        .field("size", size(info.file_bytes))
        .field("free in it", size(info.free_bytes))
        .field("WAL", wal(info.wal_bytes))
        .field("losses", output::count(info.losses))
        .field("events lost", output::count(info.dropped))
}

/// Describes the write-ahead log.
fn wal(bytes: u64) -> String {
    match i64::try_from(bytes).unwrap_or(i64::MAX) {
        0 => "none".to_owned(),
        bytes => format!(
            "{}; new rows are written there first, and a checkpoint copies them into the file",
            output::bytes(bytes)
        ),
    }
}

fn instances(info: &Info) -> Option<String> {
    (!info.instances.is_empty()).then(|| info.instances.join(", "))
}
