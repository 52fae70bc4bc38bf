//! The file itself: its contents, its size, and the losses.

use maud::{Markup, html};
use tower_mcp_store::query::{Loss, LossReason, Reader};

use super::overview;
use crate::fault::Fault;
use crate::html::{self, Column};
use crate::view::View;

const LOSSES: [Column; 5] = [
    Column::text("From"),
    Column::text("To"),
    Column::number("Requests"),
    Column::text("Reason"),
    Column::text("Meaning"),
];

const COUNTERS: [Column; 3] = [
    Column::text("Counter"),
    Column::number("Count"),
    Column::text("Meaning"),
];

pub(super) fn body(reader: &Reader, view: &View) -> Result<Markup, Fault> {
    let info = reader.info()?;
    let losses = reader.losses(view.window)?;
    let verdict = match losses.is_empty() {
        true => html! { p.fine { "No losses are recorded in this range." } },
        false => html! { p.problem { (overview::losses(&losses)) } },
    };
    let losses: Vec<Vec<Markup>> = losses.iter().map(loss).collect();
    let size = |bytes: u64| html::bytes(i64::try_from(bytes).unwrap_or(i64::MAX));
    let list = |names: &[String]| (!names.is_empty()).then(|| html::name(&names.join(", ")));
    Ok(html! {
        h1 { "Health" }
        (verdict)
        (html::table("Losses in this range, oldest first", &LOSSES, &losses))
        h2 { "The file" }
        (html::fields(&[
            ("file", Some(html! { bdi { (info.path.display()) } })),
            ("store id", info.store_id.as_deref().map(html::name)),
            ("instances", list(&info.instances)),
            ("schema version", Some(html! { (info.schema_version) })),
            ("written by", info.writer_version.as_deref().map(|version| html! { "tower-mcp-store " bdi { (version) } })),
            ("created", info.created_at.map(html::second)),
            ("requests", Some(html::count(info.requests))),
            ("oldest", info.oldest_ts.map(html::moment)),
            ("newest", info.newest_ts.map(html::moment)),
            ("sessions", Some(html::count(info.sessions))),
            ("not ended", Some(html::count(info.active_sessions))),
            ("size", Some(size(info.file_bytes))),
            ("free space", Some(size(info.free_bytes))),
            ("WAL", Some(size(info.wal_bytes))),
            ("losses", Some(html::bad_count(info.losses))),
            ("events lost", Some(html::bad_count(info.dropped))),
        ]))
        @if let Some(counters) = &info.counters {
            @let rows: Vec<Vec<Markup>> = [
                ("POSTs seen", counters.posts, "by all writers that are in the file"),
                ("skipped", counters.skipped, "requests of methods that are not recorded"),
                ("unidentified", counters.unidentified, "requests that the server did not read, or the layer cannot"),
                ("other media", counters.other_media, "POSTs whose headers name neither JSON nor MCP"),
                ("failed", counters.failed, "events that SQLite refused"),
                ("listings too long", counters.listings_too_long, "longer than the limit of one listing"),
                ("listings malformed", counters.listings_malformed, "that break the protocol"),
            ].into_iter().map(|(name, count, meaning)| vec![
                html! { (name) },
                html::count(i64::try_from(count).unwrap_or(i64::MAX)),
                html! { (meaning) },
            ]).collect();
            (html::table("Requests that were seen", &COUNTERS, &rows))
        }
    })
}

/// Says what led to a loss.
fn meaning(row: &Loss) -> &'static str {
    match row.reason.known() {
        Some(LossReason::QueueFull) => {
            "the queue of the writer was full, because writing took too long"
        }
        Some(LossReason::WriteFailed) => "SQLite refused the rows",
        Some(LossReason::Shutdown) => "the time for the shutdown was over",
        Some(LossReason::UncleanShutdown) => "the writer was killed, or its machine stopped",
        Some(LossReason::NotCounted) => {
            "removed to keep the size of the file, before statistics had them"
        }
        Some(LossReason::Unshipped) => {
            "removed to keep the size of the file, before they were shipped"
        }
        Some(LossReason::Refused) => "the database to which the file is shipped refused the rows",
        _ => "",
    }
}

fn loss(row: &Loss) -> Vec<Markup> {
    vec![
        html::moment(row.from_ts),
        html::moment(row.to_ts),
        row.dropped.map_or_else(|| html! { "unknown" }, html::count),
        html::name(row.reason.as_str()),
        html! { span.note { (meaning(row)) } },
    ]
}
