use std::sync::Arc;
use std::time::Duration;

use crate::event::DEFAULT_PROXY;

/// The settings of a [`StoreLayer`](super::StoreLayer).
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) proxy: Arc<str>,
    pub(super) upstream_url: Arc<str>,
    pub(super) error_text: bool,
    pub(super) tool_error_text: bool,
    pub(super) target_query: bool,
    pub(super) request_id_extension: bool,
    pub(super) skipped_methods: Vec<Box<str>>,
    pub(super) resume_grace: Duration,
    pub(super) listing_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            proxy: DEFAULT_PROXY.into(),
            upstream_url: "".into(),
            error_text: true,
            tool_error_text: false,
            target_query: true,
            request_id_extension: false,
            skipped_methods: Vec::new(),
            resume_grace: Duration::from_secs(5 * 60),
            listing_bytes: 4 << 20,
        }
    }
}
