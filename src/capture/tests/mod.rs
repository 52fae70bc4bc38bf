//! Tests of the whole room that need its private parts.

use std::sync::Arc;

use super::config::Config;
use super::recorder::Recorder;
use crate::Store;

mod allocations;
mod imports;
mod memory;

/// A recorder, and what it needs to live.
struct Recording {
    recorder: Arc<Recorder>,
    _dir: tempfile::TempDir,
}

impl Recording {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path().join("mcp.db")).unwrap();
        let config = Config {
            skipped_methods: vec!["ping".into()],
            ..Config::default()
        };
        Self {
            recorder: Recorder::new(store, config),
            _dir: dir,
        }
    }
}
