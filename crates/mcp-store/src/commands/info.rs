//! `mcp-store info`.

use std::path::Path;

use serde::Serialize;
use tower_mcp_store::query::{Info, Kinship, Shipping, Window};

use super::stats;
use crate::args;
use crate::error::{self, CliError};
use crate::output::{self, Fields, Format, Output};
use crate::time;

/// The facts about a file, and how another file relates to it.
#[derive(Serialize)]
struct Described<'a> {
    #[serde(flatten)]
    info: &'a Info,
    #[serde(skip_serializing_if = "Option::is_none")]
    compared: Option<Compared<'a>>,
}

#[derive(Serialize)]
struct Compared<'a> {
    path: &'a Path,
    kinship: Kinship,
}

pub(crate) fn run(db: &Path, args: &args::Info, output: &mut Output) -> Result<(), CliError> {
    let reader = error::open(db)?;
    let info = &reader.info()?;
    let compared = match &args.compare {
        Some(path) => Some(Compared {
            path,
            kinship: reader.kinship(&error::open(path)?)?,
        }),
        None => None,
    };
    if output.format() != Format::Table {
        return Ok(output.record(&Described { info, compared })?);
    }
    let compared = compared.map(|compared| {
        let path = compared.path.display();
        format!("{path} is {}", describe(compared.kinship))
    });
    without_rows(fields(info), info)
        .maybe("compared", compared)
        .write(output)?;
    for line in stats::loss_lines(&reader.losses(Window::ALL)?) {
        output.line(&line)?;
    }
    Ok(())
}

fn describe(kinship: Kinship) -> &'static str {
    match kinship {
        Kinship::Unrelated => "another store",
        Kinship::Copies => "a copy; nothing shows that both were written to after it was made",
        Kinship::Diverged => {
            "a copy, and both were written to after it was made: each has rows that the other lacks"
        }
    }
}

fn fields(info: &Info) -> Fields {
    let size = |bytes: u64| output::bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
    let writer = info.writer_version.as_deref();
    Fields::default()
        .field("file", info.path.display().to_string())
        .maybe("store id", info.store_id.as_ref())
        .maybe("instances", list(&info.instances))
        .maybe("keys", list(&info.key_fingerprints))
        .field("schema version", info.schema_version.to_string())
        .maybe(
            "written by",
            writer.map(|version| format!("tower-mcp-store {version}")),
        )
        .maybe("created", info.created_at.map(time::local_second))
        .maybe("pulled", info.pulled_at.map(time::local_second))
        .maybe("shipped", info.shipping.map(shipping))
        .field("requests", output::count(info.requests))
        .maybe("oldest", info.oldest_ts.map(time::local))
        .maybe("newest", info.newest_ts.map(time::local))
        .field("sessions", output::count(info.sessions))
        .field("not ended", output::count(info.active_sessions))
        .field("size", size(info.file_bytes))
        .field("free space", size(info.free_bytes))
        .field("WAL", wal(info.wal_bytes))
        .field("losses", output::count(info.losses))
        .field("events lost", output::count(info.dropped))
}

/// Describes how far the file was copied to the database of a fleet.
fn shipping(shipping: Shipping) -> String {
    let waiting = output::count(shipping.waiting);
    match shipping.caught_up_at {
        Some(at) => format!(
            "all but {waiting} requests; all were shipped {} ago",
            time::span(time::now().saturating_sub(at).max(0))
        ),
        None => format!("all but {waiting} requests; not all were shipped yet"),
    }
}

/// Adds the numbers of requests that were seen and have no row.
fn without_rows(mut fields: Fields, info: &Info) -> Fields {
    let Some(counters) = &info.counters else {
        return fields;
    };
    let count = |count: u64| output::count(i64::try_from(count).unwrap_or(i64::MAX));
    if counters.posts == 0 && info.requests == 0 {
        return fields.field(
            "POSTs seen",
            "0 at the last commit; no layer or proxy has seen a request",
        );
    }
    fields = fields.field("POSTs seen", count(counters.posts));
    for (name, counted, why) in [
        (
            "skipped",
            counters.skipped,
            "requests of methods that are skipped",
        ),
        (
            "unidentified",
            counters.unidentified,
            "requests that the server did not read, or the layer cannot",
        ),
        (
            "other media",
            counters.other_media,
            "POSTs whose headers name neither JSON nor MCP",
        ),
        ("failed", counters.failed, "events that SQLite refused"),
        (
            "too long",
            counters.listings_too_long,
            "listings that are longer than the limit of one listing",
        ),
        (
            "malformed",
            counters.listings_malformed,
            "listings that break the protocol",
        ),
    ] {
        if counted > 0 {
            fields = fields.field(name, format!("{}; {why}", count(counted)));
        }
    }
    fields
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

fn list(names: &[String]) -> Option<String> {
    (!names.is_empty()).then(|| names.join(", "))
}
