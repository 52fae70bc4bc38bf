//! The store and its layers, from the settings.

use tower_mcp_store::{Retention, Store, StoreBuilder, StoreLayer};

use super::config::Config;
use crate::args::{Limit, Recording, Retain};
use crate::error::CliError;
use crate::secret;

/// Returns the store that the settings describe.
pub(super) fn builder(config: &Config) -> Result<StoreBuilder, CliError> {
    let recording = &config.proxy.recording;
    let mut builder = Store::builder(&config.db)
        .hash_session_ids(recording.hash_session_ids)
        .group_readable(recording.group_readable)
        .flush_interval(recording.flush_interval)
        .queue_events(recording.queue_events.get())
        .queue_bytes(recording.queue_size);
    if let Some(instance) = &recording.instance {
        builder = builder.instance(instance);
    }
    if let Some(path) = &recording.shared_key_file {
        builder = builder.shared_key(secret::read_key(path)?);
    }
    // The default keeps rows that were in the file before its migration.
    let is_default = !config.sets_any(&[
        "retention-age",
        "retention-size",
        "retention-polls",
        "retention-hourly",
        "retention-daily",
    ]);
    Ok(if is_default {
        builder
    } else {
        builder.retention(retention(&config.proxy.retention))
    })
}

fn retention(retain: &Retain) -> Retention {
    let Limit(size) = retain.retention_size;
    Retention::unlimited()
        .max_age(retain.retention_age.0)
        .max_bytes(size)
        .polls(retain.retention_polls.0)
        .hourly_statistics(retain.retention_hourly.0)
        .daily_statistics(retain.retention_daily.0)
}

/// Returns the layer that records one server.
pub(super) fn layer(store: &Store, recording: &Recording) -> StoreLayer {
    store
        .layer()
        .record_error_text(recording.error_text)
        .record_tool_error_text(recording.tool_error_text)
        .record_target_query(recording.target_query)
        .skip_methods(recording.skip_method.iter().cloned())
        .resume_grace(recording.resume_grace)
        .max_listing_bytes(recording.max_listing)
}
